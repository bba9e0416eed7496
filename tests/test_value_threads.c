/* SPDX-License-Identifier: MIT */
/* LABELS: unit threads */
/* TIMEOUT: 40 */
/* Shared values and lists between threads, where ThreadSanitizer sees what it cannot see between processes. */
#include "t.h"

#include <forkmap/forkmap.h>
#include <pthread.h>
#include <string.h>

enum { N_PARTIES = 3, N_TURNS = 3000, RECORD = 200 };

static void run_parties(void *(*fn)(void *), void *arg)
{
    pthread_t threads[N_PARTIES];
    void *wrong;
    for (int i = 0; i < N_PARTIES; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fn, arg), 0);
    for (int i = 0; i < N_PARTIES; i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

static fm_value *make(fm_dtype dtype, int lock)
{
    fm_value *v;
    assert_int_equal(fm_value_create(&v, dtype, NULL, lock), 0);
    return v;
}

static void *count_up(void *arg)
{
    for (int i = 0; i < N_TURNS; i++)
        if (fm_value_add(arg, &(int64_t){1}, NULL) != 0)
            return "add";
    return NULL;
}

static void test_value_additions_of_several_threads_are_all_there(void **state)
{
    (void)state;
    static const int kinds[] = {FM_LOCKED, FM_RAW};
    for (int k = 0; k < 2; k++) {
        int64_t n;
        fm_value *v = make(FM_I64, kinds[k]);
        run_parties(count_up, v);
        assert_int_equal(fm_value_get(v, &n), 0);
        assert_int_equal(n, N_PARTIES * N_TURNS);
        fm_value_destroy(v);
    }
}

static void *set_and_get(void *arg)
{
    char in[RECORD], out[RECORD];
    for (int i = 0; i < N_TURNS; i++) {
        memset(in, i % 100, sizeof in);
        if (fm_value_set(arg, in) != 0 || fm_value_get(arg, out) != 0 ||
            memcmp(out, out + 1, sizeof out - 1) != 0)
            return "set or get";
    }
    return NULL;
}

static void test_value_record_is_whole_between_threads(void **state)
{
    (void)state;
    fm_value *v = make(FM_STRUCT(RECORD), FM_LOCKED);
    run_parties(set_and_get, v);
    fm_value_destroy(v);
}

/* A plain word that is written before a flag is raised is there for who sees the flag. */
static fm_value *flag;
static int64_t plain;

static void *raise_flag(void *arg)
{
    plain = *(int64_t *)arg;
    return fm_value_set(flag, &(uint8_t){1}) == 0 ? NULL : "set";
}

static void test_value_that_is_raw_publishes_what_was_written_before(void **state)
{
    (void)state;
    pthread_t thread;
    int64_t number = 4711;
    uint8_t is_up = 0;
    flag = make(FM_U8, FM_RAW);
    assert_int_equal(pthread_create(&thread, NULL, raise_flag, &number), 0);
    while (is_up == 0)
        assert_int_equal(fm_value_get(flag, &is_up), 0);
    assert_int_equal(plain, 4711);
    pthread_join(thread, NULL);
    fm_value_destroy(flag);
}

static void *set_and_get_items(void *arg)
{
    char in[RECORD], out[RECORD];
    fm_shlist_item item;
    for (int i = 0; i < N_TURNS; i++) {
        memset(in, i % 100, sizeof in);
        item = fm_shlist_bytes(in, (size_t)(RECORD - i % 50));
        if (fm_shlist_set(arg, 0, &item) != 0)
            return "set";
        if (fm_shlist_get(arg, 0, &item, out, sizeof out) != 0 || item.bytes < RECORD - 49 ||
            memcmp(out, out + 1, item.bytes - 1) != 0)
            return "get";
    }
    return NULL;
}

static void test_shlist_item_is_whole_between_threads(void **state)
{
    (void)state;
    fm_shlist *l;
    const char zeros[RECORD] = {0};
    const fm_shlist_item item = fm_shlist_bytes(zeros, sizeof zeros);
    assert_int_equal(fm_shlist_create(&l, &item, 1), 0);
    run_parties(set_and_get_items, l);
    fm_shlist_destroy(l);
}

T_MAIN(T_TEST(test_value_additions_of_several_threads_are_all_there),
       T_TEST(test_value_record_is_whole_between_threads),
       T_TEST(test_value_that_is_raw_publishes_what_was_written_before),
       T_TEST(test_shlist_item_is_whole_between_threads))
