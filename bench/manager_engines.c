/* SPDX-License-Identifier: MIT */
/* The engine processes of the manager benchmark: the same operations by the same clients; only what they go through differs. */
#include "manager.h"

#include "bench_clock.h"
#include "bound_pool.h"
#include "engine.h"
#include "facts.h"

#include <errno.h>
#include <forkmap/manager.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_CLIENTS = 2, ADDRESS_BYTES = 200 };
static const char secret[] = "of the benchmark only";
static char keys[BENCH_MANAGER_KEYS][BENCH_MANAGER_BYTES + 1];

static void make_keys(void)
{
    for (int i = 0; i < BENCH_MANAGER_KEYS; i++)
        snprintf(keys[i], sizeof keys[i], "%08d", i * 7 % BENCH_MANAGER_KEYS);
}

struct shared { /* by the processes of a sample */
    _Atomic int n_ready, n_done, n_failed;
};

struct client { /* of one process */
    fm_manager *manager;
    fm_dict *dict; /* NULL: by calls */
    void *redis;
};

struct session {
    const char *kind;
    struct shared *shared;
    fm_manager *manager; /* of the family */
    pid_t alone;         /* else: who has started one */
    char address[ADDRESS_BYTES];
    int cpus[MOST_CLIENTS];
};

/* ---- operations: 0 or an error ---- */

static int operate_on_dict(const struct client *c, int is_set, const char *key, char *value)
{
    const fm_bytes k = fm_bytes_of(key, BENCH_MANAGER_BYTES);
    fm_buf buf = fm_buf_of(value, BENCH_MANAGER_BYTES);
    return is_set ? fm_dict_set(c->dict, k, fm_bytes_of(value, BENCH_MANAGER_BYTES), FM_FOREVER)
                  : fm_dict_get(c->dict, k, &buf, FM_FOREVER);
}

static int operate_by_call(const struct client *c, int is_set, const char *key, char *value)
{
    const fm_bytes args[] = {fm_bytes_of(key, BENCH_MANAGER_BYTES),
                             fm_bytes_of(value, BENCH_MANAGER_BYTES)};
    fm_snapshot *reply;
    int code = fm_manager_call(c->manager, "ages", is_set ? "set" : "get", args, is_set ? 2 : 1,
                               &reply, FM_FOREVER);
    if (code != 0)
        return code;
    if (!is_set)
        memcpy(value, reply->values[0].data, BENCH_MANAGER_BYTES);
    fm_snapshot_free(reply);
    return 0;
}

static int operate_on_redis(const struct client *c, int is_set, const char *key, char *value)
{
#ifdef BENCH_REDIS
    return is_set ? bench_redis_set(c->redis, key, value) : bench_redis_get(c->redis, key, value);
#else
    (void)c, (void)is_set, (void)key, (void)value;
    return -ENOSYS;
#endif
}

static int operate(const struct session *s, const struct client *c, int is_set, int64_t n)
{
    char value[BENCH_MANAGER_BYTES + 1] = "12345678";
    int (*once)(const struct client *, int, const char *, char *) =
        c->dict != NULL                 ? operate_on_dict
        : strcmp(s->kind, "redis") == 0 ? operate_on_redis
                                        : operate_by_call;
    int code = 0;
    for (int64_t i = 0; code == 0 && i < n; i++)
        code = once(c, is_set, keys[i % BENCH_MANAGER_KEYS], value);
    return code;
}

/* ---- clients ---- */

static int connect_manager(const struct session *s, struct client *c)
{
    const unsigned flags = strcmp(s->kind, "forkmap-host") == 0 ? 0 : FM_MANAGER_NO_MAP;
    int code = fm_manager_connect(&c->manager, s->address, secret, sizeof secret,
                                  FM_MANAGER_CONNECT_OPTS(.flags = flags));
    if (code == 0 && flags == 0)
        code = fm_manager_get(c->manager, "ages", (void *)&c->dict);
    return code;
}

static int open_client(const struct session *s, struct client *c)
{
    *c = (struct client){.manager = s->manager};
    if (s->manager != NULL)
        return fm_manager_get(s->manager, "ages", (void *)&c->dict);
#ifdef BENCH_REDIS
    if (strcmp(s->kind, "redis") == 0)
        return bench_redis_connect(&c->redis, s->address);
#endif
    return connect_manager(s, c);
}

/* All keys are there before anything is measured. */
static int take_part(const struct session *s, int rank, int n_clients, int is_set, int64_t n)
{
    struct client c;
    bench_pin(s->cpus[rank]);
    int code = open_client(s, &c);
    if (code == 0)
        code = operate(s, &c, 1, BENCH_MANAGER_KEYS);
    if (code != 0)
        atomic_store(&s->shared->n_failed, 1);
    atomic_fetch_add(&s->shared->n_ready, 1);
    while (atomic_load(&s->shared->n_ready) <= n_clients)
        sched_yield();
    if (code == 0)
        code = operate(s, &c, is_set, n);
    atomic_fetch_add(&s->shared->n_done, 1);
    return code;
}

/* From the start of all to the end of the last [ns], or < 0. */
static int64_t time_operations(const struct session *s, int n_clients, int is_set, int64_t n)
{
    pid_t pids[MOST_CLIENTS];
    int code = 0, status;
    *s->shared = (struct shared){0};
    for (int i = 0; i < n_clients; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(take_part(s, i, n_clients, is_set, n) != 0);
    }
    while (atomic_load(&s->shared->n_ready) < n_clients)
        usleep(100);
    const int64_t begin_ns = bench_now_ns();
    atomic_fetch_add(&s->shared->n_ready, 1);
    while (atomic_load(&s->shared->n_done) < n_clients)
        usleep(50);
    const int64_t ns = bench_now_ns() - begin_ns;
    for (int i = 0; i < n_clients; i++)
        if (waitpid(pids[i], &status, 0) < 0 || status != 0)
            code = -EPROTO;
    return code == 0 ? ns : code;
}

static int answer_run(void *self, const char *command, char answer[BENCH_LINE])
{
    const struct session *s = self;
    char operation[4];
    int n_clients;
    int64_t n;
    if (sscanf(command, "run %3s %d %" SCNd64, operation, &n_clients, &n) != 3 || n < 1 ||
        n_clients < 1 || n_clients > MOST_CLIENTS)
        return -EINVAL;
    const int64_t ns = time_operations(s, n_clients, strcmp(operation, "set") == 0, n);
    if (ns < 0)
        snprintf(answer, BENCH_LINE, "error %s: operations failed", fm_errname((int)ns));
    else
        snprintf(answer, BENCH_LINE, "%.3f", (double)ns / (double)n / n_clients);
    return ns < 0 ? (int)ns : 0;
}

/* ---- servers ---- */

static int start_manager(fm_manager **m, const char *address)
{
    int code = fm_manager_start(
        m, FM_MANAGER_OPTS(.address = address, .authkey = secret, .authkey_bytes = sizeof secret));
    return code == 0 ? fm_manager_create(*m, "ages", "dict", NULL, 0, FM_FOREVER) : code;
}

/* In a process of its own, so that clients are of no family. It tells where it listens, and ends with the engine. */
static _Noreturn void serve_alone(const char *address, int to)
{
    fm_manager *m;
    char line[ADDRESS_BYTES] = "";
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigset_t term;
    int number;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    if (start_manager(&m, address) == 0)
        snprintf(line, sizeof line, "%s", fm_manager_address(m));
    if (write(to, line, sizeof line) == (ssize_t)sizeof line && line[0] != '\0')
        sigwait(&term, &number);
    fm_manager_close(m);
    _exit(0);
}

static int start_alone(struct session *s, const char *address)
{
    int ends[2];
    if (pipe(ends) != 0)
        return -errno;
    s->alone = fork();
    if (s->alone == 0)
        serve_alone(address, ends[1]);
    close(ends[1]);
    ssize_t n = read(ends[0], s->address, sizeof s->address);
    close(ends[0]);
    return n == (ssize_t)sizeof s->address && s->address[0] != '\0' ? 0 : -EPROTO;
}

static int start_server(struct session *s)
{
    if (strcmp(s->kind, "forkmap") == 0)
        return start_manager(&s->manager, NULL);
    if (strcmp(s->kind, "forkmap-tcp") == 0)
        return start_alone(s, "localhost:0");
#ifdef BENCH_REDIS
    if (strcmp(s->kind, "redis") == 0) {
        snprintf(s->address, sizeof s->address, "/tmp/forkmap-bench-redis-%d", (int)getpid());
        return bench_redis_start(s->address);
    }
#endif
    return start_alone(s, NULL);
}

static void end_server(struct session *s)
{
    if (s->manager != NULL)
        fm_manager_close(s->manager);
    if (s->alone > 0) {
        kill(s->alone, SIGTERM);
        waitpid(s->alone, NULL, 0);
    }
#ifdef BENCH_REDIS
    if (strcmp(s->kind, "redis") == 0)
        bench_redis_end();
#endif
}

int bench_manager_engine(const char *kind, char *const args[])
{
    struct session s = {.kind = kind};
    fm_place places[MOST_CLIENTS];
    (void)args;
#ifndef BENCH_REDIS
    if (strcmp(kind, "redis") == 0)
        return bench_engine_missing("not built in: no libhiredis-dev");
#endif
    int n = fm_places(places, MOST_CLIENTS, FM_PIN_CORE, NULL);
    for (int i = 0; i < MOST_CLIENTS && n > 0; i++)
        s.cpus[i] = places[i % n].cpu;
    s.shared =
        mmap(NULL, sizeof(*s.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s.shared == MAP_FAILED || n < 1)
        return 1;
    make_keys();
    int code = start_server(&s);
    if (code == -ENOENT && strcmp(kind, "redis") == 0)
        return bench_engine_missing("there is no redis-server");
    if (code != 0)
        return bench_engine_fail(kind, code);
    code = bench_engine_serve(answer_run, &s);
    end_server(&s);
    return code;
}
