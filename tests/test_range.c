/* SPDX-License-Identifier: MIT */
/* LABELS: unit threads */
/* Work ranges: one body that claims, steals and finishes, driven by threads and by processes; and words that lie. */
#include "t.h"

#include "range.h"

#include <forkmap/status.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

enum {
    MAX_RANKS = 8,
    MAX_GRAINS = 20000,
    GUARD_BYTES = 128 << 10 /* a line of any rank that a word can name */
};

/* What a job's participants share. In memory that children share, between inaccessible pages. */
struct field {
    struct fmi_range_shm lines[MAX_RANKS];
    _Atomic uint32_t moves;
    _Atomic uint32_t begun;        /* of them all may start at once */
    _Atomic uint32_t n_found_done; /* participants whose last scan said so */
    _Atomic uint32_t n_wrong;      /* errors, and scans that said so too early */
    uint8_t runs[MAX_GRAINS];      /* plain: the words alone order who writes and who reads them */
};

enum { FIELD_BYTES = (sizeof(struct field) + GUARD_BYTES - 1) / GUARD_BYTES * GUARD_BYTES };

static struct field *map_field(void)
{
    char *block =
        mmap(NULL, FIELD_BYTES + 2 * GUARD_BYTES, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(block, MAP_FAILED);
    size_t used = (sizeof(struct field) + 4095) / 4096 * 4096;
    assert_int_equal(mprotect(block + GUARD_BYTES, used, PROT_READ | PROT_WRITE), 0);
    return (struct field *)(block + GUARD_BYTES); /* the lines begin where the guard ends */
}

static void unmap_field(struct field *field)
{
    munmap((char *)field - GUARD_BYTES, FIELD_BYTES + 2 * GUARD_BYTES);
}

static struct fmi_ranges view(struct field *field, int n_ranks, uint32_t n_grains, uint32_t epoch)
{
    return (struct fmi_ranges){.lines = field->lines,
                               .moves = &field->moves,
                               .n = n_ranks,
                               .n_grains = n_grains,
                               .epoch = epoch};
}

static void reset_field(struct field *field, const struct fmi_ranges *ranges)
{
    struct fmi_ranges mine = *ranges;
    memset(field, 0, sizeof *field);
    fmi_ranges_init(&mine, 0);
}

/* ---- the body ---- */

struct part {
    struct field *field;
    struct fmi_ranges ranges;
    int rank;
    uint32_t want;
};

static void run_span(const struct part *part, const struct fmi_span *span)
{
    struct field *field = part->field;
    for (uint32_t g = span->lo; g < span->hi; g++)
        field->runs[g]++;
    fmi_range_finish(&part->ranges, part->rank);
}

/* A scan that says "done" must be right, and lets the results be read. */
static int sees_done(const struct part *part)
{
    int is_done = fmi_ranges_done(&part->ranges) == 1;
    for (uint32_t g = 0; is_done && g < part->ranges.n_grains; g++)
        if (part->field->runs[g] != 1)
            atomic_fetch_add(&part->field->n_wrong, 1);
    return is_done;
}

static void take_part(const struct part *part)
{
    struct field *field = part->field;
    uint32_t all = (uint32_t)part->ranges.n, grains = part->ranges.n_grains;
    struct fmi_span span;
    int rc;
    atomic_fetch_add(&field->begun, 1);
    while (atomic_load(&field->begun) < all)
        sched_yield();
    for (;;) {
        rc = fmi_range_claim(&part->ranges, part->rank, part->want, &span);
        if (rc == 0)
            rc = fmi_range_steal(&part->ranges, part->rank, part->want, &span);
        if (rc != 1)
            break;
        if (span.lo >= span.hi || span.hi > grains || span.hi - span.lo > part->want)
            atomic_fetch_add(&field->n_wrong, 1);
        run_span(part, &span);
        (void)sees_done(part);
    }
    atomic_fetch_add(&field->n_wrong, rc < 0);
    atomic_fetch_add(&field->n_found_done, sees_done(part) ? 1 : 0);
}

static void check_field(struct field *field, const struct fmi_ranges *ranges)
{
    assert_int_equal(atomic_load(&field->n_wrong), 0);
    for (uint32_t g = 0; g < ranges->n_grains; g++)
        assert_int_equal(field->runs[g], 1);
    assert_true(atomic_load(&field->n_found_done) >= 1); /* or nobody would tell the host */
    assert_int_equal(fmi_ranges_done(ranges), 1);
}

/* ---- driver: threads ---- */

static void *thread_main(void *arg)
{
    take_part(arg);
    return NULL;
}

static void drive_threads(struct field *field, int n_ranks, uint32_t n_grains, uint32_t want)
{
    struct fmi_ranges ranges = view(field, n_ranks, n_grains, 1 + want);
    struct part parts[MAX_RANKS];
    pthread_t threads[MAX_RANKS];
    reset_field(field, &ranges);
    for (int rank = 0; rank < n_ranks; rank++) {
        parts[rank] = (struct part){field, ranges, rank, want};
        assert_int_equal(pthread_create(&threads[rank], NULL, thread_main, &parts[rank]), 0);
    }
    for (int rank = 0; rank < n_ranks; rank++)
        pthread_join(threads[rank], NULL);
    check_field(field, &ranges);
}

static void drive_threads_with(const uint32_t *grains, size_t n)
{
    struct field *field = map_field();
    for (int n_ranks = 1; n_ranks <= 5; n_ranks++)
        for (size_t i = 0; i < n; i++)
            for (uint32_t want = 1; want <= 7; want++)
                drive_threads(field, n_ranks, grains[i], want);
    unmap_field(field);
}

static void test_range_few_grains_are_each_claimed_by_one_thread(void **state)
{
    (void)state;
    drive_threads_with((const uint32_t[]){1, 2, 3, 5, 17, 64}, 6);
}

static void test_range_many_grains_are_each_claimed_by_one_thread(void **state)
{
    (void)state;
    drive_threads_with((const uint32_t[]){1000, 7001}, 2);
}

/* All work on one rank: every other chunk is stolen. */
static void test_range_all_grains_on_one_rank_reach_the_other_threads(void **state)
{
    (void)state;
    struct field *field = map_field();
    struct fmi_ranges ranges = view(field, 4, 2000, 9);
    for (int round = 0; round < 20; round++) {
        struct part parts[4];
        pthread_t threads[4];
        struct fmi_ranges alone = view(field, 1, 2000, 9), empty = ranges;
        memset(field, 0, sizeof *field);
        empty.n_grains = 0;
        fmi_ranges_init(&empty, 0);
        fmi_ranges_init(&alone, 0);
        for (int rank = 0; rank < 4; rank++) {
            parts[rank] = (struct part){field, ranges, rank, 3};
            assert_int_equal(pthread_create(&threads[rank], NULL, thread_main, &parts[rank]), 0);
        }
        for (int rank = 0; rank < 4; rank++)
            pthread_join(threads[rank], NULL);
        check_field(field, &ranges);
    }
    unmap_field(field);
}

/* ---- driver: processes ---- */

static void process_main(void *arg)
{
    take_part(arg);
}

static void drive_processes(struct field *field, int n_ranks, uint32_t n_grains, uint32_t want)
{
    struct fmi_ranges ranges = view(field, n_ranks, n_grains, 500 + want);
    pid_t pids[MAX_RANKS];
    reset_field(field, &ranges);
    for (int rank = 0; rank < n_ranks; rank++)
        pids[rank] = t_start_child(process_main, &(struct part){field, ranges, rank, want});
    for (int rank = 0; rank < n_ranks; rank++)
        assert_int_equal(t_exit_code(t_wait_child(pids[rank])), 0);
    check_field(field, &ranges);
}

static void test_range_grains_are_each_claimed_by_one_process(void **state)
{
    (void)state;
    static const uint32_t grains[] = {1, 4, 33, 5000};
    struct field *field = map_field();
    for (int n_ranks = 1; n_ranks <= 5; n_ranks++)
        for (size_t i = 0; i < sizeof grains / sizeof grains[0]; i++)
            for (uint32_t want = 1; want <= 7; want += 3)
                drive_processes(field, n_ranks, grains[i], want);
    unmap_field(field);
}

/* ---- one participant, step by step ---- */

static void test_range_shares_are_contiguous_and_even(void **state)
{
    (void)state;
    struct field *field = map_field();
    struct fmi_ranges ranges = view(field, 4, 10, 3);
    struct fmi_span span;
    uint32_t next = 0;
    reset_field(field, &ranges);
    for (int rank = 0; rank < 4; rank++) {
        uint32_t left = fmi_range_left(&ranges, rank);
        assert_in_range(left, 2, 3);
        assert_int_equal(fmi_range_claim(&ranges, rank, 100, &span), 1);
        assert_int_equal(span.lo, next);
        assert_int_equal(span.hi - span.lo, left);
        next = span.hi;
    }
    assert_int_equal(next, 10);
    unmap_field(field);
}

static void test_range_claims_come_in_order_and_end(void **state)
{
    (void)state;
    struct field *field = map_field();
    struct fmi_ranges ranges = view(field, 1, 5, 3);
    struct fmi_span span;
    reset_field(field, &ranges);
    for (uint32_t g = 0; g < 5; g += 2) {
        assert_int_equal(fmi_range_claim(&ranges, 0, 2, &span), 1);
        assert_int_equal(span.lo, g);
        assert_int_equal(span.hi, g == 4 ? 5 : g + 2);
        assert_int_equal(fmi_ranges_done(&ranges), 0);
        fmi_range_finish(&ranges, 0);
    }
    assert_int_equal(fmi_range_claim(&ranges, 0, 2, &span), 0);
    assert_int_equal(fmi_range_steal(&ranges, 0, 2, &span), 0);
    assert_int_equal(fmi_ranges_done(&ranges), 1);
    unmap_field(field);
}

static void test_range_thief_takes_the_upper_half_of_the_fullest(void **state)
{
    (void)state;
    struct field *field = map_field();
    struct fmi_ranges ranges = view(field, 3, 30, 511);
    struct fmi_span span;
    reset_field(field, &ranges);
    assert_int_equal(fmi_range_claim(&ranges, 0, 10, &span),
                     1); /* 0 has nothing left, 1 has 4, 2 has 10 */
    fmi_range_finish(&ranges, 0);
    assert_int_equal(fmi_range_claim(&ranges, 1, 6, &span), 1);
    assert_int_equal(fmi_range_steal(&ranges, 0, 2, &span), 1);
    assert_int_equal(span.lo, 25);
    assert_int_equal(span.hi, 27);
    assert_int_equal(fmi_range_left(&ranges, 0), 3);
    assert_int_equal(fmi_range_left(&ranges, 2), 5);
    unmap_field(field);
}

static void test_range_without_grains_is_done(void **state)
{
    (void)state;
    struct field *field = map_field();
    struct fmi_ranges ranges = view(field, 3, 0, 1);
    struct fmi_span span;
    reset_field(field, &ranges);
    assert_int_equal(fmi_range_claim(&ranges, 1, 1, &span), 0);
    assert_int_equal(fmi_range_steal(&ranges, 1, 1, &span), 0);
    assert_int_equal(fmi_range_resume(&ranges, 1, &span), 0);
    assert_int_equal(fmi_ranges_done(&ranges), 1);
    unmap_field(field);
}

/* ---- words that no process of the job can have written ---- */

#define WORD(lo, hi, rest)          ((uint64_t)(lo) | (uint64_t)(hi) << 22 | (uint64_t)(rest))
#define OWNED(lo, hi, thief, epoch) WORD(lo, hi, (uint64_t)(thief) << 44 | (uint64_t)(epoch) << 55)
#define STEAL(victim, m, h, epoch)                                                                 \
    ((uint64_t)(victim) | (uint64_t)(m) << 10 | (uint64_t)(h) << 32 | (uint64_t)(epoch) << 55)
enum { EPOCH = 7, N_GRAINS = 100, N_RANKS = 3 };

static const uint64_t bad_owned[] = {
    0,
    UINT64_MAX,
    OWNED(0, 10, 0, EPOCH + 1),
    OWNED(11, 10, 0, EPOCH),
    OWNED(0, N_GRAINS + 1, 0, EPOCH),
    OWNED(0, 10, N_RANKS + 1, EPOCH),
    OWNED(0, 10, 1023, EPOCH),
};
static const uint64_t bad_flight[] = {
    0,
    UINT64_MAX,
    WORD(0, 10, (uint64_t)(EPOCH - 1) << 55),
    WORD(11, 10, (uint64_t)EPOCH << 55),
    WORD(0, N_GRAINS + 1, (uint64_t)EPOCH << 55),
};
static const uint64_t bad_steal[] = {
    0,
    UINT64_MAX,
    STEAL(1, 5, 9, EPOCH + 1),
    STEAL(1, 9, 5, EPOCH),
    STEAL(1, 5, N_GRAINS + 1, EPOCH),
    STEAL(N_RANKS + 1, 5, 9, EPOCH),
    STEAL(1023, 5, 9, EPOCH),
};
#define N_OF(list) (sizeof(list) / sizeof(list)[0])

/* A job in which ranks 0 and 1 have nothing left, and 2 has grains to steal. */
static struct fmi_ranges begin_job(struct field *field)
{
    struct fmi_ranges ranges = view(field, N_RANKS, N_GRAINS, EPOCH);
    struct fmi_span span;
    reset_field(field, &ranges);
    for (int rank = 0; rank < 2; rank++) {
        assert_int_equal(fmi_range_claim(&ranges, rank, N_GRAINS, &span), 1);
        fmi_range_finish(&ranges, rank);
    }
    return ranges;
}

static void test_range_corrupt_unclaimed_word_is_an_error_everywhere(void **state)
{
    (void)state;
    struct field *field = map_field();
    struct fmi_span span;
    for (size_t i = 0; i < N_OF(bad_owned); i++)
        for (int rank = 0; rank < N_RANKS; rank++) {
            struct fmi_ranges ranges = begin_job(field);
            atomic_store(&field->lines[rank].r, bad_owned[i]);
            assert_int_equal(fmi_range_claim(&ranges, rank, 1, &span), FM_ECORRUPT);
            assert_int_equal(fmi_range_steal(&ranges, 0, 1, &span), FM_ECORRUPT);
            assert_int_equal(fmi_range_resume(&ranges, rank, &span), FM_ECORRUPT);
            assert_int_equal(fmi_range_left(&ranges, rank), 0);
            assert_int_not_equal(fmi_ranges_done(&ranges), 1);
        }
    unmap_field(field);
}

static void test_range_corrupt_words_are_never_called_done(void **state)
{
    (void)state;
    struct field *field = map_field();
    struct fmi_ranges ranges = view(field, N_RANKS, N_GRAINS, EPOCH), none = ranges;
    none.n_grains = 0;
    for (size_t i = 0; i < N_OF(bad_owned); i++) {
        reset_field(field, &none);
        atomic_store(&field->lines[1].r, bad_owned[i]);
        assert_int_equal(fmi_ranges_done(&ranges), FM_ECORRUPT);
    }
    for (size_t i = 0; i < N_OF(bad_flight); i++) {
        reset_field(field, &none);
        atomic_store(&field->lines[2].f, bad_flight[i]);
        assert_int_equal(fmi_ranges_done(&ranges), FM_ECORRUPT);
    }
    for (size_t i = 0; i < N_OF(bad_steal); i++) {
        reset_field(field, &none);
        atomic_store(&field->lines[0].s, bad_steal[i]);
        assert_int_equal(fmi_ranges_done(&ranges), FM_ECORRUPT);
    }
    unmap_field(field);
}

static void test_range_successor_trusts_no_corrupt_word(void **state)
{
    (void)state;
    struct field *field = map_field();
    struct fmi_span span;
    for (size_t i = 0; i < N_OF(bad_flight); i++) {
        struct fmi_ranges ranges = begin_job(field);
        atomic_store(&field->lines[0].f, bad_flight[i]);
        assert_int_equal(fmi_range_resume(&ranges, 0, &span), FM_ECORRUPT);
    }
    for (size_t i = 0; i < N_OF(bad_steal); i++) {
        struct fmi_ranges ranges = begin_job(field);
        atomic_store(&field->lines[0].s, bad_steal[i]);
        assert_int_equal(fmi_range_resume(&ranges, 0, &span), FM_ECORRUPT);
    }
    for (size_t i = 0; i < N_OF(bad_owned); i++) { /* of the victim that S names */
        struct fmi_ranges ranges = begin_job(field);
        atomic_store(&field->lines[0].s, STEAL(3, 80, 100, EPOCH) | 1ull << 54);
        atomic_store(&field->lines[2].r, bad_owned[i]);
        assert_int_equal(fmi_range_resume(&ranges, 0, &span), FM_ECORRUPT);
    }
    unmap_field(field);
}

T_MAIN(T_TEST(test_range_few_grains_are_each_claimed_by_one_thread),
       T_TEST(test_range_many_grains_are_each_claimed_by_one_thread),
       T_TEST(test_range_all_grains_on_one_rank_reach_the_other_threads),
       T_TEST(test_range_grains_are_each_claimed_by_one_process),
       T_TEST(test_range_shares_are_contiguous_and_even),
       T_TEST(test_range_claims_come_in_order_and_end),
       T_TEST(test_range_thief_takes_the_upper_half_of_the_fullest),
       T_TEST(test_range_without_grains_is_done),
       T_TEST(test_range_corrupt_unclaimed_word_is_an_error_everywhere),
       T_TEST(test_range_corrupt_words_are_never_called_done),
       T_TEST(test_range_successor_trusts_no_corrupt_word))
