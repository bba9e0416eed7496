/* SPDX-License-Identifier: MIT */
/*
 * Messages between two processes: the program of Python's manual, then both ways, several pipes at once, and a process that dies.
 *
 *     def f(conn):                                            parent_conn, child_conn = Pipe()
 *         conn.send([42, None, 'hello'])                      p = Process(target=f, args=(child_conn,))
 *         conn.close()                                        p.start()
 *                                                             print(parent_conn.recv())
 *                                                             p.join()
 *
 * Here a message is bytes: a struct, a text, numbers; a pointer into an array is one, too.
 */
#include <forkmap/forkmap.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What the process gets: its end of the pipe. The pointer means the same there. */
struct args {
    fm_conn *conn;
    int number;
};

static int start(fm_process **p, fm_target_fn *target, fm_conn *conn, int number)
{
    const struct args args = {conn, number};
    int rc = fm_process_create(p, target, &args, sizeof args, NULL);
    if (rc == 0)
        rc = fm_process_start(*p);
    if (rc == 0)
        rc = fm_conn_give(conn,
                          fm_process_pid(*p)); /* so that its death is seen however early it is */
    return rc == -EBADF ? 0 : rc;              /* the process has closed it already */
}

/* ---- as in the manual -------------------------------------------------------------------------- */

struct record {
    int number;
    char text[8];
};

static int send_record(void *arg)
{
    const struct args *args = arg;
    const struct record record = {args->number, "hello"};
    int rc = fm_conn_send(args->conn, &record, sizeof record);
    return rc == 0 ? fm_conn_close(args->conn) : rc;
}

static int show_record(void)
{
    FM_AUTO(fm_conn) parent = NULL;
    fm_conn *child;
    FM_AUTO(fm_process) p = NULL;
    struct record record;
    int rc = fm_pipe(&parent, &child, 1);
    if (rc == 0)
        rc = start(&p, send_record, child, 42);
    if (rc == 0)
        rc = fm_conn_recv(parent, &record, sizeof record, NULL);
    if (rc == 0)
        printf("[%d, '%s']\n", record.number, record.text);
    if (rc == 0) /* the child has closed its end */
        printf("and then: %s\n", fm_errname(fm_conn_recv(parent, &record, sizeof record, NULL)));
    return rc;
}

/* ---- both ways --------------------------------------------------------------------------------- */

static int answer(void *arg)
{
    const struct args *args = arg;
    char text[32];
    size_t bytes;
    int rc;
    while ((rc = fm_conn_recv(args->conn, text, sizeof text, &bytes)) == 0) {
        for (size_t i = 0; i < bytes / 2; i++) {
            char c = text[i];
            text[i] = text[bytes - 1 - i];
            text[bytes - 1 - i] = c;
        }
        rc = fm_conn_send(args->conn, text, bytes);
    }
    return rc == FM_ECLOSED ? 0 : rc;
}

static int show_both_ways(void)
{
    FM_AUTO(fm_process) p = NULL;
    fm_conn *here, *there;
    char text[32];
    size_t bytes = 0;
    int rc = fm_pipe(&here, &there, 1);
    if (rc == 0)
        rc = start(&p, answer, there, 0);
    for (int i = 0; rc == 0 && i < 2; i++) {
        static const char *const words[] = {"stressed", "drawer"};
        rc = fm_conn_send(here, words[i], strlen(words[i]));
        if (rc == 0)
            rc = fm_conn_recv(here, text, sizeof text, &bytes);
        if (rc == 0)
            printf("%s <-> %.*s\n", words[i], (int)bytes, text);
    }
    if (rc == 0)
        rc = fm_conn_close(here); /* the child's next receive returns */
    if (rc == 0)
        rc = fm_process_join(p, FM_FOREVER);
    return rc == 0 ? fm_conn_close(there) : rc;
}

/* ---- several pipes ------------------------------------------------------------------------------- */

enum { CHILDREN = 3, EACH = 4 };

static int send_numbers(void *arg)
{
    const struct args *args = arg;
    int rc = 0;
    for (int i = 0; rc == 0 && i < EACH; i++) {
        int number = 100 * args->number + i;
        rc = fm_conn_send(args->conn, &number, sizeof number);
    }
    return rc; /* its end is gone with the process */
}

/* Whichever has something, as connection.wait() in the manual. */
static int show_several(void)
{
    fm_process *p[CHILDREN] = {NULL};
    fm_conn *readers[CHILDREN], *writers[CHILDREN];
    int left[CHILDREN], n_left = 0, total = 0, rc = 0;
    for (int k = 0; rc == 0 && k < CHILDREN; k++) {
        left[n_left++] = k;
        rc = fm_pipe(&readers[k], &writers[k], 0);
        if (rc == 0)
            rc = start(&p[k], send_numbers, writers[k], k + 1);
    }
    while (rc == 0 && n_left > 0) {
        fm_waitable objects[CHILDREN];
        int ready[CHILDREN], number;
        for (int i = 0; i < n_left; i++)
            objects[i] = FM_WAIT_CONN(readers[left[i]]);
        int n_ready = fm_wait(objects, n_left, ready, FM_FOREVER);
        if (n_ready < 0)
            return n_ready;
        for (int i = n_left - 1; i >= 0; i--) {
            int got = ready[i] ? fm_conn_recv(readers[left[i]], &number, sizeof number, NULL) : 0;
            if (ready[i] && got == 0)
                total += number;
            else if (got == FM_ECLOSED)
                left[i] = left[--n_left];
        }
    }
    printf("the sum of all that came: %d\n", total);
    for (int k = 0; rc == 0 && k < CHILDREN; k++) {
        rc = fm_process_join(p[k], FM_FOREVER);
        if (rc == 0)
            rc = fm_process_close(p[k]);
        fm_conn_close(readers[k]);
        fm_conn_close(writers[k]);
    }
    return rc;
}

/* ---- a death ------------------------------------------------------------------------------------- */

static int promise_and_vanish(void *arg)
{
    const struct args *args = arg;
    if (fm_conn_send(args->conn, "more to come", 13) == 0)
        _exit(args->number);
    return -1;
}

/* Nobody hangs: in Python this one waits for ever unless the parent has closed the other end. */
static int show_death(void)
{
    FM_AUTO(fm_conn) reader = NULL;
    FM_AUTO(fm_conn) writer = NULL;
    FM_AUTO(fm_process) p = NULL;
    char text[32];
    int rc = fm_pipe(&reader, &writer, 0);
    if (rc == 0)
        rc = start(&p, promise_and_vanish, writer, 3);
    if (rc == 0)
        rc = fm_conn_recv(reader, text, sizeof text, NULL);
    if (rc == 0)
        printf("%s, then %s\n", text, fm_errname(fm_conn_recv(reader, text, sizeof text, NULL)));
    return rc;
}

int main(void)
{
    static int (*const parts[])(void) = {show_record, show_both_ways, show_several, show_death};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof parts / sizeof parts[0]; i++)
        rc = parts[i]();
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
    return rc != 0;
}
