/* SPDX-License-Identifier: MIT */
#ifndef FMI_CRASH_H
#define FMI_CRASH_H

/* Reports of fatal signals, by the process that they end: it writes what it knows into shared memory, and dies of the signal. */

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

struct fmi_fault_shm {
    uint32_t starts; /* of the process that wrote it */
    int32_t signal;
    uint64_t address;
    uint32_t stack_overflow;
    uint32_t
        out_of_memory; /* its memory is limited, and the last thing that failed in this thread was for want of it */
};
static_assert(sizeof(struct fmi_fault_shm) == 24, "fault: layout");

enum { FMI_CRASH_STACK_BYTES = 64 << 10 };

/* From now on fatal signals are noted in `fault`, as of process number `starts`, on a stack of their own: so many bytes at `stack`. */
void fmi_crash_report_to(struct fmi_fault_shm *fault, uint32_t starts, void *stack);
/* The addresses whose fault means "stack overflow". */
void fmi_crash_set_guard(const void *begin, const void *end);

/* The memory of this process is limited: what it dies of may be an allocation that failed. Then: it exits, and is not to be asked any more. */
void fmi_crash_expect_want(void);
void fmi_crash_note_exit(void);

#endif
