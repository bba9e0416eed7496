/* SPDX-License-Identifier: MIT */
#ifndef FMI_LANES_H
#define FMI_LANES_H

/*
 * The loops of sums, products and extremes over wide values (widen.h). A value goes into lane number (values before it) mod 8, which the
 * compiler makes vector code of; where a loop is interrupted and gone on with makes no difference.
 */

#include <stdint.h>

enum { FMI_LANES = 8 };

/* x[0 .. n-1] into the lanes, after `done` values before. */
typedef void fmi_lanes_fold_fn(void *lanes, int64_t done, const void *x, int64_t n);
/* y[k] becomes the value of *running and x[0 .. k], or before x[k] if `is_exclusive`; *running goes on. y may be x. */
typedef void fmi_lanes_scan_fn(void *running, const void *x, void *y, int64_t n, int is_exclusive);

struct fmi_lanes_op {
    fmi_lanes_fold_fn *fold;
    fmi_lanes_scan_fn *scan;
    const void *neutral; /* a wide value that changes none */
};

/* The loops of FM_SUM, FM_PROD, FM_MIN or FM_MAX for a wide type; NULL for other operations. */
const struct fmi_lanes_op *fmi_lanes_op(int op, int kind);

/* Neumaier, ZAMM 54 (1974): sum[lane] + rest[lane] is the sum. */
void fmi_lanes_fold_compensated(double *sum, double *rest, int64_t done, const double *x,
                                int64_t n);
void fmi_lanes_add_compensated(double *sum, double *rest, double x);

/* Welford, Technometrics 4 (1962): mean and sum of squared distances in each lane. */
void fmi_lanes_fold_moments(double *mean, double *m2, int64_t done, const double *x, int64_t n);

#endif
