/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork stress */
/* TIMEOUT: 120 */
/* Queues whose participants are killed: at each step, and at random. Nothing is read twice or in part, nobody hangs, no memory goes. */
#include "t_queue.h"

#include "clock.h"
#include "fault.h"
#include "heap.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHORT = 40, LONG = 5000, LARGE = 100000, CAPACITY = 3, PARENT = 1000 };

static size_t used_bytes(void)
{
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return usage.used_bytes;
}

static fm_queue *new_queue(const fm_queue_opts *opts)
{
    fm_queue *q;
    t_expect(fm_queue_create(&q, opts), 0);
    return q;
}

static void put(fm_queue *q, size_t bytes, uint32_t writer, uint32_t sequence)
{
    char *message = malloc(bytes);
    t_fill(message, bytes, writer, sequence);
    t_expect(fm_queue_put(q, message, bytes, FM_SECONDS(10)), 0);
    free(message);
}

static struct t_message get(fm_queue *q)
{
    char *message = malloc(LARGE);
    struct t_message m = {0};
    size_t bytes;
    t_expect(fm_queue_get(q, message, LARGE, &bytes, FM_SECONDS(10)), 0);
    assert_true(t_is_whole(message, bytes, &m));
    free(message);
    return m;
}

static void arm(const char *point, int nth)
{
#ifdef FORKMAP_FAULTS
    fmi_fault_spare_this_process();
    assert_int_equal(fmi_fault_arm(point, nth, 1), 0);
#else
    (void)nth;
    if (point != NULL)
        t_skip("fault points, which release builds leave out");
#endif
}

/* ---- victims: what they do until they are killed ------------------------------------------------ */

static void put_bytes(fm_queue *q, size_t bytes)
{
    char message[LONG];
    t_fill(message, bytes, 0, 0);
    t_must(fm_queue_put(q, message, bytes, FM_SECONDS(10)));
}

static void put_short(void *q)
{
    put_bytes(q, SHORT);
}

static void put_long(void *q)
{
    put_bytes(q, LONG);
}

static void reserve_and_commit(void *q)
{
    void *ptr;
    t_must(fm_queue_reserve(q, LONG, &ptr, FM_SECONDS(10)));
    t_fill(ptr, LONG, 0, 0);
    t_must(fm_queue_commit(q, ptr, LONG, FM_SECONDS(10)));
}

static void get_any(void *q)
{
    char message[LONG];
    t_must(fm_queue_get(q, message, sizeof message, NULL, FM_SECONDS(10)));
}

static void borrow_and_release(void *q)
{
    void *ptr;
    size_t bytes;
    t_must(fm_queue_borrow(q, &ptr, &bytes, FM_SECONDS(10)));
    t_must(fm_queue_release(q, ptr));
}

struct step {
    const char *point;
    void (*victim)(void *q);
    size_t before_bytes; /* a message that is there before; 0: none */
    int n_left;          /* messages that are there after the death */
};

/* The queue still holds what it should, and as much; in the order of each writer. */
static void expect_usable(fm_queue *q, const struct step *step)
{
    for (int i = 0; i < step->n_left; i++)
        assert_int_equal(get(q).sequence, 0);
    assert_int_equal(fm_queue_get_nowait(q, NULL, 0, NULL), -EAGAIN);
    for (uint32_t lap = 0; lap < 3; lap++) {
        for (uint32_t i = 0; i < CAPACITY; i++)
            put(q, i == 1 ? LONG : SHORT, PARENT, lap * CAPACITY + i);
        assert_int_equal(fm_queue_put_nowait(q, "x", 1), -EAGAIN);
        for (uint32_t i = 0; i < CAPACITY; i++) {
            struct t_message m = get(q);
            assert_int_equal(m.writer, PARENT);
            assert_int_equal(m.sequence, lap * CAPACITY + i);
        }
    }
}

static void expect_survived(const struct step *step, int is_joinable)
{
    fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = CAPACITY, .joinable = is_joinable));
    if (step->before_bytes > 0)
        put(q, step->before_bytes, 0, 0);
    arm(step->point, 1);
    int status = t_in_child(step->victim, q);
    arm(NULL, 1);
    if (t_signal(status) != SIGKILL)
        fail_msg("%s was not reached: exit code %d", step->point, t_exit_code(status));
    expect_usable(q, step);
    fm_queue_destroy(q);
}

static void test_queue_goes_on_after_a_death_at_each_step_of_a_put(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"ring.claim", put_short, 0, 0},         {"ring.claimed", put_short, 0, 0},
        {"ring.commit", put_short, 0, 0},        {"ring.full", put_short, 0, 1},
        {"ring.tail", put_short, 0, 1},          {"parcel.make", put_long, 0, 0},
        {"parcel.made", put_long, 0, 0},         {"parcel.taken", put_long, 0, 0},
        {"queue.copied", put_long, 0, 0},        {"ring.claim", put_long, 0, 0},
        {"ring.claimed", put_long, 0, 0},        {"parcel.queue", put_long, 0, 0},
        {"parcel.queued", put_long, 0, 0},       {"ring.commit", put_long, 0, 0},
        {"ring.full", put_long, 0, 1},           {"parcel.queued", reserve_and_commit, 0, 0},
        {"ring.tail", reserve_and_commit, 0, 1},
    };
    for (size_t i = 0; i < T_N_OF(steps); i++)
        for (int is_joinable = 0; is_joinable < 2; is_joinable++)
            expect_survived(&steps[i], is_joinable);
}

static void test_queue_goes_on_after_a_death_at_each_step_of_a_get(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"ring.take", get_any, SHORT, 1},
        {"ring.taken", get_any, SHORT, 0},
        {"ring.release", get_any, SHORT, 0},
        {"ring.free", get_any, SHORT, 0},
        {"ring.head", get_any, SHORT, 0},
        {"ring.take", get_any, LONG, 1},
        {"ring.taken", get_any, LONG, 0},
        {"parcel.lend", get_any, LONG, 0},
        {"parcel.lent", get_any, LONG, 0},
        {"ring.free", get_any, LONG, 0},
        {"parcel.give_back", get_any, LONG, 0},
        {"parcel.idle", get_any, LONG, 0},
        {"parcel.lent", borrow_and_release, LONG, 0},
        {"parcel.give_back", borrow_and_release, LONG, 0},
        {"ring.taken", borrow_and_release, SHORT, 0},
        {"parcel.lend", borrow_and_release, SHORT, 0},
        {"parcel.idle", borrow_and_release, SHORT, 0},
    };
    for (size_t i = 0; i < T_N_OF(steps); i++)
        expect_survived(&steps[i], 0);
}

/* A message that is out of its cell and not yet called done is the dead's: no join waits for it. */
static void test_queue_join_ends_after_a_death_at_each_step_of_a_get(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {"hands.add", get_any, SHORT, 1},  {"ring.take", get_any, SHORT, 1},
        {"ring.taken", get_any, SHORT, 0}, {"ring.free", get_any, SHORT, 0},
        {"ring.head", get_any, LONG, 0},
    };
    for (size_t i = 0; i < T_N_OF(steps); i++) {
        fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = CAPACITY, .joinable = 1));
        put(q, steps[i].before_bytes, 0, 0);
        arm(steps[i].point, 1);
        assert_int_equal(t_signal(t_in_child(steps[i].victim, q)), SIGKILL);
        arm(NULL, 1);
        for (int k = 0; k < steps[i].n_left; k++) {
            assert_int_equal(fm_queue_join(q, FM_MS(1)), -ETIMEDOUT);
            assert_int_equal(get(q).sequence, 0);
            t_expect(fm_queue_task_done(q), 0);
        }
        assert_int_equal(fm_queue_join(q, FM_SECONDS(10)), FM_EOWNERDEAD);
        t_expect(fm_queue_join(q, FM_NOWAIT), 0);
        fm_queue_destroy(q);
    }
}

/* A block that is used again: the hint and the record may tell of each other's death. */
static void test_queue_goes_on_after_a_death_as_a_block_is_used_again(void **state)
{
    (void)state;
    static const char *points[] = {"parcel.spare", "parcel.reused", "parcel.taken"};
    for (size_t i = 0; i < T_N_OF(points); i++) {
        static const struct step after = {"", NULL, 0, 0};
        fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = CAPACITY));
        put(q, LONG, 0, 0);
        assert_int_equal(get(q).sequence, 0);
        arm(points[i], 1);
        assert_int_equal(t_signal(t_in_child(put_long, q)), SIGKILL);
        arm(NULL, 1);
        expect_usable(q, &after);
        fm_queue_destroy(q);
    }
}

/* Whoever buries the dead may die as well. */
static void test_queue_goes_on_after_a_death_of_who_buries_the_dead(void **state)
{
    (void)state;
    static const char *points[] = {"ring.bury",   "ring.buried",    "parcel.drop",
                                   "parcel.lost", "parcel.dropped", "ring.help"};
    for (size_t i = 0; i < T_N_OF(points); i++) {
        static const struct step after = {"", NULL, 0, 0};
        fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = CAPACITY));
        arm("parcel.queued", 1);
        assert_int_equal(t_signal(t_in_child(put_long, q)), SIGKILL);
        arm(points[i], 1);
        assert_int_equal(t_signal(t_in_child(get_any, q)), SIGKILL);
        arm(NULL, 1);
        expect_usable(q, &after);
        fm_queue_destroy(q);
    }
}

/* ---- sleepers and those who are to wake them ---------------------------------------------------- */

struct sleepers {
    fm_queue *q;
    _Atomic int ready;
};

static void sleep_in_get(void *arg)
{
    struct sleepers *s = arg;
    char message[LONG];
    atomic_fetch_add(&s->ready, 1);
    t_must(fm_queue_get(s->q, message, sizeof message, NULL, FM_SECONDS(10)));
}

static struct sleepers *new_sleepers(void)
{
    void *memory;
    assert_int_equal(fmi_heap_alloc(&memory, sizeof(struct sleepers), FMI_HEAP_ZERO), 0);
    struct sleepers *s = memory;
    s->q = new_queue(FM_QUEUE_OPTS(.capacity = CAPACITY));
    return s;
}

static void free_sleepers(struct sleepers *s)
{
    fm_queue_destroy(s->q);
    fmi_heap_free(s);
}

/* The message of a writer that dies before it has woken anybody is found all the same. */
static void test_queue_sleeper_looks_by_itself_when_its_waker_dies(void **state)
{
    (void)state;
    static const char *points[] = {"ring.full", "ring.tail", "turnstile.wake", "turnstile.called"};
    for (size_t i = 0; i < T_N_OF(points); i++) {
        struct sleepers *s = new_sleepers();
        pid_t sleeper = t_start_child(sleep_in_get, s);
        t_wait_until_asleep(&s->ready, 1, sleeper);
        arm(points[i], 1);
        assert_int_equal(t_signal(t_in_child(put_short, s->q)), SIGKILL);
        arm(NULL, 1);
        assert_int_equal(t_exit_code(t_wait_child(sleeper)), 0);
        free_sleepers(s);
    }
}

/* Nobody sleeps any more: the flag is a dead one's. */
static void test_queue_goes_on_after_a_death_of_who_wakes_a_dead_sleeper(void **state)
{
    (void)state;
    static const char *points[] = {"turnstile.wake", "turnstile.called", "turnstile.nobody"};
    for (size_t i = 0; i < T_N_OF(points); i++) {
        static const struct step after = {"", NULL, 0, 1};
        struct sleepers *s = new_sleepers();
        pid_t sleeper = t_start_child(sleep_in_get, s);
        t_wait_until_asleep(&s->ready, 1, sleeper);
        kill(sleeper, SIGKILL);
        t_wait_child(sleeper);
        arm(points[i], 1);
        assert_int_equal(t_signal(t_in_child(put_short, s->q)), SIGKILL);
        arm(NULL, 1);
        expect_usable(s->q, &after);
        free_sleepers(s);
    }
}

static void close_it(void *q)
{
    t_must(fm_queue_close(q));
}

static void wait_for_the_end(void *arg)
{
    struct sleepers *s = arg;
    atomic_fetch_add(&s->ready, 1);
    _exit(fm_queue_get(s->q, NULL, 0, NULL, FM_SECONDS(10)) == FM_ECLOSED ? 0 : 1);
}

static void test_queue_sleeper_learns_of_a_close_whose_maker_died(void **state)
{
    (void)state;
    struct sleepers *s = new_sleepers();
    pid_t sleeper = t_start_child(wait_for_the_end, s);
    t_wait_until_asleep(&s->ready, 1, sleeper);
    arm("ring.closed", 1);
    assert_int_equal(t_signal(t_in_child(close_it, s->q)), SIGKILL);
    arm(NULL, 1);
    assert_int_equal(t_exit_code(t_wait_child(sleeper)), 0);
    assert_int_equal(fm_queue_put_nowait(s->q, "x", 1), FM_ECLOSED);
    free_sleepers(s);
}

static void test_queue_end_is_told_to_all_when_the_first_to_see_it_died(void **state)
{
    (void)state;
    fm_queue *q = new_queue(NULL);
    t_expect(fm_queue_close(q), 0);
    arm("ring.seal", 1);
    assert_int_equal(t_signal(t_in_child(get_any, q)), SIGKILL);
    arm(NULL, 1);
    assert_int_equal(fm_queue_get_nowait(q, NULL, 0, NULL), FM_ECLOSED);
    fm_queue_destroy(q);
}

/* The one who was woken dies: what it was woken for goes to another who sleeps. */
static void test_queue_message_of_a_woken_reader_that_dies_goes_to_another(void **state)
{
    (void)state;
    static const char *points[] = {"turnstile.sleep", "turnstile.woken", "turnstile.join"};
    for (size_t i = 0; i < T_N_OF(points); i++) {
        struct sleepers *s = new_sleepers();
        arm(points[i], 1);
        pid_t victim = t_start_child(sleep_in_get, s);
        if (strcmp(points[i], "turnstile.woken") == 0)
            t_wait_until_asleep(&s->ready, 1, victim);
        else
            assert_int_equal(t_signal(t_wait_child(victim)), SIGKILL);
        pid_t other = t_start_child(sleep_in_get, s);
        t_wait_until_asleep(&s->ready, 2, other);
        put(s->q, SHORT, PARENT, 0);
        if (strcmp(points[i], "turnstile.woken") == 0)
            t_wait_child(victim);
        int status = t_wait_child(other);
        arm(NULL, 1);
        if (t_signal(status) == SIGKILL) /* the point was the other's: the message is still there */
            assert_int_equal(get(s->q).writer, PARENT);
        else
            assert_int_equal(t_exit_code(status), 0);
        free_sleepers(s);
    }
}

/* ---- memory ------------------------------------------------------------------------------------- */

static void die_with_a_reservation(void *q)
{
    void *ptr;
    t_must(fm_queue_reserve(q, 1 << 20, &ptr, FM_SECONDS(10)));
    kill(getpid(), SIGKILL);
}

static void die_with_a_loan(void *q)
{
    void *ptr;
    size_t bytes;
    t_must(fm_queue_borrow(q, &ptr, &bytes, FM_SECONDS(10)));
    kill(getpid(), SIGKILL);
}

static void test_queue_memory_of_dead_writers_and_readers_is_taken_back(void **state)
{
    (void)state;
    fm_queue *q = new_queue(FM_QUEUE_OPTS(.capacity = CAPACITY));
    char *message = calloc(1, 1 << 20);
    size_t before = used_bytes();
    for (int i = 0; i < 150; i++) {
        assert_int_equal(t_signal(t_in_child(die_with_a_reservation, q)), SIGKILL);
        t_expect(fm_queue_put(q, message, 1 << 20, FM_NOWAIT), 0);
        assert_int_equal(t_signal(t_in_child(die_with_a_loan, q)), SIGKILL);
        assert_true(used_bytes() < before + ((size_t)150 << 20)); /* of 300 MiB */
    }
    fm_queue_destroy(q);
    free(message);
}

/* ---- the storm ---------------------------------------------------------------------------------- */

enum { KILLS_AT_LENGTH = 1500, N_SLOTS = 6, N_WRITERS = KILLS_AT_LENGTH + N_SLOTS, MOST = 2048 };

struct storm {
    fm_queue *q;
    _Atomic int stop, n_bad;
    _Atomic uint32_t n_put[N_WRITERS]; /* puts that returned */
    _Atomic uint8_t n_read[N_WRITERS][MOST];
};

struct part {
    struct storm *storm;
    uint32_t me;
};

static size_t storm_bytes(uint32_t i)
{
    return i % 17 == 0 ? LONG : i % 101 == 0 ? LARGE : sizeof(struct t_message) + i % 120;
}

static void storm_writer(void *arg)
{
    struct part *part = arg;
    struct storm *s = part->storm;
    char *message = malloc(LARGE);
    alarm(100);
    for (uint32_t i = 0; i < MOST && !atomic_load(&s->stop); i++) {
        size_t bytes = storm_bytes(i);
        void *ptr = message;
        if (i % 3 == 0)
            t_must(fm_queue_reserve(s->q, bytes, &ptr, FM_SECONDS(50)));
        t_fill(ptr, bytes, part->me, i);
        if (i % 3 == 0)
            t_must(fm_queue_commit(s->q, ptr, bytes, FM_SECONDS(50)));
        else
            t_must(fm_queue_put(s->q, ptr, bytes, FM_SECONDS(50)));
        atomic_store(&s->n_put[part->me], i + 1);
        if (part->me < 1) /* one that is not killed: until the end */
            usleep(2000);
    }
    _exit(0);
}

/* Counts what it has read, and looks at the order of each writer. */
static void note(struct storm *s, uint32_t *next, const void *message, size_t bytes)
{
    struct t_message m;
    if (!t_is_whole(message, bytes, &m) || m.writer >= N_WRITERS || m.sequence >= MOST ||
        m.sequence < next[m.writer]) {
        atomic_fetch_add(&s->n_bad, 1);
        return;
    }
    next[m.writer] = m.sequence + 1;
    atomic_fetch_add(&s->n_read[m.writer][m.sequence], 1);
}

static void storm_reader(void *arg)
{
    struct storm *s = ((struct part *)arg)->storm;
    char *message = malloc(LARGE);
    uint32_t *next = calloc(N_WRITERS, sizeof *next);
    size_t bytes;
    alarm(100);
    for (int i = 0;; i++) {
        void *ptr = message;
        int rc = i % 3 == 0 ? fm_queue_borrow(s->q, &ptr, &bytes, FM_SECONDS(50))
                            : fm_queue_get(s->q, ptr, LARGE, &bytes, FM_SECONDS(50));
        if (rc == FM_ECLOSED)
            _exit(0);
        t_must(rc);
        note(s, next, ptr, bytes);
        if (i % 3 == 0)
            t_must(fm_queue_release(s->q, ptr));
    }
}

struct slot {
    pid_t pid;
    struct part part;
    int is_reader;
};

static void start_part(struct storm *s, struct slot *slot, int is_reader, uint32_t *n_writers)
{
    slot->is_reader = is_reader;
    slot->part = (struct part){s, is_reader ? UINT32_MAX : (*n_writers)++};
    slot->pid = t_start_child(is_reader ? storm_reader : storm_writer, &slot->part);
}

/* Of what was put, as far as its writer knows, all is read but for one message of each reader that was killed. */
static void expect_storm(struct storm *s, int n_kills, uint32_t n_writers, int n_killed_readers)
{
    int n_lost = 0;
    long n_read = 0;
    for (uint32_t w = 0; w < n_writers; w++) {
        uint32_t n_put = atomic_load(&s->n_put[w]);
        for (uint32_t i = 0; i < MOST; i++) {
            assert_in_range(s->n_read[w][i], 0, 1);
            assert_true(i <= n_put || s->n_read[w][i] == 0);
            n_lost += i < n_put && s->n_read[w][i] == 0;
            n_read += s->n_read[w][i];
        }
    }
    print_message("%ld messages read, %d lost with %d readers\n", n_read, n_lost, n_killed_readers);
    assert_true(n_lost <= n_killed_readers);
    assert_true(n_read > n_kills);
    assert_int_equal(atomic_load(&s->n_bad), 0);
}

static void run_storm(const fm_queue_opts *opts, unsigned seed)
{
    void *memory;
    assert_int_equal(fmi_heap_alloc(&memory, sizeof(struct storm), FMI_HEAP_ZERO), 0);
    struct storm *s = memory;
    struct slot slots[N_SLOTS];
    uint32_t n_writers = 0;
    const int n_kills = t_times(400, KILLS_AT_LENGTH);
    int n_killed_readers = 0;
    size_t used = 0;
    s->q = new_queue(opts);
    for (int i = 0; i < N_SLOTS; i++) /* 0 and 1 are never killed */
        start_part(s, &slots[i], i % 2, &n_writers);
    for (int k = 0; k < n_kills; k++) {
        struct slot *slot = &slots[2 + rand_r(&seed) % (N_SLOTS - 2)];
        usleep((useconds_t)(rand_r(&seed) % 1500));
        kill(slot->pid, SIGKILL);
        n_killed_readers += slot->is_reader && t_signal(t_wait_child(slot->pid)) == SIGKILL;
        if (!slot->is_reader)
            t_wait_child(slot->pid);
        start_part(s, slot, slot->is_reader, &n_writers);
        if (k == n_kills / 4)
            used = used_bytes();
    }
    atomic_store(&s->stop, 1);
    for (int i = 0; i < N_SLOTS; i += 2)
        assert_int_equal(t_exit_code(t_wait_child(slots[i].pid)), 0);
    t_expect(fm_queue_close(s->q), 0);
    for (int i = 1; i < N_SLOTS; i += 2)
        assert_int_equal(t_exit_code(t_wait_child(slots[i].pid)), 0);
    print_message("heap: %zu KiB at a quarter, %zu at the end\n", used >> 10, used_bytes() >> 10);
    assert_true(used_bytes() < used + ((size_t)16 << 20));
    expect_storm(s, n_kills, n_writers, n_killed_readers);
    fm_queue_destroy(s->q);
    fmi_heap_free(s);
}

static void test_queue_storm_of_kills_loses_tears_and_repeats_nothing(void **state)
{
    (void)state;
    run_storm(FM_QUEUE_OPTS(.capacity = 64), 1);
}

static void test_queue_storm_of_kills_at_one_place_loses_tears_and_repeats_nothing(void **state)
{
    (void)state;
    run_storm(FM_QUEUE_OPTS(.capacity = 1), 2);
}

static void
test_queue_storm_of_kills_of_a_joinable_one_loses_tears_and_repeats_nothing(void **state)
{
    (void)state;
    run_storm(FM_QUEUE_OPTS(.capacity = 3, .joinable = 1), 3);
}

T_MAIN(T_TEST(test_queue_goes_on_after_a_death_at_each_step_of_a_put),
       T_TEST(test_queue_goes_on_after_a_death_at_each_step_of_a_get),
       T_TEST(test_queue_join_ends_after_a_death_at_each_step_of_a_get),
       T_TEST(test_queue_goes_on_after_a_death_as_a_block_is_used_again),
       T_TEST(test_queue_goes_on_after_a_death_of_who_buries_the_dead),
       T_TEST(test_queue_goes_on_after_a_death_of_who_wakes_a_dead_sleeper),
       T_TEST(test_queue_sleeper_learns_of_a_close_whose_maker_died),
       T_TEST(test_queue_end_is_told_to_all_when_the_first_to_see_it_died),
       T_TEST(test_queue_sleeper_looks_by_itself_when_its_waker_dies),
       T_TEST(test_queue_message_of_a_woken_reader_that_dies_goes_to_another),
       T_TEST(test_queue_memory_of_dead_writers_and_readers_is_taken_back),
       T_TEST(test_queue_storm_of_kills_loses_tears_and_repeats_nothing),
       T_TEST(test_queue_storm_of_kills_at_one_place_loses_tears_and_repeats_nothing),
       T_TEST(test_queue_storm_of_kills_of_a_joinable_one_loses_tears_and_repeats_nothing))
