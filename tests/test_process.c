/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* TIMEOUT: 30 */
/* Processes: each row of the API, under each start method. */
#include "t_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a process tells the test: shared memory, whose address it gets in its argument. */
struct said_arg {
    struct said *said;
    int number;
};

struct said {
    _Atomic int flag, pid, parent_pid, code, children;
    char name[96], parent_name[96], child_name[96], key[64];
    int64_t key_bytes;
    struct said_arg arg;
};

static fm_array *array_of_said;

static struct said *new_said(void)
{
    array_of_said = t_vector(FM_U8, sizeof(struct said));
    return fm_array_data(array_of_said);
}

static void free_said(void)
{
    fm_array_destroy(array_of_said);
}

/* ---- targets ---------------------------------------------------------------------------------- */

static int return_number(void *arg)
{
    return *(int *)arg;
}

static int return_null(void *arg)
{
    return arg == NULL ? 0 : 1;
}

static int exit_with_number(void *arg)
{
    exit(*(int *)arg);
}

static int leave_at_once(void *arg)
{
    _exit(*(int *)arg);
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    while (pause() < 0)
        ;
    return 0;
}

T_UNCHECKED static int write_nowhere(void *arg)
{
    static volatile int *volatile nowhere = (volatile int *)8;
    (void)arg;
    *nowhere = 1;
    return 0;
}

static int call_abort(void *arg)
{
    (void)arg;
    abort();
}

static int tell(void *arg)
{
    struct said_arg *a = arg;
    fm_process *me = fm_current_process(), *mother = fm_parent_process();
    if (mother == NULL || fm_process_is_alive(me) != 1 || fm_process_is_alive(mother) != 1 ||
        fm_process_join(mother, FM_NOWAIT) != -ETIMEDOUT || fm_process_join(me, 0) != -EINVAL)
        return 1;
    snprintf(a->said->name, sizeof a->said->name, "%s", fm_process_name(me));
    snprintf(a->said->parent_name, sizeof a->said->parent_name, "%s", fm_process_name(mother));
    a->said->pid = fm_process_pid(me);
    a->said->parent_pid = fm_process_pid(mother);
    a->said->flag = a->number;
    a->number = 0; /* the copy is its own */
    return a->said->pid == getpid() ? 0 : 2;
}

static int tell_key(void *arg)
{
    struct said *said = ((struct said_arg *)arg)->said;
    const void *key;
    size_t bytes;
    if (fm_process_authkey(fm_current_process(), &key, &bytes) != 0)
        return 1;
    memcpy(said->key, key, bytes);
    said->key_bytes = (int64_t)bytes;
    return 0;
}

static int start_one(void *arg)
{
    fm_process *p;
    struct said *said = ((struct said_arg *)arg)->said;
    int seven = 7, code = -1;
    int rc = fm_process_create(&p, return_number, &seven, sizeof seven, NULL);
    if (rc != 0)
        return 100;
    snprintf(said->child_name, sizeof said->child_name, "%s", fm_process_name(p));
    said->code = rc = fm_process_start(p);
    if (rc != 0)
        return fm_process_close(p) == 0 ? 0 : 101;
    if (fm_process_join(p, FM_FOREVER) != 0 || fm_process_exitcode(p, &code) != 0)
        return 102;
    return fm_process_close(p) == 0 ? code : 103;
}

static int run_self(fm_process *me, void *self)
{
    struct said_arg *a = self;
    a->said->flag = a->number;
    return me == fm_current_process() ? 0 : 1;
}

/* ---- create, start, join ------------------------------------------------------------------------ */

static void test_process_runs_with_a_copy_of_its_argument(void **state)
{
    struct said *said = new_said();
    struct said_arg arg = {said, 42};
    fm_process *p = t_create(t_method(state), tell, &arg, sizeof arg);
    arg.number = 43; /* too late */
    assert_int_equal(fm_process_pid(p), 0);
    t_expect(fm_process_start(p), 0);
    int pid = fm_process_pid(p);
    assert_int_equal(t_end(p), 0);
    assert_int_equal(said->flag, 42);
    assert_int_equal(said->pid, pid);
    assert_int_equal(said->parent_pid, getpid());
    assert_string_equal(said->parent_name, "MainProcess");
    free_said();
}

static void test_process_that_overrides_run_gets_itself_and_its_self(void **state)
{
    struct said *said = new_said();
    struct said_arg arg = {said, 5};
    fm_context context = t_context(t_method(state));
    fm_process *p;
    t_expect(
        fm_process_create_run(&p, run_self, &arg, sizeof arg, FM_PROCESS_OPTS(.context = &context)),
        0);
    t_expect(fm_process_start(p), 0);
    assert_int_equal(t_end(p), 0);
    assert_int_equal(said->flag, 5);
    free_said();
}

static void test_process_gets_null_as_it_is(void **state)
{
    assert_int_equal(t_end(t_run(t_method(state), return_null, NULL, 0)), 0);
}

static void test_process_gets_a_heap_pointer_as_it_is(void **state)
{
    struct said *said = new_said();
    struct said_arg *arg = &said->arg;
    *arg = (struct said_arg){said, 9};
    assert_int_equal(t_end(t_run(t_method(state), tell, arg, 0)), 0);
    assert_int_equal(said->flag, 9);
    assert_int_equal(arg->number, 0); /* not a copy */
    free_said();
}

static void test_process_with_a_private_pointer_is_refused_unless_forked(void **state)
{
    int number = 3;
    fm_context context = t_context(t_method(state));
    fm_process *p;
    int rc = fm_process_create(&p, return_number, &number, 0, FM_PROCESS_OPTS(.context = &context));
    if (t_method(state) == FM_FORK) {
        t_expect(rc, 0);
        t_expect(fm_process_start(p), 0);
        assert_int_equal(t_end(p), 3);
        return;
    }
    t_expect(rc, -EINVAL);
    assert_null(p);
    assert_non_null(strstr(fm_error_detail(), "arg_bytes"));
}

static void test_process_starts_once(void **state)
{
    int number = 0;
    fm_process *p = t_run(t_method(state), return_number, &number, sizeof number);
    t_expect(fm_process_start(p), -EALREADY);
    assert_int_equal(t_end(p), 0);
}

static void test_process_join_waits_times_out_and_may_be_repeated(void **state)
{
    int code;
    fm_process *p = t_create(t_method(state), sleep_for_ever, NULL, 0);
    t_expect(fm_process_join(p, FM_FOREVER), -EINVAL);
    assert_int_equal(fm_process_is_alive(p), 0);
    t_expect(fm_process_start(p), 0);
    t_expect(fm_process_join(p, FM_NOWAIT), -ETIMEDOUT);
    t_expect(fm_process_join(p, FM_MS(20)), -ETIMEDOUT);
    assert_int_equal(fm_process_is_alive(p), 1);
    t_expect(fm_process_exitcode(p, &code), -EAGAIN);
    t_expect(fm_process_kill(p), 0);
    t_expect(fm_process_join(p, FM_SECONDS(15)), 0);
    t_expect(fm_process_join(p, FM_NOWAIT), 0);
    t_expect(fm_process_join(p, FM_FOREVER), 0);
    assert_int_equal(fm_process_is_alive(p), 0);
    assert_int_equal(t_end(p), -SIGKILL);
}

static void *join_it(void *p)
{
    return (void *)(intptr_t)fm_process_join(p, FM_SECONDS(15));
}

static void test_process_may_be_joined_by_several_threads(void **state)
{
    enum { N = 4 };
    pthread_t threads[N];
    fm_process *p = t_run(t_method(state), sleep_for_ever, NULL, 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, join_it, p), 0);
    t_sleep_ms(10);
    t_expect(fm_process_terminate(p), 0);
    for (int i = 0; i < N; i++) {
        void *rc;
        pthread_join(threads[i], &rc);
        assert_null(rc);
    }
    assert_int_equal(t_end(p), -SIGTERM);
}

struct starter {
    int method, code;
};

static void *start_and_join(void *arg)
{
    struct starter *s = arg;
    fm_context context;
    int number = 11;
    for (int i = 0; i < 10 && s->code == 0; i++) {
        fm_process *p;
        int code = -1;
        s->code = fm_get_context(s->method, &context);
        if (s->code == 0)
            s->code = fm_process_create(&p, return_number, &number, sizeof number,
                                        FM_PROCESS_OPTS(.context = &context));
        if (s->code != 0)
            break;
        s->code = fm_process_start(p);
        if (s->code == 0)
            s->code = fm_process_join(p, FM_SECONDS(15));
        if (s->code == 0)
            s->code = fm_process_exitcode(p, &code);
        if (s->code == 0 && code != number)
            s->code = -1000;
        fm_process_close(p);
    }
    return NULL;
}

static void test_process_starts_from_several_threads_at_once(void **state)
{
    enum { N = 4 };
    pthread_t threads[N];
    struct starter starters[N];
    t_expect(fm_forkserver_start(NULL), 0);
    for (int i = 0; i < N; i++) {
        starters[i] = (struct starter){.method = t_method(state)};
        assert_int_equal(pthread_create(&threads[i], NULL, start_and_join, &starters[i]), 0);
    }
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < N; i++)
        t_expect(starters[i].code, 0);
}

/* ---- how it ends -------------------------------------------------------------------------------- */

static void expect_code(void **state, fm_target_fn *target, int number, int code)
{
    assert_int_equal(t_end(t_run(t_method(state), target, &number, sizeof number)), code);
}

static void test_process_exit_code_is_what_it_returns_or_exits_with(void **state)
{
    expect_code(state, return_number, 0, 0);
    expect_code(state, return_number, 255, 255);
    expect_code(state, exit_with_number, 3, 3);
    expect_code(state, leave_at_once, 4, 4);
}

/* Sends stderr of this process and of those that it starts to a file, and returns what was written there. */
static char *stderr_of(void (*act)(void **state), void **state)
{
    static char text[4096];
    char path[600];
    snprintf(path, sizeof path, "%s/stderr", t_temp_dir());
    int before = dup(STDERR_FILENO),
        file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    dup2(file, STDERR_FILENO);
    act(state);
    dup2(before, STDERR_FILENO);
    ssize_t length = pread(file, text, sizeof text - 1, 0);
    text[length < 0 ? 0 : length] = '\0';
    close(before);
    close(file);
    return text;
}

static void return_an_error(void **state)
{
    expect_code(state, return_number, -ENOMEM, 1);
    expect_code(state, return_number, 256, 1);
}

static void test_process_that_returns_an_error_says_so_by_its_name(void **state)
{
    const char *text = stderr_of(return_an_error, state);
    assert_non_null(strstr(text, "/Process-1]"));
    assert_non_null(strstr(text, "-12"));
    assert_non_null(strstr(text, "Cannot allocate memory"));
    assert_non_null(strstr(text, "/Process-2]"));
}

static void crash(void **state)
{
    expect_code(state, write_nowhere, 0, -SIGSEGV);
    expect_code(state, call_abort, 0, -SIGABRT);
}

static void test_process_that_crashes_is_reported_by_its_name(void **state)
{
    const char *text = stderr_of(crash, state);
    assert_non_null(strstr(text, "/Process-1]"));
    assert_non_null(strstr(text, "SIGSEGV at address 0x8"));
    assert_non_null(strstr(text, "SIGABRT"));
}

static void end_by_calls(void **state)
{
    static int (*const calls[])(fm_process *) = {fm_process_terminate, fm_process_kill,
                                                 fm_process_interrupt};
    static const int signals[] = {SIGTERM, SIGKILL, SIGINT};
    for (int i = 0; i < 3; i++) {
        fm_process *p = t_create(t_method(state), sleep_for_ever, NULL, 0);
        t_expect(calls[i](p), -EINVAL);
        t_expect(fm_process_start(p), 0);
        t_expect(calls[i](p), 0);
        t_expect(fm_process_join(p, FM_SECONDS(15)), 0);
        t_expect(calls[i](p), 0); /* it has ended: nothing to do */
        assert_int_equal(t_end(p), -signals[i]);
    }
}

static void test_process_ends_by_terminate_kill_and_interrupt_without_a_word(void **state)
{
    assert_string_equal(stderr_of(end_by_calls, state), "");
}

static void test_process_sentinel_polls_readable_at_its_end(void **state)
{
    int code;
    fm_process *p = t_create(t_method(state), sleep_for_ever, NULL, 0);
    t_expect(fm_process_sentinel(p), -EINVAL);
    t_expect(fm_process_start(p), 0);
    struct pollfd wait = {.fd = fm_process_sentinel(p), .events = POLLIN};
    assert_true(wait.fd >= 0);
    assert_int_equal(fcntl(wait.fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(poll(&wait, 1, 0), 0);
    t_expect(fm_process_kill(p), 0);
    assert_int_equal(poll(&wait, 1, 15000), 1);
    assert_int_equal(fm_process_is_alive(p), 0); /* at once, and the code is there */
    t_expect(fm_process_exitcode(p, &code), 0);
    assert_int_equal(code, -SIGKILL);
    assert_int_equal(t_end(p), -SIGKILL);
}

static void test_process_close_of_a_live_one_is_refused(void **state)
{
    fm_process *p = t_run(t_method(state), sleep_for_ever, NULL, 0);
    t_expect(fm_process_close(p), -EBUSY);
    t_expect(fm_process_kill(p), 0);
    assert_int_equal(t_end(p), -SIGKILL);
    t_expect(fm_process_close(p), -EINVAL);
    t_expect(fm_process_join(p, 0), -EINVAL);
    assert_string_equal(fm_process_name(p), "?");
}

/* ---- who it is ---------------------------------------------------------------------------------- */

static void test_process_names_count_and_nest(void **state)
{
    struct said *said = new_said();
    struct said_arg arg = {said, 1};
    fm_process *first = t_create(t_method(state), tell, &arg, sizeof arg);
    fm_process *second = t_create(t_method(state), start_one, &arg, sizeof arg);
    assert_string_equal(fm_process_name(first), "Process-1");
    assert_string_equal(fm_process_name(second), "Process-2");
    t_expect(fm_process_start(first), 0);
    t_expect(fm_process_start(second), 0);
    assert_int_equal(t_end(first), 0);
    assert_int_equal(t_end(second), 7);
    assert_string_equal(said->name, "Process-1");
    assert_string_equal(said->child_name, "Process-2:1");
    free_said();
}

static void test_process_has_the_name_that_it_was_given(void **state)
{
    struct said *said = new_said();
    struct said_arg arg = {said, 1};
    fm_process *p = t_create(t_method(state), tell, &arg, sizeof arg);
    t_expect(fm_process_set_name(p, "solver"), 0);
    t_expect(fm_process_start(p), 0);
    assert_int_equal(t_end(p), 0);
    assert_string_equal(said->name, "solver");
    free_said();
}

static void test_process_daemon_may_not_start_others(void **state)
{
    struct said *said = new_said();
    struct said_arg arg = {said, 1};
    fm_process *p = t_create(t_method(state), start_one, &arg, sizeof arg);
    assert_int_equal(fm_process_daemon(p), 0);
    t_expect(fm_process_set_daemon(p, 1), 0);
    assert_int_equal(fm_process_daemon(p), 1);
    t_expect(fm_process_start(p), 0);
    t_expect(fm_process_set_daemon(p, 0), -EALREADY);
    assert_int_equal(t_end(p), 0);
    assert_int_equal(said->code, -EPERM);
    free_said();
}

static int start_in_worker(const void *item, void *result, void *arg)
{
    int number = 1;
    fm_process *p;
    (void)item;
    (void)arg;
    if (fm_process_create(&p, return_number, &number, sizeof number, NULL) != 0)
        return 1;
    *(int32_t *)result = fm_process_start(p);
    return fm_process_close(p);
}

static void test_process_may_not_be_started_by_a_worker(void **state)
{
    fm_context context = t_context(t_method(state));
    fm_pool *pool;
    fm_array *out = t_vector(FM_I32, 2);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .context = &context)), 0);
    t_expect(fm_pool_map_range(pool, start_in_worker, 0, 2, out, NULL), 0);
    assert_int_equal(((int32_t *)fm_array_data(out))[1], -EPERM);
    t_destroy(pool);
    fm_array_destroy(out);
}

static void test_process_inherits_the_key_or_has_its_own(void **state)
{
    struct said *said = new_said();
    struct said_arg arg = {said, 0};
    const void *key;
    size_t bytes;
    t_expect(fm_process_authkey(fm_current_process(), &key, &bytes), 0);
    assert_true(bytes >= 32);
    assert_int_equal(t_end(t_run(t_method(state), tell_key, &arg, sizeof arg)), 0);
    assert_int_equal(said->key_bytes, bytes);
    assert_memory_equal(said->key, key, bytes);
    fm_process *p = t_create(t_method(state), tell_key, &arg, sizeof arg);
    t_expect(fm_process_set_authkey(p, "secret", 6), 0);
    t_expect(fm_process_start(p), 0);
    assert_int_equal(t_end(p), 0);
    assert_int_equal(said->key_bytes, 6);
    assert_memory_equal(said->key, "secret", 6);
    free_said();
}

static void test_process_active_children_are_those_that_run(void **state)
{
    fm_process *list[2] = {NULL, NULL}, *a, *b;
    assert_int_equal(fm_active_children(NULL, 0), 0);
    a = t_run(t_method(state), sleep_for_ever, NULL, 0);
    b = t_run(t_method(state), sleep_for_ever, NULL, 0);
    assert_int_equal(fm_active_children(list, 1), 2);
    assert_int_equal(fm_active_children(list, 2), 2);
    assert_true((list[0] == a && list[1] == b) || (list[0] == b && list[1] == a));
    t_expect(fm_process_kill(a), 0);
    t_expect(fm_process_join(a, FM_SECONDS(15)), 0);
    assert_int_equal(fm_active_children(list, 2), 1);
    assert_ptr_equal(list[0], b);
    t_expect(fm_process_kill(b), 0);
    assert_int_equal(t_end(a), -SIGKILL);
    assert_int_equal(t_end(b), -SIGKILL);
    t_expect(fm_active_children(NULL, 1), -EINVAL);
}

static void test_process_main_is_main_process_and_has_no_parent(void **state)
{
    (void)state;
    assert_string_equal(fm_process_name(fm_current_process()), "MainProcess");
    assert_int_equal(fm_process_pid(fm_current_process()), getpid());
    assert_null(fm_parent_process());
    t_expect(fm_process_join(fm_current_process(), 0), -EINVAL);
    t_expect(fm_process_close(fm_current_process()), -EINVAL);
}

/* ---- arguments ------------------------------------------------------------------------------------ */

static void test_process_wrong_arguments_are_refused(void **state)
{
    int number = 0;
    fm_process *p;
    (void)state;
    t_expect(fm_process_create(NULL, return_number, NULL, 0, NULL), -EINVAL);
    t_expect(fm_process_create(&p, NULL, NULL, 0, NULL), -EINVAL);
    assert_null(p);
    t_expect(fm_process_create(&p, return_number, NULL, 4, NULL), -EINVAL);
    t_expect(fm_process_create(&p, return_number, &number, SIZE_MAX / 2, NULL), -ENOMEM);
    t_expect(fm_process_create(&p, return_number, NULL, 0, FM_PROCESS_OPTS(.daemon = 2)), -EINVAL);
    t_expect(fm_process_create(&p, return_number, NULL, 0, FM_PROCESS_OPTS(.inner_threads = -2)),
             -EINVAL);
    t_expect(fm_process_create(&p, return_number, NULL, 0, FM_PROCESS_OPTS(.start_timeout = -1)),
             -EINVAL);
    t_expect(fm_process_start(NULL), -EINVAL);
    t_expect(fm_process_join(NULL, 0), -EINVAL);
    t_expect(fm_process_is_alive(NULL), -EINVAL);
    t_expect(fm_process_exitcode(NULL, &number), -EINVAL);
    t_expect(fm_process_close(NULL), 0);
    t_expect(fm_process_create(&p, return_null, NULL, 0, NULL), 0);
    t_expect(fm_process_exitcode(p, NULL), -EINVAL);
    t_expect(fm_process_exitcode(p, &number), -EAGAIN);
    t_expect(fm_process_set_name(p, NULL), -EINVAL);
    t_expect(fm_process_set_daemon(p, 3), -EINVAL);
    t_expect(fm_process_set_authkey(p, "x", 0), -EINVAL);
    t_expect(fm_process_set_authkey(p, "x", 65), -EINVAL);
    t_expect(fm_process_close(p), 0);
}

static void use_parents_handle(void *arg)
{
    fm_process *p = arg;
    int code;
    _exit(fm_process_join(p, 0) == FM_EFORKED && fm_process_kill(p) == FM_EFORKED &&
                  fm_process_exitcode(p, &code) == FM_EFORKED &&
                  fm_process_close(p) == FM_EFORKED && fm_active_children(NULL, 0) == 0
              ? 0
              : 1);
}

static void test_process_handle_is_not_that_of_a_forked_child(void **state)
{
    fm_process *p = t_run(t_method(state), sleep_for_ever, NULL, 0);
    assert_int_equal(t_exit_code(t_in_child(use_parents_handle, p)), 0);
    assert_int_equal(fm_process_is_alive(p), 1);
    t_expect(fm_process_kill(p), 0);
    assert_int_equal(t_end(p), -SIGKILL);
}

/* ---- what the host does with SIGCHLD ---------------------------------------------------------------- */

static void check_codes(void **state)
{
    for (int i = 0; i < 20; i++)
        expect_code(state, return_number, i, i);
    fm_process *p = t_run(t_method(state), sleep_for_ever, NULL, 0);
    t_expect(fm_process_kill(p), 0);
    assert_int_equal(t_end(p), -SIGKILL);
}

static void test_process_exit_code_is_known_to_a_host_that_ignores_sigchld(void **state)
{
    signal(SIGCHLD, SIG_IGN);
    check_codes(state);
    signal(SIGCHLD, SIG_DFL);
}

static _Atomic int thief_is_to_end;

static void *reap_whoever_ends(void *arg)
{
    (void)arg;
    while (!thief_is_to_end)
        if (waitpid(-1, NULL, WNOHANG) <= 0)
            usleep(50);
    return NULL;
}

static void test_process_exit_code_is_known_to_a_host_that_reaps_whoever_ends(void **state)
{
    pthread_t thief;
    t_expect(fm_forkserver_start(NULL), 0);
    thief_is_to_end = 0;
    assert_int_equal(pthread_create(&thief, NULL, reap_whoever_ends, NULL), 0);
    check_codes(state);
    thief_is_to_end = 1;
    pthread_join(thief, NULL);
}

/* ---- what an exit does ------------------------------------------------------------------------------- */

struct leaver { /* of a host that runs in a child of the test */
    struct said *said;
    int method;
    char path[600];
};

static struct said *told_on_term; /* private to the daemon */

static void note_term(int number)
{
    told_on_term->code = number;
    _exit(0);
}

static int await_term(void *arg)
{
    told_on_term = ((struct said_arg *)arg)->said;
    signal(SIGTERM, note_term);
    told_on_term->children++;
    return sleep_for_ever(NULL);
}

static int finish_later(void *arg)
{
    struct said *said = ((struct said_arg *)arg)->said;
    t_sleep_ms(100);
    said->flag = 1;
    return 0;
}

static fm_process *start_here(const struct leaver *l, fm_target_fn *target, int daemon)
{
    struct said_arg arg = {l->said, 0};
    fm_context context;
    fm_process *p;
    t_must(fm_get_context(l->method, &context));
    t_must(fm_process_create(&p, target, &arg, sizeof arg,
                             FM_PROCESS_OPTS(.context = &context, .daemon = daemon)));
    t_must(fm_process_start(p));
    return p;
}

static struct said *said_at_exit;

static void note_exit(void)
{
    said_at_exit->pid++;
}

static void leave_with_children(void *arg)
{
    struct leaver *l = arg;
    said_at_exit = l->said;
    atexit(note_exit);
    (void)start_here(l, await_term, 1);
    (void)start_here(l, finish_later, 0);
    while (l->said->children == 0)
        usleep(100);
    exit(0);
}

static void run_host(void **state, void (*host)(void *), struct leaver *l)
{
    l->method = t_method(state);
    t_run_host(host, l);
}

static void test_process_exit_of_its_parent_ends_daemons_and_waits_for_others(void **state)
{
    struct leaver l = {.said = new_said()};
    run_host(state, leave_with_children, &l);
    assert_int_equal(l.said->flag, 1);       /* it was waited for */
    assert_int_equal(l.said->code, SIGTERM); /* the daemon was terminated */
    assert_int_equal(l.said->pid, 1);        /* atexit handlers ran in the host only */
    free_said();
}

static int leave_with_a_child_of_its_own(void *arg)
{
    struct leaver l = {.said = ((struct said_arg *)arg)->said, .method = FM_FORK};
    (void)start_here(&l, await_term, 1);
    (void)start_here(&l, finish_later, 0);
    while (l.said->children == 0)
        usleep(100);
    exit(0);
}

static void test_process_that_leaves_does_the_same_for_its_own(void **state)
{
    struct said_arg arg = {new_said(), 0};
    assert_int_equal(t_end(t_run(t_method(state), leave_with_a_child_of_its_own, &arg, sizeof arg)),
                     0);
    assert_int_equal(arg.said->flag, 1);
    assert_int_equal(arg.said->code, SIGTERM);
    free_said();
}

static int ignore_term(void *arg)
{
    signal(SIGTERM, SIG_IGN);
    ((struct said_arg *)arg)->said->children++;
    return sleep_for_ever(NULL);
}

static void leave_with_a_stubborn_daemon(void *arg)
{
    struct leaver *l = arg;
    (void)start_here(l, ignore_term, 1);
    while (l->said->children == 0)
        usleep(100);
    exit(0);
}

static void test_process_daemon_that_ignores_sigterm_is_killed(void **state)
{
    struct leaver l = {.said = new_said()};
    run_host(state, leave_with_a_stubborn_daemon, &l);
    free_said();
}

/* ---- stdio ------------------------------------------------------------------------------------------- */

static int print_without_newline(void *arg)
{
    FILE *own = fopen((char *)arg, "a"); /* neither flushed nor closed */
    printf("process ");
    if (own == NULL)
        return 1;
    fprintf(own, "own ");
    return 0;
}

static void print_here_and_there(void *arg)
{
    struct leaver *l = arg;
    char path[700];
    fm_context context;
    fm_process *p;
    snprintf(path, sizeof path, "%s.hosts", l->path);
    FILE *hosts = fopen(path, "w");
    if (hosts == NULL || freopen(l->path, "a", stdout) == NULL)
        _exit(1);
    printf("host ");
    fprintf(hosts, "pending ");
    t_must(fm_get_context(l->method, &context));
    snprintf(path, sizeof path, "%s.own", l->path);
    t_must(fm_process_create(&p, print_without_newline, path, sizeof path,
                             FM_PROCESS_OPTS(.context = &context)));
    t_must(fm_process_start(p));
    t_must(fm_process_join(p, FM_SECONDS(10)));
    exit(0);
}

static void expect_file(const char *path, const char *suffix, const char *text)
{
    char full[700], got[100] = "";
    snprintf(full, sizeof full, "%s%s", path, suffix);
    FILE *file = fopen(full, "r");
    assert_non_null(file);
    got[fread(got, 1, sizeof got - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(got, text);
}

static void test_process_output_is_flushed_once(void **state)
{
    struct leaver l = {.said = NULL};
    snprintf(l.path, sizeof l.path, "%s/out", t_temp_dir());
    run_host(state, print_here_and_there, &l);
    expect_file(l.path, "", "host process ");
    expect_file(l.path, ".hosts", "pending ");
    expect_file(l.path, ".own", "own ");
}

/* ---- after fork -------------------------------------------------------------------------------------- */

static void add_one(void *arg)
{
    struct said *said = arg;
    said->flag = said->flag * 10 + 1;
}

static void add_two(void *arg)
{
    struct said *said = arg;
    said->flag = said->flag * 10 + 2;
}

static void hook_and_start(void *arg)
{
    struct leaver *l = arg;
    int number = 0;
    fm_context context;
    fm_process *p;
    t_must(fm_after_fork(add_one, l->said));
    t_must(fm_after_fork(add_two, l->said));
    if (fm_after_fork(NULL, NULL) != -EINVAL)
        _exit(1);
    t_must(fm_get_context(l->method, &context));
    t_must(fm_process_create(&p, return_number, &number, sizeof number,
                             FM_PROCESS_OPTS(.context = &context)));
    t_must(fm_process_start(p));
    t_must(fm_process_join(p, FM_SECONDS(10)));
    exit(0);
}

static void test_process_hooks_run_in_a_forked_one_in_their_order(void **state)
{
    struct leaver l = {.said = new_said()};
    run_host(state, hook_and_start, &l);
    assert_int_equal(l.said->flag, t_method(state) == FM_SPAWN ? 0 : 12);
    free_said();
}

/* ---- Ctrl-C ------------------------------------------------------------------------------------------ */

static void note_nothing(int number)
{
    (void)number;
}

static void be_at_a_terminal(void *arg)
{
    struct leaver *l = arg;
    int code = 0, tty = -1;
    setsid();
    if ((tty = open(l->path, O_RDWR)) < 0 || ioctl(tty, TIOCSCTTY, 0) != 0)
        _exit(1);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = note_nothing}, NULL);
    fm_process *p = start_here(l, (fm_target_fn *)sleep_for_ever, 0);
    l->said->flag = 1;
    if (fm_process_join(p, FM_SECONDS(10)) != -EINTR)
        _exit(2);
    t_sleep_ms(50);
    if (fm_process_is_alive(p) != 1)
        _exit(3);
    t_must(fm_process_interrupt(p));
    t_must(fm_process_join(p, FM_SECONDS(10)));
    t_must(fm_process_exitcode(p, &code));
    _exit(code == -SIGINT ? 0 : 4);
}

static void test_process_ignores_the_terminals_interrupt_and_join_returns(void **state)
{
    struct leaver l = {.said = new_said(), .method = t_method(state)};
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(terminal >= 0);
    assert_int_equal(grantpt(terminal) + unlockpt(terminal), 0);
    assert_int_equal(ptsname_r(terminal, l.path, sizeof l.path), 0);
    pid_t host = t_start_child(be_at_a_terminal, &l);
    for (int i = 0; i < 10000 && l.said->flag == 0; i++)
        usleep(1000);
    t_sleep_ms(20);
    assert_int_equal(write(terminal, "\x03", 1), 1);
    assert_int_equal(t_exit_code(t_wait_child(host)), 0);
    close(terminal);
    free_said();
}

T_MAIN(T_EACH_METHOD(test_process_runs_with_a_copy_of_its_argument),
       T_EACH_METHOD(test_process_that_overrides_run_gets_itself_and_its_self),
       T_EACH_METHOD(test_process_gets_null_as_it_is),
       T_EACH_METHOD(test_process_gets_a_heap_pointer_as_it_is),
       T_EACH_METHOD(test_process_with_a_private_pointer_is_refused_unless_forked),
       T_EACH_METHOD(test_process_starts_once),
       T_EACH_METHOD(test_process_join_waits_times_out_and_may_be_repeated),
       T_EACH_METHOD(test_process_may_be_joined_by_several_threads),
       T_EACH_METHOD(test_process_starts_from_several_threads_at_once),
       T_EACH_METHOD(test_process_exit_code_is_what_it_returns_or_exits_with),
       T_EACH_METHOD(test_process_that_returns_an_error_says_so_by_its_name),
       T_EACH_METHOD(test_process_that_crashes_is_reported_by_its_name),
       T_EACH_METHOD(test_process_ends_by_terminate_kill_and_interrupt_without_a_word),
       T_EACH_METHOD(test_process_sentinel_polls_readable_at_its_end),
       T_EACH_METHOD(test_process_close_of_a_live_one_is_refused),
       T_EACH_METHOD(test_process_names_count_and_nest),
       T_EACH_METHOD(test_process_has_the_name_that_it_was_given),
       T_EACH_METHOD(test_process_daemon_may_not_start_others),
       T_EACH_METHOD(test_process_may_not_be_started_by_a_worker),
       T_EACH_METHOD(test_process_inherits_the_key_or_has_its_own),
       T_EACH_METHOD(test_process_active_children_are_those_that_run),
       T_TEST(test_process_main_is_main_process_and_has_no_parent),
       T_TEST(test_process_wrong_arguments_are_refused),
       T_EACH_METHOD(test_process_handle_is_not_that_of_a_forked_child),
       T_EACH_METHOD(test_process_exit_code_is_known_to_a_host_that_ignores_sigchld),
       T_EACH_METHOD(test_process_exit_code_is_known_to_a_host_that_reaps_whoever_ends),
       T_EACH_METHOD(test_process_exit_of_its_parent_ends_daemons_and_waits_for_others),
       T_EACH_METHOD(test_process_that_leaves_does_the_same_for_its_own),
       T_EACH_METHOD(test_process_daemon_that_ignores_sigterm_is_killed),
       T_EACH_METHOD(test_process_output_is_flushed_once),
       T_EACH_METHOD(test_process_hooks_run_in_a_forked_one_in_their_order),
       T_EACH_METHOD(test_process_ignores_the_terminals_interrupt_and_join_returns))
