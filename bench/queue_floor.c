/* SPDX-License-Identifier: MIT */
/*
 * What this machine takes at least, in the very minute of the run, as engines of the queue benchmark. No queue at all:
 *
 *   line    two processes, bound to a core each, that spin on cache lines with plain loads and stores. A trip: a counter goes there in one line
 *           and back in another. A message of 8 bytes: a line of its own among 1,024, which the writer fills with a number and the reader empties.
 *   futex   two processes that sleep and wake each other by bare futex calls, bound or not, as the engines beside it.
 *
 * The cores of a virtual machine may be near each other in one minute and far in the next: a figure in ns is to be read beside these.
 */
#include "queue.h"

#include "args.h"
#include "bench_clock.h"
#include "engine.h"
#include "facts.h"

#include <forkmap/forkmap.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N_LINES = 1024, WARM_TRIPS = 100 };

struct line {
    alignas(64) _Atomic uint32_t word;
};

struct shared {
    struct line ready; /* the other process is there */
    struct line there, back;
    struct line ring[N_LINES]; /* 0: empty */
};

struct floor {
    struct shared *shared;
    int cpus[2]; /* -1: not bound */
    fm_place places[2];
    cpu_set_t all;
    int sleeps;
};

static void bind_both(struct floor *f, int are_bound)
{
    for (int i = 0; i < 2; i++)
        f->cpus[i] = are_bound ? f->places[i].cpu : -1;
    sched_setaffinity(0, sizeof f->all, &f->all);
    bench_pin(f->cpus[0]);
}

/* Until the word is `value`. */
static void await(const struct floor *f, _Atomic uint32_t *word, uint32_t value)
{
    uint32_t seen;
    /* acquire: pairs with pass */
    while ((seen = atomic_load_explicit(word, memory_order_acquire)) != value)
        if (f->sleeps)
            syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void pass(const struct floor *f, _Atomic uint32_t *word, uint32_t value)
{
    atomic_store_explicit(word, value, memory_order_release); /* pairs with await */
    if (f->sleeps)
        syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* ---- the other process ---- */

static void answer_trips(const struct floor *f, uint32_t n)
{
    for (uint32_t i = 1; i <= n; i++) {
        await(f, &f->shared->there.word, i);
        pass(f, &f->shared->back.word, i);
    }
}

static void empty_ring(const struct floor *f, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        _Atomic uint32_t *word = &f->shared->ring[i % N_LINES].word;
        await(f, word, i + 1);
        pass(f, word, 0);
    }
}

static pid_t start_other(struct floor *f, void (*body)(const struct floor *, uint32_t), uint32_t n)
{
    memset(f->shared, 0, sizeof *f->shared);
    pid_t pid = fork();
    if (pid == 0) {
        bench_pin(f->cpus[1]);
        atomic_store(&f->shared->ready.word, 1);
        body(f, n);
        _exit(0);
    }
    while (pid > 0 && atomic_load(&f->shared->ready.word) == 0)
        usleep(100);
    return pid;
}

/* `ns`, or < 0 if the other process did not end as it should. */
static int64_t end_other(pid_t pid, int64_t ns)
{
    int status;
    return waitpid(pid, &status, 0) == pid && status == 0 ? ns : -EPROTO;
}

/* ---- this one ---- */

static int64_t time_trips(struct floor *f, uint32_t n, int64_t gap_ns)
{
    int64_t ns = 0, begin_ns = 0;
    pid_t pid = start_other(f, answer_trips, n + WARM_TRIPS);
    if (pid < 0)
        return -errno;
    for (uint32_t i = 1; i <= n + WARM_TRIPS; i++) {
        if (gap_ns > 0)
            bench_sleep_ns(gap_ns);
        if (gap_ns > 0 || i == WARM_TRIPS + 1)
            begin_ns = bench_now_ns();
        pass(f, &f->shared->there.word, i);
        await(f, &f->shared->back.word, i);
        if ((gap_ns > 0 && i > WARM_TRIPS) || i == n + WARM_TRIPS)
            ns += bench_now_ns() - begin_ns;
    }
    return end_other(pid, ns);
}

static int64_t time_run(struct floor *f, uint32_t n)
{
    pid_t pid = start_other(f, empty_ring, n);
    if (pid < 0)
        return -errno;
    int64_t begin_ns = bench_now_ns();
    for (uint32_t i = 0; i < n; i++) {
        _Atomic uint32_t *word = &f->shared->ring[i % N_LINES].word;
        await(f, word, 0);
        pass(f, word, i + 1);
    }
    await(f, &f->shared->ring[(n - 1) % N_LINES].word, 0);
    return end_other(pid, bench_now_ns() - begin_ns);
}

static int answer_command(void *self, const char *command, char answer[BENCH_LINE])
{
    struct floor *f = self;
    uint32_t n;
    int64_t gap_ns, ns;
    int are_bound;
    if (sscanf(command, "run 1 1 8 %" SCNu32, &n) == 1 && n > 0 && !f->sleeps) {
        bind_both(f, 1);
        ns = time_run(f, n);
    } else if (sscanf(command, "trip 8 %" SCNu32 " %" SCNd64 " %d", &n, &gap_ns, &are_bound) == 3 &&
               n > 0) {
        bind_both(f, are_bound);
        ns = time_trips(f, n, gap_ns);
    } else {
        return -EINVAL;
    }
    if (ns < 0)
        snprintf(answer, BENCH_LINE, "error %s", fm_errname((int)ns));
    else
        snprintf(answer, BENCH_LINE, "%.3f", (double)ns / n);
    return ns < 0 ? (int)ns : 0;
}

int bench_queue_floor(const char *kind)
{
    struct floor f = {.cpus = {-1, -1}, .sleeps = strcmp(kind, "futex") == 0};
    f.shared =
        mmap(NULL, sizeof *f.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (f.shared == MAP_FAILED || sched_getaffinity(0, sizeof f.all, &f.all) != 0)
        return 1;
    if (fm_places(f.places, 2, FM_PIN_CORE, NULL) < 2)
        return bench_engine_missing("there is one core only");
    return bench_engine_serve(answer_command, &f);
}
