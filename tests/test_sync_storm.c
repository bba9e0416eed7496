/* SPDX-License-Identifier: MIT */
/* LABELS: stress crash */
/* TIMEOUT: 300 */
/* Storms: processes that use a shared object are killed at any moment, hundreds of them (thousands: FORKMAP_TEST_LONG), and nobody hangs, and nothing is counted wrong. */
#include "t_sync.h"

enum { N_PARTIES = 4 };

struct field {
    fm_lock *lock;
    fm_rwlock *rwlock;
    fm_cond *cond;
    fm_barrier *barrier;
    fm_sem *sem;
    _Atomic int stop, n_inside;
    _Atomic uint64_t n_told, n_done, n_broken;
    uint64_t low, high; /* under the lock */
    _Atomic uint64_t mine[N_PARTIES];
};

static int n_kills(void)
{
    return t_times(500, 2000);
}

static struct field *new_field(void)
{
    return t_shared(sizeof(struct field));
}

static uint64_t sum_of(struct field *f)
{
    uint64_t sum = 0;
    for (int i = 0; i < N_PARTIES; i++)
        sum += atomic_load(&f->mine[i]);
    return sum;
}

/*
 * With the lock, which was got with `rc`. `mine` is counted between high and low: so whoever is told of a death knows from the sum whether the last count is
 * in, and whoever is not told finds both the same. 0; or what is wrong.
 */
static int count(struct field *f, int number, int rc)
{
    if (rc == FM_EOWNERDEAD) {
        uint64_t sum = sum_of(f);
        if (sum != f->low && sum != f->high)
            return 1;
        f->low = f->high = sum;
        atomic_fetch_add(&f->n_told, 1);
    } else if (rc != 0) {
        return 2;
    }
    if (f->low != f->high)
        return 3;
    f->high++;
    atomic_fetch_add(&f->mine[number], 1);
    f->low++;
    return 0;
}

static void expect_exact(struct field *f)
{
    assert_int_equal(f->low, f->high);
    assert_int_equal(f->low, sum_of(f));
    assert_true(f->low > 0);
}

/* ---- lock ---------------------------------------------------------------------------------------- */

static int count_under_lock(void *shared, int number)
{
    struct field *f = shared;
    while (atomic_load(&f->stop) == 0) {
        int code = count(f, number, fm_lock_acquire(f->lock, T_LOST));
        if (code != 0)
            return code;
        if (fm_lock_release(f->lock) != 0)
            return 4;
    }
    return 0;
}

static void test_sync_storm_on_a_lock_counts_exactly_and_tells_each_death_in_it(void **state)
{
    (void)state;
    struct field *f = new_field();
    assert_int_equal(fm_lock_create(&f->lock), 0);
    t_storm(N_PARTIES, n_kills(), count_under_lock, f, &f->stop);
    assert_int_equal(fm_lock_acquire(f->lock, FM_NOWAIT), 0);
    expect_exact(f);
    assert_true(atomic_load(&f->n_told) > 0); /* some died with it */
    fm_lock_destroy(f->lock);
    munmap(f, sizeof *f);
}

/* ---- condition ----------------------------------------------------------------------------------- */

static int is_odd(void *arg)
{
    struct field *f = arg;
    return atomic_load(&f->stop) || f->low % 2 == 1;
}
static int is_even(void *arg)
{
    struct field *f = arg;
    return atomic_load(&f->stop) || f->low % 2 == 0;
}

/* Parties 0 and 2 count at even numbers, 1 and 3 at odd ones: each call lost would be a wait for ever. */
static int count_in_turn(void *shared, int number)
{
    struct field *f = shared;
    while (atomic_load(&f->stop) == 0) {
        int rc = fm_cond_acquire(f->cond, T_LOST), code;
        if (rc == 0)
            rc = fm_cond_wait_for(f->cond, number % 2 ? is_odd : is_even, f, T_LOST);
        if ((code = count(f, number, rc)) != 0)
            return 10 + code;
        /* Who is told has counted out of turn: then the next may be one of its own kind. */
        if ((rc == 0 ? fm_cond_notify(f->cond, 2) : fm_cond_notify_all(f->cond)) != 0)
            return 5;
        if (fm_cond_release(f->cond) != 0)
            return 6;
    }
    int rc = fm_cond_acquire(f->cond, T_LOST);
    return (rc != 0 && rc != FM_EOWNERDEAD) || fm_cond_notify_all(f->cond) != 0 ||
           fm_cond_release(f->cond) != 0;
}

static void test_sync_storm_on_a_condition_loses_no_call(void **state)
{
    (void)state;
    struct field *f = new_field();
    assert_int_equal(fm_lock_create(&f->lock), 0);
    assert_int_equal(fm_cond_create(&f->cond, f->lock), 0);
    t_storm(N_PARTIES, n_kills(), count_in_turn, f, &f->stop);
    assert_int_equal(f->low, f->high);
    assert_int_equal(f->low, sum_of(f));
    fm_cond_destroy(f->cond);
    fm_lock_destroy(f->lock);
    munmap(f, sizeof *f);
}

/* ---- barrier ------------------------------------------------------------------------------------- */

/* A broken one is made whole by whoever finds it so; then all come again. */
static int pass(void *shared, int number)
{
    struct field *f = shared;
    (void)number;
    while (atomic_load(&f->stop) == 0) {
        int rc = fm_barrier_wait(f->barrier, NULL, FM_SECONDS(5));
        if (rc == FM_EBROKEN) {
            atomic_fetch_add(&f->n_broken, 1);
            if (fm_barrier_broken(f->barrier) == 1 && fm_barrier_reset(f->barrier) != 0)
                return 1;
        } else if (rc != 0) {
            return 2;
        } else {
            atomic_fetch_add(&f->n_done, 1);
        }
    }
    return fm_barrier_abort(f->barrier) != 0;
}

static void test_sync_storm_on_a_barrier_breaks_it_and_it_works_again(void **state)
{
    (void)state;
    struct field *f = new_field();
    assert_int_equal(fm_barrier_create(&f->barrier, N_PARTIES, NULL, NULL), 0);
    t_storm(N_PARTIES, n_kills(), pass, f, &f->stop);
    assert_true(atomic_load(&f->n_broken) > 0);
    assert_true(atomic_load(&f->n_done) > 0);
    fm_barrier_destroy(f->barrier);
    munmap(f, sizeof *f);
}

/* ---- semaphore, reader-writer lock ---------------------------------------------------------------- */

static int hold_a_unit(void *shared, int number)
{
    struct field *f = shared;
    (void)number;
    while (atomic_load(&f->stop) == 0) {
        if (fm_sem_acquire(f->sem, T_LOST) != 0)
            return 1;
        atomic_fetch_add(&f->n_done, 1);
        if (fm_sem_release(f->sem, 1) != 0)
            return 2;
    }
    return 0;
}

static void test_sync_storm_on_an_owned_semaphore_loses_no_unit(void **state)
{
    (void)state;
    struct field *f = new_field();
    assert_int_equal(fm_sem_create(&f->sem, 2, 2, FM_SEM_OPTS(.flags = FM_SEM_OWNED)), 0);
    t_storm(N_PARTIES, n_kills() / 2, hold_a_unit, f, &f->stop);
    assert_int_equal(fm_sem_value(f->sem), 2);
    fm_sem_destroy(f->sem);
    munmap(f, sizeof *f);
}

static int read_and_write(void *shared, int number)
{
    struct field *f = shared;
    for (int i = 0; atomic_load(&f->stop) == 0; i++) {
        if (i % 3 == 0) {
            int code = count(f, number, fm_rwlock_acquire_write(f->rwlock, T_LOST));
            if (code != 0)
                return code;
        } else {
            int rc = fm_rwlock_acquire_read(f->rwlock, T_LOST);
            if (rc != FM_EOWNERDEAD && (rc != 0 || f->low != f->high))
                return 5;
        }
        if (fm_rwlock_release(f->rwlock) != 0)
            return 6;
    }
    return 0;
}

static void test_sync_storm_on_a_reader_writer_lock_counts_exactly(void **state)
{
    (void)state;
    struct field *f = new_field();
    assert_int_equal(fm_rwlock_create(&f->rwlock), 0);
    t_storm(N_PARTIES, n_kills() / 2, read_and_write, f, &f->stop);
    int rc = fm_rwlock_acquire_write(f->rwlock, FM_NOWAIT);
    if (rc == FM_EOWNERDEAD) /* the last one that was killed */
        assert_int_equal(count(f, 0, rc), 0);
    expect_exact(f);
    fm_rwlock_destroy(f->rwlock);
    munmap(f, sizeof *f);
}

T_MAIN(T_TEST(test_sync_storm_on_a_lock_counts_exactly_and_tells_each_death_in_it),
       T_TEST(test_sync_storm_on_a_condition_loses_no_call),
       T_TEST(test_sync_storm_on_a_barrier_breaks_it_and_it_works_again),
       T_TEST(test_sync_storm_on_an_owned_semaphore_loses_no_unit),
       T_TEST(test_sync_storm_on_a_reader_writer_lock_counts_exactly))
