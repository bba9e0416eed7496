/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* The descriptor of a result: who finds it readable finds the result ready. */
#include "t_pool.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

static int give_seven(const void *arg, void *result)
{
    (void)arg;
    *(int *)result = 7;
    return 0;
}

static int is_readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

static void test_result_whose_descriptor_is_readable_is_ready(void **state)
{
    enum { N = 3000 };
    (void)state;
    fm_pool *pool = t_open(2, 0);
    for (int i = 0; i < N; i++) {
        fm_result *r;
        t_expect(fm_pool_apply_async(pool, give_seven, NULL, 0, NULL, sizeof(int), NULL, &r), 0);
        const int fd = fm_result_fileno(r);
        assert_true(fd >= 0);
        assert_true(is_readable(fd, -1));
        t_expect(fm_result_get(r, FM_NOWAIT), 0);
        assert_int_equal(*(const int *)fm_result_data(r), 7);
        t_expect(fm_result_free(r), 0);
    }
    t_destroy(pool);
}

struct gate {
    atomic_int is_inside, is_open;
};

static void wait_at(fm_result *result, void *arg)
{
    struct gate *gate = arg;
    (void)result;
    atomic_store(&gate->is_inside, 1);
    while (atomic_load(&gate->is_open) == 0)
        usleep(1000);
}

static void test_result_descriptor_asked_for_during_the_callback_waits_for_it(void **state)
{
    (void)state;
    struct gate gate = {0};
    fm_result *r;
    fm_pool *pool = t_open(1, 0);
    t_expect(fm_pool_apply_async(pool, give_seven, NULL, 0, NULL, sizeof(int),
                                 FM_APPLY_OPTS(.callback = wait_at, .callback_arg = &gate), &r),
             0);
    while (atomic_load(&gate.is_inside) == 0)
        usleep(1000);
    const int fd = fm_result_fileno(r);
    assert_true(fd >= 0);
    assert_false(is_readable(fd, 10));
    t_expect(fm_result_get(r, FM_NOWAIT), -ETIMEDOUT);
    atomic_store(&gate.is_open, 1);
    assert_true(is_readable(fd, -1));
    t_expect(fm_result_get(r, FM_NOWAIT), 0);
    t_expect(fm_result_free(r), 0);
    t_destroy(pool);
}

T_MAIN(T_TEST(test_result_whose_descriptor_is_readable_is_ready),
       T_TEST(test_result_descriptor_asked_for_during_the_callback_waits_for_it))
