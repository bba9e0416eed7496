/* SPDX-License-Identifier: MIT */
/* The crash handler: notes signal, address and "stack overflow", then lets the signal kill. */
#include "crash.h"

#include <signal.h>

static struct fmi_fault_shm *reported; /* private to the process, as all here */
static uint32_t reported_starts;
static const char *guard_begin, *guard_end;

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

/* Async-signal-safe: plain stores and raise(). The handler is gone when it runs (SA_RESETHAND). */
static void report(int number, siginfo_t *info, void *context)
{
    (void)context;
    const char *address = number == SIGABRT || number == SIGTRAP ? NULL : info->si_addr;
    if (info->si_code <= 0)
        address = NULL; /* sent by someone, not raised by an instruction */
    *reported = (struct fmi_fault_shm){
        .starts = reported_starts,
        .signal = number,
        .address = (uintptr_t)address,
        .stack_overflow = address != NULL && address >= guard_begin && address < guard_end,
    };
    raise(number);
}

void fmi_crash_set_guard(const void *begin, const void *end)
{
    guard_begin = begin;
    guard_end = end;
}

void fmi_crash_report_to(struct fmi_fault_shm *fault, uint32_t starts, void *stack)
{
    reported = fault;
    reported_starts = starts;
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = FMI_CRASH_STACK_BYTES}, NULL);
    struct sigaction action = {.sa_sigaction = report,
                               .sa_flags =
                                   (int)(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND | SA_NODEFER)};
    for (size_t i = 0; i < sizeof fatal_signals / sizeof fatal_signals[0]; i++)
        sigaction(fatal_signals[i], &action, NULL);
}
