/* SPDX-License-Identifier: MIT */
/* Traps; see stage.h. */
#include "stage.h"

#include "fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLACE(trap) ((int)((trap) >> 8))
#define KIND(trap)  ((int)((trap)&255) - 1)

enum { EXIT_CODE = 3, SHORT_US = 10, AT_POINT = 0 };

void chaos_trap_set(struct chaos_stage *stage, const struct chaos_kill_plan *plan)
{
    atomic_store(&stage->taker, 0);
    atomic_store(&stage->passages, plan->passages);
    atomic_store(&stage->point, plan->point);
    atomic_store(&stage->trap, (uint32_t)plan->place << 8 | (uint32_t)(plan->kind + 1));
}

int chaos_trap_is_set(struct chaos_stage *stage)
{
    return atomic_load(&stage->trap) != 0;
}

int chaos_trap_end(struct chaos_stage *stage)
{
    if (atomic_exchange(&stage->trap, 0) != 0)
        return 0;
    while (atomic_load(&stage->taker) == 0) /* it took it, and is about to say who it is */
        usleep(SHORT_US);
    return atomic_load(&stage->taker);
}

void chaos_trap_let_go(struct chaos_stage *stage)
{
    atomic_store(&stage->taker, 0);
    atomic_store(&stage->held, 0);
}

static int take(struct chaos_stage *stage, uint32_t trap)
{
    int is_stop = KIND(trap) == CHAOS_STOP_CONT || KIND(trap) == CHAOS_STOP_KILL;
    if (atomic_load(&stage->host) == getpid() ||
        !atomic_compare_exchange_strong(&stage->trap, &trap, 0))
        return 0;
    atomic_store(&stage->held, is_stop ? getpid() : 0);
    atomic_store(&stage->taker, getpid());
    /* The killer stops it now. By the time that it goes on another may be held. */
    while (is_stop && atomic_load(&stage->held) == getpid())
        usleep(SHORT_US);
    return !is_stop;
}

void chaos_crash(void)
{
    volatile uintptr_t nowhere = 8;
    *(volatile int *)nowhere = 1;
}

static void spring(int kind)
{
    if (kind == CHAOS_SEGV)
        chaos_crash();
    if (kind == CHAOS_EXIT)
        exit(
            EXIT_CODE); /* NOLINT(concurrency-mt-unsafe): in the middle of a function, on purpose */
    if (kind == CHAOS_ABORT)
        abort();
    kill(getpid(), SIGKILL);
}

void chaos_trap_pass(struct chaos_stage *stage, int place)
{
    /* relaxed: the exchange decides */
    uint32_t trap = atomic_load_explicit(&stage->trap, memory_order_relaxed);
    if (trap == 0 || PLACE(trap) != place)
        return;
    if (take(stage, trap))
        spring(KIND(trap));
}

#ifdef FORKMAP_FAULTS
static struct chaos_stage *entered; /* private to the worker */

static int is_awaited(const char *name)
{
    const char *awaited = chaos_point_name(atomic_load(&entered->point));
    return awaited == NULL || strcmp(awaited, name) == 0;
}

static void pass_point(const char *name)
{
    uint32_t trap = atomic_load_explicit(&entered->trap, memory_order_relaxed);
    if (trap == 0 || PLACE(trap) != AT_POINT || !is_awaited(name) ||
        atomic_fetch_sub(&entered->passages, 1) > 1)
        return;
    if (take(entered, trap))
        spring(CHAOS_AT_POINT);
}

int chaos_has_points(void)
{
    return 1;
}

int chaos_stage_enter(int rank, void *stage)
{
    (void)rank;
    entered = stage;
    fmi_fault_hook(pass_point);
    return 0;
}
#else
int chaos_has_points(void)
{
    return 0;
}

int chaos_stage_enter(int rank, void *stage)
{
    (void)rank;
    (void)stage;
    return 0;
}
#endif
