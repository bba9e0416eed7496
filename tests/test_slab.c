/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash threads */
/* TIMEOUT: 40 */
/* Small allocations: every block has one owner, whoever asks and whoever dies. */
#include "t.h"

#include "fault.h"
#include "heap.h"
#include "slab.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { N_STEPS = 4000 };
#else
enum { N_STEPS = 20000 };
#endif
enum { SPAN = 65536, PER_SLAB = 1024, N_HELD = 100, N_PARTIES = 4 };

static void *get(size_t bytes)
{
    void *p = NULL;
    int rc = fmi_heap_alloc(&p, bytes, 0);
    if (rc != 0)
        fail_msg("%zu bytes: %s: %s", bytes, fm_strerror(rc), fm_error_detail());
    return p;
}

static size_t used_bytes(void)
{
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return usage.used_bytes;
}

static void arm(const char *point, int nth)
{
#ifdef FORKMAP_FAULTS
    assert_int_equal(fmi_fault_arm(point, nth, 1), 0);
#else
    (void)nth;
    if (point != NULL)
        t_skip("fault points, which release builds leave out");
#endif
}

/* Blocks of 64 bytes that a test holds, so that it knows how many its slabs have left. */
static void *taken[16 * PER_SLAB];
static int n_taken;

/* Takes blocks until a new slab is opened for the last of them. Returns how many. */
static int take_until_next_slab(void)
{
    size_t before = used_bytes();
    int n = 0;
    do {
        assert_true(n_taken < 16 * PER_SLAB);
        taken[n_taken++] = get(64);
        n++;
    } while (used_bytes() == before);
    return n;
}

static void give_back_taken(void)
{
    while (n_taken > 0)
        assert_int_equal(fmi_heap_free(taken[--n_taken]), 0);
}

/* ---- one process ---- */

static void test_slab_blocks_of_every_size_are_used_to_the_last_byte_and_do_not_meet(void **state)
{
    (void)state;
    enum { N = 150 };
    static unsigned char *blocks[FMI_SLAB_CLASSES][N];
    for (size_t c = 0; c < FMI_SLAB_CLASSES; c++)
        for (size_t i = 0; i < N; i++) {
            blocks[c][i] = get(FMI_SLAB_MIN_BYTES << c);
            memset(blocks[c][i], (int)(c * 16 + i), FMI_SLAB_MIN_BYTES << c);
        }
    for (size_t c = 0; c < FMI_SLAB_CLASSES; c++)
        for (size_t i = 0; i < N; i++) {
            for (size_t at = 0; at < FMI_SLAB_MIN_BYTES << c; at++)
                if (blocks[c][i][at] != (unsigned char)(c * 16 + i))
                    fail_msg("block %zu of %zu bytes is overwritten at %zu", i,
                             FMI_SLAB_MIN_BYTES << c, at);
            assert_int_equal(fmi_heap_free(blocks[c][i]), 0);
        }
}

static void test_slab_1024_blocks_of_64_bytes_take_one_span(void **state)
{
    (void)state;
    take_until_next_slab();
    size_t before = used_bytes();
    assert_int_equal(take_until_next_slab(), PER_SLAB);
    assert_int_equal(used_bytes(), before + SPAN);
    give_back_taken();
}

static void test_slab_allocating_and_freeing_for_long_takes_no_more_memory(void **state)
{
    (void)state;
    void *held[N_HELD] = {0};
    for (size_t i = 0; i < N_HELD; i++)
        held[i] = get(1 + i * 7);
    size_t before = used_bytes();
    for (size_t i = 0; i < N_STEPS; i++) {
        assert_int_equal(fmi_heap_free(held[i % N_HELD]), 0);
        held[i % N_HELD] = get(1 + i % N_HELD * 7);
    }
    assert_int_equal(used_bytes(), before);
    for (int i = 0; i < N_HELD; i++)
        assert_int_equal(fmi_heap_free(held[i]), 0);
}

static void test_slab_freed_block_in_a_full_slab_is_found_again(void **state)
{
    (void)state;
    static void *blocks[3 * PER_SLAB];
    for (int i = 0; i < 3 * PER_SLAB; i++)
        blocks[i] = get(64);
    size_t before = used_bytes();
    for (int i = 5; i < 3 * PER_SLAB; i += 511) {
        assert_int_equal(fmi_heap_free(blocks[i]), 0);
        assert_ptr_equal(get(64), blocks[i]);
    }
    assert_int_equal(used_bytes(), before);
    for (int i = 0; i < 3 * PER_SLAB; i++)
        assert_int_equal(fmi_heap_free(blocks[i]), 0);
}

static void test_slab_block_that_was_never_given_out_cannot_be_freed(void **state)
{
    (void)state;
    char *last = get(16384); /* of four in its slab */
    char *begin = (char *)((uintptr_t)last / SPAN * SPAN);
    for (size_t offset = 0; offset < SPAN; offset += 4096)
        if (begin + offset != last)
            assert_int_equal(fmi_heap_free(begin + offset), FM_ECORRUPT);
    assert_int_equal(fmi_heap_free(last), 0);
}

/* ---- many at once: one body, two drivers ---- */

struct party {
    uint64_t me;
};

struct held {
    uint64_t *words;
    size_t n_words;
};

static int release(struct held *held, uint64_t tag)
{
    for (size_t i = 0; i < held->n_words; i++)
        if (held->words[i] != tag)
            return 0;
    return held->words == NULL || fmi_heap_free(held->words) == 0;
}

/* Takes and frees blocks, each full of this party's tag while it is held. 0: all well; else what went wrong. */
static int churn(uint64_t me)
{
    struct held held[N_HELD] = {{0}};
    uint64_t random = me * 0x9e3779b97f4a7c15u;
    for (int step = 0; step < N_STEPS + N_HELD; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t at = step < N_STEPS ? (random >> 33) % N_HELD : (size_t)(step - N_STEPS);
        if (!release(&held[at], me << 32 | at))
            return 1;
        held[at] = (struct held){.n_words = 1 + (random >> 40) % 64};
        if (step >= N_STEPS)
            continue;
        if (fmi_heap_alloc((void **)&held[at].words, held[at].n_words * 8, 0) != 0)
            return 2;
        for (size_t i = 0; i < held[at].n_words; i++)
            held[at].words[i] = me << 32 | at;
    }
    return 0;
}

static void *churn_in_thread(void *arg)
{
    struct party *party = arg;
    return (void *)(intptr_t)churn(party->me);
}

static void churn_in_process(void *arg)
{
    struct party *party = arg;
    _exit(churn(party->me));
}

static void test_slab_threads_at_once_never_get_the_same_block(void **state)
{
    (void)state;
    struct party parties[N_PARTIES];
    pthread_t threads[N_PARTIES];
    void *wrong;
    for (uint64_t i = 0; i < N_PARTIES; i++) {
        parties[i] = (struct party){i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, churn_in_thread, &parties[i]), 0);
    }
    for (int i = 0; i < N_PARTIES; i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

static void test_slab_processes_at_once_never_get_the_same_block(void **state)
{
    (void)state;
    struct party parties[N_PARTIES];
    pid_t pids[N_PARTIES];
    assert_int_equal(fmi_heap_free(get(1)), 0); /* the heap is there before they are */
    for (uint64_t i = 0; i < N_PARTIES; i++) {
        parties[i] = (struct party){i + 1};
        pids[i] = t_start_child(churn_in_process, &parties[i]);
    }
    for (int i = 0; i < N_PARTIES; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
}

static void fill_a_slab(void *arg)
{
    void **blocks = arg;
    for (int i = 0; i < PER_SLAB; i++)
        if (fmi_heap_alloc(&blocks[i], 64, 0) != 0)
            _exit(1);
}

static void
test_slab_blocks_of_a_child_that_has_ended_stay_and_are_freed_by_the_parent(void **state)
{
    (void)state;
    void **blocks = get(PER_SLAB * sizeof *blocks);
    pid_t pid = t_start_child(fill_a_slab, blocks);
    assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
    fmi_heap_recover(pid);
    size_t before = used_bytes();
    for (int i = 0; i < PER_SLAB; i++)
        assert_int_equal(fmi_heap_free(blocks[i]), 0);
    for (int i = 0; i < PER_SLAB; i++)
        blocks[i] = get(64);
    assert_int_equal(used_bytes(), before);
    for (int i = 0; i < PER_SLAB; i++)
        assert_int_equal(fmi_heap_free(blocks[i]), 0);
    assert_int_equal(fmi_heap_free(blocks), 0);
}

/* ---- deaths ---- */

static void take_one(void *arg)
{
    void *p;
    (void)arg;
    _exit(fmi_heap_alloc(&p, 64, 0) != 0);
}

static void free_one(void *arg)
{
    _exit(fmi_heap_free(arg) != 0);
}

static void expect_killed_at(const char *point, int nth, void (*fn)(void *), void *arg)
{
    arm(point, nth);
    pid_t pid = t_start_child(fn, arg);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    arm(NULL, 0);
    fmi_heap_recover(pid);
    assert_int_equal(t_signal(t_wait_child(pid)), SIGKILL);
}

static void test_slab_process_killed_with_a_block_in_its_hand_costs_that_block(void **state)
{
    (void)state;
    take_until_next_slab();
    expect_killed_at("slab.taken", 1, take_one, NULL);
    assert_int_equal(take_until_next_slab(), PER_SLAB - 2 + 1);
    give_back_taken();
}

static void test_slab_process_killed_before_it_frees_costs_that_block(void **state)
{
    (void)state;
    void *first = get(64);
    expect_killed_at("slab.free", 1, free_one, first);
    void *second = get(64);
    assert_ptr_not_equal(first, second);
    assert_int_equal(fmi_heap_free(first), 0);
    assert_ptr_equal(get(64), first);
    assert_int_equal(fmi_heap_free(first), 0);
    assert_int_equal(fmi_heap_free(second), 0);
}

static void expect_slab_not_opened(const char *point)
{
    take_until_next_slab();
    for (int i = 1; i < PER_SLAB; i++)
        taken[n_taken++] = get(64);
    size_t before = used_bytes();
    expect_killed_at(point, 1, take_one, NULL);
    assert_int_equal(used_bytes(), before);
    assert_int_equal(take_until_next_slab(), 1);
    assert_int_equal(used_bytes(), before + SPAN);
    give_back_taken();
}

static void test_slab_process_killed_while_it_opens_a_slab_leaves_its_span_free(void **state)
{
    (void)state;
    expect_slab_not_opened("slab.open");
}

static void test_slab_process_killed_before_a_slab_is_published_leaves_its_span_free(void **state)
{
    (void)state;
    expect_slab_not_opened("span.commit");
}

T_MAIN(T_TEST(test_slab_blocks_of_every_size_are_used_to_the_last_byte_and_do_not_meet),
       T_TEST(test_slab_1024_blocks_of_64_bytes_take_one_span),
       T_TEST(test_slab_allocating_and_freeing_for_long_takes_no_more_memory),
       T_TEST(test_slab_freed_block_in_a_full_slab_is_found_again),
       T_TEST(test_slab_block_that_was_never_given_out_cannot_be_freed),
       T_TEST(test_slab_threads_at_once_never_get_the_same_block),
       T_TEST(test_slab_processes_at_once_never_get_the_same_block),
       T_TEST(test_slab_blocks_of_a_child_that_has_ended_stay_and_are_freed_by_the_parent),
       T_TEST(test_slab_process_killed_with_a_block_in_its_hand_costs_that_block),
       T_TEST(test_slab_process_killed_before_it_frees_costs_that_block),
       T_TEST(test_slab_process_killed_while_it_opens_a_slab_leaves_its_span_free),
       T_TEST(test_slab_process_killed_before_a_slab_is_published_leaves_its_span_free))
