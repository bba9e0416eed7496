/* SPDX-License-Identifier: MIT */
/*
 * A counter that several processes raise, without a lock and with one:
 *
 *     def raise_it(counter, lock):
 *         for _ in range(N):
 *             with lock:
 *                 counter.value += 1
 *
 * Adding to a number is a read and a write, and between the two another process may add as well. With the lock the result is exact; when a
 * process is killed with it, the next one is told, and nobody waits for ever.
 */
#include <forkmap/forkmap.h>
#include <signal.h>
#include <stdio.h>

enum { PROCESSES = 4, TIMES = 20000 };

struct counter {
    volatile int64_t value; /* volatile: each addition goes to memory */
    fm_lock *lock;          /* NULL: without */
};

static int raise_it(void *arg)
{
    struct counter *counter = arg;
    for (int i = 0; i < TIMES; i++) {
        if (counter->lock != NULL && fm_lock_acquire(counter->lock, FM_FOREVER) != 0)
            return 1;
        counter->value = counter->value + 1;
        if (counter->lock != NULL)
            fm_lock_release(counter->lock);
    }
    return 0;
}

static int be_killed_with_it(void *arg)
{
    struct counter *counter = arg;
    int rc = fm_lock_acquire(counter->lock, FM_FOREVER);
    if (rc == 0) {
        counter->value = -1; /* in the middle of a change */
        rc = raise(SIGKILL);
    }
    return rc;
}

/* The pointer means the same in all processes, so it is handed on as it is. */
static int run(fm_target_fn *function, int n, struct counter *counter)
{
    fm_process *p[PROCESSES] = {NULL};
    int rc = 0;
    for (int i = 0; rc == 0 && i < n; i++) {
        rc = fm_process_create(&p[i], function, counter, 0, NULL);
        if (rc == 0)
            rc = fm_process_start(p[i]);
    }
    for (int i = 0; rc == 0 && i < n; i++)
        rc = fm_process_join(p[i], FM_FOREVER);
    for (int i = 0; i < n; i++)
        fm_process_close(p[i]);
    return rc;
}

static int show(struct counter *counter)
{
    FM_AUTO(fm_lock) lock = NULL;
    int rc = run(raise_it, PROCESSES, counter);
    if (rc == 0)
        printf("without a lock: %s\n",
               counter->value <= PROCESSES * TIMES ? "80000, or less" : "more?");
    if (rc == 0)
        rc = fm_lock_create(&lock);
    counter->value = 0;
    counter->lock = lock;
    if (rc == 0)
        rc = run(raise_it, PROCESSES, counter);
    if (rc == 0)
        printf("with a lock: %lld\n", (long long)counter->value);
    if (rc == 0)
        rc = run(be_killed_with_it, 1, counter);
    if (rc != 0)
        return rc;
    rc = fm_lock_acquire(lock, FM_SECONDS(10));
    printf("after a death: %s, the counter is %lld\n", fm_errname(rc), (long long)counter->value);
    return rc == FM_EOWNERDEAD ? fm_lock_release(lock) : rc;
}

int main(void)
{
    FM_AUTO(fm_array) memory = NULL;
    const int64_t bytes = sizeof(struct counter);
    fm_log_set(FM_LOG_OFF, NULL, NULL); /* it would tell of the process that is killed */
    int rc = fm_array_zeros(&memory, FM_U8, 1, &bytes);
    if (rc == 0)
        rc = show(fm_array_data(memory));
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
    return rc != 0;
}
