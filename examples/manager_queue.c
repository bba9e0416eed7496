/* SPDX-License-Identifier: MIT */
/*
 * A manager's queue, used in a pool by a writer and a reader:
 *
 *     def write(q):
 *         for value in ['A', 'B', 'C']:
 *             q.put(value)
 *
 *     def read(q):
 *         while not q.empty():
 *             print('Get %s from queue.' % q.get(True))
 *
 *     q = Manager().Queue()
 *     p = Pool()
 *     p.apply(write, args=(q,))
 *     p.apply(read, args=(q,))
 *
 * Workers find the queue by its name; what they put and get does not pass through the manager's process.
 */
#include <forkmap/forkmap.h>
#include <stdio.h>

static int find(void *manager, fm_queue **q)
{
    return fm_manager_get(manager, "letters", (void **)q);
}

static int write_letters(const void *manager, void *result)
{
    fm_queue *q;
    (void)result;
    int rc = find(*(fm_manager *const *)manager, &q);
    for (const char *value = "ABC"; *value != '\0' && rc == 0; value++) {
        printf("Put %c to queue...\n", *value);
        rc = fm_queue_put(q, value, 1, FM_FOREVER);
    }
    return fflush(stdout) != 0 ? 1 : rc;
}

static int read_letters(const void *manager, void *result)
{
    fm_queue *q;
    char value;
    size_t bytes;
    (void)result;
    int rc = find(*(fm_manager *const *)manager, &q);
    while (rc == 0 && fm_queue_empty(q) == 0) {
        rc = fm_queue_get(q, &value, 1, &bytes, FM_FOREVER);
        if (rc == 0)
            printf("Get %c from queue.\n", value);
    }
    return fflush(stdout) != 0 ? 1 : rc;
}

int main(void)
{
    FM_AUTO(fm_manager) manager = NULL;
    FM_AUTO(fm_pool) pool = NULL;
    int rc = fm_manager_start(&manager, NULL);
    if (rc == 0)
        rc = fm_manager_create(manager, "letters", "queue", NULL, 0, FM_FOREVER);
    if (rc == 0)
        rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2));
    if (rc == 0)
        rc = fm_pool_apply(pool, write_letters, &manager, sizeof(void *), NULL, 0);
    if (rc == 0)
        rc = fm_pool_apply(pool, read_letters, &manager, sizeof(void *), NULL, 0);
    if (rc == 0)
        printf("Done!\n");
    else
        fprintf(stderr, "%s: %s\n", fm_errname(rc), fm_error_detail());
    return rc != 0;
}
