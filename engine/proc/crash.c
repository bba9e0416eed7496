/* SPDX-License-Identifier: MIT */
/* The crash handler: notes signal, address, "stack overflow" and "out of memory", then lets the signal kill. */
#include "crash.h"

#include <errno.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    BELOW_BYTES = 4096,
    ABOVE_BYTES = 1 << 20
}; /* of the stack pointer: a call, an array's beginning */

static struct fmi_fault_shm *reported; /* private to the process, as all here */
static uint32_t reported_starts;
static const char *guard_begin, *guard_end;
static int expects_want;

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

/*
 * An allocator that gets no memory sets errno, and returns NULL; whoever does not look crashes on that, or aborts (as C++ does). errno was 0
 * when the function was called (fmi_runner_enter).
 */
static int lacks_memory(void)
{
    return expects_want && errno == ENOMEM;
}

static const char *stack_pointer(const void *context)
{
#if defined(__x86_64__)
    const ucontext_t *c = context;
    return (const char *)(uintptr_t)c->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    const ucontext_t *c = context;
    return (const char *)(uintptr_t)c->uc_mcontext.sp;
#else
    (void)context;
    return guard_end; /* not known */
#endif
}

/*
 * In the guard; or an automatic array has taken the stack pointer beyond it, and the fault is where that points to. Other threads have other
 * stacks: theirs may lie anywhere.
 */
static int is_past_stack(const char *address, const char *sp)
{
    if (address >= guard_begin && address < guard_end)
        return 1;
    return sp < guard_begin && address - sp >= -BELOW_BYTES && address - sp < ABOVE_BYTES &&
           gettid() == getpid();
}

/* Async-signal-safe: plain stores and raise(). The handler is gone when it runs (SA_RESETHAND). */
static void report(int number, siginfo_t *info, void *context)
{
    const char *address = number == SIGABRT || number == SIGTRAP ? NULL : info->si_addr;
    if (info->si_code <= 0)
        address = NULL; /* sent by someone, not raised by an instruction */
    uint32_t is_overflow = address != NULL && is_past_stack(address, stack_pointer(context));
    *reported = (struct fmi_fault_shm){
        .starts = reported_starts,
        .signal = number,
        .address = (uintptr_t)address,
        .stack_overflow = is_overflow,
        .out_of_memory = !is_overflow && (number == SIGSEGV || number == SIGABRT) && lacks_memory(),
    };
    raise(number);
}

void fmi_crash_set_guard(const void *begin, const void *end)
{
    guard_begin = begin;
    guard_end = end;
}

void fmi_crash_expect_want(void)
{
    expects_want = 1;
}

/* As Fortran's runtime does when an allocate statement fails. */
void fmi_crash_note_exit(void)
{
    if (lacks_memory())
        *reported = (struct fmi_fault_shm){.starts = reported_starts, .out_of_memory = 1};
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
