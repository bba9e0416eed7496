/* SPDX-License-Identifier: MIT */
/* forkmap's queues, Boost's, and the kernel's ways from process to process, as engines of the queue benchmark. */
#include "queue.h"

#include "bench_clock.h"
#include "engine.h"
#include "facts.h"

#include <forkmap/forkmap.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WARM_TRIPS = 100, MOST_PARTIES = 8 };

struct channel; /* one way */

struct way { /* how messages go */
    const char *name;
    int (*open)(struct channel *c, size_t bytes); /* 0, or -errno */
    int (*put)(struct channel *c, char *buf, size_t bytes);
    int (*get)(struct channel *c, char *buf, size_t bytes);
    void (*close)(struct channel *c);
};

struct channel {
    fm_queue *queue;
    void *boost;
    mqd_t mq;
    int fds[2]; /* to read, to write */
};

/* How many messages wait at most. */
static int64_t capacity_for(size_t bytes)
{
    return bytes > 4096 ? 4 : 1024;
}

/* ---- forkmap ---- */

static int open_queue(struct channel *c, size_t bytes)
{
    return fm_queue_create(&c->queue, FM_QUEUE_OPTS(.capacity = capacity_for(bytes)));
}

static int put_queue(struct channel *c, char *buf, size_t bytes)
{
    return fm_queue_put(c->queue, buf, bytes, FM_FOREVER);
}

static int get_queue(struct channel *c, char *buf, size_t bytes)
{
    return fm_queue_get(c->queue, buf, bytes, NULL, FM_FOREVER);
}

static int commit_queue(struct channel *c, char *buf, size_t bytes)
{
    void *ptr;
    int code = fm_queue_reserve(c->queue, bytes, &ptr, FM_FOREVER);
    if (code != 0)
        return code;
    memcpy(ptr, buf, 1); /* the message is made there: not a part of what is measured */
    return fm_queue_commit(c->queue, ptr, bytes, FM_FOREVER);
}

static int borrow_queue(struct channel *c, char *buf, size_t bytes)
{
    void *ptr;
    size_t length;
    int code = fm_queue_borrow(c->queue, &ptr, &length, FM_FOREVER);
    if (code != 0 || length != bytes)
        return code != 0 ? code : -EPROTO;
    memcpy(buf, ptr, 1);
    return fm_queue_release(c->queue, ptr);
}

static void close_queue(struct channel *c)
{
    fm_queue_destroy(c->queue);
}

/* ---- POSIX message queues: 10 messages of 8 KiB at most, as systems come ---- */

static int open_mq(struct channel *c, size_t bytes)
{
    char name[64];
    struct mq_attr attributes = {.mq_maxmsg = 10, .mq_msgsize = (long)bytes};
    snprintf(name, sizeof(name), "/forkmap-bench-%d", (int)getpid());
    c->mq = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &attributes);
    if (c->mq == (mqd_t)-1)
        return -errno;
    mq_unlink(name);
    return 0;
}

static int put_mq(struct channel *c, char *buf, size_t bytes)
{
    return mq_send(c->mq, buf, bytes, 0) == 0 ? 0 : -errno;
}

static int get_mq(struct channel *c, char *buf, size_t bytes)
{
    return mq_receive(c->mq, buf, bytes, NULL) == (ssize_t)bytes ? 0 : -errno;
}

static void close_mq(struct channel *c)
{
    mq_close(c->mq);
}

/* ---- Boost's message queue ---- */

#ifdef BENCH_BOOST
static int open_boost(struct channel *c, size_t bytes)
{
    return bench_boost_open(&c->boost, (size_t)capacity_for(bytes), bytes);
}

static int put_boost(struct channel *c, char *buf, size_t bytes)
{
    return bench_boost_put(c->boost, buf, bytes);
}

static int get_boost(struct channel *c, char *buf, size_t bytes)
{
    return bench_boost_get(c->boost, buf, bytes);
}

static void close_boost(struct channel *c)
{
    bench_boost_close(c->boost);
}
#endif

/* ---- pipes and sockets ---- */

static int open_pipe(struct channel *c, size_t bytes)
{
    (void)bytes;
    return pipe2(c->fds, O_CLOEXEC) == 0 ? 0 : -errno;
}

static int open_socket(struct channel *c, size_t bytes)
{
    (void)bytes;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, c->fds) == 0 ? 0 : -errno;
}

static int put_fd(struct channel *c, char *buf, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = write(c->fds[1], buf + done, bytes - done);
        if (n <= 0)
            return -errno;
        done += (size_t)n;
    }
    return 0;
}

static int get_fd(struct channel *c, char *buf, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = read(c->fds[0], buf + done, bytes - done);
        if (n <= 0)
            return -errno;
        done += (size_t)n;
    }
    return 0;
}

static void close_fds(struct channel *c)
{
    close(c->fds[0]);
    close(c->fds[1]);
}

static const struct way ways[] = {
    {"forkmap", open_queue, put_queue, get_queue, close_queue},
    {"forkmap-loan", open_queue, commit_queue, borrow_queue, close_queue},
    {"posix-mq", open_mq, put_mq, get_mq, close_mq},
#ifdef BENCH_BOOST
    {"boost-mq", open_boost, put_boost, get_boost, close_boost},
#endif
    {"pipe", open_pipe, put_fd, get_fd, close_fds},
    {"unix-socket", open_socket, put_fd, get_fd, close_fds},
};

/* ---- runs ---- */

struct session {
    const struct way *way;
    _Atomic int *ready; /* shared: those who wait for the start; the start is -1 */
    cpu_set_t all;
    int n_cpus, cpus[2 * MOST_PARTIES];
};

/* One place per core, in turn. */
static int find_places(struct session *s)
{
    fm_place places[2 * MOST_PARTIES];
    sched_getaffinity(0, sizeof s->all, &s->all);
    s->n_cpus = fm_places(places, 2 * MOST_PARTIES, FM_PIN_CORE, NULL);
    if (s->n_cpus > 2 * MOST_PARTIES)
        s->n_cpus = 2 * MOST_PARTIES;
    for (int i = 0; i < s->n_cpus; i++)
        s->cpus[i] = places[i].cpu;
    return s->n_cpus > 0;
}

static void bind_party(const struct session *s, int party)
{
    bench_pin(s->cpus[party % s->n_cpus]);
}

static void wait_for_start(struct session *s)
{
    atomic_fetch_add(s->ready, 1);
    while (atomic_load(s->ready) >= 0)
        usleep(100);
}

static void run_party(struct session *s, struct channel *c, int is_writer, size_t bytes, int64_t n)
{
    char *buf = calloc(1, bytes + 1);
    int code = buf == NULL ? -ENOMEM : 0;
    wait_for_start(s);
    for (int64_t i = 0; code == 0 && i < n; i++)
        code = is_writer ? s->way->put(c, buf, bytes) : s->way->get(c, buf, bytes);
    _exit(code == 0 ? 0 : 1);
}

static int wait_for_all(const pid_t *pids, int n)
{
    int code = 0, status;
    for (int i = 0; i < n; i++)
        if (waitpid(pids[i], &status, 0) < 0 || status != 0)
            code = -EPROTO;
    return code;
}

/* [ns] in all, or < 0. */
static int64_t time_run(struct session *s, const int n_of[2], size_t bytes, int64_t n)
{
    struct channel c = {.fds = {-1, -1}};
    pid_t pids[2 * MOST_PARTIES];
    int n_parties = n_of[0] + n_of[1];
    int code = s->way->open(&c, bytes);
    if (code != 0)
        return code;
    atomic_store(s->ready, 0);
    for (int i = 0; i < n_parties; i++) {
        int is_writer = i < n_of[0];
        pids[i] = fork();
        if (pids[i] == 0) {
            bind_party(s, i);
            run_party(s, &c, is_writer, bytes, n / n_of[!is_writer]);
        }
    }
    while (atomic_load(s->ready) < n_parties)
        usleep(100);
    int64_t begin_ns = bench_now_ns();
    atomic_store(s->ready, -1);
    code = wait_for_all(pids, n_parties);
    int64_t ns = bench_now_ns() - begin_ns;
    s->way->close(&c);
    return code == 0 ? ns : code;
}

static void answer_trips(struct session *s, struct channel ways_out[2], size_t bytes, int64_t n)
{
    char *buf = calloc(1, bytes + 1);
    int code = 0;
    for (int64_t i = 0; code == 0 && i < n; i++) {
        code = s->way->get(&ways_out[0], buf, bytes);
        if (code == 0)
            code = s->way->put(&ways_out[1], buf, bytes);
    }
    _exit(code == 0 ? 0 : 1);
}

static int ask_once(struct session *s, struct channel c[2], size_t bytes, char *buf)
{
    int code = s->way->put(&c[0], buf, bytes);
    return code == 0 ? s->way->get(&c[1], buf, bytes) : code;
}

/* The clock is read around each trip only if there are gaps between them. */
static int64_t ask_trips(struct session *s, struct channel c[2], size_t bytes, int64_t n,
                         int64_t gap_ns)
{
    char *buf = calloc(1, bytes + 1);
    int64_t ns = 0, begin_ns = 0;
    int code = buf == NULL ? -ENOMEM : 0;
    for (int64_t i = -WARM_TRIPS; code == 0 && i < n; i++) {
        if (gap_ns > 0)
            bench_sleep_ns(gap_ns);
        if (gap_ns > 0 || i == 0)
            begin_ns = bench_now_ns();
        code = ask_once(s, c, bytes, buf);
        if (i >= 0 && (gap_ns > 0 || i == n - 1))
            ns += bench_now_ns() - begin_ns;
    }
    free(buf);
    return code == 0 ? ns : code;
}

struct trips {
    size_t bytes;
    int64_t n, gap_ns;
    int are_bound;
};

static int64_t time_trips(struct session *s, const struct trips *t)
{
    struct channel c[2] = {{.fds = {-1, -1}}, {.fds = {-1, -1}}};
    int code = s->way->open(&c[0], t->bytes);
    if (code == 0)
        code = s->way->open(&c[1], t->bytes);
    if (code != 0)
        return code;
    pid_t pid = fork();
    if (pid == 0) {
        if (t->are_bound)
            bind_party(s, 1);
        answer_trips(s, c, t->bytes, t->n + WARM_TRIPS);
    }
    if (t->are_bound)
        bind_party(s, 0);
    int64_t ns = ask_trips(s, c, t->bytes, t->n, t->gap_ns);
    code = wait_for_all(&pid, 1);
    sched_setaffinity(0, sizeof s->all, &s->all);
    s->way->close(&c[0]);
    s->way->close(&c[1]);
    return code == 0 ? ns : code;
}

static int answer_command(void *self, const char *command, char answer[BENCH_LINE])
{
    struct session *s = self;
    struct trips t;
    int n_of[2];
    size_t bytes;
    int64_t n, ns;
    if (sscanf(command, "run %d %d %zu %" SCNd64, &n_of[0], &n_of[1], &bytes, &n) == 4 &&
        n_of[0] > 0 && n_of[0] <= MOST_PARTIES && n_of[1] > 0 && n_of[1] <= MOST_PARTIES)
        ns = time_run(s, n_of, bytes, n);
    else if (sscanf(command, "trip %zu %" SCNd64 " %" SCNd64 " %d", &t.bytes, &t.n, &t.gap_ns,
                    &t.are_bound) == 4 &&
             (n = t.n) > 0)
        ns = time_trips(s, &t);
    else
        return -EINVAL;
    if (ns < 0)
        snprintf(answer, BENCH_LINE, "error %s", fm_errname((int)ns));
    else
        snprintf(answer, BENCH_LINE, "%.3f", (double)ns / (double)n);
    return ns < 0 ? (int)ns : 0;
}

int bench_queue_engine(const char *kind, char *const args[])
{
    struct session s = {.way = NULL};
    (void)args;
    if (strcmp(kind, "line") == 0 || strcmp(kind, "futex") == 0)
        return bench_queue_floor(kind);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
        if (strcmp(kind, ways[i].name) == 0)
            s.way = &ways[i];
    s.ready =
        mmap(NULL, sizeof(*s.ready), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s.way == NULL && strcmp(kind, "boost-mq") == 0)
        return bench_engine_missing("not built in: no C++ compiler, or no libboost-dev");
    if (s.way == NULL || s.ready == MAP_FAILED || !find_places(&s))
        return 1;
    struct channel c = {.fds = {-1, -1}};
    if (s.way->open(&c, 8) != 0)
        return bench_engine_missing(strerror(errno));
    s.way->close(&c);
    return bench_engine_serve(answer_command, &s);
}
