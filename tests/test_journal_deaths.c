/* SPDX-License-Identifier: MIT */
/* LABELS: fork crash kills */
/* TIMEOUT: 60 */
/* All processes of a map with a journal are killed at each step of it, and the map is run again; and the machine is stopped. */
#include "t_journal.h"

#include "fault.h"

#include <fcntl.h>
#include <sys/stat.h>

#ifdef FORKMAP_FAULTS

static const char *point;
static int passage;

/* Whoever comes to the point for the nth time ends all processes of the group. Counted in memory that all share. */
static _Atomic int *passages;

static void kill_all(const char *name)
{
    if (strcmp(name, point) == 0 && atomic_fetch_add(passages, 1) + 1 == passage)
        kill(0, SIGKILL);
}

static void run_in_group(void *arg)
{
    (void)setpgid(0, 0);
    _exit(t_run_journal(arg) == 0 ? 0 : 1);
}

static void kill_at(struct t_journal *j, const char *name, int nth)
{
    point = name;
    passage = nth;
    if (passages == NULL)
        passages =
            mmap(NULL, sizeof *passages, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    atomic_store(passages, 0);
    fmi_fault_hook(kill_all);
    int status = t_in_child(run_in_group, j);
    fmi_fault_hook(NULL);
    if (t_signal(status) != SIGKILL)
        fail_msg("%s was not passed %d times", name, nth);
}

static struct t_journal begin(void)
{
    struct t_journal j = {.out = t_path_of("out.npy"), .journal = t_path_of("journal")};
    t_forget_runs();
    (void)unlink(j.out);
    (void)unlink(j.journal);
    return j;
}

/* Two workers: so many cells were under way. */
static void expect_two_cells_more(void)
{
    int64_t n_twice, sum = t_sum_runs(&n_twice);
    assert_in_range(sum, T_ITEMS, T_ITEMS + 2 * T_CELL);
    assert_true(n_twice <= 2 * T_CELL);
}

static void kill_runs(void)
{
    static const struct {
        const char *name;
        int nth;
    } points[] = {{"journal.making", 1},        {"journal.made", 1},
                  {"journal.ending", 1},        {"journal.ending", 20000},
                  {"journal.ended", 1},         {"journal.ended", 30000},
                  {"call.item", 77777},         {"journal.rows_synced", 1},
                  {"journal.states_synced", 1}, {"journal.saved", 1}};
    for (size_t k = 0; k < T_N_OF(points); k++) {
        struct t_journal j = begin();
        kill_at(&j, points[k].name, points[k].nth);
        t_expect(t_run_journal(&j), 0);
        expect_two_cells_more();
        t_expect_values(j.out, 0);
    }
}

static void kill_makers(void)
{
    struct t_journal j = begin();
    kill_at(&j, "journal.making", 1);
    assert_int_equal(access(j.journal, F_OK), -1);
    kill_at(&j, "journal.made", 1);
    assert_int_equal(access(j.journal, F_OK), -1);
}

/* ---- failures ---- */

static void kill_at_failures(void)
{
    static const char *const points[] = {"journal.noted", "journal.ending"};
    for (size_t k = 0; k < T_N_OF(points); k++) {
        struct t_journal j = begin();
        fm_failure list[1];
        fm_array *out;
        j.on_error = FM_ON_ERROR_CONTINUE;
        t_runs()->fails = 1;
        kill_at(&j, points[k], k == 0 ? 50 : 25000);
        fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
        t_expect(t_open_out(j.out, &out), 0);
        t_expect(t_map_with(&j, pool, out, NULL), FM_ETASK);
        assert_int_equal(fm_pool_failures(pool, list, 1), 200);
        assert_int_equal(list[0].item, 999);
        expect_two_cells_more();
        fm_array_destroy(out);
        t_destroy(pool);
        t_expect_values(j.out, 1);
    }
}

/* What an earlier run left of a cell that it did not end is forgotten, also by one that is killed as it forgets. */
static void poke(const char *path, int64_t at, int byte)
{
    unsigned char b = (unsigned char)byte;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &b, 1, at), 1);
    close(fd);
}

static void kill_as_states_are_cleared(void)
{
    struct t_journal j = begin();
    int64_t item = T_ITEMS - 1;
    kill_at(&j, "journal.ended", 100);
    poke(j.journal, (int64_t)FMI_JOURNAL_HEAD_BYTES + item, FM_ITEM_CRASHED);
    poke(j.journal, (int64_t)offsetof(struct fmi_journal_shm, failed) + (T_CELLS - 1) / 8,
         1 << (T_CELLS - 1) % 8);
    kill_at(&j, "journal.cleared", 1);
    t_expect(t_run_journal(&j), 0);
    expect_two_cells_more();
    t_expect_values(j.out, 0);
}

static void kill_retries(void)
{
    static const struct {
        const char *name;
        int nth;
    } points[] = {{"journal.again", 1},   {"journal.again", 100}, {"journal.retry", 1},
                  {"journal.retry", 100}, {"call.item", 70},      {"journal.retried", 1},
                  {"journal.ending", 60}, {"journal.ended", 60},  {"journal.rows_synced", 1}};
    for (size_t k = 0; k < T_N_OF(points); k++) {
        struct t_journal j = begin();
        int64_t n_twice;
        j.on_error = FM_ON_ERROR_CONTINUE;
        t_runs()->fails = 1;
        t_expect(t_run_journal(&j), FM_ETASK);
        t_forget_runs();
        j.flags = FM_JOURNAL_RETRY_FAILED;
        kill_at(&j, points[k].name, points[k].nth);
        t_expect(t_run_journal(&j), 0);
        int64_t sum = t_sum_runs(&n_twice);
        assert_in_range(sum, 200, 200 + 2);
        for (int64_t i = 0; i < T_ITEMS; i++)
            assert_true(t_runs()->n[i] == 0 || i % 1000 == 999);
        t_expect_values(j.out, 0);
    }
}

static void go_on_with_retry(void)
{
    struct t_journal j = begin();
    int64_t n_twice;
    j.on_error = FM_ON_ERROR_CONTINUE;
    t_runs()->fails = 1;
    t_expect(t_run_journal(&j), FM_ETASK);
    t_forget_runs();
    j.flags = FM_JOURNAL_RETRY_FAILED;
    kill_at(&j, "call.item", 70);
    j.flags = 0;
    t_expect(t_run_journal(&j), 0);
    assert_in_range(t_sum_runs(&n_twice), 200, 202);
    t_expect_values(j.out, 0);
}

/* ---- one worker ---- */

static void kill_workers(void)
{
    static const char *const points[] = {"journal.ending", "journal.ended", "call.item"};
    for (size_t k = 0; k < T_N_OF(points); k++) {
        struct t_journal j = begin();
        fm_array *out;
        int64_t n_twice;
        assert_int_equal(fmi_fault_arm(points[k], 10000, 3), 0);
        fmi_fault_spare_this_process();
        fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
        t_expect(t_open_out(j.out, &out), 0);
        t_expect(t_map_with(&j, pool, out, NULL), 0);
        assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
        t_expect(t_map_with(&j, pool, out, NULL), 0);
        assert_int_equal(j.n_before, T_ITEMS);
        assert_in_range(t_sum_runs(&n_twice), T_ITEMS, T_ITEMS + 3);
        fm_array_destroy(out);
        t_destroy(pool);
        t_expect_values(j.out, 0);
    }
}

/* ---- the host alone ---- */

static void run_plainly(void *arg)
{
    _exit(t_run_journal(arg) == 0 ? 0 : 1);
}

static void let_warden_go(void *arg)
{
    (void)arg;
    usleep(300000);
    atomic_store(&t_runs()->is_over, 1);
    kill(t_runs()->warden, SIGCONT);
}

/* The warden is stopped, so the host's workers outlive it. */
static void kill_host_alone(void)
{
    struct t_journal j = begin();
    t_runs()->watches = 1;
    pid_t host = t_start_child(run_plainly, &j);
    while (t_runs()->warden == 0)
        usleep(1000);
    assert_int_equal(kill(t_runs()->warden, SIGSTOP), 0);
    assert_int_equal(kill(host, SIGKILL), 0);
    assert_int_equal(t_signal(t_wait_child(host)), SIGKILL);
    pid_t later = t_start_child(let_warden_go, NULL);
    t_expect(t_run_journal(&j), 0);
    assert_int_equal(t_runs()->n_early, 0);
    assert_true(j.n_before > 0);
    assert_int_equal(t_wait_child(later), 0);
    expect_two_cells_more();
    t_expect_values(j.out, 0);
}

/* ---- the machine stops ---- */

/* Another boot finds rows of cells that were not saved as anything. */
static void stop_machine(const struct t_journal *j)
{
    static struct {
        char bytes[FMI_JOURNAL_HEAD_BYTES];
    } file;
    int fd = open(j->journal, O_RDONLY | O_CLOEXEC), out = open(j->out, O_RDWR | O_CLOEXEC);
    struct stat st;
    assert_int_equal(read(fd, &file, sizeof file), sizeof file);
    assert_int_equal(fstat(out, &st), 0);
    const uint8_t *saved = (const uint8_t *)file.bytes + offsetof(struct fmi_journal_shm, saved);
    for (int64_t cell = 0; cell < T_CELLS; cell++) {
        static const int64_t junk[T_CELL] = {-1, -2, -3, -4};
        if ((saved[cell / 8] >> cell % 8 & 1) == 0)
            assert_int_equal(pwrite(out, junk, sizeof junk,
                                    st.st_size - (T_CELLS - cell) * (int64_t)sizeof junk),
                             sizeof junk);
    }
    close(fd);
    close(out);
    poke(j->journal, (int64_t)offsetof(struct fmi_journal_shm, boot), '-');
}

static void stop_machine_at_each_step(void)
{
    static const struct {
        const char *name;
        int nth;
    } points[] = {{"journal.ended", 30000},
                  {"journal.rows_synced", 1},
                  {"journal.states_synced", 1},
                  {"journal.saved", 1}};
    for (size_t k = 0; k < T_N_OF(points); k++) {
        struct t_journal j = begin();
        kill_at(&j, points[k].name, points[k].nth);
        stop_machine(&j);
        kill_at(&j, "journal.boot", 1);
        t_expect(t_run_journal(&j), 0);
        assert_int_equal(j.n_before, k == 3 ? T_ITEMS : 0);
        t_expect_values(j.out, 0);
        stop_machine(&j);
        t_expect(t_run_journal(&j), 0);
        assert_int_equal(j.n_before, T_ITEMS); /* it was synced at its end */
        t_expect_values(j.out, 0);
    }
}

static void stop_machine_in_retry(void)
{
    struct t_journal j = begin();
    j.on_error = FM_ON_ERROR_CONTINUE;
    t_runs()->fails = 1;
    t_expect(t_run_journal(&j), FM_ETASK);
    t_forget_runs();
    j.flags = FM_JOURNAL_RETRY_FAILED;
    kill_at(&j, "journal.rows_synced", 1);
    stop_machine(&j);
    j.flags = 0;
    t_expect(t_run_journal(&j), 0);
    assert_int_equal(j.n_before, T_ITEMS - 200 * T_CELL);
    t_expect_values(j.out, 0);
}

#define IN_FAULT_BUILDS(call) call
#else
#define IN_FAULT_BUILDS(call) t_skip("a build with FORKMAP_FAULTS")
#endif

static void test_journal_all_killed_at_each_step_of_a_run_lose_two_cells_at_most(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(kill_runs());
}

static void test_journal_killed_before_it_is_whole_leaves_no_file(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(kill_makers());
}

static void test_journal_all_killed_as_a_failure_is_noted_find_it_or_run_it_again(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(kill_at_failures());
}

static void test_journal_all_killed_as_old_states_are_cleared_clear_them_again(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(kill_as_states_are_cleared());
}

static void test_journal_all_killed_at_each_step_of_a_retry_run_failed_items_only(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(kill_retries());
}

static void test_journal_retry_that_was_killed_goes_on_without_being_asked_again(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(go_on_with_retry());
}

static void test_journal_worker_killed_at_each_step_costs_its_item(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(kill_workers());
}

static void test_journal_of_a_killed_host_waits_for_its_workers_end(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(kill_host_alone());
}

static void test_journal_after_a_boot_only_what_was_on_disk_is_done(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(stop_machine_at_each_step());
}

static void test_journal_boot_in_a_retry_runs_its_cells_whole(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(stop_machine_in_retry());
}

T_MAIN(T_TEST(test_journal_all_killed_at_each_step_of_a_run_lose_two_cells_at_most),
       T_TEST(test_journal_killed_before_it_is_whole_leaves_no_file),
       T_TEST(test_journal_all_killed_as_a_failure_is_noted_find_it_or_run_it_again),
       T_TEST(test_journal_all_killed_as_old_states_are_cleared_clear_them_again),
       T_TEST(test_journal_all_killed_at_each_step_of_a_retry_run_failed_items_only),
       T_TEST(test_journal_retry_that_was_killed_goes_on_without_being_asked_again),
       T_TEST(test_journal_worker_killed_at_each_step_costs_its_item),
       T_TEST(test_journal_of_a_killed_host_waits_for_its_workers_end),
       T_TEST(test_journal_after_a_boot_only_what_was_on_disk_is_done),
       T_TEST(test_journal_boot_in_a_retry_runs_its_cells_whole))
