/* SPDX-License-Identifier: MIT */
/* LABELS: crash kills */
/* TIMEOUT: 60 */
/* Processes that die as they use a shared value: it is whole, what was added is there, and each death is told once. */
#include "t_pool.h"

#include "fault.h"
#include "value.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

enum { RECORD = 300, N_PARTIES = 3, N_TURNS = 1000, N_ROUNDS = 12 };

static fm_value *make(fm_dtype dtype, const void *init, int lock)
{
    fm_value *v;
    t_expect(fm_value_create(&v, dtype, init, lock), 0);
    return v;
}

/* Runs fn(arg) in a process that is to die at that point. */
static void die_at(const char *point, void (*fn)(void *), void *arg)
{
    assert_int_equal(fmi_fault_arm(point, 1, 1), 0);
    assert_int_equal(t_signal(t_in_child(fn, arg)), SIGKILL);
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
}

static int64_t expect_told_once(fm_value *v)
{
    int64_t n = -1, again = -1;
    assert_int_equal(fm_value_get(v, &n), FM_EOWNERDEAD);
    assert_int_equal(fm_value_get(v, &again), 0);
    assert_int_equal(n, again);
    return n;
}

/* ---- one death each ---- */

static void add_five(void *arg)
{
    _exit(fm_value_add(arg, &(int64_t){5}, NULL) != 0);
}

static void test_value_death_before_an_addition_adds_nothing_and_is_told_once(void **state)
{
    (void)state;
    fm_value *v = make(FM_I64, &(int64_t){100}, 0);
    die_at("value.locked", add_five, v);
    assert_int_equal(expect_told_once(v), 100);
    fm_value_destroy(v);
}

static void test_value_death_after_an_addition_is_told_once(void **state)
{
    (void)state;
    fm_value *v = make(FM_I64, &(int64_t){100}, 0);
    die_at("value.changed", add_five, v);
    assert_int_equal(expect_told_once(v), 105);
    fm_value_destroy(v);
}

static void test_value_add_set_and_lock_after_a_death_do_it_and_tell(void **state)
{
    (void)state;
    int64_t n;
    fm_value *v = make(FM_I64, &(int64_t){100}, 0);
    die_at("value.locked", add_five, v);
    assert_int_equal(fm_value_add(v, &(int64_t){1}, &n), FM_EOWNERDEAD);
    assert_string_not_equal(fm_error_detail(), "");
    assert_int_equal(n, 100);
    assert_int_equal(fm_value_add(v, &(int64_t){1}, &n), 0);
    assert_int_equal(n, 101);
    die_at("value.locked", add_five, v);
    assert_int_equal(fm_value_set(v, &(int64_t){7}), FM_EOWNERDEAD);
    t_expect(fm_value_get(v, &n), 0);
    assert_int_equal(n, 7);
    die_at("value.locked", add_five, v);
    assert_int_equal(fm_value_lock(v, FM_NOWAIT), FM_EOWNERDEAD);
    assert_int_equal(fm_value_lock(v, FM_NOWAIT), 0);
    t_expect(fm_value_unlock(v), 0);
    t_expect(fm_value_unlock(v), 0);
    assert_int_equal(fm_value_unlock(v), -EPERM);
    fm_value_destroy(v);
}

static void lock_and_leave(void *arg)
{
    _exit(fm_value_lock(arg, FM_FOREVER));
}

static void test_value_process_that_leaves_with_the_lock_is_told_once(void **state)
{
    (void)state;
    fm_value *v = make(FM_I64, &(int64_t){3}, 0);
    assert_int_equal(t_exit_code(t_in_child(lock_and_leave, v)), 0);
    assert_int_equal(expect_told_once(v), 3);
    fm_value_destroy(v);
}

static void destroy_it(void *arg)
{
    fm_value_destroy(arg);
}

static void test_value_death_in_destroy_leaves_no_value_and_a_heap_that_works(void **state)
{
    (void)state;
    int64_t n;
    fm_value *v = make(FM_I64, NULL, 0);
    die_at("value.dead", destroy_it, v);
    assert_int_equal(fm_value_get(v, &n), FM_ECORRUPT);
    fm_value *w = make(FM_I64, &(int64_t){4}, 0);
    t_expect(fm_value_get(w, &n), 0);
    assert_int_equal(n, 4);
    fm_value_destroy(w);
}

/* ---- larger elements: the old one or the new one ---- */

static fm_value *half_set;

static void set_new(void *arg)
{
    char record[RECORD];
    memset(record, 'n', sizeof record);
    _exit(fm_value_set(arg, record) != 0);
}

static void expect_record(fm_value *v, char byte, int told)
{
    char record[RECORD], expected[RECORD];
    memset(expected, byte, sizeof expected);
    assert_int_equal(fm_value_get(v, record), told ? FM_EOWNERDEAD : 0);
    assert_memory_equal(record, expected, sizeof expected);
}

/* What a process leaves that dies in the middle of the copy. */
static void scribble_when_pending(const char *point)
{
    if (strcmp(point, "value.pending") == 0)
        memset(half_set->data, 'n', RECORD / 3);
}

static void test_value_record_is_the_old_or_the_new_one_after_a_death_in_set(void **state)
{
    (void)state;
    const struct {
        const char *point;
        char left;
    } cases[] = {{"value.locked", 'o'},
                 {"value.next", 'o'},
                 {"value.pending", 'n'},
                 {"value.copied", 'n'},
                 {"value.changed", 'n'}};
    char old[RECORD];
    memset(old, 'o', sizeof old);
    for (size_t i = 0; i < T_N_OF(cases); i++) {
        fm_value *v = half_set = make(FM_STRUCT(RECORD), old, FM_LOCKED);
        fmi_fault_hook(scribble_when_pending);
        die_at(cases[i].point, set_new, v);
        fmi_fault_hook(NULL);
        expect_record(v, cases[i].left, 1);
        expect_record(v, cases[i].left, 0);
        fm_value_destroy(v);
    }
}

static void get_it(void *arg)
{
    char record[RECORD];
    _exit(fm_value_get(arg, record) != FM_EOWNERDEAD);
}

static void test_value_record_is_whole_when_who_is_told_dies_as_well(void **state)
{
    (void)state;
    static const char *const points[] = {"value.told", "value.completed", "value.locked"};
    char old[RECORD];
    memset(old, 'o', sizeof old);
    for (size_t i = 0; i < T_N_OF(points); i++) {
        fm_value *v = half_set = make(FM_STRUCT(RECORD), old, FM_LOCKED);
        fmi_fault_hook(scribble_when_pending);
        die_at("value.pending", set_new, v);
        fmi_fault_hook(NULL);
        die_at(points[i], get_it, v);
        expect_record(v, 'n', 1);
        expect_record(v, 'n', 0);
        fm_value_destroy(v);
    }
}

static void test_value_record_that_is_half_set_is_completed_by_who_locks_it(void **state)
{
    (void)state;
    char old[RECORD], expected[RECORD];
    memset(old, 'o', sizeof old);
    memset(expected, 'n', sizeof expected);
    fm_value *v = half_set = make(FM_STRUCT(RECORD), old, FM_LOCKED);
    fmi_fault_hook(scribble_when_pending);
    die_at("value.pending", set_new, v);
    fmi_fault_hook(NULL);
    assert_int_equal(fm_value_lock(v, FM_NOWAIT), FM_EOWNERDEAD);
    assert_memory_equal(fm_value_ptr(v), expected, sizeof expected);
    t_expect(fm_value_unlock(v), 0);
    fm_value_destroy(v);
}

/* ---- many ---- */

/* What each process notes in raw values, which have no lock to die with. */
struct tally {
    fm_value *counter; /* with a lock */
    fm_value *n_added; /* additions that returned */
    fm_value *n_told;  /* FM_EOWNERDEAD */
};

static int tell(struct tally *tally, int code)
{
    if (code != FM_EOWNERDEAD)
        return code;
    return fm_value_add(tally->n_told, &(int64_t){1}, NULL);
}

static void add_and_note(void *arg)
{
    for (int i = 0; i < N_TURNS; i++) {
        if (tell(arg, fm_value_add(((struct tally *)arg)->counter, &(int64_t){1}, NULL)) != 0)
            _exit(1);
        if (fm_value_add(((struct tally *)arg)->n_added, &(int64_t){1}, NULL) != 0)
            _exit(2);
    }
}

static int64_t number_of(fm_value *v)
{
    int64_t n;
    t_expect(fm_value_get(v, &n), 0);
    return n;
}

/* In each round one of the processes dies at that point. Returns how many died. */
static int add_with_deaths(struct tally *tally, const char *point)
{
    int n_died = 0;
    for (int round = 0; round < N_ROUNDS; round++) {
        pid_t pids[N_PARTIES];
        assert_int_equal(fmi_fault_arm(point, 1 + round * 211 % (N_TURNS * 2), 1), 0);
        for (int i = 0; i < N_PARTIES; i++)
            pids[i] = t_start_child(add_and_note, tally);
        for (int i = 0; i < N_PARTIES; i++) {
            int status = t_wait_child(pids[i]);
            n_died += t_signal(status) == SIGKILL;
            assert_true(t_signal(status) == SIGKILL || t_exit_code(status) == 0);
        }
        assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
    }
    assert_int_equal(n_died, N_ROUNDS);
    return n_died;
}

static void expect_exact(const char *point, int adds_before_it_dies)
{
    struct tally tally = {make(FM_I64, NULL, FM_LOCKED), make(FM_I64, NULL, FM_RAW),
                          make(FM_I64, NULL, FM_RAW)};
    const int n_died = add_with_deaths(&tally, point);
    int64_t n;
    t_expect(tell(&tally, fm_value_get(tally.counter, &n)),
             0); /* the last death, if nobody came after */
    assert_int_equal(n, number_of(tally.n_added) + (adds_before_it_dies ? n_died : 0));
    assert_int_equal(number_of(tally.n_told), n_died);
    fm_value_destroy(tally.counter);
    fm_value_destroy(tally.n_added);
    fm_value_destroy(tally.n_told);
}

static void test_value_counter_is_exact_when_processes_die_before_they_add(void **state)
{
    (void)state;
    expect_exact("value.locked", 0);
}

static void test_value_counter_is_exact_when_processes_die_after_they_added(void **state)
{
    (void)state;
    expect_exact("value.changed", 1);
}

enum { N_KILLS = 60 };

struct race {
    fm_value *counter; /* with a lock */
    fm_value *n_begun, *n_done, *n_told;
};

static void count_for_ever(void *arg)
{
    const struct race *race = arg;
    const int64_t one = 1;
    for (;;) {
        if (fm_value_add(race->n_begun, &one, NULL) != 0)
            _exit(1);
        int rc = fm_value_add(race->counter, &one, NULL);
        if (rc == FM_EOWNERDEAD)
            rc = fm_value_add(race->n_told, &one, NULL);
        if (rc != 0 || fm_value_add(race->n_done, &one, NULL) != 0)
            _exit(2);
    }
}

static void kill_one(struct race *race, int microseconds)
{
    pid_t pid = t_start_child(count_for_ever, race);
    usleep((useconds_t)microseconds);
    kill(pid, SIGKILL);
    assert_int_equal(t_signal(t_wait_child(pid)), SIGKILL);
}

/* Of each process that is killed at most one addition is in doubt, and at most one death is told. */
static void
test_value_counter_of_sixty_that_are_killed_at_any_moment_is_within_their_number(void **state)
{
    (void)state;
    struct race race = {make(FM_I64, NULL, FM_LOCKED), make(FM_I64, NULL, FM_RAW),
                        make(FM_I64, NULL, FM_RAW), make(FM_I64, NULL, FM_RAW)};
    pid_t other = t_start_child(count_for_ever, &race);
    for (int i = 0; i < N_KILLS - 1; i++)
        kill_one(&race, 100 + i * 71 % 800);
    kill(other, SIGKILL);
    assert_int_equal(t_signal(t_wait_child(other)), SIGKILL);
    int64_t n;
    const int told = fm_value_get(race.counter, &n) == FM_EOWNERDEAD;
    assert_in_range(n, number_of(race.n_done), number_of(race.n_begun));
    assert_in_range(number_of(race.n_begun) - number_of(race.n_done), 0, N_KILLS);
    assert_in_range(number_of(race.n_told) + told, 0, N_KILLS);
    assert_true(n > 0);
    fm_value_destroy(race.counter);
    fm_value_destroy(race.n_begun);
    fm_value_destroy(race.n_done);
    fm_value_destroy(race.n_told);
}

T_MAIN(T_TEST(test_value_death_before_an_addition_adds_nothing_and_is_told_once),
       T_TEST(test_value_death_after_an_addition_is_told_once),
       T_TEST(test_value_add_set_and_lock_after_a_death_do_it_and_tell),
       T_TEST(test_value_process_that_leaves_with_the_lock_is_told_once),
       T_TEST(test_value_death_in_destroy_leaves_no_value_and_a_heap_that_works),
       T_TEST(test_value_record_is_the_old_or_the_new_one_after_a_death_in_set),
       T_TEST(test_value_record_is_whole_when_who_is_told_dies_as_well),
       T_TEST(test_value_record_that_is_half_set_is_completed_by_who_locks_it),
       T_TEST(test_value_counter_is_exact_when_processes_die_before_they_add),
       T_TEST(test_value_counter_is_exact_when_processes_die_after_they_added),
       T_TEST(test_value_counter_of_sixty_that_are_killed_at_any_moment_is_within_their_number))
