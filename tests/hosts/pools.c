/* SPDX-License-Identifier: MIT */
/*
 * A host with pools of threads of its own: pools METHOD INNER WHAT WHEN
 *
 *   METHOD  fork, spawn, forkserver: how the workers are started; the forkserver is started first of all
 *   INNER   threads of each worker: .inner_threads
 *   WHAT    both: a function runs an OpenMP region of two threads and a product of OpenBLAS;
 *           product: the product alone, and then the worker has INNER threads, not more and not fewer
 *   WHEN    warm: the host has used OpenMP and OpenBLAS before the pool is opened; cold: it has not; inside: it opens the
 *           pool in a parallel region, in its first thread
 *
 * Exit code: 0 all right, 1 a wrong result, 2 wrong words, 3 the library says no (what it says is on stderr).
 */
#include <dirent.h>
#include <forkmap/forkmap.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of OpenBLAS, whose header is in a package that nothing else needs: row-major, not transposed. */
enum { ROW_MAJOR = 101, NOT_TRANSPOSED = 111 };
void cblas_dgemm(int order, int trans_a, int trans_b, int m, int n, int k, double alpha,
                 const double *a, int lda, const double *b, int ldb, double beta, double *c,
                 int ldc);

enum { SIDE = 256, N_ITEMS = 8, N_WORKERS = 2 };

struct row {
    int32_t n_region, n_threads, is_right, pid;
};

static double a[SIDE * SIDE], b[SIDE * SIDE], c[SIDE * SIDE];

/* a[i][k] = i, b[k][j] = j: c[i][j] = SIDE i j, exact. */
static int multiply(void)
{
    memset(c, 0, sizeof c);
    for (int i = 0; i < SIDE * SIDE; i++) {
        a[i] = i / SIDE;
        b[i] = i % SIDE;
    }
    cblas_dgemm(ROW_MAJOR, NOT_TRANSPOSED, NOT_TRANSPOSED, SIDE, SIDE, SIDE, 1, a, SIDE, b, SIDE, 0,
                c, SIDE);
    for (int i = 0; i < SIDE * SIDE; i++)
        if (c[i] != (double)SIDE * (i / SIDE) * (i % SIDE))
            return 0;
    return 1;
}

static int run_region(int n)
{
    int n_threads = 0;
#pragma omp parallel num_threads(n) reduction(+ : n_threads)
    n_threads += 1;
    return n_threads;
}

static int count_threads(void)
{
    int n = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry = tasks != NULL ? readdir(tasks) : NULL; entry != NULL;
         entry = readdir(tasks))
        n += entry->d_name[0] != '.';
    if (tasks != NULL)
        closedir(tasks);
    return n;
}

static int use_both(const void *item, void *result, void *arg)
{
    struct row *row = result;
    (void)item, (void)arg;
    row->n_region = run_region(2);
    row->is_right = multiply();
    row->n_threads = count_threads();
    row->pid = getpid();
    return 0;
}

static int use_product(const void *item, void *result, void *arg)
{
    struct row *row = result;
    (void)item, (void)arg;
    row->is_right = multiply();
    row->n_threads = count_threads();
    row->pid = getpid();
    return 0;
}

/* Of LLVM's OpenMP, for a process that left by _exit. */
static int has_left_a_file(int pid)
{
    char path[96];
    snprintf(path, sizeof path, "/dev/shm/__KMP_REGISTERED_LIB_%d_%u", pid, (unsigned)getuid());
    return access(path, F_OK) == 0;
}

static int check_rows(const struct row *rows, int is_both, int inner)
{
    int n_wrong = 0;
    for (int i = 0; i < N_ITEMS; i++) {
        const struct row *row = &rows[i];
        int is_right = row->is_right && (is_both ? row->n_region == 2 : row->n_threads == inner) &&
                       !has_left_a_file(row->pid);
        if (!is_right)
            fprintf(stderr,
                    "item %d: %d threads in the region, %d in the worker, product %s, file %s\n", i,
                    row->n_region, row->n_threads, row->is_right ? "right" : "wrong",
                    has_left_a_file(row->pid) ? "left" : "not left");
        n_wrong += !is_right;
    }
    return n_wrong;
}

static int refuse(int rc)
{
    fprintf(stderr, "%s: %s: %s\n", fm_errname(rc), fm_strerror(rc), fm_error_detail());
    return 3;
}

static int method_named(const char *name)
{
    for (const int *method = fm_all_start_methods(); *method != 0; method++)
        if (strcmp(fm_start_method_name(*method), name) == 0)
            return *method;
    return -1;
}

static int map(const char *method, int inner, int is_both)
{
    fm_pool *pool = NULL;
    fm_array *out = NULL;
    const int64_t shape[] = {N_ITEMS, sizeof(struct row) / sizeof(int32_t)};
    fm_context context;
    if (fm_get_context(method_named(method), &context) != 0)
        return 2;
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = N_WORKERS, .inner_threads = inner,
                                              .pin = FM_PIN_NONE, .context = &context));
    if (rc != 0)
        return refuse(rc);
    rc = fm_array_zeros(&out, FM_I32, 2, shape);
    if (rc == 0)
        rc = fm_pool_map_range(pool, is_both ? use_both : use_product, 0, N_ITEMS, out,
                               FM_MAP_OPTS(.item_timeout = FM_SECONDS(20)));
    if (rc == 0)
        rc = fm_pool_destroy(pool);
    if (rc != 0)
        return refuse(rc);
    int n_wrong = check_rows(fm_array_data(out), is_both, inner);
    fm_array_destroy(out);
    return n_wrong != 0;
}

static int map_inside(const char *method, int inner, int is_both)
{
    int code = 0;
#pragma omp parallel num_threads(2)
    {
#pragma omp master
        code = map(method, inner, is_both);
#pragma omp barrier
    }
    return code;
}

int main(int argc, char **argv)
{
    int rc = fm_init(argc, argv);
    if (rc == 0 && argc != 5)
        return 2;
    if (rc == 0 && strcmp(argv[1], "forkserver") == 0)
        rc = fm_forkserver_start(NULL);
    if (rc != 0)
        return refuse(rc);
    const int inner = atoi(argv[2]), is_both = strcmp(argv[3], "both") == 0;
    if (strcmp(argv[4], "warm") == 0 && (run_region(4) != 4 || !multiply()))
        return 1;
    int code = strcmp(argv[4], "inside") == 0 ? map_inside(argv[1], inner, is_both)
                                              : map(argv[1], inner, is_both);
    if (code != 0)
        return code;
    if (run_region(3) != 3 || !multiply()) /* the host's own pools are as usable as before */
        return fprintf(stderr, "the host's region or product is wrong afterwards\n"), 1;
    return 0;
}
