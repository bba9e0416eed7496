/* SPDX-License-Identifier: MIT */

/*
 * conv2d's problem: the image and the filter, from files or generated, and the check in doubles: of
 * every row in two passes for the generated filter, of some rows by the definition for others.
 *
 * The generated filter is a binomial one, which smooths as a Gauss function does: the product of a
 * column and a row of C(2 r, k) / 4^r. The generated pixels are whole numbers from 0 to 255, so
 * that up to EXACT_RADIUS all sums are exact in floats.
 */

#include "conv2d.h"
#include "inputs.h"
#include "kernel_list.h"
#include "params.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WIDTH    (INT64_C(1) << 24)
#define MAX_RADIUS   16
#define MAX_FILTER   1023 /* rows and columns of a filter from a file */
#define EXACT_RADIUS 4    /* 8 bits of a pixel and 4 of the weights per radius: 24 in all */
#define SAMPLED_ROWS 32 /* that verify computes by the definition, the first and last among them */

enum { SEED_PIXELS = 21 }; /* of the generated numbers */

/* In the heap. The taps, a row of zeros and, where it had to be packed, the image follow. */
struct filtering {
    struct fmk_conv2d_ctx ctx; /* first: p->ctx points to it */
    int64_t radius;            /* of the binomial filter; -1: it is from a file */
    int64_t is_exact;          /* 1: sums of whole numbers that a float holds */
};

static int make_image(const struct fmk_param *params, fm_array **columns)
{
    int64_t n, width;
    int e = fmk_param_int(params, "n", 0, INT32_MAX, &n);
    if (e == 0)
        e = fmk_param_int(params, "width", 1, MAX_WIDTH, &width);
    if (e == 0)
        e = fm_array_create(&columns[0], FM_F32, 2, (int64_t[]){n, width}, NULL);
    if (e != 0)
        return e;
    float *pixels = fm_array_data(columns[0]);
    for (int64_t i = 0; i < n * width; i++)
        pixels[i] = (float)fmk_below_at(SEED_PIXELS, i, 256);
    return 0;
}

/* C(2 radius, k) / 4^radius for k = 0 ... 2 radius: 1 is spread `2 radius` times over neighbours. */
static void fill_binomial(double *weights, int64_t radius)
{
    weights[0] = 1.0;
    for (int64_t n = 1; n <= 2 * radius; n++) {
        weights[n] = 0.0;
        for (int64_t k = n; k > 0; k--)
            weights[k] = 0.5 * (weights[k] + weights[k - 1]);
        weights[0] *= 0.5;
    }
}

/*
 * ---- bind ---------------------------------------------------------------------------------------
 */

static int read_border(const struct fmk_param *params, int64_t *border)
{
    static const struct {
        const char *name;
        int border;
    } known[] = {{"edge", FMK_CONV2D_EDGE},
                 {"reflect", FMK_CONV2D_REFLECT},
                 {"wrap", FMK_CONV2D_WRAP},
                 {"zero", FMK_CONV2D_ZERO}};
    const char *text = fmk_param_text(params, "border");
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
        if (strcmp(text, known[k].name) == 0) {
            *border = known[k].border;
            return 0;
        }
    return fmk_error(-EINVAL, "border=%s: edge, reflect, wrap or zero is needed", text);
}

static int load_filter(fm_array **filter, const struct fmk_problem *p,
                       const struct fmk_param *params)
{
    static const fm_dtype real[] = {FM_F32, FM_F64, 0};
    const char *path = fmk_param_text(params, "filter");
    if (fmk_param_is_given(p->kernel, params, "radius"))
        return fmk_error(-EINVAL, "radius is for the generated filter, not for one from a file");
    const int e = fmk_array_load("filter", path, 2, real, filter);
    if (e != 0)
        return e;
    const int64_t *shape = fm_array_shape(*filter);
    for (int k = 0; k < 2; k++)
        if (shape[k] % 2 == 0 || shape[k] > MAX_FILTER)
            return fmk_error(-EINVAL,
                             "filter=%s: is %" PRId64 " x %" PRId64
                             "; it has a middle, so odd lengths up to %d are needed",
                             path, shape[0], shape[1], MAX_FILTER);
    return 0;
}

/* From the last element to the first: turned by 180 degrees. */
static void copy_turned(float *taps, const fm_array *filter)
{
    const int64_t *shape = fm_array_shape(filter);
    const int is_float = fm_array_dtype(filter) == FM_F32;
    for (int64_t i = shape[0] - 1; i >= 0; i--)
        for (int64_t j = shape[1] - 1; j >= 0; j--) {
            const void *at = fm_array_at(filter, 2, (int64_t[]){i, j});
            *taps++ = is_float ? *(const float *)at : (float)*(const double *)at;
        }
}

static void fill_taps(float *taps, int64_t radius)
{
    double weights[2 * MAX_RADIUS + 1];
    fill_binomial(weights, radius);
    for (int64_t i = 0; i <= 2 * radius; i++)
        for (int64_t j = 0; j <= 2 * radius; j++)
            *taps++ = (float)(weights[i] * weights[j]);
}

/* `filter` NULL: the binomial one. */
static int create_memory(struct fmk_problem *p, struct filtering *f, const fm_array *filter)
{
    struct fmk_conv2d_ctx *c = &f->ctx;
    const fm_array *image = p->columns[0];
    const int is_packed = fm_array_is_contiguous(image, FM_ORDER_C);
    const int64_t n_taps = c->filter_height * c->filter_width;
    const int64_t n_pixels = is_packed ? 0 : fm_array_count(image);
    int e = fm_array_create(&p->out, FM_F32, 2, (int64_t[]){c->height, c->width}, NULL);
    if (e == 0)
        e = fmk_memory_create(p,
                              sizeof *f + (size_t)(n_taps + c->width + n_pixels) * sizeof(float));
    if (e != 0)
        return e;
    float *taps = (void *)((struct filtering *)p->ctx + 1);
    if (filter != NULL)
        copy_turned(taps, filter);
    else
        fill_taps(taps, f->radius);
    if (!is_packed)
        fmk_matrix_pack(taps + n_taps + c->width, image);
    c->taps = taps;
    c->zeros = taps + n_taps;
    c->image = is_packed ? fm_array_data(image) : taps + n_taps + c->width;
    c->out = fm_array_data(p->out);
    *(struct filtering *)p->ctx = *f;
    return 0;
}

static int take_image(struct fmk_conv2d_ctx *c, const struct fmk_problem *p,
                      const struct fmk_param *params)
{
    char what[64];
    c->height = p->n;
    c->width = fm_array_shape(p->columns[0])[1];
    snprintf(what, sizeof what, "the image has %" PRId64 " rows", c->height);
    int e = fmk_param_agrees(p->kernel, params, "n", c->height, what);
    snprintf(what, sizeof what, "the image has %" PRId64 " columns", c->width);
    if (e == 0)
        e = fmk_param_agrees(p->kernel, params, "width", c->width, what);
    return e;
}

static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    struct filtering f = {.radius = -1};
    fm_array *filter = NULL;
    int e = take_image(&f.ctx, p, params);
    if (e == 0)
        e = read_border(params, &f.ctx.border);
    if (e == 0 && *fmk_param_text(params, "filter") != '\0')
        e = load_filter(&filter, p, params);
    else if (e == 0)
        e = fmk_param_int(params, "radius", 0, MAX_RADIUS, &f.radius);
    if (e == 0) {
        f.ctx.filter_height = filter != NULL ? fm_array_shape(filter)[0] : 2 * f.radius + 1;
        f.ctx.filter_width = filter != NULL ? fm_array_shape(filter)[1] : 2 * f.radius + 1;
        f.is_exact = p->owns_columns && filter == NULL && f.radius <= EXACT_RADIUS;
        e = create_memory(p, &f, filter);
    }
    fm_array_destroy(filter);
    return e;
}

/*
 * ---- verify -------------------------------------------------------------------------------------
 */

/* Step by step back into [0, n), or -1 for a pixel that is 0: not the kernel's way. */
static int64_t walk_inside(int64_t i, int64_t n, int64_t border)
{
    while (i < 0 || i >= n) {
        if (border == FMK_CONV2D_ZERO)
            return -1;
        if (border == FMK_CONV2D_WRAP)
            i += i < 0 ? n : -n;
        else if (border == FMK_CONV2D_EDGE || n == 1)
            i = i < 0 ? 0 : n - 1;
        else
            i = i < 0 ? -i : 2 * (n - 1) - i;
    }
    return i;
}

/* The largest |pixel| that the row depends on, infinite if one is not finite. */
static double find_largest(const struct fmk_conv2d_ctx *c, int64_t row)
{
    double largest = 0.0;
    for (int64_t down = 0; down < c->filter_height; down++) {
        const int64_t from = walk_inside(row + down - c->filter_height / 2, c->height, c->border);
        for (int64_t k = 0; from >= 0 && k < c->width; k++) {
            const double size = fabs((double)c->image[from * c->width + k]);
            if (!isfinite(size))
                return INFINITY;
            largest = size > largest ? size : largest;
        }
    }
    return largest;
}

/* A row in two passes, the columns first, into expected[width]; `column` is as long. */
static void filter_in_two_passes(const struct filtering *f, int64_t row, double *column,
                                 double *expected)
{
    const struct fmk_conv2d_ctx *c = &f->ctx;
    double weights[2 * MAX_RADIUS + 1];
    fill_binomial(weights, f->radius);
    memset(column, 0, (size_t)c->width * sizeof *column);
    for (int64_t down = 0; down <= 2 * f->radius; down++) {
        const int64_t from = walk_inside(row + down - f->radius, c->height, c->border);
        for (int64_t k = 0; from >= 0 && k < c->width; k++)
            column[k] += weights[down] * (double)c->image[from * c->width + k];
    }
    for (int64_t k = 0; k < c->width; k++) {
        expected[k] = 0.0;
        for (int64_t right = 0; right <= 2 * f->radius; right++) {
            const int64_t from = walk_inside(k + right - f->radius, c->width, c->border);
            expected[k] += from < 0 ? 0.0 : weights[right] * column[from];
        }
    }
}

/* A row by the definition. */
static void filter_plainly(const struct fmk_conv2d_ctx *c, int64_t row, double *expected)
{
    for (int64_t k = 0; k < c->width; k++) {
        expected[k] = 0.0;
        for (int64_t t = 0; t < c->filter_height * c->filter_width; t++) {
            const int64_t i =
                walk_inside(row + t / c->filter_width - c->filter_height / 2, c->height, c->border);
            const int64_t j =
                walk_inside(k + t % c->filter_width - c->filter_width / 2, c->width, c->border);
            if (i >= 0 && j >= 0)
                expected[k] += (double)c->taps[t] * (double)c->image[i * c->width + j];
        }
    }
}

/* What the rounding of a sum in floats can come to in this row; infinite or none: it is unknown. */
static double find_allowed(const struct filtering *f, int64_t row)
{
    const int64_t n_taps = f->ctx.filter_height * f->ctx.filter_width;
    double weights = 0.0;
    if (f->is_exact)
        return 0.0;
    for (int64_t t = 0; t < n_taps; t++)
        weights += fabs((double)f->ctx.taps[t]);
    const double size = weights * find_largest(&f->ctx, row);
    if (!(size <= (double)FLT_MAX / 2.0)) /* a partial sum may be infinite */
        return INFINITY;
    return (double)FLT_EPSILON * (double)(n_taps + 2) * size +
           (double)n_taps * (double)FLT_TRUE_MIN;
}

/* 0 right; 1 wrong; 2 cannot be told. `space` is two rows of doubles. */
static int check_row(const struct filtering *f, int64_t row, double *space, char *text, size_t cap)
{
    const struct fmk_conv2d_ctx *c = &f->ctx;
    double *expected = space + c->width;
    const double allowed = find_allowed(f, row);
    if (!isfinite(allowed)) {
        snprintf(text, cap, "row %" PRId64 " cannot be checked: it depends on what is not finite",
                 row);
        return 2;
    }
    if (f->radius >= 0)
        filter_in_two_passes(f, row, space, expected);
    else
        filter_plainly(c, row, expected);
    for (int64_t k = 0; k < c->width; k++)
        if (!(fabs((double)c->out[row * c->width + k] - expected[k]) <= allowed)) {
            snprintf(text, cap,
                     "row %" PRId64 ", column %" PRId64 " is %.9g; in doubles it is %.9g", row, k,
                     (double)c->out[row * c->width + k], expected[k]);
            return 1;
        }
    return 0;
}

static int check_rows(const struct filtering *f, double *space, char *text, size_t cap)
{
    const int64_t height = f->ctx.height;
    const int64_t rows = f->radius >= 0 || height < SAMPLED_ROWS ? height : SAMPLED_ROWS;
    for (int64_t k = 0; k < rows; k++) {
        const int64_t row = rows > 1 ? k * (height - 1) / (rows - 1) : 0;
        const int verdict = check_row(f, row, space, text, cap);
        if (verdict != 0)
            return verdict;
    }
    snprintf(text, cap, "%" PRId64 " of %" PRId64 " rows computed again %s: %s", rows, height,
             f->radius >= 0 ? "in two passes" : "by the definition",
             f->is_exact ? "equal" : "equal within the rounding of floats");
    return 0;
}

static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct filtering *f = p->ctx;
    double *space = malloc(2 * (size_t)f->ctx.width * sizeof *space);
    fmk_error_clear();
    const int status = space != NULL ? check_rows(f, space, text, cap) : -ENOMEM;
    free(space);
    return status;
}

const struct fmk_kernel fmk_kernel_conv2d = {
    .name = "conv2d",
    .summary = "image convolved with a filter, a row of pixels per item",
    .source = "discrete convolution; Gonzalez, Woods, Digital Image Processing, section 3.4",
    .cost = "2 flop per tap and pixel, and 8 bytes per pixel; all rows cost the same",
    .result = "f4 x width: the row of the filtered image",
    .n_columns = 1,
    .grain = 1,
    .columns = {{.name = "image", .dtype = FM_F32, .row_ndim = 1, .row_shape = {FMK_ANY_LENGTH}}},
    .params = {{"n", "4096", "rows of the generated image [pixels]"},
               {"width", "4096", "columns of the generated image [pixels]"},
               {"radius", "4", "of the binomial filter, 2 radius + 1 taps wide and high"},
               {"filter", "", "file of a filter of odd lengths, f4 or f8 (.npy); empty: binomial"},
               {"border", "edge", "beyond the image: edge, reflect, wrap (numpy.pad) or zero"}},
    .range = fmk_conv2d_range,
    .default_input = make_image,
    .bind = bind,
    .verify = verify,
};
