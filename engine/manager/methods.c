/* SPDX-License-Identifier: MIT */
/* Kinds of objects, calls by name, replies; see methods.h. */
#include "methods.h"

#include "clock.h"
#include "error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_NS FM_MS(100)

static const struct fmi_kind *const kinds[] = {
    &fmi_kind_dict,      &fmi_kind_list,  &fmi_kind_namespace, &fmi_kind_queue,
    &fmi_kind_value,     &fmi_kind_array, &fmi_kind_lock,      &fmi_kind_rlock,
    &fmi_kind_semaphore, &fmi_kind_event, &fmi_kind_condition, &fmi_kind_barrier,
    &fmi_kind_rwlock,
};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

const struct fmi_kind *fmi_kind_at(uint32_t i)
{
    return i < N_KINDS ? kinds[i] : NULL;
}

int fmi_kind_find(const char *name)
{
    for (int i = 0; i < N_KINDS; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return i;
    return -1;
}

static int check_count(const char *what, int what_bytes, int n, int n_least, int n_most)
{
    if (n >= n_least && (n <= n_most || n_most < 0))
        return 0;
    return fmi_error(-EINVAL, "%.*s with %d arguments; it takes %d%s", what_bytes, what, n, n_least,
                     n_most < 0 ? " and more" : (n_most > n_least ? " or more" : ""));
}

int fmi_kind_create(const struct fmi_kind *kind, void **out, const fm_bytes *args, int n)
{
    *out = NULL;
    int rc = check_count(kind->name, (int)strlen(kind->name), n, kind->n_least, kind->n_most);
    return rc != 0 ? rc : kind->create(out, args, n);
}

/* ---- calls ------------------------------------------------------------------------------------------- */

static const struct fmi_method *find_method(const struct fmi_kind *kind, fm_bytes name)
{
    for (const struct fmi_method *m = kind->methods; m->name != NULL; m++)
        if (strlen(m->name) == name.bytes && memcmp(m->name, name.data, name.bytes) == 0)
            return m;
    return NULL;
}

/* The same method again and again, each time for a slice, while the client is there. */
static int call_in_slices(const struct fmi_method *method, void *object,
                          const struct fmi_call *call, const struct fmi_caller *caller)
{
    struct fmi_call slice = *call;
    const int64_t deadline_ns = fmi_deadline_after(call->timeout);
    for (;;) {
        int64_t left_ns = deadline_ns == FMI_NEVER ? INT64_MAX : deadline_ns - fmi_now_ns();
        if (left_ns <= 0)
            return fmi_error(-ETIMEDOUT, "%s: the time is over", method->name);
        slice.timeout = left_ns < SLICE_NS ? left_ns : SLICE_NS;
        int rc = method->run(object, &slice);
        if (rc != -ETIMEDOUT)
            return rc;
        if (caller->is_gone(caller->arg))
            return fmi_error(FM_ECLOSED, "%s: the client has gone, or the manager ends",
                             method->name);
    }
}

int fmi_kind_call(const struct fmi_kind *kind, void *object, fm_bytes name,
                  const struct fmi_call *call, const struct fmi_caller *caller)
{
    const struct fmi_method *method = find_method(kind, name);
    if (method == NULL)
        return fmi_error(-ENOSYS, "%s has no method %.*s", kind->name, (int)(name.bytes & 0xff),
                         (const char *)name.data);
    int rc = check_count(method->name, (int)strlen(method->name), call->n, method->n_least,
                         method->n_most);
    if (rc != 0)
        return rc;
    if (caller == NULL || call->timeout == FM_NOWAIT ||
        (method->flags & (FMI_METHOD_WAITS | FMI_METHOD_IS_WHOLE)) != FMI_METHOD_WAITS)
        return method->run(object, call);
    return call_in_slices(method, object, call, caller);
}

/* ---- replies ------------------------------------------------------------------------------------------- */

struct fmi_reply_block {
    struct fmi_reply_block *next;
    alignas(16) char bytes[];
};

void fmi_reply_clear(fm_reply *reply)
{
    while (reply->blocks != NULL) {
        struct fmi_reply_block *block = reply->blocks;
        reply->blocks = block->next;
        free(block);
    }
    fm_snapshot_free(reply->kept);
    free(reply->values);
    *reply = (fm_reply){.most_bytes = reply->most_bytes};
}

static int add_value(fm_reply *reply, fm_bytes value)
{
    if (reply->n == reply->cap) {
        uint32_t cap = reply->cap == 0 ? 8 : 2 * reply->cap;
        fm_bytes *values = realloc(reply->values, (size_t)cap * sizeof *values);
        if (values == NULL)
            return fmi_error(-ENOMEM, "no memory for %" PRIu32 " results", cap);
        reply->values = values;
        reply->cap = cap;
    }
    reply->values[reply->n++] = value;
    return 0;
}

void *fmi_reply_room(fm_reply *reply, size_t bytes)
{
    struct fmi_reply_block *block = bytes < SIZE_MAX / 2 ? malloc(sizeof *block + bytes + 1) : NULL;
    if (block == NULL || add_value(reply, fm_bytes_of(block->bytes, bytes)) != 0) {
        free(block);
        fmi_error_note("no memory for a result of %zu bytes", bytes);
        return NULL;
    }
    block->next = reply->blocks;
    reply->blocks = block;
    return block->bytes;
}

int fm_reply_add(fm_reply *reply, fm_bytes value)
{
    if (reply == NULL || (value.data == NULL && value.bytes > 0))
        return fmi_error(-EINVAL, "a reply, or bytes, are NULL");
    void *room = fmi_reply_room(reply, value.bytes);
    if (room == NULL)
        return -ENOMEM;
    if (value.bytes > 0)
        memcpy(room, value.data, value.bytes);
    return 0;
}

int fmi_reply_text(fm_reply *reply, const char *text)
{
    return fm_reply_add(reply, fm_text(text));
}

int fmi_reply_number(fm_reply *reply, int64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, number);
    return fmi_reply_text(reply, text);
}

int fmi_reply_snapshot(fm_reply *reply, fm_snapshot *s)
{
    int rc = 0;
    fm_snapshot_free(reply->kept);
    reply->kept = s;
    reply->is_paired = s->keys != NULL && s->values != NULL;
    for (int64_t i = 0; i < s->n && rc == 0; i++) {
        if (s->keys != NULL)
            rc = add_value(reply, s->keys[i]);
        if (rc == 0 && s->values != NULL)
            rc = add_value(reply, s->values[i]);
    }
    return rc;
}

int fmi_reply_value(void *object, const struct fmi_call *call, fmi_give_fn *give)
{
    char few[1024]; /* most values are shorter */
    const uint64_t most = call->reply->most_bytes;
    fm_buf buf = fm_buf_of(few, sizeof few < most ? sizeof few : most);
    void *many = NULL;
    int rc = give(object, call, &buf);
    while (rc == FM_ETOOLONG && buf.bytes <= most) {
        const size_t bytes = buf.bytes;
        free(many);
        many = malloc(bytes);
        if (many == NULL)
            return fmi_error(-ENOMEM, "no memory for a value of %zu bytes", bytes);
        buf = fm_buf_of(many, bytes);
        rc = give(object, call, &buf);
    }
    if (rc == 0)
        rc = fm_reply_add(call->reply, fm_bytes_of(buf.data, buf.bytes));
    free(many);
    return rc;
}
