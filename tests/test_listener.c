/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* TIMEOUT: 60 */
/* Listeners and clients: each row of the API and each error, by paths and by TCP, and what a connection that is a socket does differently from a pipe. */
#include "t_listener.h"
#include "t_wait.h"

#include <signal.h>
#include <sys/wait.h>

enum { BIG = 8 << 20 };

/* ---- addresses ------------------------------------------------------------------------------------- */

static void carry(const char *address, const char *prefix)
{
    fm_listener *l = t_listen(address);
    struct t_two two;
    assert_int_equal(strncmp(fm_listener_address(l), prefix, strlen(prefix)), 0);
    assert_string_equal(fm_listener_last_accepted(l), "");
    two = t_meet(l);
    if (strchr(prefix, '/') == NULL)
        assert_non_null(strchr(fm_listener_last_accepted(l), ':'));
    else
        assert_string_equal(fm_listener_last_accepted(l), "");
    t_send_text(two.here, "there");
    t_send_text(two.here, "");
    t_send_text(two.there, "back");
    t_expect_text(two.there, "there");
    t_expect_text(two.there, "");
    t_expect_text(two.here, "back");
    t_part(two);
    t_expect(fm_listener_close(l), 0);
}

static void test_listener_on_a_path_is_for_this_user_and_is_removed_at_close(void **state)
{
    (void)state;
    char path[200];
    struct stat file;
    snprintf(path, sizeof path, "%s/here", t_temp_dir());
    carry(path, path);
    assert_int_equal(lstat(path, &file), -1);
    fm_listener *l = t_listen(path);
    assert_int_equal(lstat(path, &file), 0);
    assert_true(S_ISSOCK(file.st_mode));
    assert_int_equal(file.st_mode & 0777, 0600);
    t_expect(fm_listener_close(l), 0);
    assert_int_equal(lstat(path, &file), -1);
}

static void test_listener_chooses_a_path_in_a_folder_of_its_own(void **state)
{
    (void)state;
    char folder[200];
    struct stat file;
    setenv("TMPDIR", t_temp_dir(), 1);
    carry(NULL, t_temp_dir());
    fm_listener *l = t_listen(NULL), *other = t_listen(NULL);
    assert_string_not_equal(fm_listener_address(l), fm_listener_address(other));
    snprintf(folder, sizeof folder, "%s", fm_listener_address(l));
    *strrchr(folder, '/') = '\0';
    assert_int_equal(stat(folder, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0700);
    t_expect(fm_listener_close(l), 0);
    t_expect(fm_listener_close(other), 0);
    assert_int_equal(stat(folder, &file), -1);
    setenv("TMPDIR", "relative", 1);
    carry(NULL, "/tmp/forkmap-");
    unsetenv("TMPDIR");
}

static void test_listener_on_tcp_listens_on_loopback_and_chooses_a_port(void **state)
{
    (void)state;
    carry("127.0.0.1:0", "127.0.0.1:");
    carry("localhost:0", "127.0.0.1:");
    carry(":0", "127.0.0.1:");
}

static void test_listener_on_ipv6(void **state)
{
    (void)state;
    fm_listener *l;
    int rc = fm_listener_open(&l, "[::1]:0", T_KEY, NULL);
    if (rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT)
        t_skip("IPv6");
    t_expect(rc, 0);
    t_expect(fm_listener_close(l), 0);
    carry("[::1]:0", "[::1]:");
}

static void test_listener_refuses_what_is_no_address(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        int code;
    } bad[] = {{"", -EINVAL},
               {"127.0.0.1:", -EINVAL},
               {"127.0.0.1:65536", -EINVAL},
               {"127.0.0.1:x", -EINVAL},
               {"127.0.0.1:-1", -EINVAL},
               {"[::1:5", -EINVAL},
               {"]:5", -EHOSTUNREACH},
               {"/no/such/folder/x", -ENOENT},
               {"/dev/null/x", -ENOTDIR},
               {"192.0.2.1:0", -EADDRNOTAVAIL}};
    char long_path[200] = "/tmp/";
    fm_listener *l = (fm_listener *)&l;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        t_expect(fm_listener_open(&l, bad[i].address, T_KEY, NULL), bad[i].code);
        assert_null(l);
    }
    memset(long_path + 5, 'x', 103);
    t_expect(fm_listener_open(&l, long_path, T_KEY, NULL), -ENAMETOOLONG);
    long_path[107] = '\0';
    t_expect(fm_listener_open(&l, long_path, T_KEY, NULL), 0);
    t_expect(fm_listener_close(l), 0);
}

static void test_listener_refuses_keys_and_options_that_are_none(void **state)
{
    (void)state;
    static char big[4097];
    fm_listener *l = (fm_listener *)&l;
    fm_conn *c = (fm_conn *)&c;
    t_expect(fm_listener_open(NULL, NULL, T_KEY, NULL), -EINVAL);
    t_expect(fm_listener_open(&l, ":0", NULL, 0, NULL), -EINVAL); /* TCP without a key */
    assert_null(l);
    t_expect(fm_listener_open(&l, NULL, "", 0, NULL), -EINVAL);
    t_expect(fm_listener_open(&l, NULL, NULL, 3, NULL), -EINVAL);
    t_expect(fm_listener_open(&l, NULL, big, sizeof big, NULL), -EINVAL);
    t_expect(fm_listener_open(&l, NULL, T_KEY, FM_LISTENER_OPTS(.flags = 2)), -EINVAL);
    t_expect(fm_listener_open(&l, NULL, T_KEY, FM_LISTENER_OPTS(.max_strangers = -1)), -EINVAL);
    t_expect(fm_listener_open(&l, NULL, T_KEY, FM_LISTENER_OPTS(.auth_timeout = -1)), -EINVAL);
    t_expect(fm_connect("/x", T_KEY, NULL, NULL), -EINVAL);
    t_expect(fm_connect(NULL, T_KEY, NULL, &c), -EINVAL);
    assert_null(c);
    t_expect(fm_connect("127.0.0.1:5", NULL, 0, NULL, &c), -EINVAL);
    t_expect(fm_connect("/x", "", 0, NULL, &c), -EINVAL);
    t_expect(fm_connect("/x", T_KEY, FM_CONNECT_OPTS(.flags = 2), &c), -EINVAL);
    t_expect(fm_connect("/x", T_KEY, FM_CONNECT_OPTS(.timeout = -2), &c), -EINVAL);
    t_expect(fm_listener_accept(NULL, 0, &c), -EINVAL);
    t_expect(fm_listener_fileno(NULL), -EINVAL);
    assert_string_equal(fm_listener_address(NULL), "");
    assert_string_equal(fm_listener_last_accepted(NULL), "");
    t_expect(fm_listener_close(NULL), 0);
}

static void test_listener_says_whether_who_has_its_path_is_alive(void **state)
{
    (void)state;
    char path[100];
    struct stat file;
    fm_listener *l, *second;
    snprintf(path, sizeof path, "%s/here", t_temp_dir());
    l = t_listen(path);
    t_expect(fm_listener_open(&second, path, T_KEY, NULL), -EADDRINUSE);
    assert_null(strstr(fm_error_detail(), "remove the file"));
    t_expect(fm_listener_close(l), 0);

    int fd = socket(AF_UNIX, SOCK_STREAM, 0); /* as a listener that was killed */
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    assert_int_equal(bind(fd, (void *)&at, sizeof at), 0);
    close(fd);
    t_expect(fm_listener_open(&second, path, T_KEY, NULL), -EADDRINUSE);
    assert_non_null(strstr(fm_error_detail(), "remove the file"));
    assert_int_equal(lstat(path, &file), 0); /* nobody removes it unasked */
    fm_conn *c;
    t_expect(fm_connect(path, T_KEY, NULL, &c), -ECONNREFUSED);
    assert_int_equal(unlink(path), 0);
    t_expect(fm_connect(path, T_KEY, NULL, &c), -ENOENT);

    l = t_listen(path); /* its file is replaced: the other one's is left */
    assert_int_equal(unlink(path), 0);
    second = t_listen(path);
    t_expect(fm_listener_close(l), 0);
    assert_int_equal(lstat(path, &file), 0);
    t_expect(fm_listener_close(second), 0);
    assert_int_equal(lstat(path, &file), -1);
}

/* ---- keys ------------------------------------------------------------------------------------------ */

static void test_listener_without_a_key_serves_this_user_on_a_path(void **state)
{
    (void)state;
    fm_listener *l;
    struct t_client client;
    fm_conn *c;
    t_expect(fm_listener_open(&l, NULL, NULL, 0, NULL), 0);
    t_start_client(&client, fm_listener_address(l), NULL, 0);
    t_expect(fm_listener_accept(l, T_LOST, &c), 0);
    t_expect(t_join_client(&client), 0);
    t_send_text(client.c, "hello");
    t_expect_text(c, "hello");
    t_part((struct t_two){c, client.c});
    t_expect(fm_connect(fm_listener_address(l), T_KEY, FM_CONNECT_OPTS(.timeout = FM_MS(50)), &c),
             -ETIMEDOUT); /* it is not asked for its key */
    t_expect(fm_listener_close(l), 0);
}

static void test_listener_refuses_a_wrong_key_with_a_line_and_goes_on(void **state)
{
    (void)state;
    static const char *const addresses[] = {NULL, "127.0.0.1:0"};
    for (int i = 0; i < 2; i++) {
        struct t_client bad, good;
        struct t_lines lines;
        fm_conn *c;
        fm_listener *l = t_listen(addresses[i]);
        t_hear(&lines);
        t_start_client(&bad, fm_listener_address(l), T_WRONG);
        t_expect(fm_listener_accept(l, FM_MS(300), &c), -ETIMEDOUT);
        assert_null(c);
        t_expect(t_join_client(&bad), FM_EAUTH);
        assert_null(bad.c);
        assert_int_equal(lines.n, 1);
        assert_non_null(strstr(lines.last, "another key"));
        assert_null(strstr(lines.last, "for tests"));
        t_start_client(&good, fm_listener_address(l), T_KEY);
        t_expect(fm_listener_accept(l, T_LOST, &c), 0);
        t_expect(t_join_client(&good), 0);
        t_part((struct t_two){c, good.c});
        assert_int_equal(lines.n, 1);
        t_expect(fm_listener_close(l), 0);
        t_hear_no_more();
    }
    assert_string_equal(fm_strerror(FM_EAUTH), "wrong key");
}

/* ---- connections ----------------------------------------------------------------------------------- */

static void test_socket_message_longer_than_the_buffer_stays_and_tells_its_size(void **state)
{
    (void)state;
    fm_listener *l = t_listen(NULL);
    struct t_two two = t_meet(l);
    char buf[12] = "...........";
    size_t bytes = 0;
    t_send_text(two.here, "0123456789");
    t_send_text(two.here, "next");
    for (int i = 0; i < 2; i++) {
        t_expect(fm_conn_recv(two.there, buf, 9, &bytes), FM_ETOOLONG);
        assert_int_equal(bytes, 10);
        t_expect(fm_conn_poll(two.there, FM_NOWAIT), 1);
        t_expect(fm_conn_recv_into(two.there, buf, 3, 12, &bytes), FM_ETOOLONG);
        assert_int_equal(bytes, 10);
    }
    t_expect(fm_conn_recv(two.there, NULL, 0, &bytes), FM_ETOOLONG);
    assert_string_equal(buf, "...........");
    t_expect(fm_conn_recv_into(two.there, buf, 1, 11, &bytes), 0);
    assert_string_equal(buf, ".0123456789");
    t_expect_text(two.there, "next");
    t_expect(fm_conn_send_part(two.there, "0123456789", 3, 4), 0);
    t_expect_text(two.here, "3456");
    t_part(two);
    t_expect(fm_listener_close(l), 0);
}

static void test_socket_refuses_what_a_pipe_refuses(void **state)
{
    (void)state;
    fm_listener *l = t_listen(NULL);
    struct t_two two = t_meet(l);
    char byte = 0;
    t_expect(fm_conn_send(two.here, NULL, 1), -EINVAL);
    t_expect(fm_conn_send_part(two.here, NULL, 0, 1), -EINVAL);
    t_expect(fm_conn_recv(two.here, NULL, 1, NULL), -EINVAL);
    t_expect(fm_conn_recv_into(two.here, &byte, 2, 1, NULL), -EINVAL);
    t_expect(fm_conn_give(two.here, 0), -EINVAL);
    t_expect(fm_conn_recv_timed(two.here, &byte, 1, NULL, FM_NOWAIT), -ETIMEDOUT);
    t_expect(fm_conn_recv_timed(two.here, &byte, 1, NULL, FM_MS(20)), -ETIMEDOUT);
    t_expect(fm_conn_poll(two.here, FM_NOWAIT), -ETIMEDOUT);
    t_expect(fm_conn_poll(two.here, FM_MS(20)), -ETIMEDOUT);
    t_part(two);
    t_expect(fm_listener_close(l), 0);
}

static void test_socket_end_comes_after_the_last_message(void **state)
{
    (void)state;
    fm_listener *l = t_listen(":0");
    struct t_two two = t_meet(l);
    char byte;
    size_t bytes = 7;
    t_send_text(two.here, "last");
    t_expect(fm_conn_close(two.here), 0);
    t_expect(fm_conn_poll(two.there, T_LOST), 1);
    t_expect_text(two.there, "last");
    for (int i = 0; i < 2; i++) {
        t_expect(fm_conn_poll(two.there, T_LOST), 1);
        t_expect(fm_conn_recv(two.there, &byte, 1, &bytes), FM_ECLOSED);
        assert_int_equal(bytes, 0);
    }
    int rc = 0;
    for (int i = 0; i < 1000 && rc == 0; i++) { /* the first may still go out; no SIGPIPE */
        rc = fm_conn_send(two.there, "x", 1);
        usleep(1000);
    }
    t_expect(rc, FM_ECLOSED);
    t_expect(fm_conn_close(two.there), 0);
    t_expect(fm_listener_close(l), 0);
}

static void test_socket_is_waited_for_with_pipes_and_listeners(void **state)
{
    (void)state;
    fm_listener *l = t_listen(NULL);
    struct t_two two = t_meet(l);
    struct t_client client;
    fm_conn *a, *b;
    int ready[3];
    t_expect(fm_pipe(&a, &b, 0), 0);
    const fm_waitable objects[] = {FM_WAIT_CONN(two.there), FM_WAIT_CONN(a),
                                   FM_WAIT_FD(fm_listener_fileno(l))};
    t_expect(fm_wait(objects, 3, ready, FM_MS(10)), -ETIMEDOUT);
    t_send_text(two.here, "now");
    t_expect_wait(objects, 3, T_LOST, (const int[]){1, 0, 0});
    t_expect_text(two.there, "now");
    t_expect(fm_conn_send(b, "x", 1), 0);
    t_expect_wait(objects, 3, T_LOST, (const int[]){0, 1, 0});
    t_expect_text(a, "x");
    t_start_client(&client, fm_listener_address(l), T_KEY);
    fm_conn *c = NULL;
    for (int rc = -ETIMEDOUT; rc == -ETIMEDOUT; rc = fm_listener_accept(l, FM_NOWAIT, &c))
        t_expect_wait(objects, 3, T_LOST, (const int[]){0, 0, 1});
    assert_non_null(c);
    t_expect(t_join_client(&client), 0);
    t_part((struct t_two){c, client.c});
    t_part((struct t_two){a, b});
    t_part(two);
    t_expect(fm_listener_close(l), 0);
}

static void test_listener_accepts_several_that_wait_each_in_turn(void **state)
{
    (void)state;
    enum { N = 8 };
    struct t_client clients[N];
    fm_conn *c[N];
    fm_listener *l = t_listen(NULL);
    for (int i = 0; i < N; i++)
        t_start_client(&clients[i], fm_listener_address(l), T_KEY);
    for (int i = 0; i < N; i++)
        t_expect(fm_listener_accept(l, T_LOST, &c[i]), 0);
    fm_conn *none;
    t_expect(fm_listener_accept(l, FM_NOWAIT, &none), -ETIMEDOUT);
    for (int i = 0; i < N; i++) {
        t_expect(t_join_client(&clients[i]), 0);
        t_expect(fm_conn_close(clients[i].c), 0);
        t_expect(fm_conn_close(c[i]), 0);
    }
    t_expect(fm_listener_close(l), 0);
}

/* ---- large messages, and times that run out in the middle ------------------------------------------ */

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 2654435761U >> 13);
}

static void *send_big(void *arg)
{
    uint8_t *bytes = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        bytes[i] = byte_at(i);
    int rc = fm_conn_send(arg, bytes, BIG);
    free(bytes);
    return (void *)(intptr_t)rc;
}

static void test_socket_receive_whose_time_is_over_in_the_middle_changes_nothing(void **state)
{
    (void)state;
    fm_listener *l = t_listen(NULL);
    struct t_two two = t_meet(l);
    pthread_t sender;
    void *rc;
    uint8_t *buf = malloc(BIG);
    size_t bytes = 0;
    int n_late = 0, code;
    assert_int_equal(pthread_create(&sender, NULL, send_big, two.here), 0);
    for (size_t cap = 0;;
         cap = BIG) { /* first too short, then in very short times, into a buffer that is wiped */
        memset(buf, 0, BIG);
        code = fm_conn_recv_timed(two.there, buf, cap, &bytes, n_late > 50 ? T_LOST : FM_NOWAIT);
        if (code == 0)
            break;
        assert_true(code == -ETIMEDOUT || (code == FM_ETOOLONG && bytes == BIG));
        n_late += code == -ETIMEDOUT;
    }
    assert_true(n_late > 0);
    assert_int_equal(bytes, BIG);
    for (size_t i = 0; i < BIG; i++)
        if (buf[i] != byte_at(i))
            fail_msg("byte %zu", i);
    assert_int_equal(pthread_join(sender, &rc), 0);
    assert_null(rc);
    free(buf);
    t_part(two);
    t_expect(fm_listener_close(l), 0);
}

static void test_socket_send_whose_time_is_over_before_it_began_changes_nothing(void **state)
{
    (void)state;
    fm_listener *l = t_listen(NULL);
    struct t_two two = t_meet(l);
    int n = 0, got, rc;
    while ((rc = fm_conn_send_timed(two.here, &n, sizeof n, FM_NOWAIT)) == 0)
        n++;
    t_expect(rc, -ETIMEDOUT);
    t_expect(fm_conn_send_timed(two.here, &n, sizeof n, FM_MS(20)), -ETIMEDOUT);
    assert_true(n > 10);
    for (int i = 0; i < n; i++) {
        t_expect(fm_conn_recv_timed(two.there, &got, sizeof got, NULL, T_LOST), 0);
        assert_int_equal(got, i);
    }
    t_expect(fm_conn_recv_timed(two.there, &got, sizeof got, NULL, FM_NOWAIT), -ETIMEDOUT);
    t_expect(fm_conn_send_timed(two.here, &n, sizeof n, FM_NOWAIT), 0);
    t_part(two);
    t_expect(fm_listener_close(l), 0);
}

static void test_socket_peer_that_takes_half_a_message_and_no_more_is_given_up(void **state)
{
    (void)state;
    fm_listener *l = t_listen(NULL);
    struct t_two two = t_meet(l);
    uint8_t *bytes = calloc(1, BIG);
    t_expect(fm_conn_send_timed(two.here, bytes, BIG, FM_NOWAIT), FM_ECLOSED); /* after 5 s */
    t_expect(fm_conn_send(two.here, "x", 1), FM_ECLOSED);
    t_expect(fm_conn_recv(two.there, bytes, BIG, NULL), FM_ECLOSED); /* no half message */
    free(bytes);
    t_part(two);
    t_expect(fm_listener_close(l), 0);
}

/* ---- other processes ------------------------------------------------------------------------------- */

struct inherited {
    fm_listener *l;
    fm_conn *c;
};

static void use_in_child(void *arg)
{
    struct inherited *in = arg;
    fm_conn *c;
    char buf[8];
    size_t bytes;
    if (fm_listener_accept(in->l, 0, &c) != FM_EFORKED || fm_listener_fileno(in->l) != FM_EFORKED)
        _exit(1);
    if (fm_listener_close(in->l) != 0)
        _exit(2);
    if (fm_conn_recv(in->c, buf, sizeof buf, &bytes) != 0 || bytes != 5)
        _exit(3);
    if (fm_conn_send(in->c, buf, bytes) != 0 || fm_conn_close(in->c) != 0)
        _exit(4);
}

static void test_listener_and_its_connections_in_a_forked_child(void **state)
{
    (void)state;
    struct inherited in = {.l = t_listen(NULL)};
    struct t_two two = t_meet(in.l);
    in.c = two.here;
    pid_t child = t_start_child(use_in_child, &in);
    t_send_text(two.there, "child");
    t_expect_text(two.there, "child");
    assert_int_equal(t_exit_code(t_wait_child(child)), 0);
    t_send_text(two.there, "still"); /* neither is closed here */
    t_expect_text(two.here, "still");
    t_part(two);
    t_part(t_meet(in.l));
    t_expect(fm_listener_close(in.l), 0);
}

static void serve_in_child(void *arg)
{
    fm_conn *c = arg;
    char text[8];
    size_t bytes;
    while (fm_conn_recv(c, text, sizeof text, &bytes) == 0)
        if (fm_conn_send(c, text, bytes) != 0)
            _exit(1);
}

static void test_socket_close_ends_it_for_all_unless_another_process_owns_it(void **state)
{
    (void)state;
    fm_listener *l = t_listen(NULL);
    char byte;
    for (int is_given = 0; is_given < 2; is_given++) {
        struct t_two two = t_meet(l);
        pid_t child = t_start_child(serve_in_child, two.here);
        if (is_given)
            t_expect(fm_conn_give(two.here, child), 0);
        t_expect(fm_conn_close(two.here), 0);
        if (is_given) {
            t_send_text(two.there, "hello");
            t_expect_text(two.there, "hello");
        } else {
            t_expect(fm_conn_recv_timed(two.there, &byte, 1, NULL, T_LOST), FM_ECLOSED);
        }
        t_expect(fm_conn_close(two.there),
                 0); /* ours: the child's copy of it is no other end's life */
        assert_int_equal(t_exit_code(t_wait_child(child)), 0);
    }
    t_expect(fm_listener_close(l), 0);
}

static void connect_and_die(void *arg)
{
    fm_conn *c;
    if (fm_connect(arg, T_KEY, NULL, &c) != 0 || fm_conn_send(c, "last", 4) != 0)
        _exit(1);
    raise(SIGKILL);
}

static void test_socket_peer_that_is_killed_is_gone_after_its_last_message(void **state)
{
    (void)state;
    fm_listener *l = t_listen(":0");
    fm_conn *c;
    char byte;
    pid_t child = t_start_child(connect_and_die, (void *)fm_listener_address(l));
    t_expect(fm_listener_accept(l, T_LOST, &c), 0);
    t_expect_text(c, "last");
    t_expect(fm_conn_recv_timed(c, &byte, 1, NULL, T_LOST), FM_ECLOSED);
    assert_int_equal(t_signal(t_wait_child(child)), SIGKILL);
    t_expect(fm_conn_close(c), 0);
    t_expect(fm_listener_close(l), 0);
}

static void on_signal(int number)
{
    (void)number;
}

static void *disturb(void *arg)
{
    for (int i = 0; i < 200; i++) {
        pthread_kill(*(pthread_t *)arg, SIGUSR1);
        usleep(1000);
    }
    return NULL;
}

static void test_listener_waits_are_not_ended_by_signals(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = on_signal}, before; /* no SA_RESTART */
    pthread_t self = pthread_self(), thread;
    fm_listener *l = t_listen(NULL);
    struct t_two two = t_meet(l);
    fm_conn *c;
    char byte;
    sigaction(SIGUSR1, &action, &before);
    assert_int_equal(pthread_create(&thread, NULL, disturb, &self), 0);
    t_expect(fm_listener_accept(l, FM_MS(60), &c), -ETIMEDOUT);
    t_expect(fm_conn_recv_timed(two.here, &byte, 1, NULL, FM_MS(60)), -ETIMEDOUT);
    t_expect(fm_connect(fm_listener_address(l), T_KEY, FM_CONNECT_OPTS(.timeout = FM_MS(60)), &c),
             -ETIMEDOUT);
    assert_int_equal(pthread_join(thread, NULL), 0);
    sigaction(SIGUSR1, &before, NULL);
    t_part(two);
    t_expect(fm_listener_close(l), 0);
}

T_MAIN(T_TEST(test_listener_on_a_path_is_for_this_user_and_is_removed_at_close),
       T_TEST(test_listener_chooses_a_path_in_a_folder_of_its_own),
       T_TEST(test_listener_on_tcp_listens_on_loopback_and_chooses_a_port),
       T_TEST(test_listener_on_ipv6), T_TEST(test_listener_refuses_what_is_no_address),
       T_TEST(test_listener_refuses_keys_and_options_that_are_none),
       T_TEST(test_listener_says_whether_who_has_its_path_is_alive),
       T_TEST(test_listener_without_a_key_serves_this_user_on_a_path),
       T_TEST(test_listener_refuses_a_wrong_key_with_a_line_and_goes_on),
       T_TEST(test_socket_message_longer_than_the_buffer_stays_and_tells_its_size),
       T_TEST(test_socket_refuses_what_a_pipe_refuses),
       T_TEST(test_socket_end_comes_after_the_last_message),
       T_TEST(test_socket_is_waited_for_with_pipes_and_listeners),
       T_TEST(test_listener_accepts_several_that_wait_each_in_turn),
       T_TEST(test_socket_receive_whose_time_is_over_in_the_middle_changes_nothing),
       T_TEST(test_socket_send_whose_time_is_over_before_it_began_changes_nothing),
       T_TEST(test_socket_peer_that_takes_half_a_message_and_no_more_is_given_up),
       T_TEST(test_listener_and_its_connections_in_a_forked_child),
       T_TEST(test_socket_close_ends_it_for_all_unless_another_process_owns_it),
       T_TEST(test_socket_peer_that_is_killed_is_gone_after_its_last_message),
       T_TEST(test_listener_waits_are_not_ended_by_signals))
