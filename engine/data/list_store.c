/* SPDX-License-Identifier: MIT */
/* Changes in a list, and its repair; the steps are those of list_store.h. */
#include "list_store.h"

#include "checked.h"
#include "error.h"
#include "fault.h"
#include "heap.h"
#include "step.h"

#include <errno.h>
#include <string.h>

enum { FIRST_CAP = 8, ALIGNED = 64 };
#define MOST_ITEMS (UINT64_C(1) << 48)

/* ---- what lies there ----------------------------------------------------------------------------- */

static size_t board_bytes(uint64_t cap)
{
    return sizeof(struct fmi_board_shm) + cap * sizeof(uint64_t);
}

static int is_block(uint64_t address, size_t bytes)
{
    return address % ALIGNED == 0 && fmi_heap_contains((void *)address, bytes);
}

/* 0; FM_ECORRUPT. An address of 0 is no board. */
static int board_at(uint64_t address, struct fmi_board_shm **board, uint64_t *cap)
{
    *board = NULL;
    *cap = 0;
    if (address == 0)
        return 0;
    struct fmi_board_shm *b = (void *)address;
    if (!is_block(address, sizeof *b))
        return FM_ECORRUPT;
    const uint64_t mark = b->mark, room = b->cap;
    /* From here on the compiler may not read the shared fields again: they may have changed since. */
    __asm__ volatile("" ::: "memory");
    if (mark != FMI_BOARD_MARK || room > MOST_ITEMS || !is_block(address, board_bytes(room)))
        return FM_ECORRUPT;
    *board = b;
    *cap = room;
    return 0;
}

static _Atomic uint64_t *board_word(struct fmi_list_shm *shm, uint64_t which)
{
    return &shm->boards[(fmi_step_load(&shm->turn) + which) & 1];
}

static int look(struct fmi_list *l)
{
    const int code = board_at(fmi_step_load(board_word(l->shm, 0)), &l->board, &l->cap);
    l->n = code == 0 && l->board != NULL ? fmi_step_load(&l->board->n) : 0;
    return code == 0 && l->n <= l->cap ? 0 : FM_ECORRUPT;
}

uint64_t fmi_list_address(const struct fmi_list *l, uint64_t i)
{
    return fmi_step_load(&l->board->items[i]);
}

int fmi_list_item(const struct fmi_list *l, uint64_t i, fm_bytes *item)
{
    const uint64_t address = fmi_list_address(l, i);
    const struct fmi_item_shm *shm = (const void *)address;
    size_t all;
    if (!is_block(address, sizeof *shm))
        return FM_ECORRUPT;
    const uint64_t bytes = shm->bytes, mark = shm->mark;
    __asm__ volatile("" ::: "memory"); /* as in board_at */
    if (mark != FMI_ITEM_MARK || !fmi_checked_add(sizeof *shm, bytes, &all) ||
        !is_block(address, all))
        return FM_ECORRUPT;
    *item = fm_bytes_of(shm->data, bytes);
    return 0;
}

/* ---- blocks -------------------------------------------------------------------------------------- */

/* Out of use, and in `word`. A death in between loses it; to free it twice would be worse. */
static void drop(_Atomic uint64_t *word)
{
    const uint64_t block = fmi_step_load(word);
    fmi_step(word, 0);
    FMI_FAULT("list.dropped");
    (void)fmi_heap_free((void *)block); /* an overwritten address is none, and stays */
}

/* m1 .. m3: noted in `word`. */
static int make_item(_Atomic uint64_t *word, fm_bytes from)
{
    struct fmi_item_shm *item;
    void *block;
    size_t bytes;
    if (!fmi_checked_add(sizeof *item, from.bytes, &bytes) || bytes > INT64_MAX)
        return fmi_error(-EOVERFLOW, "an item of %zu bytes", from.bytes);
    const int code = fmi_heap_alloc(&block, bytes, 0);
    if (code != 0)
        return code;
    FMI_FAULT("list.taken");
    fmi_step(word, (uint64_t)block);
    FMI_FAULT("list.fresh");
    item = block;
    item->bytes = from.bytes;
    item->mark = FMI_ITEM_MARK;
    if (from.bytes > 0)
        memcpy(item->data, from.data, from.bytes);
    FMI_FAULT("list.written");
    return 0;
}

static void drop_behind(const struct fmi_list *l)
{
    for (uint64_t i = l->cap; i-- > l->n;)
        if (fmi_list_address(l, i) != 0)
            drop(&l->board->items[i]);
}

/* ---- the lock, and repair ------------------------------------------------------------------------ */

static void settle(const struct fmi_list *l, _Atomic uint64_t *word)
{
    const uint64_t block = fmi_step_load(word);
    uint64_t i = 0;
    if (block == 0)
        return;
    while (i < l->n && fmi_list_address(l, i) != block)
        i++;
    if (i < l->n)
        fmi_step(word, 0);
    else
        drop(word);
    FMI_FAULT("list.settled");
}

static int repair(struct fmi_list *l)
{
    fmi_step(&l->shm->dirty, 1);
    FMI_FAULT("list.repair");
    const int code = look(l);
    if (code != 0)
        return code;
    if (l->board != NULL)
        drop_behind(l);
    settle(l, &l->shm->fresh);
    settle(l, &l->shm->stale);
    fmi_step(&l->shm->dirty, 0);
    FMI_FAULT("list.repaired");
    return 0;
}

int fmi_list_acquire(struct fmi_list *l, struct fmi_list_shm *shm, int64_t deadline_ns)
{
    *l = (struct fmi_list){.shm = shm};
    if (fmi_lock_holder(&shm->lock) != 0 && fmi_lock_holder(&shm->lock) == fmi_mortal_self())
        return -EDEADLK;
    int code = fmi_lock_acquire(&shm->lock, deadline_ns);
    if (code != 0 && code != FM_EOWNERDEAD)
        return code;
    FMI_FAULT("list.locked");
    code = code == FM_EOWNERDEAD || fmi_step_load(&shm->dirty) != 0 ? repair(l) : look(l);
    if (code != 0)
        fmi_lock_release(&shm->lock);
    return code;
}

void fmi_list_release(struct fmi_list *l)
{
    fmi_lock_release(&l->shm->lock);
}

/* ---- the other board ----------------------------------------------------------------------------- */

static int make_board(_Atomic uint64_t *word, uint64_t n, struct fmi_draft *draft)
{
    uint64_t cap = FIRST_CAP;
    void *block;
    if (n > MOST_ITEMS)
        return fmi_error(-EOVERFLOW, "a list of %zu items", (size_t)n);
    while (cap < n)
        cap += cap / 2; /* by halves: what is copied later is at most twice what is there */
    if (fmi_step_load(word) != 0)
        drop(word);
    const int code = fmi_heap_alloc(&block, board_bytes(cap), FMI_HEAP_ZERO);
    if (code != 0)
        return code;
    FMI_FAULT("list.taken");
    draft->board = block;
    draft->board->cap = draft->cap = cap;
    draft->board->mark = FMI_BOARD_MARK;
    fmi_step(word, (uint64_t)block);
    FMI_FAULT("list.board");
    return 0;
}

int fmi_list_draft(struct fmi_list *l, uint64_t n, struct fmi_draft *draft)
{
    _Atomic uint64_t *word = board_word(l->shm, 1);
    draft->n = 0;
    const int code = board_at(fmi_step_load(word), &draft->board, &draft->cap);
    if (code != 0 || (draft->board != NULL && draft->board == l->board))
        return FM_ECORRUPT;
    return draft->board != NULL && draft->cap >= n ? 0 : make_board(word, n, draft);
}

/* Relaxed: the turn publishes it. */
void fmi_draft_put(struct fmi_draft *draft, uint64_t address)
{
    if (draft->n < draft->cap)
        atomic_store_explicit(&draft->board->items[draft->n++], address, memory_order_relaxed);
}

static void put_range(const struct fmi_list *l, uint64_t begin, uint64_t end,
                      struct fmi_draft *draft)
{
    for (uint64_t i = begin; i < end; i++)
        fmi_draft_put(draft, fmi_list_address(l, i));
}

void fmi_list_turn(struct fmi_list *l, struct fmi_draft *draft)
{
    for (uint64_t i = draft->n; i < draft->cap; i++)
        atomic_store_explicit(&draft->board->items[i], 0, memory_order_relaxed);
    fmi_step(&draft->board->n, draft->n);
    FMI_FAULT("list.turn");
    fmi_step(&l->shm->turn, fmi_step_load(&l->shm->turn) + 1);
    FMI_FAULT("list.turned");
    *l = (struct fmi_list){l->shm, draft->board, draft->n, draft->cap};
}

/* ---- changes ------------------------------------------------------------------------------------- */

static int make_room(struct fmi_list *l, uint64_t n)
{
    struct fmi_draft draft;
    if (n <= l->cap)
        return 0;
    /* Half as much again, so that appending one by one copies each item a few times. */
    const int code = fmi_list_draft(l, l->n + l->n / 2 > n ? l->n + l->n / 2 : n, &draft);
    if (code != 0)
        return code;
    put_range(l, 0, l->n, &draft);
    fmi_list_turn(l, &draft);
    return 0;
}

int fmi_list_append(struct fmi_list *l, const fm_bytes *items, uint64_t n)
{
    int code =
        n > MOST_ITEMS ? fmi_error(-EOVERFLOW, "%zu items", (size_t)n) : make_room(l, l->n + n);
    for (uint64_t i = 0; code == 0 && i < n; i++)
        code = make_item(&l->board->items[l->n + i], items[i]);
    if (code == 0 && n > 0) {
        l->n += n;
        fmi_step(&l->board->n, l->n);
        FMI_FAULT("list.appended");
    } else if (n > 0 && l->board != NULL) {
        drop_behind(l);
    }
    return code;
}

int fmi_list_set(struct fmi_list *l, uint64_t i, fm_bytes item)
{
    const int code = make_item(&l->shm->fresh, item);
    if (code != 0)
        return code;
    fmi_step(&l->shm->stale, fmi_list_address(l, i));
    FMI_FAULT("list.set");
    fmi_step(&l->board->items[i], fmi_step_load(&l->shm->fresh));
    FMI_FAULT("list.was_set");
    fmi_step(&l->shm->fresh, 0);
    drop(&l->shm->stale);
    return 0;
}

int fmi_list_insert(struct fmi_list *l, uint64_t i, fm_bytes item)
{
    struct fmi_draft draft;
    if (i == l->n)
        return fmi_list_append(l, &item, 1);
    int code = fmi_list_draft(l, l->n + 1, &draft);
    if (code == 0)
        code = make_item(&l->shm->fresh, item);
    if (code != 0)
        return code;
    put_range(l, 0, i, &draft);
    fmi_draft_put(&draft, fmi_step_load(&l->shm->fresh));
    put_range(l, i, l->n, &draft);
    fmi_list_turn(l, &draft);
    fmi_step(&l->shm->fresh, 0);
    return 0;
}

int fmi_list_remove(struct fmi_list *l, uint64_t i)
{
    struct fmi_draft draft;
    if (i == l->n - 1) {
        l->n--;
        fmi_step(&l->board->n, l->n);
        FMI_FAULT("list.popped");
        drop(&l->board->items[i]);
        return 0;
    }
    const int code = fmi_list_draft(l, l->n - 1, &draft);
    if (code != 0)
        return code;
    fmi_step(&l->shm->stale, fmi_list_address(l, i));
    put_range(l, 0, i, &draft);
    put_range(l, i + 1, l->n, &draft);
    fmi_list_turn(l, &draft);
    drop(&l->shm->stale);
    return 0;
}

void fmi_list_empty(struct fmi_list *l)
{
    if (l->board == NULL)
        return;
    const struct fmi_list all = {l->shm, l->board, 0, l->n};
    FMI_FAULT("list.clear");
    fmi_step(&l->board->n, 0);
    FMI_FAULT("list.cleared");
    drop_behind(&all);
    l->n = 0;
}

void fmi_list_fini(struct fmi_list_shm *shm)
{
    struct fmi_list l = {.shm = shm};
    if (look(&l) == 0 && l.board != NULL) {
        settle(&l, &shm->fresh);
        settle(&l, &shm->stale);
        l.n = 0;
        drop_behind(&l);
    }
    drop(&shm->boards[0]);
    drop(&shm->boards[1]);
}
