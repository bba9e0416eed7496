/* SPDX-License-Identifier: MIT */
/* The engine processes of the recover benchmark: forkmap, and what no engine does faster on this machine. */
#include "recover.h"

#include "bench_clock.h"
#include "bound_pool.h"
#include "engine.h"
#include "spin_kernel.h"

#include <forkmap/queue.h>
#include <forkmap/sync.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    N_ITEMS = BENCH_RECOVER_ITEMS,
    LONG_BYTES = 16 << 20,
    INSIDE_US = 300,
    VICTIM = N_ITEMS / 2
};

struct shared { /* by the processes of a sample */
    _Atomic int is_armed;
    _Atomic int64_t died_ns, replaced_ns, rerun_ns; /* 0: not yet */
    _Atomic int n_failed;                           /* calls that did not do what they should */
    int n_turns, n_told;                            /* under the lock */
};
static struct shared *shared;
static char long_message[LONG_BYTES]; /* private memory, as a user's would be */

struct session {
    fm_pool *pool;
    fm_lock *lock;
    fm_queue *queue, *empty;
    fm_array *expected, *out;
};

struct work { /* goes along with each map */
    char what[8];
    uint32_t steps;
    struct session s;
};

/* ---- the function ---- */

static _Noreturn void die(void)
{
    atomic_store(&shared->died_ns, bench_now_ns());
    raise(SIGKILL);
    abort();
}

static void die_inside(int number)
{
    (void)number;
    die();
}

/* In the midst of the call that follows. */
static void die_soon(void)
{
    signal(SIGALRM, die_inside);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {.tv_usec = INSIDE_US}}, NULL);
}

static int take_turn(const struct session *s, int is_victim)
{
    int code = fm_lock_acquire(s->lock, FM_SECONDS(5));
    if (is_victim)
        die();
    if (code != 0 && code != FM_EOWNERDEAD)
        return code;
    shared->n_turns++;
    shared->n_told += code == FM_EOWNERDEAD;
    return fm_lock_release(s->lock);
}

static int put(const struct session *s, int is_victim)
{
    if (is_victim)
        die_soon();
    return is_victim ? fm_queue_put(s->queue, long_message, LONG_BYTES, FM_SECONDS(5))
                     : fm_queue_put(s->queue, "message", 8, FM_SECONDS(5));
}

static int get(const struct session *s, int is_victim)
{
    char message[8];
    size_t bytes;
    if (is_victim)
        die_soon();
    return fm_queue_get(is_victim ? s->empty : s->queue, message, sizeof(message), &bytes,
                        FM_SECONDS(5));
}

static int work_item(const void *item, void *result, void *arg)
{
    const struct work *w = arg;
    const int64_t i = *(const int64_t *)item;
    const int is_victim = i == VICTIM && atomic_exchange(&shared->is_armed, 0);
    uint64_t x = 0;
    int code = 0;
    if (i == VICTIM && !is_victim && atomic_load(&shared->died_ns) != 0)
        atomic_store(&shared->rerun_ns, bench_now_ns());
    bench_kernel(0, 1, &(struct bench_kernel_ctx){&w->steps, &x, 1});
    if (strcmp(w->what, "lock") == 0)
        code = take_turn(&w->s, is_victim);
    else if (strcmp(w->what, "put") == 0)
        code = put(&w->s, is_victim);
    else if (strcmp(w->what, "get") == 0)
        code = get(&w->s, is_victim);
    else if (is_victim)
        die();
    if (code != 0 || is_victim) /* a victim that has come as far has not been killed inside */
        atomic_fetch_add(&shared->n_failed, 1);
    *(uint64_t *)result = x + (uint64_t)i;
    return 0;
}

/* The first instruction of a replacement that is the user's. */
static int note_replacement(int rank, void *arg)
{
    (void)rank, (void)arg;
    if (atomic_load(&shared->died_ns) != 0)
        atomic_store(&shared->replaced_ns, bench_now_ns());
    return 0;
}

/* ---- forkmap ---- */

/* As many messages as will be got. */
static int fill_queue(const struct work *w)
{
    int code = 0;
    for (int64_t i = 0; code == 0 && strcmp(w->what, "get") == 0 && i < N_ITEMS; i++)
        code = fm_queue_put(w->s.queue, "message", 8, FM_NOWAIT);
    return code;
}

/* 1 if the queue has all messages that were put, whole, and no other. */
static int has_messages(const struct work *w)
{
    char message[8];
    size_t bytes;
    int64_t n_got = 0;
    while (fm_queue_get(w->s.queue, message, sizeof(message), &bytes, FM_NOWAIT) == 0)
        n_got += bytes == 8 && strcmp(message, "message") == 0;
    return n_got == (strcmp(w->what, "put") == 0 ? N_ITEMS : 0);
}

static int has_turns(const struct work *w, int is_armed)
{
    return strcmp(w->what, "lock") != 0 ||
           (shared->n_turns == N_ITEMS && shared->n_told == is_armed);
}

static int is_complete(const struct work *w)
{
    const void *results = fm_array_data(w->s.out), *expected = fm_array_data(w->s.expected);
    return has_messages(w) && has_turns(w, 1) && atomic_load(&shared->died_ns) != 0 &&
           atomic_load(&shared->n_failed) == 0 &&
           memcmp(results, expected, N_ITEMS * sizeof(uint64_t)) == 0;
}

/* One map. Returns its time [ns], or < 0. */
static int64_t time_map(struct work *w, fm_array *out, int is_armed)
{
    memset(shared, 0, sizeof(*shared));
    int code = fill_queue(w);
    atomic_store(&shared->is_armed, is_armed);
    const int64_t begin_ns = bench_now_ns();
    if (code == 0)
        code = fm_pool_map_range(w->s.pool, work_item, 0, N_ITEMS, out,
                                 FM_MAP_OPTS(.arg = w, .arg_bytes = sizeof(*w)));
    return code == 0 ? bench_now_ns() - begin_ns : code;
}

/* From the death of a child of this process, which is as large as a worker, to the moment at which this is told. */
static int64_t time_told(void)
{
    const pid_t pid = fork();
    if (pid == 0)
        die();
    return pid > 0 && waitpid(pid, NULL, 0) == pid ? bench_now_ns() - atomic_load(&shared->died_ns)
                                                   : -1;
}

static int answer_forkmap(void *self, const char *command, char answer[BENCH_LINE])
{
    struct work w = {.s = *(struct session *)self};
    if (sscanf(command, "die %7s %" SCNu32, w.what, &w.steps) != 2)
        return -EINVAL;
    const int64_t undisturbed_ns = time_map(&w, w.s.expected, 0);
    if (undisturbed_ns < 0 || !has_messages(&w) || !has_turns(&w, 0)) {
        snprintf(answer, BENCH_LINE, "error a map without a death: %.100s", fm_error_detail());
        return -EPROTO;
    }
    const int64_t ns = time_map(&w, w.s.out, 1), died_ns = atomic_load(&shared->died_ns);
    if (ns < 0) {
        snprintf(answer, BENCH_LINE, "error %s: %.100s", fm_errname((int)ns), fm_error_detail());
        return (int)ns;
    }
    const int64_t replaced_ns = atomic_load(&shared->replaced_ns) - died_ns;
    const int64_t rerun_ns = atomic_load(&shared->rerun_ns) - died_ns;
    const int complete = is_complete(&w);
    snprintf(answer, BENCH_LINE, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %d",
             replaced_ns, rerun_ns, ns, undisturbed_ns, time_told(), complete);
    return 0;
}

static int open_session(struct session *s, int workers)
{
    const int64_t shape[] = {N_ITEMS};
    int code = fm_lock_create(&s->lock);
    if (code == 0)
        code = fm_queue_create(&s->queue, NULL);
    if (code == 0)
        code = fm_queue_create(&s->empty, NULL);
    if (code == 0)
        code = fm_array_create(&s->expected, FM_U64, 1, shape, NULL);
    if (code == 0)
        code = fm_array_create(&s->out, FM_U64, 1, shape, NULL);
    if (code == 0)
        code = fm_pool_open(&s->pool,
                            FM_POOL_OPTS(.workers = workers, .initializer = note_replacement));
    return code;
}

/* ---- the least that a death costs here ---- */

static pid_t fork_noting(_Atomic int64_t *ns)
{
    const pid_t pid = fork();
    if (pid == 0) {
        atomic_store(ns, bench_now_ns());
        _exit(0);
    }
    return pid;
}

static int answer_bare(void *self, const char *command, char answer[BENCH_LINE])
{
    int status;
    (void)self, (void)command;
    memset(shared, 0, sizeof(*shared));
    pid_t pid = fork();
    if (pid == 0) {
        bench_sleep_ns(1000000); /* its parent sleeps by then */
        die();
    }
    waitpid(pid, &status, 0);
    pid = fork_noting(&shared->replaced_ns);
    waitpid(pid, &status, 0);
    const int64_t begin_ns = bench_now_ns();
    pid = fork_noting(&shared->rerun_ns);
    waitpid(pid, &status, 0);
    if (pid < 0 || shared->died_ns == 0 || shared->replaced_ns == 0)
        return -EAGAIN;
    snprintf(answer, BENCH_LINE, "%" PRId64 " %" PRId64, shared->replaced_ns - shared->died_ns,
             bench_now_ns() - begin_ns);
    return 0;
}

int bench_recover_engine(const char *kind, char *const args[])
{
    struct session s = {.pool = NULL};
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || args[0] == NULL)
        return 1;
    if (strcmp(kind, "bare") == 0)
        return bench_engine_serve(answer_bare, NULL);
    int code = open_session(&s, atoi(args[0]));
    if (code != 0)
        return bench_engine_fail(kind, code);
    code = bench_engine_serve(answer_forkmap, &s);
    fm_pool_destroy(s.pool);
    fm_queue_destroy(s.queue);
    fm_queue_destroy(s.empty);
    fm_lock_destroy(s.lock);
    return code;
}
