/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash threads */
/* TIMEOUT: 60 */
/* The condition: who waits is called in order, and no death takes a call from the others. */
#include "t_sync.h"

enum { N_PARTIES = 4, N_MANY = 40, N_ROUNDS = 300 };

struct meeting {
    fm_lock *lock;
    fm_rlock *rlock;
    fm_cond *cond;
    _Atomic int waiting, back; /* counted by waiters, under the lock */
    _Atomic int order[N_PARTIES];
    int turn, value;
};

enum { ON_LOCK, ON_RLOCK, ON_ITS_OWN };

static struct meeting *new_meeting(int kind)
{
    struct meeting *m = t_shared(sizeof *m);
    assert_int_equal(fm_lock_create(&m->lock), 0);
    assert_int_equal(fm_rlock_create(&m->rlock), 0);
    void *lock = kind == ON_LOCK ? (void *)m->lock : kind == ON_RLOCK ? (void *)m->rlock : NULL;
    assert_int_equal(fm_cond_create(&m->cond, lock), 0);
    return m;
}

static void end_meeting(struct meeting *m)
{
    fm_cond_destroy(m->cond);
    fm_lock_destroy(m->lock);
    fm_rlock_destroy(m->rlock);
    munmap(m, sizeof *m);
}

static int wait_once(void *shared, int number)
{
    struct meeting *m = shared;
    if (fm_cond_acquire(m->cond, T_LOST) != 0)
        return 1;
    atomic_fetch_add(&m->waiting, 1);
    if (fm_cond_wait(m->cond, T_LOST) != 0)
        return 2;
    atomic_store(&m->order[atomic_fetch_add(&m->back, 1) % N_PARTIES], number);
    return fm_cond_release(m->cond) == 0 ? 0 : 3;
}

/* n processes wait, in the order of their numbers. */
static void let_wait(struct meeting *m, int n, pid_t *pids)
{
    for (int i = 0; i < n; i++) {
        pids[i] = t_start_party(wait_once, m, i);
        assert_true(t_await(&m->waiting, i + 1));
    }
    assert_int_equal(fm_cond_acquire(m->cond, T_LOST), 0); /* the last one has released it */
    assert_int_equal(fm_cond_release(m->cond), 0);
}

static void notify(struct meeting *m, int n)
{
    int rc = fm_cond_acquire(m->cond, T_LOST);
    assert_true(rc == 0 || rc == FM_EOWNERDEAD);
    assert_int_equal(n == 0 ? fm_cond_notify_all(m->cond) : fm_cond_notify(m->cond, n), 0);
    assert_int_equal(fm_cond_release(m->cond), 0);
}

static void expect_back(struct meeting *m, int n, pid_t *pids)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
    assert_int_equal(atomic_load(&m->back), n);
}

/* ---- its row of the API -------------------------------------------------------------------------- */

static void test_cond_without_the_lock_gives_eperm(void **state)
{
    (void)state;
    for (int kind = ON_LOCK; kind <= ON_ITS_OWN; kind++) {
        struct meeting *m = new_meeting(kind);
        assert_int_equal(fm_cond_notify(m->cond, 1), -EPERM);
        assert_int_equal(fm_cond_notify_all(m->cond), -EPERM);
        assert_int_equal(fm_cond_wait(m->cond, FM_NOWAIT), -EPERM);
        assert_int_equal(fm_cond_release(m->cond), -EPERM);
        end_meeting(m);
    }
}

static void test_cond_without_waiters_forgets_the_call(void **state)
{
    (void)state;
    struct meeting *m = new_meeting(ON_LOCK);
    notify(m, 5);
    notify(m, 0);
    assert_int_equal(fm_cond_acquire(m->cond, FM_NOWAIT), 0);
    assert_int_equal(fm_cond_wait(m->cond, FM_MS(1)), -ETIMEDOUT);
    assert_int_equal(fm_cond_release(m->cond), 0);
    end_meeting(m);
}

static void
test_cond_that_nobody_calls_gives_etimedout_with_the_lock_as_deep_as_before(void **state)
{
    (void)state;
    struct meeting *m = new_meeting(ON_RLOCK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fm_rlock_acquire(m->rlock, FM_NOWAIT), 0);
    const int64_t begin = fmi_now_ns();
    assert_int_equal(fm_cond_wait(m->cond, FM_MS(120)), -ETIMEDOUT);
    assert_true(fmi_now_ns() - begin >= FM_MS(120));
    assert_true(fmi_now_ns() - begin < T_LOST);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fm_rlock_release(m->rlock), 0);
    assert_int_equal(fm_rlock_release(m->rlock), -EPERM);
    end_meeting(m);
}

static void test_cond_wait_releases_a_recursive_lock_however_deep(void **state)
{
    (void)state;
    struct meeting *m = new_meeting(ON_RLOCK);
    pid_t pid;
    let_wait(m, 1, &pid);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fm_rlock_acquire(m->rlock, FM_NOWAIT), 0);
    assert_int_equal(fm_cond_notify(m->cond, 1), 0);
    assert_int_equal(fm_cond_wait(m->cond, FM_MS(1)), -ETIMEDOUT); /* lets the other one through */
    assert_int_equal(fm_rlock_release(m->rlock), 0);
    assert_int_equal(fm_rlock_release(m->rlock), 0);
    expect_back(m, 1, &pid);
    end_meeting(m);
}

static void test_cond_notify_calls_as_many_as_are_asked_for_in_their_order(void **state)
{
    (void)state;
    for (int kind = ON_LOCK; kind <= ON_ITS_OWN; kind++) {
        struct meeting *m = new_meeting(kind);
        pid_t pids[N_PARTIES];
        let_wait(m, N_PARTIES, pids);
        for (int i = 0; i < 2; i++) {
            notify(m, 1);
            assert_true(t_await(&m->back, i + 1));
            assert_int_equal(m->order[i], i);
        }
        usleep(2000);
        assert_int_equal(atomic_load(&m->back), 2);
        notify(m, 2);
        expect_back(m, N_PARTIES, pids);
        end_meeting(m);
    }
}

static void test_cond_notify_all_calls_all(void **state)
{
    (void)state;
    struct meeting *m = new_meeting(ON_LOCK);
    pid_t pids[N_PARTIES];
    let_wait(m, N_PARTIES, pids);
    notify(m, 0);
    expect_back(m, N_PARTIES, pids);
    end_meeting(m);
}

static void test_cond_two_on_one_lock_are_called_apart(void **state)
{
    (void)state;
    struct meeting *m = new_meeting(ON_LOCK);
    FM_AUTO(fm_cond) other = NULL;
    pid_t pid;
    assert_int_equal(fm_cond_create(&other, m->lock), 0);
    let_wait(m, 1, &pid);
    assert_int_equal(fm_lock_acquire(m->lock, T_LOST), 0);
    assert_int_equal(fm_cond_notify_all(other), 0);
    assert_int_equal(fm_lock_release(m->lock), 0);
    usleep(3000);
    assert_int_equal(atomic_load(&m->back), 0);
    notify(m, 1);
    expect_back(m, 1, &pid);
    end_meeting(m);
}

static int is_seven(void *arg)
{
    struct meeting *m = arg;
    return m->value == 7;
}

static int wait_for_seven(void *shared, int number)
{
    struct meeting *m = shared;
    (void)number;
    if (fm_cond_acquire(m->cond, T_LOST) != 0)
        return 1;
    atomic_fetch_add(&m->waiting, 1);
    if (fm_cond_wait_for(m->cond, is_seven, m, T_LOST) != 0 || m->value != 7)
        return 2;
    return fm_cond_release(m->cond);
}

static void test_cond_wait_for_returns_when_its_predicate_holds(void **state)
{
    (void)state;
    struct meeting *m = new_meeting(ON_ITS_OWN);
    pid_t pid = t_start_party(wait_for_seven, m, 0);
    assert_true(t_await(&m->waiting, 1));
    for (int value = 1; value <= 7; value++) {
        assert_int_equal(fm_cond_acquire(m->cond, T_LOST), 0);
        m->value = value;
        assert_int_equal(fm_cond_notify(m->cond, 1), 0);
        assert_int_equal(fm_cond_release(m->cond), 0);
    }
    assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
    assert_int_equal(fm_cond_acquire(m->cond, T_LOST), 0);
    assert_int_equal(fm_cond_wait_for(m->cond, is_seven, m, FM_NOWAIT), 0);
    m->value = 8;
    assert_int_equal(fm_cond_wait_for(m->cond, is_seven, m, FM_MS(60)), -ETIMEDOUT);
    assert_int_equal(fm_cond_wait_for(m->cond, NULL, m, FM_MS(1)), -EINVAL);
    assert_int_equal(fm_cond_release(m->cond), 0);
    assert_int_equal(fm_cond_wait_for(m->cond, is_seven, m, FM_NOWAIT), -EPERM);
    end_meeting(m);
}

static void test_cond_bytes_locks_and_pointers_are_checked(void **state)
{
    (void)state;
    char *bytes = t_shared(4096);
    fm_cond *cond;
    FM_AUTO(fm_event) event = NULL;
    assert_int_equal(fm_event_create(&event), 0);
    assert_int_equal(fm_cond_create(&cond, event), -EINVAL);
    assert_null(cond);
    assert_int_equal(fm_cond_init(&cond, bytes, FM_COND_BYTES - 1, NULL), -EINVAL);
    assert_int_equal(fm_cond_init(&cond, bytes + 2, FM_COND_BYTES, NULL), -EINVAL);
    assert_int_equal(fm_cond_init(&cond, bytes, FM_COND_BYTES, NULL), 0);
    assert_int_equal(fm_cond_acquire(cond, FM_NOWAIT), 0);
    assert_int_equal(fm_cond_acquire(cond, FM_NOWAIT), 0);
    assert_int_equal(fm_cond_notify(cond, 0), -EINVAL);
    assert_int_equal(fm_cond_release(cond), 0);
    assert_int_equal(fm_cond_release(cond), 0);
    fm_cond_fini(cond);
    assert_int_equal(fm_cond_acquire(cond, FM_NOWAIT), FM_ECORRUPT);
    assert_int_equal(fm_cond_wait((fm_cond *)event, FM_NOWAIT), FM_ECORRUPT);
    assert_int_equal(fm_cond_notify_all(NULL), -EINVAL);
    munmap(bytes, 4096);
}

static void test_cond_whose_lock_was_destroyed_is_ecorrupt(void **state)
{
    (void)state;
    fm_lock *lock;
    FM_AUTO(fm_cond) cond = NULL;
    assert_int_equal(fm_lock_create(&lock), 0);
    assert_int_equal(fm_cond_create(&cond, lock), 0);
    fm_lock_destroy(lock);
    assert_int_equal(fm_cond_acquire(cond, FM_NOWAIT), FM_ECORRUPT);
    assert_int_equal(fm_cond_notify(cond, 1), FM_ECORRUPT);
}

static int wait_for_the_end(void *shared, int number)
{
    struct meeting *m = shared;
    (void)number;
    if (fm_cond_acquire(m->cond, T_LOST) != 0)
        return 1;
    atomic_fetch_add(&m->waiting, 1);
    return fm_cond_wait(m->cond, T_LOST) == FM_ECORRUPT ? 0 : 2;
}

static void test_cond_destroyed_under_a_waiter_tells_it(void **state)
{
    (void)state;
    struct meeting *m = new_meeting(ON_LOCK);
    pid_t pid = t_start_party(wait_for_the_end, m, 0);
    t_wait_until_asleep(&m->waiting, 1, pid);
    fm_cond_destroy(m->cond);
    assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
    m->cond = NULL;
    end_meeting(m);
}

/* ---- several ------------------------------------------------------------------------------------- */

static int is_turn_of_0(void *arg)
{
    return ((struct meeting *)arg)->turn % 2 == 0;
}
static int is_turn_of_1(void *arg)
{
    return ((struct meeting *)arg)->turn % 2 == 1;
}

static int play(void *shared, int number)
{
    struct meeting *m = shared;
    for (int i = 0; i < N_ROUNDS; i++) {
        if (fm_cond_acquire(m->cond, T_LOST) != 0)
            return 1;
        if (fm_cond_wait_for(m->cond, number == 0 ? is_turn_of_0 : is_turn_of_1, m, T_LOST) != 0)
            return 2;
        m->turn++;
        if (fm_cond_notify(m->cond, 1) != 0 || fm_cond_release(m->cond) != 0)
            return 3;
    }
    return 0;
}

static void test_cond_hands_over_between_two_threads(void **state)
{
    (void)state;
    for (int kind = ON_LOCK; kind <= ON_ITS_OWN; kind++) {
        struct meeting *m = new_meeting(kind);
        t_in_threads(2, play, m);
        assert_int_equal(m->turn, 2 * N_ROUNDS);
        end_meeting(m);
    }
}

static void test_cond_hands_over_between_two_processes(void **state)
{
    (void)state;
    for (int kind = ON_LOCK; kind <= ON_ITS_OWN; kind++) {
        struct meeting *m = new_meeting(kind);
        t_in_processes(2, play, m);
        assert_int_equal(m->turn, 2 * N_ROUNDS);
        end_meeting(m);
    }
}

/* The last one that comes calls all others one by one, without letting any of them return: more calls than a condition notes. */
static int meet(void *shared, int number)
{
    struct meeting *m = shared;
    (void)number;
    if (fm_cond_acquire(m->cond, T_LOST) != 0)
        return 1;
    if (atomic_fetch_add(&m->waiting, 1) + 1 < N_MANY) {
        if (fm_cond_wait(m->cond, T_LOST) != 0)
            return 2;
    } else {
        for (int i = 1; i < N_MANY; i++)
            if (fm_cond_notify(m->cond, 1) != 0)
                return 3;
    }
    return fm_cond_release(m->cond);
}

static void test_cond_calls_forty_threads_one_by_one_under_the_lock(void **state)
{
    (void)state;
    struct meeting *m = new_meeting(ON_RLOCK);
    t_in_threads(N_MANY, meet, m);
    end_meeting(m);
}

/* ---- deaths -------------------------------------------------------------------------------------- */

static void test_cond_waiter_that_was_killed_is_not_called(void **state)
{
    (void)state;
    struct meeting *m = new_meeting(ON_LOCK);
    pid_t pids[2];
    let_wait(m, 2, pids);
    t_kill(pids[0]);
    notify(m, 1);
    assert_int_equal(t_exit_code(t_wait_child(pids[1])), 0);
    end_meeting(m);
}

static void test_cond_call_of_a_waiter_killed_before_it_is_back_goes_to_another(void **state)
{
    (void)state;
    struct meeting *m = new_meeting(ON_LOCK);
    pid_t pids[2];
    let_wait(m, 2, pids);
    assert_int_equal(fm_cond_acquire(m->cond, T_LOST), 0);
    assert_int_equal(fm_cond_notify(m->cond, 1), 0);
    t_kill(pids[0]); /* called, and it cannot have the lock yet */
    assert_int_equal(fm_cond_release(m->cond), 0);
    assert_int_equal(t_exit_code(t_wait_child(pids[1])), 0);
    end_meeting(m);
}

static void test_cond_notifier_makes_up_for_a_waiter_killed_before_it_was_back(void **state)
{
    (void)state;
    struct meeting *m = new_meeting(ON_LOCK);
    pid_t pids[3];
    let_wait(m, 3, pids);
    assert_int_equal(fm_cond_acquire(m->cond, T_LOST), 0);
    assert_int_equal(fm_cond_notify(m->cond, 1), 0);
    t_kill(pids[0]);
    assert_int_equal(fm_cond_notify(m->cond, 1), 0); /* and one more */
    assert_int_equal(fm_cond_release(m->cond), 0);
    for (int i = 1; i < 3; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
    end_meeting(m);
}

static int wait_and_find_a_death(void *shared, int number)
{
    struct meeting *m = shared;
    (void)number;
    if (fm_cond_acquire(m->cond, T_LOST) != 0)
        return 1;
    atomic_fetch_add(&m->waiting, 1);
    if (fm_cond_wait(m->cond, T_LOST) != FM_EOWNERDEAD)
        return 2;
    return fm_cond_release(m->cond) == 0 ? 0 : 3;
}

static int notify_and_be_killed(void *shared, int number)
{
    struct meeting *m = shared;
    (void)number;
    if (fm_cond_acquire(m->cond, T_LOST) == 0 && fm_cond_notify(m->cond, 1) == 0)
        raise(SIGKILL);
    return 1;
}

static void test_cond_notifier_that_dies_with_the_lock_is_told_to_the_waiter(void **state)
{
    (void)state;
    for (int kind = ON_LOCK; kind <= ON_ITS_OWN; kind++) {
        struct meeting *m = new_meeting(kind);
        pid_t pid = t_start_party(wait_and_find_a_death, m, 0);
        t_wait_until_asleep(&m->waiting, 1, pid);
        assert_int_equal(t_signal(t_wait_child(t_start_party(notify_and_be_killed, m, 1))),
                         SIGKILL);
        assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
        end_meeting(m);
    }
}

static int notify_once(void *shared, int number)
{
    struct meeting *m = shared;
    (void)number;
    if (fm_cond_acquire(m->cond, T_LOST) != 0 || fm_cond_notify(m->cond, 1) != 0)
        return 1;
    return fm_cond_release(m->cond);
}

static int wait_until_told(void *shared, int number)
{
    struct meeting *m = shared;
    (void)number;
    if (fm_cond_acquire(m->cond, T_LOST) < 0)
        return 1;
    atomic_fetch_add(&m->waiting, 1);
    while (m->value != 7) {
        int rc = fm_cond_wait(m->cond, T_LOST);
        if (rc != 0 && rc != FM_EOWNERDEAD)
            return 2;
    }
    return fm_cond_release(m->cond);
}

/* The notifier is killed at the point: what it had to say is said by the next, and all come back. */
static void test_cond_notifier_killed_at_each_point_loses_no_waiter(void **state)
{
    (void)state;
    static const char *const points[] = {"cond.notify", "cond.call", "cond.called", "cond.wake",
                                         "lock.release"};
    for (size_t k = 0; k < sizeof points / sizeof points[0]; k++) {
        struct meeting *m = new_meeting(ON_LOCK);
        pid_t pids[2];
        for (int i = 0; i < 2; i++) {
            pids[i] = t_start_party(wait_until_told, m, i);
            t_wait_until_asleep(&m->waiting, i + 1, pids[i]);
        }
        assert_int_equal(t_killed_at(points[k], 1, notify_once, m), 1);
        assert_true(fm_cond_acquire(m->cond, T_LOST) <= 0);
        m->value = 7;
        assert_int_equal(fm_cond_notify_all(m->cond), 0);
        assert_int_equal(fm_cond_release(m->cond), 0);
        for (int i = 0; i < 2; i++)
            assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
        end_meeting(m);
    }
}

/* A waiter is killed at the point, before others wait: one call is enough for one of them, and a second one for the other. */
static void test_cond_waiter_killed_at_each_point_takes_no_call_from_others(void **state)
{
    (void)state;
    static const char *const points[] = {"cond.wait", "cond.sleep", "cond.woken"};
    for (size_t k = 0; k < sizeof points / sizeof points[0]; k++) {
        struct meeting *m = new_meeting(ON_LOCK);
        pid_t pids[2];
        if (t_killed_at(points[k], 1, wait_until_told, m) == 0)
            fail_msg("%s was not passed", points[k]);
        int rc = fm_cond_acquire(m->cond, T_LOST);
        assert_true(rc == 0 || rc == FM_EOWNERDEAD);
        assert_int_equal(fm_cond_release(m->cond), 0);
        atomic_store(&m->waiting, 0);
        let_wait(m, 2, pids);
        notify(m, 1);
        assert_true(t_await(&m->back, 1));
        notify(m, 1);
        expect_back(m, 2, pids);
        end_meeting(m);
    }
}

/* Called, it is killed at the point on its way back: the other one is called for it, or told of its death by the lock. */
static void test_cond_called_waiter_killed_at_each_point_is_replaced_or_told(void **state)
{
    (void)state;
    static const char *const points[] = {"cond.return", "cond.back"};
    for (size_t k = 0; k < sizeof points / sizeof points[0]; k++) {
        struct meeting *m = new_meeting(ON_LOCK);
        if (fmi_fault_arm(points[k], 1, 1) != 0)
            t_skip("fault points; this is a release build");
        fmi_fault_spare_this_process();
        pid_t first = t_start_party(wait_until_told, m, 0), second;
        t_wait_until_asleep(&m->waiting, 1, first);
        second = t_start_party(wait_until_told, m, 1);
        t_wait_until_asleep(&m->waiting, 2, second);
        assert_int_equal(fm_cond_acquire(m->cond, T_LOST), 0);
        m->value = 7;
        assert_int_equal(fm_cond_notify(m->cond, 1), 0);
        assert_int_equal(fm_cond_release(m->cond), 0);
        assert_int_equal(t_signal(t_wait_child(first)), SIGKILL);
        assert_int_equal(t_exit_code(t_wait_child(second)), 0);
        fmi_fault_arm(NULL, 0, 0);
        end_meeting(m);
    }
}

T_MAIN(T_TEST(test_cond_without_the_lock_gives_eperm),
       T_TEST(test_cond_without_waiters_forgets_the_call),
       T_TEST(test_cond_that_nobody_calls_gives_etimedout_with_the_lock_as_deep_as_before),
       T_TEST(test_cond_wait_releases_a_recursive_lock_however_deep),
       T_TEST(test_cond_notify_calls_as_many_as_are_asked_for_in_their_order),
       T_TEST(test_cond_notify_all_calls_all), T_TEST(test_cond_two_on_one_lock_are_called_apart),
       T_TEST(test_cond_wait_for_returns_when_its_predicate_holds),
       T_TEST(test_cond_bytes_locks_and_pointers_are_checked),
       T_TEST(test_cond_whose_lock_was_destroyed_is_ecorrupt),
       T_TEST(test_cond_destroyed_under_a_waiter_tells_it),
       T_TEST(test_cond_hands_over_between_two_threads),
       T_TEST(test_cond_hands_over_between_two_processes),
       T_TEST(test_cond_calls_forty_threads_one_by_one_under_the_lock),
       T_TEST(test_cond_waiter_that_was_killed_is_not_called),
       T_TEST(test_cond_call_of_a_waiter_killed_before_it_is_back_goes_to_another),
       T_TEST(test_cond_notifier_makes_up_for_a_waiter_killed_before_it_was_back),
       T_TEST(test_cond_notifier_that_dies_with_the_lock_is_told_to_the_waiter),
       T_TEST(test_cond_notifier_killed_at_each_point_loses_no_waiter),
       T_TEST(test_cond_waiter_killed_at_each_point_takes_no_call_from_others),
       T_TEST(test_cond_called_waiter_killed_at_each_point_is_replaced_or_told))
