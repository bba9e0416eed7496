/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork */
/* TIMEOUT: 60 */
/* Queues: each row of the API; between processes of each start method. */
#include "t_queue.h"

#include "clock.h"
#include "heap.h"
#include "queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LARGE = 100000, MANY = 64 };

/* What the processes of a test share: its address is in their argument. */
struct shared {
    fm_queue *q, *back;
    _Atomic int ready, code, n_taken;
    _Atomic uint64_t sum;
    int limit;
};

static struct shared *new_shared(const fm_queue_opts *opts)
{
    void *memory;
    assert_int_equal(fmi_heap_alloc(&memory, sizeof(struct shared), FMI_HEAP_ZERO), 0);
    struct shared *s = memory;
    t_expect(fm_queue_create(&s->q, opts), 0);
    return s;
}

static void free_shared(struct shared *s)
{
    fm_queue_destroy(s->q);
    fm_queue_destroy(s->back);
    fmi_heap_free(s);
}

static fm_queue *new_queue(const fm_queue_opts *opts)
{
    fm_queue *q;
    t_expect(fm_queue_create(&q, opts), 0);
    assert_non_null(q);
    return q;
}

static void put_number(fm_queue *q, int number)
{
    t_expect(fm_queue_put(q, &number, sizeof number, FM_NOWAIT), 0);
}

static int get_number(fm_queue *q)
{
    int number = -1;
    size_t bytes;
    t_expect(fm_queue_get(q, &number, sizeof number, &bytes, FM_NOWAIT), 0);
    assert_int_equal(bytes, sizeof number);
    return number;
}

static size_t used_bytes(void)
{
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return usage.used_bytes;
}

/* ---- one process ------------------------------------------------------------------------------ */

static void test_queue_gives_messages_in_the_order_in_which_they_were_put(void **state)
{
    (void)state;
    fm_queue *q = new_queue(NULL);
    for (int i = 0; i < 1000; i++)
        put_number(q, i);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(get_number(q), i);
    assert_true(fm_queue_empty(q));
    fm_queue_destroy(q);
}

static void test_queue_messages_of_any_length_come_whole(void **state)
{
    (void)state;
    static const size_t lengths[] = {0,    1,    48,    49,    111,   112,   113,  4080,
                                     4081, 4096, 32768, 32769, 65536, 65537, LARGE};
    static const size_t hints[] = {0, 1, 8, 300, 4080, 5000};
    unsigned char *sent = malloc(LARGE), *got = malloc(LARGE);
    assert_true(sent != NULL && got != NULL);
    for (size_t i = 0; i < LARGE; i++)
        sent[i] = (unsigned char)(i * 7 + i / 256);
    for (size_t h = 0; h < T_N_OF(hints); h++) {
        fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = 20, .message_bytes = hints[h]));
        for (size_t i = 0; i < T_N_OF(lengths); i++)
            t_expect(fm_queue_put(q, sent, lengths[i], FM_NOWAIT), 0);
        for (size_t i = 0; i < T_N_OF(lengths); i++) {
            size_t bytes = 77;
            memset(got, 0xee, LARGE);
            t_expect(fm_queue_get(q, got, LARGE, &bytes, FM_NOWAIT), 0);
            assert_int_equal(bytes, lengths[i]);
            assert_memory_equal(got, sent, bytes);
            for (size_t k = bytes; k < LARGE && k < bytes + 64; k++)
                assert_int_equal(got[k], 0xee);
        }
        fm_queue_destroy(q);
    }
    free(sent);
    free(got);
}

static void test_queue_holds_its_capacity_and_refuses_the_next_one(void **state)
{
    (void)state;
    static const int64_t capacities[] = {1, 2, 3, 100};
    for (size_t c = 0; c < T_N_OF(capacities); c++) {
        fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = capacities[c]));
        int x = 0;
        for (int64_t i = 0; i < capacities[c]; i++) {
            assert_false(fm_queue_full(q));
            assert_int_equal(fm_queue_size(q), i);
            put_number(q, (int)i);
        }
        assert_true(fm_queue_full(q));
        assert_int_equal(fm_queue_put_nowait(q, &x, sizeof x), -EAGAIN);
        assert_int_equal(fm_queue_put(q, &x, sizeof x, FM_NOWAIT), -EAGAIN);
        assert_int_equal(fm_queue_put(q, &x, sizeof x, FM_MS(2)), -ETIMEDOUT);
        assert_int_equal(get_number(q), 0);
        put_number(q, 5);
        fm_queue_destroy(q);
    }
}

static void test_queue_without_a_capacity_holds_the_default(void **state)
{
    (void)state;
    fm_queue *q = new_queue(NULL);
    for (int i = 0; i < FM_QUEUE_DEFAULT_CAPACITY; i++)
        put_number(q, i);
    assert_int_equal(fm_queue_size(q), FM_QUEUE_DEFAULT_CAPACITY);
    assert_int_equal(fm_queue_put_nowait(q, "x", 1), -EAGAIN);
    fm_queue_destroy(q);
}

static void test_queue_full_of_long_messages_holds_its_capacity_too(void **state)
{
    (void)state;
    char *message = calloc(1, LARGE);
    fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = 30));
    for (int lap = 0; lap < 3; lap++) {
        for (int i = 0; i < 30; i++)
            t_expect(fm_queue_put_nowait(q, message, LARGE), 0);
        assert_int_equal(fm_queue_put_nowait(q, message, LARGE), -EAGAIN);
        for (int i = 0; i < 30; i++)
            t_expect(fm_queue_get_nowait(q, message, LARGE, NULL), 0);
    }
    fm_queue_destroy(q);
    free(message);
}

static void test_queue_that_is_empty_refuses_a_get(void **state)
{
    (void)state;
    fm_queue *q = new_queue(NULL);
    char buf[8];
    size_t bytes = 7;
    assert_true(fm_queue_empty(q));
    assert_int_equal(fm_queue_get_nowait(q, buf, sizeof buf, &bytes), -EAGAIN);
    assert_int_equal(bytes, 0);
    int64_t begin = fmi_now_ns();
    assert_int_equal(fm_queue_get(q, buf, sizeof buf, NULL, FM_MS(30)), -ETIMEDOUT);
    assert_true(fmi_now_ns() - begin >= 30000000);
    fm_queue_destroy(q);
}

static void test_queue_message_longer_than_the_buffer_stays_and_tells_its_length(void **state)
{
    (void)state;
    static const size_t lengths[] = {20, LARGE};
    char *message = calloc(1, LARGE);
    for (size_t i = 0; i < T_N_OF(lengths); i++) {
        fm_queue *q = new_queue(NULL);
        size_t bytes = 0;
        t_expect(fm_queue_put_nowait(q, message, lengths[i]), 0);
        put_number(q, 8);
        assert_int_equal(fm_queue_get(q, message, lengths[i] - 1, &bytes, FM_FOREVER), FM_ETOOLONG);
        assert_int_equal(bytes, lengths[i]);
        assert_int_equal(fm_queue_get(q, NULL, 0, &bytes, FM_FOREVER), FM_ETOOLONG);
        assert_int_equal(fm_queue_size(q), 2);
        t_expect(fm_queue_get(q, message, lengths[i], &bytes, FM_NOWAIT), 0);
        assert_int_equal(get_number(q), 8);
        fm_queue_destroy(q);
    }
    free(message);
}

static void test_queue_message_without_bytes_is_a_message(void **state)
{
    (void)state;
    fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = 2));
    size_t bytes = 9;
    t_expect(fm_queue_put_nowait(q, NULL, 0), 0);
    t_expect(fm_queue_put_nowait(q, "", 0), 0);
    assert_int_equal(fm_queue_put_nowait(q, NULL, 0), -EAGAIN);
    t_expect(fm_queue_get_nowait(q, NULL, 0, &bytes), 0);
    assert_int_equal(bytes, 0);
    t_expect(fm_queue_get_nowait(q, NULL, 0, NULL), 0);
    assert_int_equal(fm_queue_get_nowait(q, NULL, 0, &bytes), -EAGAIN);
    void *ptr;
    t_expect(fm_queue_reserve(q, 0, &ptr, FM_NOWAIT), 0);
    t_expect(fm_queue_commit(q, ptr, 0, FM_NOWAIT), 0);
    t_expect(fm_queue_get_nowait(q, NULL, 0, &bytes), 0);
    fm_queue_destroy(q);
}

static void test_queue_that_is_closed_is_drained_and_then_says_so(void **state)
{
    (void)state;
    fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = 2));
    void *ptr;
    size_t bytes;
    put_number(q, 1);
    put_number(q, 2);
    assert_int_equal(fm_queue_close(q), 0);
    assert_int_equal(fm_queue_close(q), 0);
    assert_int_equal(fm_queue_put(q, "x", 1, FM_FOREVER), FM_ECLOSED);
    assert_int_equal(fm_queue_reserve(q, 1000, &ptr, FM_FOREVER), FM_ECLOSED);
    assert_int_equal(get_number(q), 1);
    assert_int_equal(get_number(q), 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fm_queue_get(q, &i, sizeof i, &bytes, FM_FOREVER), FM_ECLOSED);
    assert_int_equal(fm_queue_borrow(q, &ptr, &bytes, FM_FOREVER), FM_ECLOSED);
    assert_int_equal(fm_queue_put(q, "x", 1, FM_NOWAIT), FM_ECLOSED);
    fm_queue_destroy(q);
}

static void test_queue_wrong_arguments_are_refused(void **state)
{
    (void)state;
    fm_queue *q = (fm_queue *)&state, *none = NULL;
    char buf[8];
    void *ptr;
    size_t bytes;
    static const fm_queue_opts too_small = {.struct_size = 1};
    assert_int_equal(fm_queue_create(&q, FM_QUEUE_OPTS(.capacity = -1)), -EINVAL);
    assert_null(q);
    assert_int_equal(
        fm_queue_create(&q, FM_QUEUE_OPTS(.capacity = (int64_t)FM_QUEUE_MAX_CAPACITY + 1)),
        -EINVAL);
    assert_int_equal(fm_queue_create(&q, &too_small), -EINVAL);
    assert_int_equal(fm_queue_create(NULL, NULL), -EINVAL);
    assert_int_equal(fm_queue_put(none, buf, 1, 0), -EINVAL);
    assert_int_equal(fm_queue_get(none, buf, 1, NULL, 0), -EINVAL);
    assert_int_equal(fm_queue_close(none), -EINVAL);
    assert_int_equal(fm_queue_size(none), 0);
    assert_true(fm_queue_empty(none));
    assert_false(fm_queue_full(none));
    fm_queue_destroy(none);
    assert_int_equal(fm_queue_put((fm_queue *)buf, buf, 1, 0), FM_ECORRUPT);
    q = new_queue(NULL);
    assert_int_equal(fm_queue_put(q, NULL, 1, 0), -EINVAL);
    assert_int_equal(fm_queue_put(q, buf, FM_QUEUE_MAX_BYTES + 1, 0), -EMSGSIZE);
    assert_int_equal(fm_queue_put(q, buf, SIZE_MAX, 0), -EMSGSIZE);
    assert_int_equal(fm_queue_get(q, NULL, 1, NULL, 0), -EINVAL);
    assert_int_equal(fm_queue_reserve(q, SIZE_MAX, &ptr, 0), -EMSGSIZE);
    assert_int_equal(fm_queue_reserve(q, 1, NULL, 0), -EINVAL);
    assert_int_equal(fm_queue_borrow(q, NULL, &bytes, 0), -EINVAL);
    assert_int_equal(fm_queue_commit(q, buf, 1, 0), -EINVAL);
    assert_int_equal(fm_queue_abandon(q, NULL), -EINVAL);
    assert_int_equal(fm_queue_release(q, buf), -EINVAL);
    assert_int_equal(fm_queue_task_done(q), -EINVAL);
    assert_int_equal(fm_queue_join(q, 0), -EINVAL);
    fm_queue_destroy(q);
}

static void test_queue_that_is_destroyed_is_none(void **state)
{
    (void)state;
    FM_AUTO(fm_queue) going = new_queue(NULL);
    size_t before = used_bytes();
    for (int i = 0; i < 20; i++) {
        fm_queue *q = new_queue(FM_QUEUE_OPTS(.joinable = 1));
        char *message = calloc(1, LARGE);
        t_expect(fm_queue_put_nowait(q, message, LARGE), 0);
        fm_queue_destroy(q);
        assert_int_equal(fm_queue_put_nowait(q, "x", 1), FM_ECORRUPT);
        free(message);
    }
    assert_true(used_bytes() <= before + (1 << 20));
}

static void test_queue_with_overwritten_words_says_so_and_reads_nowhere(void **state)
{
    (void)state;
    char buf[200], message[200] = "";
    for (size_t word = 8; word < sizeof(fm_queue) / 4 * 4; word += 4) {
        fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = 4));
        t_expect(fm_queue_put_nowait(q, message, sizeof message), 0);
        uint32_t nonsense = 0xfefefefe;
        memcpy((char *)q + word, &nonsense, sizeof nonsense);
        (void)!fm_queue_put_nowait(q, message, sizeof message);
        (void)!fm_queue_get_nowait(q, buf, sizeof buf, NULL);
        (void)!fm_queue_size(q);
        (void)!fm_queue_close(q);
    }
    for (size_t word = 0; word < 3 * sizeof(uint64_t); word += 4) {
        fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = 4));
        t_expect(fm_queue_put_nowait(q, message, sizeof message), 0);
        uint32_t nonsense = 0xfefefefe;
        memcpy((char *)(q + 1) + word, &nonsense, sizeof nonsense); /* the first cell */
        (void)!fm_queue_get_nowait(q, buf, sizeof buf, NULL);
        (void)!fm_queue_put_nowait(q, message, sizeof message);
    }
    fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = 4));
    t_expect(fm_queue_put_nowait(q, message, sizeof message), 0);
    struct fmi_parcel_shm *record = (struct fmi_parcel_shm *)((char *)(q + 1) + 4 * 128);
    record->block = 0x1000; /* nobody's memory */
    assert_int_equal(fm_queue_get_nowait(q, buf, sizeof buf, NULL), FM_ECORRUPT);
}

/* ---- in place --------------------------------------------------------------------------------- */

static void test_queue_reserved_message_is_read_where_it_was_written(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 5, LARGE};
    fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = 1));
    for (size_t i = 0; i < T_N_OF(lengths); i++) {
        void *written, *read;
        size_t bytes;
        t_expect(fm_queue_reserve(q, lengths[i], &written, FM_NOWAIT), 0);
        assert_int_equal((uintptr_t)written % 64, 0);
        memset(written, 'a', lengths[i]);
        assert_true(fm_queue_empty(q));
        t_expect(fm_queue_commit(q, written, lengths[i], FM_NOWAIT), 0);
        assert_int_equal(fm_queue_commit(q, written, lengths[i], FM_NOWAIT), -EINVAL);
        assert_int_equal(fm_queue_abandon(q, written), -EINVAL);
        t_expect(fm_queue_borrow(q, &read, &bytes, FM_NOWAIT), 0);
        assert_ptr_equal(read, written);
        assert_int_equal(bytes, lengths[i]);
        t_expect(fm_queue_release(q, read), 0);
        assert_int_equal(fm_queue_release(q, read), -EINVAL);
    }
    fm_queue_destroy(q);
}

static void test_queue_commit_may_be_of_less_and_not_of_more(void **state)
{
    (void)state;
    fm_queue *q = new_queue(NULL);
    char got[16];
    void *ptr;
    size_t bytes;
    t_expect(fm_queue_reserve(q, 1000, &ptr, FM_NOWAIT), 0);
    memcpy(ptr, "hello", 5);
    assert_int_equal(fm_queue_commit(q, ptr, 1001, FM_NOWAIT), -EINVAL);
    t_expect(fm_queue_commit(q, ptr, 5, FM_NOWAIT), 0);
    t_expect(fm_queue_get_nowait(q, got, sizeof got, &bytes), 0);
    assert_int_equal(bytes, 5);
    assert_memory_equal(got, "hello", 5);
    fm_queue_destroy(q);
}

static void test_queue_commit_to_a_full_one_may_be_repeated_or_abandoned(void **state)
{
    (void)state;
    fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = 1));
    void *first, *second;
    t_expect(fm_queue_reserve(q, 8, &first, FM_NOWAIT), 0);
    t_expect(fm_queue_reserve(q, 8, &second, FM_NOWAIT), 0);
    put_number(q, 1);
    assert_int_equal(fm_queue_commit(q, first, 8, FM_NOWAIT), -EAGAIN);
    assert_int_equal(fm_queue_commit(q, first, 8, FM_MS(1)), -ETIMEDOUT);
    assert_int_equal(fm_queue_reserve(q, 8, &(void *){NULL}, FM_NOWAIT), -EAGAIN);
    t_expect(fm_queue_abandon(q, second), 0);
    assert_int_equal(get_number(q), 1);
    t_expect(fm_queue_commit(q, first, 8, FM_NOWAIT), 0);
    assert_int_equal(fm_queue_size(q), 1);
    fm_queue_destroy(q);
}

static void test_queue_borrowed_messages_take_no_room_in_it(void **state)
{
    (void)state;
    fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = 2));
    char *message = calloc(1, LARGE);
    void *ptrs[40];
    size_t bytes;
    for (int i = 0; i < 40; i++) {
        message[0] = (char)i;
        t_expect(fm_queue_put_nowait(q, message, i % 2 == 0 ? LARGE : 3), 0);
        t_expect(fm_queue_borrow(q, &ptrs[i], &bytes, FM_NOWAIT), 0);
        assert_int_equal(bytes, i % 2 == 0 ? LARGE : 3);
    }
    for (int i = 0; i < 40; i++) {
        assert_int_equal(*(char *)ptrs[i], i);
        t_expect(fm_queue_release(q, ptrs[i]), 0);
    }
    fm_queue_destroy(q);
    free(message);
}

static void test_queue_memory_of_messages_is_used_again(void **state)
{
    (void)state;
    fm_queue *q = new_queue(NULL);
    char *message = calloc(1, LARGE);
    size_t after_ten = 0;
    for (int i = 0; i < 2000; i++) {
        t_expect(fm_queue_put_nowait(q, message, (size_t)(i % 50) * (LARGE / 50)), 0);
        t_expect(fm_queue_get_nowait(q, message, LARGE, NULL), 0);
        if (i == 100)
            after_ten = used_bytes();
    }
    assert_true(used_bytes() <= after_ten + (1 << 20));
    fm_queue_destroy(q);
    free(message);
}

/* ---- sleepers --------------------------------------------------------------------------------- */

static void sleep_in_get(void *arg)
{
    struct shared *s = arg;
    int number;
    atomic_fetch_add(&s->ready, 1);
    int rc = fm_queue_get(s->q, &number, sizeof number, NULL, FM_SECONDS(10));
    _exit(rc == 0 ? 0 : rc == FM_ECLOSED ? 2 : 3);
}

static void sleep_in_put(void *arg)
{
    struct shared *s = arg;
    atomic_fetch_add(&s->ready, 1);
    int rc = fm_queue_put(s->q, "x", 1, FM_SECONDS(10));
    _exit(rc == 0 ? 0 : rc == FM_ECLOSED ? 2 : 3);
}

/* Starts `n` sleepers, acts, and counts how they end: [0] served, [2] closed. */
static void expect_ends(void (*sleeper)(void *), int is_full, int n, int n_acts, int n_served)
{
    struct shared *s = new_shared(FM_QUEUE_OPTS(.capacity = 1));
    pid_t pids[8];
    int codes[4] = {0};
    if (is_full)
        put_number(s->q, 1);
    for (int i = 0; i < n; i++) {
        pids[i] = t_start_child(sleeper, s);
        t_wait_until_asleep(&s->ready, i + 1, pids[i]);
    }
    for (int i = 0; i < n_acts; i++) {
        int number = i;
        t_expect(is_full ? fm_queue_get(s->q, &number, sizeof number, NULL, FM_SECONDS(5))
                         : fm_queue_put(s->q, &number, sizeof number, FM_SECONDS(5)),
                 0);
    }
    if (n_served < n) {
        while (is_full ? !fm_queue_full(s->q) : !fm_queue_empty(s->q))
            usleep(100);
        t_expect(fm_queue_close(s->q), 0);
    }
    for (int i = 0; i < n; i++) {
        int code = t_exit_code(t_wait_child(pids[i]));
        assert_in_range(code, 0, 3);
        codes[code]++;
    }
    assert_int_equal(codes[0], n_served);
    assert_int_equal(codes[2], n - n_served);
    free_shared(s);
}

static void test_queue_put_wakes_a_sleeping_reader_for_each_message(void **state)
{
    (void)state;
    expect_ends(sleep_in_get, 0, 1, 1, 1);
    expect_ends(sleep_in_get, 0, 4, 4, 4);
}

static void test_queue_get_wakes_a_sleeping_writer_for_each_place(void **state)
{
    (void)state;
    expect_ends(sleep_in_put, 1, 1, 1, 1);
    expect_ends(sleep_in_put, 1, 4, 4, 4);
}

static void test_queue_close_wakes_all_who_sleep_in_get(void **state)
{
    (void)state;
    expect_ends(sleep_in_get, 0, 4, 1, 1);
    expect_ends(sleep_in_get, 0, 4, 0, 0);
}

static void test_queue_close_wakes_all_who_sleep_in_put(void **state)
{
    (void)state;
    expect_ends(sleep_in_put, 1, 4, 1, 1);
    expect_ends(sleep_in_put, 1, 4, 0, 0);
}

/* ---- between processes ------------------------------------------------------------------------ */

/* Doubles what comes, until the end. */
static int serve(void *arg)
{
    struct shared *s = *(struct shared **)arg;
    int number, rc;
    while ((rc = fm_queue_get(s->q, &number, sizeof number, NULL, FM_SECONDS(10))) == 0) {
        number *= 2;
        t_must(fm_queue_put(s->back, &number, sizeof number, FM_SECONDS(10)));
    }
    return rc == FM_ECLOSED ? 0 : 1;
}

static void test_queue_made_before_a_process_is_its_way_in_and_out(void **state)
{
    struct shared *s = new_shared(FM_QUEUE_OPTS(.capacity = 10));
    t_expect(fm_queue_create(&s->back, FM_QUEUE_OPTS(.capacity = 10)), 0);
    fm_process *p = t_run(t_method(state), serve, &s, sizeof s);
    for (int i = 0; i < 500; i++) {
        int number;
        put_number(s->q, i);
        t_expect(fm_queue_get(s->back, &number, sizeof number, NULL, FM_SECONDS(10)), 0);
        assert_int_equal(number, 2 * i);
    }
    t_expect(fm_queue_close(s->q), 0);
    assert_int_equal(t_end(p), 0);
    free_shared(s);
}

/* Gets queues through a queue: they were made after the process. */
static int serve_later(void *arg)
{
    struct shared *s = *(struct shared **)arg;
    struct shared *later;
    t_must(fm_queue_get(s->q, &later, sizeof later, NULL, FM_SECONDS(10)));
    return serve(&later);
}

static void test_queue_made_after_a_process_is_reached_by_its_address(void **state)
{
    struct shared *s = new_shared(NULL);
    fm_process *p = t_run(t_method(state), serve_later, &s, sizeof s);
    struct shared *later = new_shared(NULL);
    t_expect(fm_queue_create(&later->back, NULL), 0);
    t_expect(fm_queue_put(s->q, &later, sizeof later, FM_SECONDS(10)), 0);
    int number = 21;
    put_number(later->q, number);
    t_expect(fm_queue_get(later->back, &number, sizeof number, NULL, FM_SECONDS(10)), 0);
    assert_int_equal(number, 42);
    t_expect(fm_queue_close(later->q), 0);
    assert_int_equal(t_end(p), 0);
    free_shared(later);
    free_shared(s);
}

/* Puts all it has and ends: nothing is left behind in it. */
static int put_and_end(void *arg)
{
    struct shared *s = *(struct shared **)arg;
    char *message = malloc(LARGE);
    for (uint32_t i = 0; i < 100; i++) {
        size_t bytes = i % 10 == 0 ? LARGE : sizeof(struct t_message) + i;
        t_fill(message, bytes, 0, i);
        t_must(fm_queue_put(s->q, message, bytes, FM_SECONDS(10)));
    }
    free(message);
    return 0;
}

static void test_queue_keeps_the_messages_of_a_process_that_has_ended(void **state)
{
    struct shared *s = new_shared(NULL);
    char *message = malloc(LARGE);
    assert_int_equal(t_end(t_run(t_method(state), put_and_end, &s, sizeof s)), 0);
    assert_int_equal(fm_queue_size(s->q), 100);
    for (uint32_t i = 0; i < 100; i++) {
        struct t_message m;
        size_t bytes;
        t_expect(fm_queue_get_nowait(s->q, message, LARGE, &bytes), 0);
        assert_true(t_is_whole(message, bytes, &m));
        assert_int_equal(m.sequence, i);
    }
    free(message);
    free_shared(s);
}

struct crowd_arg {
    struct shared *s;
    uint32_t me;
};

/* Every process puts 50 and gets 50; all of them together see each message once. */
static void put_and_get(void *arg)
{
    struct crowd_arg *a = arg;
    char buf[300];
    for (uint32_t i = 0; i < 50; i++) {
        size_t bytes = sizeof(struct t_message) + (i * 5) % 250;
        struct t_message m;
        t_fill(buf, bytes, a->me, i);
        t_must(fm_queue_put(a->s->q, buf, bytes, FM_SECONDS(15)));
        t_must(fm_queue_get(a->s->q, buf, sizeof buf, &bytes, FM_SECONDS(15)));
        if (!t_is_whole(buf, bytes, &m))
            _exit(2);
        atomic_fetch_add(&a->s->sum, (uint64_t)m.writer * 1000 + m.sequence);
    }
}

static void crowd(int64_t capacity)
{
    struct shared *s = new_shared(FM_QUEUE_OPTS(.capacity = capacity));
    struct crowd_arg args[MANY];
    pid_t pids[MANY];
    uint64_t sum = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        args[i] = (struct crowd_arg){s, i};
        pids[i] = t_start_child(put_and_get, &args[i]);
        for (uint64_t k = 0; k < 50; k++)
            sum += i * 1000 + k;
    }
    for (int i = 0; i < MANY; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
    assert_int_equal(atomic_load(&s->sum), sum);
    assert_true(fm_queue_empty(s->q));
    free_shared(s);
}

static void test_queue_serves_64_processes(void **state)
{
    (void)state;
    crowd(MANY);
}

static void test_queue_of_one_place_serves_64_processes(void **state)
{
    (void)state;
    crowd(1);
}

/* ---- large ------------------------------------------------------------------------------------ */

static void send_large(void *arg)
{
    struct shared *s = arg;
    size_t bytes = (size_t)s->limit << 20;
    void *message;
    t_must(fm_queue_reserve(s->q, bytes, &message, FM_NOWAIT));
    uint64_t *words = message;
    for (size_t i = 0; i < bytes / 8; i += 512) /* one a page */
        words[i] = t_mix(i);
    words[bytes / 8 - 1] = 77;
    t_must(fm_queue_commit(s->q, message, bytes, FM_NOWAIT));
}

static void expect_large(struct shared *s, const void *message, size_t bytes)
{
    const uint64_t *words = message;
    assert_int_equal(bytes, (size_t)s->limit << 20);
    for (size_t i = 0; i < bytes / 8; i += 512)
        assert_int_equal(words[i], t_mix(i));
    assert_int_equal(words[bytes / 8 - 1], 77);
}

static void test_queue_message_of_64_mib_comes_whole(void **state)
{
    (void)state;
    struct shared *s = new_shared(FM_QUEUE_OPTS(.capacity = 2));
    s->limit = 64;
    char *copy = malloc((size_t)64 << 20);
    size_t bytes;
    void *ptr;
    for (int i = 0; i < 2; i++)
        assert_int_equal(t_exit_code(t_in_child(send_large, s)), 0);
    t_expect(fm_queue_get(s->q, copy, (size_t)64 << 20, &bytes, FM_NOWAIT), 0);
    expect_large(s, copy, bytes);
    t_expect(fm_queue_borrow(s->q, &ptr, &bytes, FM_NOWAIT), 0);
    expect_large(s, ptr, bytes);
    t_expect(fm_queue_release(s->q, ptr), 0);
    t_expect(fm_queue_put(s->q, copy, bytes, FM_NOWAIT), 0);
    t_expect(fm_queue_get(s->q, copy, bytes, &bytes, FM_NOWAIT), 0);
    expect_large(s, copy, bytes);
    free(copy);
    free_shared(s);
}

/* ---- simple queues ---------------------------------------------------------------------------- */

static void test_simple_queue_puts_gets_and_ends(void **state)
{
    (void)state;
    FM_AUTO(fm_simple_queue) q = NULL;
    char buf[16];
    size_t bytes;
    t_expect(fm_simple_queue_create(&q), 0);
    assert_true(fm_simple_queue_empty(q));
    t_expect(fm_simple_queue_put(q, "hello", 5), 0);
    assert_false(fm_simple_queue_empty(q));
    assert_int_equal(fm_simple_queue_get(q, buf, 2, &bytes), FM_ETOOLONG);
    t_expect(fm_simple_queue_get(q, buf, sizeof buf, &bytes), 0);
    assert_int_equal(bytes, 5);
    assert_memory_equal(buf, "hello", 5);
    t_expect(fm_simple_queue_close(q), 0);
    assert_int_equal(fm_simple_queue_get(q, buf, sizeof buf, &bytes), FM_ECLOSED);
    assert_int_equal(fm_simple_queue_put(q, "x", 1), FM_ECLOSED);
}

T_MAIN(T_TEST(test_queue_gives_messages_in_the_order_in_which_they_were_put),
       T_TEST(test_queue_messages_of_any_length_come_whole),
       T_TEST(test_queue_holds_its_capacity_and_refuses_the_next_one),
       T_TEST(test_queue_without_a_capacity_holds_the_default),
       T_TEST(test_queue_full_of_long_messages_holds_its_capacity_too),
       T_TEST(test_queue_that_is_empty_refuses_a_get),
       T_TEST(test_queue_message_longer_than_the_buffer_stays_and_tells_its_length),
       T_TEST(test_queue_message_without_bytes_is_a_message),
       T_TEST(test_queue_that_is_closed_is_drained_and_then_says_so),
       T_TEST(test_queue_wrong_arguments_are_refused), T_TEST(test_queue_that_is_destroyed_is_none),
       T_TEST(test_queue_with_overwritten_words_says_so_and_reads_nowhere),
       T_TEST(test_queue_reserved_message_is_read_where_it_was_written),
       T_TEST(test_queue_commit_may_be_of_less_and_not_of_more),
       T_TEST(test_queue_commit_to_a_full_one_may_be_repeated_or_abandoned),
       T_TEST(test_queue_borrowed_messages_take_no_room_in_it),
       T_TEST(test_queue_memory_of_messages_is_used_again),
       T_TEST(test_queue_put_wakes_a_sleeping_reader_for_each_message),
       T_TEST(test_queue_get_wakes_a_sleeping_writer_for_each_place),
       T_TEST(test_queue_close_wakes_all_who_sleep_in_get),
       T_TEST(test_queue_close_wakes_all_who_sleep_in_put),
       T_EACH_METHOD(test_queue_made_before_a_process_is_its_way_in_and_out),
       T_EACH_METHOD(test_queue_made_after_a_process_is_reached_by_its_address),
       T_EACH_METHOD(test_queue_keeps_the_messages_of_a_process_that_has_ended),
       T_TEST(test_queue_serves_64_processes), T_TEST(test_queue_of_one_place_serves_64_processes),
       T_TEST(test_queue_message_of_64_mib_comes_whole),
       T_TEST(test_simple_queue_puts_gets_and_ends))
