/* SPDX-License-Identifier: MIT */
#ifndef FMI_JOURNAL_H
#define FMI_JOURNAL_H

/*
 * A map's journal: a file that says which of its items need not be run again, whoever was killed, and whenever.
 *
 * The n items lie in cells of equal length, at most 65,536 of them: by n and nothing else, so any number of workers goes on from
 * any other's journal. A cell is the grain of such a map (job.h) and is claimed alone: what is under way is one cell for each worker.
 *
 * Two things end what runs, and a bit of a cell stands for each that it has survived:
 *   done    its rows are written. Rows and bit lie in memory of files, which the kernel keeps whoever is killed.
 *   saved   its rows are on disk. A machine that stops may have written the bit `done` and not the rows: so after another boot only
 *           this one counts. The host sets it from time to time: rows to disk, then states, then the bit.
 *
 *   A CELL (bits)          becomes               by                        the process dies here
 *   nothing                done                  worker, all items ended   before: it is run again, whole; after: it is not
 *   done                   done, saved           host, after the sync      before: a boot takes `done` back; else nothing
 *   nothing                failed                worker, an item failed    its states are cleared, it is run again, whole
 *   failed                 done, failed          worker, all items ended   as for done
 *   done, failed (saved)   failed, again         host: to be tried again   before `done` is taken: done, failed, and `again` is dropped
 *   failed, again          done (failed)         worker, those ended       those whose state still says AGAIN are run again
 *   anything               nothing, or as saved  host, after a boot        the same once more: the boot's id is written last
 *
 * INVARIANTS
 *   (1) done: every item of the cell has ended, its row is written, and its state says if it failed. (DONE states are not written: 0.)
 *   (2) failed is set after the state that it speaks of; a cell without it has no state but 0.
 *   (3) again without done: the items to run are those whose state has AGAIN; all others have ended.
 *   (4) saved: (1), on disk. It is taken back on disk before a row of the cell is written again.
 *
 * With FM_ON_ERROR_STOP no failure is noted: the failed item's cell is not done, and is run again.
 *
 * The file is made whole: it has no name before its header is on disk. Who uses it has it locked (flock); others are refused. A lock ends with the
 * host, and its workers end with their warden, a moment later, or much later if that is stopped: so who comes next waits for the warden's end. The head
 * is checked before the file is mapped; of what follows, any bytes are a journal, and none leads to an address.
 *
 * Layout, in bytes               who writes
 *      0:  | magic | layout |    maker
 *     16:  | key | check |       maker: what the journal is of; a hash of all before
 *    128:  | boot |              host that has the lock
 *    192:  | warden |            the same: whose workers may be in it; 0: nobody's
 *   4096:  | done |              workers, host; one bit each, from the lowest of a word
 *  12288:  | saved |             host
 *  20480:  | failed |            workers, host
 *  28672:  | again |             host; workers take it back
 *  36864:  | states |            one byte an item: workers, host. Not reserved: a page of them is when it is needed
 */

#include "array.h"
#include "identity.h"
#include "prepare.h"

#define FMI_JOURNAL_MAGIC  0x6c6e72756f6a6d66ull /* "fmjournl" */
#define FMI_JOURNAL_LAYOUT 1u
#define FMI_JOURNAL_CELLS  65536
#define FMI_JOURNAL_WORDS  (FMI_JOURNAL_CELLS / 64)

enum { FMI_JOURNAL_AGAIN = 0x80 }; /* in a state: the item is to be tried again */

/* What must be the same. Each number is a hash, but where a unit stands. */
struct fmi_journal_key {
    uint64_t function;  /* its file's build-id, its place there, its kind */
    uint64_t arguments; /* bytes that are copied; seed */
    uint64_t inputs;    /* dtypes and shapes; where a range begins */
    uint64_t output;    /* dtype, shape, strides, place in its file */
    uint64_t inode;     /* of the output file; 0: none */
    uint64_t birth_ns;  /* of that file [ns]; 0: its file system does not tell */
    int64_t n_items;    /* [items] */
    int64_t cell;       /* [items] */
};

struct fmi_journal_shm {
    uint64_t magic;
    uint32_t layout;
    uint32_t pad;
    struct fmi_journal_key key;
    uint64_t check;
    alignas(64) char boot[64];
    struct fmi_identity warden;
    alignas(4096) _Atomic uint64_t done[FMI_JOURNAL_WORDS];
    _Atomic uint64_t saved[FMI_JOURNAL_WORDS];
    _Atomic uint64_t failed[FMI_JOURNAL_WORDS];
    _Atomic uint64_t again[FMI_JOURNAL_WORDS];
    _Atomic uint8_t states[];
};
static_assert(offsetof(struct fmi_journal_shm, key) == 16, "journal: layout");
static_assert(offsetof(struct fmi_journal_shm, check) == 80, "journal: layout");
static_assert(offsetof(struct fmi_journal_shm, boot) == 128, "journal: layout");
static_assert(offsetof(struct fmi_journal_shm, warden) == 192, "journal: layout");
static_assert(offsetof(struct fmi_journal_shm, done) == 4096, "journal: layout");
static_assert(offsetof(struct fmi_journal_shm, saved) == 12288, "journal: layout");
static_assert(offsetof(struct fmi_journal_shm, failed) == 20480, "journal: layout");
static_assert(offsetof(struct fmi_journal_shm, again) == 28672, "journal: layout");
static_assert(offsetof(struct fmi_journal_shm, states) == 36864, "journal: layout");
#define FMI_JOURNAL_HEAD_BYTES offsetof(struct fmi_journal_shm, states)

/* A journal that a map has open; private to the host. */
struct fmi_journal {
    fm_array *array; /* the file; NULL: none */
    struct fmi_journal_shm *shm;
    int fd; /* the array's */
    int64_t n_items, cell;
    uint32_t n_cells;
    int64_t n_before; /* items that are not run, because they have ended before */
    char *rows;       /* of the output, NULL: none */
    size_t rows_bytes;
    int64_t sync_ns; /* when to sync next */
    int error; /* of a sync: the kernel may have dropped what it could not write, so there is no other */
    fm_failure *earlier;
    int64_t n_earlier; /* records of items that failed before and are not tried again */
};

static inline int fmi_journal_bit(const _Atomic uint64_t *bits, uint32_t cell)
{
    /* acquire: who sees `done` sees the states of its cell; pairs with fmi_journal_set */
    return (int)(atomic_load_explicit(&bits[cell / 64], memory_order_acquire) >> cell % 64 & 1);
}

static inline void fmi_journal_set(_Atomic uint64_t *bits, uint32_t cell)
{
    atomic_fetch_or_explicit(&bits[cell / 64], 1ull << cell % 64, memory_order_release);
}

static inline void fmi_journal_clear(_Atomic uint64_t *bits, uint32_t cell)
{
    atomic_fetch_and_explicit(&bits[cell / 64], ~(1ull << cell % 64), memory_order_release);
}

/* ---- journal.c: the host ---- */

/*
 * Opens or makes the journal of that map and makes its plan one of cells. `warden` is the pid of its workers' warden; 0: it has none. 0; -EINVAL a map that cannot have one; -EBUSY somebody uses it; FM_ESTALE
 * it is of another map; FM_EFORMAT it is no journal, or damaged; -ENOSPC, -EFBIG; of open, mmap (detail). After an error the plan
 * is as it was, and so is the file.
 */
int fmi_journal_open(struct fmi_journal *j, struct fmi_plan *plan, const struct fmi_request *q,
                     int32_t warden);

/* Before the map is published: the states of items that are not run. */
void fmi_journal_fill_status(const struct fmi_journal *j, const struct fmi_plan *plan);

/* Syncs if it is time to. */
void fmi_journal_look(struct fmi_journal *j, int64_t now);

/* Syncs, unlocks, forgets. 0, or why what was done is not on disk. */
int fmi_journal_close(struct fmi_journal *j);

/* ---- journal_key.c ---- */

/* What the journal of that map is of. 0; -EINVAL; FM_ENOFUNC, FM_ESTALE: the function's file. */
int fmi_journal_describe(struct fmi_journal_key *key, const struct fmi_plan *plan,
                         const struct fmi_request *q);
/* 0; FM_ESTALE: they differ (detail: in what). */
int fmi_journal_compare(const char *path, const struct fmi_journal_key *is,
                        const struct fmi_journal_key *was);
uint64_t fmi_journal_check(const struct fmi_journal_shm *head);

/* ---- journal_cells.c ---- */

/* After a boot: only what is on disk is done. */
void fmi_journal_forget_unsaved(struct fmi_journal_shm *shm);

/* After the lock, before the map: what the bits mean today. `retry`: items that failed are to be tried again. 0; of a sync; -ENOMEM. */
int fmi_journal_settle(struct fmi_journal *j, int64_t begin, int retry);
/* The next stretch of items to run from `item` on: where it begins, `end` if nowhere, and where it ends. */
int64_t fmi_journal_next(const struct fmi_journal_shm *shm, uint32_t cell, int64_t item,
                         int64_t end, int64_t *stretch_end);
/* An item has failed for good. 0, or -ENOSPC: the cell must not be ended. */
int fmi_journal_note(struct fmi_journal_shm *shm, uint32_t cell, int64_t item, int state);
/* All items of the cell [begin, end) have ended. */
void fmi_journal_end(struct fmi_journal_shm *shm, uint32_t cell, int64_t begin, int64_t end);

#endif
