/* SPDX-License-Identifier: MIT */
/* Claiming, stealing, finishing and resuming ranges; the protocol is in range.h. */
#include "range.h"

#include "clock.h"
#include "fault.h"

#include <forkmap/status.h>

enum { BUSY_NS = 20000 };

#define FIELD(word, shift, bits) ((uint32_t)((word) >> (shift)) & ((1u << (bits)) - 1))

struct owned { /* R */
    uint32_t lo, hi, thief, parity;
};

struct steal { /* S */
    uint32_t victim, m, h, parity;
};

static uint64_t pack_owned(const struct fmi_ranges *ranges, struct owned o)
{
    return (uint64_t)o.lo | (uint64_t)o.hi << 22 | (uint64_t)o.thief << 44 |
           (uint64_t)o.parity << 54 | (uint64_t)ranges->epoch << 55;
}

static uint64_t pack_flight(const struct fmi_ranges *ranges, uint32_t lo, uint32_t hi)
{
    return (uint64_t)lo | (uint64_t)hi << 22 | (uint64_t)ranges->epoch << 55;
}

static uint64_t pack_steal(const struct fmi_ranges *ranges, struct steal s)
{
    return (uint64_t)s.victim | (uint64_t)s.m << 10 | (uint64_t)s.h << 32 |
           (uint64_t)s.parity << 54 | (uint64_t)ranges->epoch << 55;
}

/* Invariant (4): each returns 0 for a word that no process of this job can have written. */
static inline int unpack_owned(const struct fmi_ranges *ranges, uint64_t word, struct owned *out)
{
    *out = (struct owned){FIELD(word, 0, 22), FIELD(word, 22, 22), FIELD(word, 44, 10),
                          FIELD(word, 54, 1)};
    return FIELD(word, 55, 9) == ranges->epoch && out->lo <= out->hi &&
           out->hi <= ranges->n_grains && out->thief <= (uint32_t)ranges->n;
}

static inline int unpack_flight(const struct fmi_ranges *ranges, uint64_t word,
                                struct fmi_span *out)
{
    *out = (struct fmi_span){FIELD(word, 0, 22), FIELD(word, 22, 22)};
    return FIELD(word, 55, 9) == ranges->epoch && out->lo <= out->hi && out->hi <= ranges->n_grains;
}

static inline int unpack_steal(const struct fmi_ranges *ranges, uint64_t word, struct steal *out)
{
    *out = (struct steal){FIELD(word, 0, 10), FIELD(word, 10, 22), FIELD(word, 32, 22),
                          FIELD(word, 54, 1)};
    return FIELD(word, 55, 9) == ranges->epoch && out->victim <= (uint32_t)ranges->n &&
           out->m <= out->h && out->h <= ranges->n_grains;
}

void fmi_ranges_init(struct fmi_ranges *ranges, int first)
{
    uint32_t n = (uint32_t)(ranges->n - first), each = ranges->n_grains / n;
    uint32_t more = ranges->n_grains % n, lo = 0;
    for (int i = 0; i < ranges->n; i++) {
        uint32_t length =
            i < first ? 0 : each + ((uint32_t)(i - first) < more); /* the first ones get one more */
        struct owned share = {lo, lo + length, 0, 0};
        lo = share.hi;
        /* relaxed: the job's word, stored with release, publishes all lines at once */
        atomic_store_explicit(&ranges->lines[i].r, pack_owned(ranges, share), memory_order_relaxed);
        atomic_store_explicit(&ranges->lines[i].f, pack_flight(ranges, 0, 0), memory_order_relaxed);
        atomic_store_explicit(&ranges->lines[i].before, pack_flight(ranges, 0, 0),
                              memory_order_relaxed);
        atomic_store_explicit(&ranges->lines[i].s, pack_steal(ranges, (struct steal){0}),
                              memory_order_relaxed);
        atomic_store_explicit(&ranges->lines[i].rest, 0, memory_order_relaxed);
    }
}

uint32_t fmi_range_left(const struct fmi_ranges *ranges, int rank)
{
    struct owned o;
    uint64_t word = atomic_load_explicit(&ranges->lines[rank].r, memory_order_relaxed); /* a hint */
    return unpack_owned(ranges, word, &o) ? o.hi - o.lo : 0;
}

int fmi_range_has_flight(const struct fmi_ranges *ranges, int rank)
{
    struct fmi_span flight;
    const struct fmi_range_shm *line = &ranges->lines[rank];
    (void)atomic_load(&line->r); /* seq_cst: who reads what c2 or s5 wrote finds the F before it */
    uint64_t word = atomic_load(&line->f);
    return unpack_flight(ranges, word, &flight) && flight.lo != flight.hi;
}

static void store_flight(const struct fmi_ranges *ranges, int rank, uint64_t word)
{
    /* release: pairs with the acquire of F in fmi_ranges_done, after which the items' results are read */
    atomic_store_explicit(&ranges->lines[rank].f, word, memory_order_release);
}

/* Of one's own; relaxed: this process wrote it, or its dead predecessor. */
static uint64_t load_flight(const struct fmi_ranges *ranges, int rank)
{
    return atomic_load_explicit(&ranges->lines[rank].f, memory_order_relaxed);
}

/* c1, s4: invariant (5). A chunk that is there already is a dead process's, of a steal that is done again. */
static void begin_flight(const struct fmi_ranges *ranges, int rank, uint32_t lo, uint32_t hi)
{
    struct fmi_span f;
    uint64_t none = load_flight(ranges, rank);
    if (unpack_flight(ranges, none, &f) && f.lo == f.hi)
        atomic_store_explicit(&ranges->lines[rank].before, none, memory_order_relaxed);
    store_flight(ranges, rank, pack_flight(ranges, lo, hi));
}

/* The intent is dropped. */
static void end_flight(const struct fmi_ranges *ranges, int rank)
{
    store_flight(ranges, rank,
                 atomic_load_explicit(&ranges->lines[rank].before, memory_order_relaxed));
}

void fmi_range_finish(const struct fmi_ranges *ranges, int rank)
{
    struct fmi_span f, before;
    uint64_t none = 0; /* nonsense, if what it is made of is: whoever scans says so */
    FMI_FAULT("range.finish");
    if (unpack_flight(ranges, load_flight(ranges, rank), &f) &&
        unpack_flight(ranges,
                      atomic_load_explicit(&ranges->lines[rank].before, memory_order_relaxed),
                      &before) &&
        before.lo == before.hi && f.hi - f.lo <= ranges->n_grains - before.lo)
        none = pack_flight(ranges, before.lo + (f.hi - f.lo), before.lo + (f.hi - f.lo));
    store_flight(ranges, rank, none); /* c3 */
    FMI_FAULT("range.finished");
}

uint32_t fmi_range_count(const struct fmi_ranges *ranges, int rank)
{
    struct fmi_span f;
    return unpack_flight(ranges, load_flight(ranges, rank), &f) && f.lo == f.hi ? f.lo : UINT32_MAX;
}

int fmi_range_claim(const struct fmi_ranges *ranges, int rank, uint32_t want, struct fmi_span *out)
{
    struct fmi_range_shm *line = &ranges->lines[rank];
    uint64_t word = atomic_load_explicit(&line->r, memory_order_relaxed); /* c2 decides */
    struct owned o;
    for (;;) {
        if (!unpack_owned(ranges, word, &o))
            return FM_ECORRUPT;
        if (o.lo == o.hi)
            return 0;
        uint32_t end = o.hi - o.lo > want ? o.lo + want : o.hi;
        FMI_FAULT("range.intend");
        begin_flight(ranges, rank, o.lo,
                     end); /* c1: before c2, or a death in between would lose it */
        FMI_FAULT("range.claim");
        struct owned rest = {end, o.hi, o.thief, o.parity};
        /* c2; release: F is seen by whoever sees this claim; pairs with the acquire of R in fmi_ranges_done */
        if (atomic_compare_exchange_strong_explicit(&line->r, &word, pack_owned(ranges, rest),
                                                    memory_order_acq_rel, memory_order_acquire)) {
            FMI_FAULT("range.claimed");
            *out = (struct fmi_span){o.lo, end};
            return 1;
        }
        FMI_FAULT("range.claim_lost");
        end_flight(ranges, rank);
    }
}

static void clear_steal(const struct fmi_ranges *ranges, int rank)
{
    FMI_FAULT("steal.clear");
    atomic_store(&ranges->lines[rank].s, pack_steal(ranges, (struct steal){0})); /* s7 */
}

/* s6. The victim claims meanwhile, so it takes a loop. */
static int release_victim(const struct fmi_ranges *ranges, int rank, uint32_t victim)
{
    _Atomic uint64_t *r = &ranges->lines[victim - 1].r;
    uint64_t word = atomic_load(r);
    struct owned o;
    do {
        if (!unpack_owned(ranges, word, &o))
            return FM_ECORRUPT;
        if (o.thief != (uint32_t)rank + 1)
            return 0;
        o.thief = 0;
    } while (!atomic_compare_exchange_weak(r, &word, pack_owned(ranges, o)));
    return 0;
}

/*
 * s4 and s5. The own range is empty, so no thief begins on it; but one that took its last grains may still be about to
 * clear its name there (s6), and until then the name must stay: its successor would think that nothing was taken.
 */
static int install(const struct fmi_ranges *ranges, int rank, const struct steal *s, uint32_t want,
                   struct fmi_span *out)
{
    _Atomic uint64_t *r = &ranges->lines[rank].r;
    uint32_t end = s->h - s->m > want ? s->m + want : s->h;
    begin_flight(ranges, rank, s->m, end); /* s4; before s5 */
    FMI_FAULT("steal.install");
    uint64_t word = atomic_load(r);
    struct owned mine;
    do {
        if (!unpack_owned(ranges, word, &mine) || mine.lo != mine.hi)
            return FM_ECORRUPT;
        mine = (struct owned){end, s->h, mine.thief, s->parity};
    } while (!atomic_compare_exchange_weak(r, &word, pack_owned(ranges, mine))); /* s5 */
    FMI_FAULT("steal.installed");
    *out = (struct fmi_span){s->m, end};
    return 0;
}

/* s4 .. s7 of a steal that is committed. */
static int complete_steal(const struct fmi_ranges *ranges, int rank, const struct steal *s,
                          uint32_t want, struct fmi_span *out)
{
    FMI_FAULT("steal.committed");
    int rc = install(ranges, rank, s, want, out);
    if (rc == 0)
        rc = release_victim(ranges, rank, s->victim);
    FMI_FAULT("steal.released");
    clear_steal(ranges, rank);
    return rc;
}

/* The rank with most to steal, and its word; NOBODY, or BUSY: one is being robbed, and may have more; FM_ECORRUPT. */
enum { NOBODY = -1, BUSY = -2 };

static int find_victim(const struct fmi_ranges *ranges, int rank, uint64_t *word, struct owned *out)
{
    int victim = NOBODY;
    uint32_t most = 0;
    for (int i = 0; i < ranges->n; i++) {
        struct owned o;
        uint64_t seen = atomic_load(&ranges->lines[i].r);
        if (!unpack_owned(ranges, seen, &o))
            return FM_ECORRUPT;
        if (i == rank || o.hi - o.lo <= most)
            continue;
        if (o.thief != 0) {
            victim = victim == NOBODY ? BUSY : victim;
            continue;
        }
        victim = i;
        most = o.hi - o.lo;
        *word = seen;
        *out = o;
    }
    return victim;
}

/*
 * Leaving is for good, so whoever finds the only full range being robbed looks again for a while: else all who look within one steal would be lost to the
 * job (8 ranks on one long range: 40 ms instead of 17). Not for ever: the thief may be stopped.
 */
static int await_victim(const struct fmi_ranges *ranges, int rank, uint64_t *word,
                        struct owned *out)
{
    int victim = find_victim(ranges, rank, word, out);
    if (victim != BUSY)
        return victim;
    uint64_t begin = fmi_ticks(), limit = fmi_ticks_of_ns(BUSY_NS);
    do {
        fmi_relax();
        victim = find_victim(ranges, rank, word, out);
    } while (victim == BUSY && fmi_ticks() - begin < limit);
    return victim;
}

int fmi_range_steal(const struct fmi_ranges *ranges, int rank, uint32_t want, struct fmi_span *out)
{
    struct fmi_range_shm *own = &ranges->lines[rank];
    for (;;) {
        uint64_t word;
        struct owned theirs, mine;
        int victim = await_victim(ranges, rank, &word, &theirs);
        if (victim < 0)
            return victim == NOBODY || victim == BUSY ? 0 : victim;
        if (!unpack_owned(ranges, atomic_load(&own->r), &mine) || mine.lo != mine.hi)
            return FM_ECORRUPT;
        struct steal s = {(uint32_t)victim + 1, theirs.lo + (theirs.hi - theirs.lo) / 2, theirs.hi,
                          !mine.parity};
        FMI_FAULT("steal.intend");
        atomic_store(&own->s,
                     pack_steal(ranges, s)); /* s1; seq_cst: before s2, s3; pairs with the scan */
        FMI_FAULT("steal.move");
        atomic_fetch_add(ranges->moves, 1); /* s2: a scan that missed S sees that moves changed */
        FMI_FAULT("steal.commit");
        struct owned rest = {theirs.lo, s.m, (uint32_t)rank + 1, theirs.parity};
        if (atomic_compare_exchange_strong(&ranges->lines[victim].r, &word,
                                           pack_owned(ranges, rest))) {
            int rc = complete_steal(ranges, rank, &s, want, out);
            return rc == 0 ? 1 : rc;
        }
        clear_steal(ranges, rank);
    }
}

int fmi_ranges_done(const struct fmi_ranges *ranges)
{
    /* The caller's own c3 comes before its scan: of two who finish at once, one sees both finished. */
    atomic_thread_fence(memory_order_seq_cst);
    uint32_t moves = atomic_load(ranges->moves);
    uint64_t n_finished = 0;
    struct owned o;
    struct steal s;
    struct fmi_span f;
    for (int i = 0; i < ranges->n; i++) {
        if (!unpack_steal(ranges, atomic_load(&ranges->lines[i].s), &s))
            return FM_ECORRUPT;
        if (s.victim != 0)
            return 0;
    }
    for (int i = 0; i < ranges->n; i++) {
        if (!unpack_owned(ranges, atomic_load(&ranges->lines[i].r),
                          &o)) /* R before F: pairs with c1, c2 */
            return FM_ECORRUPT;
        if (o.lo < o.hi || o.thief != 0)
            return 0;
        if (!unpack_flight(ranges, atomic_load(&ranges->lines[i].f), &f))
            return FM_ECORRUPT;
        if (f.lo < f.hi)
            return 0;
        n_finished += f.lo;
    }
    if (atomic_load(ranges->moves) != moves)
        return 0;
    return n_finished == ranges->n_grains ? 1 : FM_ECORRUPT; /* (5) */
}

/* Invariant (6), for the thief that R[v] names: it stands in its S as long as it stands there. */
static int has_lost_thief(const struct fmi_ranges *ranges, int v)
{
    struct owned o;
    struct steal s;
    uint64_t r = atomic_load(&ranges->lines[v].r);
    if (!unpack_owned(ranges, r, &o) || o.thief == 0)
        return 0;
    int is_named = unpack_steal(ranges, atomic_load(&ranges->lines[o.thief - 1].s), &s) &&
                   s.victim == (uint32_t)v + 1;
    return !is_named && atomic_load(&ranges->lines[v].r) == r;
}

/* The same, for a rank that is not coming back. */
static int has_left_something(const struct fmi_ranges *ranges, int rank, uint64_t ticket)
{
    struct fmi_range_shm *line = &ranges->lines[rank];
    struct owned o;
    struct steal s;
    struct fmi_span f;
    if (atomic_load(&line->left) != ticket)
        return 0;
    return !unpack_owned(ranges, atomic_load(&line->r), &o) || o.lo != o.hi ||
           !unpack_steal(ranges, atomic_load(&line->s), &s) || s.victim != 0 ||
           !unpack_flight(ranges, atomic_load(&line->f), &f) || f.lo != f.hi;
}

int fmi_ranges_check(const struct fmi_ranges *ranges, uint64_t ticket)
{
    for (int rank = 0; rank < ranges->n; rank++)
        if (has_lost_thief(ranges, rank) || has_left_something(ranges, rank, ticket))
            return FM_ECORRUPT;
    return 0;
}

/* The upper half of the table in range.h: what to do with S. 1: a steal was completed, *out is its chunk. */
static int resume_steal(const struct fmi_ranges *ranges, int rank, const struct owned *mine,
                        struct fmi_span *out)
{
    struct steal s;
    struct owned theirs;
    if (!unpack_steal(ranges, atomic_load(&ranges->lines[rank].s), &s))
        return FM_ECORRUPT;
    if (s.victim == 0)
        return 0;
    if (!unpack_owned(ranges, atomic_load(&ranges->lines[s.victim - 1].r), &theirs))
        return FM_ECORRUPT;
    int committed = theirs.thief == (uint32_t)rank + 1;
    if (committed && mine->parity != s.parity) {
        int rc = complete_steal(ranges, rank, &s, 1, out);
        return rc == 0 ? 1 : rc;
    }
    int rc = committed ? release_victim(ranges, rank, s.victim) : 0;
    clear_steal(ranges, rank);
    return rc;
}

int fmi_range_resume(const struct fmi_ranges *ranges, int rank, struct fmi_span *out)
{
    struct fmi_range_shm *line = &ranges->lines[rank];
    struct owned mine;
    struct fmi_span f;
    if (!unpack_owned(ranges, atomic_load(&line->r), &mine))
        return FM_ECORRUPT;
    int rc = resume_steal(ranges, rank, &mine, out);
    if (rc != 0)
        return rc;
    if (!unpack_owned(ranges, atomic_load(&line->r), &mine) ||
        !unpack_flight(ranges, atomic_load(&line->f), &f))
        return FM_ECORRUPT;
    if (f.lo == f.hi)
        return 0;
    if (mine.lo > f.lo) {
        *out = f;
        return 1;
    }
    FMI_FAULT("range.drop_intent");
    end_flight(ranges, rank); /* c1 without c2 */
    return 0;
}
