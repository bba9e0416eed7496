/* SPDX-License-Identifier: MIT */
/* Blocks between guards, kept for reuse; see guarded.h. */
#include "guarded.h"

#include "forklock.h"
#include "heap.h"
#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GUARD_BYTES = 65536 };

struct block { /* private: what this process knows of a block that it made */
    struct block *next;
    char *p;      /* behind the first guard */
    size_t bytes; /* between the guards */
    pid_t maker;  /* a forked child has this list too, and may not use it */
    int is_taken;
};
static struct block *blocks;
static struct fmi_forklock lock = FMI_FORKLOCK;

int fmi_guarded_adopt(char *p, size_t bytes)
{
    int rc = fmi_sys_protect_none(p - GUARD_BYTES, GUARD_BYTES);
    return rc != 0 ? rc : fmi_sys_protect_none(p + bytes, GUARD_BYTES);
}

static struct block *find_spare(size_t bytes)
{
    pid_t self = getpid();
    for (struct block *b = blocks; b != NULL; b = b->next)
        if (!b->is_taken && b->maker == self && b->bytes >= bytes)
            return b;
    return NULL;
}

static int make_block(struct block **out, size_t bytes)
{
    void *all;
    size_t inner = (bytes + GUARD_BYTES - 1) / GUARD_BYTES * GUARD_BYTES;
    struct block *b = malloc(sizeof *b);
    if (b == NULL)
        return -ENOMEM;
    int rc = fmi_heap_alloc(&all, inner + 2 * (size_t)GUARD_BYTES, FMI_HEAP_ZERO);
    if (rc == 0 && (rc = fmi_guarded_adopt((char *)all + GUARD_BYTES, inner)) != 0 &&
        fmi_sys_unprotect(all, GUARD_BYTES) ==
            0) /* else it stays: the next owner could not touch it */
        (void)fmi_heap_free(all);
    if (rc != 0) {
        free(b);
        return rc;
    }
    *b = (struct block){
        .next = blocks, .p = (char *)all + GUARD_BYTES, .bytes = inner, .maker = getpid()};
    blocks = *out = b;
    return 0;
}

int fmi_guarded_take(char **out, size_t bytes)
{
    int rc = 0;
    *out = NULL;
    fmi_forklock_acquire(&lock);
    struct block *b = find_spare(bytes);
    if (b != NULL)
        memset(b->p, 0, b->bytes);
    else
        rc = make_block(&b, bytes);
    if (rc == 0) {
        b->is_taken = 1;
        *out = b->p;
    }
    fmi_forklock_release(&lock);
    return rc;
}

size_t fmi_guarded_bytes(const char *p)
{
    size_t bytes = 0;
    fmi_forklock_acquire(&lock);
    for (struct block *b = blocks; b != NULL; b = b->next)
        if (b->p == p)
            bytes = b->bytes;
    fmi_forklock_release(&lock);
    return bytes;
}

void fmi_guarded_give(const char *p)
{
    fmi_forklock_acquire(&lock);
    for (struct block *b = blocks; b != NULL; b = b->next)
        if (b->p == p && p != NULL)
            b->is_taken = 0;
    fmi_forklock_release(&lock);
}
