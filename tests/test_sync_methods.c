/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* TIMEOUT: 60 */
/* Shared objects in processes of each start method: the pointer is an argument, and means the same there. */
#include "t_sync.h"

enum { N_TURNS = 1000 };

/* In the heap. All that is counted is counted under an object, in plain words. */
struct field {
    fm_lock *lock;
    fm_rlock *rlock;
    fm_sem *sem;
    fm_event *events[2];
    fm_cond *cond;
    fm_barrier *barrier;
    fm_rwlock *rwlock;
    _Atomic int n_came, n_acted;
    int64_t by_lock, by_rlock, by_cond, by_rwlock;
    _Atomic int inside;
};

static int count_under_locks(struct field *f)
{
    for (int i = 0; i < N_TURNS; i++) {
        if (fm_lock_acquire(f->lock, T_LOST) != 0)
            return 1;
        f->by_lock++;
        if (fm_lock_release(f->lock) != 0 || fm_rlock_acquire(f->rlock, T_LOST) != 0 ||
            fm_rlock_acquire(f->rlock, FM_NOWAIT) != 0)
            return 2;
        f->by_rlock++;
        if (fm_rlock_release(f->rlock) != 0 || fm_rlock_release(f->rlock) != 0 ||
            fm_rwlock_acquire_write(f->rwlock, T_LOST) != 0)
            return 3;
        f->by_rwlock++;
        if (fm_rwlock_release(f->rwlock) != 0 || fm_rwlock_acquire_read(f->rwlock, T_LOST) != 0 ||
            fm_rwlock_release(f->rwlock) != 0)
            return 4;
    }
    return 0;
}

static int stay_apart(struct field *f)
{
    for (int i = 0; i < N_TURNS; i++)
        if (fm_sem_acquire(f->sem, T_LOST) != 0 || atomic_fetch_add(&f->inside, 1) != 0 ||
            atomic_fetch_sub(&f->inside, 1) != 1 || fm_sem_release(f->sem, 1) != 0)
            return 5;
    return 0;
}

static int is_turn_of_0(void *arg)
{
    return ((struct field *)arg)->by_cond % 2 == 0;
}
static int is_turn_of_1(void *arg)
{
    return ((struct field *)arg)->by_cond % 2 == 1;
}

/* In turn: by events, then by a condition. */
static int hand_over(struct field *f, int number)
{
    for (int i = 0; i < N_TURNS / 10; i++) {
        if (number == 0 && fm_event_set(f->events[1]) != 0)
            return 6;
        if (fm_event_wait(f->events[number], T_LOST) != 0 || fm_event_clear(f->events[number]) != 0)
            return 7;
        if (number == 1 && fm_event_set(f->events[0]) != 0)
            return 8;
    }
    for (int i = 0; i < N_TURNS / 10; i++) {
        if (fm_cond_acquire(f->cond, T_LOST) != 0 ||
            fm_cond_wait_for(f->cond, number == 0 ? is_turn_of_0 : is_turn_of_1, f, T_LOST) != 0)
            return 9;
        f->by_cond++;
        if (fm_cond_notify(f->cond, 1) != 0 || fm_cond_release(f->cond) != 0)
            return 10;
    }
    return 0;
}

static int use_all(void *arg)
{
    struct field *f = arg;
    const int number = atomic_fetch_add(&f->n_came, 1);
    int code = count_under_locks(f);
    if (code == 0)
        code = stay_apart(f);
    if (code == 0)
        code = hand_over(f, number);
    for (int i = 0; code == 0 && i < N_TURNS / 10; i++)
        code = fm_barrier_wait(f->barrier, NULL, T_LOST) != 0 ? 11 : 0;
    return code;
}

/* A static function of this program, which each process finds for itself. */
static int count_action(void *arg)
{
    struct field *f = arg;
    atomic_fetch_add(&f->n_acted, 1);
    return 0;
}

static void make_all(struct field *f)
{
    assert_int_equal(fm_lock_create(&f->lock), 0);
    assert_int_equal(fm_rlock_create(&f->rlock), 0);
    assert_int_equal(fm_sem_create(&f->sem, 1, 1, FM_SEM_OPTS(.flags = FM_SEM_OWNED)), 0);
    assert_int_equal(fm_event_create(&f->events[0]), 0);
    assert_int_equal(fm_event_create(&f->events[1]), 0);
    assert_int_equal(fm_cond_create(&f->cond, f->lock), 0);
    assert_int_equal(fm_barrier_create(&f->barrier, 2, count_action, f), 0);
    assert_int_equal(fm_rwlock_create(&f->rwlock), 0);
}

static void destroy_all(struct field *f)
{
    fm_cond_destroy(f->cond);
    fm_lock_destroy(f->lock);
    fm_rlock_destroy(f->rlock);
    fm_sem_destroy(f->sem);
    fm_event_destroy(f->events[0]);
    fm_event_destroy(f->events[1]);
    fm_barrier_destroy(f->barrier);
    fm_rwlock_destroy(f->rwlock);
}

/* Two processes of a start method do it, by a function of the test's that calls the body; `shared` lies in the heap. */
static void t_by_method(int method, fm_target_fn *target, void *shared)
{
    fm_context context;
    fm_process *p[2];
    assert_int_equal(fm_get_context(method, &context), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            fm_process_create(&p[i], target, shared, 0, FM_PROCESS_OPTS(.context = &context)), 0);
        assert_int_equal(fm_process_start(p[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        int code = -1;
        assert_int_equal(fm_process_join(p[i], FM_SECONDS(30)), 0);
        assert_int_equal(fm_process_exitcode(p[i], &code), 0);
        assert_int_equal(code, 0);
        assert_int_equal(fm_process_close(p[i]), 0);
    }
}

static void test_sync_objects_work_between_processes_that_get_their_pointers(void **state)
{
    fm_array *memory;
    struct field *f = t_in_heap(&memory, sizeof *f);
    make_all(f);
    t_by_method(t_method(state), use_all, f);
    assert_int_equal(f->by_lock, 2 * N_TURNS);
    assert_int_equal(f->by_rlock, 2 * N_TURNS);
    assert_int_equal(f->by_rwlock, 2 * N_TURNS);
    assert_int_equal(f->by_cond, 2 * N_TURNS / 10);
    assert_int_equal(atomic_load(&f->n_acted), N_TURNS / 10);
    assert_int_equal(fm_sem_value(f->sem), 1);
    destroy_all(f);
    fm_array_destroy(memory);
}

T_MAIN(T_EACH_METHOD(test_sync_objects_work_between_processes_that_get_their_pointers))
