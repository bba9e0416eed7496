/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 120 */
/*
 * A host lives a whole life with pools and a process: maps of each kind, calls, a stream, reductions, workers that are replaced, a resize, the end. A first life is only
 * watched: which process passes which fault point. Then comes a life for each pair of the two, in which that process is killed as it first passes that point.
 * Who loses a worker notices nothing; who loses a warden, a keeper or a forkserver is right all the same or gets the documented code. Nobody waits for ever, and
 * nothing is left.
 */
#include "t_stream.h"
#include "victim.h"

#include "fault.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef FORKMAP_FAULTS

enum { N_ITEMS = 200, N_ROWS = 20000, N_CALLS = 12, N_STREAMED = 60, N_RECYCLED = 24 };
enum { MAX_PAIRS = 400, STOPPED_MS = 20 };

/* Exit codes of a host. What is wrong in it is told on stderr. */
enum { SOUND = 0, BROKEN = 10, WRONG = 11 };
/* What parts of a life return beside codes of the library. */
enum { WRONG_RESULT = 1 };

/* ---- a life; no assertion, it is lived in a child ----------------------------------------------------- */

static int add_seven(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item + 7;
    return 0;
}

/* The first take long: who is through with its share steals of these. */
static int add_seven_slowly_at_first(const void *item, void *result, void *arg)
{
    if (*(const int64_t *)item < 10)
        t_sleep_us(200);
    return add_seven(item, result, arg);
}

static int add_seven_to_all(const fm_chunk *chunk, void *arg)
{
    for (int64_t i = 0; i < chunk->count; i++) {
        char *row = (char *)chunk->out + i * chunk->out_stride;
        add_seven(row, row, arg);
    }
    return 0;
}

static int fail_every_fiftieth(const void *item, void *result, void *arg)
{
    add_seven(item, result, arg);
    return *(const int64_t *)item % 50 == 3 ? 1 : 0;
}

static int keep_even(const void *item, void *result, void *arg)
{
    (void)arg;
    *(uint8_t *)result = *(const int64_t *)item % 2 == 0;
    return 0;
}

static int call(const void *arg, void *result)
{
    t_sleep_us(50);
    return add_seven(arg, result, NULL);
}

static int return_seven(void *arg)
{
    (void)arg;
    return 7;
}

static int count_up(fm_array **out, int64_t n)
{
    return fm_array_arange(out, FM_I64, 0, (double)n, 1);
}

static int is_all(fm_array *a, int64_t plus)
{
    const int64_t *x = fm_array_data(a);
    for (int64_t i = 0; i < fm_array_len(a); i++)
        if (x[i] != i + plus)
            return 0;
    return 1;
}

static int map_in_place(fm_pool *pool)
{
    FM_AUTO(fm_array) a = NULL;
    const fm_map_opts *opts = FM_MAP_OPTS(.flags = FM_IN_PLACE, .chunk = 5);
    int rc = count_up(&a, N_ITEMS);
    if (rc == 0)
        rc = fm_pool_map(pool, add_seven_slowly_at_first, a, a, opts);
    if (rc == 0)
        rc = fm_pool_map_chunks(pool, add_seven_to_all, a, a, FM_MAP_OPTS(.flags = FM_IN_PLACE));
    return rc != 0 ? rc : is_all(a, 14) ? 0 : WRONG_RESULT;
}

static int map_failing(fm_pool *pool)
{
    FM_AUTO(fm_array) out = NULL;
    int64_t n = N_ITEMS;
    int rc = fm_array_zeros(&out, FM_I64, 1, &n);
    if (rc == 0)
        rc = fm_pool_map_range(pool, fail_every_fiftieth, 0, n, out,
                               FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE));
    if (rc != FM_ETASK)
        return rc == 0 ? WRONG_RESULT : rc;
    return fm_pool_failures(pool, NULL, 0) == N_ITEMS / 50 ? 0 : WRONG_RESULT;
}

static int make_calls(fm_pool *pool)
{
    fm_result *results[N_CALLS] = {0};
    int64_t sums[N_CALLS] = {0};
    int rc = 0;
    for (int64_t i = 0; i < N_CALLS && rc == 0; i++)
        rc = fm_pool_apply_async(pool, call, &i, sizeof i, &sums[i], sizeof sums[i], NULL,
                                 &results[i]);
    for (int64_t i = 0; i < N_CALLS && rc == 0; i++)
        if ((rc = fm_result_get(results[i], FM_FOREVER)) == 0 && sums[i] != i + 7)
            rc = WRONG_RESULT;
    for (int i = 0; i < N_CALLS; i++)
        fm_result_free(results[i]);
    return rc;
}

static int take_a_stream(fm_pool *pool)
{
    FM_AUTO(fm_stream) stream = NULL;
    fm_stream_item item;
    int rc = fm_pool_imap(pool, t_square, fm_source_range(0, N_STREAMED), T_RESULT_I64, &stream);
    for (int64_t i = 0; i < N_STREAMED && rc == 0; i++) {
        rc = fm_stream_next(stream, &item, FM_FOREVER);
        if (rc == 0 && (item.failure != NULL || *(const int64_t *)item.result != i * i))
            rc = WRONG_RESULT;
    }
    return rc;
}

static int add(void *into, const void *from, void *arg)
{
    (void)arg;
    *(int64_t *)into += *(const int64_t *)from;
    return 0;
}

static int reduce(fm_pool *pool)
{
    FM_AUTO(fm_array) a = NULL;
    FM_AUTO(fm_array) out = NULL;
    int64_t sum = 0, combined = 0, n_kept = 0, zero = 0, n = N_ROWS;
    int rc = count_up(&a, n);
    if (rc == 0)
        rc = fm_array_zeros(&out, FM_I64, 1, &n);
    if (rc == 0)
        rc = fm_pool_reduce(pool, a, FM_SUM, &sum, sizeof sum, NULL);
    if (rc == 0)
        rc = fm_pool_reduce(pool, a, FM_COMBINE, &combined, sizeof combined,
                            FM_REDUCE_OPTS(.combine = add, .identity = &zero));
    if (rc == 0)
        rc = fm_pool_scan(pool, a, FM_SUM, out, NULL);
    if (rc == 0 && (sum != n * (n - 1) / 2 || combined != sum ||
                    ((int64_t *)fm_array_data(out))[n - 1] != sum))
        rc = WRONG_RESULT;
    if (rc == 0)
        rc = fm_pool_filter(pool, keep_even, a, out, &n_kept, NULL);
    return rc == 0 && n_kept != n / 2 ? WRONG_RESULT : rc;
}

/* A worker that dies as it starts fails an open or a resize: then there is no pool, or it is as it was. */
static int is_start_death(int rc)
{
    return rc == FM_EINIT && fmi_fault_victim() != 0;
}

static int resize(fm_pool *pool)
{
    int rc = fm_pool_resize(pool, 3);
    if (is_start_death(rc))
        rc = 0;
    if (rc == 0)
        rc = map_in_place(pool);
    if (rc == 0)
        rc = fm_pool_resize(pool, 1);
    return rc == 0 ? map_in_place(pool) : rc;
}

static int recycle(fm_pool *pool)
{
    FM_AUTO(fm_array) a = NULL;
    int rc = count_up(&a, N_RECYCLED);
    if (rc == 0)
        rc = fm_pool_map(pool, add_seven, a, a, FM_MAP_OPTS(.flags = FM_IN_PLACE, .chunk = 2));
    return rc != 0 ? rc : is_all(a, 7) ? 0 : WRONG_RESULT;
}

/* In order, as long as all is well. */
static int live_in_pool(const fm_pool_opts *opts, int (*const parts[])(fm_pool *), size_t n)
{
    fm_pool *pool;
    int rc = fm_pool_open(&pool, opts);
    if (is_start_death(rc))
        return pool == NULL ? 0 : WRONG_RESULT;
    for (size_t i = 0; i < n && rc == 0; i++)
        if ((rc = parts[i](pool)) != 0 && rc != FM_EBROKEN)
            fprintf(stderr, "part %zu: %s: %s\n", i, fm_errname(rc), fm_error_detail());
    if (rc == 0)
        rc = fm_pool_close(pool);
    if (rc == 0)
        rc = fm_pool_join(pool, FM_FOREVER);
    int last = pool != NULL ? fm_pool_destroy(pool) : 0;
    return rc != 0 ? rc : last;
}

static int live_with_a_process(void)
{
    fm_process *p;
    int code = 0, rc = fm_process_create(&p, return_seven, NULL, 0, NULL);
    if (rc == 0)
        rc = fm_process_start(p);
    if (rc == 0)
        rc = fm_process_join(p, FM_FOREVER);
    if (rc == 0)
        rc = fm_process_exitcode(p, &code);
    if (rc == 0 && code != 7)
        rc = code == -SIGKILL && fmi_fault_victim() != 0 ? 0 : WRONG_RESULT;
    int last = fm_process_close(p);
    return rc != 0 ? rc : last;
}

static void live(void *arg)
{
    static int (*const all[])(fm_pool *) = {map_in_place,  map_failing, make_calls,
                                            take_a_stream, reduce,      resize};
    static int (*const recycling[])(fm_pool *) = {recycle};
    (void)arg;
    fmi_fault_spare_this_process();
    int rc = live_in_pool(FM_POOL_OPTS(.workers = 2, .max_workers = 3), all, T_N_OF(all));
    if (rc == 0)
        rc = live_in_pool(FM_POOL_OPTS(.workers = 2, .max_tasks_per_worker = 4), recycling, 1);
    if (rc == 0)
        rc = live_with_a_process();
    if (rc != 0 && rc != FM_EBROKEN)
        fprintf(stderr, "%s: %s\n", fm_errname(rc), fm_error_detail());
    fm_forkserver_stop();
    _exit(rc == 0 ? SOUND : rc == FM_EBROKEN ? BROKEN : WRONG);
}

/* ---- who passes what ---------------------------------------------------------------------------------- */

struct pair {
    char point[40], process[16];
};

static int find_pair(const struct pair *pairs, int n, const char *point, const char *process)
{
    for (int i = 0; i < n; i++)
        if (strcmp(pairs[i].point, point) == 0 && strcmp(pairs[i].process, process) == 0)
            return 1;
    return 0;
}

/* As t_assert_all_gone, which reads all of /proc: too slow after each of hundreds of lives. */
static void await_all(void)
{
    for (int i = 0; i < 10000; i++) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0)
            return;
        if (pid == 0)
            t_sleep_us(200);
    }
    fail_msg("%d processes are left after two seconds", t_n_children());
}

/* Some points need a collision, so several lives are watched. */
static int watch(struct pair pairs[MAX_PAIRS])
{
    const char *point, *process;
    int n = 0;
    for (int round = 0; round < 3; round++) {
        fmi_fault_watch();
        assert_int_equal(t_exit_code(t_in_child(live, NULL)), SOUND);
        await_all();
        for (int i = 0; fmi_fault_seen(i, &point, &process); i++) {
            if (find_pair(pairs, n, point, process))
                continue;
            assert_true(n < MAX_PAIRS);
            snprintf(pairs[n].point, sizeof pairs[n].point, "%s", point);
            snprintf(pairs[n++].process, sizeof pairs[n].process, "%s", process);
        }
    }
    return n;
}

static void expect_point(const struct pair *pairs, int n, const char *point)
{
    for (int i = 0; i < n; i++)
        if (strcmp(pairs[i].point, point) == 0)
            return;
    fail_msg("nobody has passed %s", point);
}

/* Every life passes these; and by one method some that others do not have. */
static void expect_points(const struct pair *pairs, int n, int method)
{
    static const char *const always[] = {
        "sys.fork",        "worker.initialize", "worker.ready",  "worker.leave",    "worker.retire",
        "worker.retiring", "worker.retired",    "standby.ready", "standby.waiting", "standby.turn",
        "serve.inside",    "serve.leave",       "serve.left",    "run.enter",       "range.intend",
        "range.claim",     "range.claimed",     "range.finish",  "range.finished",  "undo.saved",
        "call.item",       "call.chunk",        "job.finish",    "job.finished",    "record.link",
        "record.append",   "task.pick",         "task.picked",   "task.take",       "task.taken",
        "task.called",     "task.item",         "task.end",      "task.ended",      "blocks.added",
        "blocks.stored",   "keeper.fork",       "keeper.forked", "keeper.publish",  "process.begin",
        "process.leave"};
    static const char *const by_spawn[] = {"spawn.begin", "launch.enter", "launch.confirmed"};
    static const char *const by_server[] = {"forkserver.fork", "forkserver.answer", "launch.enter"};
    for (size_t i = 0; i < T_N_OF(always); i++)
        expect_point(pairs, n, always[i]);
    for (size_t i = 0; method == FM_SPAWN && i < T_N_OF(by_spawn); i++)
        expect_point(pairs, n, by_spawn[i]);
    for (size_t i = 0; method == FM_FORKSERVER && i < T_N_OF(by_server); i++)
        expect_point(pairs, n, by_server[i]);
}

/* Until the host has ended, whoever is stopped is continued after a while. */
static int wait_and_continue(pid_t host)
{
    int continued = 0;
    while (t_process_state(host) != 'Z') {
        int victim = fmi_fault_victim();
        t_sleep_us(500);
        if (victim == 0 || victim == continued)
            continue;
        t_sleep_us(STOPPED_MS * 1000);
        kill(victim, SIGCONT);
        continued = victim;
    }
    return t_wait_child(host);
}

static void try_pair(const struct pair *pair, int action, int *n_hit)
{
    assert_int_equal(fmi_fault_arm_to(action, 0, pair->point, 1, 1), 0);
    fmi_fault_only(pair->process);
    pid_t host = t_start_child(live, NULL);
    int code = t_exit_code(action == FMI_FAULT_STOP ? wait_and_continue(host) : t_wait_child(host));
    int must_be_sound = action == FMI_FAULT_STOP || strcmp(pair->process, "fm-w") == 0 ||
                        strcmp(pair->process, "fm-spare") == 0;
    *n_hit += fmi_fault_victim() != 0;
    if (code != SOUND && (code != BROKEN || must_be_sound))
        fail_msg("%s at %s: exit code %d", pair->process, pair->point, code);
    await_all();
}

static void sweep(int method, int action, int every)
{
    static struct pair pairs[MAX_PAIRS];
    char path[600];
    int n_hit = 0, n_tried = 0;
    snprintf(path, sizeof path, "%s/armed", t_temp_dir());
    assert_int_equal(fmi_fault_share(path), 0);
    fm_place place;
    assert_true(fm_places(&place, 1, 0, NULL) > 0); /* reads the machine once for all hosts */
    int n = watch(pairs);
    expect_points(pairs, n, method);
    for (int i = 0; i < n; i += every, n_tried++)
        try_pair(&pairs[i], action, &n_hit);
    print_message("%d pairs of point and process, %d tried, %d hit\n", n, n_tried, n_hit);
    if (getenv("T_PAIRS") != NULL)
        for (int i = 0; i < n; i++)
            print_message("%s %s\n", pairs[i].process, pairs[i].point);
    assert_true(n_hit * 10 >= n_tried * 7); /* steals and collisions are not in every life */
}
#endif

static void test_fault_sweep_kill_at_each_point_that_a_process_passes_costs_no_result(void **state)
{
    (void)state;
#ifdef FORKMAP_FAULTS
    sweep(t_method(state), FMI_FAULT_KILL, 1);
#else
    t_skip("a build with FORKMAP_FAULTS");
#endif
}

static void test_fault_sweep_stop_of_20_ms_at_a_point_changes_nothing(void **state)
{
    (void)state;
#ifdef FORKMAP_FAULTS
    sweep(t_method(state), FMI_FAULT_STOP, 8);
#else
    t_skip("a build with FORKMAP_FAULTS");
#endif
}

T_MAIN(T_EACH_METHOD(test_fault_sweep_kill_at_each_point_that_a_process_passes_costs_no_result),
       T_EACH_METHOD(test_fault_sweep_stop_of_20_ms_at_a_point_changes_nothing))
