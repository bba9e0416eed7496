/* SPDX-License-Identifier: MIT */
#ifndef FMI_OBJECT_H
#define FMI_OBJECT_H

/*
 * What the public objects for synchronisation have in common: how they come to be, in the heap or on given bytes, how they are known again, and how they end.
 *
 *   mark       | who moves it on                                                      | the process dies here
 *   anything   | whoever makes the object, when all else is written: LIVE             | nobody knows of it; memory of the heap stays taken
 *   LIVE       | whoever ends it, by CAS: DEAD; of two that do so at once one frees   | -
 *   DEAD       | -                                                                    | memory of the heap stays taken
 *
 * A mark tells the kind, too. It is looked at by every call: what was destroyed, or is something else, is FM_ECORRUPT, and nothing is changed. Where a number
 * in an object says how large it is, it stands there twice, and both are compared.
 */

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define FMI_MARK_LOCK       UINT64_C(0x4c5f4b434f4c4d46) /* "FMLOCK_L" */
#define FMI_MARK_RLOCK      UINT64_C(0x4c4b434f4c524d46) /* "FMRLOCKL" */
#define FMI_MARK_SEM        UINT64_C(0x4c5f5f4d45534d46) /* "FMSEM__L" */
#define FMI_MARK_EVENT      UINT64_C(0x4c544e4556454d46) /* "FMEVENTL" */
#define FMI_MARK_COND       UINT64_C(0x4c5f444e4f434d46) /* "FMCOND_L" */
#define FMI_MARK_BARRIER    UINT64_C(0x4c5f525241424d46) /* "FMBARR_L" */
#define FMI_MARK_RWLOCK     UINT64_C(0x4c4b434c57524d46) /* "FMRWLCKL" */
#define FMI_MARK_DEAD(mark) ((mark) ^ (uint64_t)('L' ^ 'D') << 56)

enum fmi_object_origin { FMI_OBJECT_IN_HEAP = 1, FMI_OBJECT_PLACED = 2 };

/*
 *      0:  | mark |              above
 *      8:  | origin | n |        creator; n: units, parties
 *     16:  end
 */
struct fmi_object_shm {
    _Atomic uint64_t mark;
    uint32_t origin;
    uint32_t n;
};
static_assert(sizeof(struct fmi_object_shm) == 16, "object: layout");

/* Where a new object is to lie. */
struct fmi_room {
    void *bytes;
    size_t n_bytes;
    int is_given; /* 0: in the heap */
};

/*
 * Memory for an object of `need` bytes, without a mark; this thread has an id then. 0; -EINVAL: given bytes that are NULL, too few, not aligned; -EAGAIN: no id;
 * as fmi_heap_alloc().
 */
int fmi_object_room(void **out, struct fmi_room room, size_t need);
/* It was not to be. */
void fmi_object_give_back(struct fmi_object_shm *object);
void fmi_object_publish(struct fmi_object_shm *object, uint64_t mark);

/* 1: it is dead now, and the caller ends the rest and calls fmi_object_free(). 0: NULL; or it was not LIVE, or of another origin, which is logged. */
int fmi_object_end(void *object, uint64_t mark, enum fmi_object_origin origin, const char *kind);
void fmi_object_free(struct fmi_object_shm *object);

int fmi_object_refuse(const void *object, const char *kind);

/* 0; -EINVAL: NULL or no address of an object; FM_ECORRUPT: no such object. */
static inline int fmi_object_check(const void *object, uint64_t mark, const char *kind)
{
    const struct fmi_object_shm *o = object;
    /* acquire: pairs with fmi_object_publish */
    if (o != NULL && (uintptr_t)o % sizeof(uint64_t) == 0 &&
        atomic_load_explicit(&o->mark, memory_order_acquire) == mark)
        return 0;
    return fmi_object_refuse(object, kind);
}

#endif
