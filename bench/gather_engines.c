/* SPDX-License-Identifier: MIT */
/*
 * forkmap as an engine of the gather benchmark. A part is one row of the output. The worker writes in front of it when it was
 * made, and at which address: the heap lies at one address in all processes, so a part that the caller finds at another one was
 * moved.
 */
#include "gather.h"

#include "bench_clock.h"
#include "bound_pool.h"
#include "engine.h"

#include <forkmap/forkmap.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mark { /* the first bytes of a part */
    uint64_t written_at;
    int64_t end_ns;
};

struct making { /* arg of the function */
    size_t bytes;
    int value;
};

struct session {
    fm_pool *pool;
    int n;               /* workers, and parts */
    fm_array *out, *few; /* few: a page a part */
    volatile unsigned sink;
};

struct times {
    int64_t gather_ns, read_ns, moved;
};

static int make_part(const void *item, void *result, void *arg)
{
    const struct making *m = arg;
    memset(result, (int)(m->value + *(const int64_t *)item) & 255, m->bytes);
    const struct mark mark = {(uint64_t)(uintptr_t)result, bench_now_ns()};
    memcpy(result, &mark, sizeof(mark));
    return 0;
}

/* ---- one gather ---- */

static int check_part(const unsigned char *part, const struct making *m, int number)
{
    const unsigned char value = (unsigned char)(m->value + number);
    return part[sizeof(struct mark)] == value && part[m->bytes - 1] == value ? 0 : -EPROTO;
}

static void read_pages(struct session *s, const fm_array *out)
{
    const unsigned char *bytes = fm_array_data(out);
    unsigned sum = 0;
    for (size_t at = 0; at < fm_array_bytes(out); at += BENCH_GATHER_PAGE_BYTES)
        sum += bytes[at];
    s->sink = sum;
}

static int gather(struct session *s, fm_array *out, int value, struct times *t)
{
    struct making m = {fm_array_row_bytes(out), value};
    int64_t last_ns = 0;
    int code = fm_pool_map_range(
        s->pool, make_part, 0, s->n, out,
        FM_MAP_OPTS(.schedule = FM_SCHEDULE_STATIC, .arg = &m, .arg_bytes = sizeof(m)));
    const int64_t has_ns = bench_now_ns();
    if (code != 0)
        return code;
    read_pages(s, out);
    *t = (struct times){.read_ns = bench_now_ns() - has_ns};
    for (int number = 0; code == 0 && number < s->n; number++) {
        const unsigned char *part =
            (const unsigned char *)fm_array_data(out) + (size_t)number * m.bytes;
        struct mark mark;
        memcpy(&mark, part, sizeof(mark));
        last_ns = mark.end_ns > last_ns ? mark.end_ns : last_ns;
        t->moved += mark.written_at == (uint64_t)(uintptr_t)part ? 0 : (int64_t)m.bytes;
        code = check_part(part, &m, number);
    }
    t->gather_ns = has_ns - last_ns;
    return code;
}

/* ---- commands ---- */

static int make_room(struct session *s, size_t bytes)
{
    if (s->out != NULL && fm_array_row_bytes(s->out) == bytes)
        return 0;
    fm_array_destroy(s->out);
    s->out = NULL;
    return fm_array_create(&s->out, FM_U8, 2, (const int64_t[]){s->n, (int64_t)bytes}, NULL);
}

/* A page a part first, so that everybody is awake after the stop. */
static int answer_command(void *self, const char *command, char answer[BENCH_LINE])
{
    struct session *s = self;
    struct times t;
    size_t bytes;
    int value;
    if (sscanf(command, "gather %zu %d", &bytes, &value) != 2 || bytes < BENCH_GATHER_PAGE_BYTES)
        return -EINVAL;
    int code = make_room(s, bytes);
    if (code == 0)
        code = gather(s, s->few, value, &t);
    if (code == 0)
        code = gather(s, s->out, value, &t);
    if (code != 0)
        snprintf(answer, BENCH_LINE, "error %s: %.100s", fm_errname(code),
                 code == -EPROTO ? "results are missing" : fm_error_detail());
    else
        snprintf(answer, BENCH_LINE, "%" PRId64 " %" PRId64 " %" PRId64, t.gather_ns, t.read_ns,
                 t.moved);
    return code;
}

int bench_gather_engine(const char *kind, char *const args[])
{
    struct session s = {.n = args[0] == NULL ? 0 : atoi(args[0])};
    int code = s.n < 1 ? -EINVAL : bench_pool_open(&s.pool, kind, s.n);
    if (code == 0)
        code = fm_array_zeros(&s.few, FM_U8, 2, (const int64_t[]){s.n, BENCH_GATHER_PAGE_BYTES});
    if (code != 0)
        return bench_engine_fail(kind, code < 0 ? code : -EINVAL);
    code = bench_engine_serve(answer_command, &s);
    fm_pool_destroy(s.pool);
    return code;
}
