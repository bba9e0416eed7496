/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash threads */
/* TIMEOUT: 60 */
/* The lock: one has it, anyone may release it, and its holder's death is told once to the next. */
#include "t_sync.h"

#include <stdio.h>

enum { N_PARTIES = 4, N_TURNS = 4000, TOLD = 7 };

struct locked {
    fm_lock *lock;
    fm_rlock *rlock;
    _Atomic int ready, n_told;
    uint64_t low, high; /* under the lock: equal */
    _Atomic uint64_t mine[N_PARTIES];
};

static struct locked *new_locked(void)
{
    struct locked *l = t_shared(sizeof *l);
    assert_int_equal(fm_lock_create(&l->lock), 0);
    return l;
}

static void end_locked(struct locked *l)
{
    fm_lock_destroy(l->lock);
    munmap(l, sizeof *l);
}

static int try_it(void *shared, int number)
{
    struct locked *l = shared;
    (void)number;
    int rc = fm_lock_acquire(l->lock, FM_NOWAIT);
    if (rc == 0)
        fm_lock_release(l->lock);
    return rc == 0 ? 0 : rc == -ETIMEDOUT ? 2 : 3;
}

static int is_free(struct locked *l)
{
    int code = t_exit_code(t_wait_child(t_start_party(try_it, l, 0)));
    assert_in_range(code, 0, 2);
    assert_int_equal(fm_lock_locked(l->lock), code == 2);
    return code == 0;
}

/* ---- its row of the API -------------------------------------------------------------------------- */

static void test_lock_is_held_by_one_until_it_is_released(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    assert_true(is_free(l));
    assert_int_equal(fm_lock_acquire(l->lock, FM_FOREVER), 0);
    assert_false(is_free(l));
    assert_int_equal(fm_lock_release(l->lock), 0);
    assert_true(is_free(l));
    end_locked(l);
}

static void test_lock_release_of_a_free_one_gives_eperm(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    assert_int_equal(fm_lock_release(l->lock), -EPERM);
    assert_true(is_free(l));
    end_locked(l);
}

static int release_it(void *shared, int number)
{
    struct locked *l = shared;
    (void)number;
    return fm_lock_release(l->lock);
}

static void test_lock_may_be_released_by_another_process(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    assert_int_equal(fm_lock_acquire(l->lock, FM_FOREVER), 0);
    t_in_processes(1, release_it, l);
    assert_true(is_free(l));
    end_locked(l);
}

static void test_lock_may_be_released_by_another_thread(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    assert_int_equal(fm_lock_acquire(l->lock, FM_FOREVER), 0);
    t_in_threads(1, release_it, l);
    assert_int_equal(fm_lock_locked(l->lock), 0);
    end_locked(l);
}

static void test_lock_that_its_own_thread_holds_gives_etimedout_after_the_time(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    assert_int_equal(fm_lock_acquire(l->lock, FM_FOREVER), 0);
    const int64_t begin = fmi_now_ns();
    assert_int_equal(fm_lock_acquire(l->lock, FM_NOWAIT), -ETIMEDOUT);
    assert_int_equal(fm_lock_acquire(l->lock, FM_MS(130)), -ETIMEDOUT);
    assert_true(fmi_now_ns() - begin >= FM_MS(130));
    assert_true(fmi_now_ns() - begin < T_LOST);
    assert_int_equal(fm_lock_locked(l->lock), 1);
    assert_int_equal(fm_lock_release(l->lock), 0);
    end_locked(l);
}

static void ignore(int number)
{
    (void)number;
}

static int acquire_through_signals(void *shared, int number)
{
    struct locked *l = shared;
    struct sigaction action = {.sa_handler = ignore};
    (void)number;
    sigaction(SIGUSR1, &action, NULL);
    atomic_store(&l->ready, 1);
    int rc = fm_lock_acquire(l->lock, T_LOST);
    fm_lock_release(l->lock);
    return rc != 0;
}

static void test_lock_wait_is_not_ended_by_signals(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    assert_int_equal(fm_lock_acquire(l->lock, FM_FOREVER), 0);
    pid_t pid = t_start_party(acquire_through_signals, l, 0);
    assert_true(t_await(&l->ready, 1));
    for (int i = 0; i < 20; i++) {
        kill(pid, SIGUSR1);
        usleep(500);
    }
    assert_int_equal(fm_lock_release(l->lock), 0);
    assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
    end_locked(l);
}

static void test_lock_bytes_too_few_or_not_aligned_are_einval(void **state)
{
    (void)state;
    char *bytes = t_shared(4096);
    fm_lock *lock = (fm_lock *)bytes;
    fm_rlock *rlock;
    assert_int_equal(fm_lock_init(&lock, bytes, FM_LOCK_BYTES - 1), -EINVAL);
    assert_null(lock);
    assert_int_equal(fm_lock_init(&lock, bytes + 4, FM_LOCK_BYTES), -EINVAL);
    assert_int_equal(fm_lock_init(&lock, NULL, FM_LOCK_BYTES), -EINVAL);
    assert_int_equal(fm_lock_init(NULL, bytes, FM_LOCK_BYTES), -EINVAL);
    assert_int_equal(fm_rlock_init(&rlock, bytes, FM_RLOCK_BYTES - 1), -EINVAL);
    for (int i = 0; i < 4096; i++)
        assert_int_equal(bytes[i], 0);
    munmap(bytes, 4096);
}

static void test_lock_on_given_bytes_works_between_processes_until_fini(void **state)
{
    (void)state;
    struct locked *l = t_shared(sizeof *l);
    char *bytes = t_shared(4096);
    memset(bytes, 0xa5, 4096);
    assert_int_equal(fm_lock_init(&l->lock, bytes + 8, FM_LOCK_BYTES), 0);
    assert_ptr_equal(l->lock, bytes + 8);
    assert_int_equal(fm_lock_acquire(l->lock, FM_FOREVER), 0);
    assert_false(is_free(l));
    assert_int_equal(fm_lock_release(l->lock), 0);
    assert_true(is_free(l));
    assert_int_equal((unsigned char)bytes[8 + FM_LOCK_BYTES], 0xa5);
    fm_lock_fini(l->lock);
    assert_int_equal(fm_lock_acquire(l->lock, FM_NOWAIT), FM_ECORRUPT);
    munmap(bytes, 4096);
    munmap(l, sizeof *l);
}

static void test_lock_null_destroyed_and_foreign_pointers_are_named_errors(void **state)
{
    (void)state;
    fm_lock *lock;
    fm_event *event;
    assert_int_equal(fm_lock_acquire(NULL, FM_NOWAIT), -EINVAL);
    assert_int_equal(fm_lock_release(NULL), -EINVAL);
    assert_int_equal(fm_lock_locked(NULL), -EINVAL);
    assert_int_equal(fm_lock_create(&lock), 0);
    assert_int_equal(fm_event_create(&event), 0);
    assert_int_equal(fm_lock_acquire((fm_lock *)((char *)lock + 4), FM_NOWAIT), -EINVAL);
    assert_int_equal(fm_lock_acquire((fm_lock *)event, FM_NOWAIT), FM_ECORRUPT);
    assert_non_null(strstr(fm_error_detail(), "no lock"));
    assert_int_equal(fm_rlock_acquire((fm_rlock *)lock, FM_NOWAIT), FM_ECORRUPT);
    fm_lock_destroy(lock);
    assert_int_equal(fm_lock_acquire(lock, FM_NOWAIT), FM_ECORRUPT);
    assert_int_equal(fm_lock_locked(lock), FM_ECORRUPT);
    fm_lock_destroy(NULL);
    fm_event_destroy(event);
}

static void keep_line(int level, const char *message, void *arg)
{
    (void)level;
    snprintf(arg, 200, "%s", message);
}

static void
test_lock_destroyed_twice_or_by_the_wrong_function_is_logged_and_left_alone(void **state)
{
    (void)state;
    static char line[200];
    char *bytes = t_shared(4096);
    fm_lock *lock, *placed;
    assert_int_equal(fm_log_set(FM_LOG_ERROR, keep_line, line), 0);
    assert_int_equal(fm_lock_create(&lock), 0);
    assert_int_equal(fm_lock_init(&placed, bytes, FM_LOCK_BYTES), 0);
    fm_lock_fini(lock);
    assert_non_null(strstr(line, "_destroy"));
    fm_lock_destroy(placed);
    assert_non_null(strstr(line, "_fini"));
    assert_int_equal(fm_lock_locked(lock), 0);
    assert_int_equal(fm_lock_locked(placed), 0);
    fm_lock_destroy(lock);
    line[0] = '\0';
    fm_lock_destroy(lock);
    assert_non_null(strstr(line, "no lock"));
    fm_lock_fini(placed);
    assert_int_equal(fm_log_set(FM_LOG_WARNING, NULL, NULL), 0);
    munmap(bytes, 4096);
}

static void test_rlock_of_the_api_is_recursive_and_told_by_owner(void **state)
{
    (void)state;
    FM_AUTO(fm_rlock) rlock = NULL;
    assert_int_equal(fm_rlock_create(&rlock), 0);
    assert_int_equal(fm_rlock_locked(rlock), 0);
    assert_int_equal(fm_rlock_release(rlock), -EPERM);
    assert_int_equal(fm_rlock_acquire(rlock, FM_FOREVER), 0);
    assert_int_equal(fm_rlock_acquire(rlock, FM_NOWAIT), 0);
    assert_int_equal(fm_rlock_release(rlock), 0);
    assert_int_equal(fm_rlock_locked(rlock), 1);
    assert_int_equal(fm_rlock_release(rlock), 0);
    assert_int_equal(fm_rlock_locked(rlock), 0);
}

/* ---- several ------------------------------------------------------------------------------------- */

/* Counts in two plain words, which only the lock protects. */
static int count(void *shared, int number)
{
    struct locked *l = shared;
    (void)number;
    for (int i = 0; i < N_TURNS; i++) {
        if (fm_lock_acquire(l->lock, T_LOST) != 0 || l->low != l->high)
            return 1;
        l->low++;
        l->high++;
        if (fm_lock_release(l->lock) != 0)
            return 2;
    }
    return 0;
}

static void test_lock_keeps_threads_from_each_other(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    t_in_threads(N_PARTIES, count, l);
    assert_int_equal(l->low, N_PARTIES * N_TURNS);
    end_locked(l);
}

static void test_lock_keeps_processes_from_each_other(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    t_in_processes(N_PARTIES, count, l);
    assert_int_equal(l->low, N_PARTIES * N_TURNS);
    assert_int_equal(l->high, N_PARTIES * N_TURNS);
    end_locked(l);
}

/* ---- deaths -------------------------------------------------------------------------------------- */

static int acquire_and_exit(void *shared, int number)
{
    struct locked *l = shared;
    (void)number;
    return fm_lock_acquire(l->lock, FM_FOREVER) < 0;
}

static int acquire_and_be_killed(void *shared, int number)
{
    if (acquire_and_exit(shared, number) == 0)
        raise(SIGKILL);
    return 1;
}

static void expect_told_once(struct locked *l)
{
    assert_int_equal(fm_lock_locked(l->lock), 1);
    assert_int_equal(fm_lock_acquire(l->lock, T_LOST), FM_EOWNERDEAD);
    assert_false(is_free(l));
    assert_int_equal(fm_lock_release(l->lock), 0);
    assert_int_equal(fm_lock_acquire(l->lock, T_LOST), 0);
    assert_int_equal(fm_lock_release(l->lock), 0);
}

static void test_lock_killed_holder_is_told_once_to_the_next(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    assert_int_equal(t_signal(t_wait_child(t_start_party(acquire_and_be_killed, l, 0))), SIGKILL);
    expect_told_once(l);
    end_locked(l);
}

static void test_lock_holder_that_exits_is_told_once_to_the_next(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    t_in_processes(1, acquire_and_exit, l);
    expect_told_once(l);
    end_locked(l);
}

static void test_lock_thread_that_ends_with_it_is_told_once_to_the_next(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    t_in_threads(1, acquire_and_exit, l);
    expect_told_once(l);
    end_locked(l);
}

static void test_lock_orphaned_may_be_released_by_anyone_and_then_nobody_is_told(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    t_in_processes(1, acquire_and_exit, l);
    assert_int_equal(fm_lock_release(l->lock), 0);
    assert_int_equal(fm_lock_acquire(l->lock, FM_NOWAIT), 0);
    assert_int_equal(fm_lock_release(l->lock), 0);
    end_locked(l);
}

static int hold_for_ever(void *shared, int number)
{
    struct locked *l = shared;
    if (acquire_and_exit(shared, number) == 0)
        atomic_store(&l->ready, 1);
    while (pause() < 0)
        ;
    return 0;
}

static int wait_and_tell(void *shared, int number)
{
    struct locked *l = shared;
    (void)number;
    int rc = fm_lock_acquire(l->lock, T_LOST);
    fm_lock_release(l->lock);
    return rc == FM_EOWNERDEAD ? TOLD : rc != 0;
}

static void test_lock_death_of_the_holder_wakes_all_that_wait_and_tells_one(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    pid_t pids[N_PARTIES], holder = t_start_party(hold_for_ever, l, 0);
    int n_told = 0;
    assert_true(t_await(&l->ready, 1));
    for (int i = 0; i < N_PARTIES; i++)
        pids[i] = t_start_party(wait_and_tell, l, i);
    usleep(20000); /* most of them sleep by now */
    t_kill(holder);
    for (int i = 0; i < N_PARTIES; i++) {
        int code = t_exit_code(t_wait_child(pids[i]));
        assert_true(code == 0 || code == TOLD);
        n_told += code == TOLD;
    }
    assert_int_equal(n_told, 1);
    end_locked(l);
}

/*
 * One turn that can die anywhere. `mine` says whether this party's last count is in: whoever is told of a death puts low and high right by it.
 */
static int take_a_turn(struct locked *l, int number)
{
    int rc = fm_lock_acquire(l->lock, T_LOST);
    if (rc == FM_EOWNERDEAD) {
        uint64_t sum = 0;
        for (int i = 0; i < N_PARTIES; i++)
            sum += atomic_load(&l->mine[i]);
        if (sum != l->low && sum != l->high)
            return 1;
        l->low = l->high = sum;
        atomic_fetch_add(&l->n_told, 1);
    } else if (rc != 0 || l->low != l->high) {
        return 2;
    }
    l->high++;
    atomic_fetch_add(&l->mine[number], 1);
    l->low++;
    return fm_lock_release(l->lock) == 0 ? 0 : 3;
}

static int take_turns(void *shared, int number)
{
    int rc = 0;
    for (int i = 0; i < 60 && rc == 0; i++) {
        rc = take_a_turn(shared, number);
        if (i % 8 == 0)
            usleep(50);
    }
    return rc;
}

static void expect_exact(struct locked *l)
{
    uint64_t sum = 0;
    int rc = fm_lock_acquire(l->lock, T_LOST);
    assert_true(rc == 0 || rc == FM_EOWNERDEAD);
    for (int i = 0; i < N_PARTIES; i++)
        sum += atomic_load(&l->mine[i]);
    assert_true(sum == l->low || (rc == FM_EOWNERDEAD && sum == l->high));
    assert_int_equal(fm_lock_release(l->lock), 0);
}

/* Of three that contend one is killed at the point; the others come to their end. */
static void kill_one_of_three(struct locked *l, const char *point, int nth)
{
    pid_t pids[3];
    if (fmi_fault_arm(point, nth, 1) != 0)
        t_skip("fault points; this is a release build");
    fmi_fault_spare_this_process();
    for (int i = 0; i < 3; i++)
        pids[i] = t_start_party(take_turns, l, i);
    for (int i = 0; i < 3; i++) {
        int status = t_wait_child(pids[i]);
        assert_true(t_exit_code(status) == 0 || t_signal(status) == SIGKILL);
    }
    fmi_fault_arm(NULL, 0, 0);
    expect_exact(l);
}

static void test_lock_party_killed_at_each_point_never_blocks_the_others(void **state)
{
    (void)state;
    static const char *const points[] = {"lock.held", "lock.sleep", "lock.woken", "lock.release",
                                         "lock.wake", "lock.waked", "mortal.wait"};
    struct locked *l = new_locked();
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        for (int nth = 1; nth < 40; nth += 9)
            kill_one_of_three(l, points[i], nth);
    end_locked(l);
}

static void test_lock_holder_killed_at_its_release_is_told(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    assert_int_equal(t_killed_at("lock.release", 1, take_turns, l), 1);
    expect_told_once(l);
    end_locked(l);
}

T_MAIN(T_TEST(test_lock_is_held_by_one_until_it_is_released),
       T_TEST(test_lock_release_of_a_free_one_gives_eperm),
       T_TEST(test_lock_may_be_released_by_another_process),
       T_TEST(test_lock_may_be_released_by_another_thread),
       T_TEST(test_lock_that_its_own_thread_holds_gives_etimedout_after_the_time),
       T_TEST(test_lock_wait_is_not_ended_by_signals),
       T_TEST(test_lock_bytes_too_few_or_not_aligned_are_einval),
       T_TEST(test_lock_on_given_bytes_works_between_processes_until_fini),
       T_TEST(test_lock_null_destroyed_and_foreign_pointers_are_named_errors),
       T_TEST(test_lock_destroyed_twice_or_by_the_wrong_function_is_logged_and_left_alone),
       T_TEST(test_rlock_of_the_api_is_recursive_and_told_by_owner),
       T_TEST(test_lock_keeps_threads_from_each_other),
       T_TEST(test_lock_keeps_processes_from_each_other),
       T_TEST(test_lock_killed_holder_is_told_once_to_the_next),
       T_TEST(test_lock_holder_that_exits_is_told_once_to_the_next),
       T_TEST(test_lock_thread_that_ends_with_it_is_told_once_to_the_next),
       T_TEST(test_lock_orphaned_may_be_released_by_anyone_and_then_nobody_is_told),
       T_TEST(test_lock_death_of_the_holder_wakes_all_that_wait_and_tells_one),
       T_TEST(test_lock_party_killed_at_each_point_never_blocks_the_others),
       T_TEST(test_lock_holder_killed_at_its_release_is_told))
