/* SPDX-License-Identifier: MIT */
#ifndef FMI_ARRAY_H
#define FMI_ARRAY_H

/*
 * Arrays: a small descriptor per array or view, and one buffer record per memory that its descriptors
 * share. Both lie in the heap, as does the data, in an allocation of its own.
 *
 *   descriptor (array) --.
 *   descriptor (view)  --+--> buffer {count, lock} --> data
 *   descriptor (view)  --'         every descriptor also points at its own first element in data
 *
 *   buffer      created by fm_array_create with count 1; each view adds 1; each destroy takes 1 off; who
 *               takes the last one frees data and record
 *   descriptor  LIVE --destroy--> DEAD, by one CAS: of two that destroy at once, one frees
 *
 * INVARIANTS
 *   (1) count >= number of LIVE descriptors that point at the buffer.
 *   (2) Nothing but `mark`, `count` and `lock` changes after creation: everyone reads without a lock.
 *   (3) The elements of every descriptor lie in [data, data + bytes) of its buffer.
 *
 * Workers may scribble over all this: whoever must not fall for it uses fmi_array_inspect(), which copies
 * first and then checks the copy.
 *
 * DIES HERE
 *   in create, view before the descriptor is LIVE   the count is one too high, or memory has no owner: it
 *                                                   stays taken until the family ends
 *   in destroy after DEAD, before the count         the same
 *   in destroy after the last count, before free    the same
 *   holding the lock                                the next owner is told (rlock.h)
 * Memory is lost in each case, and never freed under a reader.
 */

#include "filemap.h"
#include "rlock.h"

#include <assert.h>
#include <forkmap/array.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define FMI_ARRAY_LIVE  UINT64_C(0x4c41595252414d46) /* "FMARRAYL" */
#define FMI_ARRAY_DEAD  UINT64_C(0x4441595252414d46) /* "FMARRAYD" */
#define FMI_BUFFER_LIVE UINT64_C(0x4c46465542494d46) /* "FMIBUFFL" */
#define FMI_BUFFER_DEAD UINT64_C(0x4446465542494d46) /* "FMIBUFFD" */

/*
 * The memory of an array and its views.
 *
 *      0:  | mark | data | bytes |   creator; mark also by the last destroyer
 *     24:  | lock_kind |             creator
 *     64:  | count |                 whoever makes or destroys a view
 *    128:  | lock |                  its holder; nobody if it is raw
 *    192:  | file |                  creator: the file that is this memory (filemap.h); serial 0: none
 *    256:  end
 */
struct fmi_buffer_shm {
    alignas(64) _Atomic uint64_t mark;
    char *data;
    uint64_t bytes;
    uint64_t lock_kind; /* FM_LOCKED or FM_RAW */
    alignas(64) _Atomic uint64_t count;
    alignas(64) struct fmi_rlock_shm lock;
    alignas(64) struct fmi_file_shm file;
};
static_assert(sizeof(void *) == 8, "buffer: layout");
static_assert(sizeof(struct fmi_buffer_shm) == 256, "buffer: layout");
static_assert(offsetof(struct fmi_buffer_shm, file) == 192, "buffer: layout");
static_assert(offsetof(struct fmi_buffer_shm, data) == 8, "buffer: layout");
static_assert(offsetof(struct fmi_buffer_shm, bytes) == 16, "buffer: layout");
static_assert(offsetof(struct fmi_buffer_shm, lock_kind) == 24, "buffer: layout");
static_assert(offsetof(struct fmi_buffer_shm, count) == 64, "buffer: layout");
static_assert(offsetof(struct fmi_buffer_shm, lock) == 128, "buffer: layout");

/*
 * One array or view: how its elements lie.
 *
 *      0:  | mark |                  creator, destroyer
 *      8:  | dtype | ndim |          creator, as all below
 *     16:  | buffer |
 *     24:  | data |                  its first element
 *     32:  | shape [8] |             [elements]
 *     96:  | strides [8] |           [bytes]
 *    192:  end
 */
struct fm_array {
    alignas(64) _Atomic uint64_t mark;
    uint32_t dtype;
    int32_t ndim;
    struct fmi_buffer_shm *buffer;
    char *data;
    int64_t shape[FM_MAX_DIMS];
    int64_t strides[FM_MAX_DIMS];
};
static_assert(sizeof(struct fm_array) == 192, "array: layout");
static_assert(offsetof(struct fm_array, dtype) == 8, "array: layout");
static_assert(offsetof(struct fm_array, ndim) == 12, "array: layout");
static_assert(offsetof(struct fm_array, buffer) == 16, "array: layout");
static_assert(offsetof(struct fm_array, data) == 24, "array: layout");
static_assert(offsetof(struct fm_array, shape) == 32, "array: layout");
static_assert(offsetof(struct fm_array, strides) == 96, "array: layout");

/* A private, checked copy of a descriptor. */
struct fmi_array_view {
    struct fmi_buffer_shm *buffer;
    char *data; /* first element */
    char *lo;   /* all elements lie in [lo, hi); lo == hi without elements */
    char *hi;
    size_t item_bytes; /* of one element */
    size_t row_bytes;  /* elements below axis 0 x item_bytes */
    int64_t n_items;   /* length of axis 0 */
    int64_t n_elements;
    int64_t shape[FM_MAX_DIMS];
    int64_t strides[FM_MAX_DIMS]; /* [bytes] */
    fm_dtype dtype;
    int ndim;
    int row_is_packed;      /* the elements of one item lie without gaps in C order */
    int is_mapped;          /* a file, so a process may have to map it first */
    int is_readonly;        /* may not be written */
    int is_raw;             /* has no lock */
    uint64_t device, inode; /* of the mapped file */
    uint64_t lo_in_file;    /* where `lo` is in it [bytes] */
};

/*
 * Fills *out with what `a` says at one moment, if that is consistent and lies in the heap or in a mapped file, which this process
 * then has mapped. Trusts nothing that it reads. Returns 0; -EINVAL for NULL and for what is not in the heap; FM_ECORRUPT if it is
 * there and is no array: destroyed or overwritten; as fmi_filemap_attach(). On failure *out has ndim 0 and is not to be used.
 */
int fmi_array_inspect(const fm_array *a, struct fmi_array_view *out);

/* The same, but a mapped file need not be mapped here, and is_readonly is not told. */
int fmi_array_look(const fm_array *a, struct fmi_array_view *out);

/* 1 if the elements of `v` lie without gaps in that fm_order. Without elements: 1. */
int fmi_array_is_packed(const struct fmi_array_view *v, int order);

/*
 * Size [bytes] of an array, checked. Returns 0; -EINVAL bad dtype, ndim, shape NULL or a negative length;
 * -EOVERFLOW if the lengths other than 0 make more than 63 bits, even if another one is 0.
 */
int fmi_array_size(fm_dtype dtype, int ndim, const int64_t *shape, size_t *bytes);

/* Strides [bytes] of a packed array whose size was checked. A length of 0 counts as 1. */
void fmi_array_pack(size_t item_bytes, int ndim, const int64_t *shape, int order, int64_t *strides);

/* An array of a file that is open: `bytes` of it are mapped, the first element lies at file->offset. Takes `fd` over, whatever it returns. */
struct fmi_infile_layout;
int fmi_array_of_file(fm_array **out, const struct fmi_infile_layout *file, int fd, size_t bytes,
                      int is_writable);

/* Makes a 0 the default, FM_LOCKED. 0; -EINVAL: neither that nor FM_RAW. */
int fmi_array_lock_kind(int *lock);

/* A LIVE descriptor of that layout for layout->buffer, counted. 0, -ENOMEM, -ENOSPC, FM_ECORRUPT. */
int fmi_array_share(fm_array **out, const struct fmi_array_view *layout);

#endif
