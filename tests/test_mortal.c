/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash threads */
/* TIMEOUT: 60 */
/* Ids of threads: each has one, nobody else ever has it, and its death is known. */
#include "t_sync.h"
#include "t_mortals.h"

enum { N_PARTIES = 8, N_SHORT = 1000 };

struct ids {
    _Atomic uint64_t id[N_SHORT];
    _Atomic int ready;
};

static struct ids *new_ids(void)
{
    t_use_mortals();
    return t_shared(sizeof(struct ids));
}

static void end_ids(struct ids *ids)
{
    munmap(ids, sizeof *ids);
}

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void expect_unique(const struct ids *ids, int n)
{
    uint64_t sorted[N_SHORT + 1];
    for (int i = 0; i < n; i++)
        sorted[i] = atomic_load(&ids->id[i]);
    sorted[n] = fmi_mortal_self();
    qsort(sorted, (size_t)n + 1, sizeof sorted[0], compare);
    assert_true(sorted[0] != 0);
    for (int i = 0; i < n; i++)
        assert_true(sorted[i] != sorted[i + 1]);
}

static int write_id(void *shared, int number)
{
    struct ids *ids = shared;
    uint64_t id = fmi_mortal_self();
    atomic_store(&ids->id[number], id);
    return id == 0 || !fmi_mortal_is_alive(id) || fmi_mortal_self() != id;
}

static int write_id_and_leave(void *shared, int number)
{
    int wrong = write_id(shared, number);
    fmi_mortal_leave();
    return wrong;
}

static int write_id_and_wait(void *shared, int number)
{
    struct ids *ids = shared;
    int wrong = write_id(shared, number);
    atomic_fetch_add(&ids->ready, 1);
    return wrong != 0 || !t_await(&ids->ready, N_PARTIES);
}

/* ---- ids ----------------------------------------------------------------------------------------- */

static void test_mortal_threads_that_live_at_once_have_different_ids(void **state)
{
    (void)state;
    struct ids *ids = new_ids();
    t_in_threads(N_PARTIES, write_id_and_wait, ids);
    expect_unique(ids, N_PARTIES);
    end_ids(ids);
}

static void test_mortal_processes_that_live_at_once_have_different_ids(void **state)
{
    (void)state;
    struct ids *ids = new_ids();
    t_in_processes(N_PARTIES, write_id_and_wait, ids);
    expect_unique(ids, N_PARTIES);
    end_ids(ids);
}

static int fork_and_compare(void *shared, int number)
{
    struct ids *ids = shared;
    write_id(ids, number);
    pid_t pid = fork();
    if (pid == 0)
        _exit(write_id(ids, number + 1));
    int status = 0;
    waitpid(pid, &status, 0);
    return status != 0 || fmi_mortal_self() != atomic_load(&ids->id[number]);
}

static void test_mortal_grandchild_has_an_id_of_its_own_and_its_parent_keeps_its(void **state)
{
    (void)state;
    struct ids *ids = new_ids();
    t_in_processes(1, fork_and_compare, ids);
    expect_unique(ids, 2);
    end_ids(ids);
}

static void test_mortal_thousand_short_threads_have_unique_ids_in_few_entries(void **state)
{
    (void)state;
    struct ids *ids = new_ids();
    for (int i = 0; i < N_SHORT; i++) {
        struct t_party party = {write_id, ids, i};
        pthread_t thread;
        void *code;
        assert_int_equal(pthread_create(&thread, NULL, t_be_thread, &party), 0);
        pthread_join(thread, &code);
        assert_null(code);
    }
    expect_unique(ids, N_SHORT);
    assert_in_range(fmi_mortal_count(), 2, 64); /* a joined thread may not have died quite yet */
    end_ids(ids);
}

static void test_mortal_thousand_short_processes_have_unique_ids_in_few_entries(void **state)
{
    (void)state;
    struct ids *ids = new_ids();
    for (int i = 0; i < N_SHORT; i++)
        assert_int_equal(t_exit_code(t_wait_child(t_start_party(write_id, ids, i))), 0);
    expect_unique(ids, N_SHORT);
    assert_in_range(fmi_mortal_count(), 2, 8);
    end_ids(ids);
}

/* ---- deaths -------------------------------------------------------------------------------------- */

static int write_id_and_pause(void *shared, int number)
{
    struct ids *ids = shared;
    write_id(shared, number);
    atomic_store(&ids->ready, 1);
    while (pause() < 0)
        ;
    return 0;
}

static pid_t start_victim(struct ids *ids)
{
    pid_t pid = t_start_party(write_id_and_pause, ids, 0);
    assert_true(t_await(&ids->ready, 1));
    return pid;
}

static void test_mortal_killed_process_is_dead_and_has_not_left(void **state)
{
    (void)state;
    struct ids *ids = new_ids();
    pid_t pid = start_victim(ids);
    assert_true(fmi_mortal_is_alive(ids->id[0]));
    t_kill(pid);
    assert_false(fmi_mortal_is_alive(ids->id[0]));
    assert_false(fmi_mortal_has_left(ids->id[0]));
    end_ids(ids);
}

static void test_mortal_process_that_ends_in_order_is_dead_and_has_left(void **state)
{
    (void)state;
    struct ids *ids = new_ids();
    t_in_processes(1, write_id_and_leave, ids);
    assert_false(fmi_mortal_is_alive(ids->id[0]));
    assert_true(fmi_mortal_has_left(ids->id[0]));
    end_ids(ids);
}

static void test_mortal_thread_that_returns_is_dead_soon_and_has_left(void **state)
{
    (void)state;
    struct ids *ids = new_ids();
    t_in_threads(1, write_id, ids);
    for (int64_t end = fmi_deadline_after(T_LOST);
         fmi_mortal_is_alive(ids->id[0]) && fmi_now_ns() < end;)
        usleep(100);
    assert_false(fmi_mortal_is_alive(ids->id[0]));
    assert_true(fmi_mortal_has_left(ids->id[0]));
    end_ids(ids);
}

static void test_mortal_how_it_ended_is_known_after_its_entry_was_used_again(void **state)
{
    (void)state;
    struct ids *ids = new_ids();
    t_in_processes(1, write_id_and_leave, ids);
    const uint64_t left = ids->id[0];
    t_kill(start_victim(ids));
    const uint64_t killed = ids->id[0];
    assert_ptr_equal(fmi_mortal_of(left), fmi_mortal_of(killed));
    for (int i = 0; i < 20; i++)
        t_in_processes(1, i % 2 ? write_id_and_leave : write_id, ids);
    assert_ptr_equal(fmi_mortal_of(left), fmi_mortal_of(ids->id[0]));
    assert_true(fmi_mortal_has_left(left));
    assert_false(fmi_mortal_has_left(killed));
    assert_false(fmi_mortal_is_alive(left));
    end_ids(ids);
}

static void test_mortal_words_that_are_no_ids_are_dead(void **state)
{
    (void)state;
    struct ids *ids = new_ids();
    const uint64_t words[] = {0, 1, 0xfff, UINT64_MAX, UINT64_C(0x7fffffff00000000), 0xfffff000};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        assert_false(fmi_mortal_is_alive(words[i]));
        assert_false(fmi_mortal_has_left(words[i]));
    }
    end_ids(ids);
}

static int wait_for_death(void *shared, int number)
{
    struct ids *ids = shared;
    static const _Atomic uint32_t word;
    (void)number;
    atomic_fetch_add(&ids->ready, 1);
    while (fmi_mortal_is_alive(ids->id[0]))
        if (fmi_mortal_wait(&word, 0, ids->id[0], FMI_NEVER) == -ETIMEDOUT)
            return 1;
    return 0;
}

static void test_mortal_all_that_wait_for_a_death_are_woken_by_it(void **state)
{
    (void)state;
    struct ids *ids = new_ids();
    pid_t victim = start_victim(ids), pids[N_PARTIES];
    for (int i = 0; i < N_PARTIES; i++)
        pids[i] = t_start_party(wait_for_death, ids, i + 1);
    assert_true(t_await(&ids->ready, N_PARTIES + 1));
    t_kill(victim);
    for (int i = 0; i < N_PARTIES; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
    end_ids(ids);
}

static void test_mortal_wait_ends_at_its_deadline_and_not_before(void **state)
{
    (void)state;
    struct ids *ids = new_ids();
    static const _Atomic uint32_t word;
    const int64_t begin = fmi_now_ns();
    while (fmi_mortal_wait(&word, 0, 0, begin + FM_MS(120)) != -ETIMEDOUT)
        assert_true(fmi_now_ns() < begin + FM_SECONDS(10));
    assert_true(fmi_now_ns() >= begin + FM_MS(120));
    end_ids(ids);
}

/* ---- killed at each transition ---------------------------------------------------------------------- */

static void test_mortal_killed_at_each_point_leaves_a_table_that_gives_unique_ids(void **state)
{
    (void)state;
    static const char *const points[] = {"mortal.made", "mortal.claimed", "mortal.join",
                                         "mortal.joined"};
    struct ids *ids = new_ids();
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        for (int k = 0; k < 3; k++) {
            /* of "made": only where no entry of a dead one is there to be claimed */
            (void)t_killed_at(points[i], 1, write_id, ids);
            t_in_processes(4, write_id, ids);
            expect_unique(ids, 4);
            for (int n = 0; n < 4; n++)
                assert_false(fmi_mortal_is_alive(ids->id[n]));
        }
    assert_in_range(fmi_mortal_count(), 2, 16);
    end_ids(ids);
}

static void
test_mortal_first_process_killed_as_it_makes_its_entry_loses_that_entry_only(void **state)
{
    (void)state;
    struct ids *ids = new_ids();
    assert_int_equal(t_killed_at("mortal.made", 1, write_id, ids), 1);
    t_in_processes(1, write_id, ids);
    assert_int_equal(fmi_mortal_count(), 3);
    end_ids(ids);
}

T_MAIN(T_TEST(test_mortal_threads_that_live_at_once_have_different_ids),
       T_TEST(test_mortal_processes_that_live_at_once_have_different_ids),
       T_TEST(test_mortal_grandchild_has_an_id_of_its_own_and_its_parent_keeps_its),
       T_TEST(test_mortal_thousand_short_threads_have_unique_ids_in_few_entries),
       T_TEST(test_mortal_thousand_short_processes_have_unique_ids_in_few_entries),
       T_TEST(test_mortal_killed_process_is_dead_and_has_not_left),
       T_TEST(test_mortal_process_that_ends_in_order_is_dead_and_has_left),
       T_TEST(test_mortal_thread_that_returns_is_dead_soon_and_has_left),
       T_TEST(test_mortal_how_it_ended_is_known_after_its_entry_was_used_again),
       T_TEST(test_mortal_words_that_are_no_ids_are_dead),
       T_TEST(test_mortal_all_that_wait_for_a_death_are_woken_by_it),
       T_TEST(test_mortal_wait_ends_at_its_deadline_and_not_before),
       T_TEST(test_mortal_killed_at_each_point_leaves_a_table_that_gives_unique_ids),
       T_TEST(test_mortal_first_process_killed_as_it_makes_its_entry_loses_that_entry_only))
