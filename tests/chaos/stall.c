/* SPDX-License-Identifier: MIT */
/* How long maps take; see stall.h. */
#include "stall.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FACTOR = 20, FEWEST_TIMES = 8 };
#define LEAST_NS 300000000

/* [ns] that it was ready and had no processor; 0: there is no such process, or this kernel does not say. */
static int64_t wait_of(int pid)
{
    char path[64], text[96];
    snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    char *second = strchr(text, ' ');
    return second == NULL ? 0 : strtoll(second, NULL, 10);
}

/* The host's thread, the warden, the workers. */
static int list_pids(fm_pool *pool, int pids[CHAOS_MOST_RANKS + 2])
{
    int n = 0, workers = fm_pool_workers(pool);
    pids[n++] = getpid();
    pids[n++] = fm_pool_warden_pid(pool);
    for (int rank = 0; rank < workers && rank < CHAOS_MOST_RANKS; rank++) {
        fm_worker_info info;
        if (fm_pool_worker(pool, rank, &info) == 0 && info.pid > 0 && info.pid != getpid())
            pids[n++] = info.pid;
    }
    return n;
}

void chaos_stall_begin(struct chaos_stall_clock *clock, fm_pool *pool)
{
    clock->n_pids = list_pids(pool, clock->pids);
    for (int i = 0; i < clock->n_pids; i++)
        clock->waits_ns[i] = wait_of(clock->pids[i]);
    clock->begin_ns = chaos_now_ns();
}

/* Of all of them together, since the map began; a process that is new has waited meanwhile, too. */
static int64_t waited_ns(const struct chaos_stall_clock *clock, fm_pool *pool)
{
    int pids[CHAOS_MOST_RANKS + 2], n = list_pids(pool, pids);
    int64_t sum = 0;
    for (int i = 0; i < n; i++) {
        sum += wait_of(pids[i]);
        for (int k = 0; k < clock->n_pids; k++)
            if (clock->pids[k] == pids[i])
                sum -= clock->waits_ns[k];
    }
    return sum;
}

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t limit_of(const struct chaos_stall_clock *clock, int work)
{
    int64_t sorted[CHAOS_TIMES];
    int n = clock->n_times[work] < CHAOS_TIMES ? clock->n_times[work] : CHAOS_TIMES;
    if (n < FEWEST_TIMES)
        return LEAST_NS;
    memcpy(sorted, clock->times_ns[work], sizeof sorted);
    qsort(sorted, (size_t)n, sizeof sorted[0], compare_times);
    int64_t limit = FACTOR * sorted[n / 2];
    return limit > LEAST_NS ? limit : LEAST_NS;
}

static void note(struct chaos_stall_clock *clock, struct chaos_board *board, int work, int64_t ns)
{
    clock->times_ns[work][clock->n_times[work]++ % CHAOS_TIMES] = ns;
    atomic_fetch_add(&board->n_quiet, 1);
    if (ns > atomic_load(&board->slowest_quiet_ns)) {
        chaos_raise_to(&board->slowest_quiet_ns, ns);
        atomic_store(&board->slowest_quiet_work, (uint32_t)work);
    }
}

void chaos_stall_end(struct chaos_stall_clock *clock, struct chaos_board *board, fm_pool *pool,
                     int work, int64_t calm_ns)
{
    int64_t end = chaos_now_ns(), all = end - clock->begin_ns;
    if (all > atomic_load(&board->slowest_ns)) {
        chaos_raise_to(&board->slowest_ns, all);
        atomic_store(&board->slowest_work, (uint32_t)work);
    }
    if (calm_ns == 0)
        return;
    int64_t quiet = end - (calm_ns > clock->begin_ns ? calm_ns : clock->begin_ns);
    int64_t limit = limit_of(clock, work);
    int64_t waited = quiet > LEAST_NS / 2 ? waited_ns(clock, pool) : 0;
    quiet = waited < quiet ? quiet - waited : 0;
    if (quiet > limit)
        chaos_find(board, CHAOS_STALL,
                   "%s: %.1f ms since the last kill, of which %.1f ms were no wait for a "
                   "processor; more than %.1f ms is a stall",
                   chaos_work_name(work), (double)(quiet + waited) / 1e6, (double)quiet / 1e6,
                   (double)limit / 1e6);
    note(clock, board, work, quiet);
}
