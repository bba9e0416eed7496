/* SPDX-License-Identifier: MIT */
/* Loops over wide values in eight lanes; see lanes.h. */
#include "lanes.h"

#include "widen.h"

#include <forkmap/reduce.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

/* Lane by lane to a border of eight, then all eight at once, then the rest. STEP(lane, k) puts x[k] into that lane. */
#define IN_LANES(STEP)                                                                             \
    do {                                                                                           \
        int64_t k = 0;                                                                             \
        for (; k < n && (done + k) % FMI_LANES != 0; k++)                                          \
            STEP((done + k) % FMI_LANES, k);                                                       \
        for (; k + FMI_LANES <= n; k += FMI_LANES)                                                 \
            for (int64_t j = 0; j < FMI_LANES; j++)                                                \
                STEP(j, k + j);                                                                    \
        for (; k < n; k++)                                                                         \
            STEP((done + k) % FMI_LANES, k);                                                       \
    } while (0)

#define STEP_LANE(j, k) lane[j] = COMBINE(lane[j], x[k])

#define OPERATION(name, type, first)                                                               \
    static void fold_##name(void *lanes, int64_t done, const void *values, int64_t n)              \
    {                                                                                              \
        const type *x = values;                                                                    \
        type *to = lanes, lane[FMI_LANES];                                                         \
        for (int j = 0; j < FMI_LANES; j++)                                                        \
            lane[j] = to[j];                                                                       \
        IN_LANES(STEP_LANE);                                                                       \
        for (int j = 0; j < FMI_LANES; j++)                                                        \
            to[j] = lane[j];                                                                       \
    }                                                                                              \
    static void scan_##name(void *running, const void *values, void *to, int64_t n,                \
                            int is_exclusive)                                                      \
    {                                                                                              \
        const type *x = values;                                                                    \
        type *y = to, before = *(type *)running;                                                   \
        for (int64_t k = 0; k < n; k++) {                                                          \
            const type after = COMBINE(before, x[k]);                                              \
            y[k] = is_exclusive ? before : after;                                                  \
            before = after;                                                                        \
        }                                                                                          \
        *(type *)running = before;                                                                 \
    }                                                                                              \
    static const type neutral_##name = first;

/* Signed numbers wrap around as unsigned ones do. */
#define COMBINE(a, b) (int64_t)((uint64_t)(a) + (uint64_t)(b))
OPERATION(sum_i, int64_t, 0)
#undef COMBINE
#define COMBINE(a, b) (int64_t)((uint64_t)(a) * (uint64_t)(b))
OPERATION(prod_i, int64_t, 1)
#undef COMBINE
#define COMBINE(a, b) ((a) + (b))
OPERATION(sum_u, uint64_t, 0)
OPERATION(sum_f, double, 0)
#undef COMBINE
#define COMBINE(a, b) ((a) * (b))
OPERATION(prod_u, uint64_t, 1)
OPERATION(prod_f, double, 1)
#undef COMBINE
#define COMBINE(a, b) ((b) < (a) ? (b) : (a))
OPERATION(min_i, int64_t, INT64_MAX)
OPERATION(min_u, uint64_t, UINT64_MAX)
#undef COMBINE
#define COMBINE(a, b) ((b) > (a) ? (b) : (a))
OPERATION(max_i, int64_t, INT64_MIN)
OPERATION(max_u, uint64_t, 0)
#undef COMBINE
/* A NaN stays: nothing is smaller than it. */
#define COMBINE(a, b) (((b) < (a)) | isnan(b) ? (b) : (a))
OPERATION(min_f, double, INFINITY)
#undef COMBINE
#define COMBINE(a, b) (((b) > (a)) | isnan(b) ? (b) : (a))
OPERATION(max_f, double, -INFINITY)
#undef COMBINE

#define OP(name)                                                                                   \
    {                                                                                              \
        fold_##name, scan_##name, &neutral_##name                                                  \
    }

const struct fmi_lanes_op *fmi_lanes_op(int op, int kind)
{
    static const struct fmi_lanes_op ops[][3] = {
        {OP(sum_i), OP(sum_u), OP(sum_f)},
        {OP(prod_i), OP(prod_u), OP(prod_f)},
        {OP(min_i), OP(min_u), OP(min_f)},
        {OP(max_i), OP(max_u), OP(max_f)},
    };
    if (op < FM_SUM || op > FM_MAX || kind < FMI_WIDE_I || kind > FMI_WIDE_F)
        return NULL;
    return &ops[op - FM_SUM][kind - FMI_WIDE_I];
}

static inline void add_compensated(double *sum, double *rest, double x)
{
    const double t = *sum + x;
    *rest += fabs(*sum) >= fabs(x) ? (*sum - t) + x : (x - t) + *sum;
    *sum = t;
}

void fmi_lanes_add_compensated(double *sum, double *rest, double x)
{
    add_compensated(sum, rest, x);
}

static inline void add_moment(double *mean, double *m2, double x, int64_t n_before)
{
    const double distance = x - *mean;
    *mean += distance / (double)(n_before + 1);
    *m2 += distance * (x - *mean);
}

/* Both work on copies of the lanes, which lie in registers. */
#define IN_TWO_LANES(one, other, STEP)                                                             \
    do {                                                                                           \
        double a[FMI_LANES], b[FMI_LANES];                                                         \
        memcpy(a, one, sizeof a);                                                                  \
        memcpy(b, other, sizeof b);                                                                \
        IN_LANES(STEP);                                                                            \
        memcpy(one, a, sizeof a);                                                                  \
        memcpy(other, b, sizeof b);                                                                \
    } while (0)

#define STEP_COMPENSATED(j, k) add_compensated(&a[j], &b[j], x[k])
#define STEP_MOMENT(j, k)      add_moment(&a[j], &b[j], x[k], (done + (k)) / FMI_LANES)

void fmi_lanes_fold_compensated(double *sum, double *rest, int64_t done, const double *x, int64_t n)
{
    IN_TWO_LANES(sum, rest, STEP_COMPENSATED);
}

void fmi_lanes_fold_moments(double *mean, double *m2, int64_t done, const double *x, int64_t n)
{
    IN_TWO_LANES(mean, m2, STEP_MOMENT);
}
