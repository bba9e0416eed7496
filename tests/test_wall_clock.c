/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* TIMEOUT: 60 */
/*
 * Waits do not know what time of day it is. In the middle of each wait the wall clock jumps by an hour, forwards and backwards: the program has its own clock_gettime(),
 * gettimeofday() and time(), which the engine, linked into it, calls. What the kernel does with time is not seen there, so a filter of system calls kills each
 * process of the test that hands the kernel a deadline of the wall clock. Each wait must end with its code, and not before its time. How late it was is printed: within
 * 5 ms on a machine that has nothing else to do; the test allows for half a second.
 */
#include "t_process.h"
#include "t_sync.h"

#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

#define WAIT_NS FM_MS(50)
#define LATE_NS FM_MS(500)

/* Exit codes of a child that waits. */
enum { NO_FILTER = 70, WRONG_CODE = 71, EARLY = 72, LATE = 73 };

/* ---- the wall clock of this program ------------------------------------------------------------------ */

static int64_t jump_at_ns = INT64_MAX; /* monotonic */
static int64_t jump_s;

static int64_t offset_s(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec >= jump_at_ns ? jump_s : 0;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, t);
    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        t->tv_sec += offset_s();
    return rc;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    int rc = (int)syscall(SYS_gettimeofday, t, zone);
    t->tv_sec += offset_s();
    return rc;
}

time_t time(time_t *out)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out != NULL)
        *out = t.tv_sec;
    return t.tv_sec;
}

/* ---- what the kernel may not be asked ----------------------------------------------------------------- */

/* A system call that kills its process if all of these hold: (argument & mask) == value, or is_not. */
struct ban {
    uint32_t call;
    struct condition {
        uint32_t argument, mask, value;
        int is_not;
    } must[2];
};

/* Without a timeout glibc's own waits name the wall clock, too; and a sleep of so many seconds does not depend on it. */
static const struct ban bans[] = {
    {SYS_futex, {{1, FUTEX_CLOCK_REALTIME, 0, 1}, {3, UINT32_MAX, 0, 1}}},
    {SYS_futex, {{1, (uint32_t)FUTEX_CMD_MASK, FUTEX_LOCK_PI, 0}, {3, UINT32_MAX, 0, 1}}},
    {SYS_futex_waitv, {{4, UINT32_MAX, CLOCK_REALTIME, 0}, {3, UINT32_MAX, 0, 1}}},
    {SYS_clock_nanosleep, {{0, UINT32_MAX, CLOCK_REALTIME, 0}, {1, TIMER_ABSTIME, 0, 1}}},
    {SYS_timerfd_create, {{0, UINT32_MAX, CLOCK_REALTIME, 0}, {0, 0, 0, 0}}},
    {SYS_timer_create, {{0, UINT32_MAX, CLOCK_REALTIME, 0}, {0, 0, 0, 0}}},
};

static struct sock_filter load(size_t offset)
{
    return (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset);
}

static int forbid(const struct ban *ban)
{
    enum { ALLOW = 9 };
    struct sock_filter code[ALLOW + 1];
    uint8_t n = 0;
    code[n++] = load(offsetof(struct seccomp_data, nr));
    code[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ban->call, 0, ALLOW - 1 - n);
    n++;
    for (const struct condition *c = ban->must; c < ban->must + 2; c++) {
        uint8_t out = (uint8_t)(ALLOW - 3 - n); /* over the rest */
        code[n++] = load(offsetof(struct seccomp_data, args) + 8 * c->argument);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, c->mask);
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, c->value,
                                                 c->is_not ? out : 0, c->is_not ? 0 : out);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = n, .filter = code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* SIGSYS is the end of who breaks it, and of its children. */
static void forbid_wall_clock(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        _exit(NO_FILTER);
    for (size_t i = 0; i < T_N_OF(bans); i++)
        if (forbid(&bans[i]) != 0)
            _exit(NO_FILTER);
}

/* ---- what is waited for ------------------------------------------------------------------------------- */

struct world {
    fm_lock *lock;
    fm_rlock *rlock;
    fm_rwlock *rwlock;
    fm_sem *sem;
    fm_event *event;
    fm_cond *cond;
    fm_barrier *barrier;
    fm_queue *full, *empty, *undone;
    fm_conn *in, *out;           /* nothing comes in */
    fm_conn *full_in, *full_out; /* nothing goes out */
    fm_pool *pool;
    fm_result *result;
    fm_process *process;
    _Atomic int *is_held; /* shared */
};

static int hang(void *arg)
{
    (void)arg;
    while (pause() != 0)
        ;
    return 0;
}

static int hang_in_pool(const void *arg, void *result)
{
    (void)arg;
    (void)result;
    while (pause() != 0)
        ;
    return 0;
}

/* Another process has all locks. */
static void hold(struct world *w)
{
    if (fork() != 0) {
        while (atomic_load(w->is_held) == 0)
            usleep(200);
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    t_must(fm_lock_acquire(w->lock, FM_NOWAIT));
    t_must(fm_rlock_acquire(w->rlock, FM_NOWAIT));
    t_must(fm_rwlock_acquire_write(w->rwlock, FM_NOWAIT));
    atomic_store(w->is_held, 1);
    hang(NULL);
}

static void prepare_objects(struct world *w)
{
    t_must(fm_lock_create(&w->lock));
    t_must(fm_rlock_create(&w->rlock));
    t_must(fm_rwlock_create(&w->rwlock));
    t_must(fm_sem_create(&w->sem, 0, 1, NULL));
    t_must(fm_event_create(&w->event));
    t_must(fm_cond_create(&w->cond, NULL));
    t_must(fm_cond_acquire(w->cond, FM_FOREVER));
    t_must(fm_barrier_create(&w->barrier, 2, NULL, NULL));
    hold(w);
}

static void prepare_messages(struct world *w)
{
    char buf[4096] = {0};
    t_must(fm_queue_create(&w->full, FM_QUEUE_OPTS(.capacity = 1)));
    t_must(fm_queue_create(&w->empty, NULL));
    t_must(fm_queue_create(&w->undone, FM_QUEUE_OPTS(.joinable = 1)));
    t_must(fm_queue_put(w->undone, "x", 1, FM_FOREVER));
    while (fm_queue_put(w->full, "x", 1, FM_NOWAIT) == 0)
        ;
    t_must(fm_pipe(&w->in, &w->out, 0));
    t_must(fm_pipe(&w->full_in, &w->full_out, 0));
    while (fm_conn_send_timed(w->full_out, buf, sizeof buf, FM_NOWAIT) == 0)
        ;
}

static void prepare_processes(struct world *w)
{
    t_must(fm_pool_open(&w->pool, FM_POOL_OPTS(.workers = 1, .caller = FM_CALLER_SLEEPS)));
    t_must(fm_pool_apply_async(w->pool, hang_in_pool, NULL, 0, NULL, 0, NULL, &w->result));
    t_must(fm_process_create(&w->process, hang, NULL, 0, NULL));
    t_must(fm_process_start(w->process));
}

/* ---- waits -------------------------------------------------------------------------------------------- */

static int wait_lock(struct world *w)
{
    return fm_lock_acquire(w->lock, WAIT_NS);
}

static int wait_rlock(struct world *w)
{
    return fm_rlock_acquire(w->rlock, WAIT_NS);
}

static int wait_read(struct world *w)
{
    return fm_rwlock_acquire_read(w->rwlock, WAIT_NS);
}

static int wait_write(struct world *w)
{
    return fm_rwlock_acquire_write(w->rwlock, WAIT_NS);
}

static int wait_sem(struct world *w)
{
    return fm_sem_acquire(w->sem, WAIT_NS);
}

static int wait_event(struct world *w)
{
    return fm_event_wait(w->event, WAIT_NS);
}

static int is_never(void *arg)
{
    (void)arg;
    return 0;
}

static int wait_cond(struct world *w)
{
    return fm_cond_wait_for(w->cond, is_never, NULL, WAIT_NS);
}

static int wait_barrier(struct world *w)
{
    int rc = fm_barrier_wait(w->barrier, NULL, WAIT_NS);
    return rc == FM_EBROKEN ? -ETIMEDOUT : rc; /* that is how it says so */
}

static int wait_put(struct world *w)
{
    return fm_queue_put(w->full, "x", 1, WAIT_NS);
}

static int wait_get(struct world *w)
{
    char buf[8];
    return fm_queue_get(w->empty, buf, sizeof buf, NULL, WAIT_NS);
}

static int wait_queue_join(struct world *w)
{
    return fm_queue_join(w->undone, WAIT_NS);
}

static int wait_recv(struct world *w)
{
    char buf[8];
    return fm_conn_recv_timed(w->in, buf, sizeof buf, NULL, WAIT_NS);
}

static int wait_poll(struct world *w)
{
    return fm_conn_poll(w->in, WAIT_NS);
}

static int wait_send(struct world *w)
{
    char buf[4096] = {0};
    return fm_conn_send_timed(w->full_out, buf, sizeof buf, WAIT_NS);
}

static int wait_for_conn(struct world *w)
{
    const fm_waitable object = FM_WAIT_CONN(w->in);
    return fm_wait(&object, 1, NULL, WAIT_NS);
}

static int wait_for_process(struct world *w)
{
    const fm_waitable object = FM_WAIT_PROCESS(w->process);
    return fm_wait(&object, 1, NULL, WAIT_NS);
}

static int wait_for_result(struct world *w)
{
    const fm_waitable object = FM_WAIT_RESULT(w->result);
    return fm_wait(&object, 1, NULL, WAIT_NS);
}

static int wait_result(struct world *w)
{
    return fm_result_wait(w->result, WAIT_NS);
}

static int wait_result_get(struct world *w)
{
    return fm_result_get(w->result, WAIT_NS);
}

static int wait_process_join(struct world *w)
{
    return fm_process_join(w->process, WAIT_NS);
}

/* One that believes in the wall clock, up to a second: it must be found. */
static int wait_by_wall_clock(struct world *w)
{
    struct timespec t;
    (void)w;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t until_ns = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec + WAIT_NS;
    for (int64_t end_ns = fmi_deadline_after(FM_SECONDS(1)); fmi_now_ns() < end_ns;) {
        clock_gettime(CLOCK_REALTIME, &t);
        if ((int64_t)t.tv_sec * 1000000000 + t.tv_nsec >= until_ns)
            break;
        usleep(1000);
    }
    return -ETIMEDOUT;
}

/* ---- the tests ---------------------------------------------------------------------------------------- */

struct trial {
    const char *name;
    int (*wait)(struct world *);
    void (*prepare)(struct world *);
    int64_t jump_s;
    _Atomic int64_t *late_ns; /* shared */
    _Atomic int *is_held;
};

static void run_trial(void *arg)
{
    struct trial *t = arg;
    struct world w = {.is_held = t->is_held};
    forbid_wall_clock();
    if (t->prepare != NULL)
        t->prepare(&w);
    jump_s = t->jump_s;
    int64_t begin_ns = fmi_now_ns();
    jump_at_ns = begin_ns + WAIT_NS / 2;
    int rc = t->wait(&w);
    int64_t late_ns = fmi_now_ns() - begin_ns - WAIT_NS;
    atomic_store(t->late_ns, late_ns);
    if (rc != -ETIMEDOUT)
        fprintf(stderr, "%s: %s: %s\n", t->name, fm_errname(rc), fm_error_detail());
    _exit(rc != -ETIMEDOUT ? WRONG_CODE : late_ns < 0 ? EARLY : late_ns > LATE_NS ? LATE : 0);
}

/* Its wait status. */
static int try(const char *name, int (*wait)(struct world *), void (*prepare)(struct world *),
               int64_t seconds)
{
    char *shared = t_shared(4096);
    struct trial t = {name, wait, prepare, seconds, (void *)shared, (void *)(shared + 64)};
    int status = t_in_child(run_trial, &t);
    if (t_exit_code(status) == NO_FILTER) {
        munmap(shared, 4096);
        t_skip("filters of system calls (seccomp)");
    }
    if (t_signal(status) == SIGSYS)
        print_error("%s: the kernel was given a deadline of the wall clock\n", name);
    print_message("%s, %+d h: %.2f ms late\n", name, (int)(seconds / 3600),
                  (double)atomic_load(t.late_ns) / 1e6);
    munmap(shared, 4096);
    return status;
}

struct wait {
    const char *name;
    int (*wait)(struct world *);
};

static void try_all(const struct wait *waits, size_t n, void (*prepare)(struct world *))
{
    for (size_t i = 0; i < n; i++)
        for (int64_t seconds = -3600; seconds <= 3600; seconds += 7200) {
            int status = try(waits[i].name, waits[i].wait, prepare, seconds);
            assert_int_equal(t_signal(status), 0);
            assert_int_equal(t_exit_code(status), 0);
        }
}

static void test_wall_clock_jumps_move_no_wait_for_a_lock_or_its_like(void **state)
{
    static const struct wait waits[] = {
        {"lock", wait_lock},           {"rlock", wait_rlock},     {"rwlock, read", wait_read},
        {"rwlock, write", wait_write}, {"sem", wait_sem},         {"event", wait_event},
        {"cond", wait_cond},           {"barrier", wait_barrier},
    };
    (void)state;
    try_all(waits, T_N_OF(waits), prepare_objects);
}

static void test_wall_clock_jumps_move_no_wait_for_messages(void **state)
{
    static const struct wait waits[] = {
        {"queue put", wait_put},          {"queue get", wait_get},  {"queue join", wait_queue_join},
        {"pipe recv", wait_recv},         {"pipe poll", wait_poll}, {"pipe send", wait_send},
        {"fm_wait, pipe", wait_for_conn},
    };
    (void)state;
    try_all(waits, T_N_OF(waits), prepare_messages);
}

static void test_wall_clock_jumps_move_no_wait_for_results_or_processes(void **state)
{
    static const struct wait waits[] = {
        {"result wait", wait_result},           {"result get", wait_result_get},
        {"process join", wait_process_join},    {"fm_wait, result", wait_for_result},
        {"fm_wait, process", wait_for_process},
    };
    (void)state;
    try_all(waits, T_N_OF(waits), prepare_processes);
}

/* ---- whether these tests can fail --------------------------------------------------------------------- */

static void test_wall_clock_jumps_are_seen_by_who_looks_at_it(void **state)
{
    struct timespec before, after;
    struct timeval day;
    (void)state;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &before), 0);
    jump_s = 3600;
    jump_at_ns = 0;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &after), 0);
    assert_int_equal(gettimeofday(&day, NULL), 0);
    int64_t seconds = time(NULL);
    jump_at_ns = INT64_MAX;
    assert_in_range(after.tv_sec - before.tv_sec, 3600, 3660);
    assert_in_range(day.tv_sec - before.tv_sec, 3600, 3660);
    assert_in_range(seconds - before.tv_sec, 3600, 3660);
    assert_int_equal(t_exit_code(try("by wall clock", wait_by_wall_clock, NULL, 3600)), EARLY);
    assert_int_equal(t_exit_code(try("by wall clock", wait_by_wall_clock, NULL, -3600)), LATE);
}

static struct timespec in_the_past = {1, 0};
static uint32_t word;

static void futex_on_wall_clock(void *arg)
{
    (void)arg;
    forbid_wall_clock();
    syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &in_the_past, NULL,
            FUTEX_BITSET_MATCH_ANY);
}

static void lock_pi(void *arg)
{
    (void)arg;
    forbid_wall_clock();
    syscall(SYS_futex, &word, FUTEX_LOCK_PI, 0, &in_the_past, NULL, 0);
}

static void waitv_on_wall_clock(void *arg)
{
    (void)arg;
    forbid_wall_clock();
    syscall(SYS_futex_waitv, NULL, 0, 0, &in_the_past, CLOCK_REALTIME);
}

static void sleep_by_wall_clock(void *arg)
{
    (void)arg;
    forbid_wall_clock();
    clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &in_the_past, NULL);
}

static void timerfd_of_wall_clock(void *arg)
{
    (void)arg;
    forbid_wall_clock();
    timerfd_create(CLOCK_REALTIME, 0);
}

static void timer_of_wall_clock(void *arg)
{
    timer_t timer;
    (void)arg;
    forbid_wall_clock();
    timer_create(CLOCK_REALTIME, NULL, &timer);
}

/* And what may be done: sleeps by the monotonic clock, and for so long. */
static void wait_otherwise(void *arg)
{
    struct timespec soon = {0, 1000};
    (void)arg;
    forbid_wall_clock();
    syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &in_the_past, NULL, FUTEX_BITSET_MATCH_ANY);
    syscall(SYS_futex_waitv, NULL, 0, 0, &in_the_past, CLOCK_MONOTONIC);
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &in_the_past, NULL);
    clock_nanosleep(CLOCK_REALTIME, 0, &soon, NULL);
    close(timerfd_create(CLOCK_MONOTONIC, 0));
}

static void test_wall_clock_in_the_kernel_is_the_end_of_who_waits_by_it(void **state)
{
    static void (*const forbidden[])(void *) = {
        futex_on_wall_clock,   lock_pi,
        waitv_on_wall_clock,   sleep_by_wall_clock,
        timerfd_of_wall_clock, timer_of_wall_clock,
    };
    (void)state;
    int status = t_in_child(wait_otherwise, NULL);
    if (t_exit_code(status) == NO_FILTER)
        t_skip("filters of system calls (seccomp)");
    assert_int_equal(t_exit_code(status), 0);
    for (size_t i = 0; i < T_N_OF(forbidden); i++)
        assert_int_equal(t_signal(t_in_child(forbidden[i], NULL)), SIGSYS);
}

T_MAIN(T_TEST(test_wall_clock_jumps_move_no_wait_for_a_lock_or_its_like),
       T_TEST(test_wall_clock_jumps_move_no_wait_for_messages),
       T_TEST(test_wall_clock_jumps_move_no_wait_for_results_or_processes),
       T_TEST(test_wall_clock_jumps_are_seen_by_who_looks_at_it),
       T_TEST(test_wall_clock_in_the_kernel_is_the_end_of_who_waits_by_it))
