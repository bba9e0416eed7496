/* SPDX-License-Identifier: MIT */
/* The same memory through other bounds, or in another shape. Nothing is copied. */
#include "array.h"
#include "error.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Number of elements begin, begin + step, ... before `end`. Steps count as unsigned: -INT64_MIN is none. */
static int64_t count_steps(int64_t begin, int64_t end, int64_t step)
{
    if (step > 0 ? begin >= end : begin <= end)
        return 0;
    uint64_t distance = step > 0 ? (uint64_t)(end - begin) : (uint64_t)(begin - end);
    uint64_t stride = step > 0 ? (uint64_t)step : UINT64_C(0) - (uint64_t)step;
    return (int64_t)((distance - 1) / stride) + 1;
}

/*
 * Narrows one axis. An axis may be cut to nothing at its very end; then, as with one element, the stride is
 * never used, and the product with a huge step is not formed. Nor is any of an array without elements, whose
 * strides nobody checked.
 */
static int cut_axis(struct fmi_array_view *v, int axis, const fm_slice *slice, int64_t *offset)
{
    int64_t length = v->shape[axis];
    int64_t last = slice->step > 0 || length == 0 ? length : length - 1;
    if (slice->step == 0)
        return fmi_error(-EINVAL, "axis %d: step 0", axis);
    if (slice->begin < 0 || slice->begin > last)
        return fmi_error(-EINVAL, "axis %d: begin %" PRId64 " is outside 0 .. %" PRId64, axis,
                         slice->begin, last);
    int64_t end = slice->end < -1 ? -1 : slice->end;
    if (end > length)
        end = length;
    int64_t n = length == 0 ? 0 : count_steps(slice->begin, end, slice->step);
    if (n > 0 && v->n_elements > 0)
        *offset += slice->begin * v->strides[axis];
    if (n > 1 && v->n_elements > 0)
        v->strides[axis] *= slice->step;
    v->shape[axis] = n;
    return 0;
}

int fm_array_view(fm_array **out, fm_array *a, const fm_slice *slices)
{
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    struct fmi_array_view v;
    int code = fmi_array_look(a, &v);
    if (code != 0)
        return code;
    if (slices == NULL)
        return fmi_error(-EINVAL, "slices is NULL; one per axis, FM_ALL for all of it");
    int64_t offset = 0;
    for (int axis = 0; axis < v.ndim; axis++) {
        code = cut_axis(&v, axis, &slices[axis], &offset);
        if (code != 0)
            return code;
    }
    int is_empty = 0;
    for (int axis = 0; axis < v.ndim; axis++)
        is_empty |= v.shape[axis] == 0;
    if (!is_empty) /* without elements there is no first one to point at */
        v.data += offset;
    return fmi_array_share(out, &v);
}

/* Computes the one length that is -1, if any. */
static int complete_shape(int64_t n_elements, int ndim, const int64_t *shape, int64_t *full)
{
    int open_axis = -1;
    uint64_t others = 1;
    for (int i = 0; i < ndim; i++) {
        full[i] = shape[i];
        if (shape[i] == -1 && open_axis < 0)
            open_axis = i;
        else if (shape[i] < 0)
            return fmi_error(-EINVAL, "axis %d has length %" PRId64 "%s", i, shape[i],
                             shape[i] == -1 ? "; only one may be -1" : "");
        else if (__builtin_mul_overflow(others, (uint64_t)shape[i], &others))
            return fmi_error(-EINVAL, "the new shape has more than 2^64 elements");
    }
    if (open_axis >= 0 && (others == 0 || (uint64_t)n_elements % others != 0))
        return fmi_error(-EINVAL, "no length of axis %d gives %" PRId64 " elements", open_axis,
                         n_elements);
    if (open_axis >= 0)
        full[open_axis] = n_elements / (int64_t)others;
    else if (others != (uint64_t)n_elements)
        return fmi_error(-EINVAL, "the new shape has %" PRIu64 " elements, the array %" PRId64,
                         others, n_elements);
    return 0;
}

int fm_array_reshape(fm_array **out, fm_array *a, int ndim, const int64_t *shape)
{
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    struct fmi_array_view v;
    int code = fmi_array_look(a, &v);
    if (code != 0)
        return code;
    if (ndim < 1 || ndim > FM_MAX_DIMS || shape == NULL)
        return fmi_error(-EINVAL, "%d axes%s; an array has 1 to %d", ndim,
                         shape == NULL ? " without a shape" : "", FM_MAX_DIMS);
    int64_t full[FM_MAX_DIMS] = {0};
    code = complete_shape(v.n_elements, ndim, shape, full);
    if (code != 0)
        return code;
    /* Elements keep their order in memory, so an array in Fortran order becomes another one in it. */
    int order = fmi_array_is_packed(&v, FM_ORDER_C) ? FM_ORDER_C : FM_ORDER_F;
    if (!fmi_array_is_packed(&v, order))
        return fmi_error(-EINVAL, "the array has gaps; only a packed one can be reshaped");
    size_t bytes;
    code = fmi_array_size(v.dtype, ndim, full, &bytes);
    if (code != 0)
        return code;
    v.ndim = ndim;
    memcpy(v.shape, full, sizeof full);
    fmi_array_pack(v.item_bytes, ndim, full, order, v.strides);
    return fmi_array_share(out, &v);
}
