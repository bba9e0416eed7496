/* SPDX-License-Identifier: MIT */
#ifndef FMI_CRASH_H
#define FMI_CRASH_H

/*
 * Reports of fatal signals, by the process that they end: it writes what it knows into shared memory, and dies of the signal.
 *
 *   the process dies of the signal          it leaves
 *   before the report                       no report of this start
 *   while frames are collected              signal and address, and the frames so far
 *
 * A crash in the handler, and a second that it has not done in, end it by the signal that it began with. Other threads that crash meanwhile wait for that.
 */

#include "trace.h"

struct fmi_fault_shm {
    uint32_t starts; /* of the process that wrote it */
    int32_t signal;
    uint64_t address;
    uint32_t stack_overflow;
    uint32_t
        out_of_memory; /* its memory is limited, and the last thing that failed in this thread was for want of it */
    _Atomic uint32_t n_frames; /* raised after each */
    uint32_t pad;
    uint64_t frames[FM_MAX_FRAMES];
};
static_assert(offsetof(struct fmi_fault_shm, frames) == 32, "fault: layout");
static_assert(sizeof(struct fmi_fault_shm) == 128, "fault: layout");

enum { FMI_CRASH_STACK_BYTES = 64 << 10 };

/*
 * From now on fatal signals are noted in `fault`, as of process number `starts`, on a stack of their own: so many bytes at `stack`. Frames are numbered by
 * `places`, FMI_TRACE_MODULES of them; NULL: there are none.
 */
void fmi_crash_report_to(struct fmi_fault_shm *fault, uint32_t starts,
                         struct fmi_trace_place_shm *places, void *stack);
/* The same, but only where to, and as which process. */
void fmi_crash_report_as(struct fmi_fault_shm *fault, uint32_t starts);
/* The addresses whose fault means "stack overflow". */
void fmi_crash_set_guard(const void *begin, const void *end);

/* The memory of this process is limited: what it dies of may be an allocation that failed. Then: it exits, and is not to be asked any more. */
void fmi_crash_expect_want(void);
void fmi_crash_note_exit(void);

#endif
