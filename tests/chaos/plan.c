/* SPDX-License-Identifier: MIT */
/* Decisions; see plan.h. Each draws the same number of numbers whatever comes out, so that one more does not shift the others. */
#include "plan.h"

#include <forkmap/forkmap.h>
#include <string.h>

enum { MAX_WORKERS = 4, LONGEST_HOLD_US = 2000, LONGEST_START_US = 12000 };

const char *chaos_kind_name(int kind)
{
    static const char *const names[CHAOS_KINDS] = {
        "kill", "stop_kill", "stop_cont", "point", "segv", "exit", "abort", "warden", "host"};
    return names[kind];
}

static const char *const points[] = {
    "range.intend",    "range.claim",    "range.claimed",     "range.claim_lost",
    "range.finish",    "range.finished", "range.drop_intent", "steal.intend",
    "steal.move",      "steal.commit",   "steal.committed",   "steal.install",
    "steal.installed", "steal.released", "steal.clear",       "call.item",
    "call.chunk",      "undo.saved",     "run.enter",         "run.lost_chunk",
    "serve.inside",    "serve.leave",    "serve.left",        "serve.found_nothing",
    "job.finish",      "job.finished",   "task.pick",         "task.picked",
    "task.take",       "task.taken",     "task.called",       "task.end",
    "task.ended",      "blame.recorded", "record.link",       "record.append"};
enum { N_POINTS = sizeof points / sizeof points[0] };

static int aim = -1; /* of the run */

int chaos_plan_aim(const char *name)
{
    for (aim = N_POINTS - 1; aim >= 0 && strcmp(points[aim], name) != 0; aim--)
        ;
    return aim >= 0 ? 0 : -1;
}

const char *chaos_point_name(int point)
{
    return point >= 0 && point < N_POINTS ? points[point] : NULL;
}

const char *chaos_work_name(int work)
{
    static const char *const names[CHAOS_WORKS] = {
        "items in place", "chunks in place", "two maps in place",
        "items",          "columns",         "range",
        "range chunks",   "tasks",           "sum",
        "poisoned items"};
    return names[work];
}

/* splitmix64 (Steele, Lea, Flood 2014) */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static uint64_t draw(struct chaos_random *random)
{
    return mix(random->state += 0x9e3779b97f4a7c15ull);
}

uint64_t chaos_random_below(struct chaos_random *random, uint64_t n)
{
    return (draw(random) >> 11) % n;
}

static int below(struct chaos_random *random, int n)
{
    return (int)chaos_random_below(random, (uint64_t)n);
}

static struct chaos_random stream(uint64_t seed, uint64_t host, uint64_t what)
{
    return (struct chaos_random){mix(mix(mix(seed) + host) + what)};
}

struct chaos_host_plan chaos_plan_host(uint64_t seed, uint64_t host)
{
    static const int methods[] = {FM_FORK, FM_SPAWN, FM_FORKSERVER};
    static const int ends[] = {CHAOS_HOST_CLOSES,    CHAOS_HOST_CLOSES,
                               CHAOS_HOST_LEAVES,    CHAOS_HOST_IS_KILLED,
                               CHAOS_HOST_IS_KILLED, CHAOS_HOST_IS_KILLED,
                               CHAOS_HOST_IS_KILLED, CHAOS_HOST_IS_KILLED_EARLY};
    struct chaos_random random = stream(seed, host, 0);
    struct chaos_host_plan plan = {.method = methods[host % 3]};
    plan.n_pools = 1 + below(&random, 3);
    plan.end = ends[below(&random, 8)];
    plan.end_us = below(&random, plan.end == CHAOS_HOST_IS_KILLED_EARLY ? LONGEST_START_US : 3000);
    return plan;
}

struct chaos_pool_plan chaos_plan_pool(uint64_t seed, uint64_t host, int pool)
{
    static const int ends[] = {CHAOS_POOL_CLOSES, CHAOS_POOL_IS_DESTROYED, CHAOS_POOL_LOSES_WARDEN,
                               CHAOS_POOL_LOSES_WARDEN};
    uint64_t number = 3 * (uint64_t)pool;
    struct chaos_random random = stream(seed, host, number + 1);
    struct chaos_pool_plan plan = {.kills = stream(seed, host, number + 2),
                                   .maps = stream(seed, host, number + 3)};
    plan.workers = 1 + below(&random, MAX_WORKERS);
    plan.caller = below(&random, 3) == 0 ? FM_CALLER_WORKS : FM_CALLER_SLEEPS;
    if (plan.caller == FM_CALLER_WORKS && plan.workers == 1)
        plan.workers = 2; /* the caller is one of them */
    plan.max_tasks = below(&random, 4) == 0 ? 200 + below(&random, 2000) : 0;
    plan.n_kills = 20 + below(&random, 60);
    plan.end = ends[below(&random, 4)];
    return plan;
}

static int kind_of(int percent)
{
    static const struct {
        int kind, below;
    } shares[] = {{CHAOS_KILL, 36},     {CHAOS_STOP_KILL, 46}, {CHAOS_STOP_CONT, 56},
                  {CHAOS_AT_POINT, 80}, {CHAOS_SEGV, 90},      {CHAOS_EXIT, 96},
                  {CHAOS_ABORT, 100}};
    int i = 0;
    while (percent >= shares[i].below)
        i++;
    return shares[i].kind;
}

struct chaos_kill_plan chaos_plan_kill(struct chaos_pool_plan *pool)
{
    static const int longest_us[] = {1, 50, 300, 1000, 3000};
    struct chaos_random *random = &pool->kills;
    struct chaos_kill_plan plan = {.kind = kind_of(below(random, 100))};
    int most_us = longest_us[below(random, 5)], ends_burst = below(random, 12) == 0;
    int n_quiet = 2 + below(random, 2);
    if (pool->most_us == 0)
        pool->most_us = most_us;
    plan.rank = below(random, pool->workers);
    plan.delay_us = (int)(chaos_random_below(random, 1 << 20) * (uint64_t)pool->most_us >> 20);
    plan.hold_us = below(random, LONGEST_HOLD_US);
    plan.place = CHAOS_BEFORE + below(random, 3);
    plan.passages = 1 + below(random, 1 << below(random, 10));
    plan.point = below(random, 2 * N_POINTS);
    int is_anywhere = below(random, 2), is_alone = below(random, 3) == 0;
    int aimed = below(random, 6); /* three of six are, if there is an aim */
    if (aim >= 0 && aimed <= CHAOS_AT_POINT && aimed != CHAOS_KILL) {
        plan.kind = aimed;
        plan.point = aim;
        is_anywhere = 0;
        is_alone = 1;
    }
    if (plan.point < N_POINTS)
        plan.passages = 1 + plan.passages % 4; /* some are passed once in a map */
    else
        plan.point = -1;
    if (plan.kind == CHAOS_AT_POINT || (plan.kind <= CHAOS_STOP_CONT && !is_anywhere))
        plan.place = 0;
    if (plan.kind == CHAOS_KILL)
        plan.place = CHAOS_BEFORE; /* it is not asked */
    /* What a death at a transition leaves behind is not to be repaired by the next one at once. */
    ends_burst |= is_alone && plan.place == 0 && plan.point >= 0;
    plan.n_quiet = ends_burst ? n_quiet : 0;
    if (ends_burst)
        pool->most_us = 0; /* the next burst has its own */
    return plan;
}

struct chaos_map_plan chaos_plan_map(struct chaos_pool_plan *pool, int64_t n_small, int64_t n_large)
{
    static const int works[] = {
        CHAOS_ITEM_IN_PLACE,  CHAOS_ITEM_IN_PLACE,  CHAOS_ITEM_IN_PLACE, CHAOS_CHUNK_IN_PLACE,
        CHAOS_CHUNK_IN_PLACE, CHAOS_CHUNK_IN_PLACE, CHAOS_PAIR_IN_PLACE, CHAOS_PAIR_IN_PLACE,
        CHAOS_ITEM,           CHAOS_STAR,           CHAOS_RANGE,         CHAOS_RANGE_CHUNK,
        CHAOS_TASKS,          CHAOS_TASKS,          CHAOS_REDUCE,        CHAOS_POISON};
    static const int schedules[] = {FM_SCHEDULE_AUTO,    FM_SCHEDULE_AUTO,   FM_SCHEDULE_DYNAMIC,
                                    FM_SCHEDULE_DYNAMIC, FM_SCHEDULE_GUIDED, FM_SCHEDULE_STATIC};
    static const uint32_t toils[] = {0, 0, 20, 100};
    struct chaos_random *random = &pool->maps;
    struct chaos_map_plan plan = {.work = works[below(random, 16)]};
    plan.is_large = below(random, 2);
    int64_t n = plan.is_large ? n_large : n_small;
    plan.schedule = schedules[below(random, 6)];
    int length = 1 + below(random, 1 << below(random, 6));
    plan.chunk = plan.schedule == FM_SCHEDULE_AUTO ? 0 : length;
    plan.toil = toils[below(random, 4)];
    plan.n_poisoned = 1 + below(random, 2);
    plan.poisoned[0] = (int64_t)chaos_random_below(random, (uint64_t)n / 2);
    plan.poisoned[1] = n / 2 + (int64_t)chaos_random_below(random, (uint64_t)n / 2);
    /* A caller that works would run them itself. */
    if (plan.work == CHAOS_POISON && pool->caller == FM_CALLER_WORKS)
        plan.work = CHAOS_CHUNK_IN_PLACE;
    return plan;
}
