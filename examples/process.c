/* SPDX-License-Identifier: MIT */
/*
 * One function in a process of its own, in all its forms: arguments and results, names, a timeout, an end by signal, a crash, a
 * sentinel in poll(), a family of three generations, and a daemon that ends with the program.
 */
#include <forkmap/forkmap.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { N = 1000 };

/* The lines that the library has to say, in the heap: the sink runs in the process that says them, which may be another one. */
static fm_array *said;

static void keep_line(int level, const char *message, void *arg)
{
    (void)level;
    snprintf(arg, (size_t)fm_array_bytes(said), "%s", message);
}

static int join_and_tell(fm_process *p)
{
    int code = 0;
    int rc = fm_process_join(p, FM_FOREVER);
    if (rc == 0)
        rc = fm_process_exitcode(p, &code);
    if (rc == 0)
        printf("%s: exit code %d\n", fm_process_name(p), code);
    return rc;
}

static int run_forever(void *arg)
{
    (void)arg;
    while (pause() != 0)
        ;
    return 0;
}

static int leave_with(void *arg)
{
    return *(const int *)arg;
}

/* ---- arguments and results ------------------------------------------------------------------- */

/* The struct is copied into the process; the arrays it points to are shared, so what is written there is seen by all. */
struct sum {
    const double *numbers;
    double *result;
};

static int add_up(void *arg)
{
    const struct sum *sum = arg;
    double total = 0;
    for (int i = 0; i < N; i++)
        total += sum->numbers[i];
    *sum->result = total;
    return 0;
}

static int show_result(void)
{
    FM_AUTO(fm_process) p = NULL;
    FM_AUTO(fm_array) numbers = NULL;
    FM_AUTO(fm_array) result = NULL;
    const int64_t one = 1;
    int rc = fm_array_arange(&numbers, FM_F64, 0, N, 1);
    if (rc == 0)
        rc = fm_array_zeros(&result, FM_F64, 1, &one);
    if (rc != 0)
        return rc;
    const double *total = fm_array_data(result);
    struct sum sum = {fm_array_data(numbers), fm_array_data(result)};
    rc = fm_process_create(&p, add_up, &sum, sizeof sum, FM_PROCESS_OPTS(.name = "sum"));
    sum.numbers = NULL; /* too late: the process has its copy since it was created */
    if (rc == 0)
        rc = fm_process_start(p);
    if (rc == 0)
        rc = join_and_tell(p);
    if (rc == 0)
        printf("0 + 1 + ... + %d = %.0f\n", N - 1, *total);
    return rc;
}

/* ---- a process that knows itself ------------------------------------------------------------- */

struct greeter { /* what a class that overrides run() would have as members */
    char word[16];
    int times;
};

static int greet(fm_process *me, void *self)
{
    const struct greeter *greeter = self;
    for (int i = 0; i < greeter->times; i++)
        printf("%s from %s\n", greeter->word, fm_process_name(me));
    return 0;
}

static int show_run(void)
{
    FM_AUTO(fm_process) p = NULL;
    const struct greeter greeter = {"hello", 2};
    int rc = fm_process_create_run(&p, greet, &greeter, sizeof greeter, NULL);
    if (rc == 0)
        rc = fm_process_set_name(p, "greeter");
    if (rc == 0)
        rc = fm_process_start(p);
    return rc == 0 ? join_and_tell(p) : rc;
}

/* ---- ends ------------------------------------------------------------------------------------ */

static int show_timeout(void)
{
    FM_AUTO(fm_process) p = NULL;
    int rc = fm_process_create(&p, run_forever, NULL, 0, NULL);
    if (rc == 0)
        rc = fm_process_start(p);
    if (rc != 0)
        return rc;
    rc = fm_process_join(p, FM_MS(10));
    printf("join: %s, alive: %d\n", fm_errname(rc), fm_process_is_alive(p));
    rc = fm_process_terminate(p);
    return rc == 0 ? join_and_tell(p) : rc; /* SIGTERM is signal 15 */
}

static int write_to_nowhere(void *arg)
{
    static volatile int *nowhere;
    (void)arg;
    *nowhere = 1;
    return 0;
}

static int show_crash(void)
{
    FM_AUTO(fm_process) p = NULL;
    int rc = fm_process_create(&p, write_to_nowhere, NULL, 0, FM_PROCESS_OPTS(.name = "unlucky"));
    if (rc == 0)
        rc = fm_process_start(p);
    if (rc == 0)
        rc = join_and_tell(p); /* SIGSEGV is signal 11 */
    if (rc == 0) {
        const char *line = strstr(fm_array_data(said), "was ended");
        printf("the library says that it %s\n", line != NULL ? line : "nothing");
    }
    return rc;
}

/* ---- waiting for several --------------------------------------------------------------------- */

/* A sentinel becomes readable when its process has ended. It goes into any loop that waits for descriptors. */
static int await_one(fm_process *const p[2])
{
    struct pollfd wait[2] = {{.events = POLLIN}, {.events = POLLIN}};
    for (int i = 0; i < 2; i++)
        if ((wait[i].fd = fm_process_sentinel(p[i])) < 0)
            return wait[i].fd;
    if (poll(wait, 2, -1) < 0)
        return -1;
    for (int i = 0; i < 2; i++)
        printf("%s %s\n", fm_process_name(p[i]), wait[i].revents != 0 ? "has ended" : "runs");
    return 0;
}

static int show_sentinels(void)
{
    FM_AUTO(fm_process) slow = NULL;
    FM_AUTO(fm_process) fast = NULL;
    fm_process *running[4];
    const int code = 3;
    int rc = fm_process_create(&slow, run_forever, NULL, 0, FM_PROCESS_OPTS(.name = "slow"));
    if (rc == 0)
        rc = fm_process_create(&fast, leave_with, &code, sizeof code,
                               FM_PROCESS_OPTS(.name = "fast"));
    if (rc == 0)
        rc = fm_process_start(slow);
    if (rc == 0)
        rc = fm_process_start(fast);
    if (rc == 0)
        rc = await_one((fm_process *const[]){slow, fast});
    if (rc == 0)
        rc = join_and_tell(fast);
    if (rc != 0)
        return rc;
    int n = fm_active_children(running, 4);
    for (int i = 0; i < n; i++)
        printf("active: %s\n", fm_process_name(running[i]));
    rc = fm_process_kill(slow);
    return rc == 0 ? join_and_tell(slow) : rc; /* SIGKILL is signal 9 */
}

/* ---- a family -------------------------------------------------------------------------------- */

static void say_who(void)
{
    const fm_process *parent = fm_parent_process();
    printf("%s, child of %s\n", fm_process_name(fm_current_process()),
           parent != NULL ? fm_process_name(parent) : "nobody");
}

static int be_child(void *arg)
{
    (void)arg;
    say_who();
    return 0;
}

static int be_parent(void *arg)
{
    FM_AUTO(fm_process) child = NULL;
    (void)arg;
    say_who();
    int rc = fm_process_create(&child, be_child, NULL, 0, NULL);
    if (rc == 0)
        rc = fm_process_start(child);
    return rc == 0 ? join_and_tell(child)
                   : rc; /* a negative code is reported, and is exit code 1 */
}

static int show_family(void)
{
    FM_AUTO(fm_process) p = NULL;
    say_who();
    int rc = fm_process_create(&p, be_parent, NULL, 0, NULL);
    if (rc == 0)
        rc = fm_process_start(p);
    return rc == 0 ? join_and_tell(p) : rc;
}

/* ---- a daemon -------------------------------------------------------------------------------- */

static int serve(void *arg)
{
    FM_AUTO(fm_process) child = NULL;
    _Atomic int *told = *(_Atomic int **)arg;
    int rc = fm_process_create(&child, be_child, NULL, 0, NULL);
    if (rc == 0)
        rc = fm_process_start(child);
    *told = rc;
    return run_forever(NULL);
}

/* Nobody joins it. It ends when main returns. */
static int show_daemon(void)
{
    fm_process *p;
    FM_AUTO(fm_array) cell = NULL;
    const int64_t one = 1;
    int rc = fm_array_zeros(&cell, FM_I32, 1, &one);
    if (rc != 0)
        return rc;
    _Atomic int *told = fm_array_data(cell);
    rc = fm_process_create(&p, serve, &told, sizeof told,
                           FM_PROCESS_OPTS(.name = "server", .daemon = 1));
    if (rc == 0)
        rc = fm_process_start(p);
    while (rc == 0 && *told == 0 && fm_process_join(p, FM_MS(1)) == -ETIMEDOUT)
        ; /* it has not tried yet */
    if (rc == 0)
        printf("a daemon that starts a process: %s\n", fm_errname(*told));
    return rc;
}

int main(void)
{
    static int (*const parts[])(void) = {show_result,    show_run,    show_timeout, show_crash,
                                         show_sentinels, show_family, show_daemon};
    const int64_t n = 200;
    int rc = fm_array_zeros(&said, FM_U8, 1, &n);
    if (rc == 0)
        rc = fm_log_set(0, keep_line, fm_array_data(said));
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof parts[0]; i++)
        rc = parts[i]();
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    printf("%d daemon is left\n", fm_active_children(NULL, 0));
    return 0;
}
