/* SPDX-License-Identifier: MIT */
/* How the elements of an array lie: sizes, strides, and the check of a descriptor that nobody vouches for. */
#include "array.h"
#include "dtype.h"
#include "error.h"
#include "heap.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

int fmi_array_size(fm_dtype dtype, int ndim, const int64_t *shape, size_t *bytes)
{
    *bytes = 0;
    int64_t size = (int64_t)fm_dtype_bytes(dtype);
    if (size == 0)
        return fmi_error(-EINVAL, "dtype 0x%08" PRIx32 " is none", dtype);
    if (ndim < 1 || ndim > FM_MAX_DIMS || shape == NULL)
        return fmi_error(-EINVAL, "%d axes%s; an array has 1 to %d", ndim,
                         shape == NULL ? " without a shape" : "", FM_MAX_DIMS);
    int is_empty = 0;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0)
            return fmi_error(-EINVAL, "axis %d has length %" PRId64, i, shape[i]);
        is_empty |= shape[i] == 0;
        if (shape[i] != 0 && __builtin_mul_overflow(size, shape[i], &size))
            return fmi_error(-EOVERFLOW,
                             "the size passes 2^63 - 1 bytes at axis %d of length %" PRId64, i,
                             shape[i]);
    }
    *bytes = is_empty ? 0 : (size_t)size;
    return 0;
}

void fmi_array_pack(size_t item_bytes, int ndim, const int64_t *shape, int order, int64_t *strides)
{
    int64_t stride = (int64_t)item_bytes;
    for (int k = 0; k < ndim; k++) {
        int axis = order == FM_ORDER_F ? k : ndim - 1 - k;
        strides[axis] = stride;
        stride *= shape[axis] == 0 ? 1 : shape[axis];
    }
}

/* The stride of an axis of length 1 is never used, so it may be anything. */
static int axes_are_packed(const struct fmi_array_view *v, int first_axis, int order)
{
    int64_t expected = (int64_t)v->item_bytes;
    for (int k = first_axis; k < v->ndim; k++) {
        int axis = order == FM_ORDER_F ? k : v->ndim - 1 - (k - first_axis);
        if (v->shape[axis] == 0)
            return 1;
        if (v->shape[axis] != 1 && v->strides[axis] != expected)
            return 0;
        expected *= v->shape[axis];
    }
    return 1;
}

int fmi_array_is_packed(const struct fmi_array_view *v, int order)
{
    return v->n_elements == 0 || axes_are_packed(v, 0, order);
}

static int is_record_in_heap(const void *p, size_t bytes)
{
    return (uintptr_t)p % 64 == 0 && fmi_heap_is_block(p, bytes); /* safe to read, whatever it is */
}

/* The plain fields of a descriptor and of its buffer, copied while others may write to both. */
struct copied {
    uint32_t dtype;
    int32_t ndim;
    struct fmi_buffer_shm *buffer;
    char *data;
    char *begin;
    uint64_t bytes;
    uint64_t lock_kind;
    struct fmi_file_shm file;
};

static int copy_buffer(struct fmi_buffer_shm *buffer, struct copied *c)
{
    if (!is_record_in_heap(buffer, sizeof *buffer) ||
        atomic_load_explicit(&buffer->mark, memory_order_acquire) != FMI_BUFFER_LIVE)
        return 0; /* acquire pairs with the creator's release of the mark in make_buffer */
    c->buffer = buffer;
    c->begin = buffer->data;
    c->bytes = buffer->bytes;
    c->lock_kind = buffer->lock_kind;
    if (buffer->file.serial != 0)
        c->file = buffer->file;
    return 1;
}

static int copy_descriptor(const fm_array *a, struct copied *c, struct fmi_array_view *out)
{
    /* Pairs with the release in make_descriptor. */
    if (atomic_load_explicit(&a->mark, memory_order_acquire) != FMI_ARRAY_LIVE)
        return 0;
    c->dtype = a->dtype;
    c->ndim = a->ndim;
    c->data = a->data;
    memcpy(out->shape, a->shape, sizeof out->shape);
    memcpy(out->strides, a->strides, sizeof out->strides);
    int ok = copy_buffer(a->buffer, c);
    /* From here on the compiler may not read the shared copy again: it may have changed since. */
    __asm__ volatile("" ::: "memory");
    return ok;
}

/* Distances [bytes] from the first element to the lowest byte and past the highest one. */
static int measure_extent(const struct fmi_array_view *v, int64_t *lo, int64_t *hi)
{
    *lo = 0;
    *hi = v->n_elements == 0 ? 0 : (int64_t)v->item_bytes;
    for (int i = 0; i < v->ndim && v->n_elements > 0; i++) {
        int64_t span;
        if (__builtin_mul_overflow(v->shape[i] - 1, v->strides[i], &span) ||
            __builtin_add_overflow(span < 0 ? *lo : *hi, span, span < 0 ? lo : hi))
            return 0;
    }
    return 1;
}

/* INVARIANT (3). Distances from the buffer's begin are compared, so no address can overflow. */
static int place_extent(const struct copied *c, struct fmi_array_view *v)
{
    int64_t lo, hi;
    if (!measure_extent(v, &lo, &hi))
        return 0;
    uintptr_t first = (uintptr_t)c->data - (uintptr_t)c->begin;
    if (first > c->bytes || lo < -(int64_t)first || hi > (int64_t)(c->bytes - first))
        return 0;
    v->buffer = c->buffer;
    v->is_raw = c->lock_kind == FM_RAW;
    v->data = c->data;
    v->lo = c->data + lo;
    v->hi = c->data + hi;
    return 1;
}

static int check_shape(const struct copied *c, struct fmi_array_view *v)
{
    size_t bytes;
    if (fmi_array_size(c->dtype, c->ndim, v->shape, &bytes) != 0)
        return 0;
    v->dtype = c->dtype;
    v->ndim = c->ndim;
    v->item_bytes = fm_dtype_bytes(c->dtype);
    v->n_items = v->shape[0];
    v->n_elements = (int64_t)(bytes / v->item_bytes);
    v->row_bytes = v->item_bytes;
    for (int i = 1; i < v->ndim; i++)
        v->row_bytes *= (size_t)v->shape[i];
    v->row_is_packed = axes_are_packed(v, 1, FM_ORDER_C);
    return 1;
}

static int look(const fm_array *a, struct copied *c, struct fmi_array_view *out)
{
    *c = (struct copied){0};
    memset(out, 0, sizeof *out);
    if ((uintptr_t)a % 64 != 0 || !fmi_heap_contains(a, sizeof *a))
        return fmi_error(-EINVAL,
                         "array %p is not in the shared heap; make it with fm_array_create()",
                         (const void *)a);
    int ok = is_record_in_heap(a, sizeof *a) && copy_descriptor(a, c, out) && check_shape(c, out) &&
             place_extent(c, out) && (c->lock_kind == FM_LOCKED || c->lock_kind == FM_RAW) &&
             (c->file.serial != 0 || fmi_heap_contains(c->begin, c->bytes == 0 ? 1 : c->bytes));
    if (ok)
        return 0;
    memset(out, 0, sizeof *out);
    return fmi_error(FM_ECORRUPT, "array %p was destroyed or overwritten", (const void *)a);
}

/* That the elements are memory of this process. 0; as fmi_filemap_attach(). */
static int reach_file(const struct copied *c, struct fmi_array_view *v)
{
    int is_writable = 0;
    int code = fmi_filemap_attach(&c->file, &c->buffer->file, c->begin, c->bytes, &is_writable);
    v->is_mapped = 1;
    v->is_readonly = !is_writable;
    v->device = c->file.device;
    v->inode = c->file.inode;
    v->lo_in_file = (uint64_t)(v->lo - c->file.base);
    return code;
}

int fmi_array_look(const fm_array *a, struct fmi_array_view *out)
{
    struct copied c;
    return look(a, &c, out);
}

int fmi_array_inspect(const fm_array *a, struct fmi_array_view *out)
{
    struct copied c;
    int code = look(a, &c, out);
    if (code != 0 || c.file.serial == 0)
        return code;
    code = reach_file(&c, out);
    if (code != 0)
        memset(out, 0, sizeof *out);
    if (code == FM_ECORRUPT)
        fmi_error_note("array %p was destroyed or overwritten", (const void *)a);
    return code;
}
