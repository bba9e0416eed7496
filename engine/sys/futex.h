/* SPDX-License-Identifier: MIT */
#ifndef FMI_FUTEX_H
#define FMI_FUTEX_H

/*
 * Futexes on shared memory: the only file that sleeps on memory or wakes sleepers. Never PRIVATE: the waker is
 * another process. Deadlines are CLOCK_MONOTONIC [ns]; FMI_NEVER waits without one.
 */

#include <stdatomic.h>
#include <stdint.h>

/* Sleeps while *word == value. 0: woken, or the value differs; -ETIMEDOUT; -EINTR. */
int fmi_sys_futex_wait(const _Atomic uint32_t *word, uint32_t value, int64_t deadline_ns);

/*
 * Sleeps while *word == value and *life == life_value. `life` is a word that the kernel changes when its owner
 * dies (fmi_sys_life_begin). 0, -ETIMEDOUT or -EINTR. Kernels without futex_waitv (before 5.16) wait in slices of
 * 10 ms on `word` alone.
 */
int fmi_sys_futex_wait_alive(const _Atomic uint32_t *word, uint32_t value,
                             const _Atomic uint32_t *life, uint32_t life_value,
                             int64_t deadline_ns);

void fmi_sys_futex_wake_all(_Atomic uint32_t *word);
int fmi_sys_futex_wake(_Atomic uint32_t *word, int n); /* at most n; returns how many */

/*
 * Makes `*life` tell of this process's end: it holds the thread's id until the kernel, at its death however it
 * comes, sets FMI_LIFE_OVER in it and wakes a sleeper. Single-threaded processes only, once each; `entry` is shared memory
 * that lies next to `life` (see struct fmi_life_shm). Returns 0 or -errno.
 */
#define FMI_LIFE_OVER  0x40000000u /* FUTEX_OWNER_DIED */
#define FMI_LIFE_ENDED 0xc0000000u /* what the kernel leaves: that, and FUTEX_WAITERS */

struct fmi_life_shm {
    void *next, *unused;   /* the kernel's robust list: its own process only */
    _Atomic uint32_t word; /* 0: not begun; else thread id and flags */
    uint32_t pad;
};
int fmi_sys_life_begin(struct fmi_life_shm *life);

#endif
