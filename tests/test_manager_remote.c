/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork */
/* TIMEOUT: 40 */
/* Managers for those who do not have the memory: over TCP, and by a path without mapping. */
#include "t_manager.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

static void expect_all_over(const char *address)
{
    fm_manager *m = t_manager(address), *client = t_client(fm_manager_address(m));
    assert_int_equal(fm_manager_is_here(client), 0);
    t_expect_all_types(client);
    t_expect(fm_manager_close(client), 0);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_has_every_type_over_tcp(void **state)
{
    (void)state;
    expect_all_over("localhost:0");
}

static void test_manager_has_every_type_by_a_path_without_mapping(void **state)
{
    (void)state;
    expect_all_over(NULL);
}

static void test_manager_over_tcp_gives_no_pointers_and_says_why(void **state)
{
    (void)state;
    fm_manager *m = t_manager("localhost:0"), *client;
    void *none;
    /* also who wants the memory gets none */
    t_expect(fm_manager_connect(&client, fm_manager_address(m), T_MANAGER_KEY, sizeof T_MANAGER_KEY,
                                NULL),
             0);
    assert_int_equal(fm_manager_is_here(client), 0);
    assert_non_null(strstr(fm_error_detail(), "TCP"));
    t_make(m, "d", "dict", "");
    t_expect(fm_manager_get(client, "d", &none), FM_EREMOTE);
    assert_null(none);
    t_expect(fm_manager_get(client, "e", &none), -ENOENT);
    t_expect(fm_manager_close(client), 0);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_of_ones_own_family_is_here_by_its_path(void **state)
{
    (void)state;
    fm_manager *m = t_manager(NULL), *client;
    void *one, *other;
    t_make(m, "d", "dict", "");
    t_expect(fm_manager_connect(&client, fm_manager_address(m), T_MANAGER_KEY, sizeof T_MANAGER_KEY,
                                NULL),
             0);
    assert_int_equal(fm_manager_is_here(client), 1);
    t_expect(fm_manager_get(m, "d", &one), 0);
    t_expect(fm_manager_get(client, "d", &other), 0);
    assert_ptr_equal(one, other);
    t_expect(fm_manager_close(client), 0);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_refuses_a_wrong_key(void **state)
{
    (void)state;
    fm_manager *m = t_manager(NULL), *client;
    t_expect(fm_manager_connect(&client, fm_manager_address(m), "another", 7, NULL), FM_EAUTH);
    assert_null(client);
    client = t_client(fm_manager_address(m));
    t_expect(fm_manager_close(client), 0);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_lists_creates_and_deletes_for_clients(void **state)
{
    (void)state;
    fm_manager *m = t_manager("localhost:0"), *client = t_client(fm_manager_address(m));
    fm_snapshot *s;
    t_make(client, "a", "dict", "");
    t_make(m, "b", "lock", "");
    t_expect(fm_manager_create(client, "b", "dict", NULL, 0, FM_FOREVER), -EEXIST);
    t_expect(fm_manager_create(client, "c", "nothing", NULL, 0, FM_FOREVER), -EINVAL);
    assert_non_null(strstr(fm_error_detail(), "nothing"));
    t_expect(fm_manager_list(client, &s), 0);
    assert_int_equal(s->n, 2);
    assert_string_equal(s->keys[0].data, "a");
    assert_string_equal(s->values[0].data, "dict");
    assert_string_equal(s->keys[1].data, "b");
    assert_string_equal(s->values[1].data, "lock");
    fm_snapshot_free(s);
    t_expect(fm_manager_delete(client, "b"), 0);
    t_expect(fm_manager_delete(client, "b"), -ENOENT);
    t_expect(fm_manager_close(client), 0);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_is_shut_down_by_a_client(void **state)
{
    (void)state;
    fm_manager *m = t_manager("localhost:0"), *client = t_client(fm_manager_address(m));
    t_make(client, "a", "dict", "");
    t_expect(fm_manager_shutdown(client), 0);
    t_expect_refusal(client, "a", "len", FM_ECLOSED);
    t_expect_refusal(m, "a", "len", FM_ECLOSED);
    t_expect(fm_manager_close(client), 0);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_carries_any_bytes_and_long_ones(void **state)
{
    (void)state;
    enum { N = 3000000 };
    fm_manager *m = t_manager("localhost:0"), *client = t_client(fm_manager_address(m));
    fm_snapshot *reply;
    char *long_one = malloc(N);
    assert_non_null(long_one);
    for (int i = 0; i < N; i++)
        long_one[i] = (char)(i * 7);
    const fm_bytes pair[] = {fm_bytes_of("\0k", 2), fm_bytes_of(long_one, N)};
    t_make(client, "d", "dict", "");
    t_expect(fm_manager_call(client, "d", "set", pair, 2, NULL, FM_FOREVER), 0);
    t_expect(fm_manager_call(client, "d", "get", pair, 1, &reply, FM_FOREVER), 0);
    assert_int_equal(reply->n, 1);
    assert_int_equal(reply->values[0].bytes, N);
    assert_memory_equal(reply->values[0].data, long_one, N);
    fm_snapshot_free(reply);
    free(long_one);
    t_expect(fm_manager_close(client), 0);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_refuses_what_is_longer_than_max_frame(void **state)
{
    (void)state;
    fm_manager *m, *client;
    char big[4000];
    memset(big, 'b', sizeof big);
    t_expect(fm_manager_start(&m, FM_MANAGER_OPTS(.authkey = T_MANAGER_KEY,
                                                  .authkey_bytes = sizeof T_MANAGER_KEY,
                                                  .max_frame = 2048)),
             0);
    client = t_client(fm_manager_address(m));
    const fm_bytes pair[] = {fm_text("k"), fm_bytes_of(big, sizeof big)};
    t_make(m, "d", "dict", "");
    t_make(m, "q", "queue", "4");
    t_expect(fm_manager_call(client, "d", "set", pair, 2, NULL, FM_FOREVER), FM_ETOOLONG);
    t_expect(fm_manager_call(m, "d", "set", pair, 2, NULL, FM_FOREVER), 0);
    t_expect_refusal(client, "d", "get k", FM_ETOOLONG);
    t_expect(fm_manager_call(m, "q", "put", pair + 1, 1, NULL, FM_FOREVER), 0);
    t_expect_refusal(client, "q", "get", FM_ETOOLONG);
    t_expect_call(client, "q", "size", "1"); /* nothing was lost */
    t_expect(fm_manager_close(client), 0);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_refuses_more_than_max_clients_and_goes_on(void **state)
{
    (void)state;
    fm_manager *m, *one, *two;
    t_expect(fm_manager_start(&m, FM_MANAGER_OPTS(.authkey = T_MANAGER_KEY,
                                                  .authkey_bytes = sizeof T_MANAGER_KEY,
                                                  .max_clients = 1)),
             0);
    one = t_client(fm_manager_address(m));
    t_make(one, "d", "dict", "");
    t_expect(
        fm_manager_connect(&two, fm_manager_address(m), T_MANAGER_KEY, sizeof T_MANAGER_KEY, NULL),
        -EUSERS);
    assert_null(two);
    t_expect_call(one, "d", "len", "0");
    t_expect(fm_manager_close(one), 0);
    int rc = -EUSERS;
    for (int i = 0; i < 1000 && rc == -EUSERS; i++) { /* until the server has seen the end */
        rc = fm_manager_connect(&two, fm_manager_address(m), T_MANAGER_KEY, sizeof T_MANAGER_KEY,
                                FM_MANAGER_CONNECT_OPTS(.flags = FM_MANAGER_NO_MAP));
        usleep(5000);
    }
    t_expect(rc, 0);
    t_expect(fm_manager_close(two), 0);
    t_expect(fm_manager_close(m), 0);
}

/* ---- waiting --------------------------------------------------------------------------------------------- */

struct waiter {
    fm_manager *m;
    int rc;
    char got[64];
};

static void *await_message(void *arg)
{
    struct waiter *w = arg;
    w->rc = t_call(w->m, "q", "get", w->got, sizeof w->got);
    return NULL;
}

static void test_manager_lets_one_thread_of_a_client_wait_while_another_calls(void **state)
{
    (void)state;
    fm_manager *m = t_manager("localhost:0");
    struct waiter w = {.m = t_client(fm_manager_address(m))};
    pthread_t thread;
    t_make(m, "q", "queue", "4");
    assert_int_equal(pthread_create(&thread, NULL, await_message, &w), 0);
    usleep(250000); /* a wait of several slices */
    t_expect_call(w.m, "q", "put hello", "");
    assert_int_equal(pthread_join(thread, NULL), 0);
    t_expect(w.rc, 0);
    assert_string_equal(w.got, "hello");
    t_expect(fm_manager_close(w.m), 0);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_ends_a_wait_in_time(void **state)
{
    (void)state;
    fm_manager *m = t_manager("localhost:0"), *client = t_client(fm_manager_address(m));
    char got[8];
    t_make(m, "e", "event", "");
    t_make(m, "q", "queue", "4");
    t_expect(t_call_timed(client, "e", "wait", got, sizeof got, FM_MS(150)), -ETIMEDOUT);
    t_expect(t_call_timed(client, "q", "get", got, sizeof got, FM_MS(20)), -ETIMEDOUT);
    t_expect(t_call_timed(client, "q", "get", got, sizeof got, FM_NOWAIT), -EAGAIN);
    t_expect(fm_manager_close(client), 0);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_lock_of_a_client_that_disconnects_is_owner_dead(void **state)
{
    (void)state;
    fm_manager *m = t_manager("localhost:0"), *client = t_client(fm_manager_address(m));
    char got[8];
    t_make(m, "l", "lock", "");
    t_expect_call(client, "l", "acquire", "");
    t_expect(t_call_timed(m, "l", "acquire", got, sizeof got, FM_NOWAIT), -ETIMEDOUT);
    t_expect(fm_manager_close(client), 0);
    t_expect(t_call(m, "l", "acquire", got, sizeof got), FM_EOWNERDEAD);
    t_expect_call(m, "l", "release", "");
    t_expect(fm_manager_close(m), 0);
}

static void *acquire_and_end(void *arg)
{
    struct waiter *w = arg;
    w->rc = t_call(w->m, "l", "acquire", w->got, sizeof w->got);
    return NULL;
}

static void test_manager_lock_of_a_clients_thread_that_ends_is_owner_dead(void **state)
{
    (void)state;
    fm_manager *m = t_manager("localhost:0");
    struct waiter w = {.m = t_client(fm_manager_address(m))};
    pthread_t thread;
    char got[8];
    t_make(m, "l", "lock", "");
    assert_int_equal(pthread_create(&thread, NULL, acquire_and_end, &w), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    t_expect(w.rc, 0);
    t_expect(t_call(w.m, "l", "acquire", got, sizeof got), FM_EOWNERDEAD);
    t_expect_call(w.m, "l", "release", "");
    t_expect(fm_manager_close(w.m), 0);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_object_that_is_deleted_lives_until_its_calls_are_over(void **state)
{
    (void)state;
    fm_manager *m = t_manager("localhost:0");
    struct waiter w = {.m = t_client(fm_manager_address(m))};
    pthread_t thread;
    fm_queue *q;
    t_make(m, "q", "queue", "4");
    t_expect(fm_manager_get(m, "q", (void **)&q), 0);
    assert_int_equal(pthread_create(&thread, NULL, await_message, &w), 0);
    usleep(150000); /* it waits */
    t_expect(fm_manager_delete(m, "q"), 0);
    t_expect_refusal(w.m, "q", "size", -ENOENT);
    t_make(m, "q", "queue", "4");                        /* another one */
    t_expect(fm_queue_put(q, "late", 4, FM_FOREVER), 0); /* the waiter has it still */
    assert_int_equal(pthread_join(thread, NULL), 0);
    t_expect(w.rc, 0);
    assert_string_equal(w.got, "late");
    t_expect_call(w.m, "q", "size", "0");
    t_expect(fm_manager_close(w.m), 0);
    t_expect(fm_manager_close(m), 0);
}

T_MAIN(T_TEST(test_manager_lock_of_a_clients_thread_that_ends_is_owner_dead),
       T_TEST(test_manager_object_that_is_deleted_lives_until_its_calls_are_over),
       T_TEST(test_manager_has_every_type_over_tcp),
       T_TEST(test_manager_has_every_type_by_a_path_without_mapping),
       T_TEST(test_manager_over_tcp_gives_no_pointers_and_says_why),
       T_TEST(test_manager_of_ones_own_family_is_here_by_its_path),
       T_TEST(test_manager_refuses_a_wrong_key),
       T_TEST(test_manager_lists_creates_and_deletes_for_clients),
       T_TEST(test_manager_is_shut_down_by_a_client),
       T_TEST(test_manager_carries_any_bytes_and_long_ones),
       T_TEST(test_manager_refuses_what_is_longer_than_max_frame),
       T_TEST(test_manager_refuses_more_than_max_clients_and_goes_on),
       T_TEST(test_manager_lets_one_thread_of_a_client_wait_while_another_calls),
       T_TEST(test_manager_ends_a_wait_in_time),
       T_TEST(test_manager_lock_of_a_client_that_disconnects_is_owner_dead))
