/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash */
/* Sleeping on shared words, and the word through which the kernel tells of a death. */
#include "t.h"

#include "clock.h"
#include "futex.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_SLEEPERS = 4, LOST = 1, TID_MASK = 0x3fffffff };

/* What sleeps longer than this [ns] sleeps for ever. */
static const int64_t lost_ns = 10000000000;

struct words {
    struct fmi_life_shm life;
    struct fmi_life_shm other_life;
    _Atomic uint32_t word;
    _Atomic uint32_t quiet; /* never woken */
    _Atomic int n_ready;    /* about to sleep */
    void (*end)(void);      /* how the one that lives ends */
    uint32_t life_value;
};

static struct words *new_words(void)
{
    struct words *w =
        mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(w != MAP_FAILED);
    return w;
}

static void end_words(struct words *w)
{
    munmap(w, sizeof *w);
}

/* ---- sleeping and waking ---- */

static void sleep_on_word(void *arg)
{
    struct words *w = arg;
    atomic_fetch_add(&w->n_ready, 1);
    while (atomic_load(&w->word) == 0)
        if (fmi_sys_futex_wait(&w->word, 0, fmi_deadline_after(lost_ns)) == -ETIMEDOUT)
            _exit(LOST);
}

static void sleep_on_word_or_life(void *arg)
{
    struct words *w = arg;
    atomic_fetch_add(&w->n_ready, 1);
    while (atomic_load(&w->word) == 0)
        if (fmi_sys_futex_wait_alive(&w->word, 0, &w->life.word, 0, fmi_deadline_after(lost_ns)) ==
            -ETIMEDOUT)
            _exit(LOST);
}

static void expect_all_woken(void (*sleeper)(void *))
{
    struct words *w = new_words();
    pid_t pids[N_SLEEPERS];
    for (int i = 0; i < N_SLEEPERS; i++) {
        pids[i] = t_start_child(sleeper, w);
        t_wait_until_asleep(&w->n_ready, i + 1, pids[i]);
    }
    atomic_store(&w->word, 1);
    fmi_sys_futex_wake_all(&w->word);
    for (int i = 0; i < N_SLEEPERS; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
    end_words(w);
}

static void test_futex_wake_reaches_all_processes_that_sleep(void **state)
{
    (void)state;
    expect_all_woken(sleep_on_word);
}

static void test_futex_wake_reaches_all_that_sleep_on_word_and_life(void **state)
{
    (void)state;
    expect_all_woken(sleep_on_word_or_life);
}

static void test_futex_with_another_value_does_not_sleep(void **state)
{
    (void)state;
    struct words *w = new_words();
    atomic_store(&w->word, 5);
    assert_int_equal(fmi_sys_futex_wait(&w->word, 4, FMI_NEVER), 0);
    assert_int_equal(fmi_sys_futex_wait_alive(&w->word, 4, &w->life.word, 0, FMI_NEVER), 0);
    assert_int_equal(
        fmi_sys_futex_wait_alive(&w->word, 5, &w->life.word, 1, fmi_deadline_after(lost_ns)), 0);
    end_words(w);
}

static void test_futex_that_nobody_wakes_gives_etimedout(void **state)
{
    (void)state;
    struct words *w = new_words();
    assert_int_equal(fmi_sys_futex_wait(&w->word, 0, fmi_deadline_after(FM_MS(2))), -ETIMEDOUT);
    assert_int_equal(fmi_sys_futex_wait(&w->word, 0, fmi_now_ns() - 1), -ETIMEDOUT);
    assert_int_equal(
        fmi_sys_futex_wait_alive(&w->word, 0, &w->life.word, 0, fmi_deadline_after(FM_MS(2))),
        -ETIMEDOUT);
    assert_int_equal(fmi_sys_futex_wait_alive(&w->word, 0, &w->life.word, 0, fmi_now_ns() - 1),
                     -ETIMEDOUT);
    end_words(w);
}

static void do_nothing(int signal)
{
    (void)signal;
}

static void sleep_with_a_handler(void *arg)
{
    struct words *w = arg;
    struct sigaction action = {.sa_handler = do_nothing};
    sigaction(SIGUSR1, &action, NULL);
    for (int i = 0; i < 2; i++) {
        atomic_fetch_add(&w->n_ready, 1);
        int rc = i == 0 ? fmi_sys_futex_wait(&w->word, 0, fmi_deadline_after(lost_ns))
                        : fmi_sys_futex_wait_alive(&w->word, 0, &w->life.word, 0,
                                                   fmi_deadline_after(lost_ns));
        if (rc != -EINTR)
            _exit(LOST);
    }
}

static void test_futex_signal_gives_eintr(void **state)
{
    (void)state;
    struct words *w = new_words();
    pid_t pid = t_start_child(sleep_with_a_handler, w);
    t_wait_until_asleep(&w->n_ready, 1, pid);
    kill(pid, SIGUSR1);
    t_wait_until_asleep(&w->n_ready, 2, pid);
    kill(pid, SIGUSR1);
    assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
    end_words(w);
}

/* ---- the life word ---- */

static void begin_and_wait(void *arg)
{
    struct words *w = arg;
    if (fmi_sys_life_begin(&w->life) != 0)
        _exit(2);
    if ((atomic_load(&w->life.word) & TID_MASK) != (uint32_t)getpid())
        _exit(3);
    atomic_fetch_add(&w->n_ready, 1);
    while (atomic_load(&w->word) == 0)
        fmi_sys_futex_wait(&w->word, 0, fmi_deadline_after(lost_ns));
    w->end();
}

static void kill_self(void)
{
    raise(SIGKILL);
}

static void stop_by_abort(void)
{
    abort();
}

static void leave(void)
{
    _exit(0);
}

static void become_true(void)
{
    execl("/bin/true", "true", (char *)NULL);
    _exit(4);
}

static void watch(void *arg)
{
    struct words *w = arg;
    atomic_fetch_add(&w->n_ready, 1);
    while ((atomic_load(&w->life.word) & FMI_LIFE_OVER) == 0)
        if (fmi_sys_futex_wait(&w->life.word, w->life_value, fmi_deadline_after(lost_ns)) ==
            -ETIMEDOUT)
            _exit(LOST);
}

static void watch_with_word(void *arg)
{
    struct words *w = arg;
    atomic_fetch_add(&w->n_ready, 1);
    while ((atomic_load(&w->life.word) & FMI_LIFE_OVER) == 0)
        if (fmi_sys_futex_wait_alive(&w->quiet, 0, &w->life.word, w->life_value,
                                     fmi_deadline_after(lost_ns)) == -ETIMEDOUT)
            _exit(LOST);
}

/* One lives, another watches its life in its sleep; then the first ends. */
static void expect_end_is_told(void (*end)(void), void (*watcher)(void *), int signal)
{
    struct words *w = new_words();
    w->end = end;
    pid_t pid = t_start_child(begin_and_wait, w);
    t_wait_until_asleep(&w->n_ready, 1, pid);
    w->life_value = atomic_load(&w->life.word);
    assert_int_equal(w->life_value & TID_MASK, pid);
    assert_int_equal(w->life_value & FMI_LIFE_OVER, 0);
    pid_t watching = t_start_child(watcher, w);
    t_wait_until_asleep(&w->n_ready, 2, watching);
    atomic_store(&w->word, 1);
    fmi_sys_futex_wake_all(&w->word);
    int status = t_wait_child(pid);
    assert_int_equal(t_signal(status), signal);
    assert_int_equal(t_exit_code(status), signal == 0 ? 0 : -1);
    assert_int_equal(t_exit_code(t_wait_child(watching)), 0);
    assert_true((atomic_load(&w->life.word) & FMI_LIFE_OVER) != 0);
    end_words(w);
}

static void test_life_killed_by_sigkill_is_told_to_a_sleeper(void **state)
{
    (void)state;
    expect_end_is_told(kill_self, watch, SIGKILL);
}

static void test_life_ended_by_abort_is_told_to_a_sleeper(void **state)
{
    (void)state;
    expect_end_is_told(stop_by_abort, watch, SIGABRT);
}

static void test_life_ended_by_exit_is_told_to_a_sleeper(void **state)
{
    (void)state;
    expect_end_is_told(leave, watch, 0);
}

static void test_life_ended_by_exec_is_told_to_a_sleeper(void **state)
{
    (void)state;
    expect_end_is_told(become_true, watch, 0);
}

static void test_life_killed_is_told_to_one_that_sleeps_on_another_word_too(void **state)
{
    (void)state;
    expect_end_is_told(kill_self, watch_with_word, SIGKILL);
    expect_end_is_told(leave, watch_with_word, 0);
}

static void test_life_that_is_over_stays_over_for_those_who_come_late(void **state)
{
    (void)state;
    struct words *w = new_words();
    w->end = kill_self;
    atomic_store(&w->word, 1);
    assert_int_equal(t_signal(t_in_child(begin_and_wait, w)), SIGKILL);
    uint32_t over = atomic_load(&w->life.word);
    assert_true((over & FMI_LIFE_OVER) != 0);
    assert_int_equal(fmi_sys_futex_wait(&w->life.word, over & ~FMI_LIFE_OVER, FMI_NEVER), 0);
    end_words(w);
}

static void live_on_the_other(void *arg)
{
    struct words *w = arg;
    if (fmi_sys_life_begin(&w->other_life) != 0)
        _exit(2);
    atomic_fetch_add(&w->n_ready, 1);
    for (;;)
        pause();
}

static void test_life_of_one_process_says_nothing_of_another(void **state)
{
    (void)state;
    struct words *w = new_words();
    pid_t other = t_start_child(live_on_the_other, w);
    t_wait_until_asleep(&w->n_ready, 1, other);
    w->end = kill_self;
    atomic_store(&w->word, 1);
    assert_int_equal(t_signal(t_in_child(begin_and_wait, w)), SIGKILL);
    assert_int_equal(atomic_load(&w->other_life.word) & FMI_LIFE_OVER, 0);
    assert_int_equal(atomic_load(&w->other_life.word) & TID_MASK, other);
    kill(other, SIGKILL);
    assert_int_equal(t_signal(t_wait_child(other)), SIGKILL);
    assert_true((atomic_load(&w->other_life.word) & FMI_LIFE_OVER) != 0);
    end_words(w);
}

/* A child that its parent forks after it has begun its own life is not part of that life. */
static void begin_and_fork(void *arg)
{
    struct words *w = arg;
    int status;
    if (fmi_sys_life_begin(&w->life) != 0)
        _exit(2);
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    if (waitpid(pid, &status, 0) != pid || (atomic_load(&w->life.word) & FMI_LIFE_OVER) != 0)
        _exit(3);
}

static void test_life_goes_on_when_a_child_of_its_process_ends(void **state)
{
    (void)state;
    struct words *w = new_words();
    assert_int_equal(t_exit_code(t_in_child(begin_and_fork, w)), 0);
    assert_true((atomic_load(&w->life.word) & FMI_LIFE_OVER) != 0);
    end_words(w);
}

T_MAIN(T_TEST(test_futex_wake_reaches_all_processes_that_sleep),
       T_TEST(test_futex_wake_reaches_all_that_sleep_on_word_and_life),
       T_TEST(test_futex_with_another_value_does_not_sleep),
       T_TEST(test_futex_that_nobody_wakes_gives_etimedout), T_TEST(test_futex_signal_gives_eintr),
       T_TEST(test_life_killed_by_sigkill_is_told_to_a_sleeper),
       T_TEST(test_life_ended_by_abort_is_told_to_a_sleeper),
       T_TEST(test_life_ended_by_exit_is_told_to_a_sleeper),
       T_TEST(test_life_ended_by_exec_is_told_to_a_sleeper),
       T_TEST(test_life_killed_is_told_to_one_that_sleeps_on_another_word_too),
       T_TEST(test_life_that_is_over_stays_over_for_those_who_come_late),
       T_TEST(test_life_of_one_process_says_nothing_of_another),
       T_TEST(test_life_goes_on_when_a_child_of_its_process_ends))
