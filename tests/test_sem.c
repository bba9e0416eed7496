/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash threads */
/* TIMEOUT: 60 */
/* Semaphores: no more than there are, none lost but with a death, and with FM_SEM_OWNED not even then. */
#include "t_sync.h"

enum { N_PARTIES = 4, N_UNITS = 2, N_TURNS = 1500 };

struct ration {
    fm_sem *sem;
    _Atomic int ready, n_inside, n_done;
};

static struct ration *new_ration(int value, int max, unsigned flags)
{
    struct ration *r = t_shared(sizeof *r);
    assert_int_equal(fm_sem_create(&r->sem, value, max, FM_SEM_OPTS(.flags = flags)), 0);
    return r;
}

static void end_ration(struct ration *r)
{
    fm_sem_destroy(r->sem);
    munmap(r, sizeof *r);
}

/* ---- their row of the API ------------------------------------------------------------------------ */

static void test_sem_gives_as_many_units_as_there_are(void **state)
{
    (void)state;
    struct ration *r = new_ration(2, 3, 0);
    assert_int_equal(fm_sem_value(r->sem), 2);
    assert_int_equal(fm_sem_acquire(r->sem, FM_FOREVER), 0);
    assert_int_equal(fm_sem_acquire(r->sem, FM_NOWAIT), 0);
    assert_int_equal(fm_sem_value(r->sem), 0);
    assert_int_equal(fm_sem_acquire(r->sem, FM_NOWAIT), -ETIMEDOUT);
    assert_int_equal(fm_sem_release(r->sem, 3), 0);
    assert_int_equal(fm_sem_value(r->sem), 3);
    end_ration(r);
}

static void test_sem_release_above_the_maximum_gives_eoverflow_and_changes_nothing(void **state)
{
    (void)state;
    struct ration *r = new_ration(2, 3, 0);
    assert_int_equal(fm_sem_release(r->sem, 2), -EOVERFLOW);
    assert_int_equal(fm_sem_value(r->sem), 2);
    assert_int_equal(fm_sem_release(r->sem, 1), 0);
    assert_int_equal(fm_sem_release(r->sem, 1), -EOVERFLOW);
    assert_int_equal(fm_sem_release(r->sem, INT32_MAX), -EOVERFLOW);
    assert_int_equal(fm_sem_value(r->sem), 3);
    end_ration(r);
}

static void test_sem_without_a_maximum_counts_to_its_limit(void **state)
{
    (void)state;
    struct ration *r = new_ration(0, 0, 0);
    assert_int_equal(fm_sem_release(r->sem, FM_SEM_MAX), 0);
    assert_int_equal(fm_sem_value(r->sem), FM_SEM_MAX);
    assert_int_equal(fm_sem_release(r->sem, 1), -EOVERFLOW);
    assert_int_equal(fm_sem_acquire(r->sem, FM_NOWAIT), 0);
    end_ration(r);
}

static void test_sem_without_a_unit_gives_etimedout_after_the_time(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags <= FM_SEM_OWNED; flags++) {
        struct ration *r = new_ration(1, 1, flags);
        assert_int_equal(fm_sem_acquire(r->sem, FM_NOWAIT), 0);
        const int64_t begin = fmi_now_ns();
        assert_int_equal(fm_sem_acquire(r->sem, FM_MS(120)), -ETIMEDOUT);
        assert_true(fmi_now_ns() - begin >= FM_MS(120));
        assert_true(fmi_now_ns() - begin < T_LOST);
        assert_int_equal(fm_sem_value(r->sem), 0);
        assert_int_equal(fm_sem_release(r->sem, 1), 0);
        end_ration(r);
    }
}

static void test_sem_numbers_and_options_out_of_range_are_einval(void **state)
{
    (void)state;
    fm_sem *sem;
    assert_int_equal(fm_sem_create(&sem, -1, 3, NULL), -EINVAL);
    assert_int_equal(fm_sem_create(&sem, 4, 3, NULL), -EINVAL);
    assert_int_equal(fm_sem_create(&sem, 0, -1, NULL), -EINVAL);
    assert_int_equal(fm_sem_create(&sem, 1, 1, FM_SEM_OPTS(.flags = 2)), -EINVAL);
    assert_int_equal(fm_sem_create(&sem, 1, 2, FM_SEM_OPTS(.flags = FM_SEM_OWNED)), -EINVAL);
    assert_int_equal(fm_sem_create(&sem, 0, 0, FM_SEM_OPTS(.flags = FM_SEM_OWNED)), -EINVAL);
    assert_int_equal(
        fm_sem_create(&sem, FM_SEM_MAX_OWNED + 1, 0, FM_SEM_OPTS(.flags = FM_SEM_OWNED)), -EINVAL);
    assert_null(sem);
    assert_int_equal(fm_sem_create(NULL, 1, 1, NULL), -EINVAL);
    assert_int_equal(fm_sem_create(&sem, 1, 1, NULL), 0);
    assert_int_equal(fm_sem_release(sem, 0), -EINVAL);
    assert_int_equal(fm_sem_release(sem, -1), -EINVAL);
    fm_sem_destroy(sem);
    assert_int_equal(fm_sem_acquire(sem, FM_FOREVER), FM_ECORRUPT);
    assert_int_equal(fm_sem_value(NULL), -EINVAL);
}

static void test_sem_on_given_bytes_takes_what_its_units_need(void **state)
{
    (void)state;
    char *bytes = t_shared(4096);
    fm_sem *sem;
    memset(bytes, 0x5a, 4096);
    assert_int_equal(fm_sem_init(&sem, bytes, FM_SEM_BYTES - 1, 1, 1, NULL), -EINVAL);
    assert_int_equal(
        fm_sem_init(&sem, bytes, FM_SEM_BYTES, 3, 3, FM_SEM_OPTS(.flags = FM_SEM_OWNED)), -EINVAL);
    assert_int_equal(
        fm_sem_init(&sem, bytes, FM_SEM_OWNED_BYTES(3), 3, 3, FM_SEM_OPTS(.flags = FM_SEM_OWNED)),
        0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fm_sem_acquire(sem, FM_NOWAIT), 0);
    assert_int_equal(fm_sem_value(sem), 0);
    assert_int_equal(fm_sem_release(sem, 3), 0);
    assert_int_equal(fm_sem_value(sem), 3);
    assert_int_equal(bytes[FM_SEM_OWNED_BYTES(3)], 0x5a);
    fm_sem_fini(sem);
    assert_int_equal(fm_sem_value(sem), FM_ECORRUPT);
    munmap(bytes, 4096);
}

static int acquire_one(void *shared, int number)
{
    struct ration *r = shared;
    (void)number;
    return fm_sem_acquire(r->sem, FM_NOWAIT);
}

static int release_one(void *shared, int number)
{
    struct ration *r = shared;
    (void)number;
    return fm_sem_release(r->sem, 1) == 0 ? 0 : fm_sem_release(r->sem, 1) == -EPERM ? 9 : 1;
}

static void test_sem_unit_may_be_released_by_another_process(void **state)
{
    (void)state;
    struct ration *r = new_ration(1, 1, 0);
    assert_int_equal(fm_sem_acquire(r->sem, FM_FOREVER), 0);
    t_in_processes(1, release_one, r);
    assert_int_equal(fm_sem_value(r->sem), 1);
    end_ration(r);
}

static void test_sem_owned_unit_is_released_by_its_own_thread_only(void **state)
{
    (void)state;
    struct ration *r = new_ration(2, 2, FM_SEM_OWNED);
    assert_int_equal(fm_sem_acquire(r->sem, FM_FOREVER), 0);
    assert_int_equal(t_exit_code(t_wait_child(t_start_party(release_one, r, 0))), 9);
    assert_int_equal(fm_sem_value(r->sem), 1);
    assert_int_equal(fm_sem_release(r->sem, 2), -EPERM);
    assert_int_equal(fm_sem_value(r->sem), 1);
    assert_int_equal(fm_sem_release(r->sem, 1), 0);
    assert_int_equal(fm_sem_release(r->sem, 1), -EPERM);
    end_ration(r);
}

/* ---- several ------------------------------------------------------------------------------------- */

static int work(void *shared, int number)
{
    struct ration *r = shared;
    (void)number;
    for (int i = 0; i < N_TURNS; i++) {
        if (fm_sem_acquire(r->sem, T_LOST) != 0)
            return 1;
        if (atomic_fetch_add(&r->n_inside, 1) >= N_UNITS)
            return 2;
        atomic_fetch_add(&r->n_done, 1);
        atomic_fetch_sub(&r->n_inside, 1);
        if (fm_sem_release(r->sem, 1) != 0)
            return 3;
    }
    return 0;
}

static void expect_rationed(void (*run)(int, t_body *, void *))
{
    for (unsigned flags = 0; flags <= FM_SEM_OWNED; flags++) {
        struct ration *r = new_ration(N_UNITS, N_UNITS, flags);
        run(N_PARTIES, work, r);
        assert_int_equal(atomic_load(&r->n_done), N_PARTIES * N_TURNS);
        assert_int_equal(fm_sem_value(r->sem), N_UNITS);
        end_ration(r);
    }
}

static void test_sem_lets_no_more_threads_in_than_it_has_units(void **state)
{
    (void)state;
    expect_rationed(t_in_threads);
}

static void test_sem_lets_no_more_processes_in_than_it_has_units(void **state)
{
    (void)state;
    expect_rationed(t_in_processes);
}

static int wait_for_one(void *shared, int number)
{
    struct ration *r = shared;
    (void)number;
    atomic_fetch_add(&r->ready, 1);
    return fm_sem_acquire(r->sem, T_LOST);
}

static void test_sem_release_of_three_wakes_three(void **state)
{
    (void)state;
    struct ration *r = new_ration(0, 4, 0);
    pid_t pids[4];
    for (int i = 0; i < 4; i++)
        pids[i] = t_start_party(wait_for_one, r, i);
    for (int i = 0; i < 4; i++)
        t_wait_until_asleep(&r->ready, 4, pids[i]);
    assert_int_equal(fm_sem_release(r->sem, 3), 0);
    int n_gone = 0;
    for (int64_t end = fmi_deadline_after(T_LOST); n_gone < 3 && fmi_now_ns() < end; usleep(200))
        for (int i = n_gone = 0; i < 4; i++)
            n_gone += t_process_state(pids[i]) == 'Z';
    assert_int_equal(n_gone, 3);
    assert_int_equal(fm_sem_release(r->sem, 1), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
    end_ration(r);
}

/* ---- deaths -------------------------------------------------------------------------------------- */

static int acquire_and_be_killed(void *shared, int number)
{
    if (acquire_one(shared, number) == 0)
        raise(SIGKILL);
    return 1;
}

static void test_sem_owned_unit_of_a_dead_process_is_given_back(void **state)
{
    (void)state;
    struct ration *r = new_ration(2, 2, FM_SEM_OWNED);
    for (int i = 0; i < 2; i++)
        assert_int_equal(t_signal(t_wait_child(t_start_party(acquire_and_be_killed, r, 0))),
                         SIGKILL);
    t_in_processes(1, acquire_one, r); /* it ends with it, too */
    assert_int_equal(fm_sem_value(r->sem), 2);
    assert_int_equal(fm_sem_acquire(r->sem, FM_NOWAIT), 0);
    assert_int_equal(fm_sem_acquire(r->sem, FM_NOWAIT), 0);
    assert_int_equal(fm_sem_acquire(r->sem, FM_NOWAIT), -ETIMEDOUT);
    assert_int_equal(fm_sem_release(r->sem, 2), 0);
    end_ration(r);
}

static int hold_for_ever(void *shared, int number)
{
    struct ration *r = shared;
    if (acquire_one(shared, number) == 0)
        atomic_store(&r->n_inside, 1);
    while (pause() < 0)
        ;
    return 0;
}

static void test_sem_death_of_an_owner_wakes_one_that_waits(void **state)
{
    (void)state;
    struct ration *r = new_ration(1, 1, FM_SEM_OWNED);
    pid_t holder = t_start_party(hold_for_ever, r, 0);
    assert_true(t_await(&r->n_inside, 1));
    pid_t waiter = t_start_party(wait_for_one, r, 1);
    t_wait_until_asleep(&r->ready, 1, waiter);
    t_kill(holder);
    assert_int_equal(t_exit_code(t_wait_child(waiter)), 0);
    end_ration(r);
}

static void test_sem_counted_unit_of_a_dead_process_is_lost_and_may_be_released_for_it(void **state)
{
    (void)state;
    struct ration *r = new_ration(1, 1, 0);
    t_wait_child(t_start_party(acquire_and_be_killed, r, 0));
    assert_int_equal(fm_sem_value(r->sem), 0);
    assert_int_equal(fm_sem_release(r->sem, 1), 0);
    assert_int_equal(fm_sem_acquire(r->sem, FM_NOWAIT), 0);
    end_ration(r);
}

static int take_turns(void *shared, int number)
{
    struct ration *r = shared;
    (void)number;
    for (int i = 0; i < 40; i++) {
        if (fm_sem_acquire(r->sem, T_LOST) != 0)
            return 1;
        usleep(20);
        if (fm_sem_release(r->sem, 1) != 0)
            return 2;
    }
    return 0;
}

/* Of three that contend for it one is killed at the point. Returns the units that are left, with nobody there. */
static int kill_one_of_three(const char *point, int nth, unsigned flags, int n_units)
{
    struct ration *r = new_ration(n_units, n_units, flags);
    pid_t pids[3];
    if (fmi_fault_arm(point, nth, 1) != 0)
        t_skip("fault points; this is a release build");
    fmi_fault_spare_this_process();
    for (int i = 0; i < 3; i++)
        pids[i] = t_start_party(take_turns, r, i);
    for (int i = 0; i < 3; i++) {
        int status = t_wait_child(pids[i]);
        assert_true(t_exit_code(status) == 0 || t_signal(status) == SIGKILL);
    }
    fmi_fault_arm(NULL, 0, 0);
    int left = fm_sem_value(r->sem);
    end_ration(r);
    return left;
}

static void test_sem_counted_party_killed_at_each_point_costs_one_unit_at_most(void **state)
{
    (void)state;
    static const char *const points[] = {"sem.taken",   "sem.sleep", "sem.woken",
                                         "sem.release", "sem.wake",  "sem.waked"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        for (int nth = 1; nth <= 15; nth += 7)
            assert_in_range(kill_one_of_three(points[i], nth, 0, 2), 1, 2);
}

static void test_sem_owned_party_killed_at_each_point_costs_nothing(void **state)
{
    (void)state;
    static const char *const points[] = {"sem.taken",  "sem.release", "bell.sleep",
                                         "bell.woken", "bell.ring",   "bell.wake"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        for (int nth = 1; nth <= 15; nth += 7)
            assert_int_equal(kill_one_of_three(points[i], nth, FM_SEM_OWNED, 1), 1);
}

T_MAIN(T_TEST(test_sem_gives_as_many_units_as_there_are),
       T_TEST(test_sem_release_above_the_maximum_gives_eoverflow_and_changes_nothing),
       T_TEST(test_sem_without_a_maximum_counts_to_its_limit),
       T_TEST(test_sem_without_a_unit_gives_etimedout_after_the_time),
       T_TEST(test_sem_numbers_and_options_out_of_range_are_einval),
       T_TEST(test_sem_on_given_bytes_takes_what_its_units_need),
       T_TEST(test_sem_unit_may_be_released_by_another_process),
       T_TEST(test_sem_owned_unit_is_released_by_its_own_thread_only),
       T_TEST(test_sem_lets_no_more_threads_in_than_it_has_units),
       T_TEST(test_sem_lets_no_more_processes_in_than_it_has_units),
       T_TEST(test_sem_release_of_three_wakes_three),
       T_TEST(test_sem_owned_unit_of_a_dead_process_is_given_back),
       T_TEST(test_sem_death_of_an_owner_wakes_one_that_waits),
       T_TEST(test_sem_counted_unit_of_a_dead_process_is_lost_and_may_be_released_for_it),
       T_TEST(test_sem_counted_party_killed_at_each_point_costs_one_unit_at_most),
       T_TEST(test_sem_owned_party_killed_at_each_point_costs_nothing))
