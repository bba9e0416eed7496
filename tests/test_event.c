/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash threads */
/* TIMEOUT: 60 */
/* The event: who waits goes on when it is set, and no death keeps the others. */
#include "t_sync.h"

enum { N_PARTIES = 4, N_ROUNDS = 500 };

struct happening {
    fm_event *event, *answer;
    _Atomic int ready, gone;
};

static struct happening *new_happening(void)
{
    struct happening *h = t_shared(sizeof *h);
    assert_int_equal(fm_event_create(&h->event), 0);
    assert_int_equal(fm_event_create(&h->answer), 0);
    return h;
}

static void end_happening(struct happening *h)
{
    fm_event_destroy(h->event);
    fm_event_destroy(h->answer);
    munmap(h, sizeof *h);
}

static int wait_for_it(void *shared, int number)
{
    struct happening *h = shared;
    (void)number;
    atomic_fetch_add(&h->ready, 1);
    int rc = fm_event_wait(h->event, T_LOST);
    atomic_fetch_add(&h->gone, 1);
    return rc != 0;
}

static int set_it(void *shared, int number)
{
    struct happening *h = shared;
    (void)number;
    return fm_event_set(h->event);
}

/* ---- its row of the API -------------------------------------------------------------------------- */

static void test_event_is_set_until_it_is_cleared(void **state)
{
    (void)state;
    struct happening *h = new_happening();
    assert_int_equal(fm_event_is_set(h->event), 0);
    t_in_processes(1, set_it, h);
    assert_int_equal(fm_event_is_set(h->event), 1);
    assert_int_equal(fm_event_set(h->event), 0);
    assert_int_equal(fm_event_wait(h->event, FM_NOWAIT), 0);
    assert_int_equal(fm_event_wait(h->event, FM_FOREVER), 0);
    assert_int_equal(fm_event_clear(h->event), 0);
    assert_int_equal(fm_event_clear(h->event), 0);
    assert_int_equal(fm_event_is_set(h->event), 0);
    end_happening(h);
}

static void test_event_that_is_not_set_gives_etimedout_after_the_time(void **state)
{
    (void)state;
    struct happening *h = new_happening();
    const int64_t begin = fmi_now_ns();
    assert_int_equal(fm_event_wait(h->event, FM_NOWAIT), -ETIMEDOUT);
    assert_int_equal(fm_event_wait(h->event, FM_MS(120)), -ETIMEDOUT);
    assert_true(fmi_now_ns() - begin >= FM_MS(120));
    assert_true(fmi_now_ns() - begin < T_LOST);
    assert_int_equal(fm_event_is_set(h->event), 0);
    end_happening(h);
}

static void let_all_wait(struct happening *h, pid_t *pids)
{
    for (int i = 0; i < N_PARTIES; i++)
        pids[i] = t_start_party(wait_for_it, h, i);
    for (int i = 0; i < N_PARTIES; i++)
        t_wait_until_asleep(&h->ready, N_PARTIES, pids[i]);
}

static void expect_all_go(pid_t *pids)
{
    for (int i = 0; i < N_PARTIES; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
}

static void test_event_set_lets_all_go_that_wait(void **state)
{
    (void)state;
    struct happening *h = new_happening();
    pid_t pids[N_PARTIES];
    let_all_wait(h, pids);
    assert_int_equal(atomic_load(&h->gone), 0);
    assert_int_equal(fm_event_set(h->event), 0);
    expect_all_go(pids);
    end_happening(h);
}

static void test_event_set_and_cleared_at_once_lets_all_go_that_waited(void **state)
{
    (void)state;
    struct happening *h = new_happening();
    pid_t pids[N_PARTIES];
    let_all_wait(h, pids);
    assert_int_equal(fm_event_set(h->event), 0);
    assert_int_equal(fm_event_clear(h->event), 0);
    expect_all_go(pids);
    assert_int_equal(fm_event_wait(h->event, FM_NOWAIT), -ETIMEDOUT);
    end_happening(h);
}

static void test_event_bytes_pointers_and_kinds_are_checked(void **state)
{
    (void)state;
    char *bytes = t_shared(4096);
    fm_event *event;
    FM_AUTO(fm_lock) lock = NULL;
    assert_int_equal(fm_lock_create(&lock), 0);
    assert_int_equal(fm_event_init(&event, bytes, FM_EVENT_BYTES - 1), -EINVAL);
    assert_int_equal(fm_event_init(&event, bytes + 1, FM_EVENT_BYTES), -EINVAL);
    assert_int_equal(fm_event_init(&event, bytes, FM_EVENT_BYTES), 0);
    assert_int_equal(fm_event_set(event), 0);
    assert_int_equal(fm_event_is_set(event), 1);
    fm_event_fini(event);
    assert_int_equal(fm_event_set(event), FM_ECORRUPT);
    assert_int_equal(fm_event_wait(event, FM_FOREVER), FM_ECORRUPT);
    assert_int_equal(fm_event_set((fm_event *)lock), FM_ECORRUPT);
    assert_int_equal(fm_event_clear(NULL), -EINVAL);
    assert_int_equal(fm_event_is_set(NULL), -EINVAL);
    munmap(bytes, 4096);
}

/* ---- several ------------------------------------------------------------------------------------- */

/* Two that wait for each other in turn. */
static int play(void *shared, int number)
{
    struct happening *h = shared;
    fm_event *mine = number == 0 ? h->event : h->answer, *its = number == 0 ? h->answer : h->event;
    for (int i = 0; i < N_ROUNDS; i++) {
        if (number == 0 && fm_event_set(its) != 0)
            return 1;
        if (fm_event_wait(mine, T_LOST) != 0 || fm_event_clear(mine) != 0)
            return 2;
        if (number == 1 && fm_event_set(its) != 0)
            return 3;
    }
    return 0;
}

static void test_event_hands_over_between_two_threads(void **state)
{
    (void)state;
    struct happening *h = new_happening();
    t_in_threads(2, play, h);
    end_happening(h);
}

static void test_event_hands_over_between_two_processes(void **state)
{
    (void)state;
    struct happening *h = new_happening();
    t_in_processes(2, play, h);
    end_happening(h);
}

/* ---- deaths -------------------------------------------------------------------------------------- */

static void test_event_death_of_one_that_waits_keeps_nobody(void **state)
{
    (void)state;
    struct happening *h = new_happening();
    pid_t pids[N_PARTIES];
    let_all_wait(h, pids);
    t_kill(pids[0]);
    assert_int_equal(fm_event_set(h->event), 0);
    for (int i = 1; i < N_PARTIES; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
    end_happening(h);
}

static void test_event_setter_killed_before_it_wakes_anyone_has_set_it(void **state)
{
    (void)state;
    struct happening *h = new_happening();
    pid_t pids[N_PARTIES];
    let_all_wait(h, pids);
    assert_int_equal(t_killed_at("event.wake", 1, set_it, h), 1);
    assert_int_equal(fm_event_is_set(h->event), 1);
    expect_all_go(pids);
    end_happening(h);
}

static void test_event_setter_killed_before_it_sets_it_has_done_nothing(void **state)
{
    (void)state;
    struct happening *h = new_happening();
    pid_t pids[N_PARTIES];
    let_all_wait(h, pids);
    assert_int_equal(t_killed_at("event.set", 1, set_it, h), 1);
    assert_int_equal(fm_event_is_set(h->event), 0);
    assert_int_equal(fm_event_set(h->event), 0);
    expect_all_go(pids);
    end_happening(h);
}

static void test_event_waiter_killed_at_each_point_keeps_nobody(void **state)
{
    (void)state;
    static const char *const points[] = {"event.sleep", "event.woken"};
    for (size_t i = 0; i < 2; i++) {
        struct happening *h = new_happening();
        pid_t pids[N_PARTIES];
        assert_int_equal(t_killed_at(points[i], 1, wait_for_it, h), 1);
        atomic_store(&h->ready, 0);
        let_all_wait(h, pids);
        assert_int_equal(fm_event_set(h->event), 0);
        expect_all_go(pids);
        end_happening(h);
    }
}

T_MAIN(T_TEST(test_event_is_set_until_it_is_cleared),
       T_TEST(test_event_that_is_not_set_gives_etimedout_after_the_time),
       T_TEST(test_event_set_lets_all_go_that_wait),
       T_TEST(test_event_set_and_cleared_at_once_lets_all_go_that_waited),
       T_TEST(test_event_bytes_pointers_and_kinds_are_checked),
       T_TEST(test_event_hands_over_between_two_threads),
       T_TEST(test_event_hands_over_between_two_processes),
       T_TEST(test_event_death_of_one_that_waits_keeps_nobody),
       T_TEST(test_event_setter_killed_before_it_wakes_anyone_has_set_it),
       T_TEST(test_event_setter_killed_before_it_sets_it_has_done_nothing),
       T_TEST(test_event_waiter_killed_at_each_point_keeps_nobody))
