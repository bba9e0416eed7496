/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash threads */
/* TIMEOUT: 40 */
/* The recursive robust lock: it keeps others out, and its holder's death is told once to the next. */
#include "t.h"
#include "t_mortals.h"

#include "clock.h"
#include "rlock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_PARTIES = 4, N_TURNS = 5000, N_KILLS = 40, LOST = 1 };

/* What waits longer than this [ns] waits for ever. */
static const int64_t lost_ns = 10000000000;

struct locked {
    struct fmi_rlock_shm lock;
    _Atomic int ready;
    uint64_t low, high; /* under the lock: equal */
};

static struct locked *new_locked(void)
{
    struct locked *l =
        mmap(NULL, sizeof *l, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(l != MAP_FAILED);
    t_use_mortals();
    fmi_rlock_init(&l->lock);
    return l;
}

static void end_locked(struct locked *l)
{
    munmap(l, sizeof *l);
}

static int acquire(struct locked *l)
{
    return fmi_rlock_acquire(&l->lock, fmi_deadline_after(lost_ns));
}

/* Whether another process finds it free; it does not keep it. */
static void try_it(void *arg)
{
    struct locked *l = arg;
    int rc = fmi_rlock_acquire(&l->lock, fmi_now_ns());
    if (rc == 0)
        fmi_rlock_release(&l->lock);
    _exit(rc == 0 ? 0 : rc == -ETIMEDOUT ? 2 : 3);
}

static int is_free(struct locked *l)
{
    int code = t_exit_code(t_in_child(try_it, l));
    assert_in_range(code, 0, 2);
    return code == 0;
}

/* ---- one process ---- */

static void test_rlock_is_held_by_one_process_until_it_is_released(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    assert_true(is_free(l));
    assert_int_equal(acquire(l), 0);
    assert_false(is_free(l));
    assert_int_equal(fmi_rlock_release(&l->lock), 0);
    assert_true(is_free(l));
    end_locked(l);
}

static void test_rlock_taken_three_times_is_free_after_three_releases(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    for (int depth = 0; depth < 3; depth++)
        assert_int_equal(fmi_rlock_acquire(&l->lock, FMI_NEVER), 0);
    for (int depth = 0; depth < 3; depth++) {
        assert_false(is_free(l));
        assert_int_equal(fmi_rlock_release(&l->lock), 0);
    }
    assert_true(is_free(l));
    end_locked(l);
}

static void test_rlock_that_is_free_is_got_after_the_deadline_too(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    assert_int_equal(fmi_rlock_acquire(&l->lock, fmi_now_ns() - 1), 0);
    assert_int_equal(fmi_rlock_release(&l->lock), 0);
    end_locked(l);
}

static void test_rlock_init_makes_dirty_bytes_usable(void **state)
{
    (void)state;
    struct fmi_rlock_shm lock;
    memset(&lock, 0xa5, sizeof lock);
    t_use_mortals();
    fmi_rlock_init(&lock);
    assert_int_equal(fmi_rlock_acquire(&lock, fmi_now_ns()), 0);
    assert_int_equal(fmi_rlock_release(&lock), 0);
}

/* ---- strangers ---- */

static void release_it(void *arg)
{
    struct locked *l = arg;
    _exit(fmi_rlock_release(&l->lock) == -EPERM ? 0 : 1);
}

static void *release_in_thread(void *arg)
{
    struct locked *l = arg;
    return (void *)(intptr_t)(fmi_rlock_release(&l->lock) == -EPERM ? 0 : 1);
}

static void test_rlock_release_by_a_stranger_gives_eperm_and_does_not_free_it(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    pthread_t thread;
    void *wrong;
    assert_int_equal(acquire(l), 0);
    assert_int_equal(t_exit_code(t_in_child(release_it, l)), 0);
    assert_int_equal(pthread_create(&thread, NULL, release_in_thread, l), 0);
    pthread_join(thread, &wrong);
    assert_null(wrong);
    assert_false(is_free(l));
    assert_int_equal(fmi_rlock_release(&l->lock), 0);
    end_locked(l);
}

static void test_rlock_release_of_a_free_one_gives_eperm(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    assert_int_equal(fmi_rlock_release(&l->lock), -EPERM);
    assert_int_equal(acquire(l), 0);
    assert_int_equal(fmi_rlock_release(&l->lock), 0);
    assert_int_equal(fmi_rlock_release(&l->lock), -EPERM);
    assert_true(is_free(l));
    end_locked(l);
}

/* ---- several ---- */

static void hold_until_told(void *arg)
{
    struct locked *l = arg;
    if (fmi_rlock_acquire(&l->lock, FMI_NEVER) != 0)
        _exit(1);
    atomic_store(&l->ready, 1);
    while (atomic_load(&l->ready) != 2)
        usleep(500);
    _exit(fmi_rlock_release(&l->lock) != 0);
}

static pid_t start_holder(struct locked *l, void (*holder)(void *))
{
    pid_t pid = t_start_child(holder, l);
    for (int64_t end = fmi_deadline_after(lost_ns);
         atomic_load(&l->ready) != 1 && fmi_now_ns() < end;)
        usleep(200);
    assert_int_equal(atomic_load(&l->ready), 1);
    return pid;
}

static void test_rlock_that_another_holds_gives_etimedout(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    pid_t pid = start_holder(l, hold_until_told);
    assert_int_equal(fmi_rlock_acquire(&l->lock, fmi_now_ns() - 1), -ETIMEDOUT);
    assert_int_equal(fmi_rlock_acquire(&l->lock, fmi_deadline_after(FM_MS(3))), -ETIMEDOUT);
    atomic_store(&l->ready, 2);
    assert_int_equal(fmi_rlock_acquire(&l->lock, FMI_NEVER), 0);
    assert_int_equal(fmi_rlock_release(&l->lock), 0);
    assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
    end_locked(l);
}

/* Counts in two plain words, which only the lock protects. */
static int count(struct locked *l)
{
    for (int i = 0; i < N_TURNS; i++) {
        if (acquire(l) != 0 || l->low != l->high)
            return LOST;
        l->low++;
        if (i % 3 == 0 && (acquire(l) != 0 || fmi_rlock_release(&l->lock) != 0))
            return LOST;
        l->high++;
        if (fmi_rlock_release(&l->lock) != 0)
            return LOST;
    }
    return 0;
}

static void *count_in_thread(void *arg)
{
    return (void *)(intptr_t)count(arg);
}

static void count_in_process(void *arg)
{
    _exit(count(arg));
}

static void test_rlock_keeps_threads_from_each_other(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    pthread_t threads[N_PARTIES];
    void *wrong;
    for (int i = 0; i < N_PARTIES; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_in_thread, l), 0);
    for (int i = 0; i < N_PARTIES; i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_int_equal(l->low, N_PARTIES * N_TURNS);
    end_locked(l);
}

static void test_rlock_keeps_processes_from_each_other(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    pid_t pids[N_PARTIES];
    for (int i = 0; i < N_PARTIES; i++)
        pids[i] = t_start_child(count_in_process, l);
    for (int i = 0; i < N_PARTIES; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
    assert_int_equal(l->low, N_PARTIES * N_TURNS);
    assert_int_equal(l->high, N_PARTIES * N_TURNS);
    end_locked(l);
}

/* ---- deaths ---- */

static void hold_and_exit(void *arg)
{
    struct locked *l = arg;
    _exit(fmi_rlock_acquire(&l->lock, FMI_NEVER));
}

static void hold_and_kill(void *arg)
{
    struct locked *l = arg;
    if (fmi_rlock_acquire(&l->lock, FMI_NEVER) == 0)
        raise(SIGKILL);
}

static void hold_twice_and_kill(void *arg)
{
    struct locked *l = arg;
    if (fmi_rlock_acquire(&l->lock, FMI_NEVER) == 0)
        hold_and_kill(l);
}

static void hold_and_exec(void *arg)
{
    struct locked *l = arg;
    if (fmi_rlock_acquire(&l->lock, FMI_NEVER) == 0)
        execl("/bin/true", "true", (char *)NULL);
    _exit(1);
}

/* The next owner is told once; then it is a lock like any other. */
static void expect_told_once(struct locked *l)
{
    assert_int_equal(acquire(l), FM_EOWNERDEAD);
    assert_false(is_free(l));
    assert_int_equal(fmi_rlock_release(&l->lock), 0);
    assert_true(is_free(l));
    assert_int_equal(acquire(l), 0);
    assert_int_equal(fmi_rlock_release(&l->lock), 0);
}

static void expect_death_is_told(void (*holder)(void *), int signal)
{
    struct locked *l = new_locked();
    int status = t_in_child(holder, l);
    assert_int_equal(t_signal(status), signal);
    assert_int_equal(t_exit_code(status), signal == 0 ? 0 : -1);
    expect_told_once(l);
    end_locked(l);
}

static void test_rlock_killed_holder_is_told_once_to_the_next(void **state)
{
    (void)state;
    expect_death_is_told(hold_and_kill, SIGKILL);
}

static void test_rlock_holder_killed_two_deep_is_told_once_to_the_next(void **state)
{
    (void)state;
    expect_death_is_told(hold_twice_and_kill, SIGKILL);
}

static void test_rlock_holder_that_exits_is_told_once_to_the_next(void **state)
{
    (void)state;
    expect_death_is_told(hold_and_exit, 0);
}

static void test_rlock_holder_that_execs_is_told_once_to_the_next(void **state)
{
    (void)state;
    expect_death_is_told(hold_and_exec, 0);
}

static void *hold_and_end_thread(void *arg)
{
    struct locked *l = arg;
    return (void *)(intptr_t)fmi_rlock_acquire(&l->lock, FMI_NEVER);
}

static void test_rlock_thread_that_ends_with_it_is_told_once_to_the_next(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    pthread_t thread;
    void *wrong;
    assert_int_equal(pthread_create(&thread, NULL, hold_and_end_thread, l), 0);
    pthread_join(thread, &wrong);
    assert_null(wrong);
    expect_told_once(l);
    end_locked(l);
}

static void wait_and_tell(void *arg)
{
    struct locked *l = arg;
    int rc = acquire(l);
    if (rc != FM_EOWNERDEAD && rc != 0)
        _exit(LOST);
    fmi_rlock_release(&l->lock);
    _exit(rc == 0 ? 0 : 7);
}

static void hold_for_ever(void *arg)
{
    struct locked *l = arg;
    if (fmi_rlock_acquire(&l->lock, FMI_NEVER) != 0)
        _exit(1);
    atomic_store(&l->ready, 1);
    for (;;)
        pause();
}

static void test_rlock_death_of_the_holder_wakes_all_that_wait_and_tells_one(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    pid_t pids[N_PARTIES], holder = start_holder(l, hold_for_ever);
    int n_told = 0;
    for (int i = 0; i < N_PARTIES; i++)
        pids[i] = t_start_child(wait_and_tell, l);
    usleep(20000); /* most of them sleep by now */
    kill(holder, SIGKILL);
    assert_int_equal(t_signal(t_wait_child(holder)), SIGKILL);
    for (int i = 0; i < N_PARTIES; i++) {
        int code = t_exit_code(t_wait_child(pids[i]));
        assert_true(code == 0 || code == 7);
        n_told += code == 7;
    }
    assert_int_equal(n_told, 1);
    assert_true(is_free(l));
    end_locked(l);
}

static void test_rlock_death_of_one_that_waits_changes_nothing(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    assert_int_equal(acquire(l), 0);
    pid_t waiter = t_start_child(wait_and_tell, l);
    usleep(5000);
    kill(waiter, SIGKILL);
    assert_int_equal(t_signal(t_wait_child(waiter)), SIGKILL);
    assert_false(is_free(l));
    assert_int_equal(fmi_rlock_release(&l->lock), 0);
    assert_true(is_free(l));
    assert_int_equal(acquire(l), 0);
    assert_int_equal(fmi_rlock_release(&l->lock), 0);
    end_locked(l);
}

static void take_and_release_for_ever(void *arg)
{
    struct locked *l = arg;
    for (;;) {
        int rc = fmi_rlock_acquire(&l->lock, FMI_NEVER);
        if (rc != 0 && rc != FM_EOWNERDEAD)
            _exit(LOST);
        l->low++;
        l->high = l->low;
        fmi_rlock_release(&l->lock);
    }
}

static void test_rlock_forty_holders_killed_at_any_moment_never_block_it(void **state)
{
    (void)state;
    struct locked *l = new_locked();
    pid_t other = t_start_child(take_and_release_for_ever, l);
    for (int i = 0; i < N_KILLS; i++) {
        pid_t pid = t_start_child(take_and_release_for_ever, l);
        usleep((useconds_t)(100 + i * 71 % 800));
        kill(pid, SIGKILL);
        assert_int_equal(t_signal(t_wait_child(pid)), SIGKILL);
        int rc = acquire(l);
        assert_true(rc == 0 || rc == FM_EOWNERDEAD);
        assert_int_equal(fmi_rlock_release(&l->lock), 0);
    }
    kill(other, SIGKILL);
    assert_int_equal(t_signal(t_wait_child(other)), SIGKILL);
    end_locked(l);
}

T_MAIN(T_TEST(test_rlock_is_held_by_one_process_until_it_is_released),
       T_TEST(test_rlock_taken_three_times_is_free_after_three_releases),
       T_TEST(test_rlock_that_is_free_is_got_after_the_deadline_too),
       T_TEST(test_rlock_init_makes_dirty_bytes_usable),
       T_TEST(test_rlock_release_by_a_stranger_gives_eperm_and_does_not_free_it),
       T_TEST(test_rlock_release_of_a_free_one_gives_eperm),
       T_TEST(test_rlock_that_another_holds_gives_etimedout),
       T_TEST(test_rlock_keeps_threads_from_each_other),
       T_TEST(test_rlock_keeps_processes_from_each_other),
       T_TEST(test_rlock_killed_holder_is_told_once_to_the_next),
       T_TEST(test_rlock_holder_killed_two_deep_is_told_once_to_the_next),
       T_TEST(test_rlock_holder_that_exits_is_told_once_to_the_next),
       T_TEST(test_rlock_holder_that_execs_is_told_once_to_the_next),
       T_TEST(test_rlock_thread_that_ends_with_it_is_told_once_to_the_next),
       T_TEST(test_rlock_death_of_the_holder_wakes_all_that_wait_and_tells_one),
       T_TEST(test_rlock_death_of_one_that_waits_changes_nothing),
       T_TEST(test_rlock_forty_holders_killed_at_any_moment_never_block_it))
