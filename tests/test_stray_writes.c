/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 120 */
/*
 * Workers that write random bytes over control memory, at random moments: by the function that is mapped, or by a thread of the worker that runs beside it, and so
 * also between items, chunks and maps. Each run is a host of its own, in a child. It must end in time, with nobody left behind, with right results or with a
 * code that has a name; and a map that returned 0 must have the right results.
 *
 * FORKMAP_STRAY_RUNS=2000 sets how many runs each test has, FORKMAP_STRAY_SEED the first seed: a failed run names its own.
 */
#include "t.h"

#include "handle.h"
#include "heap.h"
#include "heap_layout.h"
#include "record.h"
#include "result.h"
#include "task.h"

#include <forkmap/forkmap.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define T_UNCHECKED __attribute__((no_sanitize("undefined", "address")))

enum { LIMIT_S = 40, N_RUNS = 20, N_ITEMS = 600, N_CALLS = 200, MAX_TARGETS = 400, MAX_CODES = 40 };
/* Exit codes of a host. */
enum { FINE = 0, NOT_SET_UP = 2, WRONG_RESULTS = 3, WRONG_STATE = 4, NO_SUCH_CODE = 5 };
/* What is overwritten. */
enum { OWN, NEIGHBOURS, JOB, RECORDS, TASKS, PARKS, CREW, HEAP, ARRAYS, PAGES };
/* How items are run. */
enum { BY_ITEMS, BY_CHUNKS, BY_RANGE, BY_STATUS, IN_PLACE, N_WAYS };

struct target {
    char *at;
    size_t bytes;
};

/* Shared by the host and all that it forks; never overwritten. */
struct attack {
    struct fmi_pool_view view;
    uint64_t seed;
    int what;
    int n_targets; /* for whoever strikes */
    struct target targets[MAX_TARGETS];
    int n_strikes;              /* of each process */
    int64_t at_item, die_at;    /* -1: none */
    int fail_at;                /* the function returns non-zero for this item; -1 */
    int64_t delay_ns;           /* of the threads; -1: there are none */
    _Atomic int is_on, is_over; /* maps are running */
    _Atomic int n_struck, has_died;
};
static struct attack *attack;

/* What the runs of one test came to. */
struct score {
    int n_codes;
    int codes[MAX_CODES], n[MAX_CODES];
};
static struct score *score;

/* The host's, found before anything is overwritten. */
static int64_t *in_data, *out_data;
static uint8_t *status_data;

/* ---- strikes ------------------------------------------------------------------------------------ */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t below(uint64_t *state, uint64_t n)
{
    return next_random(state) % n;
}

static void add_target(struct target *list, int *n, const void *at, size_t bytes)
{
    if (*n < MAX_TARGETS && at != NULL)
        list[(*n)++] = (struct target){(char *)(uintptr_t)at, bytes};
}

static void add_rank(struct target *list, int *n, int rank)
{
    const struct fmi_pool_view *v = &attack->view;
    struct fmi_tasks_shm *tasks = (struct fmi_tasks_shm *)atomic_load(FMI_POOL_TASKS(v->shm));
    for (int slot = 0; slot < 2; slot++) {
        int at = slot * v->n_ranks + rank;
        add_target(list, n, &v->ranges[at], sizeof v->ranges[at]);
        add_target(list, n, &v->progress[at], sizeof v->progress[at]);
    }
    add_target(list, n, &v->tallies[rank], sizeof v->tallies[rank]);
    if (fmi_heap_contains(tasks, fmi_tasks_bytes(v->n_ranks)))
        add_target(list, n, &tasks->hands[rank], sizeof tasks->hands[rank]);
}

/* Those that are there now. */
static void add_records(struct target *list, int *n)
{
    const struct fmi_pool_view *v = &attack->view;
    for (int i = 0; i < 2 * v->n_ranks; i++) {
        struct fmi_record_block_shm *block = atomic_load(&v->progress[i].records);
        if (fmi_heap_is_block(block, sizeof *block)) {
            add_target(list, n, block, 16);
            add_target(list, n, block, 16 + 2 * sizeof(fm_failure));
        }
        add_target(list, n, &v->progress[i].records, sizeof v->progress[i].records);
        add_target(list, n, (const char *)&v->progress[i] + 64, 24);
    }
}

static int list_targets(struct target *list, int rank)
{
    int n = 0;
    switch (attack->what) {
    case OWN:
        add_rank(list, &n, rank);
        break;
    case NEIGHBOURS:
        for (int i = 0; i < attack->view.n_ranks; i++)
            if (i != rank)
                add_rank(list, &n, i);
        break;
    case RECORDS:
        add_records(list, &n);
        break;
    default:
        memcpy(list, attack->targets, sizeof attack->targets);
        n = attack->n_targets;
    }
    return n;
}

/* One byte, one word, some of it, all of it. */
T_UNCHECKED static void strike(uint64_t *random, int rank)
{
    struct target list[MAX_TARGETS];
    int n = list_targets(list, rank);
    if (n == 0)
        return;
    struct target t = list[below(random, (uint64_t)n)];
    size_t first = 0, bytes = t.bytes;
    switch (below(random, 4)) {
    case 0:
        first = below(random, t.bytes);
        bytes = 1;
        break;
    case 1:
        first = below(random, t.bytes / 8) * 8;
        bytes = 8;
        break;
    case 2:
        first = below(random, t.bytes);
        bytes = 1 + below(random, t.bytes - first);
        break;
    default:
        break;
    }
    volatile unsigned char *at = (volatile unsigned char *)t.at;
    for (size_t i = first; i < first + bytes; i++)
        at[i] = (unsigned char)next_random(random);
    atomic_fetch_add(&attack->n_struck, 1);
}

static void sleep_ns(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    nanosleep(&t, NULL);
}

static void *strike_from_beside(void *arg)
{
    int rank = (int)(intptr_t)arg;
    uint64_t random = attack->seed + (uint64_t)rank * 0x9e3779b97f4a7c15 + 1;
    while (!atomic_load(&attack->is_on))
        sleep_ns(20000);
    for (int i = 0; i < attack->n_strikes && !atomic_load(&attack->is_over); i++) {
        sleep_ns((int64_t)below(&random, (uint64_t)attack->delay_ns + 1));
        strike(&random, rank);
    }
    return NULL;
}

/* The initializer. Only one rank in two, at random. */
static int start_beside(int rank, void *arg)
{
    pthread_t thread;
    (void)arg;
    if (attack->delay_ns < 0 || (attack->seed >> (20 + rank) & 1) == 0)
        return 0;
    if (pthread_create(&thread, NULL, strike_from_beside, (void *)(intptr_t)rank) == 0)
        pthread_detach(thread);
    return 0;
}

/* ---- functions ---------------------------------------------------------------------------------- */

static int64_t result_of(int64_t x)
{
    return x * 7 + 1;
}

static void meet_item(int64_t item)
{
    if (fmi_worker_self() == NULL)
        return; /* the caller's share: what its function does is the host's */
    if (item == attack->at_item) {
        uint64_t random = attack->seed ^ (uint64_t)item << 32 ^ 88172645463325252u;
        for (int i = 0; i < attack->n_strikes; i++)
            strike(&random, fmi_worker_rank());
    }
    if (item == attack->die_at && atomic_fetch_add(&attack->has_died, 1) < 2)
        raise(SIGKILL);
}

static int run_item(const void *item, void *result, void *arg)
{
    int64_t x = *(const int64_t *)item;
    (void)arg;
    meet_item(x);
    if (x % 64 == 0)
        sleep_ns(1000); /* so that all take part */
    *(int64_t *)result = result_of(x);
    return x == attack->fail_at;
}

static int run_chunk(const fm_chunk *c, void *arg)
{
    (void)arg;
    for (int64_t i = 0; i < c->count; i++) {
        int64_t x = *(const int64_t *)((const char *)c->in[0] + i * c->in_stride[0]);
        meet_item(x);
        *(int64_t *)((char *)c->out + i * c->out_stride) = result_of(x);
    }
    sleep_ns(1000);
    return 0;
}

static int run_call(const void *arg, void *result)
{
    return run_item(arg, result, NULL);
}

/* ---- the host ----------------------------------------------------------------------------------- */

static _Noreturn void end_badly(int code, const char *what, int rc)
{
    fprintf(stderr, "%s: %s: %s\n", what, fm_errname(rc), fm_error_detail());
    _exit(code);
}

static fm_array *make_vector(fm_dtype dtype, int64_t n)
{
    fm_array *a;
    int rc = fm_array_zeros(&a, dtype, 1, &n);
    if (rc != 0)
        end_badly(NOT_SET_UP, "fm_array_zeros", rc);
    return a;
}

/* Named, and negative. */
static void count_code(int rc)
{
    if (rc > 0 || strcmp(fm_errname(rc), "?") == 0)
        end_badly(NO_SUCH_CODE, "a code that there is none of", rc);
    for (int i = 0; i < MAX_CODES; i++)
        if (i == score->n_codes || score->codes[i] == rc) {
            score->n_codes += i == score->n_codes;
            score->codes[i] = rc;
            score->n[i]++;
            return;
        }
}

static void check_results(const int64_t *out, const uint8_t *states, int rc)
{
    for (int64_t i = 0; i < N_ITEMS; i++) {
        if (rc == 0 && out[i] != result_of(i)) {
            fprintf(stderr, "item %lld: %lld\n", (long long)i, (long long)out[i]);
            end_badly(WRONG_RESULTS, "a map returned 0, with wrong results", rc);
        }
        if (states == NULL)
            continue;
        if (rc == 0 && states[i] != FM_ITEM_DONE)
            end_badly(WRONG_STATE, "a map returned 0, and not all items are done", rc);
        if ((rc == FM_ETASK || rc == FM_ECRASHED) && states[i] == FM_ITEM_DONE &&
            out[i] != result_of(i))
            end_badly(WRONG_STATE, "an item is done, and its result wrong", rc);
    }
}

/* Returns what the map returned. */
static int map_once(fm_pool *pool, int way, fm_array *in, fm_array *out, fm_array *status)
{
    fm_map_opts opts = {.struct_size = sizeof opts, .retries = 2};
    uint8_t *states = NULL;
    int rc = 0;
    for (int64_t i = 0; i < N_ITEMS; i++) {
        in_data[i] = i;
        out_data[i] = way == IN_PLACE ? i : -1;
    }
    if (way == BY_ITEMS)
        rc = fm_pool_map(pool, run_item, in, out, &opts);
    if (way == BY_CHUNKS)
        rc = fm_pool_map_chunks(pool, run_chunk, in, out, &opts);
    if (way == BY_RANGE)
        rc = fm_pool_map_range(pool, run_item, 0, N_ITEMS, out, &opts);
    if (way == BY_STATUS) {
        opts.status = status;
        opts.on_error = FM_ON_ERROR_CONTINUE;
        states = status_data;
        rc = fm_pool_map(pool, run_item, in, out, &opts);
    }
    if (way == IN_PLACE) {
        opts.flags = FM_IN_PLACE;
        rc = fm_pool_map(pool, run_item, out, out, &opts);
    }
    count_code(rc);
    check_results(out_data, states, rc);
    return rc;
}

static int call_some(fm_pool *pool)
{
    fm_result *results[N_CALLS] = {NULL};
    int first = 0;
    for (int64_t i = 0; i < N_CALLS && first == 0; i++) {
        first =
            fm_pool_apply_async(pool, run_call, &i, sizeof i, NULL, sizeof i, NULL, &results[i]);
        if (first == 0 && attack->what == TASKS)
            add_target(attack->targets, &attack->n_targets, results[i]->slot->task,
                       sizeof(struct fmi_task_shm));
    }
    for (int64_t i = 0; i < N_CALLS && results[i] != NULL; i++) {
        int rc = fm_result_get(results[i], FM_FOREVER);
        const int64_t *data = rc == 0 ? fm_result_data(results[i]) : NULL;
        count_code(rc);
        if (rc == 0 && (data == NULL || *data != result_of(i)))
            end_badly(WRONG_RESULTS, "a call ended well, with a wrong result", rc);
        first = first == 0 ? rc : first;
        (void)fm_result_free(results[i]);
    }
    return first;
}

static void add_heap(void)
{
    struct fmi_heap_place place;
    if (fmi_heap_place(&place) != 0)
        _exit(NOT_SET_UP);
    const struct fmi_heap_shm *shm = (const struct fmi_heap_shm *)(const void *)place.base;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), top = atomic_load(&shm->top);
    char *table = place.base + 2 * page, *bitmaps = table + shm->n_spans * sizeof(uint64_t);
    add_target(attack->targets, &attack->n_targets, place.base, sizeof *shm);
    add_target(attack->targets, &attack->n_targets, place.base + 64, 128);
    add_target(attack->targets, &attack->n_targets, table, top * sizeof(uint64_t));
    add_target(attack->targets, &attack->n_targets, bitmaps, top * sizeof(struct fmi_slab_shm));
}

static void add_array(const fm_array *a)
{
    add_target(attack->targets, &attack->n_targets, a, sizeof *a);
    add_target(attack->targets, &attack->n_targets, a->buffer, sizeof *a->buffer);
}

static void add_pages(void)
{
    const struct fmi_pool_view *v = &attack->view;
    struct fmi_pool_view sizes = {0};
    size_t bytes = fmi_pool_lay_out(&sizes, NULL, v->n_ranks), page = 4096;
    for (size_t at = 0; at + page <= bytes + page - 1 && attack->n_targets < MAX_TARGETS;
         at += page)
        add_target(attack->targets, &attack->n_targets, (char *)v->shm + at, page);
}

static void choose_targets(const fm_array *in, const fm_array *out, const fm_array *status)
{
    const struct fmi_pool_view *v = &attack->view;
    struct target *list = attack->targets;
    int *n = &attack->n_targets;
    *n = 0;
    switch (attack->what) {
    case JOB:
        add_target(list, n, &v->shm->jobs[0], offsetof(struct fmi_job_shm, arg));
        add_target(list, n, &v->shm->jobs[0].word, 8);
        add_target(list, n, &v->shm->jobs[0].plan, sizeof v->shm->jobs[0].plan);
        add_target(list, n, &v->shm->jobs[0].stop, 64);
        break;
    case PARKS:
        add_target(list, n, &v->shm->work, sizeof v->shm->work);
        add_target(list, n, &v->shm->done, sizeof v->shm->done);
        add_target(list, n, &v->crew->events, sizeof v->crew->events);
        add_target(list, n, v->shm, 16);
        break;
    case CREW:
        add_target(list, n, v->crew, sizeof *v->crew);
        for (int rank = 0; rank < v->n_ranks; rank++)
            add_target(list, n, &v->crew->workers[rank], sizeof v->crew->workers[rank]);
        break;
    case HEAP:
        add_heap();
        break;
    case ARRAYS:
        add_array(in);
        add_array(out);
        add_array(status);
        break;
    case PAGES:
        add_pages();
        break;
    default:
        break;
    }
}

static void choose_attack(uint64_t seed, uint64_t *random)
{
    int is_by_function = below(random, 2) == 0;
    attack->seed = seed * 0x9e3779b97f4a7c15 + 1;
    attack->n_strikes = 1 + (int)below(random, 4);
    attack->at_item = is_by_function ? (int64_t)below(random, N_ITEMS) : -1;
    attack->die_at = below(random, 3) == 0 ? (int64_t)below(random, N_ITEMS) : -1;
    attack->fail_at =
        below(random, 4) == 0 || attack->what == RECORDS ? (int)below(random, N_ITEMS) : -1;
    attack->delay_ns = is_by_function ? -1 : (int64_t)below(random, 1500000);
    if (attack->what == TASKS) { /* there are fewer of them */
        attack->at_item = attack->at_item < 0 ? -1 : attack->at_item % N_CALLS;
        attack->delay_ns = attack->delay_ns < 0 ? -1 : attack->delay_ns / 8;
    }
}

static fm_pool *open_pool(uint64_t *random)
{
    fm_pool *pool;
    fm_pool_opts opts = {.struct_size = sizeof opts, .initializer = start_beside};
    opts.workers = 2 + (int)below(random, 2);
    opts.caller = below(random, 3) == 0 ? FM_CALLER_WORKS : FM_CALLER_SLEEPS;
    opts.max_tasks_per_worker = below(random, 5) == 0 ? 50 : 0; /* a fork each */
    int rc = fm_pool_open(&pool, &opts);
    if (rc != 0)
        end_badly(NOT_SET_UP, "fm_pool_open", rc);
    attack->view = pool->view;
    return pool;
}

static void end_pool(fm_pool *pool, uint64_t *random)
{
    fm_pool_counters counters;
    fm_failure failures[4];
    (void)fm_pool_stats(pool, &counters);
    (void)fm_pool_failures(pool, failures, 4);
    if (below(random, 3) == 0) {
        (void)fm_pool_close(pool);
        (void)fm_pool_join(pool, FM_SECONDS(8));
    }
    int rc = fm_pool_destroy(pool);
    if (rc != 0)
        end_badly(NO_SUCH_CODE, "fm_pool_destroy", rc);
}

static void host(void *arg)
{
    uint64_t seed = *(const uint64_t *)arg, random = seed * 0x2545f4914f6cdd1d + 7;
    alarm(LIMIT_S);
    for (int i = 0; i < 8; i++)
        next_random(&random);
    fm_array *in = make_vector(FM_I64, N_ITEMS), *out = make_vector(FM_I64, N_ITEMS);
    fm_array *status = make_vector(FM_U8, N_ITEMS);
    in_data = fm_array_data(in);
    out_data = fm_array_data(out);
    status_data = fm_array_data(status);
    choose_attack(seed, &random);
    fm_pool *pool = open_pool(&random);
    choose_targets(in, out, status);
    int way = (int)below(&random, N_WAYS);
    atomic_store(&attack->is_on, 1);
    int rc = attack->what == TASKS ? call_some(pool) : map_once(pool, way, in, out, status);
    if (rc == 0 && below(&random, 2) == 0)
        rc = attack->what == TASKS ? call_some(pool) : map_once(pool, way, in, out, status);
    atomic_store(&attack->is_over, 1);
    end_pool(pool, &random);
    if (attack->what == HEAP)
        _exit(FINE); /* of arrays that overlap by now nobody can say whose they are */
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(status);
}

/* ---- the tests ---------------------------------------------------------------------------------- */

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void *share(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    return p;
}

/* Whoever is left is adopted by this process. 0: somebody stays. */
static int await_nobody(void)
{
    for (int ms = 0; ms < 3000; ms++) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno == ECHILD)
            return 1;
        if (pid == 0)
            sleep_ns(1000000);
    }
    return 0;
}

/* 1 if it went wrong. */
static int run_one(uint64_t seed, int what)
{
    memset(attack, 0, sizeof *attack);
    attack->what = what;
    int status = t_in_child(host, &seed);
    int is_alone = await_nobody();
    if (t_exit_code(status) == FINE && is_alone)
        return 0;
    print_error("FORKMAP_STRAY_SEED=%llu FORKMAP_STRAY_RUNS=1: exit code %d, signal %d%s%s\n",
                (unsigned long long)seed, t_exit_code(status), t_signal(status),
                t_signal(status) == SIGALRM ? ": it hangs" : "",
                is_alone ? "" : "; somebody is left");
    return 1;
}

static void overwrite(int what)
{
    uint64_t seed = number_from("FORKMAP_STRAY_SEED", (uint64_t)time(NULL) * 1000);
    uint64_t n = number_from("FORKMAP_STRAY_RUNS", N_RUNS), n_struck = 0;
    int n_wrong = 0;
    attack = share(sizeof *attack);
    score = share(sizeof *score);
    setenv("FORKMAP_LOG", "off", 1);
    print_message("seeds from %llu on, %llu runs\n", (unsigned long long)seed,
                  (unsigned long long)n);
    for (uint64_t i = 0; i < n; i++) {
        n_wrong += run_one(seed + i, what);
        n_struck += (uint64_t)(atomic_load(&attack->n_struck) > 0);
    }
    for (int i = 0; i < score->n_codes; i++)
        print_message("  %5d times %s\n", score->n[i],
                      score->codes[i] == 0 ? "right results" : fm_errname(score->codes[i]));
    print_message("  %5d runs in which something was overwritten\n", (int)n_struck);
    assert_int_equal(n_wrong, 0);
    assert_true(n < 20 || n_struck > n / 4);
    munmap(attack, sizeof *attack);
    munmap(score, sizeof *score);
}

static void test_stray_writes_into_own_lines_end_in_results_or_a_named_error(void **state)
{
    (void)state;
    overwrite(OWN);
}

static void test_stray_writes_into_lines_of_neighbours_end_in_results_or_a_named_error(void **state)
{
    (void)state;
    overwrite(NEIGHBOURS);
}

static void test_stray_writes_into_the_job_end_in_results_or_a_named_error(void **state)
{
    (void)state;
    overwrite(JOB);
}

static void test_stray_writes_into_records_end_in_results_or_a_named_error(void **state)
{
    (void)state;
    overwrite(RECORDS);
}

static void test_stray_writes_into_tasks_end_in_results_or_a_named_error(void **state)
{
    (void)state;
    overwrite(TASKS);
}

static void test_stray_writes_into_parks_end_in_results_or_a_named_error(void **state)
{
    (void)state;
    overwrite(PARKS);
}

static void test_stray_writes_into_the_crew_end_in_results_or_a_named_error(void **state)
{
    (void)state;
    overwrite(CREW);
}

static void test_stray_writes_into_the_allocator_end_in_results_or_a_named_error(void **state)
{
    (void)state;
    overwrite(HEAP);
}

static void test_stray_writes_into_arrays_descriptors_end_in_results_or_a_named_error(void **state)
{
    (void)state;
    overwrite(ARRAYS);
}

static void test_stray_writes_into_whole_control_pages_end_in_results_or_a_named_error(void **state)
{
    (void)state;
    overwrite(PAGES);
}

T_MAIN(T_TEST(test_stray_writes_into_own_lines_end_in_results_or_a_named_error),
       T_TEST(test_stray_writes_into_lines_of_neighbours_end_in_results_or_a_named_error),
       T_TEST(test_stray_writes_into_the_job_end_in_results_or_a_named_error),
       T_TEST(test_stray_writes_into_records_end_in_results_or_a_named_error),
       T_TEST(test_stray_writes_into_tasks_end_in_results_or_a_named_error),
       T_TEST(test_stray_writes_into_parks_end_in_results_or_a_named_error),
       T_TEST(test_stray_writes_into_the_crew_end_in_results_or_a_named_error),
       T_TEST(test_stray_writes_into_the_allocator_end_in_results_or_a_named_error),
       T_TEST(test_stray_writes_into_arrays_descriptors_end_in_results_or_a_named_error),
       T_TEST(test_stray_writes_into_whole_control_pages_end_in_results_or_a_named_error))
