#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# A kernel of several columns of numbers takes them from the columns of one file as from files of one column each.
. "$(dirname "$0")/common.bash"
library mix <<'C'
#include <forkmap/kernel.h>
#include <stdio.h>

struct context {
    const char *in[3];
    int64_t step[3]; /* [bytes]: a column of a table has gaps */
    double *out;
};

static double value(const struct context *c, int k, int64_t i)
{
    return *(const double *)(const void *)(c->in[k] + i * c->step[k]);
}
static void range(int64_t begin, int64_t end, const void *ctx)
{
    const struct context *c = ctx;
    for (int64_t i = begin; i < end; i++)
        c->out[i] = value(c, 0, i) + 100 * value(c, 1, i) + 10000 * value(c, 2, i);
}
static int input(const struct fmk_param *params, fm_array **columns)
{
    int e = 0;
    (void)params;
    for (int k = 0; k < 3 && e == 0; k++)
        e = fm_array_arange(&columns[k], FM_F64, 0, 10, 1);
    return e;
}
static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    (void)params;
    int e = fm_array_create(&p->out, FM_F64, 1, &p->n, NULL);
    if (e == 0)
        e = fmk_memory_create(p, sizeof(struct context));
    if (e != 0)
        return e;
    struct context *c = p->ctx;
    for (int k = 0; k < 3; k++) {
        c->in[k] = fm_array_data(p->columns[k]);
        c->step[k] = fm_array_strides(p->columns[k])[0];
    }
    c->out = fm_array_data(p->out);
    return 0;
}
static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    (void)p;
    snprintf(text, cap, "not looked at");
    return 2;
}
static const struct fmk_kernel mix = {
    .name = "mix", .summary = "mixes three columns", .source = "own", .cost = "4 flop and 32 bytes", .result = "f8: the mix",
    .n_columns = 3, .grain = 1, .range = range, .default_input = input, .bind = bind, .verify = verify,
    .columns = {{.name = "a", .dtype = FM_F64}, {.name = "b", .dtype = FM_F64}, {.name = "c", .dtype = FM_F64}}};
FMK_PLUGIN(&mix);
C
columns=()
for i in 0 1 2; do
    { echo "x$i"; seq $((i + 1)) $((i + 50)); } >c$i.csv
    columns+=(c$i.csv)
done
{ echo x0,x1,x2; paste -d , "${columns[@]}" | tail -n +2; } >table.csv
run_mix() {
    expect "$1" map mix --load ./mix.so "${@:2}"
}
run_mix 0 "${columns[@]}" -o want.npy
run_mix 0 table.csv -o out.npy
cmp -s out.npy want.npy || fail "other results from one table"
[ "$(tail -c 8 out.npy | od -An -t f8 | tr -d ' ')" = 525150 ] || fail "the last row is not 50 + 100*51 + 10000*52"
run_mix 0 table.csv --rows 10:20 -o out.npy
run_mix 0 "${columns[@]}" --rows 10:20 -o want.npy
cmp -s out.npy want.npy || fail "other results from rows of one table"
run_mix 2 table.csv --columns x0 -o bad.npy
says "mix takes 3 columns, not 1"
absent bad.npy
