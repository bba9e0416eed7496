/* SPDX-License-Identifier: MIT */
/*
 * A function that goes wrong in every way there is, for some of a thousand items. The map goes on, all other results are
 * right, and a record tells of each failure.
 */
#include <forkmap/forkmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 1000 };

static int half(const void *item, void *result, void *arg)
{
    const int64_t number = *(const int64_t *)item;
    (void)arg;
    fm_note("on my way with item %lld",
            (long long)number); /* shows up in the record, if there is one */
    switch (number) {
    case 100:
        return 7;
    case 200:
        abort();
    case 300:
        exit(3);
    case 400:
        *(volatile int *)arg = 1; /* arg is NULL here */
        break;
    case 500:
        for (volatile int forever = 1; forever != 0;) {
        }
        break;
    default:
        break;
    }
    *(double *)result = 0.5 * (double)number;
    return 0;
}

static void print_record(const fm_failure *f)
{
    printf("item %lld: %s", (long long)f->item, fm_item_state_name(f->state));
    if (f->signal != 0)
        printf(", signal %s", strsignal(f->signal));
    else if (f->code != 0)
        printf(", code %d", f->code);
    printf(" (%s)\n", f->note);
}

/* Every item has a state; the rows of items that are done are right. */
static int count_right(const fm_array *status, const fm_array *out)
{
    const uint8_t *states = fm_array_data(status);
    const double *halves = fm_array_data(out);
    int n = 0;
    for (int i = 0; i < N; i++)
        n += states[i] == FM_ITEM_DONE && halves[i] == 0.5 * i;
    return n;
}

int main(void)
{
    FM_AUTO(fm_pool) pool = NULL;
    FM_AUTO(fm_array) out = NULL;
    FM_AUTO(fm_array) status = NULL;
    const int64_t n = N;
    fm_failure records[16];
    int rc = fm_pool_open(&pool, NULL);
    if (rc == 0)
        rc = fm_array_create(&out, FM_F64, 1, &n, NULL);
    if (rc == 0)
        rc = fm_array_zeros(&status, FM_U8, 1, &n);
    if (rc == 0) /* the code of the lowest item that failed */
        rc = fm_pool_map_range(pool, half, 0, N, out,
                               FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE, .status = status,
                                           .item_timeout = FM_SECONDS(1)));
    if (rc != FM_ETASK) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    const int64_t n_records = fm_pool_failures(pool, records, 16);
    for (int64_t k = 0; k < n_records; k++)
        print_record(&records[k]);
    printf("%d of %d items are right\n", count_right(status, out), N);
    return 0;
}
