/* SPDX-License-Identifier: MIT */
/* Life and marks of the objects for synchronisation; see object.h. */
#include "object.h"

#include "fault.h"
#include "heap.h"
#include "message.h"
#include "mortal.h"

#include <inttypes.h>
#include <string.h>

/* The table of threads lies in the heap, which need not be there yet. */
static int check_given(struct fmi_room room, size_t need)
{
    struct fmi_heap_place place;
    if (room.bytes == NULL)
        return fmi_error(-EINVAL, "bytes is NULL");
    if ((uintptr_t)room.bytes % sizeof(uint64_t) != 0)
        return fmi_error(-EINVAL, "%p is not aligned to 8 bytes", room.bytes);
    if (room.n_bytes < need)
        return fmi_error(-EINVAL, "%zu bytes are too few, %zu are needed", room.n_bytes, need);
    return fmi_heap_place(&place);
}

int fmi_object_room(void **out, struct fmi_room room, size_t need)
{
    int rc = room.is_given ? check_given(room, need) : fmi_heap_alloc(out, need, 0);
    if (rc != 0)
        return rc;
    struct fmi_object_shm *object = room.is_given ? room.bytes : *out;
    if (fmi_mortal_self() == 0) {
        if (!room.is_given)
            fmi_heap_free(object);
        return fmi_error(-EAGAIN, "too many threads of the family use shared objects");
    }
    memset((void *)object, 0, need);
    object->origin = room.is_given ? FMI_OBJECT_PLACED : FMI_OBJECT_IN_HEAP;
    *out = object;
    return 0;
}

void fmi_object_give_back(struct fmi_object_shm *object)
{
    if (object->origin == FMI_OBJECT_IN_HEAP)
        fmi_heap_free(object);
}

void fmi_object_publish(struct fmi_object_shm *object, uint64_t mark)
{
    FMI_FAULT("object.publish");
    /* release: whoever sees the mark sees the rest; pairs with fmi_object_check */
    atomic_store_explicit(&object->mark, mark, memory_order_release);
}

int fmi_object_end(void *object, uint64_t mark, enum fmi_object_origin origin, const char *kind)
{
    struct fmi_object_shm *o = object;
    if (o == NULL)
        return 0;
    if (fmi_object_check(o, mark, kind) != 0) {
        fmi_log(FM_LOG_ERROR, "%p is no %s, or was destroyed before", object, kind);
        return 0;
    }
    if (o->origin != (uint32_t)origin) {
        fmi_log(FM_LOG_ERROR, "%s %p was made by %s: it is left alone", kind, object,
                origin == FMI_OBJECT_IN_HEAP ? "_init, and ends by _fini"
                                             : "_create, and ends by _destroy");
        return 0;
    }
    /* acquire and release: what others did with it comes before what is done with its memory */
    if (!atomic_compare_exchange_strong_explicit(&o->mark, &mark, FMI_MARK_DEAD(mark),
                                                 memory_order_acq_rel, memory_order_relaxed))
        return 0;
    FMI_FAULT("object.dead");
    return 1;
}

void fmi_object_free(struct fmi_object_shm *object)
{
    if (object->origin == FMI_OBJECT_IN_HEAP && fmi_heap_free(object) != 0)
        fmi_log(FM_LOG_ERROR, "object %p was overwritten; it is not freed", (void *)object);
}

int fmi_object_refuse(const void *object, const char *kind)
{
    if (object == NULL)
        return fmi_error(-EINVAL, "%s is NULL", kind);
    if ((uintptr_t)object % sizeof(uint64_t) != 0)
        return fmi_error(-EINVAL, "%p is no address of a %s", object, kind);
    return fmi_error(FM_ECORRUPT,
                     "%p is no %s: it was destroyed, overwritten, or is something else", object,
                     kind);
}
