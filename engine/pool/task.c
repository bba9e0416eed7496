/* SPDX-License-Identifier: MIT */
/* Running tasks: find them, take them, call, blame; and going on where a dead process stopped. The protocol is in task.h. */
#include "task.h"

#include "alone.h"
#include "array.h"
#include "cache.h"
#include "clock.h"
#include "fault.h"
#include "heap.h"
#include "run.h"
#include "task_queue.h"

#include <errno.h>
#include <string.h>

/* One task while it runs; private. */
struct performance {
    const struct fmi_performer *by;
    struct fmi_task_shm *task;
    const struct fmi_task_shm *orders; /* what the host wrote of it: there, or a private copy */
    const struct fmi_more_shm *more;   /* the same; NULL: all is in the record */
    struct fmi_more_shm *shared_more;
    uint32_t n; /* items */
    uint32_t retries;
    int64_t limit_ns;
    int is_lone; /* its first item runs alone (alone.h) */
    fmi_any_fn *fn;
    struct fmi_runner runner;
    struct fmi_progress_shm progress; /* private: for notes, which name the item by it */
};

/* Of a caller that works: what it runs, where no worker can change it. */
struct orders {
    struct fmi_task_shm task;
    struct fmi_more_shm more;
};

/* ---- finding ------------------------------------------------------------------------------------ */

/* What is read from shared memory is not believed: a worker that was led astray would be found dead. */
static struct fmi_tasks_shm *tasks_of(const struct fmi_pool_view *view)
{
    /* acquire: pairs with open_tasks */
    uintptr_t address = atomic_load_explicit(FMI_POOL_TASKS(view->shm), memory_order_acquire);
    return address == 0 ? NULL : (struct fmi_tasks_shm *)address;
}

static struct fmi_tasks_shm *tasks_for(const struct fmi_performer *p)
{
    return p->queue == NULL ? tasks_of(p->view) : fmi_task_queue_shared(p->queue);
}

static int is_task(const struct fmi_task_shm *task)
{
    return task != NULL && (uintptr_t)task % sizeof *task == 0 &&
           fmi_heap_contains(task, sizeof *task);
}

struct fmi_task_shm *fmi_task_of(const struct fmi_pool_view *view, int rank)
{
    struct fmi_tasks_shm *tasks = tasks_of(view);
    if (tasks == NULL || (uintptr_t)tasks % alignof(struct fmi_tasks_shm) != 0 ||
        !fmi_heap_contains(tasks, fmi_tasks_bytes(view->n_ranks)))
        return NULL;
    struct fmi_task_shm *task = atomic_load(&tasks->hands[rank].running);
    if (!is_task(task))
        return NULL;
    uint64_t word = atomic_load(&task->word);
    return fmi_task_state(word) == FMI_TASK_TAKEN && fmi_task_rank(word) == rank ? task : NULL;
}

static int is_queued(const struct fmi_task_shm *task)
{
    return fmi_task_state(atomic_load_explicit(&task->word, memory_order_acquire)) ==
           FMI_TASK_QUEUED;
}

static uint64_t count_waiting(const struct fmi_pool_view *view, struct fmi_tasks_shm *tasks,
                              uint64_t *head)
{
    *head =
        atomic_load_explicit(&tasks->head, memory_order_acquire); /* first: it is not past tail */
    /* acquire: pairs with q3 */
    uint64_t tail = atomic_load_explicit(FMI_POOL_TAIL(view->shm), memory_order_acquire);
    uint64_t n = tail - *head;
    return n <= FMI_TASK_RING ? n : 0; /* overwritten */
}

/* A submitter waits for room in the ring. */
static void tell_of_room(const struct fmi_pool_view *view, struct fmi_tasks_shm *tasks)
{
    /* seq_cst: after p2; pairs with await_room */
    if (atomic_load(&tasks->is_full) != 0 && atomic_exchange(&tasks->is_full, 0) != 0)
        fmi_park_wake(&view->shm->done);
}

/* The lines of a task that is about to be run. */
static void ask_for(const struct fmi_task_shm *task)
{
    fmi_prefetch_to_write(task);
    fmi_prefetch_to_read(&task->arg[sizeof task->arg / 2]);
    fmi_prefetch_to_write((const void *)&task->outcome);
    fmi_prefetch_to_write(&task->result[sizeof task->result / 2]);
}

/* p1, p2: a share of those that wait, so that others find some too. */
static int pick(const struct fmi_performer *p, struct fmi_tasks_shm *tasks)
{
    struct fmi_task_shm *_Atomic *ring = fmi_tasks_ring(tasks, p->view->n_ranks);
    struct fmi_hand_shm *own = &tasks->hands[p->rank];
    uint64_t head, n, most = FMI_TASK_HAND;
    do {
        uint64_t n_waiting = count_waiting(p->view, tasks, &head);
        if (n_waiting == 0)
            return 0;
        n = n_waiting / (2 * (uint64_t)p->view->n_ranks);
        n = n < 1 ? 1 : n > most ? most : n;
        for (uint64_t i = 0; i < most; i++)
            atomic_store_explicit(
                &own->hand[i],
                i < n
                    ? atomic_load_explicit(&ring[(head + i) % FMI_TASK_RING], memory_order_relaxed)
                    : NULL,
                memory_order_relaxed); /* before p2, which releases it to thieves */
        FMI_FAULT("task.pick");
    } while (!atomic_compare_exchange_weak(&tasks->head, &head, head + n));
    FMI_FAULT("task.picked");
    tell_of_room(p->view, tasks);
    return 1;
}

/* ---- calling ------------------------------------------------------------------------------------ */

/* The result is made in private memory: what is written past its end does not reach other records. */
static int call_function(struct performance *x)
{
    alignas(64) char small[FMI_TASK_INLINE_BYTES];
    struct fmi_task_shm *task = x->task;
    const struct fmi_task_shm *orders = x->orders;
    const struct fmi_more_shm *more = x->more;
    int is_elsewhere = more != NULL && more->result != NULL;
    size_t bytes = is_elsewhere ? (size_t)more->result_stride : orders->result_bytes;
    char *result = is_elsewhere ? more->result : bytes == 0 ? NULL : small;
    const void *arg = orders->arg;
    if (!is_elsewhere && bytes > sizeof small)
        return FM_ECORRUPT;
    if (orders->kind & FMI_TASK_ARG_AS_IS)
        memcpy(&arg, orders->arg, sizeof arg);
    else if (more != NULL && (orders->kind & FMI_TASK_ARG_ELSEWHERE))
        arg = more->arg;
    if (bytes > 0)
        memset(result, 0, bytes);
    int code = ((fm_task_fn *)x->fn)(arg, result);
    FMI_FAULT("task.called");
    if (code == 0 && result == small) {
        memcpy(task->result, small, bytes);
        task->result_sum = fmi_task_result_sum(small, bytes);
    }
    return code;
}

static int call_item(struct performance *x, uint32_t k)
{
    const struct fmi_more_shm *more = x->more;
    int64_t number = more->base + more->first + k;
    const void *item =
        more->items == NULL ? (const void *)&number : more->items + (int64_t)k * more->item_stride;
    char *result = more->result == NULL ? NULL : more->result + (int64_t)k * more->result_stride;
    if (result != NULL)
        memset(result, 0, (size_t)more->result_stride);
    int code = ((fm_item_fn *)x->fn)(item, result, more->arg);
    FMI_FAULT("task.item");
    return code;
}

static int64_t item_number(const struct performance *x, uint32_t k)
{
    return x->more == NULL ? 0 : x->more->first + k;
}

static int call_once(struct performance *x, uint32_t k)
{
    int is_limited = x->limit_ns > 0 && x->by->worker != NULL;
    x->runner.item = item_number(x, k);
    atomic_store_explicit(&x->progress.next, fmi_next_word(x->runner.item),
                          memory_order_relaxed); /* private */
    if (is_limited)
        fmi_call_begin(x->by->worker, x->limit_ns);
    int code =
        (x->orders->kind & FMI_TASK_KIND) == FMI_TASK_CALL ? call_function(x) : call_item(x, k);
    if (is_limited)
        fmi_call_end(x->by->worker);
    return code;
}

/* ---- ends of items ------------------------------------------------------------------------------ */

static void set_attempts(const struct performance *x, uint32_t n)
{
    atomic_store_explicit(&x->task->attempts, n, memory_order_relaxed); /* own, or a successor's */
}

/* Who counts failures comes later, and may find the record twice: it was linked, `next` was not moved. */
static void record_failure(const struct performance *x, const fm_failure *failure)
{
    void *memory;
    if (fmi_heap_alloc(&memory, sizeof(struct fmi_task_failure_shm), 0) != 0)
        return; /* the state says what it was */
    struct fmi_task_failure_shm *record = memory;
    *record = (struct fmi_task_failure_shm){
        .older = atomic_load_explicit(&x->task->failures, memory_order_relaxed),
        .failure = *failure};
    FMI_FAULT("task.record");
    atomic_store_explicit(&x->task->failures, record, memory_order_release);
}

/* The item `k` is over. `outcome` of the task is that of its last item; a batch has one for each. */
static void pass_item(const struct performance *x, uint32_t k, uint32_t state)
{
    if (x->more != NULL && x->more->states != NULL)
        x->more->states[k] = (uint8_t)state;
    atomic_store_explicit(&x->task->outcome, state, memory_order_relaxed);
    if (atomic_load_explicit(&x->task->attempts, memory_order_relaxed) != 0)
        set_attempts(x, 0);
    /* release: a successor that reads it finds result and state */
    atomic_store_explicit(&x->task->next, k + 1, memory_order_release);
}

static void run_item(struct performance *x, uint32_t k, uint64_t begin_ticks)
{
    for (;;) {
        int code = call_once(x, k);
        if (code == 0) {
            pass_item(x, k, FM_ITEM_DONE);
            return;
        }
        uint32_t attempt = atomic_load_explicit(&x->task->attempts, memory_order_relaxed) + 1;
        if (attempt > x->retries || fmi_task_is_unwanted(x->task)) {
            fm_failure f =
                fmi_failure_of_return(&x->runner, item_number(x, k), code, attempt, begin_ticks);
            record_failure(x, &f);
            pass_item(x, k, FM_ITEM_FAILED);
            return;
        }
        set_attempts(x, attempt);
    }
}

/* ---- a task ------------------------------------------------------------------------------------- */

static uint64_t begin_ticks_of(const struct fmi_performer *p)
{
    return p->starts == 0 ? fmi_ticks()
                          : atomic_load_explicit(&tasks_of(p->view)->hands[p->rank].begin_ticks,
                                                 memory_order_relaxed);
}

/* t3, t4. Flags that are set in between are of no use to anyone. */
static void end_task(const struct performance *x)
{
    const struct fmi_performer *p = x->by;
    FMI_FAULT("task.end");
    uint64_t old = atomic_exchange(&x->task->word, fmi_task_word(p->rank, 0, FMI_TASK_ENDED));
    FMI_FAULT("task.ended");
    if (fmi_task_flags(old) & FMI_TASK_WANTED)
        fmi_park_wake(&p->view->shm->done);
}

/* A worker has its counters alone, callers share theirs. */
static void add(const struct fmi_performer *p, _Atomic uint64_t *counter, uint64_t n)
{
    if (p->worker != NULL)
        fmi_count_own(counter, n);
    else
        fmi_count(counter, n);
}

static void count_task(const struct performance *x, uint32_t n_items)
{
    struct fmi_tally_shm *tallies = x->by->view->tallies, *tally;
    const struct fmi_more_shm *more = x->more;
    uint64_t each = (uint64_t)x->orders->arg_bytes + x->orders->result_bytes;
    if (tallies == NULL)
        return; /* inside a function */
    tally = &tallies[x->by->rank];
    if (more != NULL)
        each += (uint64_t)more->result_stride + (uint64_t)more->item_stride;
    add(x->by, &tally->n_task_items, n_items);
    add(x->by, &tally->n_tasks, 1);
    add(x->by, &tally->n_task_bytes, n_items * each);
}

static void refuse_task(const struct performance *x, int code)
{
    atomic_store_explicit(&x->task->error, code, memory_order_relaxed); /* before t3 */
    atomic_store_explicit(&x->task->outcome, FM_ITEM_CANCELLED, memory_order_relaxed);
}

/* Its orders: as they stand, but for a caller, who runs none but those that it gave. */
static int read_orders(struct performance *x, struct orders *copy)
{
    const struct fmi_performer *p = x->by;
    const struct fmi_task_slot *slot =
        p->queue == NULL ? NULL : fmi_task_queue_find(p->queue, x->task);
    x->orders = slot == NULL ? x->task : &copy->task;
    x->shared_more = slot == NULL ? x->task->more : (struct fmi_more_shm *)slot->shared_more;
    x->more = slot == NULL || x->shared_more == NULL ? x->shared_more : &copy->more;
    return slot == NULL ? 0 : fmi_task_copy_orders(slot, &copy->task, &copy->more);
}

static int prepare(struct performance *x, const struct fmi_performer *p, struct fmi_task_shm *task,
                   struct orders *copy)
{
    struct fmi_array_view view;
    union { /* ISO C has no cast between the two */
        uintptr_t address;
        fmi_any_fn *function;
    } fn;
    x->by = p;
    x->is_lone = 0;
    x->task = task;
    int rc = read_orders(x, copy);
    if (rc != 0)
        return rc;
    fn.address = x->orders->fn;
    x->n = x->more == NULL ? 1 : x->more->n;
    x->retries = x->more == NULL ? 0 : x->more->retries;
    x->limit_ns = x->more == NULL ? 0 : x->more->limit_ns;
    x->runner = (struct fmi_runner){.progress = &x->progress,
                                    .worker = p->worker,
                                    .rank = p->rank,
                                    .cpu = p->view->cpus[p->rank],
                                    .starts = p->starts,
                                    .task = task,
                                    .seed = x->more == NULL ? 0 : x->more->seed};
    x->fn = fn.function;
    if (x->orders->kind & FMI_TASK_IS_DESCRIBED)
        rc = fmi_runner_find((const struct fmi_function_shm *)fn.address, &x->fn);
    if (rc == 0 && x->more != NULL && x->more->array != NULL)
        rc = fmi_array_inspect(x->more->array, &view);
    return rc;
}

static int is_called_off(void *task)
{
    return fmi_task_is_unwanted(task);
}

/* b2 of alone.h: the task is taken, and nothing of it runs yet. Not callers: nobody sees what they help with. */
static void give_way(const struct fmi_performer *p, struct fmi_task_shm *task)
{
    if (p->starts != 0 && fmi_alone_is_asked(p->view))
        fmi_alone_give_way(p->view, p->rank, &p->view->tallies[p->rank].rest, is_called_off, task);
}

/* After the one item that was to run alone. */
static void end_lone(struct performance *x)
{
    if (x->is_lone)
        fmi_alone_end(x->by->view, x->by->rank);
    x->is_lone = 0;
}

/* Items from `next` on; cancelled ones are left. */
static void run_items(struct performance *x)
{
    const struct fmi_performer *p = x->by;
    struct fmi_task_shm *task = x->task;
    uint64_t begin = begin_ticks_of(p);
    uint32_t k = atomic_load_explicit(&task->next, memory_order_relaxed), first = k;
    atomic_store_explicit(&task->calling, p->starts, memory_order_release);
    if (p->worker != NULL)
        atomic_store_explicit(&p->worker->called, p->starts, memory_order_release);
    fmi_runner_enter(&x->runner);
    for (; k < x->n && !fmi_task_is_unwanted(task); k++) {
        run_item(x, k, begin);
        if (x->is_lone)
            end_lone(x);
    }
    end_lone(x);
    fmi_runner_leave(&x->runner);
    count_task(x, k - first);
    if (k < x->n)
        atomic_store_explicit(&task->outcome, FM_ITEM_CANCELLED, memory_order_relaxed);
    if (x->more != NULL && x->more->states != NULL)
        atomic_store_explicit(&x->shared_more->busy_ticks, fmi_ticks() - begin,
                              memory_order_relaxed); /* a hint */
}

static void run_taken(const struct fmi_performer *p, struct fmi_task_shm *task)
{
    struct performance x;
    struct orders copy;
    int rc = prepare(&x, p, task, &copy);
    give_way(p, task);
    if (rc == 0)
        run_items(&x);
    else
        refuse_task(&x, rc);
    end_task(&x);
    fmi_recycle_count(p->recycle);
}

/* t1, t2. */
static int take(const struct fmi_performer *p, struct fmi_task_shm *task)
{
    if (p->starts != 0) {
        struct fmi_hand_shm *own = &tasks_of(p->view)->hands[p->rank];
        atomic_store_explicit(&own->running, task, memory_order_relaxed); /* before the exchange */
        atomic_store_explicit(&own->begin_ticks, fmi_ticks(), memory_order_relaxed);
        FMI_FAULT("task.take");
    }
    uint64_t word = atomic_load_explicit(&task->word, memory_order_relaxed);
    while (fmi_task_state(word) == FMI_TASK_QUEUED)
        if (atomic_compare_exchange_weak(
                &task->word, &word, fmi_task_word(p->rank, fmi_task_flags(word), FMI_TASK_TAKEN)))
            return 1;
    return 0;
}

void fmi_task_run_here(struct fmi_task_shm *task)
{
    static const int unpinned = -1;
    const struct fmi_pool_view view = {.cpus = &unpinned, .n_ranks = 1};
    atomic_store_explicit(&task->word, fmi_task_word(0, 0, FMI_TASK_TAKEN), memory_order_relaxed);
    run_taken(&(struct fmi_performer){.view = &view}, task);
}

int fmi_task_perform(const struct fmi_performer *p, struct fmi_task_shm *task)
{
    int is_known = p->queue == NULL ? is_task(task) : fmi_task_queue_find(p->queue, task) != NULL;
    if (!is_known || !is_queued(task) || !take(p, task))
        return 0;
    FMI_FAULT("task.taken");
    run_taken(p, task);
    return 1;
}

/* What is left in it when this process is to be replaced is for its successor, or for a thief. */
static int play_hand(const struct fmi_performer *p, struct fmi_hand_shm *own)
{
    int n = 0;
    for (int i = 0; i < FMI_TASK_HAND && !fmi_recycle_is_due(p->recycle); i++) {
        struct fmi_task_shm *task = atomic_load_explicit(&own->hand[i], memory_order_relaxed);
        struct fmi_task_shm *next =
            i + 1 < FMI_TASK_HAND ? atomic_load_explicit(&own->hand[i + 1], memory_order_relaxed)
                                  : NULL;
        if (is_task(next))
            ask_for(next);
        n += fmi_task_perform(p, task);
    }
    return n;
}

/* From the hand of someone who is busy, or dead. */
static int steal(const struct fmi_performer *p, struct fmi_tasks_shm *tasks)
{
    for (int k = 1; k < p->view->n_ranks; k++) {
        struct fmi_hand_shm *other = &tasks->hands[(p->rank + k) % p->view->n_ranks];
        for (int i = 0; i < FMI_TASK_HAND; i++) {
            /* relaxed: whoever saw head move past a task (acquire, pairs with p2) sees it in the hand; the word decides */
            if (fmi_task_perform(p, atomic_load_explicit(&other->hand[i], memory_order_relaxed)))
                return 1;
        }
    }
    return 0;
}

int fmi_tasks_perform(const struct fmi_performer *p)
{
    struct fmi_tasks_shm *tasks = tasks_for(p);
    if (tasks == NULL)
        return 0;
    int n = 0;
    while (n == 0 && !fmi_recycle_is_due(p->recycle) &&
           pick(p, tasks)) /* others may have taken all of a hand */
        n = play_hand(p, &tasks->hands[p->rank]);
    return n > 0 || fmi_recycle_is_due(p->recycle) ? n : steal(p, tasks);
}

int fmi_tasks_help(const struct fmi_performer *p)
{
    struct fmi_tasks_shm *tasks = tasks_for(p);
    uint64_t head;
    if (tasks == NULL)
        return 0;
    while (count_waiting(p->view, tasks, &head) > 0) {
        struct fmi_task_shm *task = atomic_load_explicit(
            &fmi_tasks_ring(tasks, p->view->n_ranks)[head % FMI_TASK_RING], memory_order_relaxed);
        if (!atomic_compare_exchange_strong(&tasks->head, &head, head + 1))
            continue;
        tell_of_room(p->view, tasks);
        if (fmi_task_perform(p, task))
            return 1;
    }
    return steal(p, tasks);
}

/* ---- after a death ------------------------------------------------------------------------------ */

/* What the death of the predecessor means for the item it was at. After a kill for want of memory the item runs again alone, once. */
static void blame_death(struct performance *x, uint64_t begin_ticks)
{
    struct fmi_task_shm *task = x->task;
    const struct fmi_performer *p = x->by;
    const struct fmi_death_shm *death = fmi_worker_death(p->worker, p->starts);
    uint32_t k = atomic_load(&task->next);
    int left = death == NULL ? 0 : fmi_alone_left_by(p->view, p->rank, death->starts);
    x->is_lone = left == FMI_ALONE_WAITING;
    if (death == NULL || death->how == FMI_DEATH_LATE || death->how == FMI_DEATH_RETIRED ||
        k >= x->n || atomic_load(&task->calling) != death->starts)
        return; /* it died before, or after, the function */
    uint32_t attempt = atomic_load(&task->attempts) + 1;
    int is_oom = death->how == FMI_DEATH_OOM, was_alone = is_oom && left == FMI_ALONE_ALONE;
    x->is_lone = is_oom && !was_alone;
    if (!was_alone && attempt < fmi_attempts_allowed(&x->runner, x->retries, death)) {
        set_attempts(x, attempt);
        return;
    }
    x->is_lone = 0;
    fm_failure f = fmi_failure_of_death(&x->runner, item_number(x, k), attempt, begin_ticks, death);
    record_failure(x, &f);
    pass_item(x, k, (uint32_t)f.state);
}

/* Or beside the others: then the turn that the dead had is over. */
static void go_on_alone(const struct performance *x, uint64_t begin_ticks)
{
    const struct fmi_performer *p = x->by;
    int64_t ns = (int64_t)((double)(fmi_ticks() - begin_ticks) / fmi_ticks_per_ns());
    if (x->is_lone)
        fmi_alone_begin(p->view, p->rank, p->starts, &p->view->tallies[p->rank].rest, ns);
    else
        fmi_alone_end(p->view, p->rank);
    give_way(p, x->task);
}

static void go_on_with(const struct fmi_performer *p, struct fmi_task_shm *task)
{
    struct performance x;
    struct orders copy;
    int rc = prepare(&x, p, task, &copy);
    if (rc == 0) {
        blame_death(&x, begin_ticks_of(p));
        go_on_alone(&x, begin_ticks_of(p));
        run_items(&x);
    } else {
        refuse_task(&x, rc);
    }
    end_task(&x);
    fmi_recycle_count(p->recycle);
}

void fmi_tasks_resume(const struct fmi_performer *p)
{
    struct fmi_tasks_shm *tasks = tasks_for(p);
    if (tasks == NULL)
        return;
    struct fmi_task_shm *task = fmi_task_of(p->view, p->rank);
    if (task != NULL)
        go_on_with(p, task);
    play_hand(p, &tasks->hands[p->rank]);
}
