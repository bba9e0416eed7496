/* SPDX-License-Identifier: MIT */
#ifndef T_PROCESS_H
#define T_PROCESS_H

/* Short hands for tests that start processes. */
#include "t_pool.h"

#include <stdio.h>
#include <unistd.h>

/* In a host that runs in a child of the test, where no assertion may be used: says what is wrong, and leaves. */
static inline void t_must(int rc)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s: %s\n", fm_errname(rc), fm_error_detail());
    _exit(1);
}

/* The others assert. Runs a host in a child; it must leave with 0. */
static inline void t_run_host(void (*host)(void *), void *arg)
{
    int status = t_in_child(host, arg);
    assert_int_equal(t_signal(status), 0);
    assert_int_equal(t_exit_code(status), 0);
}

static inline fm_context t_context(int method)
{
    fm_context context;
    t_expect(fm_get_context(method, &context), 0);
    return context;
}

static inline fm_process *t_create(int method, fm_target_fn *target, const void *arg,
                                   size_t arg_bytes)
{
    fm_context context = t_context(method);
    fm_process *p;
    t_expect(fm_process_create(&p, target, arg, arg_bytes, FM_PROCESS_OPTS(.context = &context)),
             0);
    assert_non_null(p);
    return p;
}

static inline fm_process *t_run(int method, fm_target_fn *target, const void *arg, size_t arg_bytes)
{
    fm_process *p = t_create(method, target, arg, arg_bytes);
    t_expect(fm_process_start(p), 0);
    return p;
}

/* Joins, closes, and returns the exit code. */
static inline int t_end(fm_process *p)
{
    int code = 0x7777;
    t_expect(fm_process_join(p, FM_SECONDS(15)), 0);
    t_expect(fm_process_exitcode(p, &code), 0);
    t_expect(fm_process_close(p), 0);
    return code;
}

#endif
