/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork threads */
/* TIMEOUT: 60 */
/* One direction of a pipe: whole messages in order, by the ring and by blocks; a full one, an empty one, closed ends. One body, two drivers. */
#include "t.h"
#include "t_line.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { N_MESSAGES = 20000, MOST = 40000, LONG = FMI_LINE_SHORT + 1 };

/* What waits longer than this waits for ever. */
static const int64_t lost_ns = 20000000000;

static unsigned char buffer[1 << 20], message[1 << 20];

static struct t_line *new_line(void)
{
    struct t_line *l = t_new_line();
    assert_non_null(l);
    return l;
}

static void expect_next(struct t_line *l, size_t bytes, uint64_t number)
{
    size_t found = 77;
    assert_int_equal(t_recv(l, buffer, sizeof buffer, &found, FM_NOWAIT), 0);
    assert_int_equal(found, bytes);
    assert_true(t_is_message(buffer, bytes, number));
}

static void send_one(struct t_line *l, size_t bytes, uint64_t number)
{
    t_fill_message(message, bytes, number);
    assert_int_equal(t_send(l, message, bytes, FM_NOWAIT), 0);
}

static size_t used_bytes(void)
{
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return usage.used_bytes;
}

/* ---- one thread ---- */

static void test_line_hands_on_messages_of_each_size_in_order(void **state)
{
    static const size_t sizes[] = {
        0,    1,     7,     8,     15,     16,      17, 4096, 12287, FMI_LINE_SHORT,
        LONG, 20000, 32768, 65536, 100000, 1u << 20};
    enum { N = sizeof sizes / sizeof sizes[0] };
    (void)state;
    struct t_line *l = new_line();
    for (uint64_t round = 0; round < 30; round++) {
        size_t n_sent = 0;
        for (size_t i = 0; i < 3; i++, n_sent++)
            send_one(l, sizes[(round + n_sent) % N], round * 3 + n_sent);
        for (size_t i = 0; i < n_sent; i++)
            expect_next(l, sizes[(round + i) % N], round * 3 + i);
    }
    t_free_line(l);
}

static void test_line_message_that_is_too_long_stays_and_tells_its_size(void **state)
{
    static const size_t sizes[] = {5, 4000, LONG, 200000};
    (void)state;
    struct t_line *l = new_line();
    for (size_t i = 0; i < 4; i++) {
        size_t found = 0;
        send_one(l, sizes[i], i);
        send_one(l, 3, 99);
        assert_int_equal(t_recv(l, buffer, sizes[i] - 1, &found, FM_NOWAIT), FM_ETOOLONG);
        assert_int_equal(found, sizes[i]);
        assert_int_equal(t_recv(l, NULL, 0, &found, FM_NOWAIT), FM_ETOOLONG);
        expect_next(l, sizes[i], i);
        expect_next(l, 3, 99);
    }
    t_free_line(l);
}

static void test_line_that_is_full_refuses_until_a_message_is_taken(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes <= FMI_LINE_SHORT; bytes += 4093) {
        struct t_line *l = new_line();
        uint64_t n = 0;
        int rc;
        t_fill_message(message, bytes, 0);
        while ((rc = t_send(l, message, bytes, FM_NOWAIT)) == 0)
            t_fill_message(message, bytes, ++n);
        assert_int_equal(rc, -ETIMEDOUT);
        assert_true(n * (bytes + 16) <= FMI_LINE_RING);
        assert_true((n + 1) * (bytes + 32) > FMI_LINE_RING);
        expect_next(l, bytes, 0);
        assert_int_equal(t_send(l, message, bytes, FM_NOWAIT), 0);
        for (uint64_t i = 1; i <= n; i++)
            expect_next(l, bytes, i);
        assert_int_equal(t_recv(l, buffer, 1, &(size_t){0}, FM_NOWAIT), -ETIMEDOUT);
        t_free_line(l);
    }
}

static void test_line_of_long_messages_is_full_with_64_mib_and_frees_what_was_taken(void **state)
{
    (void)state;
    struct t_line *l = new_line();
    size_t n = 0, before = used_bytes();
    while (t_send(l, message, sizeof message, FM_NOWAIT) == 0)
        n++;
    assert_int_equal(n, FMI_LINE_LENT / sizeof message);
    assert_int_equal(t_send(l, message, LONG, FM_NOWAIT), -ETIMEDOUT);
    assert_int_equal(t_send(l, message, 10, FM_NOWAIT), 0); /* a short one needs no block */
    for (size_t i = 0; i < n; i++)
        assert_int_equal(t_recv(l, buffer, sizeof buffer, &(size_t){0}, FM_NOWAIT), 0);
    assert_int_equal(used_bytes(), before);
    assert_int_equal(t_send(l, message, LONG, FM_NOWAIT), 0);
    t_free_line(l);
}

static void test_line_that_ends_frees_what_was_not_received(void **state)
{
    (void)state;
    struct t_line *warm = new_line();
    send_one(warm, 200000, 0);
    size_t before = used_bytes();
    struct t_line *l = new_line();
    for (uint64_t i = 0; i < 20; i++)
        send_one(l, 50000 * i, i);
    t_free_line(l);
    assert_int_equal(used_bytes(), before);
    t_free_line(warm);
}

static void test_line_whose_writer_is_closed_ends_after_the_last_message(void **state)
{
    (void)state;
    struct t_line *l = new_line();
    send_one(l, 5, 1);
    send_one(l, LONG, 2);
    assert_int_equal(fmi_party_close(&l->writer, &l->line.bell), 1);
    assert_int_equal(fmi_party_close(&l->writer, &l->line.bell), 0);
    fmi_line_rouse(&l->line);
    expect_next(l, 5, 1);
    expect_next(l, LONG, 2);
    assert_int_equal(t_recv(l, buffer, 9, &(size_t){0}, FM_FOREVER), FM_ECLOSED);
    assert_int_equal(t_send(l, message, 1, FM_FOREVER), -EBADF);
    t_free_line(l);
}

static void test_line_whose_reader_is_closed_takes_nothing(void **state)
{
    (void)state;
    struct t_line *l = new_line();
    fmi_party_close(&l->reader, NULL);
    assert_int_equal(t_send(l, message, 1, FM_FOREVER), FM_ECLOSED);
    assert_int_equal(t_recv(l, buffer, 9, &(size_t){0}, FM_FOREVER), -EBADF);
    t_free_line(l);
}

static void test_line_that_was_written_over_says_so(void **state)
{
    (void)state;
    struct t_line *l = new_line();
    send_one(l, 100, 1);
    memset(l->line.ring, 0xff, 16); /* its header */
    assert_int_equal(t_recv(l, buffer, sizeof buffer, &(size_t){0}, FM_NOWAIT), FM_ECORRUPT);
    atomic_store(&l->line.tail, 1 << 20);
    assert_int_equal(t_recv(l, buffer, sizeof buffer, &(size_t){0}, FM_NOWAIT), FM_ECORRUPT);
    assert_int_equal(t_send(l, message, 1, FM_NOWAIT), FM_ECORRUPT);
    t_free_line(l);
}

/* ---- a writer and a reader ---- */

static size_t size_of(uint64_t number)
{
    return number % 97 == 5 ? number * 7919 % MOST : number * 31 % 600;
}

static int write_all(struct t_line *l)
{
    static _Thread_local unsigned char own[MOST];
    for (uint64_t i = 0; i < N_MESSAGES; i++) {
        t_fill_message(own, size_of(i), i);
        if (t_send(l, own, size_of(i), lost_ns) != 0)
            return 1;
        if (i % 4096 == 0)
            usleep(2000); /* the reader sleeps */
    }
    return 0;
}

static int read_all(struct t_line *l)
{
    static _Thread_local unsigned char own[MOST];
    for (uint64_t i = 0; i < N_MESSAGES; i++) {
        size_t bytes;
        if (t_recv(l, own, sizeof own, &bytes, lost_ns) != 0)
            return 2;
        if (bytes != size_of(i) || !t_is_message(own, bytes, i))
            return 3;
        if (i % 4096 == 2048)
            usleep(2000); /* the writer sleeps */
    }
    return 0;
}

static void *write_in_thread(void *arg)
{
    return (void *)(intptr_t)write_all(arg);
}

static void *read_in_thread(void *arg)
{
    return (void *)(intptr_t)read_all(arg);
}

static void write_in_process(void *arg)
{
    _exit(write_all(arg));
}

static void read_in_process(void *arg)
{
    _exit(read_all(arg));
}

static void test_line_between_threads_hands_on_all_messages_whole_and_in_order(void **state)
{
    (void)state;
    struct t_line *l = new_line();
    pthread_t threads[2];
    void *wrong;
    assert_int_equal(pthread_create(&threads[0], NULL, write_in_thread, l), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, read_in_thread, l), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    t_free_line(l);
}

static void test_line_between_processes_hands_on_all_messages_whole_and_in_order(void **state)
{
    (void)state;
    struct t_line *l = new_line();
    pid_t writer = t_start_child(write_in_process, l), reader = t_start_child(read_in_process, l);
    assert_int_equal(t_exit_code(t_wait_child(writer)), 0);
    assert_int_equal(t_exit_code(t_wait_child(reader)), 0);
    t_free_line(l);
}

/* Several at each end: one at a time, by the lock. Who receives what is open, but each message comes once. */
struct crowd {
    struct t_line *l;
    _Atomic uint64_t next;
    _Atomic int seen[N_MESSAGES];
};

static void *write_some(void *arg)
{
    struct crowd *crowd = arg;
    for (uint64_t i; (i = atomic_fetch_add(&crowd->next, 1)) < N_MESSAGES;)
        if (t_send(crowd->l, &i, sizeof i, lost_ns) != 0)
            return crowd;
    return NULL;
}

static void *read_some(void *arg)
{
    struct crowd *crowd = arg;
    for (int k = 0; k < N_MESSAGES / 2; k++) {
        uint64_t i = 0;
        size_t bytes;
        if (t_recv(crowd->l, &i, sizeof i, &bytes, lost_ns) != 0 || i >= N_MESSAGES)
            return crowd;
        atomic_fetch_add(&crowd->seen[i], 1);
    }
    return NULL;
}

static void test_line_used_by_two_threads_at_each_end_hands_on_each_message_once(void **state)
{
    (void)state;
    struct crowd *crowd = calloc(1, sizeof *crowd);
    pthread_t threads[4];
    void *wrong;
    crowd->l = new_line();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? write_some : read_some, crowd),
                         0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    for (int i = 0; i < N_MESSAGES; i++)
        assert_int_equal(crowd->seen[i], 1);
    t_free_line(crowd->l);
    free(crowd);
}

static void *recv_until_it_ends(void *arg)
{
    size_t bytes;
    char byte;
    return (void *)(intptr_t)t_recv(arg, &byte, 1, &bytes, lost_ns);
}

static void test_line_wakes_a_reader_that_sleeps_when_the_writer_closes(void **state)
{
    (void)state;
    struct t_line *l = new_line();
    pthread_t thread;
    void *rc;
    assert_int_equal(pthread_create(&thread, NULL, recv_until_it_ends, l), 0);
    usleep(3000); /* mostly it sleeps by now */
    fmi_party_close(&l->writer, &l->line.bell);
    fmi_line_rouse(&l->line);
    pthread_join(thread, &rc);
    assert_int_equal((intptr_t)rc, FM_ECLOSED);
    t_free_line(l);
}

static void test_line_wakes_a_reader_that_sleeps_when_its_own_end_closes(void **state)
{
    (void)state;
    struct t_line *l = new_line();
    pthread_t thread;
    void *rc;
    assert_int_equal(pthread_create(&thread, NULL, recv_until_it_ends, l), 0);
    usleep(3000);
    fmi_party_close(&l->reader, NULL);
    fmi_line_rouse(&l->line);
    pthread_join(thread, &rc);
    assert_int_equal((intptr_t)rc, -EBADF);
    t_free_line(l);
}

/* The thread that used the end last has ended, its process has not. */
static void test_line_whose_writing_thread_ended_is_open_while_its_process_lives(void **state)
{
    (void)state;
    struct t_line *l = new_line();
    pthread_t thread;
    void *wrong;
    char byte = 1;
    size_t bytes;
    struct crowd *crowd = calloc(1, sizeof *crowd);
    crowd->l = l;
    crowd->next = N_MESSAGES - 1;
    assert_int_equal(pthread_create(&thread, NULL, write_some, crowd), 0);
    pthread_join(thread, &wrong);
    assert_null(wrong);
    assert_int_equal(t_recv(l, buffer, sizeof buffer, &bytes, FM_NOWAIT), 0);
    assert_int_equal(t_recv(l, buffer, sizeof buffer, &bytes, FM_NOWAIT), -ETIMEDOUT);
    assert_int_equal(t_recv(l, buffer, sizeof buffer, &bytes, FM_MS(120)), -ETIMEDOUT);
    assert_int_equal(t_send(l, &byte, 1, FM_NOWAIT), 0);
    assert_int_equal(t_recv(l, &byte, 1, &bytes, FM_NOWAIT), 0);
    t_free_line(l);
    free(crowd);
}

T_MAIN(T_TEST(test_line_hands_on_messages_of_each_size_in_order),
       T_TEST(test_line_message_that_is_too_long_stays_and_tells_its_size),
       T_TEST(test_line_that_is_full_refuses_until_a_message_is_taken),
       T_TEST(test_line_of_long_messages_is_full_with_64_mib_and_frees_what_was_taken),
       T_TEST(test_line_that_ends_frees_what_was_not_received),
       T_TEST(test_line_whose_writer_is_closed_ends_after_the_last_message),
       T_TEST(test_line_whose_reader_is_closed_takes_nothing),
       T_TEST(test_line_that_was_written_over_says_so),
       T_TEST(test_line_between_threads_hands_on_all_messages_whole_and_in_order),
       T_TEST(test_line_between_processes_hands_on_all_messages_whole_and_in_order),
       T_TEST(test_line_used_by_two_threads_at_each_end_hands_on_each_message_once),
       T_TEST(test_line_wakes_a_reader_that_sleeps_when_the_writer_closes),
       T_TEST(test_line_wakes_a_reader_that_sleeps_when_its_own_end_closes),
       T_TEST(test_line_whose_writing_thread_ended_is_open_while_its_process_lives))
