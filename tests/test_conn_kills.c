/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork kills */
/* TIMEOUT: 120 */
/*
 * A process is killed just before each transition of the tables in line.h, party.h and doorbell.h, then at any moment, thousands of times. The other side never
 * hangs; no message is torn or comes twice; at most the message of the call in which a process died is lost; the heap does not grow.
 */
#include "t_process.h"
#include "t_line.h"

#include "pipe.h"
#include "fault.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#define LOST_NS FM_SECONDS(15)

enum { MOST = 70000, TORN = 3, TWICE = 4, OTHER = 5 };

/* What the processes of a test tell each other, in shared memory. */
struct shared {
    fm_conn *a, *b;          /* b sends, a receives */
    _Atomic uint64_t next;   /* number of the next message, each used once */
    _Atomic uint64_t n_sent; /* sends that have returned */
    _Atomic uint64_t last;   /* number that was received last, + 1 */
    _Atomic uint64_t n_received;
    _Atomic int wrong, n_refused;
    int n_messages; /* of a writer, then it leaves; 0: until it is killed */
};

static fm_array *array;

static struct shared *new_shared(void)
{
    array = t_vector(FM_U8, sizeof(struct shared));
    struct shared *s = fm_array_data(array);
    t_expect(fm_pipe(&s->a, &s->b, 0), 0);
    return s;
}

static void end_shared(struct shared *s)
{
    t_expect(fm_conn_close(s->b), 0);
    t_expect(fm_conn_close(s->a), 0);
    fm_array_destroy(array);
}

static size_t used_bytes(void)
{
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return usage.used_bytes;
}

/* Some go by blocks, which are whole spans of the heap: so what is lost shows. */
static size_t size_of(uint64_t number)
{
    return number % 5 == 3 ? 40000 + number * 7919 % (MOST - 40000) : 8 + number * 31 % 900;
}

static void write_messages(void *arg)
{
    static unsigned char own[MOST];
    struct shared *s = arg;
    for (int i = 0; s->n_messages == 0 || i < s->n_messages; i++) {
        uint64_t number = atomic_fetch_add(&s->next, 1);
        t_fill_message(own, size_of(number), number);
        int rc = fm_conn_send_timed(s->b, own, size_of(number), LOST_NS);
        if (rc == FM_ECLOSED && atomic_fetch_add(&s->n_refused, 1) >= 0)
            break; /* the reader was dead, and the pipe full */
        if (rc != 0)
            _exit(1);
        atomic_fetch_add(&s->n_sent, 1);
    }
    _exit(0);
}

/* 0; or what is wrong with the message. */
static int check_message(struct shared *s, const unsigned char *own, size_t bytes)
{
    uint64_t number;
    if (bytes < sizeof number)
        return TORN;
    memcpy(&number, own, sizeof number);
    if (bytes != size_of(number) || !t_is_message(own, bytes, number))
        return TORN;
    if (number < atomic_load(&s->last))
        return TWICE;
    atomic_store(&s->last, number + 1);
    atomic_fetch_add(&s->n_received, 1);
    return 0;
}

/* What ended it: a code of fm_conn_recv(), or what was wrong. */
static int read_messages(struct shared *s, int64_t timeout)
{
    static unsigned char own[MOST];
    size_t bytes;
    for (;;) {
        int rc = fm_conn_recv_timed(s->a, own, sizeof own, &bytes, timeout);
        if (rc == 0)
            rc = check_message(s, own, bytes);
        if (rc != 0)
            return rc;
    }
}

static void read_in_process(void *arg)
{
    struct shared *s = arg;
    int rc = read_messages(s, FM_FOREVER);
    s->wrong = rc > 0 ? rc : s->wrong;
    _exit(rc == FM_ECLOSED ? 0 : 1);
}

/* What the parent of a process does that knows of its death: its half-made allocations are freed before it is reaped. */
static int bury(pid_t pid)
{
    siginfo_t info;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0)
        assert_int_equal(errno, EINTR);
    fmi_heap_recover(pid);
    return t_wait_child(pid);
}

/* Receives until the writer has ended. Before its first use the end is not its own; then it is given to it, if it lives. */
static void read_until_end_of(struct shared *s, pid_t pid)
{
    int rc = FM_ECLOSED;
    siginfo_t info = {.si_pid = 0};
    do {
        if (rc == -ETIMEDOUT)
            t_expect(fm_conn_give(s->b, pid), 0);
        rc = read_messages(s, FM_MS(300));
        assert_true(rc == FM_ECLOSED || rc == -ETIMEDOUT);
        assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG), 0);
    } while (info.si_pid == 0);
    rc = read_messages(s, FM_NOWAIT);
    assert_true(rc == FM_ECLOSED || (rc == -ETIMEDOUT && s->n_sent == 0));
}

static int is_readable(int fd, int timeout_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, timeout_ms) == 1;
}

/* What the heap takes for itself when it is first used is there after this. */
static size_t warm_heap(void)
{
    struct shared *s = new_shared();
    s->n_messages = 60;
    pid_t pid = t_start_child(write_messages, s);
    read_until_end_of(s, pid);
    assert_int_equal(t_exit_code(bury(pid)), 0);
    end_shared(s);
    return used_bytes();
}

#ifdef FORKMAP_FAULTS
static const int passages[] = {1, 4, 7}; /* the 4th message goes by a block */

static void arm(const char *point, int nth)
{
    fmi_fault_spare_this_process();
    assert_int_equal(fmi_fault_arm(point, nth, 1), 0);
}

static void disarm(int must_pass)
{
    int n = fmi_fault_passages();
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
    if (must_pass)
        assert_true(n > 0);
}

/* At these points, between two words, the block of one message is nobody's. */
static size_t lost_bytes(const char *point)
{
    return strcmp(point, "line.block") == 0 || strcmp(point, "line.free") == 0 ? 2 * 65536 : 0;
}

/* A writer is killed at the point; then another goes on, and this process receives all that was sent. */
static void kill_writer_at(const char *point, int must_pass)
{
    for (size_t i = 0; i < 3; i++) {
        size_t before = warm_heap();
        struct shared *s = new_shared();
        assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
        s->n_messages = 60;
        arm(point, passages[i]);
        pid_t pid = t_start_child(write_messages, s);
        read_until_end_of(s, pid);
        int status = bury(pid), was_killed = t_signal(status) == SIGKILL;
        assert_true(was_killed || t_exit_code(status) == 0);
        assert_in_range(s->n_received, s->n_sent, s->n_sent + (uint64_t)was_killed);
        disarm(must_pass);
        pid = t_start_child(write_messages, s);
        read_until_end_of(s, pid);
        assert_int_equal(t_exit_code(bury(pid)), 0);
        assert_in_range(s->n_received, s->n_sent, s->n_sent + (uint64_t)was_killed);
        assert_in_range(atomic_load(&s->next) - s->n_sent, 0, was_killed);
        end_shared(s);
        assert_in_range(used_bytes(), 0, before + (was_killed ? lost_bytes(point) : 0));
    }
}

/* A reader is killed at the point, as this process sends; then another receives the rest. */
static void kill_reader_at(const char *point, int must_pass)
{
    static unsigned char own[MOST];
    for (size_t i = 0; i < 3; i++) {
        size_t before = warm_heap();
        struct shared *s = new_shared();
        assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
        arm(point, passages[i]);
        pid_t pid = t_start_child(read_in_process, s);
        for (uint64_t k = 0; k < 60; k++) {
            t_fill_message(own, size_of(k), k);
            int rc = fm_conn_send_timed(s->b, own, size_of(k), FM_MS(300));
            if (rc == FM_ECLOSED || rc == -ETIMEDOUT)
                break; /* it is dead, and the pipe full */
            t_expect(rc, 0);
            s->n_sent++;
        }
        for (int ms = 0;
             ms < 5000 && fmi_fault_passages() < passages[i] && s->n_received < s->n_sent; ms++)
            t_sleep_ms(1);
        kill(pid, SIGKILL); /* if it does not come there so often */
        assert_int_equal(t_signal(bury(pid)), SIGKILL);
        disarm(must_pass);
        t_expect(read_messages(s, FM_NOWAIT), -ETIMEDOUT);
        assert_int_equal(s->wrong, 0);
        assert_in_range(s->n_sent - s->n_received, 0, 1);
        assert_int_equal(atomic_load(&s->last), s->n_sent);
        end_shared(s);
        assert_in_range(used_bytes(), 0, before + lost_bytes(point));
    }
}

/* One is killed with a block on its hands, the next as it sees to that; the third goes on. */
static void kill_two(const char *point, void (*party)(void *))
{
    size_t before = warm_heap();
    struct shared *s = new_shared();
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
    const char *const points[] = {point, "line.repair"};
    for (size_t i = 0; i < 2; i++) {
        /* number 3 is the first that goes by a block */
        arm(points[i], i == 0 && party == read_in_process ? 4 : 1);
        pid_t pid = t_start_child(party, s);
        for (uint64_t k = 0; party == read_in_process && k < 10; k++) {
            unsigned char own[MOST];
            uint64_t number = s->next++;
            t_fill_message(own, size_of(number), number);
            t_expect(fm_conn_send(s->b, own, size_of(number)), 0);
        }
        assert_int_equal(t_signal(bury(pid)), SIGKILL);
        disarm(1);
    }
    assert_in_range(s->n_received, 0, 8);
    if (party == write_messages) {
        s->n_messages = 60;
        pid_t pid = t_start_child(party, s);
        read_until_end_of(s, pid);
        assert_int_equal(t_exit_code(bury(pid)), 0);
        assert_int_equal(s->n_received, s->n_sent);
        assert_int_equal(s->next - s->n_sent, 2);
    } else {
        t_expect(read_messages(s, FM_NOWAIT), -ETIMEDOUT);
        assert_in_range(s->next - s->n_received, 0, 1);
    }
    assert_int_equal(s->wrong, 0);
    end_shared(s);
    assert_in_range(used_bytes(), 0, before);
}

/* This process waits in poll(2) for messages of a writer that is killed: it learns of each, and of the end. */
static void kill_ringer_at(const char *point, int must_pass)
{
    for (size_t i = 0; i < 3; i++) {
        struct shared *s = new_shared();
        int fd = fm_conn_fileno(s->a), rc = 0;
        assert_true(fd >= 0);
        assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
        s->n_messages = 200;
        arm(point, passages[i]);
        pid_t pid = t_start_child(write_messages, s);
        int is_there = 0;
        while (rc != FM_ECLOSED) {
            /* before its first use, the end is not its own: its death is no end */
            if (!is_readable(fd, is_there ? 10000 : 300))
                break;
            is_there |= s->n_received > 0;
            rc = read_messages(s, FM_NOWAIT);
            assert_true(rc == FM_ECLOSED || rc == -ETIMEDOUT);
        }
        int status = bury(pid), was_killed = t_signal(status) == SIGKILL;
        assert_true(was_killed || t_exit_code(status) == 0);
        assert_true(rc == FM_ECLOSED || s->n_sent == 0);
        assert_in_range(s->n_received, s->n_sent, s->n_sent + (uint64_t)was_killed);
        disarm(must_pass);
        end_shared(s);
    }
}

static void close_in_process(void *arg)
{
    struct shared *s = arg;
    int rc = fm_conn_send(s->b, "last", 4);
    _exit(rc != 0 || fm_conn_close(s->b) != 0);
}

/* Who closes an end is killed in it: the other side hears of an end in any case. */
static void kill_closer_at(const char *point, int must_pass)
{
    struct shared *s = new_shared();
    char buf[4];
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
    arm(point, 1);
    pid_t pid = t_start_child(close_in_process, s);
    int rc;
    while ((rc = fm_conn_recv_timed(s->a, buf, 4, NULL, LOST_NS)) == 0)
        ;
    t_expect(rc, FM_ECLOSED);
    assert_int_equal(t_signal(bury(pid)), SIGKILL);
    disarm(must_pass);
    t_expect(fm_conn_close(s->a), 0);
    (void)fm_conn_close(s->b); /* the memory may stay */
    fm_array_destroy(array);
}

static void only_close(void *arg)
{
    struct shared *s = arg;
    _exit(fm_conn_close(s->b) != 0);
}

/* Who closes an end that another process has used, and has not rung yet, is killed: this one hears of it in poll(2). */
static void kill_stranger_at(const char *point, int must_pass)
{
    struct shared *s = new_shared();
    char buf[4];
    int fd = fm_conn_fileno(s->a);
    assert_true(fd >= 0);
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
    arm(point, 1);
    pid_t pid = t_start_child(only_close, s);
    int rc = -ETIMEDOUT;
    while (rc == -ETIMEDOUT && is_readable(fd, 5000))
        rc = fm_conn_recv_timed(s->a, buf, 4, NULL, FM_NOWAIT);
    t_expect(rc, FM_ECLOSED);
    assert_int_equal(t_signal(bury(pid)), SIGKILL);
    disarm(must_pass);
    t_expect(fm_conn_close(s->a), 0);
    (void)fm_conn_close(s->b); /* the memory may stay */
    fm_array_destroy(array);
}

/* ---- a bell that changes hands ---- */

struct handover {
    fm_conn *a, *b;
    _Atomic int step;
};
static struct handover *handover;

static void hold_the_writer(const char *name)
{
    if (strcmp(name, "line.frame") == 0 && atomic_load(&handover->step) == 2) {
        atomic_store(&handover->step, 3);
        while (atomic_load(&handover->step) != 4)
            usleep(200);
    }
}

static void open_first(void *arg)
{
    struct handover *h = arg;
    char buf[4];
    int rc = fm_conn_recv_timed(h->a, buf, 4, NULL, LOST_NS);
    atomic_store(&h->step, rc == 0 && fm_conn_fileno(h->a) >= 0 ? 2 : -1);
    while (atomic_load(&h->step) != 5)
        usleep(200);
    _exit(0);
}

static void send_slowly(void *arg)
{
    struct handover *h = arg;
    fmi_fault_hook(hold_the_writer);
    int rc = fm_conn_send(h->b, "soon", 4); /* the end is its own from now on */
    while (atomic_load(&h->step) != 2)
        usleep(200);
    rc = rc == 0 ? fm_conn_send(h->b, "late", 4) : rc;
    while (atomic_load(&h->step) != 5) /* its end would be news, too */
        usleep(200);
    _exit(rc != 0);
}

static void await_step(const struct handover *h, int step)
{
    for (int64_t end_ns = fmi_deadline_after(LOST_NS); atomic_load(&h->step) != step;) {
        assert_true(fmi_now_ns() < end_ns);
        usleep(200);
    }
}

/* The writer has opened the first reader's bell for a message that is not there yet, and the bell becomes this process's. */
static void test_pipe_descriptor_opened_while_a_message_is_written_is_told_of_it(void **state)
{
    (void)state;
    array = t_vector(FM_U8, sizeof(struct handover));
    struct handover *h = handover = fm_array_data(array);
    char buf[4];
    t_expect(fm_pipe(&h->a, &h->b, 0), 0);
    pid_t first = t_start_child(open_first, h);
    pid_t writer = t_start_child(send_slowly, h);
    await_step(h, 3);
    int fd = fm_conn_fileno(h->a);
    assert_true(fd >= 0 && !is_readable(fd, 0));
    atomic_store(&h->step, 4);
    int is_told = is_readable(fd, 5000);
    int rc = is_told ? fm_conn_recv_timed(h->a, buf, 4, NULL, FM_NOWAIT) : -EIO;
    atomic_store(&h->step, 5);
    assert_int_equal(t_exit_code(bury(writer)), 0);
    assert_int_equal(t_exit_code(bury(first)), 0);
    t_expect(rc, 0);
    t_expect(fm_conn_close(h->b), 0);
    t_expect(fm_conn_close(h->a), 0);
    fm_array_destroy(array);
}

#define KILL(who, name, point, must_pass)                                                          \
    static void test_pipe_##who##_killed_at_##name##_loses_at_most_its_own_message(void **state)   \
    {                                                                                              \
        (void)state;                                                                               \
        kill_##who##_at(point, must_pass);                                                         \
    }
#define KILL_TWO(who, point, party)                                                                \
    static void test_pipe_##who##_killed_as_it_repairs_leaves_that_to_the_next(void **state)       \
    {                                                                                              \
        (void)state;                                                                               \
        kill_two(point, party);                                                                    \
    }
#else
static void test_pipe_descriptor_opened_while_a_message_is_written_is_told_of_it(void **state)
{
    (void)state;
    t_skip("a build with FORKMAP_FAULTS");
}
#define KILL_TWO(who, point, party)                                                                \
    static void test_pipe_##who##_killed_as_it_repairs_leaves_that_to_the_next(void **state)       \
    {                                                                                              \
        (void)state;                                                                               \
        t_skip("a build with FORKMAP_FAULTS");                                                     \
    }
#define KILL(who, name, point, must_pass)                                                          \
    static void test_pipe_##who##_killed_at_##name##_loses_at_most_its_own_message(void **state)   \
    {                                                                                              \
        (void)state;                                                                               \
        t_skip("a build with FORKMAP_FAULTS");                                                     \
    }
#endif

KILL(writer, party_coming, "party.coming", 1)
KILL(writer, party_process, "party.process", 1)
KILL(writer, party_user, "party.user", 1)
KILL(writer, frame, "line.frame", 1)
KILL(writer, send, "line.send", 1)
KILL(writer, sent, "line.sent", 1)
KILL(writer, woken, "line.woken", 1)
KILL(writer, block, "line.block", 1)
KILL(writer, noted, "line.noted", 1)
KILL(writer, filled, "line.filled", 1)
KILL(writer, lent, "line.lent", 1)
KILL(writer, sleep, "line.sleep", 0)
KILL(writer, lock_release, "lock.release", 1)
KILL(reader, party_user, "party.user", 1)
KILL(reader, copied, "line.copied", 1)
KILL(reader, take, "line.take", 1)
KILL(reader, taken, "line.taken", 1)
KILL(reader, free, "line.free", 1)
KILL(reader, freed, "line.freed", 1)
KILL(reader, sleep, "line.sleep", 0)
KILL(reader, lock_release, "lock.release", 1)
KILL(ringer, coming, "party.coming", 1)
KILL(ringer, process, "party.process", 1)
KILL(ringer, ring, "doorbell.ring", 1)
KILL(ringer, byte, "doorbell.byte", 1)
KILL(ringer, rung, "doorbell.rung", 1)
KILL(ringer, sent, "line.sent", 1)
KILL(ringer, woken, "line.woken", 1)
KILL(closer, close, "conn.close", 1)
KILL(closer, mark, "conn.mark", 1)
KILL(closer, party, "conn.party", 1)
KILL(closer, count, "conn.count", 1)
KILL(stranger, closed, "party.closed", 1)
KILL(stranger, party, "conn.party", 1)
KILL(ringer, enter, "party.enter", 1)

KILL_TWO(writer, "line.filled", write_messages)
KILL_TWO(reader, "line.taken", read_in_process)

/* ---- at any moment ---------------------------------------------------------------------------------- */

enum { N_KILLS = 800, KILLS_AT_LENGTH = 3000, N_POLLED = 300 };

static uint32_t next_random(uint32_t *seed)
{
    return *seed = *seed * 1664525 + 1013904223;
}

/* Two processes; one after the other is killed and replaced. In the end all that is left is received here. */
static void test_pipe_processes_killed_at_any_moment_lose_at_most_their_own_messages(void **state)
{
    (void)state;
    const int n_kills = t_times(N_KILLS, KILLS_AT_LENGTH);
    size_t before = warm_heap();
    struct shared *s = new_shared();
    uint32_t seed = 12345;
    pid_t pids[2] = {t_start_child(write_messages, s), t_start_child(read_in_process, s)};
    for (int i = 0; i < n_kills; i++) {
        uint32_t random = next_random(&seed) >> 8;
        int which = random % 2 == 0;
        usleep((useconds_t)(random / 2 % 700));
        kill(pids[which], SIGKILL);
        int status = bury(pids[which]);
        /* one may find the other dead, before the next has begun */
        assert_true(t_signal(status) == SIGKILL || t_exit_code(status) == 0);
        assert_int_equal(s->wrong, 0);
        pids[which] = t_start_child(which == 0 ? write_messages : read_in_process, s);
    }
    kill(pids[1], SIGKILL);
    bury(pids[1]);
    kill(pids[0], SIGKILL);
    bury(pids[0]);
    t_expect(read_messages(s, LOST_NS), FM_ECLOSED);
    assert_true(s->n_received > (uint64_t)n_kills / 4);
    assert_in_range(atomic_load(&s->next) - s->n_received, 0,
                    (uint64_t)(n_kills + 2 + s->n_refused));
    end_shared(s);
    /* a block is lost if its process dies between having it and noting it: up to 13 in ten runs of 3000 kills */
    assert_in_range(used_bytes(), 0, before + ((size_t)n_kills / 50 + 4) * 65536);
}

/* This process waits in poll(2) meanwhile, and hears of each death. */
static void test_pipe_300_writers_killed_at_any_moment_are_each_told_to_who_polls(void **state)
{
    (void)state;
    struct shared *s = new_shared();
    uint32_t seed = 4711;
    int fd = fm_conn_fileno(s->a);
    assert_true(fd >= 0);
    for (int i = 0; i < N_POLLED; i++) {
        pid_t pid = t_start_child(write_messages, s);
        t_expect(fm_conn_give(s->b, pid), 0);
        int64_t end_ns = fmi_deadline_after(FM_US(next_random(&seed) >> 8) % FM_MS(2));
        int rc = -ETIMEDOUT;
        while (fmi_now_ns() < end_ns)
            if (is_readable(fd, 1))
                rc = read_messages(s, FM_NOWAIT);
        kill(pid, SIGKILL);
        do {
            assert_true(is_readable(fd, 10000));
            rc = read_messages(s, FM_NOWAIT);
        } while (rc == -ETIMEDOUT);
        assert_int_equal(rc, FM_ECLOSED);
        assert_int_equal(t_signal(bury(pid)), SIGKILL);
    }
    assert_in_range(atomic_load(&s->next) - s->n_received, 0, N_POLLED);
    end_shared(s);
}

T_MAIN(T_TEST(test_pipe_stranger_killed_at_closed_loses_at_most_its_own_message),
       T_TEST(test_pipe_stranger_killed_at_party_loses_at_most_its_own_message),
       T_TEST(test_pipe_ringer_killed_at_enter_loses_at_most_its_own_message),
       T_TEST(test_pipe_descriptor_opened_while_a_message_is_written_is_told_of_it),
       T_TEST(test_pipe_writer_killed_at_party_coming_loses_at_most_its_own_message),
       T_TEST(test_pipe_writer_killed_at_party_process_loses_at_most_its_own_message),
       T_TEST(test_pipe_writer_killed_at_party_user_loses_at_most_its_own_message),
       T_TEST(test_pipe_writer_killed_at_frame_loses_at_most_its_own_message),
       T_TEST(test_pipe_writer_killed_at_send_loses_at_most_its_own_message),
       T_TEST(test_pipe_writer_killed_at_sent_loses_at_most_its_own_message),
       T_TEST(test_pipe_writer_killed_at_woken_loses_at_most_its_own_message),
       T_TEST(test_pipe_writer_killed_at_block_loses_at_most_its_own_message),
       T_TEST(test_pipe_writer_killed_at_noted_loses_at_most_its_own_message),
       T_TEST(test_pipe_writer_killed_at_filled_loses_at_most_its_own_message),
       T_TEST(test_pipe_writer_killed_at_lent_loses_at_most_its_own_message),
       T_TEST(test_pipe_writer_killed_at_sleep_loses_at_most_its_own_message),
       T_TEST(test_pipe_writer_killed_at_lock_release_loses_at_most_its_own_message),
       T_TEST(test_pipe_reader_killed_at_party_user_loses_at_most_its_own_message),
       T_TEST(test_pipe_reader_killed_at_copied_loses_at_most_its_own_message),
       T_TEST(test_pipe_reader_killed_at_take_loses_at_most_its_own_message),
       T_TEST(test_pipe_reader_killed_at_taken_loses_at_most_its_own_message),
       T_TEST(test_pipe_reader_killed_at_free_loses_at_most_its_own_message),
       T_TEST(test_pipe_reader_killed_at_freed_loses_at_most_its_own_message),
       T_TEST(test_pipe_reader_killed_at_sleep_loses_at_most_its_own_message),
       T_TEST(test_pipe_reader_killed_at_lock_release_loses_at_most_its_own_message),
       T_TEST(test_pipe_ringer_killed_at_coming_loses_at_most_its_own_message),
       T_TEST(test_pipe_ringer_killed_at_process_loses_at_most_its_own_message),
       T_TEST(test_pipe_ringer_killed_at_ring_loses_at_most_its_own_message),
       T_TEST(test_pipe_ringer_killed_at_byte_loses_at_most_its_own_message),
       T_TEST(test_pipe_ringer_killed_at_rung_loses_at_most_its_own_message),
       T_TEST(test_pipe_ringer_killed_at_sent_loses_at_most_its_own_message),
       T_TEST(test_pipe_ringer_killed_at_woken_loses_at_most_its_own_message),
       T_TEST(test_pipe_closer_killed_at_close_loses_at_most_its_own_message),
       T_TEST(test_pipe_closer_killed_at_mark_loses_at_most_its_own_message),
       T_TEST(test_pipe_closer_killed_at_party_loses_at_most_its_own_message),
       T_TEST(test_pipe_closer_killed_at_count_loses_at_most_its_own_message),
       T_TEST(test_pipe_writer_killed_as_it_repairs_leaves_that_to_the_next),
       T_TEST(test_pipe_reader_killed_as_it_repairs_leaves_that_to_the_next),
       T_TEST(test_pipe_processes_killed_at_any_moment_lose_at_most_their_own_messages),
       T_TEST(test_pipe_300_writers_killed_at_any_moment_are_each_told_to_who_polls))
