/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_SNAPSHOT_H
#define FORKMAP_SNAPSHOT_H

/**
 * @file snapshot.h
 * Bytes that go into shared containers, buffers for those that come out, and copies of a whole container.
 */
/**
 * @defgroup fm_snapshots Bytes and snapshots
 * What the functions of @ref fm_dicts, @ref fm_lists and @ref fm_namespaces take and give: keys, values and items are bytes of any length.
 * @{
 */

#include <forkmap/status.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes that somebody else owns: a key, a value, an item. Made by fm_bytes_of() or fm_text(). */
typedef struct fm_bytes {
    const void *data; /**< where they are; may be NULL if there are none */
    size_t bytes;     /**< [bytes] */
} fm_bytes;

/** Room of the caller's for a copy, and how long the copy is. Made by fm_buf_of(). */
typedef struct fm_buf {
    void *data; /**< where a copy goes; may be NULL if cap is 0 */
    size_t cap; /**< [bytes] room */
    size_t
        bytes; /**< [bytes] what was copied; with FM_ETOOLONG, what it would have taken; else 0 */
} fm_buf;

/** Any bytes. They are not copied here: they must live until the call that gets them is over. */
static inline fm_bytes fm_bytes_of(const void *data, size_t bytes)
{
    fm_bytes b = {data, bytes};
    return b;
}

/** The bytes of a text, without the NUL that ends it. NULL is no bytes. */
static inline fm_bytes fm_text(const char *text)
{
    fm_bytes b = {text, text == 0 ? 0 : strlen(text)};
    return b;
}

/** A buffer of `cap` bytes. */
static inline fm_buf fm_buf_of(void *data, size_t cap)
{
    fm_buf b = {data, cap, 0};
    return b;
}

/**
 * A copy of what a container had at one moment, in private memory. Behind each text or bytes in it lies a NUL that is not counted; `data` is aligned to 8.
 * Whoever gets one frees it.
 */
typedef struct fm_snapshot {
    int64_t n;              /**< [items] */
    const fm_bytes *keys;   /**< n keys; NULL: there are none, or they were not asked for */
    const fm_bytes *values; /**< n values, or items of a list; NULL: they were not asked for */
} fm_snapshot;

/**
 * Frees a snapshot.
 * @param s  a snapshot; NULL is ignored
 * Blocks / thread-safety: never; once, in the process that got it.
 */
FM_API void fm_snapshot_free(fm_snapshot *s);

static inline void fm_snapshot_auto(fm_snapshot **s)
{
    fm_snapshot_free(*s);
}

/** @} */

#ifdef __cplusplus
}
#endif
#endif
