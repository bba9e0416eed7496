/* SPDX-License-Identifier: MIT */
/* A host; see host.h. */
#include "host.h"

#include "killer.h"
#include "stall.h"
#include "work.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { CALM_MAPS = 3 };
#define BROKEN_NS FM_SECONDS(5) /* within which a pool without a warden must say so */

struct host {
    struct chaos_board *board;
    uint64_t seed, number;
    struct chaos_host_plan plan;
    struct chaos_pool_plan pool;
    struct chaos_work_set set;
    struct chaos_killer killer;
    struct chaos_stall_clock clock;
    fm_pool_counters counted; /* of this pool, what is on the board */
};

static _Noreturn void give_up(const struct host *h, const char *what, int code)
{
    chaos_find(h->board, CHAOS_ERROR, "%s: %s: %s", what, fm_errname(code), fm_error_detail());
    _exit(1);
}

/* Often, since the host may be killed. */
static void count_on_board(struct host *h)
{
    struct chaos_board *b = h->board;
    fm_pool_counters now;
    if (fm_pool_stats(h->set.pool, &now) != 0)
        return;
    atomic_fetch_add(&b->n_deaths, now.deaths - h->counted.deaths);
    atomic_fetch_add(&b->n_reruns, now.reruns - h->counted.reruns);
    atomic_fetch_add(&b->n_steals, now.steals - h->counted.steals);
    atomic_fetch_add(&b->n_undone, now.undo_bytes - h->counted.undo_bytes);
    atomic_fetch_add(&b->n_recycled, now.recycled - h->counted.recycled);
    h->counted = now;
}

static void open_pool(struct host *h)
{
    fm_pool_opts opts = *FM_POOL_OPTS(.initializer = chaos_stage_enter, .init_arg = h->set.stage);
    opts.workers = h->pool.workers;
    opts.caller = h->pool.caller;
    opts.max_tasks_per_worker = h->pool.max_tasks;
    chaos_board_enter(h->board, CHAOS_OPENS);
    int rc = fm_pool_open(&h->set.pool, &opts);
    if (rc != 0)
        give_up(h, "fm_pool_open", rc);
    memset(&h->counted, 0, sizeof h->counted);
    atomic_fetch_add(&h->board->n_pools, 1);
}

/* One map. Returns its code, if the warden was killed; else 0, and what is not right was found. */
static int map_once(struct host *h)
{
    struct chaos_killer *k = &h->killer;
    struct chaos_map_plan plan = chaos_plan_map(&h->pool, CHAOS_N_SMALL, CHAOS_N_LARGE);
    int64_t calm_before = atomic_load(&k->calm_ns);
    atomic_store(&h->board->work, (uint32_t)plan.work);
    chaos_board_enter(h->board, CHAOS_MAPS);
    chaos_stall_begin(&h->clock, h->set.pool);
    int code = chaos_work_run(&h->set, &plan);
    int64_t calm = atomic_load(&k->calm_ns);
    if (atomic_load(&k->has_killed_warden)) {
        if (code == 0 || code == FM_ECRASHED)
            chaos_work_check(&h->set, &plan, code, 0);
        return code == FM_ECRASHED ? 0 : code;
    }
    /* A process that is replaced, or dies, takes the time that it waited for a processor with it. */
    int has_ends = plan.work == CHAOS_POISON || h->pool.max_tasks > 0;
    chaos_stall_end(&h->clock, h->board, h->set.pool, plan.work, has_ends ? 0 : calm);
    chaos_work_check(&h->set, &plan, code, calm != 0 && calm == calm_before);
    atomic_fetch_add(&h->board->n_maps[plan.work], 1);
    atomic_fetch_add(&k->n_maps, 1);
    atomic_store(&h->board->is_mapping, 1);
    count_on_board(h);
    return 0;
}

/* The pool has no warden any more: a map says so, now or a moment later, and the next one, too. */
static void expect_broken(struct host *h)
{
    int64_t deadline = chaos_now_ns() + BROKEN_NS;
    int code = 0;
    while (code == 0 && chaos_now_ns() < deadline)
        code = map_once(h);
    if (code == FM_EBROKEN)
        code = map_once(h);
    if (code != FM_EBROKEN)
        chaos_find(h->board, CHAOS_ERROR, "maps without a warden: %s instead of FM_EBROKEN",
                   fm_errname(code));
    chaos_work_reset(&h->set);
}

static void destroy_pool(struct host *h)
{
    chaos_board_enter(h->board, CHAOS_DESTROYS);
    int rc = fm_pool_destroy(h->set.pool);
    if (rc != 0)
        chaos_find(h->board, CHAOS_ERROR, "fm_pool_destroy: %s", fm_errname(rc));
}

static void close_pool(struct host *h)
{
    chaos_board_enter(h->board, CHAOS_CLOSES);
    int rc = fm_pool_close(h->set.pool);
    if (rc == 0)
        rc = fm_pool_join(h->set.pool, FM_FOREVER); /* the watchdog knows how long that may be */
    if (rc != 0)
        chaos_find(h->board, CHAOS_ERROR, "close and join: %s", fm_errname(rc));
    count_on_board(h);
}

/* Maps until there is nobody to do so: the watchdog kills this process, or all is over. */
static void map_until_killed(struct host *h)
{
    atomic_store(&h->board->is_ready, 1);
    while (!atomic_load(&h->board->is_over))
        map_once(h);
}

static void run_pool(struct host *h, int number)
{
    int is_last = number == h->plan.n_pools - 1;
    atomic_store(&h->board->pool, number);
    h->pool = chaos_plan_pool(h->seed, h->number, number);
    open_pool(h);
    h->killer =
        (struct chaos_killer){.board = h->board,
                              .stage = h->set.stage,
                              .pool = h->set.pool,
                              .plan = h->pool,
                              .kills_warden = !is_last && h->pool.end == CHAOS_POOL_LOSES_WARDEN};
    if (chaos_killer_start(&h->killer) != 0)
        give_up(h, "no thread", 0);
    int code = 0;
    while (code == 0 && !atomic_load(&h->killer.is_over))
        code = map_once(h);
    chaos_killer_stop(&h->killer);
    if (atomic_load(&h->killer.has_killed_warden))
        expect_broken(h);
    else if (is_last && h->plan.end == CHAOS_HOST_IS_KILLED)
        map_until_killed(h);
    if (is_last && h->plan.end == CHAOS_HOST_LEAVES) {
        chaos_board_enter(h->board, CHAOS_ENDS);
        exit(0); /* NOLINT(concurrency-mt-unsafe): as a program does that returns from main */
    }
    if (h->pool.end == CHAOS_POOL_CLOSES)
        close_pool(h);
    destroy_pool(h);
}

_Noreturn void chaos_host_run(struct chaos_board *board, uint64_t seed, uint64_t number)
{
    static struct host host; /* large */
    struct host *h = &host;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* with the watchdog */
    *h = (struct host){.board = board, .seed = seed, .number = number};
    h->plan = chaos_plan_host(seed, number);
    int rc = fm_set_start_method(h->plan.method, 1);
    if (rc == 0)
        rc = chaos_work_open(&h->set, board);
    if (rc != 0)
        give_up(h, "the arrays", rc);
    for (int i = 0; i < h->plan.n_pools && !atomic_load(&board->is_over); i++)
        run_pool(h, i);
    chaos_board_enter(board, CHAOS_ENDS);
    fm_forkserver_stop();
    _exit(0);
}
