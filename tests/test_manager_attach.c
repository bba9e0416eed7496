/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork */
/* TIMEOUT: 60 */
/* Managers for programs of no family: they get the memory, and may be killed with it. */
#include "t_manager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#define KEY "words"

static fm_manager *start(const char *address)
{
    fm_manager *m;
    t_expect(fm_manager_start(
                 &m, FM_MANAGER_OPTS(.address = address, .authkey = KEY, .authkey_bytes = 5)),
             0);
    return m;
}

struct guest {
    pid_t pid;
    FILE *in, *out; /* of the guest */
};

static struct guest start_guest(const char *what, const fm_manager *m, const char *name,
                                const char *more)
{
    int to[2], from[2];
    char *argv[] = {(char *)(uintptr_t)T_GUEST,
                    (char *)(uintptr_t)what,
                    (char *)(uintptr_t)fm_manager_address(m),
                    (char *)(uintptr_t)KEY,
                    (char *)(uintptr_t)name,
                    (char *)(uintptr_t)more,
                    NULL};
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    struct guest g = {.in = fdopen(to[1], "w"), .out = fdopen(from[0], "r")};
    g.pid = fork();
    if (g.pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        execv(T_GUEST, argv);
        _exit(99);
    }
    close(to[0]);
    close(from[1]);
    assert_true(g.pid > 0);
    return g;
}

static void await_line(struct guest *g)
{
    char line[64];
    assert_non_null(fgets(line, sizeof line, g->out));
    assert_string_equal(line, "here\n");
}

static int end_guest(struct guest *g)
{
    int status;
    fclose(g->in);
    assert_int_equal(waitpid(g->pid, &status, 0), g->pid);
    fclose(g->out);
    return status;
}

static void expect_guest(const char *what, const fm_manager *m, const char *name, const char *more)
{
    struct guest g = start_guest(what, m, name, more);
    int status = end_guest(&g);
    assert_int_equal(t_signal(status), 0);
    assert_int_equal(t_exit_code(status), 0);
}

/* ---- memory ---------------------------------------------------------------------------------------------- */

static void expect_array_of(int64_t n)
{
    fm_manager *m = start(NULL);
    fm_array *a;
    char shape[32];
    long faults = -1, bytes = -1;
    snprintf(shape, sizeof shape, "f8 %" PRId64, n);
    t_make(m, "a", "array", shape);
    t_expect(fm_manager_get(m, "a", (void **)&a), 0);
    double *data = fm_array_data(a);
    for (int64_t i = 0; i < n; i++)
        data[i] = (double)i;
    struct guest g = start_guest("sum", m, "a", NULL);
    assert_int_equal(fscanf(g.out, "%ld %ld", &faults, &bytes), 2);
    int status = end_guest(&g);
    printf("%" PRId64 " bytes read: %ld minor faults, %ld bytes on sockets\n", n * 8, faults,
           bytes);
    assert_int_equal(t_exit_code(status), 0);
    assert_in_range(bytes, 100, 1000); /* the key's proof, the greeting, the descriptor */
    /* pages are looked at, none is copied: a fault for a page at most */
    assert_in_range(faults, 0, n * 8 / 4096 + 64);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_guest_reads_an_array_without_a_copy(void **state)
{
    (void)state;
    expect_array_of(1 << 20);
}

static void test_manager_guest_reads_a_gibibyte_by_less_than_a_kilobyte_of_messages(void **state)
{
    (void)state;
    expect_array_of(INT64_C(1) << 27);
}

static void test_manager_guest_counts_together_with_the_family(void **state)
{
    (void)state;
    fm_manager *m = start(NULL);
    fm_dict *d;
    t_make(m, "d", "dict", "");
    t_expect(fm_manager_get(m, "d", (void **)&d), 0);
    struct guest g = start_guest("count", m, "d", "20000");
    for (int i = 0; i < 20000; i++)
        t_expect(fm_dict_add(d, fm_text("n"), 1, NULL, FM_FOREVER), 0);
    assert_int_equal(t_exit_code(end_guest(&g)), 0);
    t_expect_call(m, "d", "add n 0", "40000");
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_guest_with_a_heap_of_its_own_gets_calls(void **state)
{
    (void)state;
    fm_manager *m = start(NULL);
    t_make(m, "d", "dict", "");
    expect_guest("own-heap", m, "d", NULL);
    t_expect_call(m, "d", "get k", "v");
    t_expect(fm_manager_close(m), 0);
}

/* ---- deaths ---------------------------------------------------------------------------------------------- */

static void expect_owner_dead_after(const char *what)
{
    fm_manager *m = start(NULL);
    char got[8];
    t_make(m, "l", "lock", "");
    struct guest g = start_guest(what, m, "l", NULL);
    await_line(&g);
    t_expect(t_call_timed(m, "l", "acquire", got, sizeof got, FM_MS(10)), -ETIMEDOUT);
    kill(g.pid, SIGKILL);
    assert_int_equal(t_signal(end_guest(&g)), SIGKILL);
    t_expect(t_call(m, "l", "acquire", got, sizeof got), FM_EOWNERDEAD);
    t_expect_call(m, "l", "release", "");
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_guest_killed_with_a_lock_leaves_it_owner_dead(void **state)
{
    (void)state;
    expect_owner_dead_after("hold");
}

static void test_manager_client_killed_with_a_lock_leaves_it_owner_dead(void **state)
{
    (void)state;
    expect_owner_dead_after("hold-by-call");
}

static void test_manager_guest_killed_at_any_moment_leaves_a_whole_dict(void **state)
{
    (void)state;
    fm_manager *m = start(NULL);
    fm_dict *d;
    t_make(m, "d", "dict", "");
    t_expect(fm_manager_get(m, "d", (void **)&d), 0);
    for (int i = 0; i < 20; i++) {
        char key[16];
        struct guest g = start_guest("storm", m, "d", NULL);
        await_line(&g);
        usleep((useconds_t)(1000 + 700 * i));
        kill(g.pid, SIGKILL);
        assert_int_equal(t_signal(end_guest(&g)), SIGKILL);
        snprintf(key, sizeof key, "own%d", i);
        t_expect(fm_dict_set(d, fm_text(key), fm_text("value"), FM_SECONDS(10)), 0);
    }
    fm_snapshot *s;
    t_expect(fm_dict_keys(d, &s, FM_SECONDS(10)), 0);
    assert_in_range(s->n, 20, 27);
    fm_snapshot_free(s);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_guest_goes_on_when_the_server_is_killed(void **state)
{
    (void)state;
    fm_manager *m = start(NULL), *client;
    fm_dict *d;
    char got[8];
    t_make(m, "d", "dict", "");
    t_expect(fm_manager_get(m, "d", (void **)&d), 0);
    t_expect(fm_manager_connect(&client, fm_manager_address(m), KEY, 5,
                                FM_MANAGER_CONNECT_OPTS(.flags = FM_MANAGER_NO_MAP)),
             0);
    fm_process *server;
    assert_int_equal(fm_active_children(&server, 1), 1);
    t_expect(fm_process_kill(server), 0);
    while (fm_process_is_alive(server) == 1)
        usleep(1000);
    t_expect(fm_dict_set(d, fm_text("k"), fm_text("v"), FM_FOREVER), 0);
    t_expect_call(m, "d", "get k", "v");
    t_make(m, "e", "event", "");
    t_expect(t_call(client, "d", "get k", got, sizeof got), FM_ECLOSED);
    t_expect(t_call(client, "d", "get k", got, sizeof got), FM_ECLOSED);
    t_expect(fm_manager_close(client), 0);
    unlink(fm_manager_address(m));
    char folder[200];
    snprintf(folder, sizeof folder, "%s", fm_manager_address(m));
    *strrchr(folder, '/') = '\0';
    rmdir(folder);
    t_expect(fm_manager_close(m), 0);
}

T_MAIN(T_TEST(test_manager_guest_reads_an_array_without_a_copy),
       T_TEST(test_manager_guest_reads_a_gibibyte_by_less_than_a_kilobyte_of_messages),
       T_TEST(test_manager_guest_counts_together_with_the_family),
       T_TEST(test_manager_guest_with_a_heap_of_its_own_gets_calls),
       T_TEST(test_manager_guest_killed_with_a_lock_leaves_it_owner_dead),
       T_TEST(test_manager_client_killed_with_a_lock_leaves_it_owner_dead),
       T_TEST(test_manager_guest_killed_at_any_moment_leaves_a_whole_dict),
       T_TEST(test_manager_guest_goes_on_when_the_server_is_killed))
