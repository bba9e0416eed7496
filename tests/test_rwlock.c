/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash threads */
/* TIMEOUT: 60 */
/* The reader-writer lock: readers together, a writer alone, and no death keeps the others. */
#include "t_sync.h"

enum { N_PARTIES = 4, N_TURNS = 1500, TOLD = 7 };

struct page {
    fm_rwlock *lock;
    _Atomic int ready, go;
    uint64_t low, high; /* under the lock: equal */
    _Atomic uint64_t mine[N_PARTIES];
};

static struct page *new_page(void)
{
    struct page *p = t_shared(sizeof *p);
    assert_int_equal(fm_rwlock_create(&p->lock), 0);
    return p;
}

static void end_page(struct page *p)
{
    fm_rwlock_destroy(p->lock);
    munmap(p, sizeof *p);
}

/* Bits of what another process can have: 1 to read, 2 to write. */
static int try_it(void *shared, int number)
{
    struct page *p = shared;
    int can = 0;
    (void)number;
    for (int write = 0; write < 2; write++) {
        int rc = write ? fm_rwlock_acquire_write(p->lock, FM_NOWAIT)
                       : fm_rwlock_acquire_read(p->lock, FM_NOWAIT);
        if (rc == 0)
            can |= 1 << write;
        else if (rc != -ETIMEDOUT)
            return 100;
        if (rc == 0 && fm_rwlock_release(p->lock) != 0)
            return 101;
    }
    return can;
}

static int others_can(struct page *p)
{
    return t_exit_code(t_wait_child(t_start_party(try_it, p, 0)));
}

/* ---- what it promises ---------------------------------------------------------------------------- */

static void test_rwlock_readers_are_there_together_and_a_writer_alone(void **state)
{
    (void)state;
    struct page *p = new_page();
    assert_int_equal(others_can(p), 3);
    assert_int_equal(fm_rwlock_acquire_read(p->lock, FM_FOREVER), 0);
    assert_int_equal(others_can(p), 1);
    assert_int_equal(fm_rwlock_release(p->lock), 0);
    assert_int_equal(fm_rwlock_acquire_write(p->lock, FM_FOREVER), 0);
    assert_int_equal(others_can(p), 0);
    assert_int_equal(fm_rwlock_release(p->lock), 0);
    assert_int_equal(others_can(p), 3);
    end_page(p);
}

static void test_rwlock_that_would_wait_for_its_own_thread_gives_edeadlk(void **state)
{
    (void)state;
    struct page *p = new_page();
    assert_int_equal(fm_rwlock_acquire_read(p->lock, FM_FOREVER), 0);
    assert_int_equal(fm_rwlock_acquire_write(p->lock, FM_FOREVER), -EDEADLK);
    assert_int_equal(fm_rwlock_release(p->lock), 0);
    assert_int_equal(fm_rwlock_acquire_write(p->lock, FM_FOREVER), 0);
    assert_int_equal(fm_rwlock_acquire_write(p->lock, FM_FOREVER), -EDEADLK);
    assert_int_equal(fm_rwlock_acquire_read(p->lock, FM_FOREVER), -EDEADLK);
    assert_int_equal(fm_rwlock_release(p->lock), 0);
    end_page(p);
}

static void test_rwlock_release_of_what_one_has_not_gives_eperm(void **state)
{
    (void)state;
    struct page *p = new_page();
    assert_int_equal(fm_rwlock_release(p->lock), -EPERM);
    assert_int_equal(fm_rwlock_acquire_write(p->lock, FM_FOREVER), 0);
    assert_int_equal(fm_rwlock_release(p->lock), 0);
    assert_int_equal(fm_rwlock_release(p->lock), -EPERM);
    end_page(p);
}

static void test_rwlock_is_read_eleven_times_by_one_thread_and_then_gives_eagain(void **state)
{
    (void)state;
    struct page *p = new_page();
    for (int i = 0; i < FM_RWLOCK_MAX_READS; i++)
        assert_int_equal(fm_rwlock_acquire_read(p->lock, FM_NOWAIT), 0);
    assert_int_equal(fm_rwlock_acquire_read(p->lock, FM_NOWAIT), -EAGAIN);
    for (int i = 0; i < FM_RWLOCK_MAX_READS; i++) {
        assert_int_equal(others_can(p), 1);
        assert_int_equal(fm_rwlock_release(p->lock), 0);
    }
    assert_int_equal(others_can(p), 3);
    end_page(p);
}

static int write_for_a_while(void *shared, int number)
{
    struct page *p = shared;
    (void)number;
    atomic_store(&p->ready, 1);
    const int64_t begin = fmi_now_ns();
    if (fm_rwlock_acquire_write(p->lock, FM_MS(130)) != -ETIMEDOUT)
        return 1;
    return fmi_now_ns() - begin < FM_MS(130);
}

static void test_rwlock_writer_whose_time_is_over_lets_readers_in_again(void **state)
{
    (void)state;
    struct page *p = new_page();
    assert_int_equal(fm_rwlock_acquire_read(p->lock, FM_NOWAIT), 0);
    t_in_processes(1, write_for_a_while, p);
    assert_int_equal(others_can(p), 1);
    assert_int_equal(fm_rwlock_release(p->lock), 0);
    assert_int_equal(others_can(p), 3);
    end_page(p);
}

static int write_once(void *shared, int number)
{
    struct page *p = shared;
    atomic_fetch_add(&p->ready, 1);
    int rc = fm_rwlock_acquire_write(p->lock, T_LOST);
    if (rc != 0 && rc != FM_EOWNERDEAD)
        return 1;
    p->low = p->high = p->high + 1;
    atomic_fetch_add(&p->mine[number], 1);
    fm_rwlock_release(p->lock);
    return rc == 0 ? 0 : TOLD;
}

static void test_rwlock_writer_that_waits_comes_before_later_readers(void **state)
{
    (void)state;
    struct page *p = new_page();
    assert_int_equal(fm_rwlock_acquire_read(p->lock, FM_NOWAIT), 0);
    pid_t writer = t_start_party(write_once, p, 0);
    t_wait_until_asleep(&p->ready, 1, writer);
    assert_int_equal(others_can(p), 0);
    assert_int_equal(fm_rwlock_acquire_read(p->lock, FM_NOWAIT),
                     0); /* once more: it reads already */
    assert_int_equal(fm_rwlock_release(p->lock), 0);
    assert_int_equal(fm_rwlock_release(p->lock), 0);
    assert_int_equal(t_exit_code(t_wait_child(writer)), 0);
    assert_int_equal(p->low, 1);
    end_page(p);
}

static void test_rwlock_bytes_and_pointers_are_checked(void **state)
{
    (void)state;
    char *bytes = t_shared(4096);
    fm_rwlock *lock;
    assert_int_equal(fm_rwlock_init(&lock, bytes, FM_RWLOCK_BYTES - 1), -EINVAL);
    assert_int_equal(fm_rwlock_init(&lock, bytes + 4, FM_RWLOCK_BYTES), -EINVAL);
    assert_int_equal(fm_rwlock_init(&lock, bytes, FM_RWLOCK_BYTES), 0);
    assert_int_equal(fm_rwlock_acquire_write(lock, FM_NOWAIT), 0);
    assert_int_equal(fm_rwlock_release(lock), 0);
    fm_rwlock_fini(lock);
    assert_int_equal(fm_rwlock_acquire_read(lock, FM_NOWAIT), FM_ECORRUPT);
    assert_int_equal(fm_rwlock_release(NULL), -EINVAL);
    munmap(bytes, 4096);
}

/* ---- several ------------------------------------------------------------------------------------- */

static int mix(void *shared, int number)
{
    struct page *p = shared;
    for (int i = 0; i < N_TURNS; i++) {
        const int writes = (i + number) % 4 == 0;
        int rc = writes ? fm_rwlock_acquire_write(p->lock, T_LOST)
                        : fm_rwlock_acquire_read(p->lock, T_LOST);
        if (rc != 0 || p->low != p->high)
            return 1;
        if (writes) {
            p->low++;
            p->high++;
        }
        if (fm_rwlock_release(p->lock) != 0)
            return 2;
    }
    return 0;
}

static void test_rwlock_keeps_threads_that_write_from_all_others(void **state)
{
    (void)state;
    struct page *p = new_page();
    t_in_threads(N_PARTIES, mix, p);
    assert_int_equal(p->low, N_PARTIES * N_TURNS / 4);
    end_page(p);
}

static void test_rwlock_keeps_processes_that_write_from_all_others(void **state)
{
    (void)state;
    struct page *p = new_page();
    t_in_processes(N_PARTIES, mix, p);
    assert_int_equal(p->low, N_PARTIES * N_TURNS / 4);
    end_page(p);
}

/* ---- deaths -------------------------------------------------------------------------------------- */

static int read_for_ever(void *shared, int number)
{
    struct page *p = shared;
    if (fm_rwlock_acquire_read(p->lock, FM_NOWAIT) == 0)
        atomic_store(&p->go, number + 1);
    while (pause() < 0)
        ;
    return 0;
}

static int write_and_be_killed(void *shared, int number)
{
    struct page *p = shared;
    (void)number;
    if (fm_rwlock_acquire_write(p->lock, T_LOST) >= 0)
        raise(SIGKILL);
    return 1;
}

static void test_rwlock_reader_that_dies_is_forgotten(void **state)
{
    (void)state;
    struct page *p = new_page();
    pid_t reader = t_start_party(read_for_ever, p, 0);
    assert_true(t_await(&p->go, 1));
    assert_int_equal(others_can(p), 1);
    t_kill(reader);
    assert_int_equal(others_can(p), 3);
    end_page(p);
}

static void test_rwlock_death_of_the_last_reader_lets_the_writer_in(void **state)
{
    (void)state;
    struct page *p = new_page();
    pid_t readers[2];
    for (int i = 0; i < 2; i++) {
        readers[i] = t_start_party(read_for_ever, p, i);
        assert_true(t_await(&p->go, i + 1));
    }
    pid_t writer = t_start_party(write_once, p, 0);
    t_wait_until_asleep(&p->ready, 1, writer);
    t_kill(readers[0]);
    t_kill(readers[1]);
    assert_int_equal(t_exit_code(t_wait_child(writer)), 0);
    end_page(p);
}

static void test_rwlock_writer_that_dies_is_told_to_readers_until_a_writer_was_there(void **state)
{
    (void)state;
    struct page *p = new_page();
    assert_int_equal(t_signal(t_wait_child(t_start_party(write_and_be_killed, p, 0))), SIGKILL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fm_rwlock_acquire_read(p->lock, T_LOST), FM_EOWNERDEAD);
        assert_int_equal(fm_rwlock_release(p->lock), 0);
    }
    assert_int_equal(fm_rwlock_acquire_write(p->lock, T_LOST), FM_EOWNERDEAD);
    assert_int_equal(fm_rwlock_release(p->lock), 0);
    assert_int_equal(fm_rwlock_acquire_read(p->lock, T_LOST), 0);
    assert_int_equal(fm_rwlock_release(p->lock), 0);
    assert_int_equal(fm_rwlock_acquire_write(p->lock, T_LOST), 0);
    assert_int_equal(fm_rwlock_release(p->lock), 0);
    end_page(p);
}

static void test_rwlock_death_of_a_writer_is_still_told_after_another_ran_out_of_time(void **state)
{
    (void)state;
    struct page *p = new_page();
    assert_int_equal(t_signal(t_wait_child(t_start_party(write_and_be_killed, p, 0))), SIGKILL);
    assert_int_equal(fm_rwlock_acquire_read(p->lock, T_LOST), FM_EOWNERDEAD);
    assert_int_equal(t_exit_code(t_wait_child(t_start_party(write_for_a_while, p, 0))), 0);
    assert_int_equal(fm_rwlock_release(p->lock), 0);
    assert_int_equal(fm_rwlock_acquire_read(p->lock, T_LOST), FM_EOWNERDEAD);
    assert_int_equal(fm_rwlock_release(p->lock), 0);
    assert_int_equal(fm_rwlock_acquire_write(p->lock, T_LOST), FM_EOWNERDEAD);
    assert_int_equal(fm_rwlock_release(p->lock), 0);
    end_page(p);
}

static void test_rwlock_writer_that_dies_while_it_waits_is_not_told(void **state)
{
    (void)state;
    struct page *p = new_page();
    assert_int_equal(fm_rwlock_acquire_read(p->lock, FM_NOWAIT), 0);
    pid_t writer = t_start_party(write_once, p, 0);
    t_wait_until_asleep(&p->ready, 1, writer);
    t_kill(writer);
    assert_int_equal(others_can(p), 1);
    assert_int_equal(fm_rwlock_release(p->lock), 0);
    assert_int_equal(others_can(p), 3);
    end_page(p);
}

/* One turn that can die anywhere; a writer that is told puts the page right, a reader that is told does not believe it. */
static int take_a_turn(struct page *p, int writes)
{
    int rc =
        writes ? fm_rwlock_acquire_write(p->lock, T_LOST) : fm_rwlock_acquire_read(p->lock, T_LOST);
    if (rc != 0 && rc != FM_EOWNERDEAD)
        return 1;
    if (rc == 0 && p->low != p->high)
        return 2;
    if (writes) {
        p->low = p->high;
        p->high++;
        p->low++;
    }
    return fm_rwlock_release(p->lock) == 0 ? 0 : 3;
}

static int take_turns(void *shared, int number)
{
    int rc = 0;
    for (int i = 0; i < 60 && rc == 0; i++) {
        rc = take_a_turn(shared, (i + number) % 3 == 0);
        if (i % 8 == 0)
            usleep(50);
    }
    return rc;
}

static void kill_one_of_three(const char *point, int nth)
{
    struct page *p = new_page();
    pid_t pids[3];
    if (fmi_fault_arm(point, nth, 1) != 0)
        t_skip("fault points; this is a release build");
    fmi_fault_spare_this_process();
    for (int i = 0; i < 3; i++)
        pids[i] = t_start_party(take_turns, p, i);
    for (int i = 0; i < 3; i++) {
        int status = t_wait_child(pids[i]);
        assert_true(t_exit_code(status) == 0 || t_signal(status) == SIGKILL);
    }
    fmi_fault_arm(NULL, 0, 0);
    assert_int_equal(take_a_turn(p, 1), 0);
    assert_int_equal(take_a_turn(p, 0), 0);
    assert_int_equal(p->low, p->high);
    assert_int_equal(others_can(p), 3);
    end_page(p);
}

static void test_rwlock_party_killed_at_each_point_never_blocks_the_others(void **state)
{
    (void)state;
    static const char *const points[] = {"rwlock.read",      "rwlock.read_end", "rwlock.locked",
                                         "rwlock.wants",     "rwlock.drain",    "rwlock.has",
                                         "rwlock.write_end", "rwlock.open",     "bell.sleep",
                                         "bell.woken",       "bell.ring",       "bell.wake"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        for (int nth = 1; nth <= 21; nth += 10)
            kill_one_of_three(points[i], nth);
}

T_MAIN(T_TEST(test_rwlock_readers_are_there_together_and_a_writer_alone),
       T_TEST(test_rwlock_that_would_wait_for_its_own_thread_gives_edeadlk),
       T_TEST(test_rwlock_release_of_what_one_has_not_gives_eperm),
       T_TEST(test_rwlock_is_read_eleven_times_by_one_thread_and_then_gives_eagain),
       T_TEST(test_rwlock_writer_whose_time_is_over_lets_readers_in_again),
       T_TEST(test_rwlock_writer_that_waits_comes_before_later_readers),
       T_TEST(test_rwlock_bytes_and_pointers_are_checked),
       T_TEST(test_rwlock_keeps_threads_that_write_from_all_others),
       T_TEST(test_rwlock_keeps_processes_that_write_from_all_others),
       T_TEST(test_rwlock_reader_that_dies_is_forgotten),
       T_TEST(test_rwlock_death_of_the_last_reader_lets_the_writer_in),
       T_TEST(test_rwlock_writer_that_dies_is_told_to_readers_until_a_writer_was_there),
       T_TEST(test_rwlock_death_of_a_writer_is_still_told_after_another_ran_out_of_time),
       T_TEST(test_rwlock_writer_that_dies_while_it_waits_is_not_told),
       T_TEST(test_rwlock_party_killed_at_each_point_never_blocks_the_others))
