/* SPDX-License-Identifier: MIT */
/* Managers as programs see them; see manager.h. */
#include "manager.h"

#include "clock.h"
#include "error.h"
#include "fault.h"
#include "forklock.h"
#include "futex.h"
#include "heap.h"
#include "opts.h"

#include <errno.h>
#include <forkmap/process.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_NS   FM_SECONDS(60)
#define CONNECT_NS FM_SECONDS(20)
#define ANSWER_NS  FM_SECONDS(20) /* of a server, beyond what the method may wait */
#define LOOK_NS    FM_MS(20)
enum { DEFAULT_CLIENTS = 256, MOST_CLIENTS = 65536 };

/* Who has started a server has its process. */
struct starter {
    struct starter *next;
    struct fmi_manager_shm *m;
    uint64_t number;
    int pid;
    fm_process *process;
};
static struct starter *starters;
static struct fmi_forklock lock = FMI_FORKLOCK;

/* ---- handles ------------------------------------------------------------------------------------------- */

static int look_at_shm(struct fmi_manager_shm *shm, const void *owner, struct fmi_manager *out)
{
    if (!fmi_heap_contains(shm, sizeof *shm) ||
        atomic_load_explicit(&shm->mark, memory_order_acquire) !=
            FMI_MANAGER_LIVE) /* pairs with publish */
        return fmi_error(FM_ECORRUPT, "%p is no manager, or is one no more", (void *)shm);
    out->shm = shm;
    out->target = (struct fmi_link_target){owner,
                                           shm->number,
                                           shm->address,
                                           shm->key,
                                           shm->key_bytes <= sizeof shm->key ? shm->key_bytes : 0,
                                           shm->max_frame};
    return 0;
}

int fmi_manager_look(const fm_manager *m, struct fmi_manager *out)
{
    *out = (struct fmi_manager){0};
    if (m == NULL)
        return fmi_error(-EINVAL, "the manager is NULL");
    if (fmi_heap_contains(m,
                          1)) /* whatever is written there: it is no handle of this process's own */
        return look_at_shm((struct fmi_manager_shm *)(uintptr_t)m, m, out);
    struct fmi_manager_client *client = (struct fmi_manager_client *)(uintptr_t)m;
    if (atomic_load_explicit(&client->mark, memory_order_relaxed) != FMI_MANAGER_CLIENT)
        return fmi_error(FM_ECORRUPT, "%p is no manager", (const void *)m);
    out->client = client;
    out->target = (struct fmi_link_target){client,      client->number,    client->address,
                                           client->key, client->key_bytes, client->max_frame};
    if (client->shm == NULL)
        return 0;
    struct fmi_link_target target = out->target;
    int rc = look_at_shm(client->shm, client, out);
    out->target = target;
    return rc;
}

/* ---- start ----------------------------------------------------------------------------------------------- */

static int check_opts(fm_manager_opts *o, const fm_manager_opts *given)
{
    if (fmi_opts_copy(o, sizeof *o, given) != 0)
        return fmi_error(-EINVAL, "options are made by FM_MANAGER_OPTS()");
    if ((o->authkey == NULL) != (o->authkey_bytes == 0) ||
        o->authkey_bytes > FM_MANAGER_MAX_KEY_BYTES)
        return fmi_error(-EINVAL, "a key of %zu bytes; it may have 1 to %d", o->authkey_bytes,
                         FM_MANAGER_MAX_KEY_BYTES);
    if (o->max_clients < 0 || o->max_clients > MOST_CLIENTS)
        return fmi_error(-EINVAL, "%d clients; there may be 1 to %d", o->max_clients, MOST_CLIENTS);
    if (o->max_frame > INT64_MAX || (o->max_frame != 0 && o->max_frame < 1024))
        return fmi_error(-EINVAL, "max_frame %" PRIu64 "; it may be 1024 and more", o->max_frame);
    if (o->address != NULL && strlen(o->address) >= FMI_MANAGER_ADDRESS_BYTES)
        return fmi_error(-ENAMETOOLONG, "an address of %zu bytes", strlen(o->address));
    if (o->timeout < 0 && o->timeout != FM_FOREVER)
        return fmi_error(-EINVAL, "a timeout of %" PRId64 " ns", o->timeout);
    return o->authkey != NULL
               ? 0
               : fm_process_authkey(fm_current_process(), &o->authkey, &o->authkey_bytes);
}

static void free_record(struct fmi_manager_shm *m)
{
    fm_snapshot *types = NULL;
    if (m->types != NULL && fm_dict_values(m->types, &types, FM_FOREVER) == 0)
        for (int64_t i = 0; i < types->n; i++) {
            void *type = NULL;
            if (types->values[i].bytes == sizeof type)
                memcpy(&type, types->values[i].data, sizeof type);
            (void)fmi_heap_free(type);
        }
    fm_snapshot_free(types);
    fm_dict_destroy(m->names);
    fm_dict_destroy(m->types);
    explicit_bzero(m->key, sizeof m->key);
    /* release: pairs with look_at_shm */
    atomic_store_explicit(&m->mark, FMI_MANAGER_CLOSED, memory_order_release);
    (void)fmi_heap_free(m);
}

static int make_record(const fm_manager_opts *o, struct fmi_manager_shm **out)
{
    void *block;
    int rc = fmi_heap_alloc(&block, sizeof **out, FMI_HEAP_ZERO);
    if (rc != 0)
        return rc;
    struct fmi_manager_shm *m = block;
    fmi_lock_init(&m->guard);
    m->number = fmi_mortal_number();
    m->max_clients = o->max_clients != 0 ? o->max_clients : DEFAULT_CLIENTS;
    m->max_frame = o->max_frame != 0 ? o->max_frame : FMI_REQUEST_MAX_FRAME;
    m->key_bytes = (uint32_t)o->authkey_bytes;
    memcpy(m->key, o->authkey, o->authkey_bytes);
    if (o->address != NULL)
        memcpy(m->address, o->address, strlen(o->address) + 1);
    atomic_store_explicit(&m->state, FMI_MANAGER_STARTING, memory_order_relaxed);
    rc = fm_dict_create(&m->names, NULL);
    if (rc == 0)
        rc = fm_dict_create(&m->types, NULL);
    if (rc != 0)
        free_record(m);
    else
        *out = m;
    return rc;
}

/* Until the server listens, or tells why it does not, or has ended. */
static int await_server(struct fmi_manager_shm *m, fm_process *p, int64_t deadline_ns)
{
    for (;;) {
        const int is_alive =
            fm_process_is_alive(p); /* before the look: what it said before its end counts */
        /* acquire: pairs with open_server */
        const uint32_t state = atomic_load_explicit(&m->state, memory_order_acquire);
        if (state == FMI_MANAGER_SERVING)
            return 0;
        if (state == FMI_MANAGER_ENDED)
            return fmi_error(m->error, "%.*s", (int)sizeof m->detail, m->detail);
        if (is_alive != 1)
            return fmi_error(FM_EBROKEN, "the manager's server ended as it started");
        const int64_t now_ns = fmi_now_ns();
        if (now_ns >= deadline_ns)
            return fmi_error(-ETIMEDOUT, "the manager's server does not listen yet");
        (void)fmi_sys_futex_wait(&m->state, FMI_MANAGER_STARTING, now_ns + LOOK_NS);
    }
}

static void end_process(fm_process *p)
{
    if (fm_process_is_alive(p) == 1) {
        (void)fm_process_kill(p);
        while (fm_process_join(p, FM_FOREVER) == -EINTR)
            ;
    }
    (void)fm_process_close(p);
}

static int start_server(struct starter *s, int64_t deadline_ns)
{
    int rc = fm_process_create(&s->process, fmi_manager_serve, s->m, 0,
                               FM_PROCESS_OPTS(.name = "manager", .daemon = 1));
    if (rc == 0)
        rc = fm_process_start(s->process);
    if (rc == 0)
        rc = await_server(s->m, s->process, deadline_ns);
    if (rc != 0 && s->process != NULL)
        end_process(s->process);
    return rc;
}

int fm_manager_start(fm_manager **out, const fm_manager_opts *given)
{
    fm_manager_opts o;
    if (out == NULL)
        return fmi_error(-EINVAL, "there is nowhere to put the manager: NULL");
    *out = NULL;
    int rc = check_opts(&o, given);
    if (rc != 0)
        return rc;
    const int64_t deadline_ns = fmi_deadline_after(o.timeout != 0 ? o.timeout : START_NS);
    struct starter *s = calloc(1, sizeof *s);
    if (s == NULL)
        return fmi_error(-ENOMEM, "no memory for a manager");
    rc = make_record(&o, &s->m);
    if (rc != 0) {
        free(s);
        return rc;
    }
    s->number = s->m->number;
    s->pid = getpid();
    rc = start_server(s, deadline_ns);
    if (rc != 0) {
        free_record(s->m);
        free(s);
        return rc;
    }
    /* release: pairs with look_at_shm */
    atomic_store_explicit(&s->m->mark, FMI_MANAGER_LIVE, memory_order_release);
    *out = (fm_manager *)(void *)s->m;
    fmi_forklock_acquire(&lock);
    s->next = starters;
    starters = s;
    fmi_forklock_release(&lock);
    return 0;
}

/* ---- connect --------------------------------------------------------------------------------------------- */

int fm_manager_connect(fm_manager **out, const char *address, const void *key, size_t key_bytes,
                       const fm_manager_connect_opts *given)
{
    static _Atomic uint64_t n_clients;
    fm_manager_connect_opts o;
    if (out == NULL)
        return fmi_error(-EINVAL, "there is nowhere to put the manager: NULL");
    *out = NULL;
    if (fmi_opts_copy(&o, sizeof o, given) != 0 || (o.flags & ~(unsigned)FM_MANAGER_NO_MAP) != 0 ||
        (o.timeout < 0 && o.timeout != FM_FOREVER) || o.max_frame > INT64_MAX)
        return fmi_error(-EINVAL, "options are made by FM_MANAGER_CONNECT_OPTS()");
    if (address == NULL || key == NULL || key_bytes == 0 || key_bytes > FM_MANAGER_MAX_KEY_BYTES)
        return fmi_error(-EINVAL,
                         "no address, or a key of %zu bytes, of which there may be 1 to %d",
                         key_bytes, FM_MANAGER_MAX_KEY_BYTES);
    if (strlen(address) >= FMI_MANAGER_ADDRESS_BYTES)
        return fmi_error(-ENAMETOOLONG, "an address of %zu bytes", strlen(address));
    struct fmi_manager_client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return fmi_error(-ENOMEM, "no memory for a manager");
    /* relaxed: a number that nobody else has; the high bit is in none of a record's */
    c->number =
        (UINT64_C(1) << 63) | atomic_fetch_add_explicit(&n_clients, 1, memory_order_relaxed);
    c->max_frame = o.max_frame != 0 ? o.max_frame : FMI_REQUEST_MAX_FRAME;
    c->key_bytes = key_bytes;
    memcpy(c->key, key, key_bytes);
    memcpy(c->address, address, strlen(address) + 1);
    int rc = fmi_link_open_first(c, o.flags,
                                 fmi_deadline_after(o.timeout != 0 ? o.timeout : CONNECT_NS));
    if (rc != 0) {
        explicit_bzero(c->key, sizeof c->key);
        free(c);
        return rc;
    }
    atomic_store_explicit(&c->mark, FMI_MANAGER_CLIENT,
                          memory_order_relaxed); /* nobody has it yet */
    *out = (fm_manager *)(void *)c;
    return 0;
}

/* ---- the end --------------------------------------------------------------------------------------------- */

static struct starter *find_starter(const struct fmi_manager_shm *m, int take)
{
    const int pid = getpid();
    struct starter *found = NULL;
    fmi_forklock_acquire(&lock);
    for (struct starter **at = &starters; m != NULL && *at != NULL; at = &(*at)->next)
        if ((*at)->m == m && (*at)->number == m->number && (*at)->pid == pid) {
            found = *at;
            if (take)
                *at = found->next;
            break;
        }
    fmi_forklock_release(&lock);
    return found;
}

static int ask(const struct fmi_link_target *to, const struct fmi_request *r, int64_t deadline_ns)
{
    struct fmi_request reply;
    void *bytes;
    int rc = fmi_link_request(to, r, deadline_ns, &reply, &bytes);
    fmi_request_clear(&reply);
    free(bytes);
    return rc;
}

static int is_ended(struct fmi_manager_shm *m)
{
    return m != NULL && atomic_load_explicit(&m->state, memory_order_acquire) == FMI_MANAGER_ENDED;
}

static int shut_down(struct fmi_manager *m)
{
    const struct fmi_request request = {.op = FMI_REQUEST_SHUTDOWN};
    const struct starter *s = find_starter(m->shm, 0);
    int rc = FM_ECLOSED;
    if (!is_ended(m->shm) && (s == NULL || fm_process_is_alive(s->process) == 1))
        rc = ask(&m->target, &request, fmi_deadline_after(ANSWER_NS));
    if (rc != 0 && rc != FM_ECLOSED)
        return rc;
    if (m->shm != NULL) /* the server was killed before it could */
        fmi_registry_end(m->shm);
    if (s != NULL)
        while (fm_process_join(s->process, ANSWER_NS) == -EINTR)
            ;
    return 0;
}

int fm_manager_shutdown(fm_manager *handle)
{
    struct fmi_manager m;
    int rc = fmi_manager_look(handle, &m);
    return rc != 0 ? rc : shut_down(&m);
}

static void close_started(struct fmi_manager *m, struct starter *s)
{
    (void)shut_down(m);
    (void)find_starter(m->shm, 1);
    fmi_link_close_all(m->target.owner, m->target.number);
    end_process(s->process);
    fmi_registry_end(m->shm);
    free_record(m->shm);
    free(s);
}

int fm_manager_close(fm_manager *handle)
{
    struct fmi_manager m;
    if (handle == NULL)
        return 0;
    int rc = fmi_manager_look(handle, &m);
    if (rc != 0 && m.client == NULL)
        return rc;
    struct starter *s = m.client == NULL ? find_starter(m.shm, 0) : NULL;
    if (s != NULL) {
        close_started(&m, s);
        return 0;
    }
    fmi_link_close_all(m.target.owner, m.target.number);
    if (m.client != NULL) {
        explicit_bzero(m.client->key, sizeof m.client->key);
        atomic_store_explicit(&m.client->mark, FMI_MANAGER_CLOSED, memory_order_relaxed);
        free(m.client);
    }
    return 0;
}

/* ---- what it is -------------------------------------------------------------------------------------------- */

const char *fm_manager_address(const fm_manager *handle)
{
    struct fmi_manager m;
    return fmi_manager_look(handle, &m) == 0 ? m.target.address : "";
}

int fm_manager_is_here(fm_manager *handle)
{
    struct fmi_manager m;
    int rc = fmi_manager_look(handle, &m);
    if (rc != 0)
        return rc;
    if (m.shm == NULL)
        fmi_error_note("the memory is not here: %s", m.client->reason);
    return m.shm != NULL;
}

/* ---- objects ------------------------------------------------------------------------------------------------ */

static int check_text(const char *text, int most, const char *what)
{
    if (text != NULL && text[0] != '\0' && strlen(text) <= (size_t)most)
        return 0;
    return fmi_error(-EINVAL, "%s of %zu bytes; it has 1 to %d", what,
                     text == NULL ? 0 : strlen(text), most);
}

static int check_args(const fm_bytes *args, int n)
{
    if (n < 0 || (n > 0 && args == NULL))
        return fmi_error(-EINVAL, "%d arguments at %p", n, (const void *)args);
    for (int i = 0; i < n; i++)
        if (args[i].data == NULL && args[i].bytes > 0)
            return fmi_error(-EINVAL, "argument %d of %d: %zu bytes at NULL", i, n, args[i].bytes);
    return 0;
}

/* A request: texts, and arguments behind them. */
struct question {
    int op;
    int n_texts, n_args;
    const char *texts[2];
    const fm_bytes *args;
    int64_t timeout;
};

/* The reply is as of fmi_link_request(). */
static int put_question(const struct fmi_manager *m, const struct question *q,
                        struct fmi_request *reply, void **bytes)
{
    *reply = (struct fmi_request){0};
    *bytes = NULL;
    fm_bytes *fields = calloc((size_t)q->n_texts + (size_t)q->n_args + 1, sizeof *fields);
    if (fields == NULL)
        return fmi_error(-ENOMEM, "no memory for %d arguments", q->n_args);
    for (int i = 0; i < q->n_texts; i++)
        fields[i] = fm_text(q->texts[i]);
    if (q->n_args > 0)
        memcpy(fields + q->n_texts, q->args, (size_t)q->n_args * sizeof *fields);
    const struct fmi_request request = {q->op, q->timeout, (uint32_t)(q->n_texts + q->n_args),
                                        fields};
    int64_t deadline_ns = fmi_deadline_after(q->timeout);
    if (deadline_ns < FMI_NEVER - ANSWER_NS)
        deadline_ns += ANSWER_NS;
    int rc = fmi_link_request(&m->target, &request, deadline_ns, reply, bytes);
    free(fields);
    return rc;
}

static int ask_plainly(const struct fmi_manager *m, const struct question *q)
{
    struct fmi_request reply;
    void *bytes;
    int rc = put_question(m, q, &reply, &bytes);
    fmi_request_clear(&reply);
    free(bytes);
    return rc;
}

int fm_manager_create(fm_manager *handle, const char *name, const char *type, const fm_bytes *args,
                      int n_args, int64_t timeout)
{
    struct fmi_manager m;
    const struct question q = {FMI_REQUEST_CREATE, 2, n_args, {name, type}, args, timeout};
    int rc = fmi_manager_look(handle, &m);
    if (rc == 0)
        rc = check_text(name, FM_MANAGER_NAME_BYTES, "a name");
    if (rc == 0)
        rc = check_text(type, FM_MANAGER_TYPE_BYTES, "a type");
    if (rc == 0)
        rc = check_args(args, n_args);
    if (rc != 0)
        return rc;
    if (m.shm != NULL)
        return fmi_registry_create(m.shm, name, type, args, n_args, fmi_deadline_of(timeout));
    return ask_plainly(&m, &q);
}

static int refuse_pointer(const struct fmi_manager *m, const char *name)
{
    const struct question q = {.op = FMI_REQUEST_GET, .n_texts = 1, .texts = {name}};
    int rc = ask_plainly(m, &q);
    return rc != 0 ? rc
                   : fmi_error(FM_EREMOTE, "%s is there; its memory is not here: %s", name,
                               m->client->reason);
}

int fm_manager_get(fm_manager *handle, const char *name, void **obj)
{
    struct fmi_manager m;
    struct fmi_named_shm *named;
    if (obj == NULL)
        return fmi_error(-EINVAL, "there is nowhere to put the object: NULL");
    *obj = NULL;
    int rc = fmi_manager_look(handle, &m);
    if (rc == 0)
        rc = check_text(name, FM_MANAGER_NAME_BYTES, "a name");
    if (rc != 0)
        return rc;
    if (m.shm == NULL)
        return refuse_pointer(&m, name);
    rc = fmi_registry_pin(m.shm, name, &named);
    if (rc != 0)
        return rc;
    *obj = named->object;
    fmi_registry_unpin(named);
    return 0;
}

int fm_manager_delete(fm_manager *handle, const char *name)
{
    struct fmi_manager m;
    const struct question q = {.op = FMI_REQUEST_DELETE, .n_texts = 1, .texts = {name}};
    int rc = fmi_manager_look(handle, &m);
    if (rc == 0)
        rc = check_text(name, FM_MANAGER_NAME_BYTES, "a name");
    if (rc != 0)
        return rc;
    if (m.shm != NULL)
        return fmi_registry_delete(m.shm, name);
    return ask_plainly(&m, &q);
}

int fm_manager_list(fm_manager *handle, fm_snapshot **out)
{
    const struct question q = {.op = FMI_REQUEST_LIST};
    struct fmi_manager m;
    struct fmi_request reply;
    void *bytes;
    if (out == NULL)
        return fmi_error(-EINVAL, "there is nowhere to put the names: NULL");
    *out = NULL;
    int rc = fmi_manager_look(handle, &m);
    if (rc != 0)
        return rc;
    if (m.shm != NULL)
        return fmi_registry_list(m.shm, out);
    rc = put_question(&m, &q, &reply, &bytes);
    if (rc == 0)
        rc = fmi_request_snapshot(reply.fields + 1, reply.n_fields - 1, 1, out);
    fmi_request_clear(&reply);
    free(bytes);
    return rc;
}

int fm_manager_register(fm_manager *handle, const char *type, const fm_method *methods, int n,
                        size_t object_bytes)
{
    struct fmi_manager m;
    int rc = fmi_manager_look(handle, &m);
    if (rc == 0)
        rc = check_text(type, FM_MANAGER_TYPE_BYTES, "a type");
    if (rc != 0)
        return rc;
    if (m.client != NULL)
        return fmi_error(-EPERM, "types are for the family of the manager's server to register");
    if (n < 0 || n > FM_MANAGER_MAX_METHODS || (n > 0 && methods == NULL) || object_bytes == 0)
        return fmi_error(-EINVAL, "%d methods at %p, %zu bytes", n, (const void *)methods,
                         object_bytes);
    return fmi_registry_register(m.shm, type, methods, n, object_bytes);
}

/* ---- calls -------------------------------------------------------------------------------------------------- */

static int is_done(int rc)
{
    return rc >= 0 || rc == FM_EOWNERDEAD;
}

static int call_server(const struct fmi_manager *m, const struct question *q, fm_snapshot **out)
{
    struct fmi_request reply;
    void *bytes;
    int rc = put_question(m, q, &reply, &bytes);
    if (is_done(rc) && out != NULL) {
        int copy_rc = fmi_request_snapshot(reply.fields + 1, reply.n_fields - 1, 0, out);
        rc = copy_rc != 0 ? copy_rc : rc;
    }
    fmi_request_clear(&reply);
    free(bytes);
    return rc;
}

static int call_here(struct fmi_named_shm *named, const struct fmi_kind *kind,
                     const struct question *q, fm_snapshot **out)
{
    fm_reply reply = {.most_bytes = SIZE_MAX / 2};
    const struct fmi_call call = {q->args, q->n_args, q->timeout, &reply};
    int rc = fmi_kind_call(kind, named->object, fm_text(q->texts[1]), &call, NULL);
    if (is_done(rc) && out != NULL) {
        int copy_rc = fmi_request_snapshot(reply.values, reply.n, 0, out);
        rc = copy_rc != 0 ? copy_rc : rc;
    }
    fmi_reply_clear(&reply);
    return rc;
}

int fm_manager_call(fm_manager *handle, const char *name, const char *method, const fm_bytes *args,
                    int n_args, fm_snapshot **out, int64_t timeout)
{
    struct fmi_manager m;
    struct fmi_named_shm *named;
    const struct question q = {FMI_REQUEST_CALL, 2, n_args, {name, method}, args, timeout};
    if (out != NULL)
        *out = NULL;
    int rc = fmi_manager_look(handle, &m);
    if (rc == 0)
        rc = check_text(name, FM_MANAGER_NAME_BYTES, "a name");
    if (rc == 0)
        rc = check_text(method, FM_MANAGER_TYPE_BYTES, "a method");
    if (rc == 0)
        rc = check_args(args, n_args);
    if (rc != 0)
        return rc;
    if (m.shm == NULL)
        return call_server(&m, &q, out);
    rc = fmi_registry_pin(m.shm, name, &named);
    if (rc != 0)
        return rc;
    const struct fmi_kind *kind = fmi_kind_at(named->kind);
    rc = kind != NULL ? call_here(named, kind, &q, out) : call_server(&m, &q, out);
    fmi_registry_unpin(named);
    return rc;
}
