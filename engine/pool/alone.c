/* SPDX-License-Identifier: MIT */
/* Turns alone; the protocol is in alone.h. */
#include "alone.h"

#include "clock.h"
#include "fault.h"
#include "task.h"

enum { LOOK_NS = 1000000, LOOK_LONG_NS = 50000000 };
enum { MOST_AGO = 16 }; /* [starts] of a rank while a turn lasts */
#define LEAST_NS                                                                                   \
    FM_SECONDS(10) /* a turn; longer ones last twice what the attempt took that was killed */
#define MOST_NS FM_SECONDS(86400)

static uint32_t now_ms(void)
{
    return (uint32_t)(fmi_now_ns() / 1000000); /* goes round in 49 days; differences are right */
}

static uint64_t make_turn(int rank, uint32_t starts, unsigned state, int64_t ns)
{
    uint32_t until = now_ms() + (uint32_t)(ns / 1000000);
    return (uint64_t)until << 32 | (uint64_t)(starts & 0xffff) << 13 | (uint64_t)(rank + 1) << 2 |
           state;
}

static int rank_of(uint64_t turn)
{
    return (int)(turn >> 2 & 0x7ff) - 1;
}

static unsigned state_of(uint64_t turn)
{
    return (unsigned)(turn & 3);
}

static int has_passed(uint64_t turn)
{
    int32_t left_ms = (int32_t)((uint32_t)(turn >> 32) - now_ms());
    return left_ms <= 0 || left_ms > 2 * (MOST_NS / 1000000);
}

/* What no worker of today can have written: the word lies where a stray write can reach it, and nobody would end such a turn. */
static int is_nobodys(const struct fmi_pool_view *view, uint64_t turn)
{
    int rank = rank_of(turn);
    if (state_of(turn) == 0 || state_of(turn) == 3 || rank < 0 || rank >= view->n_ranks)
        return 1;
    uint32_t ago = atomic_load(&view->crew->workers[rank].starts) - (uint32_t)(turn >> 13);
    return (uint16_t)(ago + MOST_AGO) > 2 * MOST_AGO; /* a standby is one ahead, or two */
}

/* The turn of another; 0: there is none. One that has passed, or is nobody's, is taken away. */
static uint64_t turn_of_another(const struct fmi_pool_view *view, int rank)
{
    uint64_t turn = atomic_load(FMI_POOL_TURN(view->shm));
    if (turn == 0 || rank_of(turn) == rank)
        return 0;
    if (!has_passed(turn) && !is_nobodys(view, turn))
        return turn;
    if (atomic_compare_exchange_strong(FMI_POOL_TURN(view->shm), &turn, 0))
        fmi_park_wake(&view->shm->work);
    return 0;
}

/* The warden's end is that of all workers. */
static int is_over(const struct fmi_pool_view *view)
{
    return (atomic_load(&view->crew->life.word) & FMI_LIFE_OVER) != 0;
}

static int is_never_off(void *arg)
{
    (void)arg;
    return 0;
}

void fmi_alone_give_way(const struct fmi_pool_view *view, int rank, _Atomic uint64_t *rest,
                        int (*is_off)(void *arg), void *arg)
{
    while (turn_of_another(view, rank) != 0 && !is_off(arg) && !is_over(view)) {
        atomic_store(rest, 1); /* pairs with is_running, is_performing */
        FMI_FAULT("alone.rest");
        uint32_t seen = fmi_park_seen(&view->shm->work);
        if (turn_of_another(view, rank) != 0)
            fmi_park(&view->shm->work, seen, 0, fmi_deadline_after(LOOK_LONG_NS));
        atomic_store(rest, 0); /* seq_cst: before the look at the turn */
    }
}

/* ---- who is quiet ------------------------------------------------------------------------------- */

static int is_running(const struct fmi_pool_view *view, int slot, int rank)
{
    const struct fmi_job_shm *job = &view->shm->jobs[slot];
    uint64_t word = atomic_load(&job->word);
    if (fmi_job_state(word) != FMI_JOB_OPEN || rank >= job->plan.n_ranks)
        return 0;
    struct fmi_ranges ranges = fmi_job_ranges(view, slot, fmi_job_ticket(word), &job->plan);
    return fmi_range_has_flight(&ranges, rank) && atomic_load(&ranges.lines[rank].rest) == 0;
}

static int is_performing(const struct fmi_pool_view *view, int rank)
{
    return fmi_task_of(view, rank) != NULL && atomic_load(&view->tallies[rank].rest) == 0;
}

/* A dead one's chunk counts until its successor has come to b2. */
static int are_others_quiet(const struct fmi_pool_view *view, int self)
{
    for (int rank = 0; rank < view->n_ranks; rank++) {
        if (rank == self)
            continue;
        if (is_performing(view, rank))
            return 0;
        for (uint64_t used = atomic_load(FMI_POOL_USED(view->shm)); used != 0; used &= used - 1)
            if (is_running(view, __builtin_ctzll(used), rank))
                return 0;
    }
    return 1;
}

/* ---- the turn ----------------------------------------------------------------------------------- */

static uint64_t take_turn(const struct fmi_pool_view *view, int rank, uint32_t starts,
                          _Atomic uint64_t *rest, int64_t ns)
{
    for (;;) {
        fmi_alone_give_way(view, rank, rest, is_never_off, NULL);
        uint64_t before = atomic_load(FMI_POOL_TURN(view->shm));
        uint64_t turn = make_turn(rank, starts, FMI_ALONE_WAITING, ns);
        if (before != 0 && rank_of(before) != rank && !is_over(view))
            continue;
        if (atomic_compare_exchange_strong(FMI_POOL_TURN(view->shm), &before, turn))
            return turn;
    }
}

void fmi_alone_begin(const struct fmi_pool_view *view, int rank, uint32_t starts,
                     _Atomic uint64_t *rest, int64_t attempt_ns)
{
    int64_t ns = attempt_ns > MOST_NS / 2 ? MOST_NS : 2 * attempt_ns;
    if (ns < LEAST_NS)
        ns = LEAST_NS;
    uint64_t turn = take_turn(view, rank, starts, rest, ns);
    FMI_FAULT("alone.waiting");
    while (!are_others_quiet(view, rank)) {
        uint32_t seen = fmi_park_seen(&view->shm->work);
        if (has_passed(turn) || is_over(view))
            return; /* beside the others, then */
        fmi_park(&view->shm->work, seen, 0, fmi_deadline_after(LOOK_NS));
    }
    /* failed: it has passed, and another has seen that */
    atomic_compare_exchange_strong(FMI_POOL_TURN(view->shm), &turn,
                                   make_turn(rank, starts, FMI_ALONE_ALONE, ns));
    FMI_FAULT("alone.begin");
}

void fmi_alone_end(const struct fmi_pool_view *view, int rank)
{
    uint64_t turn = atomic_load(FMI_POOL_TURN(view->shm));
    if (turn == 0 || rank_of(turn) != rank)
        return;
    FMI_FAULT("alone.end");
    if (atomic_compare_exchange_strong(FMI_POOL_TURN(view->shm), &turn, 0))
        fmi_park_wake(&view->shm->work);
}

int fmi_alone_left_by(const struct fmi_pool_view *view, int rank, uint32_t starts)
{
    uint64_t turn = atomic_load(FMI_POOL_TURN(view->shm));
    int is_its = turn != 0 && rank_of(turn) == rank && (turn >> 13 & 0xffff) == (starts & 0xffff);
    return is_its && !has_passed(turn) ? (int)state_of(turn) : 0;
}
