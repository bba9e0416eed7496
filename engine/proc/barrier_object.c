/* SPDX-License-Identifier: MIT */
/* The barrier that programs see: one of barrier.h behind the head of an object, with its action, a function that each process finds for itself (module.h). */
#include "barrier.h"
#include "clock.h"
#include "heap.h"
#include "message.h"
#include "module.h"
#include "object.h"

#include <forkmap/sync.h>

/*
 *      0:  | object |                  n: parties
 *     16:  | action | action_again |   creator: its description in the heap, or 0; and the same with all bits turned round: an overwritten address is not followed
 *     32:  | arg |                     creator
 *     40:  | barrier |
 */
struct fm_barrier {
    struct fmi_object_shm object;
    uint64_t action, action_again;
    void *arg;
    uint64_t barrier[]; /* struct fmi_barrier_shm, which has no fixed size either */
};
static_assert(sizeof(struct fm_barrier) + sizeof(struct fmi_barrier_shm) <= FM_BARRIER_BYTES(0),
              "barrier: layout");
static_assert((int)FM_BARRIER_MAX_PARTIES == (int)FMI_BARRIER_MAX, "barrier: limit");

static const char barrier_kind[] = "barrier";

static struct fmi_barrier_shm *barrier_of(const fm_barrier *barrier)
{
    return (struct fmi_barrier_shm *)barrier->barrier;
}

static int describe(fm_barrier_fn *action, struct fmi_function_shm **out)
{
    void *record;
    const union {
        fm_barrier_fn *function;
        const void *object;
    } given = {action};
    *out = NULL;
    if (action == NULL)
        return 0;
    int rc = fmi_heap_alloc(&record, sizeof **out, 0);
    if (rc != 0)
        return rc;
    rc = fmi_function_describe(NULL, given.object, record);
    if (rc != 0)
        fmi_heap_free(record);
    else
        *out = record;
    return rc;
}

static int make_barrier(fm_barrier **out, struct fmi_room room, int parties, fm_barrier_fn *action,
                        void *arg)
{
    void *bytes;
    struct fmi_function_shm *described;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    if (parties < 1 || parties > FM_BARRIER_MAX_PARTIES)
        return fmi_error(-EINVAL, "%d parties: it is 1 .. %d", parties, FM_BARRIER_MAX_PARTIES);
    int rc = describe(action, &described);
    if (rc != 0)
        return rc;
    rc = fmi_object_room(&bytes, room, FM_BARRIER_BYTES(parties));
    if (rc != 0) {
        fmi_heap_free(described);
        return rc;
    }
    fm_barrier *barrier = bytes;
    barrier->action = (uintptr_t)described;
    barrier->action_again = ~barrier->action;
    barrier->arg = arg;
    barrier->object.n = (uint32_t)parties;
    fmi_barrier_init(barrier_of(barrier), (uint32_t)parties);
    fmi_object_publish(&barrier->object, FMI_MARK_BARRIER);
    *out = barrier;
    return 0;
}

int fm_barrier_create(fm_barrier **out, int parties, fm_barrier_fn *action, void *arg)
{
    return make_barrier(out, (struct fmi_room){0}, parties, action, arg);
}

int fm_barrier_init(fm_barrier **out, void *bytes, size_t n_bytes, int parties,
                    fm_barrier_fn *action, void *arg)
{
    return make_barrier(out, (struct fmi_room){bytes, n_bytes, 1}, parties, action, arg);
}

static int end_barrier(fm_barrier *barrier, enum fmi_object_origin origin)
{
    if (!fmi_object_end(barrier, FMI_MARK_BARRIER, origin, barrier_kind))
        return 0;
    if (barrier->action != ~barrier->action_again ||
        fmi_heap_free((void *)(uintptr_t)barrier->action) != 0)
        fmi_log(FM_LOG_ERROR, "barrier %p was overwritten; its action is not freed",
                (void *)barrier);
    return 1;
}

void fm_barrier_destroy(fm_barrier *barrier)
{
    if (end_barrier(barrier, FMI_OBJECT_IN_HEAP))
        fmi_object_free(&barrier->object);
}

void fm_barrier_fini(fm_barrier *barrier)
{
    (void)end_barrier(barrier, FMI_OBJECT_PLACED);
}

static int check(const fm_barrier *barrier)
{
    int rc = fmi_object_check(barrier, FMI_MARK_BARRIER, barrier_kind);
    if (rc != 0)
        return rc;
    if (barrier->object.n != barrier_of(barrier)->parties ||
        barrier->object.n > FM_BARRIER_MAX_PARTIES || barrier->action != ~barrier->action_again)
        return fmi_error(FM_ECORRUPT, "barrier %p was overwritten", (const void *)barrier);
    return 0;
}

static int find_action(const fm_barrier *barrier, struct fmi_barrier_action *out)
{
    const struct fmi_function_shm *described = (const void *)(uintptr_t)barrier->action;
    union {
        void *object;
        fm_barrier_fn *function;
    } found = {NULL};
    int rc = described == NULL ? 0 : fmi_function_resolve(described, &found.object);
    *out = (struct fmi_barrier_action){found.function, barrier->arg};
    return rc;
}

int fm_barrier_wait(fm_barrier *barrier, int *index, int64_t timeout)
{
    struct fmi_barrier_action action;
    int mine;
    const int64_t deadline_ns = fmi_deadline_of(timeout);
    int rc = check(barrier);
    if (rc == 0)
        rc = find_action(barrier, &action);
    if (rc == 0)
        rc = fmi_barrier_wait(barrier_of(barrier), action, &mine, deadline_ns);
    if (rc == 0 && index != NULL)
        *index = mine;
    return rc == FM_EBROKEN
               ? fmi_error(rc, "the barrier is broken: a party died, failed, or was late; "
                               "or it was aborted or reset")
               : rc;
}

int fm_barrier_reset(fm_barrier *barrier)
{
    int rc = check(barrier);
    return rc != 0 ? rc : fmi_barrier_reset(barrier_of(barrier));
}

int fm_barrier_abort(fm_barrier *barrier)
{
    int rc = check(barrier);
    return rc != 0 ? rc : fmi_barrier_abort(barrier_of(barrier));
}

int fm_barrier_parties(const fm_barrier *barrier)
{
    int rc = check(barrier);
    return rc != 0 ? rc : (int)barrier_of(barrier)->parties;
}

int fm_barrier_waiting(const fm_barrier *barrier)
{
    int rc = check(barrier);
    return rc != 0 ? rc : (int)fmi_barrier_waiting(barrier_of(barrier));
}

int fm_barrier_broken(const fm_barrier *barrier)
{
    int rc = check(barrier);
    return rc != 0 ? rc : fmi_barrier_is_broken(barrier_of(barrier));
}
