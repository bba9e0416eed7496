/* SPDX-License-Identifier: MIT */
/*
 * Which item is to blame for a failure, how often it is tried, and its record.
 *
 * An item function's death blames the item that `next` names. A chunk function's blames nobody as long as the piece in flight has
 * more than one item: the piece is cut to an eighth and tried again, until one item is alone with its failure. (An eighth:
 * one bad item in a chunk of 4,096 costs 4 deaths, with halves it would cost 12; the items beside it run again either way.)
 *
 * A death that nobody explains, SIGKILL from outside or by the kernel's memory killer, may be no fault of the item: it gets at least
 * UNEXPLAINED_ATTEMPTS. After a kill for want of memory it is tried again alone (alone.h), and if it is killed then it is given up. One that ran into its worker's memory limit may have found the memory taken by items before it: it is tried once
 * more, in a fresh worker.
 */
#include "alone.h"
#include "clock.h"
#include "fault.h"
#include "journal.h"
#include "readonly.h"
#include "record.h"
#include "run.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum { UNEXPLAINED_ATTEMPTS = 3, FRESH_ATTEMPTS = 2 };
#define MOST_NS 4e18

struct attempts { /* progress->attempts */
    uint32_t count, tag, counted;
};

static struct attempts load_attempts(const struct fmi_runner *r)
{
    uint64_t word = atomic_load_explicit(&r->progress->attempts, memory_order_relaxed); /* own */
    return (struct attempts){(uint32_t)(word & 0xffff), (uint32_t)(word >> 16 & 0xffffff),
                             (uint32_t)(word >> 40)};
}

static void store_attempts(struct fmi_runner *r, struct attempts a)
{
    atomic_store_explicit(&r->progress->attempts,
                          (uint64_t)a.count | (uint64_t)a.tag << 16 | (uint64_t)a.counted << 40,
                          memory_order_release);
}

static uint32_t tag_of(int64_t item)
{
    return (uint32_t)(item & 0xffffff);
}

/* Attempts that `item` has had before this failure. */
static uint32_t attempts_of(const struct fmi_runner *r, int64_t item)
{
    struct attempts a = load_attempts(r);
    int is_same = a.tag == tag_of(item) && (r->attempted == item || r->attempted == -1);
    return is_same ? a.count : 0;
}

/* Ticks are a few parts in a thousand off: a beginning is not later than its end. */
static int64_t begin_ns_of(uint64_t begin_ticks, int64_t end_ns)
{
    double ago_ns = (double)(fmi_ticks() - begin_ticks) / fmi_ticks_per_ns();
    if (!(ago_ns < MOST_NS))
        return end_ns; /* overwritten */
    int64_t begin_ns = fmi_now_ns() - (int64_t)ago_ns;
    return begin_ns < end_ns ? begin_ns : end_ns;
}

static void complete(fm_failure *f, const struct fmi_runner *r, uint64_t begin_ticks)
{
    f->worker = r->rank;
    f->cpu = r->cpu;
    f->begin_ns = begin_ns_of(begin_ticks, f->end_ns);
    fmi_note_take(r, f->item, f->note);
}

fm_failure fmi_failure_of_return(const struct fmi_runner *r, int64_t item, int code,
                                 uint32_t attempt, uint64_t begin_ticks)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    fm_failure f = {.item = item,
                    .state = FM_ITEM_FAILED,
                    .code = code,
                    .attempt = (int)attempt,
                    .pid = getpid(),
                    .end_ns = fmi_now_ns(),
                    .peak_bytes = (int64_t)usage.ru_maxrss * 1024};
    complete(&f, r, begin_ticks);
    return f;
}

/* What the predecessor wrote as it died; NULL: nothing, or of another death. */
static const struct fmi_fault_shm *fault_of(const struct fmi_runner *r,
                                            const struct fmi_death_shm *death)
{
    const struct fmi_fault_shm *fault = &r->worker->fault;
    int signal = death->how == FMI_DEATH_EXIT ? 0 : death->number;
    return fault->starts == r->starts - 1 && fault->signal == signal ? fault : NULL;
}

static int state_of(const struct fmi_runner *r, const struct fmi_death_shm *death)
{
    const struct fmi_fault_shm *fault = fault_of(r, death);
    if (death->how == FMI_DEATH_TIMEOUT)
        return FM_ITEM_TIMEOUT;
    if (death->how == FMI_DEATH_OOM || (fault != NULL && fault->out_of_memory != 0))
        return FM_ITEM_OUT_OF_MEMORY;
    return FM_ITEM_CRASHED;
}

/* Written by what crashed: no more is taken than there is room for. */
static void take_frames(fm_failure *f, const struct fmi_fault_shm *fault)
{
    uint32_t n =
        atomic_load_explicit(&fault->n_frames, memory_order_acquire); /* pairs with add_frame */
    f->n_frames = n < FM_MAX_FRAMES ? (int)n : FM_MAX_FRAMES;
    for (int i = 0; i < f->n_frames; i++)
        f->frames[i] = fault->frames[i];
}

fm_failure fmi_failure_of_death(const struct fmi_runner *r, int64_t item, uint32_t attempt,
                                uint64_t begin_ticks, const struct fmi_death_shm *death)
{
    const struct fmi_fault_shm *fault = fault_of(r, death);
    fm_failure f = {.item = item,
                    .state = state_of(r, death),
                    .attempt = (int)attempt,
                    .pid = death->pid,
                    .end_ns = death->end_ns,
                    .peak_bytes = death->peak_bytes};
    if (death->how == FMI_DEATH_EXIT)
        f.code = death->number;
    else
        f.signal = death->number;
    if (fault != NULL) {
        f.address = fault->address;
        f.stack_overflow = fault->stack_overflow != 0;
        take_frames(&f, fault);
    }
    if (f.signal == SIGSEGV && f.address != 0 && r->plan != NULL) /* reading is allowed there */
        f.wrote_input = fmi_readonly_input(r->plan, f.address);
    complete(&f, r, begin_ticks);
    return f;
}

/* `f` is of an item of the job, counted from 0. */
static void give_up(struct fmi_runner *r, fm_failure *f)
{
    struct fmi_job_shm *job = r->job;
    int64_t item = f->item;
    if (r->plan->status != NULL)
        r->plan->status[item * r->plan->status_stride] = (uint8_t)f->state;
    f->item += r->plan->begin;
    if (r->journal != NULL && r->plan->on_error == FM_ON_ERROR_CONTINUE) {
        int rc = fmi_journal_note(r->journal, (uint32_t)(item / r->plan->grain), item, f->state);
        if (rc != 0)
            fmi_job_fail(job, rc); /* it stops the map, so the cell does not end */
    }
    fmi_record_append(r->progress, f);
    int64_t n_failed = atomic_fetch_add(&job->n_failed, 1) + 1;
    if (r->plan->on_error == FM_ON_ERROR_STOP)
        fmi_job_stop_at(
            job, item); /* items below still run: the lowest failure wins, whatever the timing */
    else if (r->plan->max_failures > 0 && n_failed >= r->plan->max_failures)
        fmi_job_stop_at(job, 0);
}

static uint64_t begin_ticks_of(const struct fmi_runner *r)
{
    return atomic_load_explicit(&r->progress->begin_ticks, memory_order_relaxed); /* own */
}

int fmi_blame_return(struct fmi_runner *r, int64_t item, int code)
{
    uint32_t attempt = attempts_of(r, item) + 1;
    if (attempt <= r->plan->retries) {
        struct attempts a = load_attempts(r);
        store_attempts(r, (struct attempts){attempt, tag_of(item), a.counted});
        r->attempted = item;
        fmi_count(&r->tally->n_reruns, 1);
        return FMI_VERDICT_AGAIN;
    }
    fm_failure f = fmi_failure_of_return(r, item, code, attempt, begin_ticks_of(r));
    give_up(r, &f);
    return FMI_VERDICT_GIVE_UP;
}

uint32_t fmi_attempts_allowed(const struct fmi_runner *r, uint32_t retries,
                              const struct fmi_death_shm *death)
{
    uint32_t allowed = retries + 1, least = 1;
    if (death->how == FMI_DEATH_OOM || (death->how == FMI_DEATH_SIGNAL && death->number == SIGKILL))
        least = UNEXPLAINED_ATTEMPTS;
    else if (state_of(r, death) == FM_ITEM_OUT_OF_MEMORY)
        least = FRESH_ATTEMPTS;
    return allowed < least ? least : allowed;
}

static int left_turn(const struct fmi_runner *r, const struct fmi_death_shm *death)
{
    return r->view == NULL ? 0 : fmi_alone_left_by(r->view, r->rank, death->starts);
}

/* Counts the death against `item`, once for each death. Returns the item to go on with. */
static int64_t blame_item(struct fmi_runner *r, int64_t item, const struct fmi_death_shm *death)
{
    uint32_t attempt = attempts_of(r, item) + 1;
    uint32_t counted = death->starts & 0xffffff;
    int was_alone = death->how == FMI_DEATH_OOM && left_turn(r, death) == FMI_ALONE_ALONE;
    if (!was_alone && attempt < fmi_attempts_allowed(r, r->plan->retries, death)) {
        store_attempts(r, (struct attempts){attempt, tag_of(item), counted});
        r->attempted = item;
        return item;
    }
    r->is_lone = 0; /* the items that follow are as others */
    fm_failure f = fmi_failure_of_death(r, item, attempt, begin_ticks_of(r), death);
    give_up(r, &f);
    FMI_FAULT("blame.recorded");
    atomic_store_explicit(&r->progress->next, fmi_next_word(item + 1), memory_order_release);
    store_attempts(r, (struct attempts){0, tag_of(item + 1), counted});
    return item + 1;
}

int64_t fmi_blame_death(struct fmi_runner *r, int64_t next, int64_t end)
{
    struct fmi_progress_shm *p = r->progress;
    const struct fmi_death_shm *death =
        r->worker == NULL ? NULL : fmi_worker_death(r->worker, r->starts);
    if (death == NULL || next == end)
        return next;
    r->is_lone = left_turn(r, death) == FMI_ALONE_WAITING;
    fmi_count(&r->tally->n_reruns, 1);
    int is_counted = load_attempts(r).counted == (death->starts & 0xffffff);
    if (death->how == FMI_DEATH_LATE || death->how == FMI_DEATH_RETIRED || is_counted ||
        atomic_load(&p->calling) != death->starts)
        return next; /* it died before or after the functions of this chunk */
    r->is_lone = death->how == FMI_DEATH_OOM && r->view != NULL;
    int64_t piece = atomic_load(&p->piece), most = r->plan->max_call;
    if (most > 0 && (piece == 0 || piece > most))
        piece = most; /* no call had more items than that */
    if (r->plan->kind != FMI_FN_CHUNK || piece == 1 || end - next == 1)
        return blame_item(r, next, death);
    if (piece == 0 || piece > end - next)
        piece = end - next;
    atomic_store(&p->piece, piece < FMI_PIECE_CUT ? 1 : piece / FMI_PIECE_CUT);
    return next;
}
