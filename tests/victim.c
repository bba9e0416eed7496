/* SPDX-License-Identifier: MIT */
/* Helpers of the crash tests; see victim.h. */
#include "victim.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct t_random t_random_begin(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const char *given = getenv("T_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)now.tv_nsec;
    printf("T_SEED=%llu\n", (unsigned long long)seed);
    return (struct t_random){seed * 2 + 1};
}

/* xorshift64* (Vigna 2016) */
uint64_t t_random_below(struct t_random *random, uint64_t n)
{
    random->state ^= random->state >> 12;
    random->state ^= random->state << 25;
    random->state ^= random->state >> 27;
    return (random->state * 0x2545f4914f6cdd1dull >> 16) % n;
}

void t_sleep_us(int64_t us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&t, NULL);
}

void t_kill_a_worker(fm_pool *pool, struct t_random *random)
{
    fm_worker_info info;
    int n = fm_pool_workers(pool);
    if (n > 0 && fm_pool_worker(pool, (int)t_random_below(random, (uint64_t)n), &info) == 0 &&
        info.pid > 0)
        kill(info.pid, SIGKILL);
}

struct t_victim *t_victim_new(void)
{
    void *p = mmap(NULL, sizeof(struct t_victim), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return p;
}

static int square(const void *item, void *result, void *arg)
{
    int64_t x = *(const int64_t *)item;
    (void)arg;
    *(int64_t *)result = x * x;
    return 0;
}

static int is_right(const fm_array *out)
{
    const int64_t *values = fm_array_data(out);
    for (int64_t i = 0; i < fm_array_len(out); i++)
        if (values[i] != i * i)
            return 0;
    return 1;
}

static void publish_pids(struct t_victim *victim, fm_pool *pool)
{
    atomic_store(&victim->warden, fm_pool_warden_pid(pool));
    for (int rank = 0; rank < fm_pool_workers(pool); rank++) {
        fm_worker_info info;
        if (fm_pool_worker(pool, rank, &info) == 0)
            atomic_store(&victim->workers[rank], info.pid);
    }
}

_Noreturn void t_victim_host(struct t_victim *victim, int n_workers)
{
    fm_pool *pool;
    fm_array *out;
    int64_t n = 20000;
    atomic_store(&victim->host, getpid());
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = n_workers)) != 0 ||
        fm_array_zeros(&out, FM_I64, 1, &n) != 0)
        _exit(4);
    publish_pids(victim, pool);
    for (;;) {
        atomic_store(&victim->is_mapping, 1);
        if (fm_pool_map_range(pool, square, 0, n, out, NULL) != 0)
            _exit(3);
        if (!is_right(out))
            _exit(2);
    }
}
