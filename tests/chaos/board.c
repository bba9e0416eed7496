/* SPDX-License-Identifier: MIT */
/* Counters and findings of a run; see board.h. */
#include "board.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

enum { MOST_TOLD = 20 };

const char *chaos_finding_name(int finding)
{
    static const char *const names[CHAOS_FINDINGS] = {"hangs",   "wrong",   "errors", "stalls",
                                                      "crashes", "orphans", "names",  "memfds"};
    return names[finding];
}

const char *chaos_phase_name(unsigned phase)
{
    static const char *const names[] = {"nothing", "its start",      "fm_pool_open",
                                        "a map",   "close and join", "fm_pool_destroy",
                                        "its end"};
    return names[phase < sizeof names / sizeof names[0] ? phase : 0];
}

struct chaos_board *chaos_board_new(void)
{
    void *p = mmap(NULL, sizeof(struct chaos_board), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static uint64_t add_up(const _Atomic uint64_t *counters, int n)
{
    uint64_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += atomic_load(&counters[i]);
    return sum;
}

uint64_t chaos_board_kills(struct chaos_board *board)
{
    return add_up(board->n_kills, CHAOS_KINDS);
}

uint64_t chaos_board_maps(struct chaos_board *board)
{
    return add_up(board->n_maps, CHAOS_WORKS);
}

uint64_t chaos_board_found(struct chaos_board *board)
{
    return add_up(board->n_found, CHAOS_FINDINGS);
}

void chaos_board_enter(struct chaos_board *board, unsigned phase)
{
    atomic_store(&board->phase, phase);
    atomic_store(&board->since_ns, chaos_now_ns());
}

void chaos_find(struct chaos_board *board, int finding, const char *format, ...)
{
    char text[512];
    va_list values;
    atomic_fetch_add(&board->n_found[finding], 1);
    if (chaos_board_found(board) > MOST_TOLD)
        return;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    fprintf(stderr, "chaos: FOUND %s: host %llu, pool %d: %s\n", chaos_finding_name(finding),
            (unsigned long long)atomic_load(&board->host), atomic_load(&board->pool), text);
}

void chaos_raise_to(_Atomic int64_t *most, int64_t value)
{
    int64_t seen = atomic_load(most);
    while (value > seen && !atomic_compare_exchange_weak(most, &seen, value))
        ;
}

int64_t chaos_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void chaos_sleep_us(int64_t us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&t, NULL);
}
