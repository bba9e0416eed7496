/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash threads */
/* TIMEOUT: 40 */
/* Parking: no wake-up gets lost, whoever dies, and nobody pays for sleepers that do not exist. */
#include "t.h"

#include "clock.h"
#include "fault.h"
#include "futex.h"
#include "park.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 20000, RACES = 1000, N_SLEEPERS = 4, LOST = 1, NO_PTRACE = 77 };

/* A wake-up that takes longer than this [ns] never comes. */
static const int64_t lost_ns = 10000000000;
static const int64_t spin_ns = 5000;

/* What the parties of a test share. `turn` is the condition that they wait for. */
struct game {
    struct fmi_park_shm park;
    struct fmi_life_shm life;
    _Atomic int turn;
    _Atomic int n_ready; /* about to park */
    _Atomic int n_woken;
    int n_players;
    int64_t spin;
};

static struct game *new_game(int n_players, int64_t spin)
{
    struct game *game =
        mmap(NULL, sizeof *game, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(game != MAP_FAILED);
    fmi_park_init(&game->park);
    game->n_players = n_players;
    game->spin = spin;
    return game;
}

static void end_game(struct game *game)
{
    munmap(game, sizeof *game);
}

static void arm(const char *point)
{
#ifdef FORKMAP_FAULTS
    assert_int_equal(fmi_fault_arm(point, 1, 1), 0);
#else
    if (point != NULL)
        t_skip("fault points, which release builds leave out");
#endif
}

/* ---- hand-overs: one body, two drivers ---- */

struct player {
    struct game *game;
    int me;
};

/* Waits for the turns me, me + n, me + 2n ... and passes each on. */
static int play(struct game *game, int me)
{
    int end = ROUNDS / game->n_players * game->n_players;
    for (int turn = me; turn < end; turn += game->n_players) {
        for (;;) {
            uint32_t seen = fmi_park_seen(&game->park);
            if (atomic_load(&game->turn) == turn)
                break;
            if (fmi_park(&game->park, seen, game->spin, fmi_deadline_after(lost_ns)) == -ETIMEDOUT)
                return LOST;
        }
        atomic_store(&game->turn, turn + 1);
        fmi_park_wake(&game->park);
    }
    return 0;
}

static void *play_in_thread(void *arg)
{
    struct player *player = arg;
    return (void *)(intptr_t)play(player->game, player->me);
}

static void play_in_process(void *arg)
{
    struct player *player = arg;
    _exit(play(player->game, player->me));
}

static void expect_no_loss_between_threads(int n_players, int64_t spin)
{
    struct game *game = new_game(n_players, spin);
    struct player players[N_SLEEPERS];
    pthread_t threads[N_SLEEPERS];
    void *lost;
    for (int i = 0; i < n_players; i++) {
        players[i] = (struct player){game, i};
        assert_int_equal(pthread_create(&threads[i], NULL, play_in_thread, &players[i]), 0);
    }
    for (int i = 0; i < n_players; i++) {
        pthread_join(threads[i], &lost);
        assert_null(lost);
    }
    end_game(game);
}

static void expect_no_loss_between_processes(int n_players, int64_t spin)
{
    struct game *game = new_game(n_players, spin);
    struct player players[N_SLEEPERS];
    pid_t pids[N_SLEEPERS];
    for (int i = 0; i < n_players; i++) {
        players[i] = (struct player){game, i};
        pids[i] = t_start_child(play_in_process, &players[i]);
    }
    for (int i = 0; i < n_players; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
    end_game(game);
}

static void test_park_two_sleeping_threads_lose_no_wake_up(void **state)
{
    (void)state;
    expect_no_loss_between_threads(2, 0);
}

static void test_park_two_spinning_threads_lose_no_wake_up(void **state)
{
    (void)state;
    expect_no_loss_between_threads(2, spin_ns);
}

static void test_park_four_threads_in_a_ring_lose_no_wake_up(void **state)
{
    (void)state;
    expect_no_loss_between_threads(4, 0);
}

static void test_park_two_sleeping_processes_lose_no_wake_up(void **state)
{
    (void)state;
    expect_no_loss_between_processes(2, 0);
}

static void test_park_two_spinning_processes_lose_no_wake_up(void **state)
{
    (void)state;
    expect_no_loss_between_processes(2, spin_ns);
}

static void test_park_four_processes_in_a_ring_lose_no_wake_up(void **state)
{
    (void)state;
    expect_no_loss_between_processes(4, 0);
}

/* ---- a late rouse and a new sleeper ---- */

static int await_at_least(const _Atomic int *word, int value)
{
    int64_t deadline = fmi_deadline_after(2 * lost_ns);
    while (atomic_load(word) < value && fmi_now_ns() < deadline)
        sched_yield();
    return atomic_load(word) >= value;
}

static void *sleep_on_each(void *arg)
{
    struct game *game = arg;
    for (int race = 1; race <= RACES; race++) {
        await_at_least(&game->turn, race);
        uint32_t seen = fmi_park_seen(&game->park);
        atomic_store(&game->n_ready, race);
        if (fmi_park(&game->park, seen, 0, fmi_deadline_after(lost_ns)) == -ETIMEDOUT)
            return game;
        atomic_store(&game->n_woken, race);
    }
    return NULL;
}

static void pass_ticks(uint64_t n)
{
    for (uint64_t begin = fmi_ticks(); fmi_ticks() - begin < n;)
        fmi_relax();
}

/* Rouses while the other falls asleep on the number that was just announced; then wakes it in earnest. */
static void rouse_late(struct game *game, int race)
{
    fmi_park_announce(&game->park);
    atomic_store(&game->turn, race);
    await_at_least(&game->n_ready, race);
    pass_ticks((uint64_t)race * 7 % 2000);
    fmi_park_rouse(&game->park);
    pass_ticks(20000);
    fmi_park_wake(&game->park);
}

static void test_park_rouse_that_races_with_a_new_sleeper_costs_no_wake_up(void **state)
{
    (void)state;
    struct game *game = new_game(2, 0);
    pthread_t sleeper;
    void *lost;
    assert_int_equal(pthread_create(&sleeper, NULL, sleep_on_each, game), 0);
    for (int race = 1; race <= RACES; race++) {
        rouse_late(game, race);
        if (!await_at_least(&game->n_woken, race))
            break;
    }
    pthread_join(sleeper, &lost);
    assert_null(lost);
    end_game(game);
}

static void sleep_until_turn(void *arg)
{
    struct game *game = arg;
    for (;;) {
        uint32_t seen = fmi_park_seen(&game->park);
        if (atomic_load(&game->turn) != 0)
            break;
        atomic_fetch_add(&game->n_ready, 1);
        if (fmi_park(&game->park, seen, 0, fmi_deadline_after(lost_ns)) == -ETIMEDOUT)
            _exit(LOST);
    }
    atomic_fetch_add(&game->n_woken, 1);
}

/* ---- system calls, counted and held by a tracer ---- */

static void be_traced(void)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(NO_PTRACE);
    raise(SIGSTOP);
}

static void sleep_traced(void *arg)
{
    be_traced();
    sleep_until_turn(arg);
}

static void wake_often_traced(void *arg)
{
    struct game *game = arg;
    be_traced();
    for (int i = 0; i < 100; i++)
        fmi_park_wake(&game->park);
}

static void begin_trace(pid_t pid)
{
    int status = 0;
    waitpid(pid, &status, 0);
    if (t_exit_code(status) == NO_PTRACE)
        t_skip("ptrace of an own child");
    assert_true(WIFSTOPPED(status));
    ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
}

static int is_futex_entry(pid_t pid)
{
    struct __ptrace_syscall_info info;
    memset(&info, 0, sizeof info);
    return ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0 &&
           info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_futex;
}

/* Runs a traced child until it enters futex(2): 1. 0: it has ended, with *status. */
static int run_to_futex(pid_t pid, int *status)
{
    long signal = 0;
    for (;;) {
        ptrace(PTRACE_SYSCALL, pid, NULL, signal);
        if (waitpid(pid, status, 0) != pid || !WIFSTOPPED(*status))
            return 0;
        signal = WSTOPSIG(*status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(*status);
        if (signal == 0 && is_futex_entry(pid))
            return 1;
    }
}

static int n_futex_calls(pid_t pid)
{
    int status, n = 0;
    begin_trace(pid);
    while (run_to_futex(pid, &status))
        n++;
    assert_int_equal(t_exit_code(status), 0);
    return n;
}

static void test_park_rouse_between_flag_and_sleep_costs_no_later_wake_up(void **state)
{
    (void)state;
    struct game *game = new_game(2, 0);
    int status;
    fmi_park_announce(&game->park);
    pid_t pid = t_start_child(sleep_traced, game);
    begin_trace(pid);
    assert_true(run_to_futex(pid, &status));
    fmi_park_rouse(&game->park);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
    t_wait_until_asleep(&game->n_ready, 1, pid);
    atomic_store(&game->turn, 1);
    fmi_park_wake(&game->park);
    assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
    end_game(game);
}

static void test_park_wake_without_sleepers_makes_no_system_call(void **state)
{
    (void)state;
    struct game *game = new_game(1, 0);
    assert_int_equal(n_futex_calls(t_start_child(wake_often_traced, game)), 0);
    end_game(game);
}

static void test_park_wakes_after_the_last_sleeper_has_gone_make_no_system_call(void **state)
{
    (void)state;
    struct game *game = new_game(2, 0);
    pid_t sleeper = t_start_child(sleep_until_turn, game);
    t_wait_until_asleep(&game->n_ready, 1, sleeper);
    atomic_store(&game->turn, 1);
    assert_int_equal(n_futex_calls(t_start_child(wake_often_traced, game)), 1);
    assert_int_equal(t_exit_code(t_wait_child(sleeper)), 0);
    end_game(game);
}

/* ---- who is woken ---- */

static void test_park_one_wake_reaches_every_sleeper(void **state)
{
    (void)state;
    struct game *game = new_game(N_SLEEPERS, 0);
    pid_t pids[N_SLEEPERS];
    for (int i = 0; i < N_SLEEPERS; i++) {
        pids[i] = t_start_child(sleep_until_turn, game);
        t_wait_until_asleep(&game->n_ready, i + 1, pids[i]);
    }
    atomic_store(&game->turn, 1);
    fmi_park_wake(&game->park);
    for (int i = 0; i < N_SLEEPERS; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
    end_game(game);
}

static void test_park_announce_ends_spins_and_leaves_sleepers_asleep(void **state)
{
    (void)state;
    struct game *game = new_game(2, 0);
    uint32_t seen = fmi_park_seen(&game->park);
    pid_t pid = t_start_child(sleep_until_turn, game);
    t_wait_until_asleep(&game->n_ready, 1, pid);
    assert_int_equal(fmi_park_spin(&game->park, seen, 1000), 0);
    atomic_store(&game->turn, 1);
    assert_int_equal(fmi_park_announce(&game->park), 0); /* somebody sleeps */
    assert_int_equal(fmi_park_spin(&game->park, seen, 1000), 1);
    assert_int_equal(atomic_load(&game->n_woken), 0);
    fmi_park_rouse(&game->park);
    assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
    assert_int_equal(fmi_park_announce(&game->park), 1); /* nobody does any more */
    end_game(game);
}

static void test_park_on_a_stale_number_returns_at_once(void **state)
{
    (void)state;
    struct game *game = new_game(1, 0);
    uint32_t seen = fmi_park_seen(&game->park);
    fmi_park_wake(&game->park);
    assert_int_equal(fmi_park(&game->park, seen, 0, FMI_NEVER), 0);
    assert_int_equal(fmi_park(&game->park, seen, spin_ns, FMI_NEVER), 0);
    assert_int_equal(fmi_park_alive(&game->park, seen, 0, &game->life.word, 0, FMI_NEVER), 0);
    end_game(game);
}

static void test_park_nobody_wakes_gives_etimedout(void **state)
{
    (void)state;
    struct game *game = new_game(1, 0);
    uint32_t seen = fmi_park_seen(&game->park);
    assert_int_equal(fmi_park(&game->park, seen, 0, fmi_deadline_after(FM_MS(2))), -ETIMEDOUT);
    assert_int_equal(fmi_park(&game->park, seen, 0, fmi_now_ns() - 1), -ETIMEDOUT);
    assert_int_equal(fmi_park(&game->park, seen, spin_ns, fmi_deadline_after(0)), -ETIMEDOUT);
    assert_int_equal(
        fmi_park_alive(&game->park, seen, 0, &game->life.word, 0, fmi_deadline_after(FM_MS(2))),
        -ETIMEDOUT);
    assert_int_equal(fmi_park_seen(&game->park), seen);
    end_game(game);
}

static void test_park_init_makes_dirty_bytes_usable(void **state)
{
    (void)state;
    struct fmi_park_shm park;
    memset(&park, 0xa5, sizeof park);
    fmi_park_init(&park);
    uint32_t seen = fmi_park_seen(&park);
    assert_int_equal(fmi_park(&park, seen, 0, fmi_now_ns()), -ETIMEDOUT);
    fmi_park_wake(&park);
    assert_int_not_equal(fmi_park_seen(&park), seen);
    for (int i = 0; i < 7; i++)
        assert_int_equal(atomic_load(&park.beside[i]), 0);
}

static void do_nothing(int signal)
{
    (void)signal;
}

static void park_with_a_handler(void *arg)
{
    struct game *game = arg;
    struct sigaction action = {.sa_handler = do_nothing};
    sigaction(SIGUSR1, &action, NULL);
    uint32_t seen = fmi_park_seen(&game->park);
    atomic_fetch_add(&game->n_ready, 1);
    int rc = game->spin == 0 ? fmi_park(&game->park, seen, 0, FMI_NEVER)
                             : fmi_park_alive(&game->park, seen, 0, &game->life.word, 0, FMI_NEVER);
    _exit(rc == -EINTR ? 0 : LOST);
}

static void test_park_signal_gives_eintr(void **state)
{
    (void)state;
    for (int alive = 0; alive < 2; alive++) {
        struct game *game = new_game(1, alive);
        pid_t pid = t_start_child(park_with_a_handler, game);
        t_wait_until_asleep(&game->n_ready, 1, pid);
        kill(pid, SIGUSR1);
        assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
        end_game(game);
    }
}

/* ---- deaths ---- */

static void take_turn(void *arg)
{
    struct game *game = arg;
    atomic_store(&game->turn, 1);
    fmi_park_wake(&game->park);
}

/* A waker dies at `point`; its change is made and its sleeper sleeps on until `cover` is called by another. */
static void expect_covered(const char *point, void (*cover)(struct fmi_park_shm *))
{
    struct game *game = new_game(2, 0);
    arm(point);
    pid_t sleeper = t_start_child(sleep_until_turn, game);
    t_wait_until_asleep(&game->n_ready, 1, sleeper);
    int status = t_in_child(take_turn, game);
    arm(NULL);
    assert_int_equal(t_signal(status), SIGKILL);
    assert_int_equal(atomic_load(&game->n_woken), 0);
    cover(&game->park);
    assert_int_equal(t_exit_code(t_wait_child(sleeper)), 0);
    end_game(game);
}

static void test_park_waker_killed_before_it_announces_is_covered_by_the_next_wake(void **state)
{
    (void)state;
    expect_covered("park.announce", fmi_park_wake);
}

static void test_park_waker_killed_before_it_rouses_is_covered_by_the_next_wake(void **state)
{
    (void)state;
    expect_covered("park.rouse", fmi_park_wake);
}

static void test_park_waker_killed_with_the_flag_is_covered_by_the_warden(void **state)
{
    (void)state;
    expect_covered("park.taken", fmi_park_wake_all);
}

static void test_park_sleeper_killed_in_its_sleep_does_not_hinder_the_others(void **state)
{
    (void)state;
    struct game *game = new_game(2, 0);
    pid_t first = t_start_child(sleep_until_turn, game);
    t_wait_until_asleep(&game->n_ready, 1, first);
    pid_t second = t_start_child(sleep_until_turn, game);
    t_wait_until_asleep(&game->n_ready, 2, second);
    kill(first, SIGKILL);
    assert_int_equal(t_signal(t_wait_child(first)), SIGKILL);
    atomic_store(&game->turn, 1);
    fmi_park_wake(&game->park);
    assert_int_equal(t_exit_code(t_wait_child(second)), 0);
    end_game(game);
}

static void test_park_sleeper_killed_before_it_sleeps_leaves_nothing(void **state)
{
    (void)state;
    struct game *game = new_game(2, 0);
    arm("park.sleep");
    int status = t_in_child(sleep_until_turn, game);
    arm(NULL);
    assert_int_equal(t_signal(status), SIGKILL);
    assert_int_equal(n_futex_calls(t_start_child(wake_often_traced, game)), 0);
    end_game(game);
}

static void live(void *arg)
{
    struct game *game = arg;
    if (fmi_sys_life_begin(&game->life) != 0)
        _exit(1);
    atomic_store(&game->turn, 1);
    for (;;)
        pause();
}

static void park_on_a_life(void *arg)
{
    struct game *game = arg;
    uint32_t life = atomic_load(&game->life.word);
    atomic_fetch_add(&game->n_ready, 1);
    while ((atomic_load(&game->life.word) & FMI_LIFE_OVER) == 0)
        if (fmi_park_alive(&game->park, fmi_park_seen(&game->park), 0, &game->life.word, life,
                           fmi_deadline_after(lost_ns)) == -ETIMEDOUT)
            _exit(LOST);
}

static void expect_death_to_end_parks(int n)
{
    struct game *game = new_game(n, 0);
    pid_t pids[N_SLEEPERS], owner = t_start_child(live, game);
    assert_true(await_at_least(&game->turn, 1));
    for (int i = 0; i < n; i++) {
        pids[i] = t_start_child(park_on_a_life, game);
        t_wait_until_asleep(&game->n_ready, i + 1, pids[i]);
    }
    kill(owner, SIGKILL);
    assert_int_equal(t_signal(t_wait_child(owner)), SIGKILL);
    for (int i = 0; i < n; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
    end_game(game);
}

static void test_park_alive_ends_when_the_owner_of_the_life_is_killed(void **state)
{
    (void)state;
    expect_death_to_end_parks(1);
}

static void test_park_alive_ends_for_every_waiter_of_one_life(void **state)
{
    (void)state;
    expect_death_to_end_parks(N_SLEEPERS);
}

static void test_park_alive_on_a_life_that_is_over_returns_at_once(void **state)
{
    (void)state;
    struct game *game = new_game(1, 0);
    atomic_store(&game->life.word, 4711 | FMI_LIFE_OVER);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fmi_park_alive(&game->park, fmi_park_seen(&game->park), 0,
                                        &game->life.word, 4711, FMI_NEVER),
                         0);
    end_game(game);
}

T_MAIN(T_TEST(test_park_two_sleeping_threads_lose_no_wake_up),
       T_TEST(test_park_two_spinning_threads_lose_no_wake_up),
       T_TEST(test_park_four_threads_in_a_ring_lose_no_wake_up),
       T_TEST(test_park_two_sleeping_processes_lose_no_wake_up),
       T_TEST(test_park_two_spinning_processes_lose_no_wake_up),
       T_TEST(test_park_four_processes_in_a_ring_lose_no_wake_up),
       T_TEST(test_park_rouse_that_races_with_a_new_sleeper_costs_no_wake_up),
       T_TEST(test_park_rouse_between_flag_and_sleep_costs_no_later_wake_up),
       T_TEST(test_park_wake_without_sleepers_makes_no_system_call),
       T_TEST(test_park_wakes_after_the_last_sleeper_has_gone_make_no_system_call),
       T_TEST(test_park_one_wake_reaches_every_sleeper),
       T_TEST(test_park_announce_ends_spins_and_leaves_sleepers_asleep),
       T_TEST(test_park_on_a_stale_number_returns_at_once),
       T_TEST(test_park_nobody_wakes_gives_etimedout),
       T_TEST(test_park_init_makes_dirty_bytes_usable), T_TEST(test_park_signal_gives_eintr),
       T_TEST(test_park_waker_killed_before_it_announces_is_covered_by_the_next_wake),
       T_TEST(test_park_waker_killed_before_it_rouses_is_covered_by_the_next_wake),
       T_TEST(test_park_waker_killed_with_the_flag_is_covered_by_the_warden),
       T_TEST(test_park_sleeper_killed_in_its_sleep_does_not_hinder_the_others),
       T_TEST(test_park_sleeper_killed_before_it_sleeps_leaves_nothing),
       T_TEST(test_park_alive_ends_when_the_owner_of_the_life_is_killed),
       T_TEST(test_park_alive_ends_for_every_waiter_of_one_life),
       T_TEST(test_park_alive_on_a_life_that_is_over_returns_at_once))
