/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 300 */
/*
 * Every system call of an operation fails in turn, in whichever process makes it: the host, the warden, a worker, the server, the keeper. Each time the operation
 * ends in time, with its right result or with a code; no process and no descriptor is left; and the same operation works once the call does.
 *
 * A sweep goes over the kinds of calls, and for each over its calls in their order. FORKMAP_SWEEP=full does all of them with each of the six errors, and
 * from there on, too; else it is each with the error that fits it best, and the others for some of the calls. FORKMAP_SWEEP=futex does one kind of calls only.
 */
#include "t_inject.h"
#include "t_process.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

#if defined(__SANITIZE_ADDRESS__)
enum { LIMIT_S = 50, SANITIZED = 1 };
#else
enum { LIMIT_S = 14, SANITIZED = 0 };
#endif

/* ---- calls ------------------------------------------------------------------------------------- */

/* To wake never fails. */
static int is_wait(const struct seccomp_data *call)
{
    uint64_t command = call->args[1] & (uint64_t)FUTEX_CMD_MASK;
    return command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET;
}

/* Flags of a call that a signal can interrupt; that the sanitizer makes, too, and cannot do without; that libc aborts without; of which there are many that are alike. */
enum { SLEEPS = 1, OF_SANITIZER = 2, OF_LIBC = 4, MANY = 8 };

struct call {
    const char *name;
    int number;
    int flags;
    int best; /* error */
};

#define CALL(name, flags, best)                                                                    \
    {                                                                                              \
#name, SYS_##name, flags, best                                                             \
    }
static const struct call calls[] = {
    CALL(memfd_create, 0, EMFILE),
    CALL(ftruncate, 0, ENOSPC),
    CALL(fallocate, SLEEPS, ENOSPC),
    CALL(mmap, OF_SANITIZER | MANY, ENOMEM),
    CALL(mprotect, OF_SANITIZER, ENOMEM),
    CALL(madvise, OF_SANITIZER, ENOMEM),
    CALL(munmap, OF_SANITIZER | MANY, ENOMEM),
    CALL(fork, 0, EAGAIN),
    CALL(vfork, 0, EAGAIN),
    CALL(clone, 0, EAGAIN),
    CALL(clone3, 0, ENOSYS),
    CALL(execve, 0, ENOMEM),
    CALL(set_robust_list, 0, ENOSYS),
    CALL(prctl, OF_SANITIZER, ENOSYS),
    CALL(sigaltstack, OF_SANITIZER, ENOMEM),
    CALL(prlimit64, OF_SANITIZER, ENOSYS),
    CALL(sched_getaffinity, OF_SANITIZER, ENOSYS),
    CALL(sched_setaffinity, 0, ENOSYS),
    CALL(getrandom, SLEEPS, ENOSYS),
    CALL(pidfd_open, 0, EMFILE),
    CALL(pidfd_send_signal, 0, ENOSYS),
    CALL(kill, 0, EAGAIN),
    CALL(eventfd2, 0, EMFILE),
    CALL(signalfd4, 0, EMFILE),
    CALL(socketpair, 0, EMFILE),
    CALL(shutdown, 0, ENOMEM),
    CALL(sendmsg, SLEEPS, ENOMEM),
    CALL(recvmsg, SLEEPS, ENOMEM),
    CALL(poll, SLEEPS, EINTR),
    CALL(ppoll, SLEEPS, EINTR),
    CALL(openat, OF_SANITIZER | MANY, EMFILE),
    CALL(newfstatat, OF_SANITIZER | MANY, ENOMEM),
    CALL(readlink, OF_SANITIZER, ENOMEM),
    CALL(access, OF_SANITIZER, ENOMEM),
    CALL(dup2, 0, EMFILE),
    CALL(fcntl, MANY, EMFILE),
    CALL(fchdir, 0, ENOMEM),
    CALL(read, SLEEPS | MANY | OF_SANITIZER, EINTR),
    CALL(pread64, SLEEPS | MANY | OF_SANITIZER, EINTR),
    CALL(write, SLEEPS, EINTR),
    CALL(pwrite64, SLEEPS, EINTR),
    CALL(waitid, SLEEPS, EINTR),
    CALL(wait4, SLEEPS, EINTR),
    CALL(futex, SLEEPS | OF_LIBC, EINTR),
    CALL(futex_waitv, SLEEPS, ENOSYS),
    CALL(clock_nanosleep, SLEEPS, EINTR),
};

static const int all_errors[] = {EAGAIN, ENOMEM, EMFILE, ENOSPC, EINTR, ENOSYS};

/* ---- operations -------------------------------------------------------------------------------- */

enum { N_ITEMS = 64 };

static int twice(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = 2 * *(const int64_t *)item;
    return 0;
}

/* FM_ECORRUPT: a wrong result, which no operation here has a reason to give. */
static int map_and_check(fm_pool *pool, fm_array *out)
{
    int64_t *data = fm_array_data(out);
    memset(data, 0, N_ITEMS * sizeof *data);
    int rc = fm_pool_map_range(pool, twice, 0, N_ITEMS, out, NULL);
    for (int64_t i = 0; rc == 0 && i < N_ITEMS; i++)
        if (data[i] != 2 * i)
            rc = FM_ECORRUPT;
    return rc;
}

static fm_array *results; /* of the host; made before calls fail */

static int open_pool(void)
{
    fm_pool *pool;
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2));
    if (rc != 0)
        return pool == NULL ? rc : FM_ECORRUPT;
    rc = map_and_check(pool, results);
    return fm_pool_destroy(pool) == 0 ? rc : FM_ECORRUPT;
}

static int use_heap(void)
{
    fm_array *a;
    int rc = fm_array_zeros(&a, FM_F64, 1, T_SHAPE(1000));
    if (rc != 0)
        return a == NULL ? rc : FM_ECORRUPT;
    ((double *)fm_array_data(a))[999] = 1;
    fm_array_destroy(a);
    return 0;
}

static int start_server(void)
{
    return fm_forkserver_start(NULL);
}

static int add_up(void *arg)
{
    return *(int *)arg + 2;
}

/* A signal ends it: as the header says, whoever does not want that joins again. */
static int join_whatever_comes(fm_process *p)
{
    int rc = -EINTR;
    for (int i = 0; rc == -EINTR && i < 1000; i++)
        rc = fm_process_join(p, FM_SECONDS(LIMIT_S));
    return rc;
}

static int run_process(void)
{
    int one = 40, code = 0;
    fm_process *p;
    int rc = fm_process_create(&p, add_up, &one, sizeof one, NULL);
    if (rc != 0)
        return p == NULL ? rc : FM_ECORRUPT;
    rc = fm_process_start(p);
    int has_started = rc == 0;
    if (has_started)
        rc = join_whatever_comes(p);
    if (rc == 0)
        rc = fm_process_exitcode(p, &code);
    if (rc == 0 && code != 42)
        rc = code == 0 ? FM_ECORRUPT : FM_EBROKEN; /* it ended otherwise: the call was its own */
    return fm_process_close(p) == 0 ? rc : FM_ECORRUPT;
}

struct operation {
    const char *name;
    int (*act)(void);
    int makes_heap;
    int method; /* 0: does not matter */
};

/* ---- one run ----------------------------------------------------------------------------------- */

enum { DONE = 0, LEAVES_PROCESSES = 20, LEAVES_FDS = 21, STAYS_BROKEN = 22, IS_WRONG = 23 };

/* Exit codes of a host say what is wrong with it, and `said` how the operation ended. */
static void check_nothing_left(int n_fds, int n_more, const char *when)
{
    (void)fm_forkserver_stop();
    int n = t_inject_n_fds();
    if (!t_inject_is_alone()) {
        t_inject_say("%s: a process is left", when);
        _exit(LEAVES_PROCESSES);
    }
    if (n < n_fds || n > n_fds + n_more) {
        t_inject_say("%s: %d descriptors instead of %d", when, n, n_fds);
        _exit(LEAVES_FDS);
    }
}

static void host(void *arg)
{
    const struct operation *o = arg;
    if (getenv("FORKMAP_SWEEP_LOUD") == NULL && freopen("/dev/null", "w", stderr) == NULL)
        _exit(STAYS_BROKEN);
    if (!o->makes_heap)
        t_must(fm_array_zeros(&results, FM_I64, 1, T_SHAPE(N_ITEMS)));
    int n_fds = t_inject_n_fds();
    t_inject_arm();
    int rc = o->act();
    t_inject_disarm();
    char told[T_SAID_BYTES];
    snprintf(told, sizeof told, "%s: %s", fm_errname(rc), rc == 0 ? "" : fm_error_detail());
    check_nothing_left(n_fds, o->makes_heap, told); /* the heap's own stays with it */
    int again = o->act();
    if (again != 0) {
        t_inject_say("%s; and then %s: %s", told, fm_errname(again), fm_error_detail());
        _exit(STAYS_BROKEN);
    }
    check_nothing_left(n_fds, o->makes_heap, "the second time");
    t_inject_say("%s", told);
    if (rc == FM_ECORRUPT || rc > 0 || fm_errname(rc)[0] == '?')
        _exit(IS_WRONG);
    _exit(DONE);
}

struct sweep {
    const struct operation *operation;
    int is_full;
    int n_runs, n_failed, n_errors, n_fallbacks, n_wrong;
    int64_t slowest_ns;
};

/* After a signal. The loader of an executed program does not, where it reads libraries. */
static int must_go_on(const struct operation *o, const struct call *call)
{
    return (call->flags & SLEEPS) != 0 && (o->method != FM_SPAWN || (call->flags & MANY) == 0);
}

/* 1: the call came, and failed. */
static int run(struct sweep *s, const struct call *call, int error, int nth, int n,
               struct t_injected *out)
{
    struct t_inject what = {.call = call->number,
                            .error = error,
                            .nth = nth,
                            .n = n,
                            .applies = call->number == SYS_futex ? is_wait : NULL};
    t_inject(host, (void *)s->operation, &what, LIMIT_S, out);
    int is_error = strncmp(out->said, "OK", 2) != 0;
    int is_bad = out->status != 0 || out->is_late || out->is_left ||
                 (is_error && error == EINTR && n == 1 && must_go_on(s->operation, call));
    s->n_runs++;
    s->n_failed += out->n_failed > 0;
    s->n_errors += out->n_failed > 0 && is_error;
    s->n_fallbacks += out->n_failed > 0 && !is_error;
    s->n_wrong += is_bad;
    if (out->took_ns > s->slowest_ns)
        s->slowest_ns = out->took_ns;
    if (is_bad || getenv("FORKMAP_SWEEP_LOUD") != NULL)
        print_error("%s: %s %d%s in %s: %s%s%s, exit code %d, signal %d, %.2f s: %s\n",
                    s->operation->name, call->name, nth, n > 1 ? " and later" : "", out->victim,
                    strerrorname_np(error), out->is_late ? ", hangs" : "",
                    out->is_left ? ", leaves a process" : "", t_exit_code(out->status),
                    t_signal(out->status), (double)out->took_ns * 1e-9, out->said);
    return out->n_failed > 0;
}

/* In turn, until there is no such call any more, or `most` of them, evenly. */
static int sweep_error(struct sweep *s, const struct call *call, int error, int most, int n)
{
    struct t_injected out;
    if (!run(s, call, error, 1, n, &out))
        return 0;
    int n_calls = out.n_seen, step = n_calls <= most ? 1 : (n_calls + most - 1) / most;
    for (int nth = 1 + step; s->is_full || nth <= n_calls; nth += step)
        if (!run(s, call, error, nth, n, &out))
            break;
    return n_calls;
}

static int most_of(const struct sweep *s, const struct call *call)
{
    if (s->is_full)
        return INT_MAX;
    return s->operation->method == FM_SPAWN || s->operation->method == FM_FORKSERVER ? 4
           : (call->flags & MANY) != 0                                               ? 6
                                                                                     : 16;
}

static void sweep_call(struct sweep *s, const struct call *call)
{
    struct t_injected out;
    int n_calls = sweep_error(s, call, call->best, most_of(s, call), 1);
    for (int i = 0; n_calls > 0 && i < (int)T_N_OF(all_errors); i++) {
        int error = all_errors[i];
        if (error == call->best || ((call->flags & OF_LIBC) != 0 && error != EAGAIN))
            continue;
        if (s->is_full)
            (void)sweep_error(s, call, error, INT_MAX, 1);
        else if ((i + call->number) % 8 == 0)
            run(s, call, error, 1 + (i + call->number) % n_calls, 1, &out);
    }
    if (s->is_full && call->best != EINTR)
        (void)sweep_error(s, call, call->best, INT_MAX, INT_MAX);
}

static void sweep(const struct operation *operation)
{
    const char *wanted = getenv("FORKMAP_SWEEP");
    struct sweep s = {.operation = operation,
                      .is_full = wanted != NULL && strcmp(wanted, "full") == 0};
    const char *only = s.is_full ? getenv("FORKMAP_SWEEP_ONLY") : wanted;
    if (t_inject_lacks() != NULL)
        t_skip(t_inject_lacks());
    (void)fm_cpu_count(); /* here: thousands of files, of which another library does without any */
    for (size_t i = 0; i < T_N_OF(calls); i++) {
        if (only != NULL && strcmp(only, calls[i].name) != 0)
            continue;
        if (SANITIZED && (calls[i].flags & OF_SANITIZER) != 0)
            continue;
        sweep_call(&s, &calls[i]);
    }
    print_message("%s: %d runs, in %d of them a call failed: %d errors, %d did without it; "
                  "the slowest took %.2f s\n",
                  operation->name, s.n_runs, s.n_failed, s.n_errors, s.n_fallbacks,
                  (double)s.slowest_ns * 1e-9);
    assert_int_equal(s.n_wrong, 0);
    assert_true(s.n_failed > 0 || only != NULL);
}

static void test_sweep_pool_opens_maps_and_ends_or_says_why_not(void **state)
{
    sweep(&(const struct operation){"a pool", open_pool, 0, t_method(state)});
}

static void test_sweep_process_runs_or_says_why_not(void **state)
{
    sweep(&(const struct operation){"a process", run_process, 0, t_method(state)});
}

static void test_sweep_heap_is_made_or_not(void **state)
{
    (void)state;
    sweep(&(const struct operation){"the heap", use_heap, 1, 0});
}

static void test_sweep_server_starts_or_says_why_not(void **state)
{
    (void)state;
    sweep(&(const struct operation){"the server", start_server, 0, 0});
}

T_MAIN(T_EACH_METHOD(test_sweep_pool_opens_maps_and_ends_or_says_why_not),
       T_EACH_METHOD(test_sweep_process_runs_or_says_why_not),
       T_TEST(test_sweep_heap_is_made_or_not), T_TEST(test_sweep_server_starts_or_says_why_not))
