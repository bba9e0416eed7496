/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash threads */
/* TIMEOUT: 60 */
/* The barrier: all go together, and when one will not come, all are told. */
#include "t_sync.h"

enum { N_PARTIES = 4, N_MANY = 20, N_ROUNDS = 400, BROKEN = 7 };

struct start {
    fm_barrier *barrier;
    _Atomic int ready, n_acted, stop;
    _Atomic int arrived[N_ROUNDS], indices[N_ROUNDS];
    _Atomic int action_code;
    int64_t timeout;
};

static int note_action(void *arg)
{
    struct start *s = arg;
    atomic_fetch_add(&s->n_acted, 1);
    return atomic_load(&s->action_code);
}

static struct start *new_start(int parties, fm_barrier_fn *action)
{
    struct start *s = t_shared(sizeof *s);
    s->timeout = T_LOST;
    assert_int_equal(fm_barrier_create(&s->barrier, parties, action, s), 0);
    return s;
}

static void end_start(struct start *s)
{
    fm_barrier_destroy(s->barrier);
    munmap(s, sizeof *s);
}

static int wait_once(void *shared, int number)
{
    struct start *s = shared;
    int index = -1;
    (void)number;
    atomic_fetch_add(&s->ready, 1);
    int rc = fm_barrier_wait(s->barrier, &index, s->timeout);
    return rc == FM_EBROKEN ? BROKEN : rc != 0 || index < 0;
}

/* n of them wait. */
static void let_wait(struct start *s, int n, pid_t *pids)
{
    for (int i = 0; i < n; i++) {
        pids[i] = t_start_party(wait_once, s, i);
        t_wait_until_asleep(&s->ready, i + 1, pids[i]);
    }
    assert_int_equal(fm_barrier_waiting(s->barrier), n);
}

static void expect_codes(int code, int n, pid_t *pids)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), code);
}

/* ---- its row of the API -------------------------------------------------------------------------- */

static void test_barrier_of_one_party_opens_at_once(void **state)
{
    (void)state;
    struct start *s = new_start(1, note_action);
    for (int i = 1; i <= 3; i++) {
        int index = -1;
        assert_int_equal(fm_barrier_wait(s->barrier, &index, FM_NOWAIT), 0);
        assert_int_equal(index, 0);
        assert_int_equal(atomic_load(&s->n_acted), i);
    }
    assert_int_equal(fm_barrier_parties(s->barrier), 1);
    assert_int_equal(fm_barrier_waiting(s->barrier), 0);
    assert_int_equal(fm_barrier_broken(s->barrier), 0);
    end_start(s);
}

/* Each round: all of the round before have arrived, and the indices are 0 .. n - 1. */
static int go_round(void *shared, int number)
{
    struct start *s = shared;
    (void)number;
    for (int r = 0; r < N_ROUNDS; r++) {
        int index = -1;
        atomic_fetch_add(&s->arrived[r], 1);
        if (fm_barrier_wait(s->barrier, &index, T_LOST) != 0)
            return 1;
        if (atomic_load(&s->arrived[r]) != N_PARTIES || index < 0 || index >= N_PARTIES)
            return 2;
        if ((atomic_fetch_or(&s->indices[r], 1 << index) & 1 << index) != 0)
            return 3;
        if (atomic_load(&s->n_acted) < r + 1)
            return 4;
    }
    return 0;
}

static void expect_rounds(void (*run)(int, t_body *, void *))
{
    struct start *s = new_start(N_PARTIES, note_action);
    run(N_PARTIES, go_round, s);
    for (int r = 0; r < N_ROUNDS; r++)
        assert_int_equal(atomic_load(&s->indices[r]), (1 << N_PARTIES) - 1);
    assert_int_equal(atomic_load(&s->n_acted), N_ROUNDS);
    assert_int_equal(fm_barrier_waiting(s->barrier), 0);
    end_start(s);
}

static void test_barrier_lets_threads_go_together_with_an_index_each(void **state)
{
    (void)state;
    expect_rounds(t_in_threads);
}

static void test_barrier_lets_processes_go_together_with_an_index_each(void **state)
{
    (void)state;
    expect_rounds(t_in_processes);
}

static void test_barrier_time_out_breaks_it_for_all_until_a_reset(void **state)
{
    (void)state;
    struct start *s = new_start(3, NULL);
    pid_t pid;
    let_wait(s, 1, &pid);
    const int64_t begin = fmi_now_ns();
    assert_int_equal(fm_barrier_wait(s->barrier, NULL, FM_MS(120)), FM_EBROKEN);
    assert_true(fmi_now_ns() - begin >= FM_MS(120));
    assert_true(fmi_now_ns() - begin < T_LOST);
    expect_codes(BROKEN, 1, &pid);
    assert_int_equal(fm_barrier_broken(s->barrier), 1);
    assert_int_equal(fm_barrier_waiting(s->barrier), 0);
    assert_int_equal(fm_barrier_wait(s->barrier, NULL, FM_FOREVER), FM_EBROKEN);
    assert_int_equal(fm_barrier_reset(s->barrier), 0);
    assert_int_equal(fm_barrier_broken(s->barrier), 0);
    t_in_processes(3, wait_once, s);
    end_start(s);
}

static void test_barrier_abort_breaks_it_for_who_waits_and_who_comes(void **state)
{
    (void)state;
    struct start *s = new_start(3, NULL);
    pid_t pids[2];
    let_wait(s, 2, pids);
    assert_int_equal(fm_barrier_abort(s->barrier), 0);
    expect_codes(BROKEN, 2, pids);
    assert_int_equal(fm_barrier_broken(s->barrier), 1);
    assert_int_equal(fm_barrier_wait(s->barrier, NULL, FM_FOREVER), FM_EBROKEN);
    end_start(s);
}

static void test_barrier_reset_tells_who_waits_and_begins_anew(void **state)
{
    (void)state;
    struct start *s = new_start(3, NULL);
    pid_t pids[2];
    assert_int_equal(fm_barrier_reset(s->barrier), 0);
    let_wait(s, 2, pids);
    assert_int_equal(fm_barrier_reset(s->barrier), 0);
    expect_codes(BROKEN, 2, pids);
    assert_int_equal(fm_barrier_broken(s->barrier), 0);
    t_in_processes(3, wait_once, s);
    end_start(s);
}

static void test_barrier_action_that_fails_breaks_it_for_all(void **state)
{
    (void)state;
    struct start *s = new_start(2, note_action);
    pid_t pid;
    atomic_store(&s->action_code, 5);
    let_wait(s, 1, &pid);
    assert_int_equal(fm_barrier_wait(s->barrier, NULL, T_LOST), FM_EBROKEN);
    expect_codes(BROKEN, 1, &pid);
    assert_int_equal(atomic_load(&s->n_acted), 1);
    assert_int_equal(fm_barrier_broken(s->barrier), 1);
    end_start(s);
}

static void test_barrier_numbers_bytes_and_pointers_are_checked(void **state)
{
    (void)state;
    char *bytes = t_shared(4096);
    fm_barrier *barrier;
    int index = 77;
    assert_int_equal(fm_barrier_create(&barrier, 0, NULL, NULL), -EINVAL);
    assert_int_equal(fm_barrier_create(&barrier, FM_BARRIER_MAX_PARTIES + 1, NULL, NULL), -EINVAL);
    assert_null(barrier);
    assert_int_equal(fm_barrier_init(&barrier, bytes, FM_BARRIER_BYTES(2) - 1, 2, NULL, NULL),
                     -EINVAL);
    assert_int_equal(fm_barrier_init(&barrier, bytes, FM_BARRIER_BYTES(2), 2, NULL, NULL), 0);
    assert_int_equal(fm_barrier_wait(barrier, &index, FM_NOWAIT), FM_EBROKEN);
    assert_int_equal(index, 77);
    fm_barrier_fini(barrier);
    assert_int_equal(fm_barrier_wait(barrier, &index, FM_FOREVER), FM_ECORRUPT);
    assert_int_equal(fm_barrier_parties(barrier), FM_ECORRUPT);
    assert_int_equal(fm_barrier_reset(NULL), -EINVAL);
    munmap(bytes, 4096);
}

static void test_barrier_with_an_overwritten_number_of_parties_is_ecorrupt(void **state)
{
    (void)state;
    uint32_t *bytes = t_shared(4096);
    fm_barrier *barrier;
    assert_int_equal(fm_barrier_init(&barrier, bytes, 4096, 3, NULL, NULL), 0);
    for (size_t i = 2; i < 40; i++)
        if (bytes[i] == 3) {
            bytes[i] = 1000000;
            assert_int_equal(fm_barrier_wait(barrier, NULL, FM_NOWAIT), FM_ECORRUPT);
            bytes[i] = 3;
        }
    fm_barrier_fini(barrier);
    munmap(bytes, 4096);
}

/* Those that have gone end; the next two are others. */
static void test_barrier_of_two_lets_eight_threads_go_in_pairs(void **state)
{
    (void)state;
    struct start *s = new_start(2, note_action);
    t_in_threads(8, wait_once, s);
    assert_int_equal(atomic_load(&s->n_acted), 4);
    end_start(s);
}

/* ---- deaths -------------------------------------------------------------------------------------- */

static void test_barrier_death_of_one_that_waits_breaks_it(void **state)
{
    (void)state;
    struct start *s = new_start(4, NULL);
    pid_t pids[3];
    let_wait(s, 3, pids);
    t_kill(pids[1]);
    assert_int_equal(t_exit_code(t_wait_child(pids[0])), BROKEN);
    assert_int_equal(t_exit_code(t_wait_child(pids[2])), BROKEN);
    assert_int_equal(fm_barrier_broken(s->barrier), 1);
    end_start(s);
}

static int wait_then_compute(void *shared, int number)
{
    struct start *s = shared;
    if (wait_once(shared, number) != 0)
        return 1;
    atomic_fetch_add(&s->stop, 1);
    while (pause() < 0)
        ;
    return 0;
}

static int wait_twice(void *shared, int number)
{
    int code = wait_once(shared, number);
    return code != 0 ? 1 : wait_once(shared, number);
}

static void test_barrier_of_twenty_tells_all_of_a_death_in_the_second_round(void **state)
{
    (void)state;
    struct start *s = new_start(N_MANY, NULL);
    pid_t pids[N_MANY], victim = t_start_party(wait_then_compute, s, 0);
    for (int i = 1; i < N_MANY; i++)
        pids[i] = t_start_party(wait_twice, s, i);
    assert_true(t_await(&s->stop, 1));
    t_kill(victim);
    expect_codes(BROKEN, N_MANY - 1, pids + 1);
    end_start(s);
}

static void test_barrier_death_of_a_party_that_computes_breaks_it(void **state)
{
    (void)state;
    struct start *s = new_start(2, NULL);
    pid_t victim = t_start_party(wait_then_compute, s, 0);
    pid_t other = t_start_party(wait_twice, s, 1);
    t_wait_until_asleep(&s->ready, 3, other);
    assert_true(t_await(&s->stop, 1));
    t_kill(victim);
    assert_int_equal(t_exit_code(t_wait_child(other)), BROKEN);
    end_start(s);
}

static void test_barrier_death_of_a_party_that_computed_is_told_to_who_comes_later(void **state)
{
    (void)state;
    struct start *s = new_start(2, NULL);
    pid_t victim = t_start_party(wait_then_compute, s, 0);
    assert_int_equal(fm_barrier_wait(s->barrier, NULL, T_LOST), 0);
    assert_true(t_await(&s->stop, 1));
    t_kill(victim);
    assert_int_equal(fm_barrier_wait(s->barrier, NULL, T_LOST), FM_EBROKEN);
    end_start(s);
}

static int wait_in_process(void *arg)
{
    return wait_once(arg, 0);
}

/* It has done its part: another comes in its place. */
static void test_barrier_party_that_has_ended_in_order_may_be_replaced(void **state)
{
    (void)state;
    fm_array *memory;
    struct start *s = t_in_heap(&memory, sizeof *s);
    s->timeout = T_LOST;
    assert_int_equal(fm_barrier_create(&s->barrier, 2, NULL, NULL), 0);
    for (int round = 0; round < 3; round++) {
        fm_process *p;
        int code = -1;
        assert_int_equal(fm_process_create(&p, wait_in_process, s, 0, NULL), 0);
        assert_int_equal(fm_process_start(p), 0);
        assert_int_equal(fm_barrier_wait(s->barrier, NULL, T_LOST), 0);
        assert_int_equal(fm_process_join(p, FM_SECONDS(20)), 0);
        assert_int_equal(fm_process_exitcode(p, &code), 0);
        assert_int_equal(code, 0);
        assert_int_equal(fm_process_close(p), 0);
    }
    fm_barrier_destroy(s->barrier);
    fm_array_destroy(memory);
}

static int die_in_action(void *arg)
{
    (void)arg;
    raise(SIGKILL);
    return 0;
}

static void test_barrier_death_in_the_action_breaks_it(void **state)
{
    (void)state;
    struct start *s = new_start(3, die_in_action);
    pid_t pids[2];
    let_wait(s, 2, pids);
    assert_int_equal(t_signal(t_wait_child(t_start_party(wait_once, s, 2))), SIGKILL);
    expect_codes(BROKEN, 2, pids);
    assert_int_equal(fm_barrier_broken(s->barrier), 1);
    end_start(s);
}

static int go_until_broken(void *shared, int number)
{
    struct start *s = shared;
    (void)number;
    for (int r = 0; r < 40; r++) {
        int rc = fm_barrier_wait(s->barrier, NULL, T_LOST);
        if (rc != 0)
            return rc == FM_EBROKEN ? BROKEN : 1;
    }
    return 0;
}

/*
 * Of three one is killed at the point: the others are told, at that round or the next. Then it is reset, and works.
 */
static void kill_one_of_three(const char *point, int nth)
{
    struct start *s = new_start(3, note_action);
    pid_t pids[3];
    int n_killed = 0;
    if (fmi_fault_arm(point, nth, 1) != 0)
        t_skip("fault points; this is a release build");
    fmi_fault_spare_this_process();
    for (int i = 0; i < 3; i++)
        pids[i] = t_start_party(go_until_broken, s, i);
    for (int i = 0; i < 3; i++) {
        int status = t_wait_child(pids[i]);
        n_killed += t_signal(status) == SIGKILL;
        assert_true(t_signal(status) == SIGKILL || t_exit_code(status) == BROKEN);
    }
    assert_int_equal(n_killed, 1);
    fmi_fault_arm(NULL, 0, 0);
    assert_int_equal(fm_barrier_reset(s->barrier), 0);
    assert_int_equal(fm_barrier_broken(s->barrier), 0);
    t_in_processes(3, go_until_broken, s);
    end_start(s);
}

static void test_barrier_party_killed_at_each_point_is_told_to_all_others(void **state)
{
    (void)state;
    static const char *const points[] = {"barrier.come",  "barrier.here",  "barrier.leave",
                                         "barrier.sleep", "barrier.woken", "barrier.act",
                                         "barrier.acted", "barrier.end",   "barrier.ended",
                                         "bell.ring",     "bell.wake"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        for (int nth = 1; nth <= 7; nth += 3)
            kill_one_of_three(points[i], nth);
}

static int abort_it(void *shared, int number)
{
    struct start *s = shared;
    (void)number;
    return fm_barrier_abort(s->barrier);
}

static void test_barrier_that_is_being_broken_by_one_who_is_killed_is_broken(void **state)
{
    (void)state;
    static const char *const points[] = {"barrier.bad", "barrier.end", "barrier.ended",
                                         "barrier.leave"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        struct start *s = new_start(3, NULL);
        pid_t pids[2];
        let_wait(s, 2, pids);
        assert_int_equal(t_killed_at(points[i], 1, abort_it, s), 1);
        assert_int_equal(fm_barrier_wait(s->barrier, NULL, T_LOST), FM_EBROKEN);
        expect_codes(BROKEN, 2, pids);
        end_start(s);
    }
}

T_MAIN(T_TEST(test_barrier_of_one_party_opens_at_once),
       T_TEST(test_barrier_lets_threads_go_together_with_an_index_each),
       T_TEST(test_barrier_lets_processes_go_together_with_an_index_each),
       T_TEST(test_barrier_time_out_breaks_it_for_all_until_a_reset),
       T_TEST(test_barrier_abort_breaks_it_for_who_waits_and_who_comes),
       T_TEST(test_barrier_reset_tells_who_waits_and_begins_anew),
       T_TEST(test_barrier_action_that_fails_breaks_it_for_all),
       T_TEST(test_barrier_numbers_bytes_and_pointers_are_checked),
       T_TEST(test_barrier_with_an_overwritten_number_of_parties_is_ecorrupt),
       T_TEST(test_barrier_of_two_lets_eight_threads_go_in_pairs),
       T_TEST(test_barrier_of_twenty_tells_all_of_a_death_in_the_second_round),
       T_TEST(test_barrier_death_of_one_that_waits_breaks_it),
       T_TEST(test_barrier_death_of_a_party_that_computes_breaks_it),
       T_TEST(test_barrier_death_of_a_party_that_computed_is_told_to_who_comes_later),
       T_TEST(test_barrier_party_that_has_ended_in_order_may_be_replaced),
       T_TEST(test_barrier_death_in_the_action_breaks_it),
       T_TEST(test_barrier_party_killed_at_each_point_is_told_to_all_others),
       T_TEST(test_barrier_that_is_being_broken_by_one_who_is_killed_is_broken))
