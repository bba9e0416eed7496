/* SPDX-License-Identifier: MIT */
/*
 * Waiting for one of several. Results of one pool are waited for where the pool tells of ends; a mixture is waited for by poll(2), for
 * which each result and each connection gets a descriptor. That of a connection may be readable for nothing, once: then it is waited for again.
 */
#include "clock.h"
#include "error.h"
#include "owner.h"
#include "result.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_NS FM_SECONDS(1)

/* ---- results of one pool ------------------------------------------------------------------------- */

struct several { /* results, however they are kept */
    fm_result *(*at)(const void *list, int64_t i);
    const void *list;
    int64_t n;
};

static fm_result *result_at(const struct several *s, int64_t i)
{
    return s->at(s->list, i);
}

/* Those of the pool that are ready are settled here; without `ready` the first one is enough. Returns how many are. */
static int64_t count_ready(const struct several *s, int *ready, int64_t *first)
{
    int64_t n_ready = 0;
    *first = -1;
    for (int64_t i = 0; i < s->n; i++) {
        int is_ready = fm_result_ready(result_at(s, i)) == 1;
        if (ready != NULL)
            ready[i] = is_ready;
        if (is_ready && *first < 0)
            *first = i;
        n_ready += is_ready;
        if (is_ready && ready == NULL)
            break;
    }
    return n_ready;
}

/* The end of each wakes this thread. Maps always do. */
static void want_all(const struct several *s)
{
    for (int64_t i = 0; i < s->n; i++)
        if (result_at(s, i)->slot != NULL)
            (void)fmi_task_want(result_at(s, i)->slot);
}

/* On a pool that is held: how many are ready, or -ETIMEDOUT, -EINTR. */
static int64_t await_some(fm_pool *pool, const struct several *s, int *ready, int64_t *first,
                          int64_t deadline_ns)
{
    int64_t n_ready = count_ready(s, ready, first);
    if (n_ready > 0)
        return n_ready;
    atomic_fetch_add(&pool->n_awaiting, 1); /* seq_cst: before the look; pairs with publish */
    int rc = 0;
    want_all(s);
    for (;;) {
        uint32_t seen = fmi_park_seen(&pool->view.shm->done);
        n_ready = count_ready(s, ready, first);
        if (n_ready > 0 || rc == -EINTR)
            break;
        int64_t now = fmi_now_ns(), look_ns = now + LOOK_NS;
        if (deadline_ns <= now) {
            rc = -ETIMEDOUT;
            break;
        }
        rc = fmi_pool_park(pool, seen, 0, look_ns < deadline_ns ? look_ns : deadline_ns);
    }
    atomic_fetch_sub(&pool->n_awaiting, 1);
    return n_ready > 0 ? n_ready : rc;
}

/* The one pool of all; NULL: there are several, or one of the results needs none any more. */
static fm_pool *pool_of(const struct several *s)
{
    fm_pool *pool = result_at(s, 0)->pool;
    for (int64_t i = 1; i < s->n; i++)
        if (result_at(s, i)->pool != pool || result_at(s, i)->serial != result_at(s, 0)->serial)
            return NULL;
    return pool;
}

static int check_results(const struct several *s)
{
    for (int64_t i = 0; i < s->n; i++) {
        int rc = fm_result_ready(result_at(s, i));
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- anything ------------------------------------------------------------------------------------ */

static int descriptor_of(const fm_waitable *object)
{
    int n = (object->result != NULL) + (object->process != NULL) + (object->fd_plus_1 != 0) +
            (object->conn != NULL);
    if (n != 1 || object->fd_plus_1 < 0)
        return fmi_error(-EINVAL,
                         "an object to wait for is none; use FM_WAIT_RESULT() and the like");
    if (object->fd_plus_1 > 0)
        return object->fd_plus_1 - 1;
    if (object->conn != NULL)
        return fm_conn_fileno(object->conn);
    return object->process != NULL ? fm_process_sentinel(object->process)
                                   : fm_result_fileno(object->result);
}

static int fill_list(struct pollfd *list, const fm_waitable *objects, int n)
{
    for (int i = 0; i < n; i++) {
        int fd = descriptor_of(&objects[i]);
        if (fd < 0)
            return fd;
        list[i] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    return 0;
}

/* As poll(2), to the nanosecond. */
static int poll_until(struct pollfd *list, int n, int64_t timeout)
{
    struct timespec left = {.tv_sec = timeout / 1000000000, .tv_nsec = timeout % 1000000000};
    int n_ready = ppoll(list, (nfds_t)n, timeout < 0 ? NULL : &left, NULL);
    return n_ready < 0 ? -errno : n_ready == 0 ? -ETIMEDOUT : n_ready;
}

/* How many are ready, of those that poll(2) says are; or what is wrong with one. */
static int count_polled(const struct pollfd *list, const fm_waitable *objects, int n, int *ready)
{
    int n_ready = 0;
    for (int i = 0; i < n; i++) {
        if ((list[i].revents & POLLNVAL) != 0)
            return fmi_error(-EBADF, "descriptor %d is closed", list[i].fd);
        int is_ready = list[i].revents != 0;
        if (is_ready && objects[i].conn != NULL &&
            (is_ready = fm_conn_poll(objects[i].conn, 0)) < 0) {
            if (is_ready != -ETIMEDOUT)
                return is_ready;
            is_ready = 0;
        }
        n_ready += is_ready;
        if (ready != NULL)
            ready[i] = is_ready;
    }
    return n_ready;
}

static int wait_by_poll(const fm_waitable *objects, int n, int *ready, int64_t timeout)
{
    int64_t deadline_ns = fmi_deadline_after(timeout);
    struct pollfd *list = calloc((size_t)n, sizeof *list);
    int rc = list == NULL ? -ENOMEM : fill_list(list, objects, n);
    while (rc == 0) {
        rc = poll_until(list, n, timeout);
        if (rc > 0)
            rc = count_polled(list, objects, n, ready);
        if (rc == 0 && timeout > 0 && (timeout = deadline_ns - fmi_now_ns()) < 0)
            timeout = 0;
    }
    free(list);
    return rc;
}

static fm_result *in_objects(const void *list, int64_t i)
{
    return ((const fm_waitable *)list)[i].result;
}

static int is_result(const fm_waitable *object)
{
    return object->result != NULL && object->process == NULL && object->fd_plus_1 == 0 &&
           object->conn == NULL;
}

int fm_wait(const fm_waitable *objects, int n, int *ready, int64_t timeout)
{
    const struct several results = {in_objects, objects, n};
    int64_t first, n_ready;
    int are_results = 1;
    if (objects == NULL || n < 1)
        return fmi_error(-EINVAL, "there is nothing to wait for");
    for (int i = 0; i < n; i++)
        are_results &= is_result(&objects[i]);
    if (!are_results)
        return wait_by_poll(objects, n, ready, timeout);
    int rc = check_results(&results);
    if (rc != 0)
        return rc;
    if ((n_ready = count_ready(&results, ready, &first)) > 0)
        return ready != NULL ? (int)n_ready : 1;
    fm_pool *pool = pool_of(&results);
    if (pool == NULL || fmi_pool_hold(pool, objects[0].result->serial) != 0)
        return wait_by_poll(objects, n, ready, timeout);
    n_ready = await_some(pool, &results, ready, &first, fmi_deadline_after(timeout));
    fmi_pool_leave(pool);
    return (int)n_ready;
}

/* ---- one after the other ------------------------------------------------------------------------- */

static fm_result *in_list(const void *list, int64_t i)
{
    return ((fm_result *const *)list)[i];
}

/* Several pools: whichever. The list may be long, so it is waited for in turns. */
static int64_t await_by_looks(const struct several *s, int64_t *first, int64_t deadline_ns)
{
    for (;;) {
        if (count_ready(s, NULL, first) > 0)
            return 1;
        int64_t now = fmi_now_ns(), until_ns = now + FM_MS(1);
        if (deadline_ns <= now)
            return -ETIMEDOUT;
        (void)fm_result_wait(result_at(s, 0),
                             (until_ns < deadline_ns ? until_ns : deadline_ns) - now);
    }
}

/*
 * All that are ready come to the front, so that the next calls find them there: with a look at all of the list for each of its results, a long one
 * would take the square of its length.
 */
static void bring_to_front(fm_result **results, int64_t first, int64_t n)
{
    for (int64_t i = first, n_front = 0; i < n; i++) {
        fm_result *r = results[i];
        if (fm_result_ready(r) != 1)
            continue;
        results[i] = results[n_front];
        results[n_front++] = r;
    }
}

int fm_as_completed(fm_result **results, int64_t n, int64_t timeout)
{
    const struct several s = {in_list, results, n};
    int64_t first, deadline_ns = fmi_deadline_after(timeout);
    if (results == NULL || n < 1)
        return fmi_error(-EINVAL, "there is nothing to wait for");
    int64_t n_ready = fm_result_ready(results[0]);
    if (n_ready != 0)
        return n_ready == 1 ? 0 : (int)n_ready;
    n_ready = check_results(&s);
    if (n_ready != 0)
        return (int)n_ready;
    fm_pool *pool = pool_of(&s);
    if (pool != NULL && fmi_pool_hold(pool, results[0]->serial) == 0) {
        n_ready = await_some(pool, &s, NULL, &first, deadline_ns);
        fmi_pool_leave(pool);
    } else {
        n_ready = await_by_looks(&s, &first, deadline_ns);
    }
    if (n_ready <= 0)
        return (int)n_ready;
    bring_to_front(results, first, n);
    return 0;
}
