/* SPDX-License-Identifier: MIT */
/* The engine processes of the lock benchmark: the same turns in the same processes; only what keeps the others out differs. */
#include "lock.h"

#include "bench_clock.h"
#include "bound_pool.h"
#include "engine.h"
#include "facts.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_PROCESSES 2

struct shared { /* by the processes of a sample */
    _Atomic int n_ready, n_done;
    alignas(64) _Atomic int64_t sum;
    alignas(64) pthread_mutex_t mutex;
    alignas(64) sem_t sem;
    alignas(64) int64_t count; /* beside what keeps the others out, as a user's would be */
};

struct session {
    struct shared *shared;
    fm_lock *lock;
    fm_value *value;
    int64_t *count; /* what the turns add to */
    int cpus[MAX_PROCESSES];
    int (*turn)(struct session *s, int64_t n);
};

/* ---- turns: 0 or an error ---- */

static int turn_forkmap(struct session *s, int64_t n)
{
    int code = 0;
    for (int64_t i = 0; i < n; i++) {
        code |= fm_lock_acquire(s->lock, FM_FOREVER);
        ++*s->count;
        code |= fm_lock_release(s->lock);
    }
    return code;
}

static int turn_forkmap_add(struct session *s, int64_t n)
{
    const int64_t one = 1;
    int code = 0;
    for (int64_t i = 0; i < n; i++)
        code |= fm_value_add(s->value, &one, NULL);
    return code;
}

static int turn_mutex(struct session *s, int64_t n)
{
    int code = 0;
    for (int64_t i = 0; i < n; i++) {
        code |= pthread_mutex_lock(&s->shared->mutex);
        ++*s->count;
        code |= pthread_mutex_unlock(&s->shared->mutex);
    }
    return code;
}

static int turn_sem(struct session *s, int64_t n)
{
    int code = 0;
    for (int64_t i = 0; i < n; i++) {
        code |= sem_wait(&s->shared->sem);
        ++*s->count;
        code |= sem_post(&s->shared->sem);
    }
    return code;
}

static int turn_c11_add(struct session *s, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        atomic_fetch_add(&s->shared->sum, 1);
    return 0;
}

/* ---- a sample ---- */

/* In its own process; the first one is the engine's. */
static int take_part(struct session *s, int rank, int n_processes, int64_t n)
{
    bench_pin(s->cpus[rank]);
    atomic_fetch_add(&s->shared->n_ready, 1);
    while (atomic_load(&s->shared->n_ready) < n_processes)
        ;
    const int code = s->turn(s, n);
    atomic_fetch_add(&s->shared->n_done, 1);
    return code;
}

static int64_t total(const struct session *s)
{
    if (s->turn == turn_c11_add)
        return atomic_load(&s->shared->sum);
    int64_t sum = *s->count;
    if (s->turn == turn_forkmap_add && fm_value_get(s->value, &sum) != 0)
        return -1;
    return sum;
}

/* From the last one's readiness to the last one's end [ns], or < 0. */
static int64_t time_turns(struct session *s, int n_processes, int64_t n)
{
    pid_t pids[MAX_PROCESSES] = {0};
    const int64_t before = total(s);
    int code = 0;
    atomic_store(&s->shared->n_ready, 0);
    atomic_store(&s->shared->n_done, 0);
    for (int i = 1; i < n_processes; i++) {
        pids[i] = fork();
        if (pids[i] < 0)
            return -errno;
        if (pids[i] == 0)
            _exit(take_part(s, i, n_processes, n) != 0);
    }
    bench_pin(s->cpus[0]);
    while (atomic_load(&s->shared->n_ready) < n_processes - 1)
        ;
    const int64_t begin_ns = bench_now_ns();
    code = take_part(s, 0, n_processes, n);
    while (atomic_load(&s->shared->n_done) < n_processes)
        ;
    const int64_t ns = bench_now_ns() - begin_ns;
    for (int i = 1; i < n_processes; i++) {
        int status = 0;
        waitpid(pids[i], &status, 0);
        code = code == 0 && status != 0 ? -EPROTO : code;
    }
    return code != 0 ? -EPROTO : total(s) - before == n * n_processes ? ns : -EPROTO;
}

static int answer_run(void *self, const char *command, char answer[BENCH_LINE])
{
    struct session *s = self;
    int n_processes;
    int64_t n;
    if (sscanf(command, "run %d %" SCNd64, &n_processes, &n) != 2 || n < 1 || n_processes < 1 ||
        n_processes > MAX_PROCESSES)
        return -EINVAL;
    const int64_t ns = time_turns(s, n_processes, n);
    if (ns < 0)
        snprintf(answer, BENCH_LINE, "error %s: turns are missing", fm_errname((int)ns));
    else
        snprintf(answer, BENCH_LINE, "%.4f", (double)ns / (double)n / n_processes);
    return ns < 0 ? (int)ns : 0;
}

/* ---- start ---- */

static void init_mutex(pthread_mutex_t *mutex, int is_robust)
{
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    if (is_robust)
        pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(mutex, &kind);
    pthread_mutexattr_destroy(&kind);
}

static int open_forkmap(struct session *s)
{
    const int64_t zero = 0, one = 1;
    fm_array *count;
    int code = fm_lock_create(&s->lock);
    if (code == 0)
        code = fm_value_create(&s->value, FM_I64, &zero, FM_RAW);
    if (code == 0)
        code = fm_array_zeros(&count, FM_I64, 1, &one);
    if (code == 0)
        s->count = fm_array_data(count);
    return code;
}

static int open_engine(struct session *s, const char *kind)
{
    fm_place places[MAX_PROCESSES];
    int n = fm_places(places, MAX_PROCESSES, FM_PIN_CORE, NULL);
    for (int i = 0; i < MAX_PROCESSES && n > 0; i++)
        s->cpus[i] = places[i % n].cpu;
    s->shared =
        mmap(NULL, sizeof(*s->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (n < 0 || s->shared == MAP_FAILED)
        return n < 0 ? n : -ENOMEM;
    s->count = &s->shared->count;
    sem_init(&s->shared->sem, 1, 1);
    init_mutex(&s->shared->mutex, strcmp(kind, "mutex-robust") == 0);
    s->turn = strcmp(kind, "forkmap") == 0       ? turn_forkmap
              : strcmp(kind, "forkmap-add") == 0 ? turn_forkmap_add
              : strcmp(kind, "sem_t") == 0       ? turn_sem
              : strcmp(kind, "C11-add") == 0     ? turn_c11_add
                                                 : turn_mutex;
    return strncmp(kind, "forkmap", 7) == 0 ? open_forkmap(s) : 0;
}

int bench_lock_engine(const char *kind, char *const args[])
{
    struct session s = {.shared = NULL};
    (void)args;
    int code = open_engine(&s, kind);
    if (code != 0)
        return bench_engine_fail(kind, code);
    return bench_engine_serve(answer_run, &s);
}
