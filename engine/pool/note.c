/* SPDX-License-Identifier: MIT */
/*
 * Notes: a function says what it is about, and the record says it, should that item fail. A worker's note lies in shared memory, so
 * that it outlives the worker; that of a caller that works, or of a nested map, is private.
 */
#include "run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct own_note {
    const struct fmi_runner *of; /* NULL: none */
    struct fmi_note_shm note;
};
static _Thread_local struct own_note own;

/* Whoever reads it may be the successor of a process that died in the middle: then there is none. */
static void store_note(struct fmi_note_shm *note, const struct fmi_runner *r, const char *text)
{
    atomic_store(&note->item, -1);
    memcpy(note->text, text, strlen(text) + 1);
    atomic_store(&note->item, fmi_next_item(atomic_load_explicit(&r->progress->next,
                                                                 memory_order_relaxed))); /* own */
}

void fm_note(const char *format, ...)
{
    char text[sizeof own.note.text];
    const struct fmi_runner *innermost = fmi_runner_current();
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    for (const struct fmi_runner *r = innermost; r != NULL; r = r->outer) {
        if (r->worker != NULL && r->worker == fmi_worker_self()) {
            store_note(&r->worker->note, r, text);
        } else if (r->worker == NULL && r == innermost) {
            own.of = r;
            store_note(&own.note, r, text);
        }
    }
}

static struct fmi_note_shm *note_of(const struct fmi_runner *r)
{
    if (r->worker != NULL)
        return &r->worker->note;
    return own.of == r ? &own.note : NULL;
}

void fmi_note_take(const struct fmi_runner *r, int64_t item, char text[96])
{
    struct fmi_note_shm *note = note_of(r);
    text[0] = '\0';
    if (note == NULL || atomic_load(&note->item) != item)
        return;
    snprintf(text, sizeof note->text, "%.*s", (int)sizeof note->text - 1, note->text);
    atomic_store(&note->item, -1);
}

void fmi_note_reset(const struct fmi_runner *r)
{
    struct fmi_note_shm *note = note_of(r);
    if (note != NULL)
        atomic_store_explicit(
            &note->item, -1,
            memory_order_relaxed); /* only this process, or its successor, reads it */
}
