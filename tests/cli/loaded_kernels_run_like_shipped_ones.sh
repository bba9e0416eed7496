#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 60
# A library's kernels are listed, run, mapped over files, verified and compared; several libraries may be loaded, and a
# library may have several kernels. It is compiled with nothing but the public headers.
. "$(dirname "$0")/common.bash"
library two <<'C'
#include <errno.h>
#include <forkmap/kernel.h>
#include <inttypes.h>
#include <stdio.h>

struct ctx { const int64_t *in; int64_t *out; int64_t add, wrong; };

static void range(int64_t begin, int64_t end, const void *p)
{
    const struct ctx *c = p;
    for (int64_t i = begin; i < end; i++)
        c->out[i] = (c->in != NULL ? c->in[i] : i) + c->add + (i == c->wrong);
}
static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    struct ctx c = {0};
    int e = fmk_param_int(params, "add", -1000, 1000, &c.add);
    if (e == 0)
        e = fmk_param_int(params, "wrong", -1, INT64_MAX, &c.wrong);
    if (e == 0)
        e = fm_array_create(&p->out, FM_I64, 1, &p->n, NULL);
    if (e == 0)
        e = fmk_memory_create(p, sizeof c);
    if (e != 0)
        return e;
    if (p->columns[0] != NULL)
        c.in = fm_array_data(p->columns[0]);
    c.out = fm_array_data(p->out);
    *(struct ctx *)p->ctx = c;
    return 0;
}
static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct ctx *c = p->ctx;
    for (int64_t i = 0; i < p->n; i++)
        if (c->out[i] - c->add != (c->in != NULL ? c->in[i] : i)) {
            snprintf(text, cap, "item %" PRId64 " is wrong", i);
            return 1;
        }
    snprintf(text, cap, "all sums are right");
    return 0;
}
static int no_reference(const struct fmk_problem *p, char *text, size_t cap)
{
    (void)p, (void)text, (void)cap;
    return 2;
}
static int count(const struct fmk_param *params, fm_array **columns)
{
    int64_t n;
    int e = fmk_param_int(params, "n", 0, 1 << 20, &n);
    return e != 0 ? e : fm_array_arange(&columns[0], FM_I64, 0, (double)n, 1);
}
#define COMMON \
    .summary = "adds", .source = "own", .cost = "1 flop and 16 bytes", .result = "i8: the sum", .grain = 1, \
    .params = {{"n", "1000", "items"}, {"add", "3", "what is added"}, {"wrong", "-1", "item"}}, .range = range, \
    .bind = bind
static const struct fmk_kernel over_range = {.name = "add_range", COMMON, .verify = no_reference};
static const struct fmk_kernel over_column = {.name = "add_column", COMMON, .n_columns = 1,
    .columns = {{.name = "numbers", .dtype = FM_I64}}, .default_input = count, .verify = verify};
FMK_PLUGIN(&over_range, &over_column);
C
library one <<'C'
#include <forkmap/kernel.h>
#include <stdlib.h>
static void range(int64_t begin, int64_t end, const void *p)
{
    for (int64_t i = begin; i < end; i++) {
        if (i == 7)
            abort();
        (*(int64_t *const *)p)[i] = i;
    }
}
static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    int e = fm_array_zeros(&p->out, FM_I64, 1, &p->n);
    (void)params;
    if (e == 0)
        e = fmk_memory_create(p, sizeof(int64_t *));
    if (e == 0)
        *(int64_t **)p->ctx = (int64_t *)fm_array_data(p->out);
    return e;
}
static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    (void)p, (void)text, (void)cap;
    return 2;
}
static const struct fmk_kernel entry = {.name = "aborts", .summary = "s", .source = "s", .cost = "c", .result = "r",
    .grain = 1, .params = {{"n", "20", "items"}}, .range = range, .bind = bind, .verify = verify};
FMK_PLUGIN(&entry);
C
expect 0 kernels --load ./two.so --load one.so
shows docking add_range add_column "library ./two.so" aborts "library ./one.so"
expect 0 kernels --load two.so --json
shows '"name":"add_column"' '"library":"./two.so"' '"library":null'
for workers in 1 2 3; do
    expect 0 run add_range --load two.so --verify --compare --repeats 2 --workers $workers -o "range$workers.npy"
    says "1000 results equal a serial run bit for bit"
    shows "same bits"
    expect 0 run add_column --load ./two.so --verify --workers $workers --caller works -o "column$workers.npy"
    says "all sums are right"
    cmp range1.npy "range$workers.npy" || fail "other bits"
    cmp range1.npy "column$workers.npy" || fail "other bits from a column"
done
# Over a file: what one map wrote is what the next one reads.
expect 0 map add_column --load ./two.so range1.npy --arg add=-3 --verify --compare --repeats 2 -o back.npy
expect 0 run add_range --load ./two.so --arg add=0 -o numbers.npy
cmp back.npy numbers.npy || fail "3 - 3 is not 0"
expect 0 map add_column --load ./two.so range:0:1000 --arg add=0 -o counted.npy
cmp counted.npy numbers.npy || fail "a range is no column"
# What is refused for a shipped kernel is refused here.
expect 1 run add_column --load ./two.so --verify --arg wrong=999 -o wrong.npy
says "verification failed: item 999 is wrong"
expect 2 run add_range --load ./two.so --arg add=5000
says "from -1000 to 1000"
expect 2 run add_range --load ./two.so --arg much=1
says "it has: n add wrong"
expect 2 run add_rnage --load ./two.so
says "did you mean add_range?"
expect 2 run add_range
says "no such kernel"
expect 2 map add_column --load ./two.so range1.npy --failures two.so
says "a library of --load"
# A crash in it is one item, as anywhere.
expect 1 run aborts --load one.so --on-error continue
says "item 7: crashed by SIGABRT" "1 of 20 items failed"
absent wrong.npy
# In C++ it is the same, in the order of the struct.
cat >plus.cpp <<'C'
#include <forkmap/kernel.h>
static void range(int64_t begin, int64_t end, const void *p)
{
    for (int64_t i = begin; i < end; i++)
        (*static_cast<int64_t *const *>(p))[i] = 2 * i;
}
static int bind(struct fmk_problem *p, const struct fmk_param *)
{
    int e = fm_array_zeros(&p->out, FM_I64, 1, &p->n);
    if (e == 0)
        e = fmk_memory_create(p, sizeof(int64_t *));
    if (e == 0)
        *static_cast<int64_t **>(p->ctx) = static_cast<int64_t *>(fm_array_data(p->out));
    return e;
}
static int verify(const struct fmk_problem *, char *, size_t) { return 2; }
static const struct fmk_kernel entry = {.name = "twice", .summary = "s", .source = "s", .cost = "c", .result = "r",
    .n_columns = 0, .grain = 1, .columns = {}, .params = {{"n", "100", "items"}}, .range = range,
    .default_input = nullptr, .bind = bind, .next_pass = nullptr, .verify = verify};
FMK_PLUGIN(&entry);
C
"${CXX:-c++}" -std=c++20 -Wall -Wextra -Wpedantic -Werror -shared -fPIC -I"$FORKMAP_INCLUDE" -o plus.so plus.cpp ||
    fail "C++ does not compile"
expect 0 run twice --load plus.so --verify
says "100 results equal a serial run"
