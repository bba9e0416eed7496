/* SPDX-License-Identifier: MIT */
/* The maps of a host; see work.h. */
#include "work.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    N_COLUMNS = 3,
    N_TASKS = 100,
    RETRIES = 60,      /* kills are many, and nobody's fault */
    RETRIES_POISON = 4 /* each is a death */
};

/* ---- functions: they run in the workers ------------------------------------------------------ */

static void toil(const struct chaos_stage *stage, uint64_t weight)
{
    uint64_t n = weight * atomic_load_explicit(&stage->toil, memory_order_relaxed);
    for (volatile uint64_t i = 0; i < n;)
        i = i + 1;
}

static void step(const struct chaos_row *from, struct chaos_row *to, struct chaos_stage *stage)
{
    uint64_t x = from->x;
    chaos_trap_pass(stage, CHAOS_BEFORE);
    toil(stage, from->weight);
    to->x = 3 * x + 1;
    chaos_trap_pass(stage, CHAOS_MIDDLE);
    to->y = 5 * from->y + x;
    to->weight = from->weight;
    chaos_trap_pass(stage, CHAOS_AFTER);
}

static struct chaos_row row_of_number(int64_t i)
{
    return (struct chaos_row){(uint64_t)i, (uint64_t)i ^ 0x5555, 1};
}

/* What a step comes to. */
static struct chaos_row stepped(struct chaos_row row)
{
    return (struct chaos_row){3 * row.x + 1, 5 * row.y + row.x, row.weight};
}

static int step_item(const void *item, void *result, void *stage)
{
    step(item, result, stage);
    return 0;
}

static int step_star(const void *const items[], void *result, void *stage)
{
    const struct chaos_row *a = items[0], *b = items[1];
    struct chaos_row sum = {a->x + b->x, a->y + b->y, a->weight};
    step(&sum, result, stage);
    return 0;
}

static int step_number(const void *item, void *result, void *stage)
{
    struct chaos_row row = row_of_number(*(const int64_t *)item);
    step(&row, result, stage);
    return 0;
}

/* Without traps: few attempts are allowed here, and traps in a row would use up those of an item that is none of the poisoned. */
static int step_poisoned(const void *item, void *result, void *stage)
{
    const struct chaos_stage *s = stage;
    int64_t i = *(const int64_t *)item;
    for (int k = 0; k < s->n_poisoned; k++)
        if (i == s->poisoned[k])
            chaos_crash();
    toil(s, 1);
    *(struct chaos_row *)result = stepped(row_of_number(i));
    return 0;
}

static int step_chunk(const fm_chunk *chunk, void *stage)
{
    for (int64_t i = 0; i < chunk->count; i++) {
        struct chaos_row *to = (void *)((char *)chunk->out + i * chunk->out_stride);
        struct chaos_row number = row_of_number(chunk->begin + i);
        const void *from = chunk->n_in == 0 ? (const void *)&number
                                            : (const char *)chunk->in[0] + i * chunk->in_stride[0];
        step(from, to, stage);
    }
    return 0;
}

static int sum_item(const void *item, void *result, void *stage)
{
    struct chaos_row row;
    step_number(item, &row, stage);
    *(int64_t *)result = (int64_t)(row.x + row.y);
    return 0;
}

struct task { /* argument */
    struct chaos_stage *stage;
    int64_t i;
};

static int do_task(const void *arg, void *result)
{
    const struct task *task = arg;
    return sum_item(&task->i, result, task->stage);
}

/* ---- what they must come to ------------------------------------------------------------------- */

static int64_t sum_of(int64_t i)
{
    struct chaos_row row = stepped(row_of_number(i));
    return (int64_t)(row.x + row.y);
}

static struct chaos_table *table_of(struct chaos_work_set *set, const struct chaos_map_plan *plan)
{
    return plan->is_large ? &set->large : &set->small;
}

static struct chaos_row expected_row(const struct chaos_table *t, int work, int64_t i)
{
    const struct chaos_row *in = fm_array_data(t->in);
    if (work == CHAOS_ITEM)
        return stepped(in[i]);
    if (work == CHAOS_STAR)
        return stepped((struct chaos_row){in[i].x + t->expected[i].x, in[i].y + t->expected[i].y,
                                          in[i].weight});
    return stepped(row_of_number(i));
}

static int is_poisoned(const struct chaos_map_plan *plan, int64_t i)
{
    for (int k = 0; k < plan->n_poisoned && plan->work == CHAOS_POISON; k++)
        if (plan->poisoned[k] == i)
            return 1;
    return 0;
}

static int is_same(struct chaos_row a, struct chaos_row b)
{
    return a.x == b.x && a.y == b.y && a.weight == b.weight;
}

static void tell_wrong(const struct chaos_work_set *set, const struct chaos_map_plan *plan,
                       int64_t n_wrong, int64_t first)
{
    if (n_wrong > 0)
        chaos_find(set->board, CHAOS_WRONG,
                   "%s: %lld wrong rows of %d, the first is %lld (schedule %d, chunk %lld)",
                   chaos_work_name(plan->work), (long long)n_wrong,
                   plan->is_large ? CHAOS_N_LARGE : CHAOS_N_SMALL, (long long)first, plan->schedule,
                   (long long)plan->chunk);
}

static void check_own(struct chaos_work_set *set, const struct chaos_map_plan *plan,
                      struct chaos_table *t)
{
    struct chaos_row *rows = fm_array_data(t->own);
    int64_t n_wrong = 0, first = -1;
    for (int64_t i = 0; i < t->n; i++) {
        t->expected[i] = stepped(t->expected[i]);
        if (is_same(rows[i], t->expected[i]))
            continue;
        first = n_wrong++ == 0 ? i : first;
        rows[i] = t->expected[i]; /* so that it is found once */
    }
    tell_wrong(set, plan, n_wrong, first);
}

static void check_out(struct chaos_work_set *set, const struct chaos_map_plan *plan)
{
    const struct chaos_table *t = table_of(set, plan);
    const struct chaos_row *rows = fm_array_data(t->out);
    int64_t n_wrong = 0, first = -1;
    for (int64_t i = 0; i < t->n; i++)
        if (!is_poisoned(plan, i) && !is_same(rows[i], expected_row(t, plan->work, i)))
            first = n_wrong++ == 0 ? i : first;
    tell_wrong(set, plan, n_wrong, first);
}

/* By a signal of its own; or, if someone was killed in its last attempt, by that. */
static int is_record_of(const fm_failure *f, int64_t item, int is_calm)
{
    int crashed = f->state == FM_ITEM_CRASHED && f->signal == SIGSEGV && f->address == 8;
    int killed = (f->state == FM_ITEM_CRASHED || f->state == FM_ITEM_OUT_OF_MEMORY) &&
                 (f->signal != 0 || f->code != 0);
    return f->item == item && f->attempt == RETRIES_POISON + 1 && (crashed || (killed && !is_calm));
}

static void check_poison(struct chaos_work_set *set, const struct chaos_map_plan *plan, int is_calm)
{
    const struct chaos_table *t = table_of(set, plan);
    const uint8_t *status = fm_array_data(t->status);
    fm_failure list[4];
    int64_t n = fm_pool_failures(set->pool, list, 4);
    if (n != plan->n_poisoned)
        chaos_find(set->board, CHAOS_WRONG, "%lld records of %d poisoned items", (long long)n,
                   plan->n_poisoned);
    for (int k = 0; k < plan->n_poisoned && k < n; k++)
        if (!is_record_of(&list[k], plan->poisoned[k], is_calm))
            chaos_find(set->board, CHAOS_WRONG,
                       "the record of item %lld is of item %lld, state %d, signal %d, code %d, "
                       "attempt %d, address %llx",
                       (long long)plan->poisoned[k], (long long)list[k].item, list[k].state,
                       list[k].signal, list[k].code, list[k].attempt,
                       (unsigned long long)list[k].address);
    for (int64_t i = 0; i < t->n; i++)
        if ((status[i] == FM_ITEM_DONE) == is_poisoned(plan, i))
            chaos_find(set->board, CHAOS_WRONG, "the state of item %lld is %d", (long long)i,
                       status[i]);
    check_out(set, plan);
}

void chaos_work_check(struct chaos_work_set *set, const struct chaos_map_plan *plan, int code,
                      int is_calm)
{
    int expected = plan->work == CHAOS_POISON ? FM_ECRASHED : 0;
    if (code != expected) {
        chaos_find(set->board, CHAOS_ERROR, "%s: %s instead of %s: %s (schedule %d, chunk %lld)",
                   chaos_work_name(plan->work), fm_errname(code), fm_errname(expected),
                   fm_error_detail(), plan->schedule, (long long)plan->chunk);
        chaos_work_reset(set);
        return;
    }
    switch (plan->work) {
    case CHAOS_PAIR_IN_PLACE:
        check_own(set, plan, &set->small);
        check_own(set, plan, &set->large);
        break;
    case CHAOS_ITEM_IN_PLACE:
    case CHAOS_CHUNK_IN_PLACE:
        check_own(set, plan, table_of(set, plan));
        break;
    case CHAOS_POISON:
        check_poison(set, plan, is_calm);
        break;
    case CHAOS_TASKS:
    case CHAOS_REDUCE:
        break; /* looked at as they came */
    default:
        check_out(set, plan);
    }
}

/* ---- running them ----------------------------------------------------------------------------- */

static int run_pair(struct chaos_work_set *set, const fm_map_opts *opts)
{
    fm_result *small = NULL, *large = NULL;
    int rc = fm_pool_map_async(set->pool, step_item, set->small.own, set->small.own, opts, &small);
    int rc_large = fm_pool_map_chunks_async(set->pool, step_chunk, set->large.own, set->large.own,
                                            opts, &large);
    if (rc == 0)
        rc = fm_result_get(small, FM_FOREVER);
    if (rc_large == 0)
        rc_large = fm_result_get(large, FM_FOREVER);
    fm_result_free(small);
    fm_result_free(large);
    return rc != 0 ? rc : rc_large;
}

static int get_task(struct chaos_work_set *set, fm_result *result, int64_t i)
{
    int rc = fm_result_get(result, FM_FOREVER);
    if (rc == 0 && *(const int64_t *)fm_result_data(result) != sum_of(i))
        chaos_find(set->board, CHAOS_WRONG, "task %lld", (long long)i);
    fm_result_free(result);
    return rc;
}

static int run_tasks(struct chaos_work_set *set)
{
    fm_result *results[N_TASKS];
    int rc = 0;
    int64_t n = 0;
    for (; n < N_TASKS && rc == 0; n++) {
        struct task task = {set->stage, n};
        rc = fm_pool_apply_async(set->pool, do_task, &task, sizeof task, NULL, sizeof(int64_t),
                                 FM_APPLY_OPTS(.retries = RETRIES), &results[n]);
        if (rc != 0)
            break;
    }
    for (int64_t i = 0; i < n; i++) {
        int code = get_task(set, results[i], i);
        rc = rc == 0 ? code : rc;
    }
    return rc;
}

static int run_reduction(struct chaos_work_set *set, const fm_map_opts *opts, int64_t n)
{
    fm_reduce_opts reduce = *FM_REDUCE_OPTS(.map = *opts);
    int64_t sum = 0, expected = 0;
    reduce.map.flags = 0;
    int rc = fm_pool_map_range_reduce(set->pool, sum_item, 0, n, FM_I64, FM_SUM, &sum, sizeof sum,
                                      &reduce);
    for (int64_t i = 0; i < n; i++)
        expected += sum_of(i);
    if (rc == 0 && sum != expected)
        chaos_find(set->board, CHAOS_WRONG, "the sum of %lld numbers is %lld, not %lld",
                   (long long)n, (long long)sum, (long long)expected);
    return rc;
}

static int run_poisoned(struct chaos_work_set *set, const struct chaos_map_plan *plan,
                        const fm_map_opts *opts)
{
    struct chaos_table *t = table_of(set, plan);
    fm_map_opts all = *opts;
    all.on_error = FM_ON_ERROR_CONTINUE;
    all.retries = RETRIES_POISON;
    all.status = t->status;
    set->stage->n_poisoned = plan->n_poisoned;
    memcpy(set->stage->poisoned, plan->poisoned, sizeof plan->poisoned);
    return fm_pool_map_range(set->pool, step_poisoned, 0, t->n, t->out, &all);
}

static int run_out_of_place(struct chaos_work_set *set, const struct chaos_map_plan *plan,
                            const fm_map_opts *opts)
{
    struct chaos_table *t = table_of(set, plan);
    fm_array *columns[2] = {t->in, t->own};
    memset(fm_array_data(t->out), 0, (size_t)t->n * sizeof(struct chaos_row));
    switch (plan->work) {
    case CHAOS_ITEM:
        return fm_pool_map(set->pool, step_item, t->in, t->out, opts);
    case CHAOS_STAR:
        return fm_pool_starmap(set->pool, step_star, columns, 2, t->out, opts);
    case CHAOS_RANGE:
        return fm_pool_map_range(set->pool, step_number, 0, t->n, t->out, opts);
    case CHAOS_RANGE_CHUNK:
        return fm_pool_map_range_chunks(set->pool, step_chunk, 0, t->n, t->out, opts);
    default:
        return run_poisoned(set, plan, opts);
    }
}

int chaos_work_run(struct chaos_work_set *set, const struct chaos_map_plan *plan)
{
    struct chaos_table *t = table_of(set, plan);
    fm_map_opts opts = *FM_MAP_OPTS(.arg = set->stage, .retries = RETRIES);
    opts.schedule = plan->schedule;
    opts.chunk = plan->chunk;
    atomic_store(&set->stage->toil, plan->toil);
    if (plan->work == CHAOS_TASKS)
        return run_tasks(set);
    if (plan->work == CHAOS_REDUCE)
        return run_reduction(set, &opts, t->n);
    if (plan->work > CHAOS_PAIR_IN_PLACE)
        return run_out_of_place(set, plan, &opts);
    opts.flags = FM_IN_PLACE;
    if (plan->work == CHAOS_PAIR_IN_PLACE)
        return run_pair(set, &opts);
    return plan->work == CHAOS_ITEM_IN_PLACE
               ? fm_pool_map(set->pool, step_item, t->own, t->own, &opts)
               : fm_pool_map_chunks(set->pool, step_chunk, t->own, t->own, &opts);
}

/* ---- arrays ------------------------------------------------------------------------------------ */

static void reset(struct chaos_table *t)
{
    memcpy(fm_array_data(t->own), t->expected, (size_t)t->n * sizeof(struct chaos_row));
}

void chaos_work_reset(struct chaos_work_set *set)
{
    reset(&set->small);
    reset(&set->large);
}

/* The first items are heavy, so that there is something to steal. */
static int make_table(struct chaos_table *t, int64_t n)
{
    int64_t shape[2] = {n, N_COLUMNS};
    t->n = n;
    t->expected = calloc((size_t)n, sizeof *t->expected);
    int rc = t->expected == NULL ? -ENOMEM : fm_array_zeros(&t->own, FM_U64, 2, shape);
    if (rc == 0)
        rc = fm_array_zeros(&t->in, FM_U64, 2, shape);
    if (rc == 0)
        rc = fm_array_zeros(&t->out, FM_U64, 2, shape);
    if (rc == 0)
        rc = fm_array_zeros(&t->status, FM_U8, 1, shape);
    if (rc != 0)
        return rc;
    for (int64_t i = 0; i < n; i++) {
        t->expected[i] = (struct chaos_row){(uint64_t)i, (uint64_t)(n - i), i < n / 4 ? 4 : 1};
        ((struct chaos_row *)fm_array_data(t->in))[i] = t->expected[i];
    }
    reset(t);
    return 0;
}

int chaos_work_open(struct chaos_work_set *set, struct chaos_board *board)
{
    int64_t n = sizeof(struct chaos_stage);
    *set = (struct chaos_work_set){.board = board};
    int rc = fm_array_zeros(&set->memory, FM_U8, 1, &n);
    if (rc == 0)
        rc = make_table(&set->small, CHAOS_N_SMALL);
    if (rc == 0)
        rc = make_table(&set->large, CHAOS_N_LARGE);
    if (rc != 0)
        return rc;
    set->stage = fm_array_data(set->memory);
    atomic_store(&set->stage->host, getpid());
    return 0;
}
