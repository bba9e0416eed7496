/* SPDX-License-Identifier: MIT */
/*
 * The engine processes of the programs benchmark: problems of the shipped kernels, made from the same parameters, and
 * the same object code; only who calls it for which [begin, end) differs.
 */
#include "programs.h"

#include "bench_clock.h"
#include "bound_pool.h"
#include "bound_tbb.h"
#include "engine.h"
#include "facts.h"
#include "items.h"
#include "params.h"

#include <forkmap/forkmap.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PREPARED 4 /* problems of one case */
#define MOST_WORDS    (1 + FMK_MAX_PARAMS)

struct prepared {
    char key[BENCH_LINE]; /* the command's "KERNEL [KEY=VALUE]..." */
    struct fmk_problem problem;
};

struct session {
    int n_workers;
    fm_pool *pool;
    struct fmk_problem wake; /* one short item per worker */
    struct prepared prepared[MOST_PREPARED];
    int n_prepared;
    /* Runs the whole problem. `chunk` in grains. */
    int (*run)(struct session *s, struct fmk_problem *p, const char *schedule, int64_t chunk);
};

/* ---- problems ---- */

/* Cuts "KERNEL KEY=VALUE ..." where its words end. Returns the kernel, and its parameters. */
static const struct fmk_kernel *parse_words(char *words, struct fmk_param params[MOST_WORDS])
{
    char *rest = NULL;
    int n = 0;
    const struct fmk_kernel *kernel = fmk_find(strtok_r(words, " ", &rest));
    for (char *word; (word = strtok_r(NULL, " ", &rest)) != NULL && n < FMK_MAX_PARAMS; n++) {
        char *equals = strchr(word, '=');
        if (equals == NULL)
            return NULL;
        *equals = '\0';
        params[n] = (struct fmk_param){word, equals + 1, NULL};
    }
    params[n] = (struct fmk_param){NULL, NULL, NULL};
    return kernel;
}

static int prepare(struct fmk_problem *p, const char *key)
{
    char words[BENCH_LINE];
    struct fmk_param params[MOST_WORDS];
    snprintf(words, sizeof(words), "%s", key);
    const struct fmk_kernel *kernel = parse_words(words, params);
    const int code = kernel == NULL ? -EINVAL : fmk_prepare(p, kernel, params, NULL, 0);
    if (code != 0)
        fprintf(stderr, "bench: %s: %s\n", key, fmk_error_detail());
    return code;
}

/* Prepared once, and kept until the case is over. */
static struct fmk_problem *find_problem(struct session *s, const char *key)
{
    for (int i = 0; i < s->n_prepared; i++)
        if (strcmp(s->prepared[i].key, key) == 0)
            return &s->prepared[i].problem;
    if (s->n_prepared == MOST_PREPARED || prepare(&s->prepared[s->n_prepared].problem, key) != 0)
        return NULL;
    struct prepared *p = &s->prepared[s->n_prepared++];
    snprintf(p->key, sizeof(p->key), "%s", key);
    return &p->problem;
}

static void forget_all(struct session *s)
{
    for (int i = 0; i < s->n_prepared; i++)
        fmk_release(&s->prepared[i].problem);
    s->n_prepared = 0;
}

/* ---- who runs them ---- */

static int run_serial(struct session *s, struct fmk_problem *p, const char *schedule, int64_t chunk)
{
    (void)s;
    return strcmp(schedule, "auto") == 0 && chunk == 0 ? fmk_run_serial(p) : -EINVAL;
}

static int run_openmp(struct session *s, struct fmk_problem *p, const char *schedule, int64_t chunk)
{
    return fmk_run_openmp(p, s->n_workers, schedule, chunk * p->kernel->grain);
}

static int run_forkmap(struct session *s, struct fmk_problem *p, const char *schedule,
                       int64_t chunk)
{
    return strcmp(schedule, "auto") == 0 && chunk == 0 ? fmk_run_forkmap(p, s->pool, NULL)
                                                       : -EINVAL;
}

#ifdef BENCH_TBB
static int run_tbb(struct session *s, struct fmk_problem *p, const char *schedule, int64_t chunk)
{
    int ready;
    (void)s;
    if (strcmp(schedule, "auto") != 0 || chunk != 0)
        return -EINVAL;
    for (int64_t pass = 0; (ready = fmk_next_pass(p, pass)) == 1; pass++)
        bench_tbb_range(p->kernel->range, p->n, p->kernel->grain, p->ctx);
    return ready;
}
#endif

/* ---- commands ---- */

static double sum_elements(const fm_array *out)
{
    const void *data = fm_array_data(out);
    const int64_t n = fm_array_count(out);
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        switch (fm_array_dtype(out)) {
        case FM_F64:
            sum += ((const double *)data)[i];
            break;
        case FM_F32:
            sum += (double)((const float *)data)[i];
            break;
        default: /* of the programs only counts are left */
            sum += (double)((const int32_t *)data)[i];
        }
    return sum;
}

/* First a short problem untimed, so that everybody is awake after the stop; then the program. */
static int answer_run(struct session *s, const char *command, char answer[BENCH_LINE])
{
    char schedule[16];
    int64_t chunk;
    int at = 0;
    if (sscanf(command, "run %15s %" SCNd64 " %n", schedule, &chunk, &at) < 2 || at == 0)
        return -EINVAL;
    struct fmk_problem *p = find_problem(s, command + at);
    if (p == NULL)
        return -EINVAL;
    int code = s->run(s, &s->wake, s->run == run_openmp ? "static" : "auto", 0);
    memset(fm_array_data(p->out), 0, fm_array_bytes(p->out));
    const int64_t begin_ns = bench_now_ns();
    if (code == 0)
        code = s->run(s, p, schedule, chunk);
    const int64_t ns = bench_now_ns() - begin_ns;
    if (code != 0)
        snprintf(answer, BENCH_LINE, "error %s: %.100s", fm_errname(code), fmk_error_detail());
    else
        snprintf(answer, BENCH_LINE, "%.6f %016" PRIx64 " %.17g", (double)ns * 1e-6,
                 bench_items_checksum(fm_array_data(p->out),
                                      (int64_t)(fm_array_bytes(p->out) / sizeof(uint32_t))),
                 sum_elements(p->out));
    return code;
}

static int answer_check(struct session *s, const char *key, char answer[BENCH_LINE])
{
    char text[200] = "";
    struct fmk_problem *p = find_problem(s, key);
    int code = p == NULL ? -EINVAL : fmk_run_serial(p);
    if (code == 0)
        code = p->kernel->verify(p, text, sizeof(text));
    snprintf(answer, BENCH_LINE, "%s%d %s", code == 0 ? "" : "error ", code, text);
    return code;
}

static int answer_command(void *self, const char *command, char answer[BENCH_LINE])
{
    if (strncmp(command, "check ", 6) == 0)
        return answer_check(self, command + 6, answer);
    if (strcmp(command, "forget") != 0)
        return answer_run(self, command, answer);
    forget_all(self);
    snprintf(answer, BENCH_LINE, "0");
    return 0;
}

/* ---- start ---- */

/* Serial code runs where a pool's first worker, or an OpenMP runtime's first thread, would. */
static int open_unbound(struct session *s, const char *kind)
{
    fm_place *places = calloc((size_t)s->n_workers, sizeof(*places));
    int *cpus = calloc((size_t)s->n_workers, sizeof(*cpus));
    const int code = places == NULL || cpus == NULL
                         ? -ENOMEM
                         : fm_places(places, s->n_workers, FM_PIN_CORE, NULL);
    for (int i = 0; i < s->n_workers && code >= 0; i++)
        cpus[i] = places[i].cpu;
    if (code >= 0 && strcmp(kind, "serial") == 0)
        s->run = run_serial;
#ifdef BENCH_TBB
    if (code >= 0 && strcmp(kind, "TBB") == 0) {
        bench_tbb_open(s->n_workers, cpus);
        s->run = run_tbb;
    }
#endif
    if (code >= 0)
        bench_pin(cpus[0]);
    free(cpus);
    free(places);
    return code < 0 ? code : 0;
}

static int open_engine(struct session *s, const char *kind)
{
    char wake[64];
    int code = bench_pool_open(&s->pool, kind, s->n_workers);
    if (code == 0)
        s->run = run_forkmap;
    else if (code > 0 && strncmp(kind, "lib", 3) != 0)
        code = open_unbound(s, kind);
    else if (code > 0) {
        s->run = run_openmp;
        code = 0;
    }
    snprintf(wake, sizeof(wake), "pi n=%d steps=1000", s->n_workers);
    return code == 0 ? prepare(&s->wake, wake) : code;
}

int bench_programs_engine(const char *kind, char *const args[])
{
    static struct session s;
    s.n_workers = args[0] == NULL ? 0 : atoi(args[0]);
    int code = s.n_workers < 1 ? -EINVAL : open_engine(&s, kind);
    if (code != 0)
        return bench_engine_fail(kind, code);
    if (s.run == NULL)
        return bench_engine_missing("not built in: no C++ compiler, or no libtbb-dev");
    code = bench_engine_serve(answer_command, &s);
    forget_all(&s);
    fmk_release(&s.wake);
    fm_pool_destroy(s.pool);
    return code;
}
