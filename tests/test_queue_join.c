/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash */
/* TIMEOUT: 30 */
/* Joinable queues: a join waits for all that was put, and for nobody who is dead. */
#include "t_queue.h"

#include "heap.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct shared {
    fm_queue *q;
    _Atomic int ready, n_done;
    int n;
};

static struct shared *new_shared(void)
{
    void *memory;
    assert_int_equal(fmi_heap_alloc(&memory, sizeof(struct shared), FMI_HEAP_ZERO), 0);
    struct shared *s = memory;
    t_expect(fm_queue_create(&s->q, FM_QUEUE_OPTS(.joinable = 1)), 0);
    return s;
}

static void free_shared(struct shared *s)
{
    fm_queue_destroy(s->q);
    fmi_heap_free(s);
}

static void put_n(struct shared *s, int n)
{
    for (int i = 0; i < n; i++)
        t_expect(fm_queue_put_nowait(s->q, &i, sizeof i), 0);
}

static int get_one(struct shared *s)
{
    int number;
    return fm_queue_get(s->q, &number, sizeof number, NULL, FM_SECONDS(10));
}

static void test_queue_join_of_a_new_one_returns_at_once(void **state)
{
    (void)state;
    struct shared *s = new_shared();
    t_expect(fm_queue_join(s->q, FM_NOWAIT), 0);
    t_expect(fm_queue_join(s->q, FM_FOREVER), 0);
    free_shared(s);
}

static void test_queue_join_waits_for_what_is_there_and_for_what_is_taken(void **state)
{
    (void)state;
    struct shared *s = new_shared();
    void *ptr;
    size_t bytes;
    put_n(s, 2);
    assert_int_equal(fm_queue_join(s->q, FM_NOWAIT), -EAGAIN);
    t_expect(get_one(s), 0);
    t_expect(fm_queue_borrow(s->q, &ptr, &bytes, FM_NOWAIT), 0);
    assert_int_equal(fm_queue_join(s->q, FM_MS(5)), -ETIMEDOUT);
    t_expect(fm_queue_task_done(s->q), 0);
    t_expect(fm_queue_release(s->q, ptr), 0);
    assert_int_equal(fm_queue_join(s->q, FM_NOWAIT), -EAGAIN);
    t_expect(fm_queue_task_done(s->q), 0);
    t_expect(fm_queue_join(s->q, FM_NOWAIT), 0);
    free_shared(s);
}

static void test_queue_task_done_too_often_is_refused(void **state)
{
    (void)state;
    struct shared *s = new_shared();
    assert_int_equal(fm_queue_task_done(s->q), -EINVAL);
    put_n(s, 1);
    assert_int_equal(fm_queue_task_done(s->q), -EINVAL);
    t_expect(get_one(s), 0);
    t_expect(fm_queue_task_done(s->q), 0);
    assert_int_equal(fm_queue_task_done(s->q), -EINVAL);
    free_shared(s);
}

static void call_done(void *arg)
{
    t_must(fm_queue_task_done(((struct shared *)arg)->q));
}

static void test_queue_task_done_may_be_called_by_another_process(void **state)
{
    (void)state;
    struct shared *s = new_shared();
    put_n(s, 1);
    t_expect(get_one(s), 0);
    assert_int_equal(t_exit_code(t_in_child(call_done, s)), 0);
    t_expect(fm_queue_join(s->q, FM_NOWAIT), 0);
    free_shared(s);
}

static int work(void *arg)
{
    struct shared *s = *(struct shared **)arg;
    int rc;
    while ((rc = get_one(s)) == 0) {
        usleep(1000);
        atomic_fetch_add(&s->n_done, 1);
        t_must(fm_queue_task_done(s->q));
    }
    return rc == FM_ECLOSED ? 0 : 1;
}

static void test_queue_join_returns_when_the_last_message_is_dealt_with(void **state)
{
    struct shared *s = new_shared();
    fm_process *workers[3];
    for (int i = 0; i < 3; i++)
        workers[i] = t_run(t_method(state), work, &s, sizeof s);
    for (int lap = 1; lap <= 3; lap++) {
        put_n(s, 20);
        t_expect(fm_queue_join(s->q, FM_SECONDS(10)), 0);
        assert_int_equal(atomic_load(&s->n_done), 20 * lap);
    }
    t_expect(fm_queue_close(s->q), 0);
    t_expect(fm_queue_join(s->q, FM_NOWAIT), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(t_end(workers[i]), 0);
    free_shared(s);
}

static void take_n_and_die(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < s->n; i++)
        t_must(get_one(s));
    atomic_store(&s->ready, 1);
    kill(getpid(), SIGKILL);
}

static void test_queue_join_tells_once_of_what_a_dead_process_had_taken(void **state)
{
    (void)state;
    struct shared *s = new_shared();
    put_n(s, 5);
    s->n = 3;
    assert_int_equal(t_signal(t_in_child(take_n_and_die, s)), SIGKILL);
    assert_int_equal(fm_queue_join(s->q, FM_NOWAIT), -EAGAIN);
    for (int i = 0; i < 2; i++) {
        t_expect(get_one(s), 0);
        t_expect(fm_queue_task_done(s->q), 0);
    }
    assert_int_equal(fm_queue_join(s->q, FM_NOWAIT), FM_EOWNERDEAD);
    assert_non_null(strstr(fm_error_detail(), "3 messages"));
    t_expect(fm_queue_join(s->q, FM_NOWAIT), 0);
    assert_int_equal(fm_queue_task_done(s->q), -EINVAL);
    free_shared(s);
}

static void take_and_wait(void *arg)
{
    struct shared *s = arg;
    t_must(get_one(s));
    atomic_store(&s->ready, 1);
    for (;;)
        pause();
}

struct killer {
    struct shared *s;
    pid_t pid;
};

static void *kill_soon(void *arg)
{
    struct killer *k = arg;
    t_sleep_ms(20);
    kill(k->pid, SIGKILL);
    return NULL;
}

static void test_queue_join_that_sleeps_ends_when_the_last_taker_is_killed(void **state)
{
    (void)state;
    struct shared *s = new_shared();
    put_n(s, 1);
    pid_t pid = t_start_child(take_and_wait, s);
    while (atomic_load(&s->ready) == 0)
        t_sleep_ms(1);
    struct killer k = {s, pid};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, kill_soon, &k), 0);
    assert_int_equal(fm_queue_join(s->q, FM_SECONDS(10)), FM_EOWNERDEAD);
    pthread_join(thread, NULL);
    t_wait_child(pid);
    free_shared(s);
}

/* Those of a thread that has ended are another's to call done, until a join has told of them. */
static void *take_in_thread(void *arg)
{
    return (void *)(intptr_t)get_one(arg);
}

static void test_queue_task_done_may_follow_the_end_of_the_thread_that_took(void **state)
{
    (void)state;
    struct shared *s = new_shared();
    pthread_t thread;
    void *result;
    put_n(s, 1);
    assert_int_equal(pthread_create(&thread, NULL, take_in_thread, s), 0);
    pthread_join(thread, &result);
    assert_null(result);
    t_expect(fm_queue_task_done(s->q), 0);
    t_expect(fm_queue_join(s->q, FM_NOWAIT), 0);
    free_shared(s);
}

T_MAIN(T_TEST(test_queue_join_of_a_new_one_returns_at_once),
       T_TEST(test_queue_join_waits_for_what_is_there_and_for_what_is_taken),
       T_TEST(test_queue_task_done_too_often_is_refused),
       T_TEST(test_queue_task_done_may_be_called_by_another_process),
       T_EACH_METHOD(test_queue_join_returns_when_the_last_message_is_dealt_with),
       T_TEST(test_queue_join_tells_once_of_what_a_dead_process_had_taken),
       T_TEST(test_queue_join_that_sleeps_ends_when_the_last_taker_is_killed),
       T_TEST(test_queue_task_done_may_follow_the_end_of_the_thread_that_took))
