/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork kills */
/* TIMEOUT: 60 */
/* A process is killed at fault points of shared objects that lie between those of their own tests: as it makes, ends, opens or gives one. Others go on with it. */
#include "t_pool.h"
#include "t_sync.h"

#include <errno.h>
#include <stdio.h>

#define SOON FM_SECONDS(5)

/* Shared with the child; what is in it lies in the heap. */
struct things {
    fm_lock *lock;
    fm_list *list;
    fm_queue *queue;
    fm_conn *here, *there;
    fm_barrier *barrier;
    fm_cond *cond;
    _Atomic int ready;
};

static struct things *new_things(void)
{
    return t_shared(sizeof(struct things));
}

static void free_things(struct things *t)
{
    munmap(t, sizeof *t);
}

/* ---- made and ended ----------------------------------------------------------------------------------- */

static int make_lock(void *shared, int number)
{
    (void)number;
    return fm_lock_create(&((struct things *)shared)->lock);
}

static int make_list(void *shared, int number)
{
    (void)number;
    return fm_list_create(&((struct things *)shared)->list);
}

static void test_fault_objects_maker_killed_before_it_is_there_has_made_nothing(void **state)
{
    (void)state;
    struct things *t = new_things();
    assert_int_equal(t_killed_at("object.publish", 1, make_lock, t), 1);
    assert_null(t->lock);
    assert_int_equal(t_killed_at("list.publish", 1, make_list, t), 1);
    assert_null(t->list);
    t_expect(fm_lock_create(&t->lock), 0); /* and others may */
    t_expect(fm_lock_acquire(t->lock, 0), 0);
    t_expect(fm_lock_release(t->lock), 0);
    fm_lock_destroy(t->lock);
    free_things(t);
}

static int end_lock(void *shared, int number)
{
    (void)number;
    fm_lock_destroy(((struct things *)shared)->lock);
    return 0;
}

static int end_list(void *shared, int number)
{
    (void)number;
    fm_list_destroy(((struct things *)shared)->list);
    return 0;
}

static int end_queue(void *shared, int number)
{
    (void)number;
    fm_queue_destroy(((struct things *)shared)->queue);
    return 0;
}

static void test_fault_objects_destroyer_killed_in_the_middle_has_destroyed_it(void **state)
{
    (void)state;
    struct things *t = new_things();
    t_expect(fm_lock_create(&t->lock), 0);
    t_expect(fm_list_create(&t->list), 0);
    t_expect(fm_queue_create(&t->queue, NULL), 0);
    assert_int_equal(t_killed_at("object.dead", 1, end_lock, t), 1);
    assert_int_equal(t_killed_at("list.dead", 1, end_list, t), 1);
    assert_int_equal(t_killed_at("queue.dead", 1, end_queue, t), 1);
    assert_true(fm_lock_acquire(t->lock, SOON) == FM_ECORRUPT);
    assert_true(fm_list_append(t->list, (fm_bytes){"x", 1}, SOON) == FM_ECORRUPT);
    assert_true(fm_queue_put(t->queue, "x", 1, SOON) == FM_ECORRUPT);
    free_things(t);
}

/* ---- queues -------------------------------------------------------------------------------------------- */

static int take_and_finish(void *shared, int number)
{
    struct things *t = shared;
    char byte;
    size_t bytes;
    (void)number;
    int rc = fm_queue_get(t->queue, &byte, 1, &bytes, SOON);
    return rc != 0 ? 1 : fm_queue_task_done(t->queue) == 0 ? 0 : 2;
}

static int take_and_die(void *shared, int number)
{
    struct things *t = shared;
    char byte;
    size_t bytes;
    (void)number;
    if (fm_queue_get(t->queue, &byte, 1, &bytes, SOON) == 0)
        raise(SIGKILL);
    return 1;
}

static int join(void *shared, int number)
{
    struct things *t = shared;
    (void)number;
    atomic_fetch_add(&t->ready, 1);
    return fm_queue_join(t->queue, SOON) == 0 ? 0 : 1;
}

static void test_fault_objects_joiner_wakes_though_who_was_to_wake_it_is_killed(void **state)
{
    (void)state;
    struct things *t = new_things();
    t_expect(fm_queue_create(&t->queue, FM_QUEUE_OPTS(.joinable = 1)), 0);
    t_expect(fm_queue_put(t->queue, "x", 1, 0), 0);
    pid_t joiner = t_start_party(join, t, 0);
    t_wait_until_asleep(&t->ready, 1, joiner);
    assert_int_equal(t_killed_at("queue.done", 1, take_and_finish, t), 1);
    assert_int_equal(t_exit_code(t_wait_child(joiner)), 0);
    fm_queue_destroy(t->queue);
    free_things(t);
}

static void
test_fault_objects_joiner_killed_as_it_counts_the_lost_leaves_that_to_the_next(void **state)
{
    (void)state;
    struct things *t = new_things();
    t_expect(fm_queue_create(&t->queue, FM_QUEUE_OPTS(.joinable = 1)), 0);
    t_expect(fm_queue_put(t->queue, "x", 1, 0), 0);
    assert_int_equal(t_signal(t_wait_child(t_start_party(take_and_die, t, 0))), SIGKILL);
    assert_int_equal(t_killed_at("hands.lost", 1, join, t), 1);
    t_expect(fm_queue_join(t->queue, SOON), FM_EOWNERDEAD);
    t_expect(fm_queue_join(t->queue, SOON), 0);
    fm_queue_destroy(t->queue);
    free_things(t);
}

enum { LONG = 100000, N_LONG = 12 };
static char message[LONG], got[LONG];

/* More blocks than the queue keeps for later: the first of them make room. */
static int take_long_ones(void *shared, int number)
{
    struct things *t = shared;
    void *borrowed[N_LONG];
    size_t bytes;
    (void)number;
    for (int i = 0; i < N_LONG; i++)
        if (fm_queue_borrow(t->queue, &borrowed[i], &bytes, SOON) != 0 || bytes != LONG)
            return 1;
    for (int i = 0; i < N_LONG; i++)
        if (fm_queue_release(t->queue, borrowed[i]) != 0)
            return 2;
    return 0;
}

static void test_fault_objects_reader_killed_as_a_block_makes_room_costs_nobody_else(void **state)
{
    (void)state;
    size_t bytes;
    struct things *t = new_things();
    t_expect(fm_queue_create(&t->queue, FM_QUEUE_OPTS(.capacity = N_LONG)), 0);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N_LONG; i++)
            t_expect(fm_queue_put(t->queue, message, LONG, SOON), 0);
        if (round == 0)
            assert_int_equal(t_killed_at("parcel.replaced", 1, take_long_ones, t), 1);
    }
    for (int i = 0; i < N_LONG; i++)
        t_expect(fm_queue_get(t->queue, got, LONG, &bytes, SOON), 0);
    fm_queue_destroy(t->queue);
    free_things(t);
}

/* ---- pipes --------------------------------------------------------------------------------------------- */

static int close_both(void *shared, int number)
{
    struct things *t = shared;
    (void)number;
    return fm_conn_close(t->here) == 0 && fm_conn_close(t->there) == 0 ? 0 : 1;
}

static void test_fault_objects_closer_killed_before_a_pipe_is_freed_has_closed_it(void **state)
{
    (void)state;
    struct things *t = new_things();
    t_expect(fm_pipe(&t->here, &t->there, 1), 0);
    assert_int_equal(t_killed_at("conn.free", 1, close_both, t), 1);
    assert_int_not_equal(fm_conn_send_timed(t->here, "x", 1, SOON), 0);
    t_expect(fm_pipe(&t->here, &t->there, 1), 0);
    assert_int_equal(close_both(t, 0), 0);
    free_things(t);
}

static int give(void *shared, int number)
{
    struct things *t = shared;
    (void)number;
    return fm_conn_give(t->there, getppid());
}

static int open_for_poll(void *shared, int number)
{
    struct things *t = shared;
    char byte;
    size_t bytes;
    (void)number;
    if (fm_conn_fileno(t->there) < 0)
        return 1;
    for (;;) /* each receive that finds nothing arms the bell again */
        if (fm_conn_recv_timed(t->there, &byte, 1, &bytes, FM_MS(20)) != -ETIMEDOUT)
            return 2;
}

static void expect_a_message_through(struct things *t)
{
    char byte = 0;
    size_t bytes;
    t_expect(fm_conn_poll(t->there, 0), -ETIMEDOUT); /* this process has the end now */
    t_expect(fm_conn_send_timed(t->here, "x", 1, SOON), 0);
    t_expect(fm_conn_recv_timed(t->there, &byte, 1, &bytes, SOON), 0);
    assert_int_equal(byte, 'x');
}

static void
test_fault_objects_user_of_an_end_killed_as_it_gives_or_polls_it_leaves_it_usable(void **state)
{
    (void)state;
    static const struct {
        const char *point;
        t_body *body;
    } deaths[] = {
        {"party.given", give}, {"doorbell.arm", open_for_poll}, {"doorbell.armed", open_for_poll}};
    for (size_t i = 0; i < T_N_OF(deaths); i++) {
        struct things *t = new_things();
        t_expect(fm_pipe(&t->here, &t->there, 1), 0);
        assert_int_equal(t_killed_at(deaths[i].point, 1, deaths[i].body, t), 1);
        expect_a_message_through(t);
        assert_int_equal(close_both(t, 0), 0);
        free_things(t);
    }
}

/* ---- barriers and conditions ----------------------------------------------------------------------------- */

enum { IS_BROKEN = 7 };

static int meet(void *shared, int number)
{
    struct things *t = shared;
    (void)number;
    atomic_fetch_add(&t->ready, 1);
    int rc = fm_barrier_wait(t->barrier, NULL, SOON);
    return rc == FM_EBROKEN ? IS_BROKEN : rc == 0 ? 0 : 1;
}

static void
test_fault_objects_parties_go_though_the_last_is_killed_before_it_wakes_them(void **state)
{
    (void)state;
    struct things *t = new_things();
    t_expect(fm_barrier_create(&t->barrier, 2, NULL, NULL), 0);
    pid_t first = t_start_party(meet, t, 0);
    t_wait_until_asleep(&t->ready, 1, first);
    assert_int_equal(t_killed_at("barrier.open", 1, meet, t), 1);
    assert_int_equal(t_exit_code(t_wait_child(first)), 0);
    fm_barrier_destroy(t->barrier);
    free_things(t);
}

/* One party dies as it waits; the one that notices is killed before it has said so; the third learns of it all the same. */
static void test_fault_objects_death_is_told_though_who_noticed_it_is_killed(void **state)
{
    (void)state;
    struct things *t = new_things();
    pid_t pids[3];
    t_expect(fm_barrier_create(&t->barrier, 4, NULL, NULL), 0);
    if (fmi_fault_arm("barrier.break", 1, 1) != 0)
        t_skip("fault points; this is a release build");
    for (int i = 0; i < 3; i++) {
        pids[i] = t_start_party(meet, t, i);
        t_wait_until_asleep(&t->ready, i + 1, pids[i]);
    }
    kill(pids[0], SIGKILL);
    int n_killed = 0, n_broken = 0;
    for (int i = 0; i < 3; i++) {
        int status = t_wait_child(pids[i]);
        n_killed += t_signal(status) == SIGKILL;
        n_broken += t_exit_code(status) == IS_BROKEN;
    }
    assert_int_equal(fmi_fault_passages() > 0, 1);
    fmi_fault_arm(NULL, 0, 0);
    assert_int_equal(n_killed, 2);
    assert_int_equal(n_broken, 1);
    fm_barrier_destroy(t->barrier);
    free_things(t);
}

static int wait_for_a_call(void *shared, int number)
{
    struct things *t = shared;
    (void)number;
    if (fm_cond_acquire(t->cond, SOON) < 0)
        return 1;
    atomic_fetch_add(&t->ready, 1);
    int rc = fm_cond_wait(t->cond, SOON);
    return fm_cond_release(t->cond) == 0 && (rc == 0 || rc == FM_EOWNERDEAD) ? 0 : 2;
}

/* The one that was called is killed before it is back, the heir of the call as it takes it over: the third has it. */
static void test_fault_objects_call_of_a_condition_outlives_two_that_had_it(void **state)
{
    (void)state;
    struct things *t = new_things();
    pid_t pids[3];
    t_expect(fm_cond_create(&t->cond, NULL), 0);
    if (fmi_fault_arm("cond.inherit", 1, 1) != 0)
        t_skip("fault points; this is a release build");
    for (int i = 0; i < 3; i++) {
        pids[i] = t_start_party(wait_for_a_call, t, i);
        t_wait_until_asleep(&t->ready, i + 1, pids[i]);
    }
    fmi_fault_spare_this_process();
    t_expect(fm_cond_acquire(t->cond, SOON), 0);
    t_expect(fm_cond_notify(t->cond, 1), 0);
    kill(pids[0], SIGKILL); /* it cannot be back: the lock is held here */
    t_expect(fm_cond_release(t->cond), 0);
    int n_killed = 0, n_called = 0;
    for (int i = 0; i < 3; i++) {
        int status = t_wait_child(pids[i]);
        n_killed += t_signal(status) == SIGKILL;
        n_called += t_exit_code(status) == 0;
    }
    assert_int_equal(fmi_fault_passages() > 0, 1);
    fmi_fault_arm(NULL, 0, 0);
    assert_int_equal(n_killed, 2);
    assert_int_equal(n_called, 1);
    fm_cond_destroy(t->cond);
    free_things(t);
}

T_MAIN(T_TEST(test_fault_objects_maker_killed_before_it_is_there_has_made_nothing),
       T_TEST(test_fault_objects_destroyer_killed_in_the_middle_has_destroyed_it),
       T_TEST(test_fault_objects_joiner_wakes_though_who_was_to_wake_it_is_killed),
       T_TEST(test_fault_objects_joiner_killed_as_it_counts_the_lost_leaves_that_to_the_next),
       T_TEST(test_fault_objects_reader_killed_as_a_block_makes_room_costs_nobody_else),
       T_TEST(test_fault_objects_closer_killed_before_a_pipe_is_freed_has_closed_it),
       T_TEST(test_fault_objects_user_of_an_end_killed_as_it_gives_or_polls_it_leaves_it_usable),
       T_TEST(test_fault_objects_parties_go_though_the_last_is_killed_before_it_wakes_them),
       T_TEST(test_fault_objects_death_is_told_though_who_noticed_it_is_killed),
       T_TEST(test_fault_objects_call_of_a_condition_outlives_two_that_had_it))
