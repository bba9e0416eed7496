/* SPDX-License-Identifier: MIT */
/* First steps before the user's code; see usercode.h. And the hooks of fm_after_fork(). */
#include "usercode.h"

#include "error.h"
#include "forklock.h"
#include "forksafe.h"
#include "launch.h"
#include "memory.h"
#include "message.h"
#include "process.h"
#include "topo.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#define LARGE_GUARD_BYTES ((size_t)4 << 30)
#define SMALL_GUARD_BYTES ((size_t)1 << 20)
enum { DEFAULT_STACK_BYTES = 8 << 20, MIN_STACK_BYTES = 64 << 10 };

static struct fmi_usercode own; /* private to the process, as all here */

/* ---- hooks ----------------------------------------------------------------------------------- */

struct hook {
    struct hook *next;
    void (*function)(void *arg);
    void *arg;
};
static struct hook *_Atomic hooks; /* the latest first */
static struct fmi_forklock adding = FMI_FORKLOCK;

int fm_after_fork(void (*function)(void *arg), void *arg)
{
    if (function == NULL)
        return fmi_error(-EINVAL, "the hook is NULL");
    struct hook *hook = malloc(sizeof *hook);
    if (hook == NULL)
        return -ENOMEM;
    fmi_forklock_acquire(&adding);
    *hook = (struct hook){.next = atomic_load(&hooks), .function = function, .arg = arg};
    atomic_store(&hooks, hook); /* a child that is forked meanwhile has it, or has it not */
    fmi_forklock_release(&adding);
    return 0;
}

static void run_hooks(const struct hook *hook)
{
    if (hook == NULL)
        return;
    run_hooks(hook->next);
    hook->function(hook->arg);
}

/* ---- the stack ------------------------------------------------------------------------------- */

static size_t choose_stack_bytes(size_t bytes)
{
    struct rlimit limit;
    size_t page = fmi_sys_page_bytes();
    if (bytes == 0 && getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        bytes = limit.rlim_cur;
    if (bytes == 0)
        bytes = DEFAULT_STACK_BYTES;
    if (bytes < MIN_STACK_BYTES)
        bytes = MIN_STACK_BYTES;
    return (bytes + page - 1) / page * page;
}

/*
 * A large automatic array is first touched at its far end: a small guard is jumped over, and what lies beyond is overwritten. So it is as large as
 * such arrays may be; that costs addresses, which are short only where they are limited.
 */
static size_t choose_guard_bytes(void)
{
    struct rlimit limit;
    int is_limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return is_limited ? SMALL_GUARD_BYTES : LARGE_GUARD_BYTES;
}

/* One mapping: the crash handler's stack, the guard, the stack. */
static int make_stacks(char **stack, size_t *bytes)
{
    void *block;
    size_t guard_bytes = choose_guard_bytes();
    *bytes = choose_stack_bytes(own.stack_bytes);
    int rc = fmi_sys_map_nothing(&block, FMI_CRASH_STACK_BYTES + guard_bytes + *bytes);
    if (rc != 0)
        rc = fmi_sys_map_nothing(&block, FMI_CRASH_STACK_BYTES + (guard_bytes = SMALL_GUARD_BYTES) +
                                             *bytes);
    if (rc != 0)
        return rc;
    char *guard = (char *)block + FMI_CRASH_STACK_BYTES;
    *stack = guard + guard_bytes;
    rc = fmi_sys_unprotect(block, FMI_CRASH_STACK_BYTES);
    if (rc == 0)
        rc = fmi_sys_unprotect(*stack, *bytes);
    if (rc != 0)
        return rc;
    fmi_crash_set_guard(guard, *stack);
    fmi_crash_report_to(own.fault, own.starts, own.places, block);
    return 0;
}

/* As exit(0): without its main thread the process would live on with those that the function has made, and do nothing. */
static void leave_with_thread(void *code)
{
    const struct fmi_usercode *of_thread = code;
    of_thread->at_exit(0);
    _exit(0);
}

/* pthread_exit() runs the destructors of a thread's keys, and does not come back to the function's caller. */
static void guard_main_thread(void)
{
    pthread_key_t key;
    if (pthread_key_create(&key, leave_with_thread) == 0)
        pthread_setspecific(key, &own);
}

/* A core can be taken away at any time (a cpuset that shrinks): then it runs where it may. */
static void pin_to(int cpu)
{
    int rc = cpu < 0 ? 0 : fmi_sys_topo_bind(cpu);
    int is_news = rc != 0 && (own.unpinned == NULL || atomic_exchange(own.unpinned, 1) == 0);
    if (is_news)
        fmi_log(FM_LOG_WARNING, "%s runs unpinned: cpu %d: %s", own.name, cpu, fm_strerror(rc));
}

static void take_name_and_core(void)
{
    fmi_sys_set_name(own.name);
    fmi_log_set_name(own.name);
    pin_to(own.cpu);
}

/* On the own stack, from here to the end. */
static void begin(void)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
    sigset_t none;
    sigemptyset(&none);
    fmi_sys_restore_signals(&none);
    guard_main_thread();
    if (own.await != NULL) {
        own.await(&own);
        take_name_and_core();
        fmi_crash_report_as(own.fault, own.starts);
    }
    own.become();
    run_hooks(atomic_load(&hooks));
    own.live();
    _exit(1);
}

/* ---- the stack that was left, the host's by fork --------------------------------------------- */

static struct {
    const char *low, *high; /* its frames: from that of fmi_usercode_run upwards */
} left_stack;

/* glibc has what it knows of a thread at the top of that thread's stack; but that of the main thread elsewhere, below it. */
static void note_left_stack(void)
{
    const char *frame = __builtin_frame_address(0);
    const char *thread = (const char *)pthread_self(); /* NOLINT(performance-no-int-to-ptr) */
    const char *arguments = (const char *)getauxval(AT_RANDOM); /* NOLINT: above all frames */
    left_stack.low = frame;
    left_stack.high = thread > frame ? thread : arguments;
}

void fmi_usercode_end_second_host(void)
{
    const char *frame = __builtin_frame_address(0);
    if (left_stack.low == NULL || frame < left_stack.low || frame >= left_stack.high)
        return;
    fmi_log(FM_LOG_ERROR, "a function has jumped to a frame of the host: this copy of it ends");
    abort();
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* LIFO: runs before the host's atexit handlers, which belong to the host. */
static void leave_at_exit(int status, void *arg)
{
    (void)arg;
    fmi_crash_note_exit();
    own.at_exit(status);
    _exit(status);
}

/* Its stacks are mapped by then. */
static void limit_memory(void)
{
    int rc = own.memory_limit == 0 ? 0 : fmi_sys_limit_private(own.memory_limit);
    if (rc != 0)
        fmi_log(FM_LOG_WARNING, "the memory of %s is not limited: %s", own.name, fm_strerror(rc));
    if (own.memory_limit > 0)
        fmi_crash_expect_want();
}

static void set_up(void)
{
    fmi_sys_die_with_parent(own.parent); /* which has reset the signals */
    on_exit(leave_at_exit, NULL);
    take_name_and_core();
    fmi_inner_threads(own.inner_threads);
}

_Noreturn void fmi_usercode_run(const struct fmi_usercode *code)
{
    static ucontext_t context; /* makecontext refers to it for ever */
    char *stack;
    size_t bytes;
    own = *code;
    note_left_stack();
    set_up();
    int rc = make_stacks(&stack, &bytes);
    if (rc != 0) {
        fmi_log(FM_LOG_ERROR, "no memory for a stack of %zu KiB", bytes >> 10);
        own.give_up(rc);
    }
    if (rc != 0 || getcontext(&context) != 0)
        _exit(1);
    limit_memory();
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = bytes;
    makecontext(&context, begin, 0);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(NULL, stack, bytes);
#endif
    setcontext(&context);
    _exit(1);
}
