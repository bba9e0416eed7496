/* SPDX-License-Identifier: MIT */
/*
 * forkmap as an engine of the stream benchmark. The function writes every byte of its result, and where it wrote them and for which item
 * in front: the heap lies at one address in all processes, so a result that the consumer finds at another one
 * was copied.
 */
#include "stream.h"

#include "bench_clock.h"
#include "bound_pool.h"
#include "engine.h"

#include <forkmap/forkmap.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_ITEMS 16

struct mark { /* the first bytes of a result */
    uint64_t written_at;
    int64_t item;
};

struct session {
    fm_pool *pool;
    int is_ordered;
    size_t result_bytes;
};

struct tally { /* of what came out of a stream */
    int64_t n, sum, n_disordered, n_copied;
};

static int write_result(const void *item, void *result, void *arg)
{
    const int64_t number = *(const int64_t *)item;
    const struct mark mark = {(uint64_t)(uintptr_t)result, number};
    memset(result, (int)(number & 0xff), *(const size_t *)arg);
    memcpy(result, &mark, sizeof(mark));
    return 0;
}

/* ---- streams ---- */

static int open_stream(struct session *s, int64_t n, fm_stream **stream)
{
    const fm_source numbers = fm_source_range(0, n);
    const fm_stream_opts *opts =
        FM_STREAM_OPTS(.result_bytes = s->result_bytes, .arg = &s->result_bytes,
                       .arg_bytes = sizeof(s->result_bytes));
    return s->is_ordered ? fm_pool_imap(s->pool, write_result, numbers, opts, stream)
                         : fm_pool_imap_unordered(s->pool, write_result, numbers, opts, stream);
}

static int consume_stream(fm_stream *stream, struct tally *t)
{
    fm_stream_item item;
    int code;
    while ((code = fm_stream_next(stream, &item, FM_FOREVER)) == 0) {
        const struct mark *mark = item.result;
        t->n_copied += mark->written_at != (uint64_t)(uintptr_t)mark;
        t->n_disordered += mark->item != t->n;
        t->sum += mark->item;
        t->n++;
    }
    return code == FM_ECLOSED ? 0 : code;
}

static int check_tally(const struct session *s, const struct tally *t, int64_t n)
{
    const int is_right =
        t->n == n && t->sum == n * (n - 1) / 2 && (t->n_disordered == 0 || !s->is_ordered);
    return is_right ? 0 : -EPROTO;
}

/* From the opening to the closing [ns], or < 0. */
static int64_t time_stream(struct session *s, int64_t n, struct tally *t)
{
    fm_stream *stream;
    *t = (struct tally){.n = 0};
    const int64_t begin_ns = bench_now_ns();
    int code = open_stream(s, n, &stream);
    if (code != 0)
        return code;
    code = consume_stream(stream, t);
    fm_stream_close(stream);
    const int64_t ns = bench_now_ns() - begin_ns;
    if (code == 0)
        code = check_tally(s, t, n);
    return code == 0 ? ns : code;
}

/* ---- commands ---- */

/* A few items first, so that everybody is awake after the stop. */
static int answer_command(void *self, const char *command, char answer[BENCH_LINE])
{
    struct session *s = self;
    char what[8], order[12];
    int64_t n;
    struct tally t;
    if (sscanf(command, "%7s %11s %zu %" SCNd64, what, order, &s->result_bytes, &n) != 4 || n < 1 ||
        s->result_bytes < sizeof(struct mark))
        return -EINVAL;
    s->is_ordered = strcmp(order, "ordered") == 0;
    int64_t ns = time_stream(s, WARM_ITEMS, &t);
    if (ns >= 0)
        ns = time_stream(s, n, &t);
    if (ns < 0)
        snprintf(answer, BENCH_LINE, "error %s: %.100s", fm_errname((int)ns),
                 ns == -EPROTO ? "results are missing" : fm_error_detail());
    else if (strcmp(what, "copies") == 0)
        snprintf(answer, BENCH_LINE, "%" PRId64, t.n_copied);
    else
        snprintf(answer, BENCH_LINE, "%.3f", (double)ns / (double)n);
    return ns < 0 ? (int)ns : 0;
}

int bench_stream_engine(const char *kind, char *const args[])
{
    struct session s = {.pool = NULL};
    int code = args[0] == NULL ? -EINVAL : bench_pool_open(&s.pool, kind, atoi(args[0]));
    if (code != 0)
        return bench_engine_fail(kind, code < 0 ? code : -EINVAL);
    code = bench_engine_serve(answer_command, &s);
    fm_pool_destroy(s.pool);
    return code;
}
