/* SPDX-License-Identifier: MIT */
/* Queues by name; see methods.h. */
#include "methods.h"

#include "error.h"

#include <errno.h>
#include <forkmap/queue.h>
#include <stdlib.h>

enum { FIRST_BYTES = 4096 };

static int queue_put(void *q, const struct fmi_call *call)
{
    return fm_queue_put(q, call->args[0].data, call->args[0].bytes, call->timeout);
}

/* A message that is too long for the buffer, or the client, stays where it is. */
static int queue_get(void *q, const struct fmi_call *call)
{
    char few[FIRST_BYTES];
    size_t bytes = 0,
           cap = sizeof few < call->reply->most_bytes ? sizeof few : call->reply->most_bytes;
    void *many = NULL;
    int rc = fm_queue_get(q, few, cap, &bytes, call->timeout);
    while (rc == FM_ETOOLONG && bytes <= call->reply->most_bytes) {
        free(many);
        cap = bytes;
        many = malloc(cap);
        if (many == NULL)
            return fmi_error(-ENOMEM, "no memory for a message of %zu bytes", cap);
        rc = fm_queue_get(q, many, cap, &bytes, call->timeout);
    }
    if (rc == 0)
        rc = fm_reply_add(call->reply, fm_bytes_of(many != NULL ? many : few, bytes));
    free(many);
    return rc;
}

static int queue_size(void *q, const struct fmi_call *call)
{
    int64_t n = fm_queue_size(q);
    return n < 0 ? (int)n : fmi_reply_number(call->reply, n);
}

static int queue_empty(void *q, const struct fmi_call *call)
{
    return fmi_reply_number(call->reply, fm_queue_empty(q));
}

static int queue_full(void *q, const struct fmi_call *call)
{
    return fmi_reply_number(call->reply, fm_queue_full(q));
}

static int queue_close(void *q, const struct fmi_call *call)
{
    (void)call;
    return fm_queue_close(q);
}

static int create(void **out, const fm_bytes *args, int n)
{
    int64_t capacity = 0;
    int rc = n == 0 ? 0 : fmi_argument_integer(args[0], 1, FM_QUEUE_MAX_CAPACITY, &capacity);
    return rc != 0 ? rc : fm_queue_create((fm_queue **)out, FM_QUEUE_OPTS(.capacity = capacity));
}

static void destroy(void *q)
{
    fm_queue_destroy(q);
}

static const struct fmi_method methods[] = {
    {"put", 1, 1, FMI_METHOD_WAITS, queue_put},
    {"get", 0, 0, FMI_METHOD_WAITS, queue_get},
    {"size", 0, 0, 0, queue_size},
    {"empty", 0, 0, 0, queue_empty},
    {"full", 0, 0, 0, queue_full},
    {"close", 0, 0, 0, queue_close},
    {0},
};

const struct fmi_kind fmi_kind_queue = {"queue", 0, 1, create, destroy, methods};
