/* SPDX-License-Identifier: MIT */
/*
 * Connections of this process to managers' servers. Each thread has its own to each manager: the server's thread at its other end is who holds the locks that this thread has acquired, and
 * threads do not wait for each other's calls. A forked child makes its own.
 *
 *   in the list, idle --taken--> out of it, in a request --reply--> in the list
 *                                                        --any failure: it is not known what is on its way--> closed
 */
#include "manager.h"

#include "attach.h"
#include "clock.h"
#include "error.h"
#include "forklock.h"

#include <errno.h>
#include <forkmap/listener.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPEN_NS FM_SECONDS(20)

struct link {
    struct link *next;
    const void *owner;
    uint64_t number, thread;
    int pid;
    uint64_t max_frame; /* [bytes] that the server takes */
    fm_conn *conn;
};

static struct link *links;
static struct fmi_forklock lock = FMI_FORKLOCK;
static _Atomic uint64_t n_threads;
static pthread_key_t key; /* its destructor: the thread ends */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int has_key;

static void close_link(struct link *l)
{
    (void)fm_conn_close(l->conn);
    free(l);
}

/* What is looked for: of one manager, or of one thread. */
struct which {
    const void *owner;
    uint64_t number, thread; /* thread 0: any, and `owner` counts */
};

static int is_meant(const struct link *l, const struct which *which)
{
    return which->thread != 0 ? l->thread == which->thread && l->pid == getpid()
                              : l->owner == which->owner && l->number == which->number;
}

static void close_links(const struct which *which)
{
    struct link *closed = NULL;
    fmi_forklock_acquire(&lock);
    for (struct link **at = &links; *at != NULL;) {
        struct link *l = *at;
        if (!is_meant(l, which)) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        l->next = closed;
        closed = l;
    }
    fmi_forklock_release(&lock);
    while (closed != NULL) {
        struct link *l = closed;
        closed = l->next;
        close_link(l);
    }
}

void fmi_link_close_all(const void *owner, uint64_t number)
{
    const struct which which = {.owner = owner, .number = number};
    close_links(&which);
}

/* A thread that ends lets go of what it held at servers, as of what it held here. */
static void leave_thread(void *number)
{
    const struct which which = {.thread = (uintptr_t)number};
    close_links(&which);
}

static void make_key(void)
{
    has_key = pthread_key_create(&key, leave_thread) == 0;
}

static uint64_t this_thread(void)
{
    static _Thread_local uint64_t number;
    if (number == 0) {
        /* relaxed: a number that nobody else has is enough */
        number = atomic_fetch_add_explicit(&n_threads, 1, memory_order_relaxed) + 1;
        pthread_once(&once, make_key);
        if (has_key)
            (void)pthread_setspecific(key, (void *)(uintptr_t)number);
    }
    return number;
}

static struct link *take_link(const struct fmi_link_target *to)
{
    const uint64_t thread = this_thread();
    const int pid = getpid();
    struct link *found = NULL;
    fmi_forklock_acquire(&lock);
    for (struct link **at = &links; *at != NULL; at = &(*at)->next) {
        struct link *l = *at;
        if (l->owner == to->owner && l->number == to->number && l->pid == pid &&
            l->thread == thread) {
            *at = l->next;
            found = l;
            break;
        }
    }
    fmi_forklock_release(&lock);
    return found;
}

static void put_link(struct link *l)
{
    fmi_forklock_acquire(&lock);
    l->next = links;
    links = l;
    fmi_forklock_release(&lock);
}

/* ---- one exchange ---------------------------------------------------------------------------------- */

static int64_t left_of(int64_t deadline_ns)
{
    if (deadline_ns == FMI_NEVER)
        return FM_FOREVER;
    const int64_t left_ns = deadline_ns - fmi_now_ns();
    return left_ns > 0 ? left_ns : 0;
}

/* A message of any length. */
static int receive(fm_conn *c, int64_t deadline_ns, void **bytes, size_t *n_bytes)
{
    size_t cap = 512;
    *bytes = NULL;
    for (;;) {
        void *more = realloc(*bytes, cap);
        if (more == NULL)
            return fmi_error(-ENOMEM, "no memory for a reply of %zu bytes", cap);
        *bytes = more;
        int rc = fm_conn_recv_timed(c, *bytes, cap, n_bytes, left_of(deadline_ns));
        if (rc != FM_ETOOLONG)
            return rc;
        cap = *n_bytes;
    }
}

static int exchange(fm_conn *c, uint64_t limit, const struct fmi_request *request,
                    int64_t deadline_ns, struct fmi_request *reply, void **bytes)
{
    void *out;
    size_t n_bytes;
    *bytes = NULL;
    int rc = fmi_request_encode(request, limit, &out, &n_bytes);
    if (rc != 0)
        return rc;
    rc = fm_conn_send_timed(c, out, n_bytes, left_of(deadline_ns));
    free(out);
    if (rc == 0)
        rc = receive(c, deadline_ns, bytes, &n_bytes);
    return rc != 0 ? rc : fmi_request_decode(reply, *bytes, n_bytes);
}

/* ---- opening --------------------------------------------------------------------------------------- */

/* What a client says first. */
struct hello {
    char flags[16], pid[16], heap[FMI_ATTACH_HEAP_TEXT];
    fm_bytes fields[3];
};

static void prepare_hello(struct hello *h, int wants_heap)
{
    snprintf(h->flags, sizeof h->flags, "%d", wants_heap | fmi_attach_is_guest() << 1);
    snprintf(h->pid, sizeof h->pid, "%d", (int)getpid());
    fmi_attach_own_heap(h->heap);
    h->fields[0] = fm_text(h->flags);
    h->fields[1] = fm_text(h->pid);
    h->fields[2] = fm_text(h->heap);
}

/* Why there is no server, in one code; the detail says more. */
static int explain(int rc)
{
    return rc == -ECONNREFUSED || rc == -ENOENT || rc == -ECONNRESET ? FM_ECLOSED : rc;
}

/* *verdict: 1 the heap follows; 0 not, and `reason` says why. */
static int say_hello(struct link *l, int wants_heap, int64_t deadline_ns, int *verdict,
                     char *reason, size_t reason_bytes)
{
    struct hello hello = {0};
    struct fmi_request reply = {0};
    void *bytes;
    prepare_hello(&hello, wants_heap);
    const struct fmi_request request = {FMI_REQUEST_HELLO, 0, 3, hello.fields};
    int rc = exchange(l->conn, FMI_REQUEST_MAX_FRAME, &request, deadline_ns, &reply, &bytes);
    if (rc == 0)
        rc = fmi_request_code(&reply);
    int64_t max_frame = 0;
    if (rc == 0 && (reply.n_fields != 4 ||
                    fmi_argument_integer(reply.fields[2], 1, INT64_MAX, &max_frame) != 0))
        rc = fmi_error(FM_EFORMAT, "what listens there is no manager of this version");
    if (rc == 0) {
        l->max_frame = (uint64_t)max_frame;
        *verdict = reply.fields[1].bytes == 7 && memcmp(reply.fields[1].data, "offered", 7) == 0;
        snprintf(
            reason, reason_bytes, "%.*s",
            (int)(reply.fields[3].bytes < reason_bytes ? reply.fields[3].bytes : reason_bytes - 1),
            (const char *)reply.fields[3].data);
    }
    fmi_request_clear(&reply);
    free(bytes);
    return rc;
}

static int open_link(const struct fmi_link_target *to, int64_t deadline_ns, struct link **out)
{
    struct link *l = calloc(1, sizeof *l);
    *out = NULL;
    if (l == NULL)
        return fmi_error(-ENOMEM, "no memory for a connection");
    *l = (struct link){
        .owner = to->owner, .number = to->number, .thread = this_thread(), .pid = getpid()};
    int64_t left_ns = left_of(deadline_ns);
    int rc = fm_connect(
        to->address, to->key, to->key_bytes,
        FM_CONNECT_OPTS(.timeout = left_ns != 0 ? left_ns : 1, .max_frame = to->max_frame),
        &l->conn);
    if (rc != 0)
        free(l);
    else
        *out = l;
    return rc;
}

static int get_link(const struct fmi_link_target *to, struct link **out)
{
    char reason[8];
    int verdict;
    *out = take_link(to);
    if (*out != NULL)
        return 0;
    const int64_t deadline_ns = fmi_deadline_after(OPEN_NS);
    int rc = open_link(to, deadline_ns, out);
    if (rc == 0)
        rc = say_hello(*out, 0, deadline_ns, &verdict, reason, sizeof reason);
    if (rc != 0 && *out != NULL)
        close_link(*out);
    return explain(rc);
}

int fmi_link_request(const struct fmi_link_target *to, const struct fmi_request *request,
                     int64_t deadline_ns, struct fmi_request *reply, void **bytes)
{
    struct link *l;
    *reply = (struct fmi_request){0};
    *bytes = NULL;
    int rc = get_link(to, &l);
    if (rc != 0)
        return rc;
    rc = exchange(l->conn, l->max_frame, request, deadline_ns, reply, bytes);
    if (rc == FM_ETOOLONG || rc == 0) /* not sent; or answered */
        put_link(l);
    else
        close_link(l);
    return rc != 0 ? explain(rc) : fmi_request_code(reply);
}

int fmi_link_open_first(struct fmi_manager_client *client, unsigned flags, int64_t deadline_ns)
{
    struct link *l;
    void *manager;
    int verdict = 0;
    const struct fmi_link_target to = {client,      client->number,    client->address,
                                       client->key, client->key_bytes, client->max_frame};
    int rc = open_link(&to, deadline_ns, &l);
    if (rc != 0)
        return rc;
    const int wants_heap = (flags & FM_MANAGER_NO_MAP) == 0;
    rc = say_hello(l, wants_heap, deadline_ns, &verdict, client->reason, sizeof client->reason);
    if (rc == 0 && verdict) {
        const int fd = fm_conn_fileno(l->conn);
        rc = fd < 0 ? fd : fmi_attach_receive(fd, deadline_ns, &manager);
        client->shm = rc == 0 ? manager : NULL;
        if (rc != 0 && rc != FM_ECLOSED && rc != FM_EFORMAT && rc != -ETIMEDOUT) {
            snprintf(client->reason, sizeof client->reason, "%s", fm_error_detail());
            rc = 0; /* calls, then */
        }
    }
    if (rc == 0)
        put_link(l);
    else
        close_link(l);
    return rc;
}
