/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* A callback that waits for a result whose own callback comes later. */
#include "t_pool.h"

#include <errno.h>
#include <unistd.h>

struct pair {
    fm_result *later;
    int got, waited, asked, freed;
};

static int return_at_once(const void *arg, void *result)
{
    (void)arg;
    (void)result;
    return 0;
}

static int sleep_until_killed(const void *arg, void *result)
{
    (void)arg;
    (void)result;
    while (pause() < 0)
        ;
    return 0;
}

static void try_all(fm_result *result, void *arg)
{
    struct pair *pair = arg;
    (void)result;
    pair->got = fm_result_get(pair->later, FM_FOREVER);
    pair->waited = fm_result_wait(pair->later, FM_SECONDS(10));
    pair->asked = fm_result_get(pair->later, FM_NOWAIT);
    pair->freed = fm_result_free(pair->later);
}

static void count(fm_result *result, void *arg)
{
    (void)result;
    ++*(int *)arg;
}

static void test_callback_that_waits_for_a_later_callback_is_refused(void **state)
{
    (void)state;
    struct pair pair = {0};
    int n_called = 0;
    fm_result *r;
    fm_pool *pool = t_open(2, 0);
    t_expect(fm_pool_apply_async(pool, sleep_until_killed, NULL, 0, NULL, 0,
                                 FM_APPLY_OPTS(.error_callback = count, .callback_arg = &n_called),
                                 &pair.later),
             0);
    t_expect(fm_pool_apply_async(pool, return_at_once, NULL, 0, NULL, 0,
                                 FM_APPLY_OPTS(.callback = try_all, .callback_arg = &pair), &r),
             0);
    t_expect(fm_result_get(r, FM_FOREVER), 0);
    t_expect(pair.got, -EDEADLK);
    t_expect(pair.waited, -EDEADLK);
    t_expect(pair.asked, -ETIMEDOUT);
    t_expect(pair.freed, -EDEADLK);
    t_expect(fm_result_cancel(pair.later, FM_CANCEL_KILL), 0);
    t_expect(fm_result_get(pair.later, FM_FOREVER), FM_ECANCELLED);
    assert_int_equal(n_called, 1);
    t_expect(fm_result_free(pair.later), 0);
    t_expect(fm_result_free(r), 0);
    t_destroy(pool);
}

T_MAIN(T_TEST(test_callback_that_waits_for_a_later_callback_is_refused))
