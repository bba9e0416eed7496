/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_VALUE_H
#define FORKMAP_VALUE_H

/**
 * @file value.h
 * Single values in the shared heap.
 */
/**
 * @defgroup fm_values Values
 * Single values in the shared heap: counters, flags, results, records.
 *
 * An `fm_value *` means the same in every process of the family, whenever it was made and however it was started. By default a value has
 * a lock, recursive and robust, and each of fm_value_get(), _set() and _add() takes it; several of them are one step only between
 * fm_value_lock() and fm_value_unlock(). With FM_RAW there is no lock: then fm_value_add() of a number is one atomic step,
 * and so are get and set of 1, 2, 4 and 8 bytes.
 *
 * **FM_EOWNERDEAD** is told once for each process or thread that ended with the lock, to whoever has it next. From fm_value_lock() it means: held, and what the dead one had
 * begun may be half done. From get, set and add it means: done as asked, and the lock is free again. So who counts these codes, from all calls of all
 * processes, counts the deaths; where none was told nothing is half done.
 * @{
 */

#include <forkmap/array.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One value of a dtype. Opaque; lives in the heap. */
typedef struct fm_value fm_value;

/**
 * Makes a value in the shared heap.
 * @param out    the value; NULL on failure
 * @param dtype  its type: a number, FM_BOOL, or FM_STRUCT(bytes) up to 2^24 - 1 [bytes]
 * @param init   what it starts with, one element of `dtype`, copied; NULL: all bytes 0
 * @param lock   an `fm_locking`: FM_LOCKED, FM_RAW; 0 is FM_LOCKED
 * @return 0; `-EINVAL` no dtype, another lock; `-ENOMEM`, `-ENOSPC` no room; `-EFBIG` over RLIMIT_FSIZE
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Value, .RawValue.
 */
FM_API FM_NODISCARD int fm_value_create(fm_value **out, fm_dtype dtype, const void *init, int lock);

/**
 * Destroys a value.
 * @param v  a value; NULL is ignored, one that is destroyed already is reported in the log
 * Undefined: destroying a value whose lock somebody has, or that somebody is about to use.
 * Blocks / thread-safety: never; any process and thread, one of two that destroy at once wins.
 */
FM_API void fm_value_destroy(fm_value *v);

/**
 * Copies the value out.
 * @param v    a value
 * @param out  gets one element of its dtype
 * @return 0; FM_EOWNERDEAD copied, and the last owner of the lock died holding it; `-EINVAL` NULL, not in the heap; FM_ECORRUPT no value (any more);
 *         `-EAGAIN` 2^31 times recursive
 * State after an error: `out` is as it was, but for FM_EOWNERDEAD.
 * Undefined: a raw value of another size than 1, 2, 4 or 8 bytes that is set meanwhile: the copy may be half of one and half of the other.
 * Blocks / thread-safety: while another process or thread has the lock; with FM_RAW never. Any process and thread. Acquires what fm_value_set() and
 *   _add() of others released before.
 * Source: multiprocessing.Value.value.
 */
FM_API int fm_value_get(fm_value *v, void *out);

/**
 * Copies an element into the value. With a lock it is set whole or not at all, whatever its size, also if the process dies meanwhile.
 * @param v   a value
 * @param in  one element of its dtype
 * @return 0; FM_EOWNERDEAD set, and the last owner of the lock died holding it; `-EINVAL` NULL, not in the heap; FM_ECORRUPT no value (any more);
 *         `-EAGAIN` 2^31 times recursive
 * State after an error: as it was, but for FM_EOWNERDEAD.
 * Undefined: a raw value of another size than 1, 2, 4 or 8 bytes that is used meanwhile, or whose setter dies.
 * Blocks / thread-safety: as fm_value_get().
 * Source: multiprocessing.Value.value.
 */
FM_API int fm_value_set(fm_value *v, const void *in);

/**
 * Adds to a number. Integers wrap as unsigned ones do, signed types too: INT64_MAX + 1 is INT64_MIN. With FM_RAW an integer takes one atomic
 * instruction, a float a loop of compare-and-exchange.
 * @param v       a value of an integer or float type
 * @param addend  one element of its dtype
 * @param old     gets the value before; may be NULL
 * @return 0; FM_EOWNERDEAD added, and the last owner of the lock died holding it; `-EINVAL` NULL, not in the heap, bool, complex, struct;
 *         FM_ECORRUPT no value (any more); `-EAGAIN` 2^31 times recursive
 * State after an error: as it was, but for FM_EOWNERDEAD. A process that dies has added or not, never half.
 * Blocks / thread-safety: as fm_value_get().
 * Source: `with v.get_lock(): v.value += n` of multiprocessing.Value.
 */
FM_API int fm_value_add(fm_value *v, const void *addend, void *old);

/**
 * Acquires the value's lock: recursive, robust.
 * @param v        a value that has a lock
 * @param timeout  [ns], FM_FOREVER, FM_NOWAIT
 * @return 0; FM_EOWNERDEAD acquired, and the last owner died holding it: check the value; `-ETIMEDOUT`; `-EAGAIN` 2^31 times
 *         recursive; `-EINVAL` raw (FM_RAW: there is no lock), NULL, not in the heap; FM_ECORRUPT no value (any more)
 * State after an error: not acquired, but for FM_EOWNERDEAD.
 * Blocks / thread-safety: until it is acquired or the timeout; any process and thread.
 * Source: multiprocessing.Value.get_lock().
 */
FM_API FM_NODISCARD int fm_value_lock(fm_value *v, int64_t timeout);

/**
 * Releases the value's lock.
 * @param v  a value that has a lock
 * @return 0; `-EPERM` this thread does not hold it; `-EINVAL` raw, NULL, not in the heap; FM_ECORRUPT no value (any more)
 * State after an error: as it was.
 * Blocks / thread-safety: never; the thread that acquired it.
 */
FM_API int fm_value_unlock(fm_value *v);

/**
 * Where the element lies: for members of records under the lock, and for atomics of one's own.
 * @param v  a value
 * @return its address, the same in every process, aligned to 64 [bytes]; NULL: no value (any more)
 * Undefined: what is written there without the lock, or an atomic, while others use the value.
 * Blocks / thread-safety: never; any process and thread.
 * Source: ctypes.addressof(multiprocessing.Value.get_obj()).
 */
FM_API void *fm_value_ptr(const fm_value *v);

/**
 * Its type, by which fm_dtype_bytes() tells how much fm_value_get() copies.
 * @param v  a value
 * @return the dtype; 0: no value (any more)
 * Blocks / thread-safety: never; any process and thread.
 */
FM_API fm_dtype fm_value_dtype(const fm_value *v);

static inline void fm_value_auto(fm_value **v)
{
    fm_value_destroy(*v);
}

/** @} */

#ifdef __cplusplus
}
#endif
#endif
