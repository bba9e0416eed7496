/* SPDX-License-Identifier: MIT */
#ifndef FMI_RANGE_H
#define FMI_RANGE_H

/*
 * Work ranges: who has which items of a job, at every instant, whoever dies.
 *
 * A job's items are counted in grains. Each rank owns one line of three words:
 *
 *   R  { lo:22, hi:22, thief:10, parity:1, epoch:9 }   grains [lo, hi) are unclaimed; a thief is taking some away
 *   F  { lo:22, hi:22, epoch:9 }                       the chunk in flight; none when lo == hi, which is then how many grains this rank has finished
 *   S  { victim:10, m:22, h:22, parity:1, epoch:9 }    the steal in progress; none when victim == 0
 *   (thief and victim are rank + 1; 0 is nobody)
 *
 * Slots own work; processes come and go. Nothing is ever requeued: a process that takes a dead one's rank goes on from the words.
 *
 *   claim   c1  F := [lo, lo+c)                     c2  CAS R: lo -> lo+c        work        c3  F := none
 *   steal   s1  S := (v, m, h), parity flipped      s2  moves += 1
 *           s3  CAS R[v]: hi h -> m, thief := me    s4  F := [m, m+c)            s5  CAS R: [m+c, h), parity flipped
 *           s6  R[v].thief := 0                     s7  S := none                work        c3
 *   done?   m1 := moves; no S; for each rank R empty and no thief, then no F; moves == m1
 *
 *   a process dies   | its successor finds                      | and does
 *   before c1, s1    | nothing                                  | -
 *   c1 .. c2         | F, and R.lo <= F.lo                      | F := none
 *   c2 .. c3         | F, and R.lo > F.lo                       | runs F again, from the first item not finished
 *   s1 .. s3         | S, and R[v].thief is not me              | S := none
 *   s3 .. s5         | S, R[v].thief is me, parity != S.parity  | s4 .. s7, runs F
 *   s5 .. s6         | S, R[v].thief is me, parity == S.parity  | s6, s7, runs F
 *   s6 .. s7         | S, and R[v].thief is not me              | s7; F is claimed (R.lo > F.lo): runs F
 *
 * INVARIANTS
 *   (1) lo of R is raised by the owner only, or set at s5; hi is lowered by thieves only, or set at s5.
 *   (2) Each grain not finished is in exactly one R, in one claimed F, or in [m, h) of one committed S.
 *   (3) R[v].thief == t implies S[t].victim == v. s5 leaves the thief in the own R as it is: its steal may be under way.
 *   (4) A word whose epoch is not the job's is nonsense: FM_ECORRUPT, never an access.
 *   (5) While F is a chunk, `before` has what F was as none. So c3 counts by the one store that it is, whoever dies, and when all is done the counts add
 *       up to all grains: if some were lost or done twice, since a word was overwritten by one that makes sense, the scan says FM_ECORRUPT.
 *   (6) R[v].thief == t, and no S[t] with that victim, is nonsense; so is a chunk, a steal or an unclaimed grain of a rank that has left the job.
 *
 * Epochs run 1 .. 511 and go round; a line is given to another job only when no worker is inside the old one
 * (job.h), so they tell overwritten words from true ones, and nothing more.
 *
 * Checked by tests/model/range.pml with deaths at every step; this file is that model, with c grains a chunk. The counts are in it with -DCOUNTS.
 * The functions work between threads as between processes: they only see the words they are given.
 *
 * Layout of a line, in bytes        who writes
 *      0:  | R |                    owner and thieves, CAS
 *      8:  | F |                    owner
 *     16:  | S |                    owner
 *     24:  | inside | left | rest | owner; the protocols of job.h and alone.h. Here, because whoever enters needs the line anyway
 *     48:  | before |               owner, before F
 *     64:  end
 */

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define FMI_RANGE_MAX_GRAINS ((1u << 22) - 1)
#define FMI_RANGE_MAX_EPOCH  511u

struct fmi_range_shm {
    alignas(64) _Atomic uint64_t r;
    _Atomic uint64_t f;
    _Atomic uint64_t s;
    _Atomic uint64_t inside; /* job.h, as the next */
    _Atomic uint64_t left;
    _Atomic uint64_t rest;   /* alone.h: 1: the claimed chunk waits */
    _Atomic uint64_t before; /* as F, none */
};
static_assert(sizeof(struct fmi_range_shm) == 64, "range: layout");
static_assert(offsetof(struct fmi_range_shm, f) == 8, "range: layout");
static_assert(offsetof(struct fmi_range_shm, s) == 16, "range: layout");
static_assert(offsetof(struct fmi_range_shm, inside) == 24, "range: layout");
static_assert(offsetof(struct fmi_range_shm, left) == 32, "range: layout");
static_assert(offsetof(struct fmi_range_shm, rest) == 40, "range: layout");
static_assert(offsetof(struct fmi_range_shm, before) == 48, "range: layout");

/* A job's ranges as one process sees them; everything but the words is private. */
struct fmi_ranges {
    struct fmi_range_shm *lines; /* n of them */
    _Atomic uint32_t *moves;     /* counts steals, for the scan; any value to begin with */
    int n;
    uint32_t n_grains;
    uint32_t epoch;
};

struct fmi_span {
    uint32_t lo, hi; /* grains */
};

/* Gives each rank from `first` on an even, contiguous share. By the host, while nobody else sees the lines. */
void fmi_ranges_init(struct fmi_ranges *ranges, int first);

/* The unclaimed grains of `rank`, as far as can be seen. */
uint32_t fmi_range_left(const struct fmi_ranges *ranges, int rank);

/* Claims up to `want` (>= 1) grains of one's own range: 1, 0 it is empty, FM_ECORRUPT. */
int fmi_range_claim(const struct fmi_ranges *ranges, int rank, uint32_t want, struct fmi_span *out);

/* Steals half of the fullest range and claims up to `want` grains of it: 1; 0 nothing is left to steal; FM_ECORRUPT. */
int fmi_range_steal(const struct fmi_ranges *ranges, int rank, uint32_t want, struct fmi_span *out);

/* c3: the claimed chunk is finished. */
void fmi_range_finish(const struct fmi_ranges *ranges, int rank);

/* The grains that `rank` has finished, while it has no chunk in flight; UINT32_MAX: it has, or that is nonsense. */
uint32_t fmi_range_count(const struct fmi_ranges *ranges, int rank);

/* 1: every grain is finished; 0: not all, or one cannot tell now; FM_ECORRUPT. */
int fmi_ranges_done(const struct fmi_ranges *ranges);

/* 1 if `rank` has a chunk in flight: one whose claim came before, by the order of all that is seq_cst, is seen. */
int fmi_range_has_flight(const struct fmi_ranges *ranges, int rank);
/* For who has waited long: FM_ECORRUPT: as the words are, invariant (6), nobody would ever finish. `ticket` is the job's, for `left`. Else 0. */
int fmi_ranges_check(const struct fmi_ranges *ranges, uint64_t ticket);

/* For the successor of a dead process: 1 and its claimed chunk, 0 it had none, FM_ECORRUPT. */
int fmi_range_resume(const struct fmi_ranges *ranges, int rank, struct fmi_span *out);

#endif
