/* SPDX-License-Identifier: MIT */
/* A line in the heap with two parties, for tests of one direction of a pipe. */
#ifndef T_LINE_H
#define T_LINE_H

#include "clock.h"
#include "heap.h"
#include "line.h"

#include <string.h>

struct t_line {
    struct fmi_party_shm writer, reader;
    struct fmi_line_shm line;
};

/* NULL: no memory. Both ends belong to this thread. */
static inline struct t_line *t_new_line(void)
{
    void *bytes;
    if (fmi_heap_alloc(&bytes, sizeof(struct t_line), FMI_HEAP_ZERO) != 0)
        return NULL;
    struct t_line *l = bytes;
    fmi_line_init(&l->line);
    return fmi_party_init(&l->writer) == 0 && fmi_party_init(&l->reader) == 0 ? l : NULL;
}

static inline struct fmi_line t_line(struct t_line *l)
{
    return (struct fmi_line){&l->line, &l->writer, &l->reader, NULL};
}

static inline void t_free_line(struct t_line *l)
{
    fmi_party_close(&l->writer, &l->line.bell);
    fmi_party_close(&l->reader, NULL);
    fmi_line_rouse(&l->line);
    fmi_line_fini(&l->line);
    (void)fmi_heap_free(l);
}

static inline int t_send(struct t_line *l, const void *data, size_t bytes, int64_t timeout)
{
    struct fmi_line line = t_line(l);
    return fmi_line_send(&line, data, bytes, fmi_deadline_of(timeout));
}

static inline int t_recv(struct t_line *l, void *buf, size_t cap, size_t *bytes, int64_t timeout)
{
    struct fmi_line line = t_line(l);
    return fmi_line_recv(&line, buf, cap, bytes, fmi_deadline_of(timeout));
}

/* A message whose bytes follow from its number and size: each differs from its neighbours. */
static inline void t_fill_message(unsigned char *to, size_t bytes, uint64_t number)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (unsigned char)(number * 131 + i * 7 + (i >> 8));
    if (bytes >= sizeof number)
        memcpy(to, &number, sizeof number);
}

/* 1: it is whole. */
static inline int t_is_message(const unsigned char *from, size_t bytes, uint64_t number)
{
    for (size_t i = bytes >= sizeof number ? sizeof number : 0; i < bytes; i++)
        if (from[i] != (unsigned char)(number * 131 + i * 7 + (i >> 8)))
            return 0;
    return bytes < sizeof number || memcmp(from, &number, sizeof number) == 0;
}

#endif
