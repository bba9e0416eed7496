/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* TIMEOUT: 60 */
/* Pipes: each row of the API, duplex and not, between threads and processes of each start method. */
#include "t_process.h"
#include "t_wait.h"

#include "heap.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>

/* What waits longer than this waits for ever. */
#define LOST_NS FM_SECONDS(15)

enum { MOST = 200000, FAR_TOO_LONG_MS = 10000 };

struct pipe_ends {
    fm_conn *a, *b;
};

static struct pipe_ends new_pipe(int duplex)
{
    struct pipe_ends p;
    t_expect(fm_pipe(&p.a, &p.b, duplex), 0);
    assert_non_null(p.a);
    assert_non_null(p.b);
    return p;
}

static void end_pipe(struct pipe_ends p)
{
    t_expect(fm_conn_close(p.a), 0);
    t_expect(fm_conn_close(p.b), 0);
}

static void send_text(fm_conn *c, const char *text)
{
    t_expect(fm_conn_send(c, text, strlen(text)), 0);
}

static void expect_text(fm_conn *c, const char *text)
{
    char buf[64] = "";
    size_t bytes = 0;
    t_expect(fm_conn_recv_timed(c, buf, sizeof buf, &bytes, LOST_NS), 0);
    assert_int_equal(bytes, strlen(text));
    assert_memory_equal(buf, text, bytes);
}

static void expect_nothing(fm_conn *c)
{
    char byte;
    t_expect(fm_conn_recv_timed(c, &byte, 1, NULL, FM_NOWAIT), -ETIMEDOUT);
    t_expect(fm_conn_poll(c, FM_NOWAIT), -ETIMEDOUT);
}

static void expect_end(fm_conn *c)
{
    char byte;
    size_t bytes = 7;
    t_expect(fm_conn_recv(c, &byte, 1, &bytes), FM_ECLOSED);
    assert_int_equal(bytes, 0);
    t_expect(fm_conn_poll(c, FM_FOREVER), 1);
}

static size_t used_bytes(void)
{
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return usage.used_bytes;
}

/* ---- one process ------------------------------------------------------------------------------------ */

static void test_pipe_that_is_duplex_carries_messages_both_ways(void **state)
{
    (void)state;
    struct pipe_ends p = new_pipe(1);
    for (int i = 0; i < 1000; i++) {
        send_text(p.a, "there");
        send_text(p.a, "and again");
        send_text(p.b, "back");
        expect_text(p.b, "there");
        expect_text(p.a, "back");
        expect_text(p.b, "and again");
        expect_nothing(p.a);
        expect_nothing(p.b);
    }
    end_pipe(p);
}

static void test_pipe_that_is_not_duplex_goes_from_the_second_end_to_the_first(void **state)
{
    (void)state;
    char byte = 1;
    struct pipe_ends p = new_pipe(0);
    send_text(p.b, "down");
    expect_text(p.a, "down");
    t_expect(fm_conn_send(p.a, &byte, 1), -EBADF);
    t_expect(fm_conn_send_timed(p.a, &byte, 1, FM_NOWAIT), -EBADF);
    t_expect(fm_conn_send_part(p.a, &byte, 0, 1), -EBADF);
    t_expect(fm_conn_recv(p.b, &byte, 1, NULL), -EBADF);
    t_expect(fm_conn_recv_timed(p.b, &byte, 1, NULL, FM_NOWAIT), -EBADF);
    t_expect(fm_conn_recv_into(p.b, &byte, 0, 1, NULL), -EBADF);
    t_expect(fm_conn_poll(p.b, FM_NOWAIT), -EBADF);
    t_expect(fm_conn_fileno(p.b), -EBADF);
    assert_non_null(strstr(fm_error_detail(), "only receives"));
    end_pipe(p);
}

static void test_pipe_without_a_place_for_an_end_is_refused(void **state)
{
    (void)state;
    fm_conn *c = (fm_conn *)&c;
    t_expect(fm_pipe(&c, NULL, 1), -EINVAL);
    assert_null(c);
    c = (fm_conn *)&c;
    t_expect(fm_pipe(NULL, &c, 1), -EINVAL);
    assert_null(c);
}

static void test_pipe_refuses_what_is_no_connection_or_no_buffer(void **state)
{
    (void)state;
    char byte = 0;
    uint64_t here[8] = {0};
    struct pipe_ends p = new_pipe(1);
    fm_array *array = t_vector(FM_I64, 4);
    fm_conn *const wrong[] = {NULL, (fm_conn *)here, (fm_conn *)(void *)array};
    static const int codes[] = {-EINVAL, -EINVAL, -EINVAL};
    for (int i = 0; i < 3; i++) {
        t_expect(fm_conn_send(wrong[i], &byte, 1), codes[i]);
        t_expect(fm_conn_recv(wrong[i], &byte, 1, NULL), codes[i]);
        t_expect(fm_conn_poll(wrong[i], 0), codes[i]);
        t_expect(fm_conn_fileno(wrong[i]), codes[i]);
        t_expect(fm_conn_give(wrong[i], getpid()), codes[i]);
        t_expect(fm_conn_close(wrong[i]), i == 0 ? 0 : codes[i]);
    }
    t_expect(fm_conn_send(p.a, NULL, 1), -EINVAL);
    t_expect(fm_conn_send_part(p.a, NULL, 0, 1), -EINVAL);
    t_expect(fm_conn_recv(p.a, NULL, 1, NULL), -EINVAL);
    t_expect(fm_conn_recv_into(p.a, &byte, 2, 1, NULL), -EINVAL);
    fm_array_destroy(array);
    end_pipe(p);
}

static void test_pipe_carries_messages_without_bytes(void **state)
{
    (void)state;
    struct pipe_ends p = new_pipe(0);
    size_t bytes = 7;
    t_expect(fm_conn_send(p.b, NULL, 0), 0);
    t_expect(fm_conn_send(p.b, "", 0), 0);
    t_expect(fm_conn_poll(p.a, FM_NOWAIT), 1);
    t_expect(fm_conn_recv(p.a, NULL, 0, &bytes), 0);
    assert_int_equal(bytes, 0);
    t_expect(fm_conn_recv(p.a, NULL, 0, NULL), 0);
    expect_nothing(p.a);
    end_pipe(p);
}

static void test_pipe_sends_and_receives_parts_of_buffers(void **state)
{
    (void)state;
    char buf[12] = "...........";
    size_t bytes;
    struct pipe_ends p = new_pipe(0);
    t_expect(fm_conn_send_part(p.b, "0123456789", 3, 4), 0);
    t_expect(fm_conn_recv_into(p.a, buf, 5, sizeof buf - 1, &bytes), 0);
    assert_int_equal(bytes, 4);
    assert_string_equal(buf, ".....3456..");
    t_expect(fm_conn_send_part(p.b, "0123456789", 0, 8), 0);
    t_expect(fm_conn_recv_into(p.a, buf, 5, sizeof buf - 1, &bytes), FM_ETOOLONG);
    assert_int_equal(bytes, 8);
    assert_string_equal(buf, ".....3456..");
    t_expect(fm_conn_recv_into(p.a, buf, 3, sizeof buf - 1, &bytes), 0);
    assert_string_equal(buf, "...01234567");
    end_pipe(p);
}

static void test_pipe_message_longer_than_the_buffer_stays_and_tells_its_size(void **state)
{
    (void)state;
    char *buf = calloc(1, MOST);
    for (size_t size = 1; size < MOST; size = size * 7 + 3) {
        size_t bytes = 0;
        struct pipe_ends p = new_pipe(0);
        buf[size - 1] = 'x';
        t_expect(fm_conn_send(p.b, buf, size), 0);
        send_text(p.b, "next");
        for (int k = 0; k < 2; k++) {
            t_expect(fm_conn_recv(p.a, buf, size - 1, &bytes), FM_ETOOLONG);
            assert_int_equal(bytes, size);
        }
        buf[size - 1] = 0;
        t_expect(fm_conn_recv(p.a, buf, size, &bytes), 0);
        assert_int_equal(buf[size - 1], 'x');
        expect_text(p.a, "next");
        end_pipe(p);
    }
    free(buf);
}

static void test_pipe_waits_no_longer_than_it_is_told(void **state)
{
    (void)state;
    char *message = calloc(1, 10000);
    struct pipe_ends p = new_pipe(0);
    t_expect(fm_conn_recv_timed(p.a, message, 1, NULL, FM_MS(3)), -ETIMEDOUT);
    t_expect(fm_conn_poll(p.a, FM_MS(3)), -ETIMEDOUT);
    while (fm_conn_send_timed(p.b, message, 10000, FM_NOWAIT) == 0)
        ;
    t_expect(fm_conn_send_timed(p.b, message, 10000, FM_NOWAIT), -ETIMEDOUT);
    t_expect(fm_conn_send_timed(p.b, message, 10000, FM_MS(3)), -ETIMEDOUT);
    t_expect(fm_conn_recv(p.a, message, 10000, NULL), 0);
    t_expect(fm_conn_send_timed(p.b, message, 10000, FM_MS(3)), 0);
    end_pipe(p);
    free(message);
}

/* ---- closing ---------------------------------------------------------------------------------------- */

static void test_pipe_whose_other_end_is_closed_ends_after_the_last_message(void **state)
{
    (void)state;
    for (int duplex = 0; duplex <= 1; duplex++) {
        struct pipe_ends p = new_pipe(duplex);
        send_text(p.b, "one");
        send_text(p.b, "two");
        t_expect(fm_conn_close(p.b), 0);
        t_expect(fm_conn_close(p.b), -EBADF);
        t_expect(fm_conn_send(p.b, "x", 1), -EBADF);
        if (duplex)
            t_expect(fm_conn_send(p.a, "x", 1), FM_ECLOSED);
        t_expect(fm_conn_poll(p.a, FM_FOREVER), 1);
        expect_text(p.a, "one");
        expect_text(p.a, "two");
        expect_end(p.a);
        expect_end(p.a);
        t_expect(fm_conn_close(p.a), 0);
    }
}

static void test_pipe_whose_reader_is_closed_takes_no_message(void **state)
{
    (void)state;
    struct pipe_ends p = new_pipe(0);
    send_text(p.b, "too late");
    t_expect(fm_conn_close(p.a), 0);
    t_expect(fm_conn_send(p.b, "x", 1), FM_ECLOSED);
    t_expect(fm_conn_close(p.b), 0);
}

static void *recv_one(void *c)
{
    char byte;
    return (void *)(intptr_t)fm_conn_recv_timed(c, &byte, 1, NULL, LOST_NS);
}

static void *send_until_refused(void *c)
{
    static char block[8000];
    int rc;
    while ((rc = fm_conn_send_timed(c, block, sizeof block, LOST_NS)) == 0)
        ;
    return (void *)(intptr_t)rc;
}

/* A thread waits in `wait(at)`; `closed` is closed. */
static void expect_woken(void *(*wait)(void *), fm_conn *at, fm_conn *closed, int expected)
{
    pthread_t thread;
    void *rc;
    assert_int_equal(pthread_create(&thread, NULL, wait, at), 0);
    t_sleep_ms(4); /* mostly it sleeps by now */
    t_expect(fm_conn_close(closed), 0);
    pthread_join(thread, &rc);
    assert_int_equal((intptr_t)rc, expected);
}

static void test_pipe_close_ends_the_waits_at_both_ends(void **state)
{
    (void)state;
    for (int own = 0; own <= 1; own++) {
        struct pipe_ends p = new_pipe(0), q = new_pipe(0);
        expect_woken(recv_one, p.a, own ? p.a : p.b, own ? -EBADF : FM_ECLOSED);
        expect_woken(send_until_refused, q.b, own ? q.b : q.a, own ? -EBADF : FM_ECLOSED);
        t_expect(fm_conn_close(own ? p.b : p.a), 0);
        t_expect(fm_conn_close(own ? q.a : q.b), 0);
    }
}

static void test_pipe_memory_is_given_back_when_both_ends_are_closed(void **state)
{
    (void)state;
    char *message = calloc(1, MOST);
    end_pipe(new_pipe(1));
    size_t before = used_bytes();
    for (int i = 0; i < 300; i++) {
        FM_AUTO(fm_conn) a = NULL;
        FM_AUTO(fm_conn) b = NULL;
        t_expect(fm_pipe(&a, &b, i % 2), 0);
        t_expect(fm_conn_send(b, message, i % 3 == 0 ? MOST : 5), 0);
    }
    assert_int_equal(used_bytes(), before);
    free(message);
}

/* ---- processes -------------------------------------------------------------------------------------- */

struct echo_arg {
    fm_conn *c;
    fm_conn *unused;
};

/* Sends back what it gets, each byte + 1, until it gets nothing in it; then returns, and closes nothing. */
static int echo(void *arg)
{
    struct echo_arg *a = arg;
    char *buf = malloc(MOST);
    size_t bytes;
    for (;;) {
        if (fm_conn_recv_timed(a->c, buf, MOST, &bytes, LOST_NS) != 0)
            return 1;
        for (size_t i = 0; i < bytes; i++)
            buf[i]++;
        if (bytes > 0 && fm_conn_send_timed(a->c, buf, bytes, LOST_NS) != 0)
            return 2;
        if (bytes == 0)
            break;
    }
    free(buf);
    return 0;
}

static void test_pipe_between_processes_carries_messages_both_ways(void **state)
{
    static const size_t sizes[] = {1, 100, 12288, 12289, 60000, MOST};
    char *buf = malloc(MOST);
    struct pipe_ends p = new_pipe(1);
    struct echo_arg arg = {p.b, NULL};
    fm_process *child = t_run(t_method(state), echo, &arg, sizeof arg);
    for (size_t i = 0; i < 6 * 20; i++) {
        size_t size = sizes[i % 6], bytes = 0;
        memset(buf, (int)('a' + i % 20), size);
        t_expect(fm_conn_send_timed(p.a, buf, size, LOST_NS), 0);
        t_expect(fm_conn_recv_timed(p.a, buf, MOST, &bytes, LOST_NS), 0);
        assert_int_equal(bytes, size);
        assert_int_equal(buf[0], 'b' + i % 20);
        assert_int_equal(buf[size - 1], 'b' + i % 20);
    }
    t_expect(fm_conn_send(p.a, NULL, 0), 0);
    expect_end(p.a); /* the process has ended, and it has closed nothing */
    assert_int_equal(t_end(child), 0);
    end_pipe(p);
    free(buf);
}

/* Gets a connection's address through `c`, and sends through that. */
static int answer_through_the_pipe_it_gets(void *arg)
{
    struct echo_arg *a = arg;
    fm_conn *given = NULL;
    size_t bytes;
    if (fm_conn_recv_timed(a->c, &given, sizeof given, &bytes, LOST_NS) != 0 ||
        bytes != sizeof given)
        return 1;
    return fm_conn_send_timed(given, "from the child", 14, LOST_NS) != 0;
}

static void test_pipe_made_after_the_process_goes_there_by_its_address(void **state)
{
    struct pipe_ends p = new_pipe(0), late;
    struct echo_arg arg = {p.a, NULL};
    fm_process *child = t_run(t_method(state), answer_through_the_pipe_it_gets, &arg, sizeof arg);
    t_sleep_ms(20);
    late = new_pipe(0);
    t_expect(fm_conn_send(p.b, &late.b, sizeof late.b), 0);
    expect_text(late.a, "from the child");
    expect_end(late.a);
    assert_int_equal(t_end(child), 0);
    end_pipe(late);
    end_pipe(p);
}

/* Everything at once: the other side can only take it after that. */
static int send_large(void *arg)
{
    struct echo_arg *a = arg;
    size_t bytes = (size_t)64 << 20;
    uint64_t *words = malloc(bytes);
    for (size_t i = 0; i < bytes / 8; i++)
        words[i] = i * 2654435761u;
    int rc = fm_conn_send_timed(a->c, words, bytes, LOST_NS);
    free(words);
    return rc != 0;
}

static void test_pipe_carries_64_mib_as_one_message(void **state)
{
    size_t cap = (size_t)64 << 20, bytes = 0, n_wrong = 0, before = used_bytes();
    struct pipe_ends p = new_pipe(0);
    struct echo_arg arg = {p.b, NULL};
    fm_process *child = t_run(t_method(state), send_large, &arg, sizeof arg);
    assert_int_equal(t_end(child), 0); /* it waits for no reader */
    uint64_t *words = malloc(cap);
    t_expect(fm_conn_recv(p.a, words, cap - 1, &bytes), FM_ETOOLONG);
    assert_int_equal(bytes, cap);
    t_expect(fm_conn_recv(p.a, words, cap, &bytes), 0);
    for (size_t i = 0; i < cap / 8; i++)
        n_wrong += words[i] != i * 2654435761u;
    assert_int_equal(n_wrong, 0);
    free(words);
    expect_end(p.a);
    end_pipe(p);
    assert_in_range(used_bytes(), before, before + 4 * 65536); /* the process has taken little */
}

/* Both send more than the pipe holds of short messages before they receive: long ones wait for nobody. */
static void test_pipe_messages_larger_than_the_pipe_do_not_block_each_other(void **state)
{
    (void)state;
    size_t bytes = 1 << 20;
    char *buf = calloc(1, bytes);
    struct pipe_ends p = new_pipe(1);
    for (int i = 0; i < 10; i++) {
        t_expect(fm_conn_send_timed(p.a, buf, bytes, FM_NOWAIT), 0);
        t_expect(fm_conn_send_timed(p.b, buf, bytes, FM_NOWAIT), 0);
    }
    for (int i = 0; i < 10; i++) {
        t_expect(fm_conn_recv(p.a, buf, bytes, NULL), 0);
        t_expect(fm_conn_recv(p.b, buf, bytes, NULL), 0);
    }
    end_pipe(p);
    free(buf);
}

static int say_and_sleep(void *arg)
{
    struct echo_arg *a = arg;
    if (fm_conn_send(a->c, "here", 4) != 0)
        return 1;
    for (;;)
        pause();
}

static int use_nothing_and_leave(void *arg)
{
    (void)arg;
    t_sleep_ms(10);
    return 0;
}

static void test_pipe_whose_other_process_is_killed_ends_the_wait(void **state)
{
    struct pipe_ends p = new_pipe(1);
    struct echo_arg arg = {p.b, NULL};
    fm_process *child = t_run(t_method(state), say_and_sleep, &arg, sizeof arg);
    expect_text(p.a, "here");
    t_expect(fm_conn_poll(p.a, FM_MS(60)), -ETIMEDOUT); /* it lives */
    t_expect(fm_process_kill(child), 0);
    expect_end(p.a);
    intptr_t rc = (intptr_t)send_until_refused(p.a);
    assert_int_equal(rc, FM_ECLOSED);
    assert_int_equal(t_end(child), -SIGKILL);
    end_pipe(p);
}

static void test_pipe_end_of_a_dead_process_is_there_again_for_the_next(void **state)
{
    struct pipe_ends p = new_pipe(1);
    struct echo_arg arg = {p.b, NULL};
    for (int i = 0; i < 3; i++) {
        fm_process *child = t_run(t_method(state), say_and_sleep, &arg, sizeof arg);
        while (fm_conn_recv_timed(p.a, (char[4]){0}, 4, NULL, LOST_NS) == FM_ECLOSED)
            t_sleep_ms(1);
        t_expect(fm_conn_poll(p.a, FM_NOWAIT), -ETIMEDOUT);
        t_expect(fm_process_kill(child), 0);
        expect_end(p.a);
        assert_int_equal(t_end(child), -SIGKILL);
    }
    send_text(p.b, "and for this one");
    expect_text(p.a, "and for this one");
    end_pipe(p);
}

static void test_pipe_end_that_was_given_is_gone_with_a_process_that_never_used_it(void **state)
{
    struct pipe_ends p = new_pipe(1);
    fm_process *child = t_run(t_method(state), use_nothing_and_leave, NULL, 0);
    t_expect(fm_conn_give(p.b, fm_process_pid(child)), 0);
    expect_end(p.a);
    int pid = fm_process_pid(child);
    assert_int_equal(t_end(child), 0);
    t_expect(fm_conn_give(p.b, getpid()), 0);
    t_expect(fm_conn_poll(p.a, FM_NOWAIT), -ETIMEDOUT);
    t_expect(fm_conn_give(p.b, pid), 0); /* late, but no harm */
    expect_end(p.a);
    t_expect(fm_conn_give(p.b, 0), -EINVAL);
    t_expect(fm_conn_give(p.b, -1), -EINVAL);
    t_expect(fm_conn_give(p.b, getpid()), 0);
    t_expect(fm_conn_poll(p.a, FM_NOWAIT), -ETIMEDOUT);
    end_pipe(p);
}

/* ---- descriptors ------------------------------------------------------------------------------------ */

static int is_readable(int fd, int timeout_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, timeout_ms) == 1;
}

static void test_pipe_descriptor_is_readable_while_there_is_a_message(void **state)
{
    (void)state;
    for (int duplex = 0; duplex <= 1; duplex++) {
        struct pipe_ends p = new_pipe(duplex);
        send_text(p.b, "before");
        int fd = fm_conn_fileno(p.a);
        assert_true(fd >= 0);
        assert_int_equal(fm_conn_fileno(p.a), fd);
        assert_true(is_readable(fd, 0));
        expect_text(p.a, "before");
        for (int i = 0; i < 50; i++) {
            assert_false(is_readable(fd, 0));
            send_text(p.b, "one");
            send_text(p.b, "two");
            assert_true(is_readable(fd, 0));
            assert_true(is_readable(fd, 0)); /* it was not taken */
            t_expect(fm_conn_recv(p.a, &(char){0}, 1, NULL), FM_ETOOLONG);
            assert_true(is_readable(fd, 0));
            expect_text(p.a, "one");
            assert_true(is_readable(fd, 0));
            expect_text(p.a, "two");
            assert_false(is_readable(fd, 0));
            expect_nothing(p.a);
            assert_false(is_readable(fd, 0));
        }
        t_expect(fm_conn_close(p.b), 0);
        assert_true(is_readable(fd, 0));
        expect_end(p.a);
        assert_true(is_readable(fd, 0));
        t_expect(fm_conn_close(p.a), 0);
    }
}

static void test_pipe_descriptor_works_in_epoll_and_select(void **state)
{
    (void)state;
    struct pipe_ends p = new_pipe(0);
    int fd = fm_conn_fileno(p.a), set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = 5}}, found = {0};
    assert_int_equal(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
    for (int i = 0; i < 3; i++) {
        fd_set fds;
        assert_int_equal(epoll_wait(set, &found, 1, 0), 0);
        send_text(p.b, "x");
        assert_int_equal(epoll_wait(set, &found, 1, FAR_TOO_LONG_MS), 1);
        assert_int_equal(found.data.u32, 5);
        FD_ZERO(&fds);
        FD_SET(fd, &fds);
        assert_int_equal(select(fd + 1, &fds, NULL, NULL, &(struct timeval){0, 0}), 1);
        expect_text(p.a, "x");
        FD_ZERO(&fds);
        FD_SET(fd, &fds);
        assert_int_equal(select(fd + 1, &fds, NULL, NULL, &(struct timeval){0, 0}), 0);
    }
    close(set);
    end_pipe(p);
}

static int send_some_slowly(void *arg)
{
    struct echo_arg *a = arg;
    for (int i = 0; i < 40; i++) {
        if (fm_conn_send_timed(a->c, &i, sizeof i, LOST_NS) != 0)
            return 1;
        if (i % 3 == 0)
            t_sleep_ms(2);
    }
    return 0;
}

/* A loop as in any program that serves several descriptors. */
static void test_pipe_descriptor_wakes_for_each_message_of_another_process_and_its_end(void **state)
{
    struct pipe_ends p = new_pipe(0);
    struct echo_arg arg = {p.b, NULL};
    int fd = fm_conn_fileno(p.a), rc = 0, next = 0, number;
    assert_true(fd >= 0);
    fm_process *child = t_run(t_method(state), send_some_slowly, &arg, sizeof arg);
    while (rc != FM_ECLOSED) {
        assert_true(is_readable(fd, FAR_TOO_LONG_MS));
        rc = fm_conn_recv_timed(p.a, &number, sizeof number, NULL, FM_NOWAIT);
        if (rc == 0)
            assert_int_equal(number, next++);
        else if (rc != -ETIMEDOUT)
            t_expect(rc, FM_ECLOSED);
    }
    assert_int_equal(next, 40);
    assert_true(is_readable(fd, 0)); /* the end stays */
    assert_int_equal(t_end(child), 0);
    end_pipe(p);
}

static void test_pipe_descriptor_is_readable_when_the_other_process_is_killed(void **state)
{
    struct pipe_ends p = new_pipe(1);
    struct echo_arg arg = {p.b, NULL};
    fm_process *child = t_run(t_method(state), say_and_sleep, &arg, sizeof arg);
    int fd = fm_conn_fileno(p.a);
    assert_true(is_readable(fd, FAR_TOO_LONG_MS));
    expect_text(p.a, "here");
    expect_nothing(p.a);
    assert_false(is_readable(fd, 20));
    t_expect(fm_process_kill(child), 0);
    assert_true(is_readable(fd, FAR_TOO_LONG_MS));
    expect_end(p.a);
    assert_int_equal(t_end(child), -SIGKILL);
    end_pipe(p);
}

static int receive_and_leave(void *arg)
{
    struct echo_arg *a = arg;
    return fm_conn_recv_timed(a->c, (char[4]){0}, 4, NULL, LOST_NS) != 0;
}

/* When this process began to wait, the other end was its own. */
static void test_pipe_descriptor_tells_the_end_of_a_process_that_only_received(void **state)
{
    struct pipe_ends p = new_pipe(1);
    struct echo_arg arg = {p.b, NULL};
    int fd = fm_conn_fileno(p.a), rc = -ETIMEDOUT;
    fm_process *child = t_run(t_method(state), receive_and_leave, &arg, sizeof arg);
    assert_false(is_readable(fd, 0));
    send_text(p.a, "one");
    assert_int_equal(t_end(child), 0);
    while (rc == -ETIMEDOUT) {
        assert_true(is_readable(fd, FAR_TOO_LONG_MS));
        rc = fm_conn_recv_timed(p.a, NULL, 0, NULL, FM_NOWAIT);
    }
    t_expect(rc, FM_ECLOSED);
    end_pipe(p);
}

/* The process that waits is a child; it asks for a descriptor of its own, also where it has inherited one. */
static int echo_by_poll(void *arg)
{
    struct echo_arg *a = arg;
    int fd = fm_conn_fileno(a->c), number;
    for (int next = 0; fd >= 0;) {
        if (!is_readable(fd, FAR_TOO_LONG_MS))
            return 1;
        int rc = fm_conn_recv_timed(a->c, &number, sizeof number, NULL, FM_NOWAIT);
        if (rc == -ETIMEDOUT)
            continue;
        if (rc != 0 || number != next++ || fm_conn_send(a->c, &number, sizeof number) != 0)
            return 2;
        if (next == 50)
            return 0;
    }
    return 3;
}

static void test_pipe_descriptor_of_a_child_is_its_own(void **state)
{
    struct pipe_ends p = new_pipe(1);
    struct echo_arg arg = {p.b, NULL};
    assert_true(fm_conn_fileno(p.b) >= 0);
    fm_process *child = t_run(t_method(state), echo_by_poll, &arg, sizeof arg);
    for (int i = 0, number = -1; i < 50; i++) {
        t_expect(fm_conn_send_timed(p.a, &i, sizeof i, LOST_NS), 0);
        t_expect(fm_conn_recv_timed(p.a, &number, sizeof number, NULL, LOST_NS), 0);
        assert_int_equal(number, i);
    }
    assert_int_equal(t_end(child), 0);
    end_pipe(p);
}

/* ---- waiting for several ---------------------------------------------------------------------------- */

static void test_pipe_in_fm_wait_is_ready_with_a_message_and_at_its_end(void **state)
{
    struct pipe_ends p = new_pipe(1), q = new_pipe(0);
    struct echo_arg arg = {p.b, NULL};
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    fm_process *child = t_run(t_method(state), echo, &arg, sizeof arg);
    const fm_waitable objects[] = {FM_WAIT_CONN(p.a), FM_WAIT_CONN(q.a), FM_WAIT_PROCESS(child),
                                   FM_WAIT_FD(fds[0])};
    t_expect(fm_wait(objects, 4, NULL, FM_NOWAIT), -ETIMEDOUT);
    t_expect(fm_wait(objects, 4, NULL, FM_MS(20)), -ETIMEDOUT); /* it begins to wait meanwhile */
    send_text(q.b, "q");
    t_expect_wait(objects, 4, FM_FOREVER, (const int[]){0, 1, 0, 0});
    expect_text(q.a, "q");
    send_text(p.a, "a");
    t_expect_wait(objects, 2, FM_FOREVER, (const int[]){1, 0});
    expect_text(p.a, "b");
    assert_int_equal(write(fds[1], "x", 1), 1);
    t_expect(fm_conn_send(p.a, NULL, 0), 0);
    t_expect(fm_process_join(child, LOST_NS), 0);
    t_expect_wait(objects, 4, FM_FOREVER, (const int[]){1, 0, 1, 1});
    expect_end(p.a);
    t_expect(fm_wait((const fm_waitable[]){FM_WAIT_CONN(q.b)}, 1, NULL, FM_NOWAIT), -EBADF);
    assert_int_equal(t_end(child), 0);
    close(fds[0]);
    close(fds[1]);
    end_pipe(p);
    end_pipe(q);
}

T_MAIN(T_TEST(test_pipe_that_is_duplex_carries_messages_both_ways),
       T_TEST(test_pipe_that_is_not_duplex_goes_from_the_second_end_to_the_first),
       T_TEST(test_pipe_without_a_place_for_an_end_is_refused),
       T_TEST(test_pipe_refuses_what_is_no_connection_or_no_buffer),
       T_TEST(test_pipe_carries_messages_without_bytes),
       T_TEST(test_pipe_sends_and_receives_parts_of_buffers),
       T_TEST(test_pipe_message_longer_than_the_buffer_stays_and_tells_its_size),
       T_TEST(test_pipe_waits_no_longer_than_it_is_told),
       T_TEST(test_pipe_whose_other_end_is_closed_ends_after_the_last_message),
       T_TEST(test_pipe_whose_reader_is_closed_takes_no_message),
       T_TEST(test_pipe_close_ends_the_waits_at_both_ends),
       T_TEST(test_pipe_memory_is_given_back_when_both_ends_are_closed),
       T_EACH_METHOD(test_pipe_between_processes_carries_messages_both_ways),
       T_EACH_METHOD(test_pipe_made_after_the_process_goes_there_by_its_address),
       T_EACH_METHOD(test_pipe_carries_64_mib_as_one_message),
       T_TEST(test_pipe_messages_larger_than_the_pipe_do_not_block_each_other),
       T_EACH_METHOD(test_pipe_whose_other_process_is_killed_ends_the_wait),
       T_EACH_METHOD(test_pipe_end_of_a_dead_process_is_there_again_for_the_next),
       T_EACH_METHOD(test_pipe_end_that_was_given_is_gone_with_a_process_that_never_used_it),
       T_TEST(test_pipe_descriptor_is_readable_while_there_is_a_message),
       T_TEST(test_pipe_descriptor_works_in_epoll_and_select),
       T_EACH_METHOD(test_pipe_descriptor_wakes_for_each_message_of_another_process_and_its_end),
       T_EACH_METHOD(test_pipe_descriptor_is_readable_when_the_other_process_is_killed),
       T_EACH_METHOD(test_pipe_descriptor_tells_the_end_of_a_process_that_only_received),
       T_EACH_METHOD(test_pipe_descriptor_of_a_child_is_its_own),
       T_EACH_METHOD(test_pipe_in_fm_wait_is_ready_with_a_message_and_at_its_end))
