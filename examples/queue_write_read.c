/* SPDX-License-Identifier: MIT */
/*
 * One process writes into a queue, another reads until it is ended: the well-known program
 *
 *     def write(q):
 *         for value in ['A', 'B', 'C']:
 *             print('Put %s to queue...' % value); q.put(value); time.sleep(random.random())
 *     def read(q):
 *         while True: print('Get %s from queue.' % q.get(True))
 *     ...
 *     pw.start(); pr.start(); pw.join(); pr.terminate()
 *
 * There the reader has to be terminated, as it cannot know that nothing will come. Here the queue is closed: the reader gets what is there, then
 * FM_ECLOSED, and returns.
 */
#include <forkmap/forkmap.h>
#include <stdio.h>

static int write_letters(void *arg)
{
    fm_queue *q = *(fm_queue **)arg;
    for (const char *letter = "ABC"; *letter != '\0'; letter++) {
        int rc = fm_queue_put(q, letter, 1, FM_FOREVER);
        if (rc != 0)
            return rc;
    }
    return fm_queue_close(q);
}

static int read_letters(void *arg)
{
    fm_queue *q = *(fm_queue **)arg;
    char letter;
    int rc;
    while ((rc = fm_queue_get(q, &letter, 1, NULL, FM_FOREVER)) == 0)
        printf("Get %c from queue.\n", letter);
    printf("The queue is closed.\n");
    return rc == FM_ECLOSED ? 0 : rc;
}

static int run(void)
{
    FM_AUTO(fm_queue) q = NULL;
    FM_AUTO(fm_process) writer = NULL;
    FM_AUTO(fm_process) reader = NULL;
    int rc = fm_queue_create(&q, NULL);
    if (rc == 0)
        rc = fm_process_create(&writer, write_letters, &q, sizeof q, NULL);
    if (rc == 0)
        rc = fm_process_create(&reader, read_letters, &q, sizeof q, NULL);
    if (rc == 0)
        rc = fm_process_start(writer);
    if (rc == 0)
        rc = fm_process_start(reader);
    if (rc == 0)
        rc = fm_process_join(writer, FM_FOREVER);
    if (rc == 0)
        rc = fm_process_join(reader, FM_FOREVER);
    return rc;
}

int main(void)
{
    int rc = run();
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
    return rc != 0;
}
