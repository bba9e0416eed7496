/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash threads */
/* TIMEOUT: 40 */
/*
 * Large allocations are runs in the span table. Whoever dies in the middle of a change, the table keeps its invariants (span.h),
 * nothing that is in use is lost or given out twice, and what the dead had half taken is free again.
 */
#include "t.h"

#include "fault.h"
#include "heap.h"
#include "heap_layout.h"
#include "memory.h"
#include "span.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { N_STEPS = 300 };
#else
enum { N_STEPS = 2000 };
#endif
enum { SPAN = 65536, RUN = 5, N_HELD = 8, N_PARTIES = 4, N_KILLS = 60, COLD_BIT = 16 };

static void *get(size_t n_spans, unsigned flags)
{
    void *p = NULL;
    int rc = fmi_heap_alloc(&p, n_spans * SPAN, flags);
    if (rc != 0)
        fail_msg("%zu spans: %s: %s", n_spans, fm_strerror(rc), fm_error_detail());
    return p;
}

static void put(void *p)
{
    int rc = fmi_heap_free(p);
    if (rc != 0)
        fail_msg("%s: %s", fm_strerror(rc), fm_error_detail());
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

/* ---- the table ---- */

struct table {
    int fd;
    struct fmi_heap_shm *shm;
    _Atomic uint64_t *words;
    char *spans;
};

static int is_heap(const char *text)
{
    return strstr(text, "/memfd:forkmap") != NULL || strstr(text, "/dev/shm/forkmap-") != NULL;
}

static int find_heap_fd(void)
{
    char path[64], target[128] = "";
    for (int fd = 0; fd < 1024; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n < 0 ? 0 : n] = '\0';
        if (is_heap(target))
            return fd;
    }
    return -1;
}

/* Finds the heap among the mappings of this process. */
static struct table find_table(void)
{
    struct table table = {0};
    char line[512];
    put(get(1, 0));
    table.fd = find_heap_fd();
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && table.shm == NULL && fgets(line, sizeof line, maps) != NULL)
        if (is_heap(line))
            sscanf(line, "%p", (void **)&table.shm);
    if (maps != NULL)
        fclose(maps);
    if (table.shm == NULL || table.shm->magic != FMI_HEAP_MAGIC) {
        fail_msg("the heap's header is not where its mapping begins");
        abort(); /* fail_msg does not come back, but does not say so to the compiler */
    }
    table.words = (_Atomic uint64_t *)((char *)table.shm + 2 * fmi_sys_page_bytes());
    table.spans = (char *)table.shm + table.shm->bytes - (size_t)table.shm->n_spans * SPAN;
    return table;
}

static uint64_t word_at(const struct table *table, uint32_t i)
{
    return atomic_load(&table->words[i]);
}

static uint32_t index_of(const struct table *table, const void *p)
{
    return (uint32_t)((size_t)((const char *)p - table->spans) / SPAN);
}

static int is_free(uint64_t word)
{
    return fmi_span_kind(word) <= FMI_SPAN_WARM;
}

/* What the heap has of the kernel's memory, touched or only reserved. */
static size_t kernel_bytes(const struct table *table)
{
    struct stat status;
    assert_int_equal(fstat(table->fd, &status), 0);
    return (size_t)status.st_blocks * 512;
}

/* COLD spans have no pages, all others have all of theirs. */
static void check_pages(const struct table *table, size_t n_with_pages, size_t n_slabs)
{
    size_t page = fmi_sys_page_bytes();
    size_t expected =
        n_with_pages * SPAN + page + atomic_load(&table->shm->ready) * sizeof(uint64_t);
    assert_in_range(kernel_bytes(table), expected, expected + (n_slabs + 2) * page);
}

/* A run in use: its tails follow it. Returns the index after it. */
static uint32_t check_run(const struct table *table, uint32_t head, uint32_t top)
{
    uint32_t n = fmi_span_length(word_at(table, head));
    assert_in_range(n, 1, top - head);
    for (uint32_t i = head + 1; i < head + n; i++) {
        assert_int_equal(fmi_span_kind(word_at(table, i)), FMI_SPAN_TAIL);
        assert_int_equal(fmi_span_length(word_at(table, i)), head);
    }
    return head + n;
}

/* The invariants of span.h while nobody is inside the allocator. Returns the number of spans that are not free. */
static int check_table(const struct table *table)
{
    uint32_t top = atomic_load(&table->shm->top), ready = atomic_load(&table->shm->ready);
    size_t n_taken = 0, n_warm = 0, n_slabs = 0;
    for (uint32_t i = 0, next; i < top; i = next) {
        uint64_t word = word_at(table, i);
        unsigned kind = fmi_span_kind(word);
        if (!is_free(word) && kind != FMI_SPAN_USED && kind != FMI_SPAN_SLAB)
            fail_msg("span %u is of kind %u", i, kind);
        next = kind == FMI_SPAN_USED ? check_run(table, i, top) : i + 1;
        n_taken += is_free(word) ? 0 : next - i;
        n_warm += kind == FMI_SPAN_WARM;
        n_slabs += kind == FMI_SPAN_SLAB;
    }
    for (uint32_t i = top; i < ready; i++)
        assert_int_equal(word_at(table, i), 0);
    check_pages(table, n_taken + n_warm, n_slabs);
    return (int)n_taken;
}

/* ---- one process ---- */

static void test_span_freed_neighbours_are_one_place_again(void **state)
{
    (void)state;
    void *run[4];
    for (int i = 0; i < 4; i++)
        run[i] = get(3, 0);
    put(run[1]);
    put(run[0]);
    put(run[2]);
    assert_ptr_equal(get(9, 0), run[0]);
    put(run[0]);
    put(run[3]);
}

static void test_span_allocating_and_freeing_for_long_takes_no_more_addresses(void **state)
{
    (void)state;
    struct table table = find_table();
    void *held[N_HELD];
    for (size_t i = 0; i < N_HELD; i++)
        held[i] = get(1 + i, 0);
    uint32_t top = atomic_load(&table.shm->top);
    for (size_t i = 0; i < N_STEPS; i++) {
        put(held[i % N_HELD]);
        held[i % N_HELD] = get(1 + i % N_HELD, 0);
    }
    assert_int_equal(atomic_load(&table.shm->top), top);
    for (size_t i = 0; i < N_HELD; i++)
        put(held[i]);
    check_table(&table);
}

static void test_span_freed_memory_stays_warm_and_is_used_again(void **state)
{
    (void)state;
    struct table table = find_table();
    unsigned char *run = get(RUN, 0);
    size_t bytes = kernel_bytes(&table);
    put(run);
    assert_int_equal(kernel_bytes(&table), bytes);
    assert_ptr_equal(get(RUN, 0), run);
    assert_int_equal(kernel_bytes(&table), bytes);
    put(run);
    check_table(&table);
}

/* From here on frees go back to the kernel when more than n spans are warm. */
static void limit_warm(struct table *table, uint64_t n)
{
    table->shm->warm_limit = n;
}

static void test_span_memory_beyond_the_warm_limit_goes_back_to_the_kernel(void **state)
{
    (void)state;
    struct table table = find_table();
    uint64_t limit = table.shm->warm_limit;
    struct fmi_heap_usage usage;
    unsigned char *kept = get(RUN, 0), *run = get(RUN, 0);
    fmi_heap_usage(&usage);
    limit_warm(&table, usage.warm_bytes / SPAN + RUN);
    memset(run, 0xff, RUN * SPAN);
    size_t bytes = kernel_bytes(&table);
    put(kept);
    assert_int_equal(kernel_bytes(&table), bytes);
    put(run);
    assert_int_equal(kernel_bytes(&table), bytes - RUN * SPAN);
    fmi_heap_usage(&usage);
    assert_int_equal(usage.warm_bytes / SPAN, table.shm->warm_limit);
    check_table(&table);
    limit_warm(&table, limit);
}

static int is_zero(const unsigned char *p, size_t bytes)
{
    return p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0;
}

static void test_span_zeroed_run_over_warm_and_cold_spans_reads_zero(void **state)
{
    (void)state;
    struct table table = find_table();
    uint64_t limit = table.shm->warm_limit;
    unsigned char *warm[3], *cold[2];
    for (int i = 0; i < 5; i++) {
        unsigned char **run = i % 2 == 0 ? &warm[i / 2] : &cold[i / 2];
        *run = get(RUN, 0);
        memset(*run, 0xff, RUN * SPAN);
    }
    for (int i = 0; i < 3; i++)
        put(warm[i]);
    limit_warm(&table, 0);
    put(cold[0]);
    put(cold[1]);
    limit_warm(&table, limit);
    check_table(&table);
    unsigned char *all = get((size_t)5 * RUN, FMI_HEAP_ZERO);
    assert_ptr_equal(all, warm[0]);
    assert_true(is_zero(all, (size_t)5 * RUN * SPAN));
    put(all);
}

static void test_span_request_refused_late_leaves_the_table_as_it_was(void **state)
{
    (void)state;
    struct table table = find_table();
    uint64_t limit = table.shm->warm_limit;
    size_t bytes = ((size_t)fmi_sys_memory_left() / SPAN + 16384) * SPAN; /* 1 GiB too much */
    void *p = NULL;
    if (bytes > table.shm->bytes / 2)
        t_skip("a machine with less memory than half the heap's addresses");
    int n_taken = check_table(&table);
    limit_warm(&table, table.shm->n_spans); /* or it would be refused before it takes spans */
    assert_int_equal(fmi_heap_alloc(&p, bytes, 0), -ENOMEM);
    limit_warm(&table, limit);
    assert_null(p);
    assert_true(atomic_load(&table.shm->top) >= bytes / SPAN);
    for (uint32_t i = 0; i < atomic_load(&table.shm->top); i++)
        if (!is_free(word_at(&table, i)))
            n_taken--;
    assert_int_equal(n_taken, 0);
    put(get(RUN, 0));
}

/* ---- many at once: one body, two drivers ---- */

struct held {
    uint64_t *words;
    size_t n_spans;
};

/* The first and last word of each span are this party's while it holds the run. */
static void mark(struct held *held, uint64_t tag)
{
    for (size_t i = 0; i < held->n_spans; i++)
        held->words[i * SPAN / 8] = held->words[(i + 1) * SPAN / 8 - 1] = tag;
}

static int is_marked(const struct held *held, uint64_t tag)
{
    for (size_t i = 0; i < held->n_spans; i++)
        if (held->words[i * SPAN / 8] != tag || held->words[(i + 1) * SPAN / 8 - 1] != tag)
            return 0;
    return 1;
}

/* Takes and frees runs for `n_steps`, then frees the rest. 0: all well; else what went wrong. */
static int churn(uint64_t me, int n_steps)
{
    struct held held[N_HELD] = {{0}};
    uint64_t random = me * 0x9e3779b97f4a7c15u;
    for (int step = 0; step < n_steps + N_HELD; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t at = step < n_steps ? (random >> 33) % N_HELD : (size_t)(step - n_steps);
        if (held[at].words != NULL &&
            (!is_marked(&held[at], me << 32 | at) || fmi_heap_free(held[at].words) != 0))
            return 1;
        held[at] = (struct held){.n_spans = 1 + (random >> 40) % 6};
        if (step >= n_steps)
            continue;
        if (fmi_heap_alloc((void **)&held[at].words, held[at].n_spans * SPAN, 0) != 0)
            return 2;
        mark(&held[at], me << 32 | at);
    }
    return 0;
}

static void *churn_in_thread(void *arg)
{
    return (void *)(intptr_t)churn(*(uint64_t *)arg, N_STEPS);
}

static void churn_in_process(void *arg)
{
    _exit(churn(*(uint64_t *)arg, N_STEPS));
}

static void churn_for_ever(void *arg)
{
    uint64_t me = *(uint64_t *)arg;
    for (;;)
        if (churn(me, N_STEPS) != 0)
            _exit(1);
}

static void test_span_threads_at_once_never_get_the_same_run(void **state)
{
    (void)state;
    struct table table = find_table();
    uint64_t parties[N_PARTIES];
    pthread_t threads[N_PARTIES];
    void *wrong;
    int n_taken = check_table(&table);
    for (uint64_t i = 0; i < N_PARTIES; i++) {
        parties[i] = i + 1;
        assert_int_equal(pthread_create(&threads[i], NULL, churn_in_thread, &parties[i]), 0);
    }
    for (int i = 0; i < N_PARTIES; i++) {
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_int_equal(check_table(&table), n_taken);
}

static void expect_no_overlap_between_processes(struct table *table)
{
    uint64_t parties[N_PARTIES];
    pid_t pids[N_PARTIES];
    int n_taken = check_table(table);
    for (uint64_t i = 0; i < N_PARTIES; i++) {
        parties[i] = i + 1;
        pids[i] = t_start_child(churn_in_process, &parties[i]);
    }
    for (int i = 0; i < N_PARTIES; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
    assert_int_equal(check_table(table), n_taken);
}

static void test_span_processes_at_once_never_get_the_same_run(void **state)
{
    (void)state;
    struct table table = find_table();
    expect_no_overlap_between_processes(&table);
}

static void test_span_processes_at_once_never_get_the_same_run_while_pages_come_and_go(void **state)
{
    (void)state;
    struct table table = find_table();
    uint64_t limit = table.shm->warm_limit;
    limit_warm(&table, 16);
    expect_no_overlap_between_processes(&table);
    limit_warm(&table, limit);
}

/* ---- deaths ---- */

/* As the warden does it: the dead is recovered before its pid can be another's. */
static void await_and_recover(pid_t pid)
{
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    arm(NULL, 0);
    fmi_heap_recover(pid);
    assert_int_equal(t_signal(t_wait_child(pid)), SIGKILL);
}

static void take_run(void *arg)
{
    void *p;
    (void)arg;
    _exit(fmi_heap_alloc(&p, RUN * SPAN, FMI_HEAP_ZERO) != 0);
}

static void free_run(void *arg)
{
    _exit(fmi_heap_free(arg) != 0);
}

/* What is in use around the place of a death: two runs with a gap of RUN spans, dirty and free, cold or warm. */
struct scene {
    struct table table;
    struct held left, right;
    unsigned char *gap; /* in use until close_gap */
    int n_taken;        /* spans in use without the gap */
};

static void set_scene(struct scene *s)
{
    s->table = find_table();
    s->n_taken = check_table(&s->table) + 2;
    s->left = (struct held){get(1, 0), 1};
    s->gap = get(RUN, 0);
    s->right = (struct held){get(1, 0), 1};
    mark(&s->left, 71);
    mark(&s->right, 72);
    memset(s->gap, 0xff, RUN * SPAN);
}

static void put_gap(struct scene *s, int stays_warm)
{
    uint64_t limit = s->table.shm->warm_limit;
    limit_warm(&s->table, stays_warm ? limit : 0);
    put(s->gap);
    limit_warm(&s->table, limit);
}

/* After a death: nothing of the gap is taken, all of it can be used, and the neighbours are what they were. */
static void expect_usable(struct scene *s)
{
    assert_int_equal(check_table(&s->table), s->n_taken);
    unsigned char *again = get(RUN, FMI_HEAP_ZERO);
    assert_ptr_equal(again, s->gap);
    assert_true(is_zero(again, RUN * SPAN));
    memset(again, 0xee, RUN * SPAN);
    assert_int_equal(churn(99, 50), 0);
    assert_true(is_marked(&s->left, 71) && is_marked(&s->right, 72));
    put(again);
    put(s->left.words);
    put(s->right.words);
    assert_int_equal(check_table(&s->table), s->n_taken - 2);
}

/* A process dies at the nth passage of `point`, n = 1, 2, ..., while it takes a run that is warm or cold. */
static void expect_claim_survives(const char *point, int n_times, int warm)
{
    for (int nth = 1; nth <= n_times; nth++) {
        struct scene scene;
        set_scene(&scene);
        put_gap(&scene, warm);
        arm(point, nth);
        await_and_recover(t_start_child(take_run, NULL));
        expect_usable(&scene);
    }
}

/* The same while it frees one; `warm`: its pages stay. */
static void expect_release_survives(const char *point, int n_times, int warm)
{
    for (int nth = 1; nth <= n_times; nth++) {
        struct scene scene;
        set_scene(&scene);
        uint64_t limit = scene.table.shm->warm_limit;
        limit_warm(&scene.table, warm ? limit : 0);
        arm(point, nth);
        await_and_recover(t_start_child(free_run, scene.gap));
        limit_warm(&scene.table, limit);
        assert_true(is_free(word_at(&scene.table, index_of(&scene.table, scene.gap))));
        expect_usable(&scene);
    }
}

static void test_span_process_killed_between_the_spans_of_a_claim_leaves_them_free(void **state)
{
    (void)state;
    expect_claim_survives("span.claim_tail", RUN - 1, 0);
    expect_claim_survives("span.claim_tail", RUN - 1, 1);
}

static void test_span_process_killed_before_it_fills_a_claim_leaves_it_free(void **state)
{
    (void)state;
    expect_claim_survives("span.fill", 1, 0);
    expect_claim_survives("span.fill", 1, 1);
}

static void test_span_process_killed_with_new_pages_gives_them_back(void **state)
{
    (void)state;
    expect_claim_survives("span.filled", 1, 0);
}

static void test_span_process_killed_before_it_commits_leaves_its_run_free(void **state)
{
    (void)state;
    expect_claim_survives("span.commit", 1, 0);
    expect_claim_survives("span.commit", 1, 1);
}

static void test_span_process_killed_as_it_begins_to_free_has_freed(void **state)
{
    (void)state;
    expect_release_survives("span.freeing", 1, 0);
    expect_release_survives("span.freeing", 1, 1);
}

static void test_span_process_killed_before_its_pages_go_back_does_not_keep_them(void **state)
{
    (void)state;
    expect_release_survives("span.cool", 1, 0);
}

static void test_span_process_killed_between_the_spans_of_a_free_has_freed_all(void **state)
{
    (void)state;
    expect_release_survives("span.free_tail", RUN - 1, 0);
    expect_release_survives("span.free_tail", RUN - 1, 1);
    expect_release_survives("span.free_head", 1, 0);
    expect_release_survives("span.free_head", 1, 1);
}

static void recover_another(void *arg)
{
    fmi_heap_recover(*(pid_t *)arg);
}

static void test_span_recoverer_that_is_killed_is_recovered_in_turn(void **state)
{
    (void)state;
    for (int nth = 1; nth < RUN; nth++) {
        struct scene scene;
        siginfo_t info;
        set_scene(&scene);
        put_gap(&scene, 0);
        arm("span.commit", 1);
        pid_t first = t_start_child(take_run, NULL);
        assert_int_equal(waitid(P_PID, (id_t)first, &info, WEXITED | WNOWAIT), 0);
        arm("span.free_tail", nth);
        await_and_recover(t_start_child(recover_another, &first));
        await_and_recover(first);
        expect_usable(&scene);
    }
}

static void test_span_runs_in_use_survive_their_owner(void **state)
{
    (void)state;
    struct scene scene;
    set_scene(&scene);
    uint64_t me = 5;
    pid_t pid = t_start_child(churn_for_ever, &me);
    kill(pid, SIGKILL);
    await_and_recover(pid);
    fmi_heap_recover(getpid()); /* nor does a mistake cost what is in use */
    assert_true(is_marked(&scene.left, 71) && is_marked(&scene.right, 72));
    assert_true(scene.gap[0] == 0xff && scene.gap[RUN * SPAN - 1] == 0xff);
    check_table(&scene.table);
    put(scene.gap);
    put(scene.left.words);
    put(scene.right.words);
}

static void hold_claim(void *arg)
{
    (void)arg;
    take_run(NULL);
}

static void test_span_recover_leaves_the_claims_of_others_alone(void **state)
{
    (void)state;
    struct scene scene;
    siginfo_t info;
    set_scene(&scene);
    put_gap(&scene, 1);
    arm("span.commit", 1);
    pid_t pid = t_start_child(hold_claim, NULL);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    arm(NULL, 0);
    uint32_t head = index_of(&scene.table, scene.gap);
    uint64_t word = word_at(&scene.table, head);
    assert_int_equal(fmi_span_kind(word), FMI_SPAN_CLAIMING);
    fmi_heap_recover(pid + 1);
    fmi_heap_recover(getpid());
    fmi_heap_recover(0);
    assert_true(word_at(&scene.table, head) == word);
    fmi_heap_recover(pid);
    assert_true(is_free(word_at(&scene.table, head)));
    assert_int_equal(t_signal(t_wait_child(pid)), SIGKILL);
    expect_usable(&scene);
}

/* Kills at any moment, not only at fault points, while another process goes on. */
static void test_span_sixty_processes_killed_at_any_moment_leave_the_heap_usable(void **state)
{
    (void)state;
    struct scene scene;
    uint64_t steady = 1, victim = 2;
    set_scene(&scene);
    uint64_t limit = scene.table.shm->warm_limit;
    limit_warm(&scene.table, 32);
    pid_t other = t_start_child(churn_for_ever, &steady);
    for (int i = 0; i < N_KILLS; i++) {
        pid_t pid = t_start_child(churn_for_ever, &victim);
        usleep((useconds_t)(200 + i * 37 % 900));
        kill(pid, SIGKILL);
        await_and_recover(pid);
        assert_int_equal(churn(3, 20), 0);
    }
    assert_int_equal(waitpid(other, NULL, WNOHANG), 0); /* it found nothing wrong */
    kill(other, SIGKILL);
    await_and_recover(other);
    limit_warm(&scene.table, limit);
    assert_true(is_marked(&scene.left, 71) && is_marked(&scene.right, 72));
    int n_taken = check_table(&scene.table);
    assert_true(n_taken <= scene.n_taken + RUN + (N_KILLS + 1) * N_HELD * 6);
    put(scene.gap);
    put(scene.left.words);
    put(scene.right.words);
}

T_MAIN(T_TEST(test_span_freed_neighbours_are_one_place_again),
       T_TEST(test_span_allocating_and_freeing_for_long_takes_no_more_addresses),
       T_TEST(test_span_freed_memory_stays_warm_and_is_used_again),
       T_TEST(test_span_memory_beyond_the_warm_limit_goes_back_to_the_kernel),
       T_TEST(test_span_zeroed_run_over_warm_and_cold_spans_reads_zero),
       T_TEST(test_span_threads_at_once_never_get_the_same_run),
       T_TEST(test_span_processes_at_once_never_get_the_same_run),
       T_TEST(test_span_processes_at_once_never_get_the_same_run_while_pages_come_and_go),
       T_TEST(test_span_process_killed_between_the_spans_of_a_claim_leaves_them_free),
       T_TEST(test_span_process_killed_before_it_fills_a_claim_leaves_it_free),
       T_TEST(test_span_process_killed_with_new_pages_gives_them_back),
       T_TEST(test_span_process_killed_before_it_commits_leaves_its_run_free),
       T_TEST(test_span_process_killed_as_it_begins_to_free_has_freed),
       T_TEST(test_span_process_killed_before_its_pages_go_back_does_not_keep_them),
       T_TEST(test_span_process_killed_between_the_spans_of_a_free_has_freed_all),
       T_TEST(test_span_recoverer_that_is_killed_is_recovered_in_turn),
       T_TEST(test_span_runs_in_use_survive_their_owner),
       T_TEST(test_span_recover_leaves_the_claims_of_others_alone),
       T_TEST(test_span_sixty_processes_killed_at_any_moment_leave_the_heap_usable),
       T_TEST(test_span_request_refused_late_leaves_the_table_as_it_was))
