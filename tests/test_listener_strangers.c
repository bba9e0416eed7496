/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* TIMEOUT: 100 */
/*
 * Whoever connects and is not an honest client: silent, slow, too many, of another user, with frames that are none, with half frames, with questions and answers of others. A socket
 * by hand is one of these; an honest client is served meanwhile.
 */
#include "t_listener.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

enum { MANY = 1000, SPARE = 64 };

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static fm_listener *listen_with(const char *address, const fm_listener_opts *opts)
{
    fm_listener *l;
    t_expect(fm_listener_open(&l, address, T_KEY, opts), 0);
    return l;
}

/* Whatever is under way goes on for some time; nobody is accepted. */
static void let_go_on(fm_listener *l, int64_t ns)
{
    fm_conn *c;
    t_expect(fm_listener_accept(l, ns, &c), -ETIMEDOUT);
}

static void serve_one(fm_listener *l)
{
    t_part(t_meet(l));
}

static int is_over(int fd) /* the listener has closed it */
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    uint8_t body[1024];
    while (poll(&wait, 1, 0) == 1)
        if (t_read_frame(fd, body) < 0)
            return 1;
    return 0;
}

/* ---- many ------------------------------------------------------------------------------------------ */

struct crowd {
    const char *address;
    int fd[MANY];
    _Atomic int is_over, n_there;
};

/* A byte a second each: the first of a frame of 32 bytes, and so on. */
static void *be_slow(void *arg)
{
    struct crowd *crowd = arg;
    static const uint8_t bytes[] = {0, 0, 0, 32};
    for (int k = 0; !crowd->is_over; k++)
        for (int i = 0; i < MANY && !crowd->is_over; i++) {
            (void)send(crowd->fd[i], &bytes[k < 4 ? k : 3], 1, MSG_NOSIGNAL);
            usleep(1000000 / MANY);
        }
    return NULL;
}

static void raise_fd_limit(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < 2 * MANY + 100)
        t_skip("descriptors for 1000 connections");
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void serve_beside(const char *address, int are_slow)
{
    static struct crowd crowd;
    fm_listener *l = listen_with(address, FM_LISTENER_OPTS(.auth_timeout = FM_SECONDS(60)));
    pthread_t thread;
    int64_t most_ns = 0, all_ns = 0;
    enum { TIMES = 5 };
    crowd.is_over = 0;
    raise_fd_limit();
    for (int i = 0; i < MANY; i++)
        assert_true((crowd.fd[i] = t_plug(fm_listener_address(l))) >= 0);
    if (are_slow)
        assert_int_equal(pthread_create(&thread, NULL, be_slow, &crowd), 0);
    for (int i = 0; i < TIMES; i++) { /* the first while they are still in the queue */
        int64_t begin_ns = now_ns();
        serve_one(l);
        int64_t ns = now_ns() - begin_ns;
        most_ns = ns > most_ns ? ns : most_ns;
        all_ns += ns;
    }
    print_message("%d %s: an honest client is served in %.1f ms at most, %.1f on average\n", MANY,
                  are_slow ? "slow" : "silent", (double)most_ns / 1e6,
                  (double)all_ns / TIMES / 1e6);
    crowd.is_over = 1;
    if (are_slow)
        assert_int_equal(pthread_join(thread, NULL), 0);
    for (int i = 0; i < MANY; i++) {
        assert_true(are_slow || !is_over(crowd.fd[i]));
        close(crowd.fd[i]);
    }
    t_expect(fm_listener_close(l), 0);
}

static void test_listener_serves_an_honest_client_beside_1000_silent_ones(void **state)
{
    (void)state;
    serve_beside(NULL, 0);
    serve_beside("127.0.0.1:0", 0);
}

static void test_listener_serves_an_honest_client_beside_1000_slow_ones(void **state)
{
    (void)state;
    serve_beside(NULL, 1);
}

static void test_listener_drops_the_oldest_of_too_many_strangers(void **state)
{
    (void)state;
    enum { MOST = 3, N = 5 };
    struct t_lines lines;
    int fd[N];
    fm_listener *l = listen_with(NULL, FM_LISTENER_OPTS(.max_strangers = MOST));
    t_hear(&lines);
    for (int i = 0; i < N; i++) {
        fd[i] = t_plug(fm_listener_address(l));
        let_go_on(l, FM_MS(20));
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(is_over(fd[i]), i < N - MOST);
    assert_int_equal(lines.n, N - MOST);
    assert_non_null(strstr(lines.last, "too many"));
    serve_one(l); /* in the place of the third */
    assert_true(is_over(fd[N - MOST]));
    assert_false(is_over(fd[N - 1]));
    for (int i = 0; i < N; i++)
        close(fd[i]);
    t_hear_no_more();
    t_expect(fm_listener_close(l), 0);
}

static void test_listener_refuses_who_shows_no_key_in_time(void **state)
{
    (void)state;
    struct t_lines lines;
    fm_listener *l = listen_with(NULL, FM_LISTENER_OPTS(.auth_timeout = FM_MS(300)));
    t_hear(&lines);
    int fd = t_plug(fm_listener_address(l));
    let_go_on(l, FM_MS(20));
    usleep(400000); /* nobody accepts: that does not count */
    let_go_on(l, FM_MS(20));
    assert_false(is_over(fd));
    let_go_on(l, FM_MS(400));
    assert_true(is_over(fd));
    assert_int_equal(lines.n, 1);
    assert_non_null(strstr(lines.last, "in time"));
    close(fd);
    t_hear_no_more();
    serve_one(l);
    t_expect(fm_listener_close(l), 0);
}

static void test_listener_says_at_most_16_lines_in_a_second(void **state)
{
    (void)state;
    struct t_lines lines;
    fm_listener *l = listen_with(NULL, NULL);
    int64_t begin_ns = now_ns();
    t_hear(&lines);
    for (int i = 0; i < 100; i++) {
        int fd = t_plug(fm_listener_address(l));
        t_write(fd, "\x7f\0\0\0", 4);
        let_go_on(l, FM_MS(1));
        close(fd);
    }
    int64_t seconds = (now_ns() - begin_ns) / 1000000000 + 1;
    assert_true(lines.n >= 16 && lines.n <= 17 * seconds);
    usleep(1100000);
    int fd = t_plug(fm_listener_address(l));
    t_write(fd, "\x7f\0\0\0", 4);
    int before = lines.n;
    let_go_on(l, FM_MS(50));
    assert_true(lines.n == before + 2 ||
                (lines.n == before + 1 && seconds > 6)); /* and how many more there were */
    close(fd);
    t_hear_no_more();
    t_expect(fm_listener_close(l), 0);
}

/* Takes all descriptors that the limit leaves, up to `taken`. */
static int take_descriptors(int like, int taken[SPARE])
{
    struct rlimit limit;
    int n = 0;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)like + SPARE / 2;
    setrlimit(RLIMIT_NOFILE, &limit);
    while (n < SPARE && (taken[n] = dup(like)) >= 0)
        n++;
    return n;
}

static void give_descriptors(int taken[SPARE], int n, const struct rlimit *limit)
{
    while (n > 0)
        close(taken[--n]);
    setrlimit(RLIMIT_NOFILE, limit);
}

static void test_listener_without_descriptors_drops_the_oldest_stranger(void **state)
{
    (void)state;
    struct rlimit limit;
    struct t_lines lines;
    int taken[SPARE];
    fm_conn *c;
    fm_listener *l = listen_with(NULL, NULL);
    getrlimit(RLIMIT_NOFILE, &limit);
    t_hear(&lines);
    int first = t_plug(fm_listener_address(l));
    let_go_on(l, FM_MS(20));
    int second = t_plug(fm_listener_address(l));
    int n = take_descriptors(second, taken);
    let_go_on(l, FM_MS(20));
    int was_first_dropped = is_over(first), was_second_dropped = is_over(second);
    give_descriptors(taken, n, &limit);
    assert_true(n < SPARE);
    assert_true(was_first_dropped);
    assert_false(was_second_dropped);
    assert_int_equal(lines.n, 1);
    close(first);
    close(second);
    let_go_on(l, FM_MS(20));
    first = t_plug(fm_listener_address(l));
    n = take_descriptors(first, taken);
    int rc = fm_listener_accept(l, FM_MS(100), &c);
    give_descriptors(taken, n, &limit);
    t_expect(rc, -EMFILE); /* no stranger is there to be dropped */
    close(first);
    t_hear_no_more();
    serve_one(l);
    t_expect(fm_listener_close(l), 0);
}

/* ---- another user ---------------------------------------------------------------------------------- */

static void connect_as_nobody(void *arg)
{
    fm_conn *c;
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(99);
    int rc = fm_connect(arg, T_KEY, FM_CONNECT_OPTS(.timeout = FM_SECONDS(5)), &c);
    _exit(rc == FM_ECLOSED ? 0 : rc == -EACCES ? 1 : 2);
}

static void test_listener_refuses_another_user_even_with_the_key(void **state)
{
    (void)state;
    struct t_lines lines;
    if (geteuid() != 0)
        t_skip("root, to become another user");
    fm_listener *l = listen_with(NULL, NULL);
    char path[200];
    snprintf(path, sizeof path, "%s", fm_listener_address(l));
    t_hear(&lines);
    pid_t child = t_start_child(connect_as_nobody, path);
    let_go_on(l, FM_MS(300));
    assert_int_equal(t_exit_code(t_wait_child(child)), 1); /* he cannot even come near */
    assert_int_equal(lines.n, 0);
    assert_int_equal(chmod(path, 0777), 0);
    *strrchr(path, '/') = '\0';
    assert_int_equal(chmod(path, 0777), 0);
    child = t_start_child(connect_as_nobody, (void *)fm_listener_address(l));
    let_go_on(l, FM_MS(300));
    assert_int_equal(t_exit_code(t_wait_child(child)), 0);
    assert_int_equal(lines.n, 1);
    assert_non_null(strstr(lines.last, "user 65534"));
    t_hear_no_more();
    serve_one(l);
    t_expect(fm_listener_close(l), 0);
}

struct squatter {
    char path[100];
    int fd;
};

static void squat_as_nobody(void *arg)
{
    struct squatter *s = arg;
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(99);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", s->path);
    if (bind(fd, (void *)&at, sizeof at) != 0 || listen(fd, 5) != 0 || write(s->fd, "x", 1) != 1)
        _exit(98);
    pause();
}

static void test_client_refuses_a_path_at_which_another_user_listens(void **state)
{
    (void)state;
    struct squatter s;
    int ready[2];
    char byte;
    fm_conn *c;
    if (geteuid() != 0)
        t_skip("root, to become another user");
    assert_int_equal(pipe(ready), 0);
    s.fd = ready[1];
    snprintf(s.path, sizeof s.path, "%.80s/squatted", t_temp_dir());
    assert_int_equal(chmod(t_temp_dir(), 0777), 0);
    pid_t child = t_start_child(squat_as_nobody, &s);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    t_expect(fm_connect(s.path, T_KEY, NULL, &c), -EPERM);
    assert_non_null(strstr(fm_error_detail(), "65534"));
    kill(child, SIGKILL);
    assert_int_equal(t_signal(t_wait_child(child)), SIGKILL);
    close(ready[0]);
    close(ready[1]);
}

/* ---- frames before the key ------------------------------------------------------------------------- */

static void test_listener_refuses_frames_that_are_none_or_longer_than_256_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
    } bad[] = {{"\x7f\xff\xff\xff", 4, "2147483647 bytes"},
               {"\0\0\1\1", 4, "257 bytes"},
               {"\xff\xff\xff\xfe", 4, "bytes"},
               {"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", 12, "9223372036854775808 bytes"},
               {"\xff\xff\xff\xff\0\0\0\1\0\0\0\0", 12, "4294967296 bytes"},
               {"\0\0\0\0", 4, "another key"},
               {"\0\0\0\5hello", 9, "another key"},
               {"GET / HTTP/1.1\r\n\r\n", 18, "bytes"}};
    struct t_lines lines;
    uint8_t body[1024];
    fm_listener *l = listen_with("127.0.0.1:0", NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        t_hear(&lines);
        int fd = t_plug(fm_listener_address(l));
        t_write(fd, bad[i].bytes, bad[i].n);
        let_go_on(l, FM_MS(50));
        assert_int_equal(t_read_frame(fd, body), 59);
        assert_memory_equal(body, "#CHALLENGE#{sha256}", 19);
        if (strcmp(bad[i].says, "another key") == 0) {
            assert_int_equal(t_read_frame(fd, body), 9);
            assert_memory_equal(body, "#FAILURE#", 9);
        }
        assert_int_equal(t_read_frame(fd, body), -1);
        assert_int_equal(lines.n, 1);
        assert_non_null(strstr(lines.last, bad[i].says));
        close(fd);
    }
    t_hear_no_more();
    serve_one(l);
    t_expect(fm_listener_close(l), 0);
}

static void test_listener_survives_who_goes_away_at_any_byte(void **state)
{
    (void)state;
    struct t_lines lines;
    uint8_t frame[44] = {0, 0, 0, 40, '{', 's', 'h', 'a', '2', '5', '6', '}'};
    fm_listener *l = listen_with(NULL, NULL);
    t_hear(&lines);
    for (size_t n = 0; n < sizeof frame; n++) {
        int fd = t_plug(fm_listener_address(l));
        t_write(fd, frame, n);
        if (n % 2 == 0)
            let_go_on(l, FM_MS(1));
        close(fd);
        let_go_on(l, FM_MS(1));
    }
    assert_true(lines.n >= 16);
    t_hear_no_more();
    serve_one(l);
    t_expect(fm_listener_close(l), 0);
}

/* ---- questions and answers of others --------------------------------------------------------------- */

/* A listener by hand, at which clients of the library are asked what others were. */
static int listen_by_hand(char path[100])
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(path, 100, "%.80s/hand", t_temp_dir());
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    assert_int_equal(bind(fd, (void *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static void test_client_does_not_answer_what_another_client_has_asked(void **state)
{
    (void)state;
    char path[100];
    struct t_client first, second;
    uint8_t question[1024], body[1024];
    static const char mine[] = "#CHALLENGE#{sha256}0123456789012345678901234567890123456789";
    int fd = listen_by_hand(path);
    t_start_client(&first, path, T_KEY);
    int one = accept(fd, NULL, NULL);
    t_write_frame(one, mine, sizeof mine - 1);
    assert_int_equal(t_read_frame(one, body), 40);
    t_write_frame(one, "#WELCOME#", 9);
    int n = t_read_frame(one, question);
    assert_int_equal(n, 59);
    t_start_client(&second, path, T_KEY); /* would it answer, this were a listener for the first */
    int two = accept(fd, NULL, NULL);
    t_write_frame(two, question, (size_t)n);
    t_expect(t_join_client(&second), FM_EAUTH);
    assert_int_equal(t_read_frame(two, body), -1);
    t_write_frame(one, "no answer", 9);
    t_expect(t_join_client(&first), FM_EAUTH);
    assert_int_equal(t_read_frame(one, body), 9);
    assert_memory_equal(body, "#FAILURE#", 9);
    close(one);
    close(two);
    close(fd);
}

static void test_listener_takes_no_answer_of_another_connection(void **state)
{
    (void)state;
    char path[100];
    struct t_client client;
    struct t_lines lines;
    uint8_t question[1024], answer[1024], body[1024];
    fm_listener *l = listen_with(NULL, NULL);
    int fd = listen_by_hand(path), stranger = t_plug(fm_listener_address(l));
    let_go_on(l, FM_MS(20));
    int n = t_read_frame(stranger, question);
    t_start_client(&client, path, T_KEY); /* an honest client answers that question */
    int one = accept(fd, NULL, NULL);
    t_write_frame(one, question, (size_t)n);
    assert_int_equal(t_read_frame(one, answer), 40);
    close(one);
    t_expect(t_join_client(&client), FM_ECLOSED);
    t_hear(&lines);
    int other = t_plug(fm_listener_address(l)); /* where it is of no use */
    t_write_frame(other, answer, 40);
    let_go_on(l, FM_MS(50));
    assert_int_equal(t_read_frame(other, body), 59);
    assert_memory_not_equal(body, question, 59);
    assert_int_equal(t_read_frame(other, body), 9);
    assert_memory_equal(body, "#FAILURE#", 9);
    assert_int_equal(lines.n, 1);
    t_hear_no_more();
    close(other);
    close(stranger);
    close(fd);
    t_expect(fm_listener_close(l), 0);
}

static void test_client_tells_what_kind_of_listener_it_met(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        int code;
    } said[] = {{"\0\0\0\5hello", 9, FM_EFORMAT},
                {"\x7f\xff\xff\xff", 4, FM_EFORMAT},
                {"", 0, FM_ECLOSED},
                {"\0\0", 2, FM_ECLOSED},
                {"\0\0\0\x1f#CHALLENGE#xxxxxxxxxxxxxxxxxxxx\0\0\0\x09#FAILURE#", 48, FM_EAUTH},
                {"\0\0\0\x1f#CHALLENGE#xxxxxxxxxxxxxxxxxxxx\0\0\0\x03yes", 42, FM_EFORMAT}};
    char path[100];
    int fd = listen_by_hand(path);
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        struct t_client client;
        t_start_client(&client, path, T_KEY);
        int one = accept(fd, NULL, NULL);
        t_write(one, said[i].bytes, said[i].n);
        if (said[i].n < 5)
            shutdown(one, SHUT_WR);
        t_expect(t_join_client(&client), said[i].code);
        assert_null(client.c);
        close(one);
    }
    close(fd);
    fm_conn *c;
    t_expect(fm_connect(path, T_KEY, NULL, &c), -ECONNREFUSED);
}

static void test_md5_is_refused_where_the_options_say_so(void **state)
{
    (void)state;
    static const char old[] = "#CHALLENGE#xxxxxxxxxxxxxxxxxxxx";
    char path[100];
    struct t_client client = {.address = path, .key = "a key for tests", .key_bytes = 15};
    struct t_lines lines;
    uint8_t body[1024];
    int fd = listen_by_hand(path);
    client.flags = FM_CONNECT_NO_MD5;
    assert_int_equal(pthread_create(&client.thread, NULL, t_connect, &client), 0);
    int one = accept(fd, NULL, NULL);
    t_write_frame(one, old, 31);
    t_expect(t_join_client(&client), FM_EAUTH);
    close(one);
    close(fd);
    fm_listener *l = listen_with(NULL, FM_LISTENER_OPTS(.flags = FM_LISTEN_NO_MD5));
    t_hear(&lines);
    one = t_plug(fm_listener_address(l));
    t_write_frame(one, "0123456789012345", 16); /* the length of an MD5 */
    let_go_on(l, FM_MS(50));
    assert_int_equal(t_read_frame(one, body), 59);
    assert_int_equal(t_read_frame(one, body), 9);
    assert_int_equal(lines.n, 1);
    t_hear_no_more();
    close(one);
    serve_one(l);
    t_expect(fm_listener_close(l), 0);
}

/* ---- frames behind the key ------------------------------------------------------------------------- */

/* A connection of a listener without a key, and the socket at its other end. */
static fm_conn *accept_by_hand(fm_listener *l, int *fd)
{
    fm_conn *c;
    *fd = t_plug(fm_listener_address(l));
    t_expect(fm_listener_accept(l, T_LOST, &c), 0);
    return c;
}

static void test_socket_refuses_lengths_that_none_are_or_are_over_the_limit(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {{"\xff\xff\xff\xfe", 4},
               {"\x80\0\0\0", 4},
               {"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", 12},
               {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12},
               {"\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 12},
               {"\0\0\0\x65", 4}};
    fm_listener *l;
    char buf[200];
    size_t bytes = 7;
    int fd;
    t_expect(fm_listener_open(&l, NULL, NULL, 0, FM_LISTENER_OPTS(.max_frame = 100)), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fm_conn *c = accept_by_hand(l, &fd);
        t_write(fd, "\0\0\0\4good", 8);
        t_write(fd, bad[i].bytes, bad[i].n);
        t_expect_text(c, "good");
        for (int k = 0; k < 2; k++) {
            t_expect(fm_conn_recv(c, buf, sizeof buf, &bytes), FM_EFORMAT);
            assert_int_equal(bytes, 0);
            t_expect(fm_conn_poll(c, FM_NOWAIT), 1);
        }
        assert_int_equal(recv(fd, buf, 1, 0), 0); /* it is over for the other side, too */
        t_expect(fm_conn_close(c), 0);
        close(fd);
    }
    fm_conn *c = accept_by_hand(l, &fd);
    t_write(fd, "\xff\xff\xff\xff\0\0\0\0\0\0\0\4long",
            16); /* longer than it need be, as Python takes it */
    t_expect_text(c, "long");
    t_expect(fm_conn_close(c), 0);
    close(fd);
    t_expect(fm_listener_close(l), 0);
}

static void test_socket_takes_no_memory_by_a_length_that_a_peer_names(void **state)
{
    (void)state;
    fm_listener *l;
    char buf[16];
    size_t bytes = 0;
    int fd;
    t_expect(fm_listener_open(&l, NULL, NULL, 0, NULL), 0);
    fm_conn *c = accept_by_hand(l, &fd);
    t_write(fd, "\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 12);
    for (int i = 0; i < 2; i++) {
        t_expect(fm_conn_recv(c, buf, sizeof buf, &bytes), FM_ETOOLONG);
        assert_true(bytes == INT64_MAX);
    }
    t_expect(fm_conn_close(c), 0);
    close(fd);
    t_expect(fm_listener_close(l), 0);
}

static void test_socket_half_a_frame_and_then_the_end_is_no_message(void **state)
{
    (void)state;
    static const char frame[] = "\0\0\0\5hello";
    fm_listener *l;
    t_expect(fm_listener_open(&l, NULL, NULL, 0, NULL), 0);
    for (size_t n = 0; n < 9; n++) {
        char buf[16];
        size_t bytes = 7;
        int fd;
        fm_conn *c = accept_by_hand(l, &fd);
        t_write(fd, "\0\0\0\3yes", 7);
        t_write(fd, frame, n);
        t_expect_text(c, "yes");
        t_expect(fm_conn_recv_timed(c, buf, sizeof buf, &bytes, FM_NOWAIT), -ETIMEDOUT);
        close(fd);
        for (int i = 0; i < 2; i++) {
            t_expect(fm_conn_poll(c, FM_NOWAIT), 1);
            t_expect(fm_conn_recv(c, buf, sizeof buf, &bytes), FM_ECLOSED);
            assert_int_equal(bytes, 0);
        }
        t_expect(fm_conn_close(c), 0);
    }
    t_expect(fm_listener_close(l), 0);
}

static void test_socket_message_that_comes_byte_by_byte_is_whole(void **state)
{
    (void)state;
    static const char frame[] = "\0\0\0\5hello\0\0\0\0\0\0\0\1x";
    static const int whole_at[] = {9, 13, 18};
    fm_listener *l;
    int fd, n_whole = 0;
    t_expect(fm_listener_open(&l, NULL, NULL, 0, NULL), 0);
    fm_conn *c = accept_by_hand(l, &fd);
    for (int i = 1; i <= 18; i++) {
        char buf[16];
        size_t bytes = 7;
        t_write(fd, frame + i - 1, 1);
        int rc = fm_conn_recv_timed(c, buf, sizeof buf, &bytes, FM_NOWAIT);
        assert_int_equal(rc, i == whole_at[n_whole] ? 0 : -ETIMEDOUT);
        if (rc == 0 && n_whole++ == 0)
            assert_memory_equal(buf, "hello", 5);
    }
    assert_int_equal(n_whole, 3);
    t_expect(fm_conn_close(c), 0);
    close(fd);
    t_expect(fm_listener_close(l), 0);
}

T_MAIN(T_TEST(test_listener_serves_an_honest_client_beside_1000_silent_ones),
       T_TEST(test_listener_serves_an_honest_client_beside_1000_slow_ones),
       T_TEST(test_listener_drops_the_oldest_of_too_many_strangers),
       T_TEST(test_listener_refuses_who_shows_no_key_in_time),
       T_TEST(test_listener_says_at_most_16_lines_in_a_second),
       T_TEST(test_listener_without_descriptors_drops_the_oldest_stranger),
       T_TEST(test_listener_refuses_another_user_even_with_the_key),
       T_TEST(test_client_refuses_a_path_at_which_another_user_listens),
       T_TEST(test_listener_refuses_frames_that_are_none_or_longer_than_256_bytes),
       T_TEST(test_listener_survives_who_goes_away_at_any_byte),
       T_TEST(test_client_does_not_answer_what_another_client_has_asked),
       T_TEST(test_listener_takes_no_answer_of_another_connection),
       T_TEST(test_client_tells_what_kind_of_listener_it_met),
       T_TEST(test_md5_is_refused_where_the_options_say_so),
       T_TEST(test_socket_refuses_lengths_that_none_are_or_are_over_the_limit),
       T_TEST(test_socket_takes_no_memory_by_a_length_that_a_peer_names),
       T_TEST(test_socket_half_a_frame_and_then_the_end_is_no_message),
       T_TEST(test_socket_message_that_comes_byte_by_byte_is_whole))
