/* SPDX-License-Identifier: MIT */
/*
 * Rows that are changed where they are. A function that dies half way has already changed its row, and would change it again in
 * the next attempt. With FM_IN_PLACE the row is restored before that: each number here is doubled once, though the worker of
 * row 5 dies in its midst.
 */
#include <forkmap/forkmap.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 1000, COLUMNS = 8 };

/* `arg` is a number in shared memory, the same in all workers and in main: how often row 5 was begun. */
static int double_row(const void *item, void *result, void *arg)
{
    const double *old = item;
    double *row = result; /* the same row: the array is both input and output */
    _Atomic int *attempts = arg;
    const int is_fifth = old[0] == 5;
    for (int c = 0; c < COLUMNS; c++) {
        if (is_fifth && c == COLUMNS / 2 && ++*attempts == 1)
            abort();
        row[c] = 2 * old[c];
    }
    return 0;
}

static void fill(double *table)
{
    for (int row = 0; row < ROWS; row++)
        for (int c = 0; c < COLUMNS; c++)
            *table++ = row;
}

static int count_right(const double *table)
{
    int n = 0;
    for (int row = 0; row < ROWS; row++)
        for (int c = 0; c < COLUMNS; c++)
            n += *table++ == 2 * row;
    return n;
}

int main(void)
{
    FM_AUTO(fm_pool) pool = NULL;
    FM_AUTO(fm_array) table = NULL;
    FM_AUTO(fm_array) attempts = NULL;
    int rc = fm_array_create(&table, FM_F64, 2, (const int64_t[]){ROWS, COLUMNS}, NULL);
    if (rc == 0)
        rc = fm_array_zeros(&attempts, FM_I32, 1, (const int64_t[]){1});
    if (rc == 0)
        rc = fm_pool_open(&pool, NULL);
    if (rc == 0) {
        fill(fm_array_data(table));
        /* arg points into the heap, so it is handed on as it is: no .arg_bytes. */
        rc = fm_pool_map(
            pool, double_row, table, table,
            FM_MAP_OPTS(.flags = FM_IN_PLACE, .retries = 1, .arg = fm_array_data(attempts)));
    }
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    printf("row 5 was begun %d times\n", *(const int32_t *)fm_array_data(attempts));
    printf("%d of %d numbers are doubled\n", count_right(fm_array_data(table)), ROWS * COLUMNS);
    return 0;
}
