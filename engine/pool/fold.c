/* SPDX-License-Identifier: MIT */
/* The operations of reductions; see fold.h. */
#include "fold.h"

#include "checked.h"
#include "error.h"
#include "lanes.h"
#include "row.h"
#include "widen.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH = 256, /* rows that are made wide at a time */
    MAX_BINS = 1 << 20,
    BELOW = 0, /* behind the bins of a histogram */
    ABOVE = 1,
    NANS = 2,
    N_BESIDE = 3
};

/* ---- checks --------------------------------------------------------------------------------- */

static const char *name_of(int op)
{
    static const char *const names[] = {
        "?",         "FM_SUM",    "FM_PROD",          "FM_MIN",       "FM_MAX",
        "FM_ARGMIN", "FM_ARGMAX", "FM_MEAN_VARIANCE", "FM_HISTOGRAM", "FM_COMBINE"};
    return names[op];
}

static int check_options(int op, const fm_reduce_opts *o)
{
    if (op < FM_SUM || op > FM_COMBINE)
        return fmi_error(-EINVAL, "unknown operation %d", op);
    if ((o->flags & ~(FM_COMPENSATED | FM_EXCLUSIVE)) != 0)
        return fmi_error(-EINVAL, "unknown reduction flags 0x%x", o->flags);
    for (int i = 0; i < 4; i++)
        if (o->reserved[i] != 0)
            return fmi_error(-EINVAL, "a reserved option is set");
    if (op == FM_COMBINE && (o->combine == NULL || o->identity == NULL))
        return fmi_error(-EINVAL, "FM_COMBINE needs the options combine and identity");
    if (op == FM_HISTOGRAM && (o->bins < 1 || o->bins > MAX_BINS || !isfinite(o->lo) ||
                               !isfinite(o->hi) || !(o->lo < o->hi) || !isfinite(o->hi - o->lo)))
        return fmi_error(
            -EINVAL, "FM_HISTOGRAM needs lo < hi, finite, and 1 .. %d bins; given: %g, %g, %lld",
            MAX_BINS, o->lo, o->hi, (long long)o->bins);
    if ((o->map.flags & FM_IN_PLACE) != 0)
        return fmi_error(-EINVAL, "FM_IN_PLACE means nothing to a reduction");
    return 0;
}

static int check_rows(int op, const struct fmi_array_view *rows, const fm_reduce_opts *o)
{
    char dtype[16];
    fm_dtype_name(rows->dtype, dtype, sizeof dtype);
    if (op == FM_COMBINE)
        return 0;
    int kind = fmi_widen_kind(rows->dtype),
        is_complex = kind != 0 && fmi_widen_parts(rows->dtype) == 2;
    if (kind == 0 || (is_complex && op != FM_SUM))
        return fmi_error(-EINVAL, "%s is not for rows of dtype %s", name_of(op), dtype);
    if (rows->row_bytes != rows->item_bytes)
        return fmi_error(
            -EINVAL,
            "%s is for rows of one element, these have %zu bytes: give a view of one column, or "
            "fm_array_reshape()",
            name_of(op), rows->row_bytes);
    if ((o->flags & FM_COMPENSATED) != 0 && (op != FM_SUM || kind != FMI_WIDE_F))
        return fmi_error(-EINVAL, "FM_COMPENSATED is for FM_SUM of floats and complex");
    return 0;
}

static fm_dtype result_dtype_of(const struct fmi_fold *fold)
{
    if (fold->op == FM_MIN || fold->op == FM_MAX || fold->op == FM_COMBINE)
        return fold->dtype;
    if (fold->op != FM_SUM && fold->op != FM_PROD)
        return 0;
    if (fold->n_parts == 2)
        return FM_C128;
    return fold->kind == FMI_WIDE_I ? FM_I64 : fold->kind == FMI_WIDE_U ? FM_U64 : FM_F64;
}

static size_t result_bytes_of(const struct fmi_fold *fold)
{
    switch (fold->op) {
    case FM_COMBINE:
        return fold->row_bytes;
    case FM_ARGMIN:
    case FM_ARGMAX:
        return sizeof(int64_t);
    case FM_MEAN_VARIANCE:
        return sizeof(fm_moments);
    case FM_HISTOGRAM:
        return sizeof(int64_t) * (size_t)(fold->bins + N_BESIDE);
    default:
        return fm_dtype_bytes(fold->result_dtype);
    }
}

static size_t value_bytes_of(const struct fmi_fold *fold)
{
    size_t lanes = FMI_LANES * (size_t)FMI_WIDE_BYTES;
    switch (fold->op) {
    case FM_COMBINE:
    case FM_HISTOGRAM:
        return fold->result_bytes;
    case FM_MEAN_VARIANCE:
        return 2 * lanes;
    default:
        return lanes * (size_t)fold->n_parts * (fold->is_compensated ? 2 : 1);
    }
}

int fmi_fold_prepare(struct fmi_fold *fold, int op, const struct fmi_array_view *rows,
                     const fm_reduce_opts *o)
{
    int rc = check_options(op, o);
    if (rc == 0)
        rc = check_rows(op, rows, o);
    if (rc != 0)
        return rc;
    *fold = (struct fmi_fold){.op = op,
                              .dtype = rows->dtype,
                              .row_bytes = rows->row_bytes,
                              .is_compensated = (o->flags & FM_COMPENSATED) != 0,
                              .n_parts = 1,
                              .bins = o->bins,
                              .lo = o->lo,
                              .hi = o->hi,
                              .combine = o->combine,
                              .identity = o->identity};
    if (op != FM_COMBINE) {
        fold->n_parts = fmi_widen_parts(rows->dtype);
        fold->kind =
            op == FM_MEAN_VARIANCE || op == FM_HISTOGRAM ? FMI_WIDE_F : fmi_widen_kind(rows->dtype);
    }
    fold->result_dtype = result_dtype_of(fold);
    fold->result_bytes = result_bytes_of(fold);
    if (!fmi_checked_add(value_bytes_of(fold), sizeof(struct fmi_fold_state), &fold->state_bytes) ||
        !fmi_checked_round_up(fold->state_bytes, 64, &fold->state_bytes))
        return fmi_error(-EOVERFLOW, "rows of %zu bytes are too large", rows->row_bytes);
    return 0;
}

/* ---- states --------------------------------------------------------------------------------- */

static void *values_of(struct fmi_fold_state *s)
{
    return s->values;
}

static const void *const_values_of(const struct fmi_fold_state *s)
{
    return s->values;
}

/* Of part `part`: its lanes, or the sum and the rest. */
static double *lanes_of(const struct fmi_fold *fold, struct fmi_fold_state *s, int part)
{
    return (double *)values_of(s) + (size_t)part * FMI_LANES * (fold->is_compensated ? 2 : 1);
}

static int is_arg(const struct fmi_fold *fold)
{
    return fold->op == FM_ARGMIN || fold->op == FM_ARGMAX;
}

void fmi_fold_begin(const struct fmi_fold *fold, struct fmi_fold_state *s)
{
    const struct fmi_lanes_op *op = fmi_lanes_op(fold->op, fold->kind);
    size_t bytes = fold->state_bytes - sizeof *s;
    s->n = 0;
    s->item = -1;
    if (fold->op == FM_COMBINE)
        memcpy(s->values, fold->identity, fold->row_bytes);
    else if (op == NULL || fold->is_compensated)
        memset(s->values, 0, bytes);
    else
        for (size_t at = 0; at < bytes; at += FMI_WIDE_BYTES)
            memcpy(s->values + at, op->neutral, FMI_WIDE_BYTES);
}

/* ---- adding rows ---------------------------------------------------------------------------- */

static double edge_of(const struct fmi_fold *fold, int64_t bin)
{
    return fold->lo + (double)bin * ((fold->hi - fold->lo) / (double)fold->bins);
}

/* The bin of a value in lo .. hi. The first guess may be one off, by rounding; the edges decide. */
static int64_t bin_of(const struct fmi_fold *fold, double x)
{
    int64_t bin = (int64_t)((x - fold->lo) / (fold->hi - fold->lo) * (double)fold->bins);
    if (bin >= fold->bins)
        bin = fold->bins - 1;
    if (bin > 0 && x < edge_of(fold, bin))
        return bin - 1;
    return bin + 1 < fold->bins && x >= edge_of(fold, bin + 1) ? bin + 1 : bin;
}

static void count_values(const struct fmi_fold *fold, int64_t *counts, const double *x, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        int64_t bin = isnan(x[k])       ? fold->bins + NANS
                      : x[k] < fold->lo ? fold->bins + BELOW
                      : x[k] > fold->hi ? fold->bins + ABOVE
                                        : bin_of(fold, x[k]);
        counts[bin]++;
    }
}

/* 1 if value `b`, of a later item, takes the place of `a`. */
static int takes_over(const struct fmi_fold *fold, const void *a, const void *b)
{
    int is_min = fold->op == FM_ARGMIN;
    if (fold->kind == FMI_WIDE_I) {
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return is_min ? y < x : y > x;
    }
    if (fold->kind == FMI_WIDE_U) {
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
        return is_min ? y < x : y > x;
    }
    double x = *(const double *)a, y = *(const double *)b;
    return (is_min ? y < x : y > x) || (isnan(y) && !isnan(x));
}

/* Where the first of n >= 1 values is that no later one takes the place of. TAKES(a, b): `b` takes that of `a`. */
#define FIND_FIRST(type)                                                                           \
    do {                                                                                           \
        const type *x = values;                                                                    \
        for (int64_t k = 1; k < n; k++)                                                            \
            if (TAKES(x[best], x[k]))                                                              \
                best = k;                                                                          \
    } while (0)

static int64_t find_least(int kind, const void *values, int64_t n)
{
    int64_t best = 0;
#define TAKES(a, b) ((b) < (a))
    if (kind == FMI_WIDE_I)
        FIND_FIRST(int64_t);
    else if (kind == FMI_WIDE_U)
        FIND_FIRST(uint64_t);
#undef TAKES
#define TAKES(a, b) (!((b) >= (a)) && !isnan(a))
    else
        FIND_FIRST(double);
#undef TAKES
    return best;
}

static int64_t find_greatest(int kind, const void *values, int64_t n)
{
    int64_t best = 0;
#define TAKES(a, b) ((b) > (a))
    if (kind == FMI_WIDE_I)
        FIND_FIRST(int64_t);
    else if (kind == FMI_WIDE_U)
        FIND_FIRST(uint64_t);
#undef TAKES
#define TAKES(a, b) (!((b) <= (a)) && !isnan(a))
    else
        FIND_FIRST(double);
#undef TAKES
    return best;
}

static void find_extreme(const struct fmi_fold *fold, struct fmi_fold_state *s, const char *x,
                         const int64_t *items, int64_t n)
{
    if (n == 0)
        return;
    int64_t k =
        fold->op == FM_ARGMIN ? find_least(fold->kind, x, n) : find_greatest(fold->kind, x, n);
    const char *value = x + k * FMI_WIDE_BYTES;
    if (s->n > 0 && !takes_over(fold, s->values, value))
        return;
    memcpy(s->values, value, FMI_WIDE_BYTES);
    s->item = items[k];
}

static void add_values(const struct fmi_fold *fold, struct fmi_fold_state *s, int part,
                       const void *x, const int64_t *items, int64_t n)
{
    double *lanes = lanes_of(fold, s, part);
    if (fold->is_compensated)
        fmi_lanes_fold_compensated(lanes, lanes + FMI_LANES, s->n, x, n);
    else if (fold->op == FM_MEAN_VARIANCE)
        fmi_lanes_fold_moments(lanes, lanes + FMI_LANES, s->n, x, n);
    else if (fold->op == FM_HISTOGRAM)
        count_values(fold, values_of(s), x, n);
    else if (is_arg(fold))
        find_extreme(fold, s, x, items, n);
    else
        fmi_lanes_op(fold->op, fold->kind)->fold(lanes, s->n, x, n);
}

static int is_wanted(const struct fmi_fold_rows *rows, int64_t k)
{
    return rows->status == NULL || rows->status[k * rows->status_stride] == FM_ITEM_DONE;
}

/* Passes over the values of rows that are not wanted. Returns how many are left. */
static int64_t drop_unwanted(const struct fmi_fold_rows *rows, int64_t from, int64_t n, char *x)
{
    int64_t kept = 0;
    if (rows->status == NULL)
        return n;
    for (int64_t k = 0; k < n; k++)
        if (is_wanted(rows, from + k))
            memmove(x + kept++ * FMI_WIDE_BYTES, x + k * FMI_WIDE_BYTES, FMI_WIDE_BYTES);
    return kept;
}

static void add_batch(const struct fmi_fold *fold, struct fmi_fold_state *s,
                      const struct fmi_fold_rows *rows, int64_t from, int64_t n)
{
    union {
        double f[BATCH];
        char bytes[BATCH * FMI_WIDE_BYTES];
    } x;
    int64_t items[BATCH], kept = n;
    for (int64_t k = 0; k < n; k++)
        items[k] = rows->item + from + k;
    if (is_arg(fold))
        (void)drop_unwanted(rows, from, n, (char *)items);
    for (int part = 0; part < fold->n_parts; part++) {
        fmi_widen_load(fold->dtype, part, rows->data + from * rows->stride, rows->stride, n,
                       fold->kind, x.f);
        kept = drop_unwanted(rows, from, n, x.bytes);
        add_values(fold, s, part, x.f, items, kept);
    }
    s->n += kept;
}

/* Rows that are wide values without gaps need no copy. */
static int is_wide_already(const struct fmi_fold *fold, const struct fmi_fold_rows *rows)
{
    return rows->status == NULL && rows->stride == FMI_WIDE_BYTES && !is_arg(fold) &&
           (fold->dtype == FM_F64 || (fold->dtype == FM_I64 && fold->kind == FMI_WIDE_I) ||
            (fold->dtype == FM_U64 && fold->kind == FMI_WIDE_U));
}

static int combine_row(const struct fmi_fold *fold, struct fmi_fold_state *s,
                       const struct fmi_fold_rows *rows, int64_t k, char *packed)
{
    const char *row = rows->data + k * rows->stride;
    if (rows->view != NULL) {
        fmi_row_gather(rows->view, rows->item + k, packed);
        row = packed;
    }
    return fold->combine(s->values, row, fold->arg);
}

static int combine_rows(const struct fmi_fold *fold, struct fmi_fold_state *s,
                        const struct fmi_fold_rows *rows)
{
    char *packed = NULL;
    int rc = 0;
    if (rows->view != NULL && (packed = aligned_alloc(64, (fold->row_bytes / 64 + 1) * 64)) == NULL)
        return -ENOMEM;
    for (int64_t k = 0; k < rows->n && rc == 0; k++)
        if (is_wanted(rows, k)) {
            rc = combine_row(fold, s, rows, k, packed);
            s->n++;
        }
    free(packed);
    return rc;
}

int fmi_fold_add(const struct fmi_fold *fold, struct fmi_fold_state *s,
                 const struct fmi_fold_rows *rows)
{
    if (fold->op == FM_COMBINE)
        return combine_rows(fold, s, rows);
    if (is_wide_already(fold, rows)) {
        add_values(fold, s, 0, rows->data, NULL, rows->n);
        s->n += rows->n;
        return 0;
    }
    for (int64_t k = 0; k < rows->n; k += BATCH)
        add_batch(fold, s, rows, k, rows->n - k < BATCH ? rows->n - k : BATCH);
    return 0;
}

/* ---- merging -------------------------------------------------------------------------------- */

/* Chan, Golub, LeVeque: two means and sums of squares as one. */
static void merge_moments(double *mean, double *m2, double n, double other_mean, double other_m2,
                          double other_n)
{
    if (other_n == 0)
        return;
    double distance = other_mean - *mean, all = n + other_n;
    *mean += distance * (other_n / all);
    *m2 += other_m2 + distance * distance * (n * other_n / all);
}

static void close_moments(struct fmi_fold_state *s)
{
    double *mean = values_of(s), *m2 = mean + FMI_LANES, counts[FMI_LANES];
    for (int j = 0; j < FMI_LANES; j++) {
        int64_t n_in_lane = (s->n + FMI_LANES - 1 - j) / FMI_LANES;
        counts[j] = (double)n_in_lane;
    }
    for (int half = FMI_LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++) {
            merge_moments(&mean[j], &m2[j], counts[j], mean[j + half], m2[j + half],
                          counts[j + half]);
            counts[j] += counts[j + half];
        }
}

/* Lane `from` of a state into lane `to` of another, or the same. */
static void merge_lane(const struct fmi_fold *fold, struct fmi_fold_state *s, int to,
                       const double *from_lanes, int part, int from)
{
    double *lanes = lanes_of(fold, s, part), value;
    if (fold->is_compensated) {
        fmi_lanes_add_compensated(lanes + to, lanes + FMI_LANES + to, from_lanes[from]);
        lanes[FMI_LANES + to] += from_lanes[FMI_LANES + from];
    } else {
        fmi_lanes_op(fold->op, fold->kind)->scan(lanes + to, from_lanes + from, &value, 1, 0);
    }
}

void fmi_fold_close(const struct fmi_fold *fold, struct fmi_fold_state *s)
{
    if (fold->op == FM_MEAN_VARIANCE)
        close_moments(s);
    if (fold->op > FM_MAX)
        return;
    for (int part = 0; part < fold->n_parts; part++)
        for (int half = FMI_LANES / 2; half > 0; half /= 2)
            for (int j = 0; j < half; j++)
                merge_lane(fold, s, j, lanes_of(fold, s, part), part, j + half);
}

static void merge_extreme(const struct fmi_fold *fold, struct fmi_fold_state *into,
                          const struct fmi_fold_state *from)
{
    if (from->n == 0 || (into->n > 0 && !takes_over(fold, into->values, from->values)))
        return;
    memcpy(into->values, from->values, FMI_WIDE_BYTES);
    into->item = from->item;
}

static void merge_values(const struct fmi_fold *fold, struct fmi_fold_state *into,
                         const struct fmi_fold_state *from)
{
    double *mine = values_of(into);
    const double *theirs = const_values_of(from);
    if (fold->op == FM_MEAN_VARIANCE) {
        merge_moments(mine, mine + FMI_LANES, (double)into->n, theirs[0], theirs[FMI_LANES],
                      (double)from->n);
    } else if (fold->op == FM_HISTOGRAM) {
        int64_t *counts = values_of(into);
        const int64_t *others = const_values_of(from);
        for (int64_t bin = 0; bin < fold->bins + N_BESIDE; bin++)
            counts[bin] += others[bin];
    } else if (is_arg(fold)) {
        merge_extreme(fold, into, from);
    } else {
        for (int part = 0; part < fold->n_parts; part++)
            merge_lane(fold, into, 0,
                       theirs + (size_t)part * FMI_LANES * (fold->is_compensated ? 2 : 1), part, 0);
    }
}

int fmi_fold_merge(const struct fmi_fold *fold, struct fmi_fold_state *into,
                   const struct fmi_fold_state *from)
{
    int rc = 0;
    if (fold->op == FM_COMBINE)
        rc = from->n == 0 ? 0 : fold->combine(into->values, from->values, fold->arg);
    else
        merge_values(fold, into, from);
    into->n += from->n;
    return rc;
}

/* ---- results -------------------------------------------------------------------------------- */

static void get_number(const struct fmi_fold *fold, const struct fmi_fold_state *s, void *result)
{
    const double *values = const_values_of(s);
    for (int part = 0; part < fold->n_parts; part++) {
        const double *lanes = values + (size_t)part * FMI_LANES * (fold->is_compensated ? 2 : 1);
        double sum = lanes[0];
        if (fold->is_compensated && isfinite(lanes[FMI_LANES])) /* beside an infinity it is a NaN */
            sum += lanes[FMI_LANES];
        fmi_widen_store(fold->result_dtype, part, result, 0, 1, fold->kind,
                        fold->is_compensated ? &sum : lanes);
    }
}

int fmi_fold_get(const struct fmi_fold *fold, const struct fmi_fold_state *s, void *result)
{
    const double *values = const_values_of(s);
    if (s->n == 0 && fold->op >= FM_MIN && fold->op <= FM_ARGMAX)
        return fmi_error(-ENODATA, "%s of no item", name_of(fold->op));
    if (fold->op == FM_COMBINE || fold->op == FM_HISTOGRAM) {
        memcpy(result, s->values, fold->result_bytes);
    } else if (is_arg(fold)) {
        memcpy(result, &s->item, sizeof s->item);
    } else if (fold->op == FM_MEAN_VARIANCE) {
        fm_moments moments = {.n = s->n, .mean = values[0], .m2 = values[FMI_LANES]};
        memcpy(result, &moments, sizeof moments);
    } else {
        get_number(fold, s, result);
    }
    return 0;
}
