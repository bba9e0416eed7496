/* SPDX-License-Identifier: MIT */
/* Tasks from the host's side; see task_queue.h, and task.h for the protocol. */
#include "task_queue.h"

#include "cache.h"
#include "clock.h"
#include "error.h"
#include "fault.h"
#include "guarded.h"
#include "heap.h"
#include "mapping.h"
#include "record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SEGMENT = 256, LAST_SEGMENT = 16384, LOOK_NS = 10000000, MOST_DOUBTS = 3 };

struct
    segment { /* records and their slots; segments grow, so that few tasks cost little and many few calls */
    struct segment *next;
    size_t n;
    char *records;
    struct fmi_task_slot slots[];
};

/* Pushed by the threads of one gate; taken all at once, under the lock. */
struct returned {
    alignas(64) struct fmi_task_slot *_Atomic first;
};

struct fmi_task_queue { /* made with the pool's first task */
    struct returned returned[FMI_HANDLE_GATES];
    struct fmi_tasks_shm *shm;
    pthread_mutex_t lock;
    struct segment *_Atomic segments; /* new ones first; those that are there stay */
    struct fmi_task_slot *free;
    struct fmi_task_slot *forgotten, **last_forgotten; /* in the order of the ring */
    uint64_t tail;
    _Atomic int has_forgotten; /* spares the lock */
};

/* ---- making ------------------------------------------------------------------------------------- */

/* It is held for some 50 ns: whoever finds it taken spins before it sleeps. */
static void init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static int open_tasks(fm_pool *pool, struct fmi_task_queue **out)
{
    char *block;
    struct fmi_task_queue *queue = aligned_alloc(alignof(struct fmi_task_queue), sizeof *queue);
    if (queue == NULL)
        return -ENOMEM;
    memset(queue, 0, sizeof *queue);
    int rc = fmi_guarded_take(&block, fmi_tasks_bytes(pool->view.n_ranks));
    if (rc != 0) {
        free(queue);
        return rc;
    }
    queue->shm = (struct fmi_tasks_shm *)(void *)block;
    queue->last_forgotten = &queue->forgotten;
    init_lock(&queue->lock);
    /* release: pairs with tasks_of */
    atomic_store_explicit(FMI_POOL_TASKS(pool->view.shm), (uintptr_t)block, memory_order_release);
    *out = queue;
    return 0;
}

static int get_queue(fm_pool *pool, struct fmi_task_queue **out)
{
    int rc = 0;
    *out = atomic_load_explicit(&pool->queue, memory_order_acquire);
    if (*out != NULL)
        return 0;
    pthread_mutex_lock(&pool->lock);
    *out = atomic_load(&pool->queue);
    if (*out == NULL && (rc = open_tasks(pool, out)) == 0)
        atomic_store_explicit(&pool->queue, *out, memory_order_release);
    pthread_mutex_unlock(&pool->lock);
    return rc;
}

static int add_segment(struct fmi_task_queue *queue)
{
    struct segment *newest = atomic_load_explicit(&queue->segments, memory_order_relaxed);
    size_t n = newest == NULL             ? FIRST_SEGMENT
               : newest->n < LAST_SEGMENT ? 2 * newest->n
                                          : LAST_SEGMENT;
    struct segment *segment = calloc(1, sizeof *segment + n * sizeof segment->slots[0]);
    if (segment == NULL)
        return -ENOMEM;
    int rc = fmi_guarded_take(&segment->records, n * sizeof(struct fmi_task_shm));
    if (rc != 0) {
        free(segment);
        return rc;
    }
    segment->n = n;
    segment->next = newest;
    for (size_t i = n; i-- > 0;) {
        struct fmi_task_slot *slot = &segment->slots[i];
        slot->task = (struct fmi_task_shm *)(void *)segment->records + i;
        atomic_store_explicit(&slot->task->word, FMI_TASK_FREE, memory_order_relaxed);
        slot->next = queue->free;
        queue->free = slot;
    }
    /* release: pairs with fmi_task_queue_find */
    atomic_store_explicit(&queue->segments, segment, memory_order_release);
    return 0;
}

/* Those of this thread are in its cache. */
static struct fmi_task_slot *take_returned(struct fmi_task_queue *queue)
{
    struct fmi_task_slot *first = NULL;
    for (int i = 0, own = fmi_pool_gate(); i < FMI_HANDLE_GATES && first == NULL; i++) {
        struct fmi_task_slot *_Atomic *from = &queue->returned[(own + i) % FMI_HANDLE_GATES].first;
        if (atomic_load_explicit(from, memory_order_relaxed) !=
            NULL) /* acquire: pairs with fmi_task_put */
            first = atomic_exchange_explicit(from, NULL, memory_order_acquire);
    }
    return first;
}

/* Under the lock. */
static int take_slot(struct fmi_task_queue *queue, struct fmi_task_slot **out)
{
    int rc = 0;
    if (queue->free == NULL)
        queue->free = take_returned(queue);
    if (queue->free == NULL)
        rc = add_segment(queue);
    if (queue->free == NULL)
        return rc;
    *out = queue->free;
    queue->free = (*out)->next;
    if (queue->free != NULL)
        fmi_prefetch_to_write(queue->free->task); /* likely the next */
    return 0;
}

/* ---- queueing ----------------------------------------------------------------------------------- */

static int is_full(const struct fmi_task_queue *queue)
{
    return queue->tail - atomic_load(&queue->shm->head) >= FMI_TASK_RING;
}

struct fmi_performer fmi_task_caller(const fm_pool *pool)
{
    return (struct fmi_performer){
        .view = &pool->view, .queue = atomic_load_explicit(&pool->queue, memory_order_acquire)};
}

/* Without the lock. A caller that works makes room itself. */
static int await_room(fm_pool *pool, struct fmi_task_queue *queue)
{
    struct fmi_park_shm *done = &pool->view.shm->done;
    int rc = fmi_pool_trouble(pool);
    if (rc != 0)
        return rc;
    const struct fmi_performer caller = fmi_task_caller(pool);
    if (!pool->view.is_isolated && fmi_tasks_help(&caller))
        return 0;
    uint32_t seen = fmi_park_seen(done);
    atomic_store(&queue->shm->is_full,
                 1); /* seq_cst: before the look at head; pairs with tell_of_room */
    uint64_t n_waiting =
        atomic_load(FMI_POOL_TAIL(pool->view.shm)) - atomic_load(&queue->shm->head);
    if (n_waiting >= FMI_TASK_RING)
        (void)fmi_pool_park(pool, seen, 0, fmi_deadline_after(LOOK_NS));
    return 0;
}

int fmi_task_begin(fm_pool *pool, struct fmi_task_slot **out)
{
    struct fmi_task_queue *queue;
    int rc = fmi_pool_trouble(pool);
    if (rc == 0)
        rc = get_queue(pool, &queue);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&queue->lock);
    while (rc == 0 && is_full(queue)) {
        pthread_mutex_unlock(&queue->lock);
        rc = await_room(pool, queue);
        pthread_mutex_lock(&queue->lock);
    }
    if (rc == 0)
        rc = take_slot(queue, out);
    if (rc != 0)
        pthread_mutex_unlock(&queue->lock);
    return rc;
}

/* Under the lock. */
static void forget(struct fmi_task_queue *queue, struct fmi_task_slot *slot)
{
    slot->next = NULL;
    *queue->last_forgotten = slot;
    queue->last_forgotten = &slot->next;
    atomic_store_explicit(&queue->has_forgotten, 1, memory_order_relaxed);
}

struct fm_result *fmi_task_forgotten(fm_pool *pool)
{
    struct fmi_task_queue *queue = atomic_load_explicit(&pool->queue, memory_order_acquire);
    struct fmi_task_slot *first = NULL;
    if (queue == NULL || !atomic_load_explicit(&queue->has_forgotten, memory_order_relaxed))
        return NULL;
    pthread_mutex_lock(&queue->lock);
    if (queue->forgotten != NULL && fmi_task_is_over(queue->forgotten->task)) {
        first = queue->forgotten;
        queue->forgotten = first->next;
    }
    if (queue->forgotten == NULL) {
        queue->last_forgotten = &queue->forgotten;
        atomic_store_explicit(&queue->has_forgotten, 0, memory_order_relaxed);
    }
    pthread_mutex_unlock(&queue->lock);
    return first == NULL ? NULL : first->owner;
}

/* Function, sizes and argument, and what lies in `more` but for what workers write there. */
static uint64_t sum_orders(const struct fmi_task_shm *task, size_t arg_bytes,
                           const struct fmi_more_shm *more)
{
    const char *begin = (const char *)&task->fn;
    uint64_t sum = fmi_task_sum(begin, (size_t)(task->arg - begin) + arg_bytes);
    if (more != NULL)
        sum += 3 * fmi_task_sum((const char *)more, offsetof(struct fmi_more_shm, busy_ticks));
    return sum;
}

static int are_orders_whole(const struct fmi_task_slot *slot)
{
    return sum_orders(slot->task, slot->arg_bytes, slot->shared_more) == slot->orders;
}

void fmi_task_remember_orders(struct fmi_task_slot *slot)
{
    slot->shared_more = slot->task->more;
    slot->arg_bytes =
        (slot->task->kind & FMI_TASK_ARG_AS_IS) ? sizeof(void *) : slot->task->arg_bytes;
    slot->orders = sum_orders(slot->task, slot->arg_bytes, slot->shared_more);
}

void fmi_task_submit(fm_pool *pool, struct fmi_task_slot *slot, int is_forgotten)
{
    struct fmi_task_queue *queue = atomic_load_explicit(&pool->queue, memory_order_relaxed);
    struct fmi_task_shm *_Atomic *ring = fmi_tasks_ring(queue->shm, pool->view.n_ranks);
    slot->position = queue->tail;
    fmi_task_remember_orders(slot);
    atomic_store_explicit(&slot->n_doubts, 0, memory_order_relaxed);
    /* release: pairs with t2 */
    atomic_store_explicit(&slot->task->word, fmi_task_word(0, 0, FMI_TASK_QUEUED),
                          memory_order_release);
    atomic_store_explicit(&ring[queue->tail % FMI_TASK_RING], slot->task, memory_order_relaxed);
    /* release: pairs with count_waiting */
    atomic_store_explicit(FMI_POOL_TAIL(pool->view.shm), ++queue->tail, memory_order_release);
    if (is_forgotten)
        forget(queue, slot);
    pthread_mutex_unlock(&queue->lock);
    fmi_park_wake(&pool->view.shm->work);
}

/* ---- a caller that works ------------------------------------------------------------------------ */

struct fmi_tasks_shm *fmi_task_queue_shared(const struct fmi_task_queue *queue)
{
    return queue->shm;
}

const struct fmi_task_slot *fmi_task_queue_find(const struct fmi_task_queue *queue,
                                                const struct fmi_task_shm *task)
{
    /* acquire: pairs with add_segment */
    const struct segment *s = atomic_load_explicit(&queue->segments, memory_order_acquire);
    for (; s != NULL; s = s->next) {
        size_t at = (uintptr_t)task - (uintptr_t)s->records; /* below it: more than there are */
        if (at < s->n * sizeof *task && at % sizeof *task == 0)
            return &s->slots[at / sizeof *task];
    }
    return NULL;
}

/* The copies are summed: what is written there from now on leads nobody astray. */
int fmi_task_copy_orders(const struct fmi_task_slot *slot, struct fmi_task_shm *task,
                         struct fmi_more_shm *more)
{
    const char *from = (const char *)&slot->task->fn;
    memcpy(&task->fn, from, (size_t)(slot->task->arg - from) + slot->arg_bytes);
    if (slot->shared_more != NULL)
        memcpy(more, slot->shared_more, offsetof(struct fmi_more_shm, busy_ticks));
    return sum_orders(task, slot->arg_bytes, slot->shared_more == NULL ? NULL : more) ==
                   slot->orders
               ? 0
               : FM_ECORRUPT;
}

/* ---- asking ------------------------------------------------------------------------------------- */

int fmi_task_want(const struct fmi_task_slot *slot)
{
    uint64_t old = atomic_fetch_or(&slot->task->word, fmi_task_word(0, FMI_TASK_WANTED, 0));
    return fmi_task_state(old) == FMI_TASK_ENDED || fmi_task_state(old) == FMI_TASK_DROPPED;
}

int fmi_task_drop(const struct fmi_task_slot *slot)
{
    uint64_t word = atomic_fetch_or(&slot->task->word, fmi_task_word(0, FMI_TASK_UNWANTED, 0));
    while (fmi_task_state(word) == FMI_TASK_QUEUED)
        if (atomic_compare_exchange_weak(&slot->task->word, &word,
                                         fmi_task_word(0, 0, FMI_TASK_DROPPED)))
            return 1;
    return 0;
}

void fmi_task_kill(fm_pool *pool, const struct fmi_task_slot *slot)
{
    uint64_t word = atomic_load(&slot->task->word);
    int rank = fmi_task_rank(word);
    if (fmi_task_state(word) == FMI_TASK_TAKEN && rank < pool->view.n_ranks && pool->has_crew)
        fmi_crew_end_worker(&pool->crew, rank, atomic_load(&slot->task->calling));
}

int fmi_task_may_have_begun(const fm_pool *pool, const struct fmi_task_slot *slot)
{
    const struct fmi_task_queue *queue = atomic_load_explicit(&pool->queue, memory_order_relaxed);
    return slot->position < atomic_load(&queue->shm->head);
}

int fmi_task_code(const struct fmi_task_slot *slot)
{
    const struct fmi_task_shm *task = slot->task;
    /* acquire: pairs with t3 */
    unsigned state = fmi_task_state(atomic_load_explicit(&task->word, memory_order_acquire));
    int error = atomic_load_explicit(&task->error, memory_order_relaxed);
    int outcome = (int)atomic_load_explicit(&task->outcome, memory_order_relaxed);
    if (state == FMI_TASK_DROPPED)
        return FM_ECANCELLED;
    if (state != FMI_TASK_ENDED)
        return FM_ECORRUPT;
    if (!are_orders_whole(slot))
        return FM_ECORRUPT;
    if (error != 0)
        return fmi_code_of_error(error);
    return outcome == FM_ITEM_DONE        ? 0
           : outcome == FM_ITEM_CANCELLED ? FM_ECANCELLED
                                          : fmi_code_of_state(outcome);
}

/* There is room for n rounded up to a power of two: a batch may have thousands. */
static int append(struct fmi_report *report, const fm_failure *failure)
{
    size_t n = (size_t)report->n;
    fm_failure *list = report->list;
    if ((n & (n - 1)) == 0)
        list = realloc(list, (n == 0 ? 1 : 2 * n) * sizeof *list);
    if (list == NULL)
        return -ENOMEM;
    report->list = list;
    list[n] = *failure;
    list[report->n++].note[sizeof list->note - 1] = '\0'; /* it is shown as text */
    return 0;
}

/* The list lies where workers write: every pointer is checked, and its length. */
int fmi_task_report(const struct fmi_task_slot *slot, struct fmi_report *report)
{
    struct fmi_task_failure_shm *record =
        atomic_load_explicit(&slot->task->failures, memory_order_acquire);
    int rc = 0;
    atomic_store_explicit(&slot->task->failures, NULL, memory_order_relaxed);
    for (uint64_t n = 0; record != NULL && rc == 0; n++) {
        if (n > UINT32_MAX || !fmi_heap_is_block(record, sizeof *record))
            return FM_ECORRUPT;
        struct fmi_task_failure_shm *older = record->older;
        rc = append(report, &record->failure);
        if (fmi_heap_free(record) != 0)
            return FM_ECORRUPT;
        record = older;
    }
    fmi_report_sort(report);
    return rc;
}

/* A record that was linked before its writer died, of an item that ended well after that. */
static void drop_report(const struct fmi_task_slot *slot)
{
    struct fmi_report ignored = {0};
    (void)fmi_task_report(slot, &ignored);
    free(ignored.list);
}

/* The host has read the worker's line just now, so it is reset here and not when the record is filled. */
void fmi_task_put(fm_pool *pool, struct fmi_task_slot *slot)
{
    struct fmi_task_queue *queue = atomic_load_explicit(&pool->queue, memory_order_relaxed);
    struct fmi_task_shm *task = slot->task;
    if (atomic_load_explicit(&task->failures, memory_order_relaxed) != NULL)
        drop_report(slot);
    atomic_store_explicit(&task->outcome, 0, memory_order_relaxed);
    atomic_store_explicit(&task->error, 0, memory_order_relaxed);
    atomic_store_explicit(&task->calling, 0, memory_order_relaxed);
    atomic_store_explicit(&task->attempts, 0, memory_order_relaxed);
    atomic_store_explicit(&task->next, 0, memory_order_relaxed);
    atomic_store_explicit(&task->word, FMI_TASK_FREE, memory_order_relaxed);
    if (slot->is_limited)
        fmi_pool_limit_end(pool);
    slot->is_limited = 0;
    slot->owner = NULL;
    slot->more = NULL;
    struct fmi_task_slot *_Atomic *to = &queue->returned[fmi_pool_gate()].first;
    slot->next = atomic_load_explicit(to, memory_order_relaxed);
    /* release: pairs with take_returned */
    while (!atomic_compare_exchange_weak_explicit(to, &slot->next, slot, memory_order_release,
                                                  memory_order_relaxed))
        ;
}

/* ---- inspection --------------------------------------------------------------------------------- */

int fmi_task_queue_is_whole(fm_pool *pool)
{
    struct fmi_task_queue *queue = atomic_load_explicit(&pool->queue, memory_order_acquire);
    uintptr_t address = atomic_load(FMI_POOL_TASKS(pool->view.shm));
    if (queue == NULL)
        return address == 0 && atomic_load(FMI_POOL_TAIL(pool->view.shm)) == 0;
    pthread_mutex_lock(&queue->lock);
    uint64_t n = queue->tail - atomic_load(&queue->shm->head);
    int is_whole = address == (uintptr_t)queue->shm && n <= FMI_TASK_RING &&
                   atomic_load(FMI_POOL_TAIL(pool->view.shm)) == queue->tail;
    pthread_mutex_unlock(&queue->lock);
    return is_whole;
}

static int is_in_a_hand(const struct fmi_pool_view *view, const struct fmi_tasks_shm *tasks,
                        const struct fmi_task_shm *task)
{
    for (int rank = 0; rank < view->n_ranks; rank++)
        for (int i = 0; i < FMI_TASK_HAND; i++)
            if (atomic_load(&tasks->hands[rank].hand[i]) == task)
                return 1;
    return 0;
}

/* Orders; invariants (1) and (2) of task.h; these may be broken for a moment, by who is between two of its steps. */
static int is_in_place(const fm_pool *pool, const struct fmi_task_slot *slot)
{
    const struct fmi_task_queue *queue = atomic_load_explicit(&pool->queue, memory_order_acquire);
    uint64_t word = atomic_load(&slot->task->word);
    int rank = fmi_task_rank(word);
    if (word >> 32 != 0 || rank >= pool->view.n_ranks ||
        (fmi_task_flags(word) & ~(unsigned)(FMI_TASK_WANTED | FMI_TASK_UNWANTED)) != 0)
        return 0;
    if (!are_orders_whole(slot)) /* what is done by others may never end */
        return 0;
    switch (fmi_task_state(word)) {
    case FMI_TASK_QUEUED:
        return slot->position >= atomic_load(&queue->shm->head) ||
               is_in_a_hand(&pool->view, queue->shm, slot->task);
    case FMI_TASK_TAKEN:
        return (rank == 0 && !pool->view.is_isolated) ||
               atomic_load(&queue->shm->hands[rank].running) == slot->task;
    case FMI_TASK_ENDED:
    case FMI_TASK_DROPPED:
        return 1;
    default:
        return 0;
    }
}

void fmi_task_inspect(fm_pool *pool, struct fmi_task_slot *slot)
{
    /* relaxed, all: whoever comes looks */
    uint32_t n = atomic_load_explicit(&pool->n_inspections, memory_order_relaxed);
    if (atomic_load_explicit(&slot->n_inspections, memory_order_relaxed) == n)
        return;
    atomic_store_explicit(&slot->n_inspections, n, memory_order_relaxed);
    if (is_in_place(pool, slot))
        atomic_store_explicit(&slot->n_doubts, 0, memory_order_relaxed);
    else if (atomic_fetch_add_explicit(&slot->n_doubts, 1, memory_order_relaxed) + 1 >= MOST_DOUBTS)
        fmi_pool_condemn(pool);
}

/* ---- end ---------------------------------------------------------------------------------------- */

void fmi_task_queue_end(fm_pool *pool, void (*end)(struct fm_result *owner))
{
    struct fmi_task_queue *queue = atomic_load(&pool->queue);
    for (struct segment *s = queue == NULL ? NULL : atomic_load(&queue->segments); s != NULL;
         s = s->next)
        for (size_t i = 0; i < s->n; i++)
            if (s->slots[i].owner != NULL)
                end(s->slots[i].owner);
}

/* What failed in tasks that nobody asks about any more: of streams that are closed later. The workers are gone. */
static void drop_records(const struct segment *segment)
{
    struct fmi_report dropped = {0};
    for (size_t i = 0; i < segment->n; i++) {
        if (atomic_load_explicit(&segment->slots[i].task->failures, memory_order_relaxed) == NULL)
            continue;
        (void)fmi_task_report(&segment->slots[i], &dropped);
        dropped.n = 0;
    }
    free(dropped.list);
}

void fmi_task_queue_free(fm_pool *pool)
{
    struct fmi_task_queue *queue = atomic_load(&pool->queue);
    if (queue == NULL)
        return;
    for (struct segment *segment = atomic_load(&queue->segments), *next; segment != NULL;
         segment = next) {
        next = segment->next;
        drop_records(segment);
        fmi_guarded_give(segment->records);
        free(segment);
    }
    fmi_guarded_give((char *)queue->shm);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
    atomic_store(&pool->queue, NULL);
}
