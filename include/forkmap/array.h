/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_ARRAY_H
#define FORKMAP_ARRAY_H

/**
 * @file array.h
 * N-dimensional arrays in the shared heap, and array files.
 */
/**
 * @defgroup fm_arrays Arrays
 * N-dimensional arrays in the shared heap. An `fm_array *` and its data pointer mean the same in
 * every process of the family, whenever they were made. The item axis is axis 0.
 * @{
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
/** The dtype of a kind, 'b' 'i' 'u' 'f' 'c' or 'V', and a size [bytes]. */
#define FM_DTYPE(kind, bytes) ((fm_dtype)(((uint32_t)(kind) << 24) | (uint32_t)(bytes)))
#define FM_BOOL               FM_DTYPE('b', 1)     /**< one byte, 0 or 1 */
#define FM_I8                 FM_DTYPE('i', 1)     /**< int8_t */
#define FM_I16                FM_DTYPE('i', 2)     /**< int16_t */
#define FM_I32                FM_DTYPE('i', 4)     /**< int32_t */
#define FM_I64                FM_DTYPE('i', 8)     /**< int64_t */
#define FM_U8                 FM_DTYPE('u', 1)     /**< uint8_t */
#define FM_U16                FM_DTYPE('u', 2)     /**< uint16_t */
#define FM_U32                FM_DTYPE('u', 4)     /**< uint32_t */
#define FM_U64                FM_DTYPE('u', 8)     /**< uint64_t */
#define FM_F32                FM_DTYPE('f', 4)     /**< float */
#define FM_F64                FM_DTYPE('f', 8)     /**< double */
#define FM_C64                FM_DTYPE('c', 8)     /**< float _Complex */
#define FM_C128               FM_DTYPE('c', 16)    /**< double _Complex */
#define FM_STRUCT(bytes)      FM_DTYPE('V', bytes) /**< a record of so many bytes */

#define FM_MAX_DIMS 8 /**< most axes of an array */

/** An array, or a view of one. Opaque; lives in the heap. */
typedef struct fm_array fm_array;

/** Which axis is packed: in C order the last, in Fortran order the first. */
enum fm_order {
    FM_ORDER_C = 1, /**< C: the last index runs fastest */
    FM_ORDER_F = 2  /**< Fortran: the first index runs fastest */
};

/** Whether shared memory comes with a lock. */
enum fm_locking {
    FM_LOCKED = 1, /**< with a lock: recursive, robust (Python's lock=True) */
    FM_RAW = 2     /**< without (Python's RawArray, RawValue, lock=False) */
};

/**
 * @def FM_ARRAY_OPTS
 * Options by name, the others 0: `FM_ARRAY_OPTS(.zero = 1)`.
 */
/** Options of fm_array_create(). */
typedef struct fm_array_opts {
    /** Set by FM_ARRAY_OPTS(). */
    size_t struct_size;
    int order; /**< an `fm_order`; 0 is C */
    int zero;  /**< non-zero: the elements start as 0; otherwise they start undefined */
    int lock;  /**< an `fm_locking`; 0 is FM_LOCKED. FM_RAW: fm_array_lock() and _unlock() refuse */
} fm_array_opts;
#define FM_ARRAY_OPTS(...) FM_OPTS(fm_array_opts, __VA_ARGS__)

/**
 * Element size of a dtype.
 * @param dtype  any number
 * @return [bytes]; 0 if it is no dtype
 * Blocks / thread-safety: never; any thread.
 */
FM_API size_t fm_dtype_bytes(fm_dtype dtype);

/**
 * Reads a dtype's name: "f8" "f4" "i1".."i8" "u1".."u8" "c8" "c16" "b1" "V<bytes>", and the long forms
 * "float64" "float32" "int32" "uint8" "complex128" "bool" ...; an optional '<' or '=' in front.
 * @param text  the name
 * @param out   the dtype; 0 on failure
 * @return 0, or `-EINVAL` with a detail that lists the names
 * Blocks / thread-safety: never; any thread.
 * Source: numpy.dtype.
 */
FM_API FM_NODISCARD int fm_dtype_parse(const char *text, fm_dtype *out);

/**
 * Writes a dtype's short name: "f8", "V24".
 * @param dtype  any number
 * @param text   gets the name, "?" if it is no dtype
 * @param cap    room in `text` [bytes], the NUL included; a longer name is cut
 * Blocks / thread-safety: never; any thread.
 */
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
 * Source: multiprocessing.Array, .RawArray, numpy.empty.
 */
FM_API FM_NODISCARD int fm_array_create(fm_array **out, fm_dtype dtype, int ndim,
                                        const int64_t *shape, const fm_array_opts *opts);

/**
 * fm_array_create() in C order with every element 0.
 * @param out    the array; NULL on failure
 * @param dtype  element type
 * @param ndim   number of axes, 1 .. FM_MAX_DIMS
 * @param shape  ndim lengths [elements], each >= 0
 * @return as fm_array_create()
 * State after an error: nothing was made.
 * Blocks / thread-safety: as fm_array_create().
 * Source: numpy.zeros.
 */
FM_API FM_NODISCARD int fm_array_zeros(fm_array **out, fm_dtype dtype, int ndim,
                                       const int64_t *shape);

/**
 * fm_array_create() in C order and a copy of elements from anywhere.
 * @param out    the array; NULL on failure
 * @param data   elements of `shape` and `dtype`, packed in C order; may be NULL if there are none
 * @param dtype  element type
 * @param ndim   number of axes, 1 .. FM_MAX_DIMS
 * @param shape  ndim lengths [elements], each >= 0
 * @return as fm_array_create(); `-EINVAL` data is NULL
 * State after an error: nothing was made.
 * Blocks / thread-safety: as fm_array_create().
 * Source: numpy.array.
 */
FM_API FM_NODISCARD int fm_array_from(fm_array **out, const void *data, fm_dtype dtype, int ndim,
                                      const int64_t *shape);

/**
 * One axis with begin, begin + step, ... while below end (above, for a negative step).
 * @param out    the array; NULL on failure
 * @param dtype  an integer or float type
 * @param begin  first value
 * @param end    bound that is not reached
 * @param step   not 0
 * @return as fm_array_create(); `-EINVAL` for step 0, a dtype that is not an integer or float, values that it cannot
 *         hold; `-EOVERFLOW` more than 2^53 of them
 * State after an error: nothing was made.
 * Blocks / thread-safety: as fm_array_create().
 * Source: numpy.arange.
 */
FM_API FM_NODISCARD int fm_array_arange(fm_array **out, fm_dtype dtype, double begin, double end,
                                        double step);

/** One axis of a view: elements begin, begin + step, ... before end; step may be negative. */
typedef struct fm_slice {
    int64_t begin; /**< index of the first element */
    int64_t end;   /**< bound that is not reached */
    int64_t step;  /**< not 0 */
} fm_slice;
#define FM_ALL ((fm_slice){0, INT64_MAX, 1}) /**< a whole axis */

/**
 * A view: the same memory through other bounds. It keeps the memory alive: the base may be destroyed first.
 * @param out     the view; NULL on failure
 * @param a       an array or a view
 * @param slices  one per axis of `a`; 0 <= begin, end is cut to the axis length; for a negative step
 *                the elements are begin, begin + step, ... down to above `end` (end may be -1)
 * @return 0; `-EINVAL` step 0 or begin outside the axis, NULL; FM_ECORRUPT no array; `-ENOMEM`, `-ENOSPC`
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 * Source: numpy basic slicing.
 */
FM_API FM_NODISCARD int fm_array_view(fm_array **out, fm_array *a, const fm_slice *slices);

/**
 * A view with another shape of the same element count; elements keep their order in memory.
 * @param out    the view; NULL on failure
 * @param a      an array or a view, contiguous in C or Fortran order
 * @param ndim   number of axes, 1 .. FM_MAX_DIMS
 * @param shape  ndim lengths [elements]; one may be -1 and is computed
 * @return 0; `-EINVAL` counts differ, or `a` is not contiguous in C or Fortran order; FM_ECORRUPT no array; `-ENOMEM`,
 *         `-ENOSPC`
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 * Source: numpy.reshape.
 */
FM_API FM_NODISCARD int fm_array_reshape(fm_array **out, fm_array *a, int ndim,
                                         const int64_t *shape);

/**
 * Destroys an array or a view; the memory goes with the last of them.
 * @param a  an array or a view; NULL is ignored, one that is destroyed already is reported in the log
 * Undefined: destroying an array that a map uses.
 * Blocks / thread-safety: never; any process and thread, one of two that destroy at once wins.
 */
FM_API void fm_array_destroy(fm_array *a);

/**
 * First element.
 * @param a  an array or a view
 * @return address, the same in every process; NULL for NULL, and for a mapped file that cannot be mapped in this
 *         process too
 * Blocks / thread-safety: as all questions below: never, any process and thread; a destroyed array answers like NULL.
 */
FM_API void *fm_array_data(const fm_array *a);
/** Element type. @param a  an array @return the dtype; 0 for NULL */
FM_API fm_dtype fm_array_dtype(const fm_array *a);
/** Number of axes. @param a  an array @return 1 .. FM_MAX_DIMS; 0 for NULL */
FM_API int fm_array_ndim(const fm_array *a);
/** Lengths of the axes. @param a  an array @return ndim lengths [elements]; NULL for NULL */
FM_API const int64_t *fm_array_shape(const fm_array *a);
/** Steps along the axes. @param a  an array @return ndim strides [bytes], may be negative; NULL for NULL */
FM_API const int64_t *fm_array_strides(const fm_array *a);
/** Length of axis 0. @param a  an array @return [items]; 0 for NULL */
FM_API int64_t fm_array_len(const fm_array *a);
/** Elements in all. @param a  an array @return [elements]; 0 for NULL */
FM_API int64_t fm_array_count(const fm_array *a);
/** Count times element size. @param a  an array @return [bytes]; 0 for NULL */
FM_API size_t fm_array_bytes(const fm_array *a);
/** One item: elements below axis 0 times element size. @param a  an array @return [bytes]; 0 for NULL */
FM_API size_t fm_array_row_bytes(const fm_array *a);
/** Whether it is packed. @param a  an array @param order  an fm_order @return 1 if packed in that order, else 0 */
FM_API int fm_array_is_contiguous(const fm_array *a, int order);

/**
 * Address of one element.
 * @param a      an array
 * @param ndim   its number of axes, given so that the call can be checked
 * @param index  ndim indices [elements]
 * @return NULL if ndim differs or an index is out of range, or for a mapped file that cannot be reached here. In a mapped file each
 *         call costs some 100 ns: take the address once, and the strides
 * Blocks / thread-safety: never; any process and thread.
 */
FM_API void *fm_array_at(const fm_array *a, int ndim, const int64_t *index);

/**
 * Acquires the array's lock: recursive, robust, one per memory (views share their base's).
 * @param a        an array or a view
 * @param timeout  [ns], FM_FOREVER, FM_NOWAIT
 * @return 0; FM_EOWNERDEAD acquired, and the last owner died holding it: check the data;
 *         `-ETIMEDOUT`; `-EAGAIN` 2^31 times recursive; `-EINVAL` raw (FM_RAW: there is no lock), or no array; FM_ECORRUPT no array (any more)
 * State after an error: not acquired, but for FM_EOWNERDEAD.
 * Blocks / thread-safety: until it is acquired or the timeout; any process and thread.
 * Source: multiprocessing.Array(lock=True).get_lock().
 */
FM_API FM_NODISCARD int fm_array_lock(fm_array *a, int64_t timeout);
/**
 * Releases the array's lock.
 * @param a  an array or a view
 * @return 0; `-EPERM` this thread does not hold it; `-EINVAL` raw, or no array; FM_ECORRUPT no array (any more)
 * Blocks / thread-safety: never; the thread that acquired it.
 */
FM_API int fm_array_unlock(fm_array *a);

/** @} */

/* ---- files ---------------------------------------------------------------------------------- */

/**
 * @defgroup fm_files Array files
 * `.npy` files and raw binary: loaded, mapped, saved whole or not at all.
 * @{
 */

/**
 * How an array file becomes an array. A mapped one is no copy: its elements are the file, so it may be larger than the machine's memory, and
 * costs what is touched of it. It has one address in the whole family, as heap memory has, whenever it was mapped: a worker
 * maps it when a map has it as a column, or when a function there calls fm_array_data() or fm_array_at().
 * Where the process that mapped it first has ended, who has not mapped it yet gets -ESTALE. A worker finds the file through /proc/PID/fd, so
 * the first process keeps a descriptor, which it must not close, and must be dumpable. A process maps 1024 files at most, and should destroy
 * itself what it mapped: an array that another process destroys stays mapped in the first. On overlayfs (containers), a
 * file that is opened for writing after it was mapped may be another one for who maps it later.
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
 * Blocks / thread-safety: until the file is read, or mapped; any process and thread.
 * Source: numpy.lib.format, versions 1.0-3.0; numpy.load(mmap_mode).
 */
FM_API FM_NODISCARD int fm_npy_load(const char *path, int mode, fm_array **out);

/**
 * Makes a .npy file of full size whose elements, all 0, are the array: results are written in place, without a copy at the end. The
 * file is there under its name when this returns, as a new file (what was open under that name before is left alone).
 * @param path   as fm_npy_reserve(); no pipe or device
 * @param dtype  element type
 * @param ndim   number of axes, 1 .. FM_MAX_DIMS
 * @param shape  ndim lengths [elements], each >= 0
 * @param out    the array, in C order, to write; NULL on failure
 * @return as fm_npy_reserve() and fm_npy_commit()
 * State after an error: `path` is as it was.
 * Blocks / thread-safety: as fm_npy_reserve().
 * Source: numpy.lib.format.open_memmap(mode='w+').
 */
FM_API FM_NODISCARD int fm_npy_create(const char *path, fm_dtype dtype, int ndim,
                                      const int64_t *shape, fm_array **out);

/**
 * Waits until what was written into a mapped file is on disk.
 * @param a  an array; one in the heap: 0 at once
 * @return 0; `-EIO` ...; `-EINVAL`, FM_ECORRUPT no array; `-ESTALE` ... the file cannot be mapped in this process
 * Blocks / thread-safety: until the disk has it; any process and thread.
 */
FM_API int fm_array_sync(const fm_array *a);

/**
 * Saves an array as .npy version 1.0 (2.0 when the header needs it), C order, or Fortran order when that
 * is how it lies. Written beside `path` under a temporary name, synced and renamed: never half a file.
 * @param path  file, as fm_npy_reserve()
 * @param a     an array of any order, or a view
 * @return 0, or what open, write, fsync or rename said (`-ENOSPC`, `-EACCES`, ...; detail: path)
 * State after an error: `path` is as it was.
 * Blocks / thread-safety: until the file is on disk; any process and thread.
 * Source: numpy.save.
 */
FM_API FM_NODISCARD int fm_npy_save(const char *path, const fm_array *a);

/** A file that is reserved and not written yet. Opaque; private to the process that made it. */
typedef struct fm_npy_writer fm_npy_writer;

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
 * @param out  the array, in C order, all elements 0; NULL on failure. The caller destroys it, after commit or abandon: destroyed
 *             before, it takes the file with it
 * @return 0; `-EINVAL` NULL, mapped already; `-ENOTSUP` a pipe or device; `-ENOMEM`, `-EMFILE`, `-ENODEV` ... it cannot
 *         be mapped; FM_EFORKED
 * State after an error: the writer is as it was, and may be committed with an array in the heap.
 */
FM_API FM_NODISCARD int fm_npy_map_reserved(fm_npy_writer *w, fm_array **out);

/**
 * Gives the reserved space back; the file is as it was.
 * @param w  from fm_npy_reserve(), gone afterwards; NULL is ignored. In a forked child the file stays.
 * Blocks / thread-safety: never; as fm_npy_reserve().
 */
FM_API void fm_npy_abandon(fm_npy_writer *w);

/**
 * Loads raw binary described by `spec`: "raw:DTYPE:SHAPE[:ORDER]", for example "raw:f4:65536x6:F".
 * DTYPE as fm_dtype_parse(), with '>' in front for big-endian; SHAPE lengths joined by 'x', one of them may be
 * '?' and follows from the file's size; ORDER C (default) or F.
 * @param path  file
 * @param spec  what is in it
 * @param out   the array; NULL on failure
 * @return 0; `-EINVAL` malformed spec (detail); FM_EFORMAT the file's size does not fit; as fm_npy_load()
 * State after an error: nothing was made.
 * Blocks / thread-safety: until the file is read; any process and thread.
 * Source: numpy.fromfile.
 */
FM_API FM_NODISCARD int fm_raw_load(const char *path, const char *spec, fm_array **out);

/**
 * fm_raw_load() in any fm_npy_mode.
 * @param path  file
 * @param spec  what is in it, as fm_raw_load()
 * @param mode  an fm_npy_mode
 * @param out   the array; NULL on failure
 * @return as fm_raw_load() and fm_npy_load()
 * State after an error: nothing was made.
 * Undefined: as fm_npy_load().
 * Blocks / thread-safety: until the file is read, or mapped; any process and thread.
 * Source: numpy.memmap.
 */
FM_API FM_NODISCARD int fm_raw_open(const char *path, const char *spec, int mode, fm_array **out);

/** @} */

static inline void fm_array_auto(fm_array **a)
{
    fm_array_destroy(*a);
}
/**
 * Declares a variable that is destroyed when it goes out of scope: `FM_AUTO(fm_array) a = NULL;`, also for fm_pool.
 * @ingroup fm_codes
 */
#define FM_AUTO(type) __attribute__((cleanup(type##_auto))) type *

#ifdef __cplusplus
}
#endif
#endif
