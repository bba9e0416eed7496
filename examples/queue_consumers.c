/* SPDX-License-Identifier: MIT */
/*
 * One producer and two consumers with a joinable queue:
 *
 *     q = JoinableQueue()
 *     for i in range(10): q.put(i)             producer; then q.join()
 *     while True: item = q.get(); ...; q.task_done()       consumers, which are daemons
 *
 * Each consumer puts squares into a second queue. The join returns when all ten are dealt with, whichever consumer had them; it would return as well
 * if one of them were killed.
 */
#include <forkmap/forkmap.h>
#include <stdio.h>

enum { N_ITEMS = 10, N_CONSUMERS = 2 };

struct ways {
    fm_queue *items, *squares;
};

static int consume(void *arg)
{
    const struct ways *ways = arg;
    int64_t x;
    int rc;
    while ((rc = fm_queue_get(ways->items, &x, sizeof x, NULL, FM_FOREVER)) == 0) {
        x *= x;
        rc = fm_queue_put(ways->squares, &x, sizeof x, FM_FOREVER);
        if (rc == 0)
            rc = fm_queue_task_done(ways->items);
        if (rc != 0)
            return rc;
    }
    return rc == FM_ECLOSED ? 0 : rc;
}

static int produce(const struct ways *ways)
{
    int rc = 0;
    for (int64_t i = 0; i < N_ITEMS && rc == 0; i++)
        rc = fm_queue_put(ways->items, &i, sizeof i, FM_FOREVER);
    return rc == 0 ? fm_queue_join(ways->items, FM_FOREVER) : rc;
}

static int add_up(const struct ways *ways)
{
    int64_t sum = 0, x;
    int n = 0;
    for (; fm_queue_get_nowait(ways->squares, &x, sizeof x, NULL) == 0; n++)
        sum += x;
    printf("%d squares, %lld in all\n", n, (long long)sum);
    return fm_queue_close(ways->items); /* the consumers return */
}

static int run(struct ways *ways)
{
    fm_process *consumers[N_CONSUMERS] = {NULL};
    int rc = 0, code;
    for (int i = 0; i < N_CONSUMERS && rc == 0; i++) {
        rc = fm_process_create(&consumers[i], consume, ways, sizeof *ways, NULL);
        if (rc == 0)
            rc = fm_process_start(consumers[i]);
    }
    if (rc == 0)
        rc = produce(ways);
    if (rc == 0)
        rc = add_up(ways);
    for (int i = 0; i < N_CONSUMERS && rc == 0; i++) {
        rc = fm_process_join(consumers[i], FM_FOREVER);
        if (rc == 0)
            rc = fm_process_exitcode(consumers[i], &code);
        if (rc == 0)
            printf("%s left with %d\n", fm_process_name(consumers[i]), code);
    }
    for (int i = 0; i < N_CONSUMERS; i++)
        fm_process_close(consumers[i]);
    return rc;
}

int main(void)
{
    FM_AUTO(fm_queue) items = NULL;
    FM_AUTO(fm_queue) squares = NULL;
    int rc = fm_queue_create(&items, FM_QUEUE_OPTS(.joinable = 1));
    if (rc == 0)
        rc = fm_queue_create(&squares, NULL);
    if (rc == 0)
        rc = run(&(struct ways){items, squares});
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
    return rc != 0;
}
