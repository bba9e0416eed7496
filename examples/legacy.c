/* SPDX-License-Identifier: MIT */
/*
 * An old routine with static state in parallel, unchanged: legacy_romberg.c by a serial loop, by forkmap and by OpenMP.
 *
 *   cc -O2 -c legacy_romberg.c
 *   cc -O2 -fopenmp legacy.c legacy_romberg.o $(pkg-config --cflags --libs forkmap) -lm -o legacy
 *
 * legacy_romberg.o is one object file for all three. Each worker process has static memory of its own, so forkmap's results are those of the serial
 * loop bit for bit. OpenMP's threads share it, and the results differ from run to run. (To repair that one would have to find every static variable, in
 * libraries too, strtok() among them, and make each thread-local.)
 *
 * Ends with 0 if forkmap's results are the serial ones for 1 to 8 workers, and OpenMP's were once not for 2 to 4 threads.
 */
#include <forkmap/forkmap.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

enum { ITEMS = 200, ROUNDS = 50, MOST_WORKERS = 8, MOST_THREADS = 4 };

struct job {
    char text[80];
};
struct row {
    double value, error, evaluations;
};

double *romberg(const char *text); /* legacy_romberg.c */

static struct row integrate(const struct job *job)
{
    const double *answer = romberg(job->text);
    return (struct row){answer[0], answer[1], answer[2]};
}

static int integrate_item(const void *item, void *result, void *arg)
{
    (void)arg;
    *(struct row *)result = integrate(item);
    return 0;
}

/* Every bit counts. */
static int count_differing(const struct row *rows, const struct row *serial)
{
    int n = 0;
    for (int i = 0; i < ITEMS; i++)
        n += memcmp(&rows[i], &serial[i], sizeof(struct row)) != 0;
    return n;
}

static int run_forkmap(int workers, fm_array *jobs, fm_array *results)
{
    FM_AUTO(fm_pool) pool = NULL;
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = workers));
    if (rc == 0)
        rc = fm_pool_map(pool, integrate_item, jobs, results, NULL);
    return rc;
}

static int try_forkmap(fm_array *jobs, fm_array *results, const struct row *serial)
{
    int rc = 0, wrong = 0;
    for (int workers = 1; rc == 0 && workers <= MOST_WORKERS; workers++) {
        memset(fm_array_data(results), 0, ITEMS * sizeof(struct row));
        rc = run_forkmap(workers, jobs, results);
        const int n = count_differing(fm_array_data(results), serial);
        printf("forkmap, %d workers: %d of %d results differ\n", workers, n, ITEMS);
        wrong += n;
    }
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
    return rc != 0 || wrong > 0;
}

static int run_openmp(int threads, const struct job *jobs, struct row *results,
                      const struct row *serial)
{
#pragma omp parallel for num_threads(threads) schedule(dynamic)
    for (int i = 0; i < ITEMS; i++)
        results[i] = integrate(&jobs[i]);
    return count_differing(results, serial);
}

/* A race may be won by chance, so each number of threads has many rounds. */
static int try_openmp(const struct job *jobs, struct row *results, const struct row *serial)
{
    for (int threads = 2; threads <= MOST_THREADS; threads++) {
        int n = 0;
        for (int round = 0; n == 0 && round < ROUNDS; round++)
            n = run_openmp(threads, jobs, results, serial);
        printf("OpenMP, %d threads: %d of %d results differ\n", threads, n, ITEMS);
        if (n == 0)
            return 1;
    }
    return 0;
}

int main(void)
{
    static struct row serial[ITEMS];
    FM_AUTO(fm_array) jobs = NULL;
    FM_AUTO(fm_array) results = NULL;
    double evaluations = 0;
    if (fm_array_zeros(&jobs, FM_U8, 2, (const int64_t[]){ITEMS, sizeof(struct job)}) != 0 ||
        fm_array_zeros(&results, FM_F64, 2, (const int64_t[]){ITEMS, 3}) != 0) {
        fprintf(stderr, "%s\n", fm_error_detail());
        return 1;
    }
    struct job *lines = fm_array_data(jobs);
    for (int i = 0; i < ITEMS; i++) {
        snprintf(lines[i].text, sizeof(lines[i].text), "0 %.2f %.1f %.3f", 10 + i % 7 * 0.25,
                 20 + i * 1.0, 0.1 + i % 11 * 0.01);
        serial[i] = integrate(&lines[i]);
        evaluations += serial[i].evaluations;
    }
    printf("serial: %d integrals, %.0f evaluations\n", ITEMS, evaluations);
    const int is_wrong = try_forkmap(jobs, results, serial);
    return try_openmp(lines, fm_array_data(results), serial) || is_wrong;
}
