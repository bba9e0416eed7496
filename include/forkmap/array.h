/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_ARRAY_H
#define FORKMAP_ARRAY_H

/**
 * @file array.h
 * N-dimensional arrays in the shared heap. An `fm_array *` and its data pointer mean the same in
 * every process of the family, whenever they were made. The item axis is axis 0.
 */

#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Element types. A dtype is a 32-bit number: kind in the high byte, element size [bytes] below.
 * `FM_STRUCT(n)` is an opaque record of n bytes (1 .. 2^24 - 1).
 */
typedef uint32_t fm_dtype;
#define FM_DTYPE(kind, bytes) ((fm_dtype)(((uint32_t)(kind) << 24) | (uint32_t)(bytes)))
#define FM_BOOL               FM_DTYPE('b', 1)
#define FM_I8                 FM_DTYPE('i', 1)
#define FM_I16                FM_DTYPE('i', 2)
#define FM_I32                FM_DTYPE('i', 4)
#define FM_I64                FM_DTYPE('i', 8)
#define FM_U8                 FM_DTYPE('u', 1)
#define FM_U16                FM_DTYPE('u', 2)
#define FM_U32                FM_DTYPE('u', 4)
#define FM_U64                FM_DTYPE('u', 8)
#define FM_F32                FM_DTYPE('f', 4)
#define FM_F64                FM_DTYPE('f', 8)
#define FM_C64                FM_DTYPE('c', 8)
#define FM_C128               FM_DTYPE('c', 16)
#define FM_STRUCT(bytes)      FM_DTYPE('V', bytes)

#define FM_MAX_DIMS 8

typedef struct fm_array fm_array; /* opaque; lives in the heap */

enum fm_order { FM_ORDER_C = 1, FM_ORDER_F = 2 };

typedef struct fm_array_opts {
    size_t struct_size;
    int order; /**< an `fm_order`; 0 is C */
    int zero;  /**< non-zero: the elements start as 0; otherwise they start undefined */
} fm_array_opts;
#define FM_ARRAY_OPTS(...) FM_OPTS(fm_array_opts, __VA_ARGS__)

/** Element size [bytes] of a dtype, 0 if it is none. */
FM_API size_t fm_dtype_bytes(fm_dtype dtype);

/**
 * Reads a dtype's name: "f8" "f4" "i1".."i8" "u1".."u8" "c8" "c16" "b1" "V<bytes>", and the long forms
 * "float64" "float32" "int32" "uint8" "complex128" "bool" ...; an optional '<' or '=' in front.
 * @return 0, or `-EINVAL` with a detail that lists the names
 */
FM_API FM_NODISCARD int fm_dtype_parse(const char *text, fm_dtype *out);

/** Writes a dtype's short name ("f8", "V24") into `text`, at most `cap` bytes with the NUL. */
FM_API void fm_dtype_name(fm_dtype dtype, char *text, size_t cap);

/**
 * Makes an array in the shared heap. Its memory is reserved for real: a machine without room gives
 * an error here, never a signal later.
 * @param out    the array; NULL on failure
 * @param dtype  element type
 * @param ndim   number of axes, 1 .. FM_MAX_DIMS
 * @param shape  ndim lengths [elements], each >= 0; an array with a length of 0 is valid
 * @param opts   FM_ARRAY_OPTS(...), or NULL
 * @return 0; `-EINVAL` bad dtype, ndim, negative length, unknown option; `-EOVERFLOW` the size does not
 *         fit 63 bits; `-ENOMEM` or `-ENOSPC` no room (detail: bytes asked and free); `-EFBIG` over
 *         RLIMIT_FSIZE
 * State after an error: nothing was made.
 * Blocks / thread-safety: as long as the kernel needs to reserve the pages; any process and thread.
 * Source: multiprocessing.RawArray, numpy.empty.
 */
FM_API FM_NODISCARD int fm_array_create(fm_array **out, fm_dtype dtype, int ndim,
                                        const int64_t *shape, const fm_array_opts *opts);

/** fm_array_create() in C order with every element 0. */
FM_API FM_NODISCARD int fm_array_zeros(fm_array **out, fm_dtype dtype, int ndim,
                                       const int64_t *shape);

/** fm_array_create() in C order and a copy of `shape`'s worth of elements at `data` (C order). */
FM_API FM_NODISCARD int fm_array_from(fm_array **out, const void *data, fm_dtype dtype, int ndim,
                                      const int64_t *shape);

/**
 * One axis with begin, begin + step, ... while below end (above, for a negative step).
 * @return as fm_array_create(); `-EINVAL` for step 0 or a dtype that is not an integer or float
 * Source: numpy.arange.
 */
FM_API FM_NODISCARD int fm_array_arange(fm_array **out, fm_dtype dtype, double begin, double end,
                                        double step);

/** One axis of a view: elements begin, begin + step, ... before end; step may be negative. */
typedef struct fm_slice {
    int64_t begin, end, step;
} fm_slice;
#define FM_ALL ((fm_slice){0, INT64_MAX, 1})

/**
 * A view: the same memory through other bounds. It keeps the memory alive: the base may be destroyed first.
 * @param slices  one per axis of `a`; 0 <= begin, end is cut to the axis length; for a negative step
 *                the elements are begin, begin + step, ... down to above `end` (end may be -1)
 * @return 0; `-EINVAL` step 0 or begin outside the axis; `-ENOMEM`
 */
FM_API FM_NODISCARD int fm_array_view(fm_array **out, fm_array *a, const fm_slice *slices);

/**
 * A view with another shape of the same element count; one length may be -1 and is computed.
 * @return 0; `-EINVAL` counts differ, or `a` is not contiguous in C or Fortran order; `-ENOMEM`
 */
FM_API FM_NODISCARD int fm_array_reshape(fm_array **out, fm_array *a, int ndim,
                                         const int64_t *shape);

/** Destroys an array or a view; the memory goes with the last of them. NULL is ignored. */
FM_API void fm_array_destroy(fm_array *a);

/** First element. NULL for NULL, and for a mapped file that cannot be mapped in this process too. */
FM_API void *fm_array_data(const fm_array *a);
FM_API fm_dtype fm_array_dtype(const fm_array *a);
FM_API int fm_array_ndim(const fm_array *a);
FM_API const int64_t *fm_array_shape(const fm_array *a); /**< ndim lengths [elements] */
FM_API const int64_t *
fm_array_strides(const fm_array *a);                 /**< ndim strides [bytes], may be negative */
FM_API int64_t fm_array_len(const fm_array *a);      /**< length of axis 0: the items */
FM_API int64_t fm_array_count(const fm_array *a);    /**< elements in all */
FM_API size_t fm_array_bytes(const fm_array *a);     /**< count x element size */
FM_API size_t fm_array_row_bytes(const fm_array *a); /**< one item: elements below axis 0 x size */
FM_API int fm_array_is_contiguous(const fm_array *a,
                                  int order); /**< 1 if packed in that fm_order */

/**
 * Address of one element.
 * @param a      an array of `ndim` axes, ndim given so that the call can be checked
 * @return NULL if ndim differs or an index is out of range
 */
FM_API void *fm_array_at(const fm_array *a, int ndim, const int64_t *index);

/**
 * Acquires the array's lock: recursive, robust, one per memory (views share their base's).
 * @param timeout  [ns], FM_FOREVER, FM_NOWAIT
 * @return 0; FM_EOWNERDEAD acquired, and the last owner died holding it: check the data;
 *         `-ETIMEDOUT`; `-EAGAIN` 2^31 times recursive
 * Source: multiprocessing.Array(lock=True).get_lock().
 */
FM_API FM_NODISCARD int fm_array_lock(fm_array *a, int64_t timeout);
/** Releases it. @return 0, or `-EPERM` if this thread does not hold it. */
FM_API int fm_array_unlock(fm_array *a);

/* ---- files ---------------------------------------------------------------------------------- */

/**
 * How an array file becomes an array. A mapped one is no copy: its elements are the file, so it may be larger than the machine's memory, and
 * costs what is touched of it. It has one address in the whole family, as heap memory has, whenever it was mapped: a worker
 * maps it when a map has it as a column, or when a function there calls fm_array_data() or fm_array_at().
 * (NumPy's mode 'c' is not there: each process would have changes of its own. FM_NPY_READ gives a copy that all may change.)
 */
enum fm_npy_mode {
    FM_NPY_READ = 1, /**< a copy in the heap */
    FM_NPY_MAP = 2,  /**< the file itself, to read: writing into it is a crash */
    FM_NPY_MAP_WRITE =
        3 /**< the file itself: what is written is in the file, at once and for good */
};

/**
 * Loads a .npy file (versions 1.0 to 3.0, C or Fortran order; either byte order, converted to the
 * machine's; structured dtypes as opaque FM_STRUCT rows).
 * @param path  file
 * @param mode  an fm_npy_mode
 * @param out   the array; NULL on failure
 * @return 0; `-ENOENT`, `-EACCES` ...; FM_EFORMAT malformed, truncated, or Python objects (detail:
 *         offset and reason); `-EOVERFLOW`; `-ENOMEM`, `-ENOSPC`; `-EINVAL` unknown mode, or a file that cannot be
 *         mapped: another byte order, elements not at a multiple of 16 bytes
 * State after an error: nothing was made. Never allocates more than the file can fill.
 * Undefined: making a mapped file shorter. Whoever touches what is gone gets SIGBUS: in a worker that is a record of
 *   the item, in the caller it is the end. Mapping costs one descriptor until the array is destroyed.
 * Source: numpy.lib.format, versions 1.0-3.0; numpy.load(mmap_mode).
 */
FM_API FM_NODISCARD int fm_npy_load(const char *path, int mode, fm_array **out);

/**
 * Makes a .npy file of full size whose elements, all 0, are the array: results are written in place, without a copy at the end. The
 * file is there under its name when this returns, as a new file (what was open under that name before is left alone).
 * @param path, dtype, ndim, shape  as fm_npy_reserve(); no pipe or device
 * @param out  the array, in C order, to write; NULL on failure
 * @return as fm_npy_reserve() and fm_npy_commit()
 * State after an error: `path` is as it was.
 * Blocks / thread-safety: as fm_npy_reserve().
 * Source: numpy.lib.format.open_memmap(mode='w+').
 */
FM_API FM_NODISCARD int fm_npy_create(const char *path, fm_dtype dtype, int ndim,
                                      const int64_t *shape, fm_array **out);

/**
 * Waits until what was written into a mapped file is on disk. An array in the heap: 0 at once.
 * @return 0; `-EIO` ...; `-EINVAL`, FM_ECORRUPT no array
 */
FM_API int fm_array_sync(const fm_array *a);

/**
 * Saves an array as .npy version 1.0 (2.0 when the header needs it), C order, or Fortran order when that
 * is how it lies. Written beside `path` under a temporary name, synced and renamed: never half a file.
 * @return 0, or what open, write, fsync or rename said (`-ENOSPC`, `-EACCES`, ...; detail: path)
 * State after an error: `path` is as it was.
 */
FM_API FM_NODISCARD int fm_npy_save(const char *path, const fm_array *a);

typedef struct fm_npy_writer fm_npy_writer; /* opaque; private to the process that made it */

/**
 * Opens a .npy file that is written later: finds out now that it cannot be written, and reserves its space.
 * @param path   file; a symbolic link is followed. Descriptors ("/dev/stdout"), pipes and devices are written
 *               straight to; nothing is reserved for them
 * @param dtype  element type
 * @param ndim   number of axes, 1 .. FM_MAX_DIMS
 * @param shape  ndim lengths [elements], each >= 0
 * @param out    the writer; NULL on failure. Ends with fm_npy_commit() or fm_npy_abandon()
 * @return 0; `-EINVAL` bad dtype, ndim or length, NULL; `-EOVERFLOW` the size does not fit 63 bits; `-EACCES`,
 *         `-ENOENT`, `-EROFS`, `-EISDIR` ... the file cannot be made there, or exists and may not be written;
 *         `-ENOSPC`, `-EDQUOT` no room (detail: bytes needed and free); `-EFBIG` over RLIMIT_FSIZE; `-ENOMEM`
 * State after an error: nothing was made, `path` is as it was.
 * Undefined: using a writer after commit or abandon.
 * Blocks / thread-safety: as long as the file system needs to reserve, and on a FIFO until it is opened for
 *   reading; any thread, one writer by one thread at a time.
 */
FM_API FM_NODISCARD int fm_npy_reserve(const char *path, fm_dtype dtype, int ndim,
                                       const int64_t *shape, fm_npy_writer **out);

/**
 * Writes `a` into the reserved file, syncs it and gives it its name. The writer is gone afterwards, whatever
 * is returned.
 * @param w  from fm_npy_reserve()
 * @param a  an array of the reserved dtype and shape, any order, or a view
 * @return 0; `-EINVAL` NULL, another dtype or shape, or no array in the heap; FM_ECORRUPT the array was destroyed
 *         or overwritten; FM_EFORKED another process reserved it; `-ENOMEM`; what write, fsync, link or rename
 *         said (`-EIO`, `-ENOSPC`, ...; detail: path)
 * State after an error: `path` is as it was.
 * Blocks / thread-safety: until the file is on disk; as fm_npy_reserve().
 */
FM_API FM_NODISCARD int fm_npy_commit(fm_npy_writer *w, const fm_array *a);

/**
 * The reserved file as an array: results are written where they will lie. fm_npy_commit() with this array then only syncs and names the
 * file; until then it has no name, so it appears whole or not at all.
 * @param w    from fm_npy_reserve(), not mapped yet
 * @param out  the array, in C order, all elements 0; the caller destroys it, after commit or abandon too. NULL on failure
 * @return 0; `-EINVAL` NULL, mapped already, a pipe or device; `-ENOMEM`, `-EMFILE`; FM_EFORKED
 */
FM_API FM_NODISCARD int fm_npy_map_reserved(fm_npy_writer *w, fm_array **out);

/** Gives the reserved space back; `path` is as it was. NULL is ignored. In a forked child the file stays. */
FM_API void fm_npy_abandon(fm_npy_writer *w);

/**
 * Loads raw binary described by `spec`: "raw:DTYPE:SHAPE[:ORDER]", for example "raw:f4:65536x6:F".
 * DTYPE as fm_dtype_parse(), with '>' in front for big-endian; SHAPE lengths joined by 'x', one of them may be
 * '?' and follows from the file's size; ORDER C (default) or F.
 * @return 0; `-EINVAL` malformed spec (detail); FM_EFORMAT the file's size does not fit; as fm_npy_load()
 */
FM_API FM_NODISCARD int fm_raw_load(const char *path, const char *spec, fm_array **out);

/** fm_raw_load() in any fm_npy_mode. @return as fm_raw_load() and fm_npy_load() */
FM_API FM_NODISCARD int fm_raw_open(const char *path, const char *spec, int mode, fm_array **out);

static inline void fm_array_auto(fm_array **a)
{
    fm_array_destroy(*a);
}
#define FM_AUTO(type) __attribute__((cleanup(type##_auto))) type *

#ifdef __cplusplus
}
#endif
#endif
