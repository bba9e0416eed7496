/* SPDX-License-Identifier: MIT */
/*
 * A manager's server. Its first thread accepts; each client has a thread, which does what the client asks for, one request after another, and holds the locks that it acquires.
 *
 *   client's thread   GREETING --HELLO--> IDLE --a request--> BUSY --reply--> IDLE
 *                     any: the socket ends, the client's process has ended, what came is no request, the server stops --> the thread ends
 *                     a client that was given the heap --> WATCHING, until its process has ended: what that had half done in the heap is freed
 *
 * A method that waits does so in slices, and looks in between whether its client is there. When the thread ends the kernel marks its locks (mortal.h).
 *
 * DIES HERE  anywhere: those in the heap go on (manager.h); clients see their sockets end. The path is left behind.
 */
#include "manager.h"

#include "attach.h"
#include "clock.h"
#include "error.h"
#include "fault.h"
#include "futex.h"
#include "heap.h"
#include "message.h"
#include "net.h"
#include "process.h"

#include <errno.h>
#include <forkmap/listener.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_NS     FM_MS(100)
#define GREETING_NS FM_SECONDS(20)
#define FRAME_NS    FM_SECONDS(60) /* for the rest of a request that has begun; for a reply */
enum { LOOK_MS = 100, LAST_MS = 2000, REFUSED_AT_A_TIME = 16 };

struct server {
    struct fmi_manager_shm *m;
    fm_listener *listener;
    _Atomic int n_clients, n_refused;
    _Atomic int is_stopping; /* no more requests; methods that wait end */
    _Atomic int is_over;     /* all objects are gone, the path is removed */
    pthread_mutex_t burial;
};

struct client {
    struct server *server;
    fm_conn *conn;
    int fd, pidfd, pid;
    int is_refused, is_watched, has_greeted;
    void *bytes;
    size_t cap;
};

/* Flags between threads: each says only that something may be looked at, with the guard or by a call. */
static int is_on(_Atomic int *flag)
{
    return atomic_load_explicit(flag, memory_order_acquire); /* pairs with turn_on */
}

static void turn_on(_Atomic int *flag)
{
    atomic_store_explicit(flag, 1, memory_order_release); /* pairs with is_on */
}

/* ---- whether the client is there ------------------------------------------------------------------- */

/* 1: there is something to read; 0: nothing yet; FM_ECLOSED. */
static int look(const struct client *c, int timeout_ms)
{
    struct pollfd on[2] = {{.fd = c->fd, .events = POLLIN | POLLRDHUP},
                           {.fd = c->pidfd, .events = POLLIN}};
    if (poll(on, 2, timeout_ms) <= 0)
        return 0;
    if (on[1].revents != 0) /* forked children may have its socket still */
        return FM_ECLOSED;
    return (on[0].revents & POLLIN) != 0 ? 1 : FM_ECLOSED;
}

static int is_gone(void *arg)
{
    struct client *c = arg;
    struct pollfd on[2] = {{.fd = c->fd, .events = POLLRDHUP}, {.fd = c->pidfd, .events = POLLIN}};
    return is_on(&c->server->is_stopping) || poll(on, 2, 0) > 0;
}

/* ---- requests ---------------------------------------------------------------------------------------- */

/* One message into c->bytes, after the wait for it. FM_ECLOSED; FM_EFORMAT ... */
static int receive(struct client *c, int64_t deadline_ns, size_t *n_bytes)
{
    int rc;
    while ((rc = look(c, LOOK_MS)) == 0)
        if (is_on(&c->server->is_stopping) || fmi_now_ns() > deadline_ns)
            return FM_ECLOSED;
    if (rc < 0)
        return rc;
    while ((rc = fm_conn_recv_timed(c->conn, c->bytes, c->cap, n_bytes, FRAME_NS)) == FM_ETOOLONG) {
        void *more = realloc(c->bytes, *n_bytes); /* it has come, and is no longer than max_frame */
        if (more == NULL)
            return -ENOMEM;
        c->bytes = more;
        c->cap = *n_bytes;
    }
    return rc;
}

static int send_reply(struct client *c, int code, const char *detail, const fm_reply *reply)
{
    const uint32_t n = reply->n;
    size_t n_bytes;
    void *bytes;
    fm_bytes *fields = calloc((size_t)n + 1, sizeof *fields);
    if (fields == NULL)
        return -ENOMEM;
    fields[0] = fm_text(detail);
    if (n > 0)
        memcpy(fields + 1, reply->values, n * sizeof *fields);
    struct fmi_request r = {FMI_REQUEST_REPLY, code, n + 1, fields};
    int rc = fmi_request_encode(&r, c->server->m->max_frame, &bytes, &n_bytes);
    if (rc == FM_ETOOLONG) {
        fields[0] = fm_text(fm_error_detail());
        r.number = rc;
        r.n_fields = 1;
        rc = fmi_request_encode(&r, UINT64_MAX, &bytes, &n_bytes);
    }
    FMI_FAULT("server.reply");
    if (rc == 0)
        rc = fm_conn_send_timed(c->conn, bytes, n_bytes, FRAME_NS);
    free(bytes);
    free(fields);
    return rc;
}

/* ---- greeting ------------------------------------------------------------------------------------------ */

/* NULL: it may have the heap; else why not. */
static const char *refuse_heap(const struct client *c, int64_t flags, int64_t pid, const char *heap)
{
    char own[FMI_ATTACH_HEAP_TEXT];
    fmi_attach_own_heap(own);
    if ((flags & 1) == 0)
        return "calls were asked for";
    if (c->pid <= 0)
        return "the connection is TCP, or from another pid namespace";
    if (c->pid != pid)
        return "the client counts pids in another namespace";
    if (heap[0] != '\0' && strcmp(heap, own) != 0)
        return "the client has a shared heap of its own already";
    return NULL;
}

static int greet(struct client *c, const struct fmi_request *r)
{
    char heap[FMI_ATTACH_HEAP_TEXT] = "";
    fm_reply reply = {0};
    int64_t flags, pid;
    int rc = fmi_argument_integer(r->fields[0], 0, 3, &flags);
    if (rc == 0)
        rc = fmi_argument_integer(r->fields[1], 1, INT32_MAX, &pid);
    if (rc == 0 && r->fields[2].bytes > 0)
        rc = fmi_argument_text(r->fields[2], heap, sizeof heap);
    if (rc != 0 || c->has_greeted)
        return FM_EFORMAT;
    const char *reason = refuse_heap(c, flags, pid, heap);
    rc = fmi_reply_text(&reply, reason == NULL ? "offered" : "calls");
    if (rc == 0)
        rc = fmi_reply_number(&reply, (int64_t)c->server->m->max_frame);
    if (rc == 0)
        rc = fmi_reply_text(&reply, reason == NULL ? "" : reason);
    if (rc == 0)
        rc = send_reply(c, 0, "", &reply);
    fmi_reply_clear(&reply);
    FMI_FAULT("server.offer");
    if (rc == 0 && reason == NULL)
        rc = fmi_attach_send(c->fd, c->server->m, c->server->m->number);
    /* of the family a keeper or warden knows */
    c->is_watched = rc == 0 && reason == NULL && (heap[0] == '\0' || (flags & 2) != 0);
    c->has_greeted = 1;
    return rc;
}

/* ---- what is asked for ----------------------------------------------------------------------------------- */

static int call(struct client *c, const struct fmi_request *r, fm_reply *reply)
{
    char name[FM_MANAGER_NAME_BYTES + 1];
    struct fmi_named_shm *named;
    const struct fmi_caller caller = {is_gone, c};
    const struct fmi_call what = {r->fields + 2, (int)(r->n_fields - 2),
                                  r->number < 0 ? FM_FOREVER : r->number, reply};
    int rc = fmi_request_text(r->fields[0], name, sizeof name, "a name");
    if (rc == 0)
        rc = fmi_registry_pin(c->server->m, name, &named);
    if (rc != 0)
        return rc;
    const struct fmi_kind *kind = fmi_kind_at(named->kind);
    rc = kind != NULL ? fmi_kind_call(kind, named->object, r->fields[1], &what, &caller)
                      : fmi_user_call(named, r->fields[1], &what, &caller);
    fmi_registry_unpin(named);
    return rc;
}

static int create(struct client *c, const struct fmi_request *r)
{
    char name[FM_MANAGER_NAME_BYTES + 1], type[FM_MANAGER_TYPE_BYTES + 1];
    int rc = fmi_request_text(r->fields[0], name, sizeof name, "a name");
    if (rc == 0)
        rc = fmi_request_text(r->fields[1], type, sizeof type, "a type");
    return rc != 0 ? rc
                   : fmi_registry_create(c->server->m, name, type, r->fields + 2,
                                         (int)(r->n_fields - 2), fmi_deadline_of(r->number));
}

static int get(struct client *c, const struct fmi_request *r, fm_reply *reply)
{
    char name[FM_MANAGER_NAME_BYTES + 1];
    struct fmi_named_shm *named;
    int rc = fmi_request_text(r->fields[0], name, sizeof name, "a name");
    if (rc == 0)
        rc = fmi_registry_pin(c->server->m, name, &named);
    if (rc != 0)
        return rc;
    rc = fmi_reply_text(reply, named->type_name);
    fmi_registry_unpin(named);
    return rc;
}

static int delete_object(struct client *c, const struct fmi_request *r)
{
    char name[FM_MANAGER_NAME_BYTES + 1];
    int rc = fmi_request_text(r->fields[0], name, sizeof name, "a name");
    return rc != 0 ? rc : fmi_registry_delete(c->server->m, name);
}

static int list(struct client *c, fm_reply *reply)
{
    fm_snapshot *s;
    int rc = fmi_registry_list(c->server->m, &s);
    return rc != 0 ? rc : fmi_reply_snapshot(reply, s);
}

/* The first thread ends all; the answer is sent when it has. */
static int stop(struct client *c)
{
    turn_on(&c->server->is_stopping);
    while (!is_on(&c->server->is_over))
        (void)poll(NULL, 0, 5);
    return 0;
}

static int run(struct client *c, const struct fmi_request *r, fm_reply *reply)
{
    switch (r->op) {
    case FMI_REQUEST_CREATE:
        return create(c, r);
    case FMI_REQUEST_DELETE:
        return delete_object(c, r);
    case FMI_REQUEST_LIST:
        return list(c, reply);
    case FMI_REQUEST_GET:
        return get(c, r, reply);
    case FMI_REQUEST_CALL:
        return call(c, r, reply);
    default:
        return stop(c);
    }
}

/* 0: the next one. Else the connection ends. */
static int answer(struct client *c, const struct fmi_request *r)
{
    fm_reply reply = {.most_bytes = c->server->m->max_frame - FMI_REQUEST_REPLY_BYTES};
    const int is_hello = r->op == FMI_REQUEST_HELLO;
    if (r->op == FMI_REQUEST_REPLY || (!c->has_greeted && !is_hello))
        return fmi_error(FM_EFORMAT, "operation %d out of turn", r->op);
    if (c->is_refused) {
        char detail[64];
        snprintf(detail, sizeof detail, "the manager has %d clients (max_clients)",
                 c->server->m->max_clients);
        (void)send_reply(c, -EUSERS, detail, &reply);
        return FM_ECLOSED;
    }
    if (is_hello)
        return greet(c, r);
    int rc = run(c, r, &reply);
    if (rc < 0 && rc != FM_EOWNERDEAD)
        fmi_reply_clear(&reply);
    rc = send_reply(c, rc, rc < 0 ? fm_error_detail() : "", &reply);
    fmi_reply_clear(&reply);
    return rc;
}

/* ---- a client's thread ----------------------------------------------------------------------------------- */

static void serve_client(struct client *c)
{
    int rc = 0;
    while (rc == 0) {
        struct fmi_request r = {0};
        size_t n_bytes;
        rc = receive(c, c->has_greeted ? FMI_NEVER : fmi_deadline_after(GREETING_NS), &n_bytes);
        if (rc == 0)
            rc = fmi_request_decode(&r, c->bytes, n_bytes);
        if (rc == 0)
            rc = answer(c, &r);
        if (rc == FM_EFORMAT)
            fmi_log(FM_LOG_WARNING, "a client of process %d was refused: %s", c->pid,
                    fm_error_detail());
        fmi_request_clear(&r);
    }
}

/* Guests are nobody's children here: their pid might be another's before this is done, if the kernel counts once round meanwhile. */
static void bury_guest(struct client *c)
{
    int rc;
    while ((rc = fmi_sys_await_end(c->pidfd, fmi_deadline_after(LOOK_NS))) == -ETIMEDOUT)
        if (is_on(&c->server->is_stopping))
            return;
    if (rc != 0)
        return;
    pthread_mutex_lock(&c->server->burial);
    fmi_heap_recover(c->pid);
    pthread_mutex_unlock(&c->server->burial);
}

static void *run_client(void *arg)
{
    struct client *c = arg;
    struct server *s = c->server;
    serve_client(c);
    (void)fm_conn_close(c->conn);
    free(c->bytes);
    atomic_fetch_sub_explicit(c->is_refused ? &s->n_refused : &s->n_clients, 1,
                              memory_order_acq_rel); /* pairs with await_clients */
    if (c->is_watched)
        bury_guest(c);
    if (c->pidfd >= 0)
        close(c->pidfd);
    free(c);
    return NULL;
}

static int start_thread(struct client *c)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int rc = -pthread_create(&thread, &attributes, run_client, c);
    pthread_attr_destroy(&attributes);
    return rc;
}

/* Who the other end is, by a path. */
static void identify(struct client *c)
{
    struct ucred peer;
    c->pidfd = -1;
    if (fmi_sys_net_peer(c->fd, &peer) == 0 && peer.pid > 0) {
        c->pid = peer.pid;
        c->pidfd = fmi_sys_pidfd_open(peer.pid);
        if (c->pidfd < 0)
            c->pid = 0; /* it has ended, or cannot be watched */
    }
}

static void welcome(struct server *s, fm_conn *conn)
{
    struct client *c = calloc(1, sizeof *c);
    const int n = atomic_load_explicit(&s->n_clients, memory_order_relaxed); /* grows here only */
    const int is_refused = n >= s->m->max_clients;
    _Atomic int *count = is_refused ? &s->n_refused : &s->n_clients;
    if (c == NULL || (is_refused && *count >= REFUSED_AT_A_TIME)) {
        free(c);
        (void)fm_conn_close(conn);
        return;
    }
    *c = (struct client){
        .server = s, .conn = conn, .fd = fm_conn_fileno(conn), .is_refused = is_refused};
    identify(c);
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    int rc = start_thread(c);
    if (rc == 0)
        return;
    fmi_log(FM_LOG_WARNING, "no thread for a client: %s", fm_strerror(rc));
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    if (c->pidfd >= 0)
        close(c->pidfd);
    free(c);
    (void)fm_conn_close(conn);
}

/* ---- the first thread ------------------------------------------------------------------------------------ */

static int open_server(struct server *s)
{
    struct fmi_manager_shm *m = s->m;
    *s = (struct server){.m = m};
    pthread_mutex_init(&s->burial, NULL);
    int rc = fm_listener_open(&s->listener, m->address[0] == '\0' ? NULL : m->address, m->key,
                              m->key_bytes, FM_LISTENER_OPTS(.max_frame = m->max_frame));
    if (rc == 0)
        snprintf(m->address, sizeof m->address, "%s", fm_listener_address(s->listener));
    m->server = (int32_t)getpid();
    m->error = rc;
    if (rc != 0)
        snprintf(m->detail, sizeof m->detail, "%s", fm_error_detail());
    FMI_FAULT("server.open");
    /* release: pairs with await_server */
    atomic_store_explicit(&m->state, rc == 0 ? FMI_MANAGER_SERVING : FMI_MANAGER_ENDED,
                          memory_order_release);
    fmi_sys_futex_wake_all(&m->state);
    return rc;
}

static int is_asked_to_end(struct server *s, const sigset_t *term)
{
    const struct timespec none = {0};
    return is_on(&s->is_stopping) || sigtimedwait(term, NULL, &none) == SIGTERM ||
           /* relaxed: seen sooner or later */
           atomic_load_explicit(&s->m->state, memory_order_relaxed) == FMI_MANAGER_ENDED;
}

static void await_clients(struct server *s, int n_left)
{
    for (int ms = 0; ms < LAST_MS; ms += 5) {
        /* acquire: pairs with run_client */
        if (atomic_load_explicit(&s->n_clients, memory_order_acquire) <= n_left)
            return;
        (void)poll(NULL, 0, 5);
    }
}

int fmi_manager_serve(void *record)
{
    struct server s = {.m = record};
    sigset_t term;
    fm_conn *conn;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM); /* how daemons are ended: the path is to be removed */
    pthread_sigmask(SIG_BLOCK, &term, NULL);
    if (open_server(&s) != 0)
        return 1;
    while (!is_asked_to_end(&s, &term)) {
        int rc = fm_listener_accept(s.listener, LOOK_NS, &conn);
        if (rc == 0)
            welcome(&s, conn);
        else if (rc != -ETIMEDOUT)
            (void)poll(NULL, 0, LOOK_MS); /* no descriptor, no memory: others may end meanwhile */
    }
    turn_on(&s.is_stopping);
    (void)fm_listener_close(s.listener);
    fmi_registry_end(s.m);
    turn_on(&s.is_over);
    await_clients(
        &s,
        0); /* who asked for it gets an answer; who is in a method that cannot be cut does not */
    return 0;
}
