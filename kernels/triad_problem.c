/* SPDX-License-Identifier: MIT */

/* triad's problem: two vectors whose sums are exact, and each element computed again. */

#include "kernel_list.h"
#include "params.h"
#include "triad.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* Whole numbers, other ones for every element of a page: an element out of place shows. */
static int make_vectors(const struct fmk_param *params, fm_array **columns)
{
    int64_t n;
    int e = fmk_param_int(params, "n", 0, INT64_C(1) << 40, &n);
    for (int k = 0; e == 0 && k < 2; k++)
        e = fm_array_create(&columns[k], FM_F64, 1, &n, NULL);
    if (e != 0)
        return e;
    double *b = fm_array_data(columns[0]), *c = fm_array_data(columns[1]);
    for (int64_t i = 0; i < n; i++) {
        b[i] = (double)(i % 4093);
        c[i] = (double)(i % 1021);
    }
    return 0;
}

static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    struct fmk_triad_ctx v = {.n = p->n};
    int e = fmk_param_real(params, "s", &v.s);
    if (e == 0)
        e = fm_array_create(&p->out, FM_F64, 1, &p->n, NULL);
    if (e == 0)
        e = fmk_memory_create(p, sizeof v);
    if (e != 0)
        return e;
    v.a = fm_array_data(p->out);
    v.b = fm_array_data(p->columns[0]);
    v.c = fm_array_data(p->columns[1]);
    v.b_stride = fm_array_strides(p->columns[0])[0];
    v.c_stride = fm_array_strides(p->columns[1])[0];
    *(struct fmk_triad_ctx *)p->ctx = v;
    return 0;
}

/* Equal, or both not a number: such inputs have such sums. */
static int is_same(double a, double b)
{
    return a == b || (a != a && b != b);
}

static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct fmk_triad_ctx *v = p->ctx;
    for (int64_t i = 0; i < v->n; i++) {
        const double b = *(double *)fm_array_at(p->columns[0], 1, &i);
        const double c = *(double *)fm_array_at(p->columns[1], 1, &i);
        const volatile double product = v->s * c; /* rounded by itself on every processor */
        if (is_same(v->a[i], b + product))
            continue;
        snprintf(text, cap, "element %" PRId64 " is %.17g; %g + %g x %g is %.17g", i, v->a[i], b,
                 v->s, c, b + product);
        return 1;
    }
    snprintf(text, cap, "%" PRId64 " elements computed again: equal", v->n);
    return 0;
}

const struct fmk_kernel fmk_kernel_triad = {
    .name = "triad",
    .summary = "a = b + s c for long vectors: the bandwidth of memory (STREAM)",
    .source = "McCalpin, Memory Bandwidth and Machine Balance, 1995 (STREAM)",
    .cost = "2 flop and 24 bytes per element; all elements cost the same",
    .result = "f8: the element of a",
    .n_columns = 2,
    .grain = 8192, /* 64 KiB of each vector */
    .columns = {{.name = "b", .dtype = FM_F64}, {.name = "c", .dtype = FM_F64}},
    .params = {{"n", "16777216", "elements of the default vectors"}, {"s", "3", "the factor s"}},
    .range = fmk_triad_range,
    .default_input = make_vectors,
    .bind = bind,
    .verify = verify,
};
