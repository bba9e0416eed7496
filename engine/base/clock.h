/* SPDX-License-Identifier: MIT */
#ifndef FMI_CLOCK_H
#define FMI_CLOCK_H

/*
 * Time. Everything that waits uses the monotonic clock in nanoseconds; everything that is timed in
 * passing uses ticks (the processor's counter), which cost 10 ns and no call.
 */

#include <forkmap/status.h>
#include <time.h>

#define FMI_NEVER   INT64_MAX /* the deadline of FM_FOREVER */
#define FMI_AT_ONCE 0 /* a deadline that is over, as all is to know without asking for the time */

static inline int64_t fmi_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The deadline [ns] of a timeout [ns] that begins now; saturates at FMI_NEVER. */
static inline int64_t fmi_deadline_after(int64_t timeout)
{
    int64_t deadline;
    if (timeout < 0 || __builtin_add_overflow(fmi_now_ns(), timeout, &deadline))
        return FMI_NEVER;
    return deadline;
}

/* The same, but FMI_AT_ONCE for FM_NOWAIT. */
static inline int64_t fmi_deadline_of(int64_t timeout)
{
    return timeout == FM_NOWAIT ? FMI_AT_ONCE : fmi_deadline_after(timeout);
}

static inline uint64_t fmi_ticks(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t ticks;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
#else
    return (uint64_t)fmi_now_ns();
#endif
}

static inline void fmi_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Ticks per nanosecond, measured once per process family against the monotonic clock (200 us). */
double fmi_ticks_per_ns(void);

static inline uint64_t fmi_ticks_of_ns(int64_t ns)
{
    return (uint64_t)((double)ns * fmi_ticks_per_ns());
}

#endif
