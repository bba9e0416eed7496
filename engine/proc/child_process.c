/* SPDX-License-Identifier: MIT */
/* fm_process_...: making, starting, joining, asking. The protocol with keeper and process is in keeper.h, handles in family.h. */
#include "family.h"

#include "clock.h"
#include "error.h"
#include "heap.h"
#include "opts.h"
#include "process.h"
#include "rlimits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SPIN_NS = 20000 };
#define START_NS FM_SECONDS(60)
#define NOTE_NS  FM_SECONDS(5) /* for a keeper to take note of an end */
#define SOON_NS  FM_MS(50)     /* before it is looked whether it is stopped */
#define LOOK_NS  FM_SECONDS(1) /* no wait is longer without a look at the process */

int fmi_process_check(const fm_process *p)
{
    if (p == NULL)
        return fmi_error(-EINVAL, "the process is NULL");
    if (atomic_load(&p->mark) != FMI_PROCESS_LIVE)
        return fmi_error(-EINVAL, "the process is closed already");
    if (p->owner != getpid())
        return fmi_error(FM_EFORKED, "%s belongs to process %d, which created it", p->person.name,
                         (int)p->owner);
    return 0;
}

static int check_child(const fm_process *p)
{
    int rc = fmi_process_check(p);
    if (rc == 0 && p->kind != FMI_KIND_CHILD)
        return fmi_error(-EINVAL, "%s is not a child of this process", p->person.name);
    return rc;
}

static int check_started(const fm_process *p)
{
    int rc = check_child(p);
    if (rc == 0 && atomic_load(&p->phase) == FMI_PHASE_CREATED)
        return fmi_error(-EINVAL, "%s has not been started", p->person.name);
    return rc;
}

/* ---- create ------------------------------------------------------------------------------------ */

static void set_name(fm_process *p, const char *name)
{
    snprintf(p->person.name, sizeof p->person.name, "%s", name);
}

static void name_child(fm_process *p, const char *name)
{
    const char *own = fmi_family_self()->identity;
    unsigned number = fmi_family_next_number();
    snprintf(p->person.identity, sizeof p->person.identity, "%.48s%s%u", own, *own ? ":" : "",
             number);
    if (name != NULL && *name != '\0')
        set_name(p, name);
    else
        snprintf(p->person.name, sizeof p->person.name, "Process-%s", p->person.identity);
}

static int inherit_key(fm_process *p)
{
    struct fmi_person *own = fmi_family_self();
    int rc = fmi_family_make_key(own);
    p->person.key_bytes = own->key_bytes;
    memcpy(p->person.key, own->key, sizeof p->person.key);
    return rc;
}

static int check_opts(const fm_process_opts *o)
{
    if (o->daemon != 0 && o->daemon != 1)
        return fmi_error(-EINVAL, "daemon is %d; it may be 0 or 1", o->daemon);
    if (o->stack_bytes > PTRDIFF_MAX / 2)
        return fmi_error(-EINVAL, "stack_bytes is %zu", o->stack_bytes);
    if (o->inner_threads < -1)
        return fmi_error(-EINVAL, "inner_threads is %d; it may be -1 or more", o->inner_threads);
    if (o->start_timeout < 0)
        return fmi_error(-EINVAL, "start_timeout may not be negative");
    return 0;
}

static int copy_arg(fm_process *p, const void *arg, size_t bytes)
{
    p->arg_bytes = bytes;
    p->arg = (void *)arg;
    if (bytes == 0) {
        if (p->method == FM_FORK || arg == NULL || fmi_heap_contains(arg, 1))
            return 0;
        return fmi_error(-EINVAL,
                         "arg points into the memory of this process, which a process by %s does "
                         "not have; give arg_bytes, or a pointer into the shared heap",
                         fm_start_method_name(p->method));
    }
    if (arg == NULL)
        return fmi_error(-EINVAL, "arg is NULL, arg_bytes is %zu", bytes);
    p->arg = malloc(bytes);
    if (p->arg == NULL) {
        p->arg_bytes = 0;
        return fmi_error(-ENOMEM, "no memory for a copy of %zu bytes", bytes);
    }
    memcpy(p->arg, arg, bytes);
    return 0;
}

static void free_handle(fm_process *p)
{
    if (p->arg_bytes > 0)
        free(p->arg);
    explicit_bzero(p->person.key, sizeof p->person.key);
    atomic_store(&p->mark, FMI_PROCESS_DEAD);
}

static int create(fm_process **out, union fmi_target function, int takes_itself, const void *arg,
                  size_t arg_bytes, const fm_process_opts *opts)
{
    fm_process_opts o;
    if (out != NULL)
        *out = NULL;
    if (out == NULL || function.object == NULL)
        return fmi_error(-EINVAL, "%s is NULL", out == NULL ? "out" : "the function");
    int rc = fmi_opts_copy(&o, sizeof o, opts);
    if (rc == 0)
        rc = check_opts(&o);
    if (rc != 0)
        return rc;
    fm_process *p = fmi_family_new_handle();
    if (p == NULL)
        return -ENOMEM;
    p->kind = FMI_KIND_CHILD;
    p->phase = FMI_PHASE_CREATED;
    p->function = function;
    p->takes_itself = takes_itself;
    p->inner_threads = o.inner_threads;
    p->stack_bytes = o.stack_bytes;
    p->start_timeout = o.start_timeout > 0 ? o.start_timeout : START_NS;
    p->person.is_daemon = o.daemon;
    rc = p->method = fmi_context_method(o.context);
    if (rc > 0)
        rc = copy_arg(p, arg, arg_bytes);
    if (rc == 0)
        rc = inherit_key(p);
    if (rc != 0) {
        free_handle(p);
        return rc;
    }
    name_child(p, o.name);
    atomic_store(&p->mark, FMI_PROCESS_LIVE);
    *out = p;
    return 0;
}

int fm_process_create(fm_process **out, fm_target_fn *target, const void *arg, size_t arg_bytes,
                      const fm_process_opts *opts)
{
    return create(out, (union fmi_target){.target = target}, 0, arg, arg_bytes, opts);
}

int fm_process_create_run(fm_process **out, fm_run_fn *run, const void *own, size_t own_bytes,
                          const fm_process_opts *opts)
{
    return create(out, (union fmi_target){.run = run}, 1, own, own_bytes, opts);
}

/* ---- start ------------------------------------------------------------------------------------- */

static int describe_function(const fm_process *p, struct fmi_function_shm *out)
{
    if (p->method != FM_FORK)
        return fmi_function_describe(NULL, p->function.object, out);
    out->address = (uintptr_t)p->function.object;
    return 0;
}

static int write_orders(fm_process *p)
{
    void *block;
    int rc = fmi_heap_alloc(&block, sizeof *p->shm + p->arg_bytes, FMI_HEAP_ZERO);
    if (rc != 0)
        return rc;
    struct fmi_process_shm *shm = p->shm = block;
    fmi_park_init(&shm->events);
    atomic_store(&shm->state, FMI_PROCESS_NEW);
    shm->takes_itself = p->takes_itself;
    shm->inner_threads = p->inner_threads;
    shm->stack_bytes = p->stack_bytes;
    shm->arg = (uintptr_t)p->arg;
    if (p->arg_bytes > 0) {
        memcpy(shm->bytes, p->arg, p->arg_bytes);
        shm->arg = (uintptr_t)shm->bytes;
    }
    shm->self = p->person;
    shm->parent = fm_current_process()->person;
    shm->parent.key_bytes = 0;
    explicit_bzero(shm->parent.key, sizeof shm->parent.key);
    return describe_function(p, &shm->function);
}

static void free_orders(fm_process *p)
{
    if (p->shm != NULL)
        explicit_bzero(p->shm->self.key, sizeof p->shm->self.key);
    (void)fmi_heap_free(p->shm);
    p->shm = NULL;
}

static int broken(const fm_process *p)
{
    return fmi_error(FM_EBROKEN, "the keeper of %s died as it started", p->person.name);
}

static int is_over(const fm_process *p)
{
    return fmi_sys_await_end(p->sentinel, 0) == 0;
}

/* Until it can be sent signals, or has ended already. */
static int await_ready(fm_process *p, int64_t deadline_ns)
{
    struct fmi_process_shm *shm = p->shm;
    for (;;) {
        uint32_t seen = fmi_park_seen(&shm->events);
        int error = atomic_load(&shm->error);
        if (error < 0)
            return fmi_error(error, "%s has no memory for its stack", p->person.name);
        if (atomic_load(&shm->ready) != 0 || is_over(p))
            return 0;
        if (atomic_load(&shm->life.word) != p->life_value)
            return broken(p);
        if (fmi_park_alive(&shm->events, seen, SPIN_NS, &shm->life.word, p->life_value,
                           deadline_ns) == -ETIMEDOUT)
            return fmi_error(-ETIMEDOUT, "%s has not begun in time", p->person.name);
    }
}

/* The pid comes from shared memory: it is believed if the kernel says that it is the keeper's child. */
static int meet(fm_process *p, int64_t deadline_ns)
{
    p->life_value = atomic_load(&p->shm->life.word);
    pid_t pid = atomic_load(&p->shm->pid);
    if (pid <= 1 || (p->life_value & FMI_LIFE_OVER) != 0)
        return broken(p);
    int fd = fmi_sys_watch_open(pid);
    if (fd == -ESRCH)
        return broken(p);
    if (fd < 0)
        return fmi_error(fd, "pidfd_open: %s (see ulimit -n)", fm_strerror(fd));
    p->sentinel = fd;
    int rc = fmi_sys_is_child_of(pid, p->keeper.pid);
    if (rc == 0)
        rc = broken(p);
    else if (rc < 0)
        rc = fmi_error(rc, "/proc/%d/stat: %s", (int)pid, fm_strerror(rc));
    else
        rc = await_ready(p, deadline_ns);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    p->person.pid = pid;
    atomic_store(&p->shm->known, FMI_PROCESS_KNOWN);
    fmi_park_wake(&p->shm->events);
    return 0;
}

/* The keeper ends the process and leaves. One that does not is killed; then the process may live a moment longer, and the orders stay. */
static void give_up(fm_process *p)
{
    atomic_store(&p->shm->known, FMI_PROCESS_GIVEN_UP);
    fmi_park_wake(&p->shm->events);
    (void)fmi_sys_pidfd_signal(p->keeper.pidfd, SIGTERM);
    if (fmi_child_await(&p->keeper, fmi_deadline_after(NOTE_NS)) != 0)
        p->shm = NULL;
    fmi_child_end(&p->keeper);
}

static int start(fm_process *p)
{
    int64_t deadline_ns = fmi_deadline_after(p->start_timeout);
    struct fmi_launch launch = {.method = p->method,
                                .entry = fmi_keeper_run,
                                .arg = p->shm,
                                .fd = -1,
                                .inner_threads = p->inner_threads,
                                .deadline_ns = deadline_ns};
    int rc = fmi_launch(&p->keeper, &launch);
    if (rc != 0)
        return rc;
    rc = fmi_child_await_begin(&p->keeper, &p->shm->events, &p->shm->life, deadline_ns);
    if (rc == 0)
        rc = meet(p, deadline_ns);
    if (rc != 0)
        give_up(p);
    return rc;
}

static int check_may_start(const fm_process *p)
{
    if (atomic_load(&p->mark) != FMI_PROCESS_LIVE)
        return fmi_error(-EINVAL, "another thread has closed the process");
    if (fmi_family_self()->is_daemon) /* workers are daemons, too */
        return fmi_error(-EPERM, "%s is a daemon, and may not start processes",
                         fmi_family_self()->name);
    if (atomic_load(&p->phase) != FMI_PHASE_CREATED)
        return fmi_error(-EALREADY, "%s was started before", p->person.name);
    return 0;
}

int fm_process_start(fm_process *p)
{
    int rc = check_child(p);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&p->lock);
    rc = check_may_start(p);
    if (rc == 0) {
        rc = write_orders(p);
        if (rc == 0)
            rc = start(p);
        if (rc == 0)
            atomic_store(&p->phase, FMI_PHASE_STARTED);
        else
            free_orders(p);
    }
    pthread_mutex_unlock(&p->lock);
    return fmi_rlimits_explain(rc);
}

/* ---- the end ----------------------------------------------------------------------------------- */

/* ENDED, if the keeper has said so or has died. 1: it has ended. */
static int take_note(fm_process *p)
{
    if (atomic_load(&p->phase) == FMI_PHASE_ENDED)
        return 1;
    uint32_t life = atomic_load(&p->shm->life.word);
    /* acquire: pairs with publish_end. After `life`: a keeper publishes before it dies */
    int is_told = atomic_load_explicit(&p->shm->state, memory_order_acquire) == FMI_PROCESS_ENDED;
    if (!is_told && life == p->life_value)
        return 0;
    if (!is_told) /* it dies with its keeper, by the kernel's hand */
        (void)fmi_sys_await_end(p->sentinel, fmi_deadline_after(NOTE_NS));
    int number = is_told ? p->shm->signal : SIGKILL;
    pthread_mutex_lock(&p->lock);
    if (atomic_load(&p->phase) != FMI_PHASE_ENDED) {
        p->exit_code = number != 0 ? -(number & 127) : p->shm->code & 255;
        (void)fmi_child_await(&p->keeper, fmi_deadline_after(NOTE_NS)); /* it leaves at once */
        atomic_store(&p->phase, FMI_PHASE_ENDED);
    }
    pthread_mutex_unlock(&p->lock);
    return 1;
}

static int await_note(fm_process *p, int64_t deadline_ns)
{
    for (;;) {
        uint32_t seen = fmi_park_seen(&p->shm->events);
        if (take_note(p))
            return 0;
        int rc = fmi_park_alive(&p->shm->events, seen, 0, &p->shm->life.word, p->life_value,
                                deadline_ns);
        if (rc != 0)
            return take_note(p) ? 0 : rc;
    }
}

/* It is over, and its keeper is to say how. One that somebody has stopped is continued; one that is silent is killed, which says it, too. */
static int get_note(fm_process *p, int64_t deadline_ns)
{
    static const int64_t patience_ns[] = {SOON_NS, NOTE_NS};
    static const int signals[] = {SIGCONT, SIGKILL};
    for (int i = 0; i < 2; i++) {
        int64_t until = fmi_deadline_after(patience_ns[i]);
        int rc = await_note(p, until < deadline_ns ? until : deadline_ns);
        if (rc != -ETIMEDOUT || fmi_now_ns() >= deadline_ns)
            return rc;
        (void)fmi_sys_pidfd_signal(p->keeper.pidfd, signals[i]);
    }
    return await_note(p, deadline_ns);
}

static int await_end(fm_process *p, int64_t deadline_ns)
{
    for (;;) {
        int64_t until = fmi_deadline_after(LOOK_NS);
        int rc = await_note(p, until < deadline_ns ? until : deadline_ns);
        if (rc == -ETIMEDOUT && is_over(p))
            return get_note(p, deadline_ns);
        if (rc != -ETIMEDOUT || fmi_now_ns() >= deadline_ns)
            return rc;
    }
}

/* Between its end and the keeper's note of it is a moment, which nobody is to see: once it is over, the note is waited for. */
static int has_ended(fm_process *p)
{
    if (take_note(p))
        return 1;
    return is_over(p) && get_note(p, fmi_deadline_after(2 * NOTE_NS)) == 0;
}

static int join_parent(const fm_process *p, int64_t timeout)
{
    return fmi_sys_await_end(p->sentinel, fmi_deadline_after(timeout));
}

int fm_process_join(fm_process *p, int64_t timeout)
{
    int rc = fmi_process_check(p);
    if (rc == 0 && p->kind == FMI_KIND_SELF)
        rc = fmi_error(-EINVAL, "%s cannot wait for its own end", p->person.name);
    if (rc == 0 && p->kind == FMI_KIND_PARENT)
        return join_parent(p, timeout);
    if (rc == 0)
        rc = check_started(p);
    if (rc != 0)
        return rc;
    if (timeout == 0)
        return has_ended(p) ? 0 : -ETIMEDOUT;
    return await_end(p, fmi_deadline_after(timeout));
}

int fm_process_is_alive(fm_process *p)
{
    int rc = fmi_process_check(p);
    if (rc != 0)
        return rc;
    if (p->kind == FMI_KIND_SELF)
        return 1;
    if (p->kind == FMI_KIND_PARENT)
        return !is_over(p);
    return atomic_load(&p->phase) != FMI_PHASE_CREATED && !has_ended(p);
}

int fm_process_exitcode(fm_process *p, int *code)
{
    int rc = check_child(p);
    if (rc != 0)
        return rc;
    if (code == NULL)
        return fmi_error(-EINVAL, "code is NULL");
    if (atomic_load(&p->phase) == FMI_PHASE_CREATED || !has_ended(p))
        return -EAGAIN;
    *code = p->exit_code;
    return 0;
}

static int send_signal(fm_process *p, int number)
{
    int rc = check_started(p);
    if (rc != 0 || atomic_load(&p->phase) == FMI_PHASE_ENDED)
        return rc;
    rc = fmi_sys_pidfd_signal(p->sentinel, number);
    return rc == -ESRCH ? 0 : rc;
}

int fm_process_terminate(fm_process *p)
{
    return send_signal(p, SIGTERM);
}

int fm_process_kill(fm_process *p)
{
    return send_signal(p, SIGKILL);
}

int fm_process_interrupt(fm_process *p)
{
    return send_signal(p, SIGINT);
}

/* Not while another thread starts it. */
static int check_closable(fm_process *p)
{
    pthread_mutex_lock(&p->lock);
    int phase = atomic_load(&p->phase),
        is_taken = phase == FMI_PHASE_CREATED && fmi_family_remove(p);
    pthread_mutex_unlock(&p->lock);
    if (phase == FMI_PHASE_CREATED)
        return is_taken ? 0 : fmi_error(-EINVAL, "the process is closed already");
    if (!has_ended(p))
        return fmi_error(-EBUSY, "%s is alive; join it, or end it", p->person.name);
    return fmi_family_remove(p) ? 0 : fmi_error(-EINVAL, "the process is closed already");
}

int fm_process_close(fm_process *p)
{
    if (p == NULL)
        return 0;
    int rc = check_child(p);
    if (rc == 0)
        rc = check_closable(p);
    if (rc != 0)
        return rc;
    if (atomic_load(&p->phase) != FMI_PHASE_CREATED) {
        fmi_child_end(&p->keeper);
        close(p->sentinel);
        free_orders(p);
    }
    free_handle(p);
    return 0;
}

/* ---- who it is --------------------------------------------------------------------------------- */

const char *fm_process_name(const fm_process *p)
{
    return p != NULL && atomic_load(&p->mark) == FMI_PROCESS_LIVE ? p->person.name : "?";
}

int fm_process_set_name(fm_process *p, const char *name)
{
    int rc = fmi_process_check(p);
    if (rc == 0 && name == NULL)
        rc = fmi_error(-EINVAL, "the name is NULL");
    if (rc == 0)
        set_name(p, name);
    return rc;
}

int fm_process_daemon(const fm_process *p)
{
    int rc = fmi_process_check(p);
    return rc != 0 ? rc : p->person.is_daemon;
}

int fm_process_set_daemon(fm_process *p, int daemon)
{
    int rc = check_child(p);
    if (rc == 0 && daemon != 0 && daemon != 1)
        rc = fmi_error(-EINVAL, "daemon is %d; it may be 0 or 1", daemon);
    if (rc == 0 && atomic_load(&p->phase) != FMI_PHASE_CREATED)
        rc = fmi_error(-EALREADY, "%s was started before", p->person.name);
    if (rc == 0)
        p->person.is_daemon = daemon;
    return rc;
}

int fm_process_pid(const fm_process *p)
{
    int rc = fmi_process_check(p);
    return rc != 0 ? rc : p->person.pid;
}

int fm_process_sentinel(const fm_process *p)
{
    int rc = fmi_process_check(p);
    if (rc == 0 && p->kind != FMI_KIND_PARENT)
        rc = check_started(p);
    if (rc == 0 && fmi_sys_stands_in_for(p->sentinel) != 0)
        rc = fmi_error(-ENOSYS, "this system has no pidfd_open(2): no descriptor tells of the end");
    return rc != 0 ? rc : p->sentinel;
}

int fm_process_authkey(fm_process *p, const void **key, size_t *bytes)
{
    int rc = fmi_process_check(p);
    if (rc == 0 && (key == NULL || bytes == NULL))
        rc = fmi_error(-EINVAL, "%s is NULL", key == NULL ? "key" : "bytes");
    if (rc == 0 && p->kind == FMI_KIND_PARENT)
        rc = fmi_error(-EINVAL, "the key of %s is known to itself only", p->person.name);
    if (rc == 0)
        rc = fmi_family_make_key(&p->person);
    if (rc != 0)
        return rc;
    *key = p->person.key;
    *bytes = p->person.key_bytes;
    return 0;
}

int fm_process_set_authkey(fm_process *p, const void *key, size_t bytes)
{
    int rc = fmi_process_check(p);
    if (rc == 0 && (key == NULL || bytes < 1 || bytes > FMI_KEY_BYTES))
        rc = fmi_error(-EINVAL, "a key has 1 .. %d bytes", FMI_KEY_BYTES);
    if (rc != 0)
        return rc;
    explicit_bzero(p->person.key, sizeof p->person.key);
    memcpy(p->person.key, key, bytes);
    p->person.key_bytes = (uint32_t)bytes;
    return 0;
}
