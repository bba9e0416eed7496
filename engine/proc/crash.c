/* SPDX-License-Identifier: MIT */
/* The crash handler: notes signal, address, "stack overflow", "out of memory" and frames, then lets the signal kill. */
#include "crash.h"

#include <errno.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

enum { FRAMES_SECONDS = 1 };
enum {
    BELOW_BYTES = 4096,
    ABOVE_BYTES = 1 << 20
}; /* of the stack pointer: a call, an array's beginning */

static struct fmi_fault_shm *reported; /* private to the process, as all here */
static struct fmi_trace_place_shm *module_places;
static uint32_t reported_starts;
static const char *guard_begin, *guard_end;
static int expects_want;
static _Atomic pid_t reporter; /* thread; 0: none yet */
static _Atomic int reported_signal;

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

static void die_of(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
}

static void give_up_frames(int number)
{
    (void)number;
    die_of(reported_signal);
}

/* The unwinder reads a stack that may be anything: it crashes, which is seen by `reporter`, or does not come back. */
static void limit_time(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = give_up_frames, .sa_flags = SA_ONSTACK},
              NULL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    alarm(FRAMES_SECONDS);
}

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

static void note(int number, const siginfo_t *info, const void *context, int out_of_memory)
{
    const char *address = number == SIGABRT || number == SIGTRAP ? NULL : info->si_addr;
    if (info->si_code <= 0)
        address = NULL; /* sent by someone, not raised by an instruction */
    atomic_store(&reported->n_frames, 0);
    reported->address = (uintptr_t)address;
    reported->stack_overflow = address != NULL && is_past_stack(address, stack_pointer(context));
    reported->out_of_memory =
        !reported->stack_overflow && (number == SIGSEGV || number == SIGABRT) && out_of_memory;
    reported->signal = number;
    reported->starts = reported_starts;
}

/* Async-signal-safe: stores, the unwinder, raise(). The handler of this signal is gone when it runs (SA_RESETHAND). */
static void report(int number, siginfo_t *info, void *context)
{
    const int out_of_memory = lacks_memory(); /* errno, as the function left it */
    pid_t nobody = 0, self = gettid();
    if (!atomic_compare_exchange_strong(&reporter, &nobody, self)) {
        if (nobody == self)
            die_of(reported_signal); /* a crash in here */
        for (;;)
            pause(); /* the process ends with the thread that was first */
    }
    reported_signal = number;
    note(number, info, context, out_of_memory);
    if (module_places != NULL) {
        limit_time();
        fmi_trace_collect(module_places, context, reported->frames, &reported->n_frames);
    }
    die_of(number);
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

void fmi_crash_report_as(struct fmi_fault_shm *fault, uint32_t starts)
{
    reported = fault;
    reported_starts = starts;
}

void fmi_crash_report_to(struct fmi_fault_shm *fault, uint32_t starts,
                         struct fmi_trace_place_shm *places, void *stack)
{
    fmi_crash_report_as(fault, starts);
    module_places = places;
    reporter = 0;
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = FMI_CRASH_STACK_BYTES}, NULL);
    struct sigaction action = {.sa_sigaction = report,
                               .sa_flags =
                                   (int)(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND | SA_NODEFER)};
    for (size_t i = 0; i < sizeof fatal_signals / sizeof fatal_signals[0]; i++)
        sigaction(fatal_signals[i], &action, NULL);
}
