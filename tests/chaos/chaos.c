/* SPDX-License-Identifier: MIT */
/*
 * The chaos driver: hosts that map while their processes are killed, and a watchdog that looks from outside.
 *
 *   chaos [--kills N] [--seed S] [--host H] [--hang SECONDS] [--log FILE] [--json FILE] [--commit TEXT] [--aim POINT] [--expect-findings]
 *
 * watchdog (this process) ──fork──> host ── warden ── workers      one host at a time; files: watch.h, host.h
 *                                    └ killer, a thread             killer.h; what it does is decided by plan.h
 *
 * The same seed makes the same decisions; --host H begins with host H, near what a long run has found. --aim has half of the kills done at one transition
 * (FMI_FAULT). Exit code 0; 1 if anything was found that must not
 * be; 2 for wrong arguments. With --expect-findings it ends at the first finding and says 0, or 1 if there was none: that is how the driver
 * is tested, on engines that are broken on purpose (mutants/).
 */
#include "board.h"
#include "host.h"
#include "report.h"
#include "watch.h"

#include <forkmap/forkmap.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_US = 1000, N_KILLS = 10000, HANG_S = 20 };
#define PROGRESS_NS 10000000000
#define JSON_NS     60000000000

struct watched { /* one host */
    struct chaos_host_plan plan;
    pid_t pid;
    int64_t begin_ns, ready_ns; /* ready_ns: when it was seen to be ready; 0: not yet */
    int is_noted, was_killed, was_hung;
};

static void kill_host(struct chaos_run *run, struct watched *h)
{
    chaos_watch_note_memory(h->pid);
    h->was_killed = 1;
    kill(h->pid, SIGKILL);
    atomic_fetch_add(&run->board->n_kills[CHAOS_HOST], 1);
}

static int is_due(struct chaos_run *run, struct watched *h, int64_t now)
{
    int64_t delay_ns = h->plan.end_us * (int64_t)1000;
    if (h->was_killed)
        return 0;
    if (h->plan.end == CHAOS_HOST_IS_KILLED_EARLY)
        return now - h->begin_ns >= delay_ns;
    if (h->plan.end != CHAOS_HOST_IS_KILLED || !atomic_load(&run->board->is_ready))
        return 0;
    if (h->ready_ns == 0)
        h->ready_ns = now;
    return now - h->ready_ns >= delay_ns;
}

static void end_hung(struct chaos_run *run, struct watched *h, int64_t now)
{
    struct chaos_board *b = run->board;
    unsigned phase = atomic_load(&b->phase);
    chaos_find(b, CHAOS_HANG, "%s (%s) for %.1f s", chaos_phase_name(phase),
               phase == CHAOS_MAPS ? chaos_work_name((int)atomic_load(&b->work)) : "no map",
               (double)(now - atomic_load(&b->since_ns)) / 1e9);
    chaos_watch_dump(!run->expects_findings);
    h->was_hung = 1;
    kill(h->pid, SIGKILL);
}

static void look_at(struct chaos_run *run, struct watched *h)
{
    struct chaos_board *b = run->board;
    int64_t now = chaos_now_ns();
    if (chaos_board_kills(b) >= run->n_wanted ||
        (run->expects_findings && chaos_board_found(b) > 0))
        atomic_store(&b->is_over, 1);
    if (!h->is_noted && atomic_load(&b->is_mapping)) {
        chaos_watch_note_memory(h->pid);
        h->is_noted = 1;
    }
    if (is_due(run, h, now))
        kill_host(run, h);
    else if (!h->was_hung && now - atomic_load(&b->since_ns) > run->hang_ns)
        end_hung(run, h, now);
}

static void judge_end(struct chaos_run *run, const struct watched *h, int status)
{
    if (h->was_hung || (h->was_killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
        return;
    if (WIFSIGNALED(status))
        chaos_find(run->board, CHAOS_CRASH, "the host ended by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 1) /* 1: it has told why */
        chaos_find(run->board, CHAOS_CRASH, "the host ended with code %d", WEXITSTATUS(status));
}

static void tell_progress(struct chaos_run *run, int64_t *told_ns, int64_t *written_ns)
{
    int64_t now = chaos_now_ns();
    if (now - *told_ns >= PROGRESS_NS) {
        chaos_report_progress(run);
        *told_ns = now;
    }
    if (now - *written_ns >= JSON_NS) {
        chaos_report_json(run, 0);
        *written_ns = now;
    }
}

static void run_host(struct chaos_run *run, uint64_t number)
{
    struct chaos_board *b = run->board;
    struct watched h = {.plan = chaos_plan_host(run->seed, number), .begin_ns = chaos_now_ns()};
    static int64_t told_ns, written_ns;
    int status = 0;
    if (told_ns == 0)
        told_ns = written_ns = h.begin_ns;
    atomic_store(&b->host, number);
    atomic_store(&b->pool, 0);
    atomic_store(&b->is_mapping, 0);
    atomic_store(&b->is_ready, 0);
    chaos_board_enter(b, CHAOS_STARTS);
    fflush(NULL); /* or the host would print it again */
    h.pid = fork();
    if (h.pid == 0)
        chaos_host_run(b, run->seed, number);
    if (h.pid < 0) {
        perror("chaos: fork");
        exit(3); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    while (!chaos_watch_reap(h.pid, &status)) {
        look_at(run, &h);
        tell_progress(run, &told_ns, &written_ns);
        chaos_sleep_us(LOOK_US);
    }
    judge_end(run, &h, status);
    int64_t took = chaos_watch_end(b);
    if (took > run->slowest_end_ns)
        run->slowest_end_ns = took;
    run->n_hosts++;
}

static int is_done(const struct chaos_run *run)
{
    return chaos_board_kills(run->board) >= run->n_wanted ||
           (run->expects_findings && chaos_board_found(run->board) > 0);
}

static _Noreturn void misuse(const char *program)
{
    fprintf(stderr,
            "usage: %s [--kills N] [--seed S] [--host H] [--hang SECONDS] [--log FILE] "
            "[--json FILE] [--commit TEXT] [--aim POINT] [--expect-findings]\n",
            program);
    exit(2); /* NOLINT(concurrency-mt-unsafe): one thread */
}

static uint64_t number_of(const char *program, const char *text)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0')
        misuse(program);
    return n;
}

static void read_arguments(struct chaos_run *run, int argc, char **argv)
{
    static const struct option options[] = {{"kills", 1, NULL, 'k'},
                                            {"seed", 1, NULL, 's'},
                                            {"host", 1, NULL, 'o'},
                                            {"hang", 1, NULL, 'g'},
                                            {"log", 1, NULL, 'l'},
                                            {"json", 1, NULL, 'j'},
                                            {"commit", 1, NULL, 'c'},
                                            {"aim", 1, NULL, 'a'},
                                            {"expect-findings", 0, NULL, 'x'},
                                            {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) { /* NOLINT: one thread */
        if (c == 'k')
            run->n_wanted = number_of(argv[0], optarg);
        else if (c == 's')
            run->seed = number_of(argv[0], optarg);
        else if (c == 'o')
            run->first_host = number_of(argv[0], optarg);
        else if (c == 'g')
            run->hang_ns = (int64_t)number_of(argv[0], optarg) * 1000000000;
        else if (c == 'l')
            run->log_path = optarg;
        else if (c == 'j')
            run->json_path = optarg;
        else if (c == 'c')
            run->commit = optarg;
        else if (c == 'a' && chaos_plan_aim(optarg) != 0)
            misuse(argv[0]);
        else if (c == 'x')
            run->expects_findings = 1;
        else if (c != 'a')
            misuse(argv[0]);
    }
    if (optind != argc || run->n_wanted == 0 || run->hang_ns == 0)
        misuse(argv[0]);
}

int main(int argc, char **argv)
{
    fm_init(argc, argv); /* a host's processes may be this program again */
    struct rlimit no_core = {0, 0};
    struct chaos_run run = {.board = chaos_board_new(),
                            .seed = (uint64_t)chaos_now_ns() % 1000000000,
                            .n_wanted = N_KILLS,
                            .hang_ns = HANG_S * (int64_t)1000000000,
                            .commit = ""};
    read_arguments(&run, argc, argv);
    if (run.board == NULL) {
        perror("chaos: mmap");
        return 3;
    }
    setrlimit(RLIMIT_CORE, &no_core);
    run.is_apart = chaos_watch_begin();
    run.begin_ns = chaos_now_ns();
    printf("chaos: --seed %llu repeats these decisions\n", (unsigned long long)run.seed);
    for (uint64_t number = run.first_host; !is_done(&run); number++)
        run_host(&run, number);
    chaos_report_summary(&run);
    chaos_report_json(&run, 1);
    int has_findings = chaos_board_found(run.board) > 0;
    if (run.expects_findings)
        return has_findings ? 0 : 1;
    return has_findings ? 1 : 0;
}
