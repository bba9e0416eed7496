/* SPDX-License-Identifier: MIT */
/* Futex calls, and the robust list entry through which the kernel announces a death; see futex.h. */
#include "futex.h"

#include "clock.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

enum { SLICE_NS = 10000000 };

/* struct futex_waitv of Linux 5.16, which older headers lack. */
struct wait_entry {
    uint64_t value;
    uint64_t address;
    uint32_t flags;
    uint32_t reserved;
};
enum { WAIT_32_BITS = 2 };

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

int fmi_sys_futex_wait(const _Atomic uint32_t *word, uint32_t value, int64_t deadline_ns)
{
    struct timespec until = timespec_of(deadline_ns);
    const struct timespec *limit = deadline_ns == FMI_NEVER ? NULL : &until;
    /* WAIT_BITSET: its timeout is absolute and monotonic. */
    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, limit, NULL, FUTEX_BITSET_MATCH_ANY) ==
            0 ||
        errno == EAGAIN)
        return 0;
    return -errno;
}

static int wait_in_slices(const _Atomic uint32_t *word, uint32_t value, int64_t deadline_ns)
{
    int64_t slice_end = fmi_deadline_after(SLICE_NS);
    int rc = fmi_sys_futex_wait(word, value, slice_end < deadline_ns ? slice_end : deadline_ns);
    return rc == -ETIMEDOUT && slice_end < deadline_ns ? 0 : rc; /* the caller looks again */
}

int fmi_sys_futex_wait_alive(const _Atomic uint32_t *word, uint32_t value,
                             const _Atomic uint32_t *life, uint32_t life_value, int64_t deadline_ns)
{
    static _Atomic int missing; /* private: whether this kernel lacks futex_waitv */
    if (atomic_load_explicit(&missing, memory_order_relaxed)) /* a hint, asked again at no harm */
        return wait_in_slices(word, value, deadline_ns);
    struct wait_entry entries[2] = {
        {.value = value, .address = (uintptr_t)word, .flags = WAIT_32_BITS},
        {.value = life_value, .address = (uintptr_t)life, .flags = WAIT_32_BITS},
    };
    struct timespec until = timespec_of(deadline_ns);
    const struct timespec *limit = deadline_ns == FMI_NEVER ? NULL : &until;
    if (syscall(SYS_futex_waitv, entries, 2, 0, limit, CLOCK_MONOTONIC) >= 0 || errno == EAGAIN)
        return 0;
    if (errno == EINTR || errno == ETIMEDOUT)
        return -errno;
    if (errno == ENOSYS || errno == EPERM)
        atomic_store_explicit(&missing, 1, memory_order_relaxed);
    return wait_in_slices(word, value, deadline_ns);
}

int fmi_sys_futex_wake(_Atomic uint32_t *word, int n)
{
    return (int)syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
}

void fmi_sys_futex_wake_all(_Atomic uint32_t *word)
{
    fmi_sys_futex_wake(word, INT_MAX);
}

/*
 * The kernel walks the robust list of a dying thread and marks each futex word that still holds its id. The list is
 * this process's own instead of libc's: glibc's mutexes are not used by a process that calls this.
 */
int fmi_sys_life_begin(struct fmi_life_shm *life)
{
    static struct robust_list_head head;
    head.list.next = (void *)life;
    life->next = &head.list;
    head.futex_offset = offsetof(struct fmi_life_shm, word) - offsetof(struct fmi_life_shm, next);
    head.list_op_pending = NULL;
    if (syscall(SYS_set_robust_list, &head, sizeof head) != 0)
        return -errno;
    /* WAITERS: or the kernel would mark the word and wake nobody. */
    atomic_store(&life->word, (uint32_t)syscall(SYS_gettid) | FUTEX_WAITERS);
    return 0;
}
