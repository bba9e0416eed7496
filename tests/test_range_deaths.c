/* SPDX-License-Identifier: MIT */
/* LABELS: crash kills */
/*
 * Work ranges when processes die: one is killed at each step of the table in range.h, its successor goes on from the
 * words, and no grain is lost, nor run twice unless it was in flight.
 */
#include "t.h"

#include "fault.h"
#include "range.h"

#include <forkmap/status.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef FORKMAP_FAULTS
static int fmi_fault_arm(const char *name, int nth, int times)
{
    (void)name;
    (void)nth;
    (void)times;
    return -1;
}
static int fmi_fault_passages(void)
{
    return 0;
}
#endif

enum { RANKS = 3, GRAINS = 240, WANT = 3, EPOCH = 77, MAX_DEATHS = 64 };

struct field {
    struct fmi_range_shm lines[RANKS];
    _Atomic uint32_t moves;
    _Atomic uint32_t begun;
    _Atomic uint32_t n_found_done, n_wrong;
    _Atomic uint8_t runs[GRAINS];
    uint8_t was_in_flight
        [GRAINS]; /* how often; written by the parent, between a death and the successor */
    int grain_ns; /* how long one takes on rank 0, so that others steal there */
};

struct process {
    struct field *field;
    int rank;
    int is_successor;
};

static struct fmi_ranges view(struct field *field)
{
    return (struct fmi_ranges){.lines = field->lines,
                               .moves = &field->moves,
                               .n = RANKS,
                               .n_grains = GRAINS,
                               .epoch = EPOCH};
}

/* ---- a process of the job ---- */

static void run_span(const struct process *p, const struct fmi_ranges *ranges,
                     const struct fmi_span *span)
{
    struct timespec wait = {.tv_nsec = p->field->grain_ns};
    for (uint32_t g = span->lo; g < span->hi; g++) {
        atomic_fetch_add(&p->field->runs[g], 1);
        if (p->rank == 0)
            nanosleep(&wait, NULL);
    }
    fmi_range_finish(ranges, p->rank);
}

static int sees_done(struct field *field, const struct fmi_ranges *ranges)
{
    int is_done = fmi_ranges_done(ranges) == 1;
    for (int g = 0; is_done && g < GRAINS; g++)
        if (atomic_load(&field->runs[g]) == 0)
            atomic_fetch_add(&field->n_wrong, 1);
    return is_done;
}

static void work(void *arg)
{
    const struct process *p = arg;
    struct field *field = p->field;
    struct fmi_ranges ranges = view(field);
    struct fmi_span span;
    int rc = p->is_successor ? fmi_range_resume(&ranges, p->rank, &span) : 0;
    if (rc == 1)
        run_span(p, &ranges, &span);
    atomic_fetch_add(&field->begun, 1);
    while (rc >= 0 && atomic_load(&field->begun) < RANKS)
        sched_yield();
    while (rc >= 0) {
        rc = fmi_range_claim(&ranges, p->rank, WANT, &span);
        if (rc == 0)
            rc = fmi_range_steal(&ranges, p->rank, WANT, &span);
        if (rc <= 0)
            break;
        run_span(p, &ranges, &span);
    }
    if (rc < 0)
        _exit(1);
    if (sees_done(field, &ranges))
        atomic_fetch_add(&field->n_found_done, 1);
}

/* ---- the parent: starts them, and successors of those that die ---- */

static void note_flight(struct field *field, int rank)
{
    uint64_t f = atomic_load(&field->lines[rank].f);
    uint32_t lo = (uint32_t)f & 0x3fffff, hi = (uint32_t)(f >> 22) & 0x3fffff;
    for (uint32_t g = lo; g < hi && g < GRAINS; g++)
        field->was_in_flight[g]++;
}

static int rank_of(const pid_t *pids, pid_t pid)
{
    for (int rank = 0; rank < RANKS; rank++)
        if (pids[rank] == pid)
            return rank;
    fail_msg("pid %d is none of the job's", (int)pid);
    return -1;
}

/* Returns how many died. `then` is armed for the first successor, when it is not NULL. */
static int run_job(struct field *field, const char *then)
{
    struct process processes[RANKS];
    pid_t pids[RANKS];
    int n_deaths = 0;
    for (int rank = 0; rank < RANKS; rank++) {
        processes[rank] = (struct process){field, rank, 0};
        pids[rank] = t_start_child(work, &processes[rank]);
    }
    for (int n_running = RANKS; n_running > 0;) {
        int status, rank = rank_of(pids, waitpid(-1, &status, 0));
        if (t_signal(status) == 0) {
            assert_int_equal(t_exit_code(status), 0);
            n_running--;
            continue;
        }
        assert_int_equal(t_signal(status), SIGKILL);
        assert_true(++n_deaths < MAX_DEATHS);
        note_flight(field, rank);
        if (then != NULL)
            assert_int_equal(fmi_fault_arm(then, 1, 1), 0);
        then = NULL;
        processes[rank].is_successor = 1;
        pids[rank] = t_start_child(work, &processes[rank]);
    }
    return n_deaths;
}

static void check_job(struct field *field)
{
    struct fmi_ranges ranges = view(field);
    assert_int_equal(atomic_load(&field->n_wrong), 0);
    for (int g = 0; g < GRAINS; g++)
        assert_in_range(atomic_load(&field->runs[g]), 1, 1 + field->was_in_flight[g]);
    assert_int_equal(fmi_ranges_done(&ranges), 1);
    assert_true(atomic_load(&field->n_found_done) >= 1);
}

static struct field *map_field(void)
{
    struct field *field =
        mmap(NULL, sizeof *field, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(field, MAP_FAILED);
    return field;
}

static void begin_job(struct field *field)
{
    struct fmi_ranges ranges = view(field);
    memset(field, 0, sizeof *field);
    field->grain_ns = 20000;
    fmi_ranges_init(&ranges, 0);
}

/* Kills at the nth passage of `point`, `times` passages in a row, then at `then` in the successor. */
static int kill_at(const char *point, int nth, int times, const char *then)
{
    struct field *field = map_field();
    begin_job(field);
    if (fmi_fault_arm(point, nth, times) != 0)
        t_skip("fault points (FORKMAP_FAULTS)");
    int n_deaths = run_job(field, then);
    int n_passages = fmi_fault_passages();
    fmi_fault_arm(NULL, 0, 0);
    check_job(field);
    munmap(field, sizeof *field);
    if (then != NULL)
        assert_int_equal(n_deaths, 2); /* or the second step was never reached */
    else
        assert_true(n_passages >= nth && n_deaths >= 1);
    return n_deaths;
}

static void kill_at_first_three(const char *point)
{
    for (int nth = 1; nth <= 3; nth++)
        kill_at(point, nth, 1, NULL);
}

/* ---- one death ---- */

static void test_range_death_before_a_claim_is_intended_loses_nothing(void **state)
{
    (void)state;
    kill_at_first_three("range.intend");
}

static void test_range_death_between_intent_and_claim_loses_nothing(void **state)
{
    (void)state;
    kill_at_first_three("range.claim");
}

static void test_range_death_after_the_claim_runs_the_chunk_again(void **state)
{
    (void)state;
    kill_at_first_three("range.claimed");
}

static void test_range_death_before_finish_runs_the_chunk_again(void **state)
{
    (void)state;
    kill_at_first_three("range.finish");
}

static void test_range_death_after_finish_runs_nothing_again(void **state)
{
    (void)state;
    kill_at_first_three("range.finished");
}

static void test_range_death_before_a_steal_is_noted_loses_nothing(void **state)
{
    (void)state;
    kill_at_first_three("steal.intend");
}

static void test_range_death_before_moves_are_counted_loses_nothing(void **state)
{
    (void)state;
    kill_at_first_three("steal.move");
}

static void test_range_death_before_the_steal_is_committed_loses_nothing(void **state)
{
    (void)state;
    kill_at_first_three("steal.commit");
}

static void test_range_death_after_the_steal_is_committed_keeps_its_grains(void **state)
{
    (void)state;
    kill_at_first_three("steal.committed");
}

static void test_range_death_before_the_steal_is_installed_keeps_its_grains(void **state)
{
    (void)state;
    kill_at_first_three("steal.install");
}

static void test_range_death_after_the_steal_is_installed_keeps_its_grains(void **state)
{
    (void)state;
    kill_at_first_three("steal.installed");
}

static void test_range_death_after_the_victim_is_released_keeps_its_grains(void **state)
{
    (void)state;
    kill_at_first_three("steal.released");
}

static void test_range_death_before_the_steal_is_cleared_keeps_its_grains(void **state)
{
    (void)state;
    kill_at_first_three("steal.clear");
}

/* A lost race takes two at the same moment: many small jobs make one happen. */
static void test_range_death_after_a_lost_claim_loses_nothing(void **state)
{
    (void)state;
    struct field *field = map_field();
    int n_deaths = 0;
    for (int round = 0; round < 400 && n_deaths == 0; round++) {
        begin_job(field);
        field->grain_ns = 0;
        if (fmi_fault_arm("range.claim_lost", 1, 1) != 0)
            t_skip("fault points (FORKMAP_FAULTS)");
        n_deaths = run_job(field, NULL);
        check_job(field);
    }
    fmi_fault_arm(NULL, 0, 0);
    munmap(field, sizeof *field);
    if (n_deaths == 0)
        t_skip("a second core, on which a thief wins against a claim");
}

/* ---- a second death, in what the successor does ---- */

static void test_range_second_death_while_an_intent_is_dropped_loses_nothing(void **state)
{
    (void)state;
    kill_at("range.claim", 1, 1, "range.drop_intent");
    kill_at("range.claim", 3, 1, "range.drop_intent");
}

static void test_range_second_death_while_a_steal_is_completed_keeps_its_grains(void **state)
{
    (void)state;
    static const char *const points[] = {"steal.committed", "steal.install", "steal.installed",
                                         "steal.released", "steal.clear"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        kill_at("steal.committed", 1, 1, points[i]);
}

static void test_range_second_death_after_an_install_is_released_once(void **state)
{
    (void)state;
    kill_at("steal.installed", 1, 1, "steal.clear");
    kill_at("steal.released", 1, 1, "steal.clear");
    kill_at("steal.commit", 1, 1, "steal.clear");
}

static void test_range_many_deaths_in_a_row_lose_nothing(void **state)
{
    (void)state;
    static const char *const points[] = {"range.intend",    "range.claim",     "range.claimed",
                                         "range.finish",    "range.finished",  "steal.intend",
                                         "steal.commit",    "steal.committed", "steal.install",
                                         "steal.installed", "steal.clear"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        int most = 0; /* in a job that one process happens to do alone nobody steals often enough */
        for (int round = 0; round < 20 && most < 3; round++) {
            int n_deaths = kill_at(points[i], 1, 5, NULL);
            most = n_deaths > most ? n_deaths : most;
        }
        assert_true(most >= 3);
    }
}

T_MAIN(T_TEST(test_range_death_before_a_claim_is_intended_loses_nothing),
       T_TEST(test_range_death_between_intent_and_claim_loses_nothing),
       T_TEST(test_range_death_after_the_claim_runs_the_chunk_again),
       T_TEST(test_range_death_before_finish_runs_the_chunk_again),
       T_TEST(test_range_death_after_finish_runs_nothing_again),
       T_TEST(test_range_death_before_a_steal_is_noted_loses_nothing),
       T_TEST(test_range_death_before_moves_are_counted_loses_nothing),
       T_TEST(test_range_death_before_the_steal_is_committed_loses_nothing),
       T_TEST(test_range_death_after_the_steal_is_committed_keeps_its_grains),
       T_TEST(test_range_death_before_the_steal_is_installed_keeps_its_grains),
       T_TEST(test_range_death_after_the_steal_is_installed_keeps_its_grains),
       T_TEST(test_range_death_after_the_victim_is_released_keeps_its_grains),
       T_TEST(test_range_death_before_the_steal_is_cleared_keeps_its_grains),
       T_TEST(test_range_death_after_a_lost_claim_loses_nothing),
       T_TEST(test_range_second_death_while_an_intent_is_dropped_loses_nothing),
       T_TEST(test_range_second_death_while_a_steal_is_completed_keeps_its_grains),
       T_TEST(test_range_second_death_after_an_install_is_released_once),
       T_TEST(test_range_many_deaths_in_a_row_lose_nothing))
