/* SPDX-License-Identifier: MIT */
/* The life of an array: create, share, count, destroy; its lock; what it says about itself. */
#include "array.h"
#include "clock.h"
#include "dtype.h"
#include "error.h"
#include "fault.h"
#include "heap.h"
#include "infile.h"
#include "memory.h"
#include "message.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* A buffer record with its lock, and nothing else yet. */
static int make_record(struct fmi_buffer_shm **out)
{
    void *record;
    int code = fmi_heap_alloc(&record, sizeof(struct fmi_buffer_shm), FMI_HEAP_ZERO);
    if (code != 0)
        return code;
    *out = record;
    fmi_rlock_init(&(*out)->lock);
    return 0;
}

static void publish_buffer(struct fmi_buffer_shm *buffer, char *data, size_t bytes, int lock)
{
    buffer->data = data;
    buffer->bytes = bytes;
    buffer->lock_kind = (uint64_t)lock;
    atomic_init(&buffer->count, 1);
    /* Release: whoever sees the mark sees the rest; pairs with copy_buffer. */
    atomic_store_explicit(&buffer->mark, FMI_BUFFER_LIVE, memory_order_release);
}

/* A buffer of `bytes` with count 1. */
static int make_buffer(struct fmi_buffer_shm **out, size_t bytes, const fm_array_opts *opts)
{
    void *data;
    int code = make_record(out);
    if (code != 0)
        return code;
    /* An array without elements has an address too: 0 bytes would have none. */
    code = fmi_heap_alloc(&data, bytes == 0 ? 1 : bytes, opts->zero ? FMI_HEAP_ZERO : 0);
    if (code != 0)
        fmi_heap_free(*out);
    else
        publish_buffer(*out, data, bytes, opts->lock);
    return code;
}

/* Adds one, unless the count says that the memory is gone. */
static int count_up(struct fmi_buffer_shm *buffer)
{
    uint64_t count = atomic_load_explicit(&buffer->count, memory_order_relaxed);
    do {
        if (count == 0 || count >= UINT32_MAX)
            return fmi_error(FM_ECORRUPT, "array memory %p counts %" PRIu64 " users",
                             (void *)buffer, count);
        /* Relaxed: the caller holds a descriptor, so the memory cannot go meanwhile. */
    } while (!atomic_compare_exchange_weak_explicit(&buffer->count, &count, count + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return 0;
}

static void free_buffer(struct fmi_buffer_shm *buffer)
{
    char *data = buffer->data;
    const int is_file = buffer->file.serial != 0;
    atomic_store_explicit(&buffer->mark, FMI_BUFFER_DEAD, memory_order_relaxed);
    if (is_file)
        fmi_filemap_close(&buffer->file);
    /* Others see that it is gone; pairs with fmi_filemap_drop_dead. */
    __atomic_store_n(&buffer->file.serial, 0, __ATOMIC_RELEASE);
    if ((!is_file && fmi_heap_free(data) != 0) || fmi_heap_free(buffer) != 0)
        fmi_log(FM_LOG_ERROR, "array memory %p was overwritten; it is not freed", (void *)buffer);
}

static void count_down(struct fmi_buffer_shm *buffer)
{
    /* Acquire and release: what all users did comes before the free; pairs with itself. */
    uint64_t count = atomic_fetch_sub_explicit(&buffer->count, 1, memory_order_acq_rel);
    FMI_FAULT("array.count");
    if (count == 1)
        free_buffer(buffer);
    else if (count == 0)
        fmi_log(FM_LOG_ERROR, "array memory %p was overwritten: count 0", (void *)buffer);
}

/* The descriptor of a counted buffer; takes the count over when it succeeds. */
static int make_descriptor(fm_array **out, const struct fmi_array_view *layout)
{
    void *record;
    int code = fmi_heap_alloc(&record, sizeof(fm_array), FMI_HEAP_ZERO);
    if (code != 0)
        return code;
    fm_array *a = record;
    a->dtype = layout->dtype;
    a->ndim = layout->ndim;
    a->buffer = layout->buffer;
    a->data = layout->data;
    memcpy(a->shape, layout->shape, sizeof a->shape);
    memcpy(a->strides, layout->strides, sizeof a->strides);
    /* Release: whoever sees the mark sees the rest; pairs with copy_descriptor and is_live. */
    atomic_store_explicit(&a->mark, FMI_ARRAY_LIVE, memory_order_release);
    *out = a;
    return 0;
}

int fmi_array_share(fm_array **out, const struct fmi_array_view *layout)
{
    int code = count_up(layout->buffer);
    if (code != 0)
        return code;
    FMI_FAULT("array.share");
    code = make_descriptor(out, layout);
    if (code != 0)
        count_down(layout->buffer);
    return code;
}

int fmi_array_lock_kind(int *lock)
{
    if (*lock == 0)
        *lock = FM_LOCKED;
    if (*lock != FM_LOCKED && *lock != FM_RAW)
        return fmi_error(-EINVAL, "lock %d is none; FM_LOCKED or FM_RAW", *lock);
    return 0;
}

/* Options of an older program lack fields at the end; those of a newer one must not ask for more. */
static int read_opts(const fm_array_opts *from, fm_array_opts *opts)
{
    memset(opts, 0, sizeof *opts);
    opts->order = FM_ORDER_C;
    opts->lock = FM_LOCKED;
    if (from == NULL)
        return 0;
    if (from->struct_size < sizeof from->struct_size)
        return fmi_error(-EINVAL, "struct_size is %zu; use FM_ARRAY_OPTS(...)", from->struct_size);
    for (size_t i = sizeof *opts; i < from->struct_size; i++)
        if (((const char *)from)[i] != 0)
            return fmi_error(-EINVAL, "options have an unknown field at byte %zu", i);
    opts->order = 0;
    opts->lock = 0;
    memcpy(opts, from, from->struct_size < sizeof *opts ? from->struct_size : sizeof *opts);
    if (opts->order == 0)
        opts->order = FM_ORDER_C;
    if (opts->order != FM_ORDER_C && opts->order != FM_ORDER_F)
        return fmi_error(-EINVAL, "order %d is none; FM_ORDER_C or FM_ORDER_F", opts->order);
    return fmi_array_lock_kind(&opts->lock);
}

int fm_array_create(fm_array **out, fm_dtype dtype, int ndim, const int64_t *shape,
                    const fm_array_opts *opts)
{
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    size_t bytes;
    fm_array_opts own;
    int code = fmi_array_size(dtype, ndim, shape, &bytes);
    if (code == 0)
        code = read_opts(opts, &own);
    if (code != 0)
        return code;

    struct fmi_buffer_shm *buffer;
    code = make_buffer(&buffer, bytes, &own);
    if (code != 0)
        return code;
    struct fmi_array_view layout = {
        .buffer = buffer, .data = buffer->data, .dtype = dtype, .ndim = ndim};
    memcpy(layout.shape, shape, (size_t)ndim * sizeof *shape);
    fmi_array_pack(fm_dtype_bytes(dtype), ndim, shape, own.order, layout.strides);
    code = make_descriptor(out, &layout);
    if (code != 0)
        free_buffer(buffer);
    return code;
}

int fmi_array_of_file(fm_array **out, const struct fmi_infile_layout *file, int fd, size_t bytes,
                      int is_writable)
{
    struct fmi_buffer_shm *buffer;
    struct fmi_array_view layout = {.dtype = file->dtype, .ndim = file->ndim};
    int code = make_record(&buffer);
    if (code == 0 && (code = fmi_filemap_open(&buffer->file, fd, bytes, is_writable)) != 0)
        fmi_heap_free(buffer);
    if (code != 0) {
        close(fd);
        return code;
    }
    publish_buffer(buffer, buffer->file.base + file->offset, bytes - file->offset, FM_LOCKED);
    layout.buffer = buffer;
    layout.data = buffer->data;
    memcpy(layout.shape, file->shape, sizeof layout.shape);
    fmi_array_pack(fm_dtype_bytes(file->dtype), file->ndim, file->shape, file->order,
                   layout.strides);
    code = make_descriptor(out, &layout);
    if (code != 0)
        free_buffer(buffer);
    return code;
}

void fm_array_destroy(fm_array *a)
{
    if (a == NULL)
        return;
    struct fmi_array_view seen;
    uint64_t live = FMI_ARRAY_LIVE;
    /* Relaxed: only one caller may win; the order that matters is that of the count. */
    if (fmi_array_look(a, &seen) != 0 ||
        !atomic_compare_exchange_strong_explicit(&a->mark, &live, FMI_ARRAY_DEAD,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        fmi_log(FM_LOG_ERROR, "destroy of %p, which is no array (any more)", (void *)a);
        return;
    }
    FMI_FAULT("array.dead");
    fmi_heap_free(a);
    count_down(seen.buffer);
}

int fm_array_sync(const fm_array *a)
{
    struct fmi_array_view seen;
    int code = fmi_array_inspect(a, &seen);
    if (code != 0 || !seen.is_mapped || seen.is_readonly)
        return code;
    char *page = (char *)((uintptr_t)seen.lo / fmi_sys_page_bytes() * fmi_sys_page_bytes());
    code = fmi_sys_sync(page, (size_t)(seen.hi - page));
    return code == 0 ? 0
                     : fmi_error(code, "the mapped file cannot be synced: %s", fm_strerror(code));
}

/* The memory of `a`, if that has a lock. */
static int look_for_lock(const fm_array *a, struct fmi_array_view *seen)
{
    int code = fmi_array_look(a, seen);
    if (code == 0 && seen->is_raw)
        return fmi_error(-EINVAL, "array %p is raw: it was made with FM_RAW, and has no lock",
                         (const void *)a);
    return code;
}

int fm_array_lock(fm_array *a, int64_t timeout)
{
    struct fmi_array_view seen;
    int code = look_for_lock(a, &seen);
    return code != 0 ? code : fmi_rlock_acquire(&seen.buffer->lock, fmi_deadline_of(timeout));
}

int fm_array_unlock(fm_array *a)
{
    struct fmi_array_view seen;
    int code = look_for_lock(a, &seen);
    return code != 0 ? code : fmi_rlock_release(&seen.buffer->lock);
}

/*
 * The accessors below are for whoever made the array: cheap, and quiet about NULL and about an array that was
 * destroyed, but no wall against overwritten descriptors. That is fmi_array_inspect().
 */
static int is_live(const fm_array *a)
{
    return a != NULL && atomic_load_explicit(&a->mark, memory_order_acquire) == FMI_ARRAY_LIVE &&
           a->ndim >= 1 && a->ndim <= FM_MAX_DIMS; /* pairs with the release in make_descriptor */
}

static int64_t count_from(const fm_array *a, int axis)
{
    uint64_t count = 1;
    for (; axis < a->ndim; axis++)
        count *= (uint64_t)a->shape[axis];
    return (int64_t)count;
}

/* A mapped file may not be there yet in this process. The descriptor may be overwritten: its buffer is not believed. */
static int is_reached(const fm_array *a)
{
    struct fmi_array_view seen;
    if (!is_live(a))
        return 0;
    const struct fmi_buffer_shm *buffer = a->buffer;
    if (!fmi_heap_is_block(buffer, sizeof *buffer) || buffer->file.serial == 0)
        return 1;
    return fmi_array_inspect(a, &seen) == 0;
}

void *fm_array_data(const fm_array *a)
{
    return is_reached(a) ? a->data : NULL;
}

fm_dtype fm_array_dtype(const fm_array *a)
{
    return is_live(a) ? a->dtype : 0;
}

int fm_array_ndim(const fm_array *a)
{
    return is_live(a) ? a->ndim : 0;
}

const int64_t *fm_array_shape(const fm_array *a)
{
    return is_live(a) ? a->shape : NULL;
}

const int64_t *fm_array_strides(const fm_array *a)
{
    return is_live(a) ? a->strides : NULL;
}

int64_t fm_array_len(const fm_array *a)
{
    return is_live(a) ? a->shape[0] : 0;
}

int64_t fm_array_count(const fm_array *a)
{
    return is_live(a) ? count_from(a, 0) : 0;
}

size_t fm_array_bytes(const fm_array *a)
{
    return is_live(a) ? (size_t)count_from(a, 0) * fm_dtype_bytes(a->dtype) : 0;
}

size_t fm_array_row_bytes(const fm_array *a)
{
    return is_live(a) ? (size_t)count_from(a, 1) * fm_dtype_bytes(a->dtype) : 0;
}

int fm_array_is_contiguous(const fm_array *a, int order)
{
    struct fmi_array_view layout;
    return (order == FM_ORDER_C || order == FM_ORDER_F) && fmi_array_look(a, &layout) == 0 &&
           fmi_array_is_packed(&layout, order);
}

void *fm_array_at(const fm_array *a, int ndim, const int64_t *index)
{
    if (!is_reached(a) || ndim != a->ndim || index == NULL)
        return NULL;
    int64_t offset = 0;
    for (int i = 0; i < ndim; i++) {
        if (index[i] < 0 || index[i] >= a->shape[i])
            return NULL;
        offset += index[i] * a->strides[i];
    }
    return a->data + offset;
}
