/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_NAMESPACE_H
#define FORKMAP_NAMESPACE_H

/**
 * @file namespace.h
 * Names with values, in the shared heap.
 */
/**
 * @defgroup fm_namespaces Namespaces
 * Names, which are texts, with values of any bytes, that all processes of the family share: Python's `Manager().Namespace()`. A namespace is a dict (@ref fm_dicts) of few
 * stripes whose keys are names: all that is said there of timeouts, codes and deaths holds here.
 * @{
 */

#include <forkmap/array.h> /* FM_AUTO */
#include <forkmap/snapshot.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A namespace. Opaque; lives in the heap. */
typedef struct fm_namespace fm_namespace;

/**
 * Makes a namespace without names in the shared heap.
 * @param out  the namespace; NULL on failure
 * @return as fm_dict_create()
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.managers.SyncManager.Namespace.
 */
FM_API FM_NODISCARD int fm_namespace_create(fm_namespace **out);

/**
 * Destroys a namespace and what is in it, as fm_dict_destroy().
 * @param ns  a namespace; NULL is ignored
 * Undefined: destroying a namespace that somebody is about to use.
 * Blocks / thread-safety: never; any process and thread.
 */
FM_API void fm_namespace_destroy(fm_namespace *ns);

/**
 * Sets a value: `ns.name = value`.
 * @param ns       a namespace
 * @param name     a text that ends with a NUL
 * @param value    what it becomes, copied
 * @param timeout  [ns]
 * @return as fm_dict_set(); `-EINVAL` name is NULL
 * State after an error: as it was. A process that dies in here leaves the old value, or none, or the new one.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: Namespace.__setattr__.
 */
FM_API FM_NODISCARD int fm_namespace_set(fm_namespace *ns, const char *name, fm_bytes value,
                                         int64_t timeout);

/**
 * Copies a value out: `ns.name`.
 * @param ns       a namespace
 * @param name     its name
 * @param buf      gets the value
 * @param timeout  [ns]
 * @return as fm_dict_get(); `-ENOENT` no such name (Python raises AttributeError); `-EINVAL` name is NULL
 * State after an error: as after fm_dict_get().
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: Namespace.__getattr__.
 */
FM_API FM_NODISCARD int fm_namespace_get(fm_namespace *ns, const char *name, fm_buf *buf,
                                         int64_t timeout);

/**
 * Takes a name out: `del ns.name`.
 * @param ns       a namespace
 * @param name     the name
 * @param timeout  [ns]
 * @return as fm_dict_delete(); `-EINVAL` name is NULL
 * State after an error: as it was.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: Namespace.__delattr__.
 */
FM_API FM_NODISCARD int fm_namespace_delete(fm_namespace *ns, const char *name, int64_t timeout);

/**
 * Whether a name is there.
 * @param ns       a namespace
 * @param name     the name
 * @param timeout  [ns]
 * @return 1, 0; `-ETIMEDOUT`; `-EINVAL` name is NULL
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: hasattr().
 */
FM_API FM_NODISCARD int fm_namespace_contains(fm_namespace *ns, const char *name, int64_t timeout);

/**
 * Copies all names, in the order in which they were set first, and their values, as they were at one moment.
 * @param ns       a namespace
 * @param out      gets names in `keys`, values in `values`, to be freed by fm_snapshot_free(); NULL on failure
 * @param timeout  [ns]
 * @return as fm_dict_items()
 * State after an error: nothing was made.
 * Blocks / thread-safety: as fm_dict_items().
 * Source: vars().
 */
FM_API FM_NODISCARD int fm_namespace_items(fm_namespace *ns, fm_snapshot **out, int64_t timeout);

static inline void fm_namespace_auto(fm_namespace **ns)
{
    fm_namespace_destroy(*ns);
}

/** @} */

#ifdef __cplusplus
}
#endif
#endif
