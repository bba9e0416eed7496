/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 60 */
/*
 * Processes that are killed at the transitions of listener.h and of the exchange of keys, then at any moment: the others are served, nothing is left open, and no message is half. And a child
 * that was forked meanwhile keeps nobody's socket alive.
 */
#include "t_listener.h"

#include "fault.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

enum { ROUNDS = 400, MESSAGE_BYTES = 100000 };

static void serve_one(fm_listener *l)
{
    t_part(t_meet(l));
}

static void let_go_on(fm_listener *l, int64_t ns)
{
    fm_conn *c;
    t_expect(fm_listener_accept(l, ns, &c), -ETIMEDOUT);
}

#ifdef FORKMAP_FAULTS

static void connect_once(void *address)
{
    fm_conn *c;
    _exit(fm_connect(address, T_KEY, NULL, &c) == 0 ? 0 : 1);
}

static void test_client_killed_while_it_shows_its_key_costs_nobody_else(void **state)
{
    (void)state;
    struct t_lines lines;
    fm_listener *l = t_listen(NULL);
    fmi_fault_spare_this_process();
    for (int nth = 1; nth <= 3; nth++) { /* asked, welcomed, answered */
        t_hear(&lines);
        assert_int_equal(fmi_fault_arm("stranger.take", nth, 1), 0);
        pid_t child = t_start_child(connect_once, (void *)fm_listener_address(l));
        let_go_on(l, FM_MS(300));
        assert_int_equal(t_signal(t_wait_child(child)), SIGKILL);
        let_go_on(l, FM_MS(50));
        assert_int_equal(fmi_fault_passages(), nth);
        fmi_fault_arm(NULL, 0, 0);
        assert_int_equal(lines.n, 1);
        assert_true(strstr(lines.last, "went away") != NULL ||
                    strstr(lines.last, "is gone") != NULL);
        t_hear_no_more();
        serve_one(l);
    }
    t_expect(fm_listener_close(l), 0);
}

static void listen_until_killed(void *path)
{
    fm_listener *l;
    fm_conn *c;
    if (fm_log_set(FM_LOG_OFF, NULL, NULL) != 0 || fm_listener_open(&l, path, T_KEY, NULL) != 0)
        _exit(1);
    (void)!fm_listener_accept(l, FM_SECONDS(10), &c);
    _exit(2);
}

static int connect_to_late(const char *path, const char *key, size_t key_bytes, fm_conn **c)
{
    int rc = -ENOENT;
    for (int i = 0; i < 1000 && (rc == -ENOENT || rc == -ECONNREFUSED); i++) {
        rc = fm_connect(path, key, key_bytes, NULL, c);
        usleep(1000);
    }
    return rc;
}

static void test_listener_killed_as_it_accepts_leaves_a_client_with_the_end(void **state)
{
    (void)state;
    char path[100], byte;
    fm_conn *c;
    fm_listener *l;
    snprintf(path, sizeof path, "%.80s/here", t_temp_dir());
    fmi_fault_spare_this_process();
    for (int is_drop = 0; is_drop < 2; is_drop++) {
        assert_int_equal(fmi_fault_arm(is_drop ? "listener.drop" : "listener.accept", 1, 1), 0);
        pid_t child = t_start_child(listen_until_killed, path);
        if (is_drop) {
            t_expect(connect_to_late(path, T_WRONG, &c), FM_EAUTH);
        } else {
            t_expect(connect_to_late(path, T_KEY, &c), 0);
            t_expect(fm_conn_recv_timed(c, &byte, 1, NULL, T_LOST), FM_ECLOSED);
            t_expect(fm_conn_close(c), 0);
        }
        assert_int_equal(t_signal(t_wait_child(child)), SIGKILL);
        fmi_fault_arm(NULL, 0, 0);
        t_expect(fm_connect(path, T_KEY, NULL, &c), -ECONNREFUSED);
        t_expect(fm_listener_open(&l, path, T_KEY, NULL), -EADDRINUSE);
        assert_non_null(strstr(fm_error_detail(), "remove the file"));
        assert_int_equal(unlink(path), 0);
        l = t_listen(path);
        serve_one(l);
        t_expect(fm_listener_close(l), 0);
    }
}

#else
static void test_client_killed_while_it_shows_its_key_costs_nobody_else(void **state)
{
    (void)state;
    t_skip("a build with FORKMAP_FAULTS");
}

static void test_listener_killed_as_it_accepts_leaves_a_client_with_the_end(void **state)
{
    (void)state;
    t_skip("a build with FORKMAP_FAULTS");
}
#endif

/* ---- at any moment --------------------------------------------------------------------------------- */

static void send_until_killed(void *address)
{
    static char message[MESSAGE_BYTES];
    fm_conn *c;
    memset(message, 'm', sizeof message);
    if (fm_connect(address, T_KEY, NULL, &c) != 0)
        _exit(1);
    while (fm_conn_send(c, message, sizeof message) == 0)
        ;
    _exit(1);
}

/* Whole messages, then the end. */
static int count_messages(fm_conn *c)
{
    static char buf[MESSAGE_BYTES];
    size_t bytes;
    int rc, n = 0;
    while ((rc = fm_conn_recv_timed(c, buf, sizeof buf, &bytes, T_LOST)) == 0) {
        assert_int_equal(bytes, MESSAGE_BYTES);
        assert_true(buf[0] == 'm' && memcmp(buf, buf + 1, sizeof buf - 1) == 0);
        n++;
    }
    t_expect(rc, FM_ECLOSED);
    return n;
}

static void test_listener_survives_clients_that_are_killed_at_any_moment(void **state)
{
    (void)state;
    fm_listener *l = t_listen(NULL);
    int n_accepted = 0, n_messages = 0;
    t_expect(fm_log_set(FM_LOG_OFF, NULL, NULL), 0);
    for (int i = 0; i < ROUNDS; i++) {
        fm_conn *c;
        pid_t child = t_start_child(send_until_killed, (void *)fm_listener_address(l));
        int rc = fm_listener_accept(l, FM_US(i * 25 % 5000), &c);
        kill(child, SIGKILL);
        assert_int_equal(t_signal(t_wait_child(child)), SIGKILL);
        if (rc == -ETIMEDOUT && i % 50 == 0)
            serve_one(l);
        if (rc == 0) {
            n_accepted++;
            n_messages += count_messages(c);
            t_expect(fm_conn_close(c), 0);
        } else {
            t_expect(rc, -ETIMEDOUT);
        }
    }
    t_expect(fm_log_set(FM_LOG_WARNING, NULL, NULL), 0);
    print_message("%d of %d clients got in before they were killed, with %d messages\n", n_accepted,
                  ROUNDS, n_messages);
    serve_one(l);
    t_expect(fm_listener_close(l), 0);
}

static void sleep_on(void *arg)
{
    char byte;
    (void)!read(*(int *)arg, &byte, 1);
}

static void test_listener_ends_strangers_whom_a_forked_child_has_too(void **state)
{
    (void)state;
    int wake[2], stranger;
    uint8_t body[1024];
    struct pollfd wait;
    fm_listener *l = t_listen(NULL);
    assert_int_equal(pipe(wake), 0);
    stranger = t_plug(fm_listener_address(l));
    let_go_on(l, FM_MS(20));
    pid_t child = t_start_child(sleep_on, &wake[0]); /* has the stranger's socket, and the poller */
    t_write(stranger, "\0\0\0\3bad", 7);
    let_go_on(l, FM_MS(50));
    assert_int_equal(t_read_frame(stranger, body), 59);
    assert_int_equal(t_read_frame(stranger, body), 9);
    wait = (struct pollfd){.fd = stranger, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 5000), 1);
    assert_int_equal(t_read_frame(stranger, body), -1); /* it is over, though the child lives */
    serve_one(l);                                       /* in its place */
    wait = (struct pollfd){.fd = fm_listener_fileno(l), .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 0), 0); /* the poller tells of it no more */
    assert_int_equal(write(wake[1], "x", 1), 1);
    assert_int_equal(t_exit_code(t_wait_child(child)), 0);
    close(stranger);
    close(wake[0]);
    close(wake[1]);
    t_expect(fm_listener_close(l), 0);
}

T_MAIN(T_TEST(test_client_killed_while_it_shows_its_key_costs_nobody_else),
       T_TEST(test_listener_killed_as_it_accepts_leaves_a_client_with_the_end),
       T_TEST(test_listener_survives_clients_that_are_killed_at_any_moment),
       T_TEST(test_listener_ends_strangers_whom_a_forked_child_has_too))
