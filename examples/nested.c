/* SPDX-License-Identifier: MIT */
/*
 * A map inside a map: sums of squares of the rows of a table. The outer map runs over rows in the workers; the function maps
 * again, over the numbers of its row, with the same pool. All workers are busy with rows, so the inner map runs where it is
 * called, one item after the other: code that maps can be used inside and outside of other maps.
 */
#include <forkmap/forkmap.h>
#include <stdio.h>

enum { ROWS = 100, COLUMNS = 50 };

/*
 * What the functions need. It is copied into the job: the pool was opened, and the workers forked, before main had the
 * handles in its variables, so a global would still be NULL there. Handles themselves mean the same in every process.
 */
struct task {
    fm_pool *pool;
    fm_array *table, *squares;
};

static int square(const void *item, void *result, void *arg)
{
    const double x = *(const double *)item;
    (void)arg;
    *(double *)result = x * x;
    return 0;
}

/* Row `row` of an array, as an array of COLUMNS items. */
static int view_row(fm_array **view, fm_array *a, int64_t row)
{
    FM_AUTO(fm_array) line = NULL;
    int rc = fm_array_view(&line, a, (const fm_slice[]){{row, row + 1, 1}, FM_ALL});
    return rc != 0 ? rc : fm_array_reshape(view, line, 1, (const int64_t[]){COLUMNS});
}

static int sum_row(const void *item, void *result, void *arg)
{
    const int64_t row = *(const int64_t *)item;
    const struct task *task = arg;
    FM_AUTO(fm_array) in = NULL;
    FM_AUTO(fm_array) out = NULL;
    double sum = 0;
    int rc = view_row(&in, task->table, row);
    if (rc == 0)
        rc = view_row(&out, task->squares, row);
    if (rc == 0)
        rc = fm_pool_map(task->pool, square, in, out, NULL);
    if (rc != 0)
        return rc; /* fails this row */
    for (int c = 0; c < COLUMNS; c++)
        sum += ((const double *)fm_array_data(out))[c];
    *(double *)result = sum;
    return 0;
}

int main(void)
{
    FM_AUTO(fm_pool) pool = NULL;
    FM_AUTO(fm_array) table = NULL;
    FM_AUTO(fm_array) squares = NULL;
    FM_AUTO(fm_array) sums = NULL;
    const int64_t shape[] = {ROWS, COLUMNS};
    int rc = fm_array_create(&table, FM_F64, 2, shape, NULL);
    if (rc == 0)
        rc = fm_array_create(&squares, FM_F64, 2, shape, NULL);
    if (rc == 0)
        rc = fm_array_create(&sums, FM_F64, 1, shape, NULL);
    if (rc == 0)
        rc = fm_pool_open(&pool, NULL);
    if (rc == 0) {
        struct task task = {pool, table, squares};
        double *numbers = fm_array_data(table);
        for (int row = 0; row < ROWS; row++)
            for (int c = 0; c < COLUMNS; c++)
                *numbers++ = row;
        rc = fm_pool_map_range(pool, sum_row, 0, ROWS, sums,
                               FM_MAP_OPTS(.arg = &task, .arg_bytes = sizeof task));
    }
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    printf("row 3: %.0f, row 99: %.0f\n", ((const double *)fm_array_data(sums))[3],
           ((const double *)fm_array_data(sums))[99]);
    return 0;
}
