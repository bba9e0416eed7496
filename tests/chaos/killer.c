/* SPDX-License-Identifier: MIT */
/* The thread that kills; see killer.h. */
#include "killer.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    LOOK_US = 150,     /* for a process to kill, or for a trap to spring */
    MOST_LOOKS = 2000, /* then this kill is given up */
    TRAP_MAPS = 2,
    LAST_QUIET_MAPS = 3,
    ROUGHLY_US = 300
};

#define SUCCESSOR_NS 20000000000

static int is_called_off(const struct chaos_killer *k)
{
    return atomic_load(&k->is_called_off) || atomic_load(&k->board->is_over);
}

static void count(const struct chaos_killer *k, int kind)
{
    atomic_fetch_add(&k->board->n_kills[kind], 1);
}

/* A worker that was not killed yet, beginning at `rank`; 0: none now. */
static int find_victim(struct chaos_killer *k, int rank, int *at)
{
    for (int i = 0; i < k->plan.workers; i++) {
        fm_worker_info info;
        *at = (rank + i) % k->plan.workers;
        if (fm_pool_worker(k->pool, *at, &info) == 0 && info.pid > 0 && info.pid != getpid() &&
            info.pid != k->killed[*at] && info.pid != atomic_load(&k->stage->taker))
            return info.pid;
    }
    return 0;
}

static int await_victim(struct chaos_killer *k, int rank, int *at)
{
    int pid = 0;
    for (int i = 0; i < MOST_LOOKS && !is_called_off(k); i++) {
        pid = find_victim(k, rank, at);
        if (pid != 0)
            break;
        chaos_sleep_us(LOOK_US);
    }
    return pid;
}

static void strike(struct chaos_killer *k, const struct chaos_kill_plan *plan)
{
    int at, pid = await_victim(k, plan->rank, &at);
    if (pid == 0)
        return;
    if (plan->kind != CHAOS_KILL) {
        kill(pid, SIGSTOP);
        chaos_sleep_us(plan->hold_us);
    }
    if (kill(pid, plan->kind == CHAOS_STOP_CONT ? SIGCONT : SIGKILL) != 0)
        return; /* it has died of something else */
    if (plan->kind != CHAOS_STOP_CONT)
        k->killed[at] = pid;
    count(k, plan->kind);
}

/* Not every map passes every place: some maps, and it is given up. */
static void set_trap(struct chaos_killer *k, const struct chaos_kill_plan *plan)
{
    uint64_t end = atomic_load(&k->n_maps) + TRAP_MAPS;
    chaos_trap_set(k->stage, plan);
    while (chaos_trap_is_set(k->stage) && atomic_load(&k->n_maps) < end && !is_called_off(k))
        chaos_sleep_us(LOOK_US);
    int pid = chaos_trap_end(k->stage);
    if (pid == 0)
        return;
    count(k, plan->kind);
    if (plan->kind > CHAOS_STOP_CONT)
        return;
    kill(pid, SIGSTOP);
    chaos_sleep_us(plan->hold_us);
    if (plan->kind == CHAOS_STOP_CONT)
        chaos_trap_let_go(k->stage);
    kill(pid, plan->kind == CHAOS_STOP_CONT ? SIGCONT : SIGKILL);
}

static int has_successors(const struct chaos_killer *k)
{
    for (int rank = 0; rank < k->plan.workers; rank++) {
        fm_worker_info info;
        if (fm_pool_worker(k->pool, rank, &info) == 0 &&
            (info.pid <= 0 || info.pid == k->killed[rank] ||
             info.pid == atomic_load(&k->stage->taker)))
            return 0;
    }
    return 1;
}

/* Who was killed needs a processor to die, and that wait goes with it: so it is quiet only when all have successors (stall.h). */
static void await_successors(const struct chaos_killer *k)
{
    int64_t deadline = chaos_now_ns() + SUCCESSOR_NS;
    while (!has_successors(k) && !is_called_off(k)) {
        if (chaos_now_ns() > deadline) {
            chaos_find(k->board, CHAOS_ERROR, "a worker that was killed has no successor");
            return;
        }
        chaos_sleep_us(LOOK_US);
    }
}

/* Until `n` maps have ended, however long that takes: the watchdog knows how long that may be. */
static void be_quiet(struct chaos_killer *k, uint64_t n)
{
    await_successors(k);
    uint64_t end = atomic_load(&k->n_maps) + n;
    atomic_store(&k->calm_ns, chaos_now_ns());
    while (atomic_load(&k->n_maps) < end && !is_called_off(k))
        chaos_sleep_us(ROUGHLY_US);
}

static void kill_warden(struct chaos_killer *k)
{
    int pid = fm_pool_warden_pid(k->pool);
    atomic_store(&k->calm_ns, 0);
    if (pid <= 0 || is_called_off(k))
        return;
    atomic_store(&k->has_killed_warden, 1); /* before: a map may fail from now on */
    if (kill(pid, SIGKILL) == 0)
        count(k, CHAOS_WARDEN);
}

static void *rage(void *killer)
{
    struct chaos_killer *k = killer;
    prctl(PR_SET_TIMERSLACK, 1); /* or each delay would be 50 us longer */
    for (int i = 0; i < k->plan.n_kills && !is_called_off(k); i++) {
        struct chaos_kill_plan plan = chaos_plan_kill(&k->plan);
        atomic_store(&k->calm_ns, 0);
        chaos_sleep_us(plan.delay_us);
        if (plan.kind <= CHAOS_STOP_CONT && (plan.place != 0 || !chaos_has_points()))
            strike(k, &plan);
        else if (plan.kind == CHAOS_AT_POINT && !chaos_has_points())
            strike(k, &(struct chaos_kill_plan){.kind = CHAOS_KILL, .rank = plan.rank});
        else
            set_trap(k, &plan);
        if (plan.n_quiet > 0)
            be_quiet(k, (uint64_t)plan.n_quiet);
    }
    be_quiet(k, LAST_QUIET_MAPS);
    if (k->kills_warden)
        kill_warden(k);
    atomic_store(&k->is_over, 1);
    return NULL;
}

int chaos_killer_start(struct chaos_killer *killer)
{
    return pthread_create(&killer->thread, NULL, rage, killer);
}

void chaos_killer_stop(struct chaos_killer *killer)
{
    atomic_store(&killer->is_called_off, 1);
    pthread_join(killer->thread, NULL);
}
