/* SPDX-License-Identifier: MIT */
/*
 * The program of the section "Sharing state between processes" of Python's manual, step by step:
 *
 *     def f(n, a):
 *         n.value = 3.1415927
 *         for i in range(len(a)):
 *             a[i] = -a[i]
 *
 *     num = Value('d', 0.0)
 *     arr = Array('i', range(10))
 *     p = Process(target=f, args=(num, arr))
 *     p.start()
 *     p.join()
 *     print(num.value)
 *     print(arr[:])
 *
 * Then four processes count together, which takes the locks:
 *
 *     def count(total, votes):
 *         for i in range(1000):
 *             with total.get_lock(): total.value += 1
 *             with votes.get_lock(): votes[i % 10] += 1
 *
 * and tell their names by a ShareableList.
 */
#include <forkmap/forkmap.h>
#include <stdio.h>

enum { N = 10, N_COUNTERS = 4, N_TURNS = 1000 };

static void print_array(const fm_array *a)
{
    const int32_t *numbers = fm_array_data(a);
    for (int i = 0; i < N; i++)
        printf("%s%d%s", i == 0 ? "[" : ", ", numbers[i], i == N - 1 ? "]\n" : "");
}

/* ---- one process ------------------------------------------------------------------------------- */

struct state { /* what is shared: pointers into the heap mean the same in every process */
    fm_value *num;
    fm_array *arr;
};

static int f(void *arg)
{
    const struct state *s = arg;
    int32_t *a = fm_array_data(s->arr);
    int rc = fm_value_set(s->num, &(double){3.1415927});
    for (int i = 0; i < N; i++)
        a[i] = -a[i];
    return rc;
}

static int share_state(void)
{
    FM_AUTO(fm_value) num = NULL;
    FM_AUTO(fm_array) arr = NULL;
    FM_AUTO(fm_process) p = NULL;
    double x = 0;
    int rc = fm_value_create(&num, FM_F64, &(double){0.0}, FM_LOCKED);
    if (rc == 0)
        rc = fm_array_arange(&arr, FM_I32, 0, N, 1);
    if (rc == 0)
        rc = fm_process_create(&p, f, &(struct state){num, arr}, sizeof(struct state), NULL);
    if (rc == 0)
        rc = fm_process_start(p);
    if (rc == 0)
        rc = fm_process_join(p, FM_FOREVER);
    if (rc == 0)
        rc = fm_value_get(num, &x);
    if (rc == 0) {
        printf("%.8g\n", x);
        print_array(arr);
    }
    return rc;
}

/* ---- several, and locks ------------------------------------------------------------------------ */

struct counting {
    fm_value *total;
    fm_value *raw; /* has no lock: an addition is one step anyway */
    fm_array *votes;
    fm_shlist *names;
    int number;
};

/* Reading and writing are one step under the lock only. FM_EOWNERDEAD would be told here if a process had died holding it. */
static int vote(fm_array *votes, int i)
{
    int rc = fm_array_lock(votes, FM_FOREVER);
    if (rc != 0)
        return rc;
    ((int32_t *)fm_array_data(votes))[i % N]++;
    return fm_array_unlock(votes);
}

static int count(void *arg)
{
    const struct counting *c = arg;
    const fm_shlist_item name = fm_shlist_string(fm_process_name(fm_current_process()));
    int rc = fm_shlist_set(c->names, c->number, &name);
    for (int i = 0; rc == 0 && i < N_TURNS; i++) {
        rc = fm_value_add(c->total, &(int64_t){1}, NULL);
        if (rc == 0)
            rc = fm_value_add(c->raw, &(int64_t){1}, NULL);
        if (rc == 0)
            rc = vote(c->votes, i);
    }
    return rc;
}

static int run_counters(struct counting c)
{
    fm_process *p[N_COUNTERS] = {NULL};
    int rc = 0, code = 0;
    for (c.number = 0; rc == 0 && c.number < N_COUNTERS; c.number++) {
        rc = fm_process_create(&p[c.number], count, &c, sizeof c, NULL);
        if (rc == 0)
            rc = fm_process_start(p[c.number]);
    }
    for (int i = 0; i < N_COUNTERS; i++) {
        if (rc == 0 && (rc = fm_process_join(p[i], FM_FOREVER)) == 0)
            rc = fm_process_exitcode(p[i], &code);
        if (rc == 0 && code != 0)
            rc = FM_ETASK;
        fm_process_auto(&p[i]); /* what FM_AUTO does at the end of a scope */
    }
    return rc;
}

static int print_names(fm_shlist *names)
{
    int rc = 0;
    char buf[24];
    fm_shlist_item item;
    for (int64_t i = 0; rc == 0 && i < fm_shlist_len(names); i++)
        if ((rc = fm_shlist_get(names, i, &item, buf, sizeof buf)) == 0)
            printf("%s%s", item.data, i == fm_shlist_len(names) - 1 ? "\n" : ", ");
    return rc;
}

static int count_together(void)
{
    FM_AUTO(fm_value) total = NULL;
    FM_AUTO(fm_value) raw = NULL;
    FM_AUTO(fm_array) votes = NULL;
    FM_AUTO(fm_shlist) names = NULL;
    const fm_shlist_item room = fm_shlist_string("room for a name"); /* 16 bytes, as in Python */
    int64_t n = 0, n_raw = 0;
    int rc = fm_value_create(&total, FM_I64, NULL, FM_LOCKED);
    if (rc == 0)
        rc = fm_value_create(&raw, FM_I64, NULL, FM_RAW);
    if (rc == 0)
        rc = fm_array_zeros(&votes, FM_I32, 1, (const int64_t[]){N});
    if (rc == 0)
        rc = fm_shlist_create(&names, (const fm_shlist_item[]){room, room, room, room}, N_COUNTERS);
    if (rc == 0)
        rc = run_counters((struct counting){total, raw, votes, names, 0});
    if (rc == 0)
        rc = fm_value_get(total, &n);
    if (rc == 0)
        rc = fm_value_get(raw, &n_raw);
    if (rc != 0)
        return rc;
    printf("%lld additions under the lock, %lld without\n", (long long)n, (long long)n_raw);
    print_array(votes);
    return print_names(names);
}

int main(void)
{
    int rc = share_state();
    if (rc == 0)
        rc = count_together();
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
    return rc != 0;
}
