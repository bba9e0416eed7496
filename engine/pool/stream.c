/* SPDX-License-Identifier: MIT */
/* Streams: results one by one, in order or as they come. What is under way is the business of window.h, what comes next that of source.h. */
#include <forkmap/stream.h>

#include "error.h"
#include "opts.h"
#include "owner.h"
#include "window.h"

#include <errno.h>
#include <stdlib.h>

enum { MAX_RETRIES = 1000 };

struct fm_stream {
    uint32_t owner; /* pid */
    int is_ordered;
    int code; /* 0; what ended it: FM_ECLOSED, FM_ECANCELLED, FM_EBROKEN ... */
    fm_stream_opts opts;
    struct fmi_source source;
    struct fmi_window window;
    struct fmi_batch *current; /* whose results are being taken; NULL: none */
};

/* ---- opening ------------------------------------------------------------------------------------ */

static int check_opts(const fm_stream_opts *o)
{
    if (o->result_bytes > PTRDIFF_MAX / 4 || o->window_bytes > PTRDIFF_MAX / 4)
        return fmi_error(-EINVAL, "result_bytes is %zu, window_bytes is %zu", o->result_bytes,
                         o->window_bytes);
    if (o->chunk < 0)
        return fmi_error(-EINVAL, "chunk is %lld; it may be 0 or positive", (long long)o->chunk);
    if (o->arg == NULL && o->arg_bytes > 0)
        return fmi_error(-EINVAL, "arg is NULL, arg_bytes is %zu", o->arg_bytes);
    if (o->retries < 0 || o->retries > MAX_RETRIES)
        return fmi_error(-EINVAL, "retries is %d; it may be 0 .. %d", o->retries, MAX_RETRIES);
    if (o->item_timeout < 0)
        return fmi_error(-EINVAL, "item_timeout may not be negative");
    return 0;
}

static int prepare(struct fm_stream *s, fm_item_fn *fn, const fm_source *source,
                   const fm_stream_opts *opts)
{
    int rc = fmi_opts_copy(&s->opts, sizeof s->opts, opts);
    if (rc == 0)
        rc = check_opts(&s->opts);
    if (rc == 0 && fn == NULL)
        rc = fmi_error(-EINVAL, "the function is NULL");
    if (rc == 0)
        rc = fmi_source_prepare(&s->source, source);
    s->window.fn = fn;
    s->window.opts = &s->opts;
    s->window.source = &s->source;
    return rc;
}

static int open_window(struct fm_stream *s, fm_pool *pool)
{
    int is_inline = fmi_pool_is_inline(pool);
    int rc = is_inline ? 0 : fmi_pool_enter(pool);
    if (rc != 0)
        return rc;
    s->owner = is_inline ? fmi_owner_become() : fmi_owner_pid();
    s->window.pool = is_inline ? NULL : pool;
    s->window.serial = is_inline ? 0 : pool->serial;
    rc = fmi_window_open(&s->window);
    if (!is_inline)
        fmi_pool_leave(pool);
    return rc;
}

/* What cannot be handed out ends the stream, when what is in the window has been taken. */
static void fill(struct fm_stream *s)
{
    int rc = fmi_window_fill(&s->window);
    if (rc != 0)
        s->source.code = rc == FM_ECLOSED ? FM_ECANCELLED : rc;
}

static int open_stream(fm_pool *pool, fm_item_fn *fn, const fm_source *source,
                       const fm_stream_opts *opts, int is_ordered, fm_stream **out)
{
    if (out == NULL)
        return fmi_error(-EINVAL, "stream is NULL");
    *out = NULL;
    struct fm_stream *s = calloc(1, sizeof *s);
    if (s == NULL)
        return -ENOMEM;
    s->is_ordered = is_ordered;
    int rc = prepare(s, fn, source, opts);
    if (rc == 0)
        rc = open_window(s, pool);
    if (rc != 0) {
        free(s);
        return rc;
    }
    if (s->window.n_batches > 1) /* else it begins when somebody asks */
        fill(s);
    *out = s;
    return 0;
}

int fm_pool_imap(fm_pool *pool, fm_item_fn *fn, fm_source source, const fm_stream_opts *opts,
                 fm_stream **stream)
{
    return open_stream(pool, fn, &source, opts, 1, stream);
}

int fm_pool_imap_unordered(fm_pool *pool, fm_item_fn *fn, fm_source source,
                           const fm_stream_opts *opts, fm_stream **stream)
{
    return open_stream(pool, fn, &source, opts, 0, stream);
}

/* ---- taking ------------------------------------------------------------------------------------- */

static int compare_item(const void *index, const void *failure)
{
    int64_t i = *(const int64_t *)index, item = ((const fm_failure *)failure)->item;
    return (i > item) - (i < item);
}

/* Sorted, one for each item. */
static const fm_failure *find_failure(const struct fmi_report *report, int64_t index)
{
    return report->n == 0 ? NULL
                          : bsearch(&index, report->list, (size_t)report->n, sizeof *report->list,
                                    compare_item);
}

/* The next result of the batch that has landed. */
static int take(struct fm_stream *s, fm_stream_item *item)
{
    struct fmi_batch *b = s->current;
    uint32_t k = b->n_taken++;
    int state = b->states[k];
    *item = (fm_stream_item){.index = b->first + k};
    if (state == FM_ITEM_DONE) {
        if (b->results != NULL)
            item->result = b->results + k * s->window.result_stride;
        return 0;
    }
    item->failure = find_failure(&b->report, item->index);
    int code = fmi_code_of_state(state);
    return fmi_error(code, "item %lld %s", (long long)item->index, fm_item_state_name(state));
}

/* The source has ended, and all that it gave has been taken. */
static int end(struct fm_stream *s, fm_stream_item *item)
{
    s->code = FM_ECLOSED;
    if (s->source.code == FM_ECLOSED)
        return FM_ECLOSED;
    item->index = s->source.n_drawn;
    return fmi_error(s->source.code < 0 ? s->source.code : FM_ETASK, "there is no item %lld: %s",
                     (long long)item->index,
                     s->source.code < 0 ? fm_strerror(s->source.code) : "the generator failed");
}

/* On a pool that is held, if there is one. */
static int next(struct fm_stream *s, fm_stream_item *item, int64_t timeout)
{
    struct fmi_batch *landed;
    if (s->current != NULL && s->current->n_taken < s->current->n)
        return take(s, item);
    if (s->current != NULL)
        fmi_batch_release(s->current);
    s->current = NULL;
    fill(s);
    if (s->window.n_flying == 0)
        return end(s, item);
    int rc = fmi_window_await(&s->window, s->is_ordered, timeout, &landed);
    if (rc == FM_ECORRUPT && s->window.pool != NULL)
        fm_pool_terminate(s->window.pool); /* nothing that the workers do can be trusted any more */
    if (rc != 0 && rc != -ETIMEDOUT)
        s->code = rc;
    if (rc != 0)
        return rc;
    s->current = landed;
    return take(s, item);
}

static int check(const struct fm_stream *s)
{
    if (s == NULL)
        return fmi_error(-EINVAL, "the stream is NULL");
    if (s->owner != fmi_owner_pid())
        return fmi_error(FM_EFORKED, "the stream belongs to process %u", s->owner);
    return 0;
}

int fm_stream_next(fm_stream *s, fm_stream_item *item, int64_t timeout)
{
    int rc = check(s);
    if (rc != 0)
        return rc;
    if (item == NULL)
        return fmi_error(-EINVAL, "item is NULL");
    *item = (fm_stream_item){.index = -1};
    if (s->code != 0)
        return s->code;
    fm_pool *pool = s->window.pool;
    if (s->current != NULL && s->current->n_taken < s->current->n)
        return take(s, item);
    if (pool != NULL && fmi_pool_hold(pool, s->window.serial) != 0)
        return s->code = fmi_error(FM_ECANCELLED, "the pool was destroyed");
    rc = next(s, item, timeout);
    if (pool != NULL)
        fmi_pool_leave(pool);
    return rc;
}

int fm_stream_close(fm_stream *s)
{
    if (s == NULL)
        return 0;
    int rc = check(s);
    if (rc != 0)
        return rc;
    fmi_window_close(&s->window);
    free(s);
    return 0;
}
