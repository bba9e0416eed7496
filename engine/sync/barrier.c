/* SPDX-License-Identifier: MIT */
/* The barrier; see barrier.h. */
#include "barrier.h"

#include "clock.h"
#include "fault.h"

#include <errno.h>
#include <forkmap/status.h>

enum { FEW_PARTIES = 16 };

/* Words that only who has the guard changes are read there relaxed, too; others read them for a snapshot, or acquire the generation. */
static uint32_t load32(const _Atomic uint32_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static uint64_t load64(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void store32(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

static void store64(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

void fmi_barrier_init(struct fmi_barrier_shm *b, uint32_t parties)
{
    fmi_lock_init(&b->guard);
    atomic_init(&b->generation, 1);
    store32(&b->n_here, 0);
    store32(&b->n_before, 0);
    store32(&b->is_broken, 0);
    store32(&b->is_acting, 0);
    b->parties = parties;
    fmi_bell_init(&b->bell);
    store64(&b->n_bad, 0);
    for (int k = 0; k < FMI_BARRIER_BAD; k++)
        store64(&b->bad[k], 0);
    for (uint32_t i = 0; i < 2 * parties; i++)
        store64(&b->ids[i], 0);
}

/* The half of a generation. */
static _Atomic uint64_t *ids_of(struct fmi_barrier_shm *b, uint64_t generation)
{
    return b->ids + (generation % 2) * b->parties;
}

/* ---- holding the guard --------------------------------------------------------------------------- */

static void end_generation(struct fmi_barrier_shm *b, uint32_t n_before)
{
    store32(&b->n_before, n_before);
    FMI_FAULT("barrier.end");
    /* release: pairs with the acquire in wait_until_over. Before n_here, or a snapshot would show parties that are gone */
    atomic_store_explicit(&b->generation, load64(&b->generation) + 1, memory_order_release);
    FMI_FAULT("barrier.ended");
    store32(&b->n_here, 0);
    store32(&b->is_acting, 0);
}

/* Who waits gets FM_EBROKEN. */
static void end_badly(struct fmi_barrier_shm *b)
{
    uint64_t n = load64(&b->n_bad);
    store64(&b->bad[n % FMI_BARRIER_BAD], load64(&b->generation));
    store64(&b->n_bad, n + 1);
    FMI_FAULT("barrier.bad");
    end_generation(b, 0);
}

static void break_it(struct fmi_barrier_shm *b)
{
    store32(&b->is_broken, 1);
    end_badly(b);
}

/* If somebody died inside it, the barrier is broken. 0; -EAGAIN. */
static int enter(struct fmi_barrier_shm *b)
{
    int rc = fmi_lock_acquire(&b->guard, FMI_NEVER); /* held for moments; of a death it tells */
    if (rc != FM_EOWNERDEAD)
        return rc;
    break_it(b);
    fmi_bell_ring(&b->bell);
    return 0;
}

static void leave(struct fmi_barrier_shm *b)
{
    FMI_FAULT("barrier.leave");
    (void)fmi_lock_release(&b->guard);
}

/* ---- who is missing ------------------------------------------------------------------------------ */

static int is_here(struct fmi_barrier_shm *b, uint64_t generation, uint32_t n_here, uint64_t id)
{
    const _Atomic uint64_t *here = ids_of(b, generation);
    for (uint32_t i = 0; i < n_here; i++)
        if (load64(&here[i]) == id)
            return 1;
    return 0;
}

/*
 * 1: a party has died. Else *watch is a living one that was there before and is not here yet, whose death is to be heard of; or 0. Without the guard: ids may be of
 * another generation, and then this is looked at again.
 */
static int look_for_death(struct fmi_barrier_shm *b, uint64_t generation, uint64_t *watch)
{
    const uint32_t n_here = load32(&b->n_here), n_before = load32(&b->n_before);
    const uint64_t self = fmi_mortal_self();
    const _Atomic uint64_t *here = ids_of(b, generation), *before = ids_of(b, generation + 1);
    *watch = 0;
    for (uint32_t i = 0; i < n_here && i < b->parties; i++)
        if (!fmi_mortal_is_alive(load64(&here[i])))
            return 1;
    for (uint32_t i = 0; i < n_before && i < b->parties; i++) {
        uint64_t id = load64(&before[i]);
        if (fmi_mortal_is_alive(id)) {
            if (*watch == 0 && id != self && !is_here(b, generation, n_here, id))
                *watch = id;
        } else if (!fmi_mortal_has_left(id)) {
            return 1;
        }
    }
    if (*watch == 0 &&
        n_here > 0) /* it acts, or somebody new is to come: any of those who are here */
        *watch = load64(&here[n_here - 1 < b->parties ? n_here - 1 : 0]);
    return 0;
}

/*
 * Of many parties the first look would cost more than the wait. It is for one that is likely to be late: of those of before the one whose turn it was.
 * 0: there was none.
 */
static uint64_t guess_late(struct fmi_barrier_shm *b, uint64_t generation)
{
    const uint32_t n_here = load32(&b->n_here), n_before = load32(&b->n_before);
    return n_here < n_before && n_before <= b->parties ? load64(&ids_of(b, generation + 1)[n_here])
                                                       : 0;
}

/* It was, and maybe is no more: so says the guard. Breaks the generation that this thread waits for. */
static void break_if(struct fmi_barrier_shm *b, uint64_t generation, int is_over)
{
    uint64_t watch;
    FMI_FAULT("barrier.break");
    if (enter(b) != 0)
        return;
    if (load64(&b->generation) == generation && (is_over || look_for_death(b, generation, &watch)))
        break_it(b);
    leave(b);
    fmi_bell_ring(&b->bell);
}

/* ---- waiting ------------------------------------------------------------------------------------- */

/* How a generation that is over ended. */
static int answer(struct fmi_barrier_shm *b, uint64_t generation)
{
    uint64_t n = load64(&b->n_bad);
    for (uint64_t k = 0; k < FMI_BARRIER_BAD && k < n; k++)
        if (load64(&b->bad[k]) == generation)
            return FM_EBROKEN;
    /* Noted, but written over by later ones */
    return n > FMI_BARRIER_BAD && load64(&b->bad[n % FMI_BARRIER_BAD]) > generation ? FM_EBROKEN
                                                                                    : 0;
}

static int wait_until_over(struct fmi_barrier_shm *b, uint64_t generation, int64_t deadline_ns)
{
    int is_over = 0;
    for (int looks = 0;; looks++) {
        uint64_t watch;
        const uint32_t seen = fmi_bell_seen(&b->bell);
        /* acquire: pairs with end_generation */
        if (atomic_load_explicit(&b->generation, memory_order_acquire) != generation)
            return answer(b, generation);
        if (looks == 0 && b->parties > FEW_PARTIES) {
            watch = guess_late(b, generation);
        } else if (is_over || look_for_death(b, generation, &watch)) {
            break_if(b, generation, is_over);
            is_over = 0;
            continue;
        }
        FMI_FAULT("barrier.sleep");
        is_over = fmi_bell_wait(&b->bell, seen, watch, deadline_ns) == -ETIMEDOUT;
        FMI_FAULT("barrier.woken");
    }
}

/* All are here. The action runs without the guard; who waits watches over this thread. */
static int act(struct fmi_barrier_shm *b, struct fmi_barrier_action action, uint64_t generation)
{
    store32(&b->is_acting, 1);
    leave(b);
    FMI_FAULT("barrier.act");
    int code = action.run(action.arg);
    FMI_FAULT("barrier.acted");
    int rc = enter(b);
    if (rc != 0)
        return rc;
    if (load64(&b->generation) != generation) {
        leave(b);
        return FM_EBROKEN; /* aborted, reset or broken meanwhile */
    }
    if (code == 0)
        end_generation(b, b->parties);
    else
        break_it(b);
    leave(b);
    fmi_bell_ring(&b->bell);
    return code == 0 ? 0 : FM_EBROKEN;
}

/* The last one, with the guard. */
static int open_it(struct fmi_barrier_shm *b, struct fmi_barrier_action action, uint64_t generation)
{
    if (action.run != NULL)
        return act(b, action, generation);
    end_generation(b, b->parties);
    leave(b);
    FMI_FAULT("barrier.open");
    fmi_bell_ring(&b->bell);
    return 0;
}

/* A party, with the guard. -EBUSY: those of before are not through. */
static int come_in(struct fmi_barrier_shm *b, uint64_t id, uint32_t *index)
{
    *index = load32(&b->n_here);
    if (load32(&b->is_broken))
        return FM_EBROKEN;
    if (load32(&b->is_acting))
        return -EBUSY;
    FMI_FAULT("barrier.come");
    store64(&ids_of(b, load64(&b->generation))[*index], id);
    store32(&b->n_here, *index + 1);
    FMI_FAULT("barrier.here");
    return 0;
}

int fmi_barrier_wait(struct fmi_barrier_shm *b, struct fmi_barrier_action action, int *index,
                     int64_t deadline_ns)
{
    const uint64_t id = fmi_mortal_self();
    for (;;) {
        uint32_t mine;
        int rc = enter(b);
        if (rc != 0)
            return rc;
        const uint64_t generation = load64(&b->generation);
        rc = come_in(b, id, &mine);
        if (rc == 0) {
            *index = (int)mine;
            if (mine + 1 == b->parties)
                return open_it(b, action, generation);
        }
        leave(b);
        if (rc == FM_EBROKEN)
            return rc;
        const int code = wait_until_over(b, generation, deadline_ns);
        if (rc == 0)
            return code;
    }
}

/* ---- from outside -------------------------------------------------------------------------------- */

int fmi_barrier_abort(struct fmi_barrier_shm *b)
{
    int rc = enter(b);
    if (rc != 0)
        return rc;
    if (!load32(&b->is_broken))
        break_it(b);
    leave(b);
    fmi_bell_ring(&b->bell);
    return 0;
}

int fmi_barrier_reset(struct fmi_barrier_shm *b)
{
    int rc = enter(b);
    if (rc != 0)
        return rc;
    end_badly(b);
    store32(&b->is_broken, 0);
    leave(b);
    fmi_bell_ring(&b->bell);
    return 0;
}

uint32_t fmi_barrier_waiting(const struct fmi_barrier_shm *b)
{
    return load32(&b->n_here);
}

int fmi_barrier_is_broken(const struct fmi_barrier_shm *b)
{
    return load32(&b->is_broken) != 0;
}
