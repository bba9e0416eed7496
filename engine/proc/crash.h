/* SPDX-License-Identifier: MIT */
#ifndef FMI_CRASH_H
#define FMI_CRASH_H

/* Reports of fatal signals, by the process that they end: it writes what it knows into shared memory, and dies of the signal. */

#include <stdint.h>

struct fmi_fault_shm {
    uint32_t starts; /* of the process that wrote it */
    int32_t signal;
    uint64_t address;
    uint32_t stack_overflow;
    uint32_t pad;
};

enum { FMI_CRASH_STACK_BYTES = 64 << 10 };

/* From now on fatal signals are noted in `fault`, as of process number `starts`, on a stack of their own: so many bytes at `stack`. */
void fmi_crash_report_to(struct fmi_fault_shm *fault, uint32_t starts, void *stack);
/* The addresses whose fault means "stack overflow". */
void fmi_crash_set_guard(const void *begin, const void *end);

#endif
