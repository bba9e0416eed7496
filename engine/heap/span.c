/* SPDX-License-Identifier: MIT */
/* The span table: claiming, filling and freeing runs; the protocol is in span.h. */
#include "span.h"

#include "error.h"
#include "fault.h"
#include "heap_layout.h"
#include "memory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define COLD_BIT 16ull
enum { READY_STEP = 8192 }; /* spans whose words are reserved at a time: 64 KiB of table */
enum { CHECK_BYTES = 1 << 20, MOST_CREDIT = 16 << 20 };
enum {
    HEADROOM_BYTES = 1 << 20
};                             /* for what the kernel needs besides: page tables, its own batches */
enum { HUGE_BYTES = 8 << 20 }; /* below, the cores' TLBs reach as far with small pages */

static uint64_t word_of(unsigned kind, uint64_t cold, uint32_t a, uint32_t b)
{
    return kind | cold | (uint64_t)a << 8 | (uint64_t)b << 36;
}

static uint32_t owner_of(uint64_t word)
{
    return (uint32_t)(word >> 36);
}

static int is_free(uint64_t word)
{
    return fmi_span_kind(word) <= FMI_SPAN_WARM;
}

static uint64_t cold_of(uint64_t word)
{
    return fmi_span_kind(word) == FMI_SPAN_COLD ? COLD_BIT : word & COLD_BIT;
}

static uint64_t load_word(struct fmi_heap *heap, uint32_t i)
{
    return atomic_load_explicit(&heap->table[i], memory_order_acquire); /* pairs with store_word */
}

static void store_word(struct fmi_heap *heap, uint32_t i, uint64_t word)
{
    atomic_store_explicit(&heap->table[i], word, memory_order_release);
}

/* Takes one free span; keeps in the cold bit whether it has pages. */
static int take_span(struct fmi_heap *heap, uint32_t i, unsigned kind, uint32_t a, uint32_t b)
{
    uint64_t word = load_word(heap, i);
    while (is_free(word)) {
        uint64_t taken = word_of(kind, cold_of(word), a, b);
        if (atomic_compare_exchange_weak(&heap->table[i], &word, taken)) {
            if (fmi_span_kind(word) == FMI_SPAN_WARM)
                atomic_fetch_sub_explicit(&heap->shm->warm, 1, memory_order_relaxed); /* a hint */
            return 1;
        }
    }
    return 0;
}

/* Frees one span of a run that this process is freeing. */
static void free_span(struct fmi_heap *heap, uint32_t i, uint64_t cold)
{
    if (!cold)
        atomic_fetch_add_explicit(&heap->shm->warm, 1, memory_order_relaxed); /* a hint */
    store_word(heap, i, cold ? FMI_SPAN_COLD : FMI_SPAN_WARM);
}

/* Frees the run at `head`, which this process has CLAIMING or FREEING: tails from the back, the head last. */
static void free_run(struct fmi_heap *heap, uint32_t head, uint32_t n, uint64_t cold_head)
{
    uint64_t tail = word_of(FMI_SPAN_TAIL, 0, head, 0);
    store_word(heap, head, word_of(FMI_SPAN_FREEING, cold_head, n, (uint32_t)getpid()));
    for (uint32_t i = head + n - 1; i > head; i--) {
        uint64_t word = load_word(heap, i);
        FMI_FAULT("span.free_tail");
        if ((word & ~COLD_BIT) == tail)
            free_span(heap, i, word & COLD_BIT);
    }
    FMI_FAULT("span.free_head");
    free_span(heap, head, cold_head);
}

static void raise_to(_Atomic uint32_t *mark, uint32_t value)
{
    uint32_t seen = atomic_load(mark);
    while (seen < value && !atomic_compare_exchange_weak(mark, &seen, value))
        ;
}

/* Table words need pages of their own before they are touched. */
static int make_ready(struct fmi_heap *heap, uint32_t end)
{
    uint32_t ready = atomic_load(&heap->shm->ready);
    if (end <= ready)
        return 0;
    uint32_t target = (end + READY_STEP - 1) / READY_STEP * READY_STEP;
    if (target > heap->n_spans)
        target = heap->n_spans;
    int rc =
        fmi_heap_reserve(heap, (void *)&heap->table[ready], (target - ready) * sizeof(uint64_t));
    if (rc == 0)
        raise_to(&heap->shm->ready, target);
    return rc;
}

static int take_run(struct fmi_heap *heap, uint32_t head, uint32_t n)
{
    if (!take_span(heap, head, FMI_SPAN_CLAIMING, n, (uint32_t)getpid()))
        return 0;
    for (uint32_t i = 1; i < n; i++) {
        FMI_FAULT("span.claim_tail");
        if (!take_span(heap, head + i, FMI_SPAN_TAIL, head, 0)) {
            free_run(heap, head, n, cold_of(load_word(heap, head)));
            return 0;
        }
    }
    return 1;
}

/* The next index after i at which a run of n free spans may begin; n_spans if there is none. */
static uint32_t next_place(struct fmi_heap *heap, uint32_t i, uint32_t n, uint32_t top)
{
    uint32_t free_from = i;
    while (i < top && i - free_from < n) {
        uint64_t word = load_word(heap, i);
        uint32_t step = fmi_span_kind(word) == FMI_SPAN_USED ? fmi_span_length(word) : 1;
        i += step == 0 || step > top - i ? 1 : step;
        if (!is_free(word))
            free_from = i;
    }
    return heap->n_spans - free_from < n ? heap->n_spans : free_from;
}

static int64_t find_run(struct fmi_heap *heap, uint32_t n)
{
    uint32_t at = 0;
    for (;;) {
        uint32_t top = fmi_heap_top(heap);
        if (top == 0 && atomic_load(&heap->shm->ready) != 0)
            return fmi_error(FM_ECORRUPT, "the heap's control words are overwritten");
        at = next_place(heap, at, n, top);
        if (at >= heap->n_spans)
            return fmi_error(-ENOMEM, "the heap of %zu MiB has no room for %zu MiB in a row",
                             heap->bytes >> 20, (n * FMI_SPAN_BYTES) >> 20);
        int rc = make_ready(heap, at + n);
        if (rc != 0)
            return rc;
        raise_to(&heap->shm->top, at + n);
        if (take_run(heap, at, n))
            return at;
    }
}

static uint32_t count_cold(struct fmi_heap *heap, uint32_t head, uint32_t n)
{
    uint32_t cold = 0;
    for (uint32_t i = head; i < head + n; i++)
        cold += (load_word(heap, i) & COLD_BIT) != 0;
    return cold;
}

/* Reserves the cold stretches of a run, and clears the warm ones if they must read 0. */
static int fill_run(struct fmi_heap *heap, uint32_t head, uint32_t n, int zero)
{
    for (uint32_t i = head; i < head + n;) {
        uint64_t cold = load_word(heap, i) & COLD_BIT;
        uint32_t end = i + 1;
        while (end < head + n && (load_word(heap, end) & COLD_BIT) == cold)
            end++;
        void *p = heap->spans + i * FMI_SPAN_BYTES;
        FMI_FAULT("span.fill");
        if (cold) {
            int rc = fmi_heap_reserve(heap, p, (end - i) * FMI_SPAN_BYTES);
            if (rc != 0)
                return rc;
            FMI_FAULT("span.filled");
            if (heap->wants_huge && (end - i) * FMI_SPAN_BYTES >= HUGE_BYTES)
                fmi_sys_make_huge(p, (end - i) * FMI_SPAN_BYTES);
            for (uint32_t k = i; k < end; k++)
                store_word(heap, k, load_word(heap, k) & ~COLD_BIT); /* it has pages from now on */
        } else if (zero) {
            memset(p, 0, (end - i) * FMI_SPAN_BYTES);
        }
        i = end;
    }
    return 0;
}

/*
 * A reservation that a control group has no room for is no error of the call: the kernel kills somebody of the group. So what is left is looked at
 * before. That takes some 50 us; small reservations live on a look's credit, an eighth of what it found.
 */
static int check_memory_left(uint32_t n_cold, uint32_t n)
{
    static _Atomic int64_t credit; /* [bytes] private to the process; relaxed: an estimate */
    int64_t need = (int64_t)(n_cold * FMI_SPAN_BYTES);
    if (need == 0 || (need < CHECK_BYTES &&
                      atomic_fetch_sub_explicit(&credit, need, memory_order_relaxed) >= need))
        return 0;
    int64_t left = fmi_sys_memory_left();
    int is_small = need < CHECK_BYTES, shift = is_small ? 10 : 20;
    if (left - HEADROOM_BYTES < need)
        return fmi_error(-ENOMEM, "%zu %ciB asked for, %lld %ciB of memory left",
                         (n * FMI_SPAN_BYTES) >> shift, is_small ? 'K' : 'M',
                         (long long)(left >> shift), is_small ? 'K' : 'M');
    if (is_small)
        atomic_store_explicit(&credit, left / 8 < MOST_CREDIT ? left / 8 : MOST_CREDIT,
                              memory_order_relaxed);
    return 0;
}

static int is_cold_in_run(struct fmi_heap *heap, uint32_t head, uint32_t i)
{
    uint64_t word = load_word(heap, i);
    return (word & COLD_BIT) != 0 &&
           (i == head || (word & ~COLD_BIT) == word_of(FMI_SPAN_TAIL, 0, head, 0));
}

/* Pages under a cold bit go back, if there are any: a failed or dead claim got them, or a death came before their punch. */
static void drop_cold_pages(struct fmi_heap *heap, uint32_t head, uint32_t n)
{
    for (uint32_t i = head, end; i < head + n; i = end + 1) {
        for (end = i; end < head + n && is_cold_in_run(heap, head, end);)
            end++;
        if (end > i)
            fmi_sys_punch(heap->spans + i * FMI_SPAN_BYTES, (end - i) * FMI_SPAN_BYTES);
    }
}

int64_t fmi_span_claim(struct fmi_heap *heap, uint32_t n, int zero)
{
    /* What cannot be there even if all that is warm were in this run is refused before it marks the table. */
    int rc =
        n > heap->shm->warm_limit ? check_memory_left(n - (uint32_t)heap->shm->warm_limit, n) : 0;
    if (rc != 0)
        return rc;
    int64_t head = find_run(heap, n);
    if (head < 0)
        return head;
    rc = check_memory_left(count_cold(heap, (uint32_t)head, n), n);
    if (rc == 0 && (rc = fill_run(heap, (uint32_t)head, n, zero)) != 0)
        drop_cold_pages(heap, (uint32_t)head, n);
    if (rc == 0)
        return head;
    free_run(heap, (uint32_t)head, n, cold_of(load_word(heap, (uint32_t)head)));
    return rc;
}

void fmi_span_commit(struct fmi_heap *heap, uint32_t head, unsigned kind, uint32_t a)
{
    FMI_FAULT("span.commit");
    atomic_fetch_add_explicit(&heap->shm->used, kind == FMI_SPAN_SLAB ? 1 : a,
                              memory_order_relaxed); /* a hint */
    store_word(heap, head, word_of(kind, 0, a, 0));  /* pairs with is_slab_of and load_word */
}

/* Sets or takes off the cold bits of a run that this process is freeing. */
static void mark_freeing(struct fmi_heap *heap, uint32_t head, uint32_t n, uint64_t cold)
{
    store_word(heap, head, word_of(FMI_SPAN_FREEING, cold, n, (uint32_t)getpid()));
    for (uint32_t i = head + 1; i < head + n; i++)
        store_word(heap, i, word_of(FMI_SPAN_TAIL, cold, head, 0));
}

/*
 * A run in use has all its pages. They stay warm up to the limit, and go back to the kernel beyond it. Marked first: if this
 * process dies with the marks made, recover punches; the other way round, a span without pages would pass for a warm one.
 */
static uint64_t cool_down(struct fmi_heap *heap, uint32_t head, uint32_t n)
{
    uint64_t warm =
        (uint64_t)atomic_load_explicit(&heap->shm->warm, memory_order_relaxed); /* a hint */
    if (warm + n <= heap->shm->warm_limit)
        return 0;
    mark_freeing(heap, head, n, COLD_BIT);
    FMI_FAULT("span.cool");
    if (fmi_sys_punch(heap->spans + head * FMI_SPAN_BYTES, n * FMI_SPAN_BYTES) == 0)
        return COLD_BIT;
    mark_freeing(heap, head, n, 0);
    return 0;
}

/* A length that was overwritten would free what follows. */
static int is_run(struct fmi_heap *heap, uint32_t head, uint32_t n)
{
    uint64_t tail = word_of(FMI_SPAN_TAIL, 0, head, 0);
    for (uint32_t i = head + 1; i < head + n; i++)
        if (load_word(heap, i) != tail)
            return 0;
    return head + n >= fmi_heap_top(heap) || load_word(heap, head + n) != tail;
}

int fmi_span_release(struct fmi_heap *heap, uint32_t head)
{
    uint64_t word = load_word(heap, head);
    uint32_t n = fmi_span_length(word);
    if (fmi_span_kind(word) != FMI_SPAN_USED || n == 0 || n > heap->n_spans - head)
        return fmi_error(FM_ECORRUPT, "not an allocation, or freed already");
    if (!is_run(heap, head, n))
        return fmi_error(FM_ECORRUPT, "the heap's control words are overwritten");
    uint64_t freeing = word_of(FMI_SPAN_FREEING, 0, n, (uint32_t)getpid());
    if (!atomic_compare_exchange_strong(&heap->table[head], &word, freeing))
        return fmi_error(FM_ECORRUPT, "freed twice at the same time");
    atomic_fetch_sub_explicit(&heap->shm->used, n, memory_order_relaxed); /* a hint */
    FMI_FAULT("span.freeing");
    uint64_t cold = cool_down(heap, head, n);
    free_run(heap, head, n, cold);
    return 0;
}

void fmi_span_recover(struct fmi_heap *heap, int dead_pid)
{
    uint32_t top = fmi_heap_top(heap);
    for (uint32_t i = 0; i < top; i++) {
        uint64_t word = load_word(heap, i);
        unsigned kind = fmi_span_kind(word);
        uint32_t n = fmi_span_length(word);
        if (kind == FMI_SPAN_USED && n > 0 && n <= top - i)
            i += n - 1; /* its tails */
        if ((kind != FMI_SPAN_CLAIMING && kind != FMI_SPAN_FREEING) ||
            owner_of(word) != (uint32_t)dead_pid || n == 0 || n > heap->n_spans - i)
            continue;
        drop_cold_pages(heap, i, n);
        free_run(heap, i, n, word & COLD_BIT);
    }
}
