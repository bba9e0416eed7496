/* SPDX-License-Identifier: MIT */
/*
 * The program of the section "Managers" of Python's manual, without a server between:
 *
 *     def f(d, l):
 *         d[1] = '1'
 *         d['2'] = 2
 *         d[0.25] = None
 *         l.reverse()
 *
 *     with Manager() as manager:
 *         d = manager.dict()
 *         l = manager.list(range(10))
 *         p = Process(target=f, args=(d, l))
 *         p.start()
 *         p.join()
 *         print(d)
 *         print(l)
 *
 * Then four processes count words together, each word in one step, and leave their names in a namespace:
 *
 *     for word in words: counts[word] = counts.get(word, 0) + 1
 */
#include <forkmap/forkmap.h>
#include <stdio.h>

enum { N = 10, N_COUNTERS = 4, N_TURNS = 1000 };

struct shared { /* pointers into the heap mean the same in every process */
    fm_dict *d;
    fm_list *l;
    fm_namespace *ns;
    int number;
};

/* ---- a dict and a list ------------------------------------------------------------------------- */

static int f(void *arg)
{
    const struct shared *s = arg;
    int rc = fm_dict_set(s->d, fm_text("1"), fm_text("one"), FM_FOREVER);
    if (rc == 0)
        rc = fm_dict_set(s->d, fm_text("2"), fm_text("two"), FM_FOREVER);
    if (rc == 0)
        rc = fm_dict_set(s->d, fm_text("0.25"), fm_text(""), FM_FOREVER);
    if (rc == 0)
        rc = fm_list_reverse(s->l, FM_FOREVER);
    return rc;
}

static int print_both(const struct shared *s)
{
    FM_AUTO(fm_snapshot) items = NULL;
    FM_AUTO(fm_snapshot) numbers = NULL;
    int rc = fm_dict_items(s->d, &items, FM_FOREVER);
    if (rc == 0)
        rc = fm_list_slice(s->l, 0, INT64_MAX, &numbers, FM_FOREVER);
    for (int64_t i = 0; rc == 0 && i < items->n; i++) /* a NUL lies behind each */
        printf("%s: '%s'%s", (const char *)items->keys[i].data, (const char *)items->values[i].data,
               i == items->n - 1 ? "\n" : ", ");
    for (int64_t i = 0; rc == 0 && i < numbers->n; i++)
        printf("%d%s", *(const int *)numbers->values[i].data, i == numbers->n - 1 ? "\n" : ", ");
    return rc;
}

static int run(const struct shared *s, fm_target_fn *target)
{
    FM_AUTO(fm_process) p = NULL;
    int rc = fm_process_create(&p, target, s, sizeof *s, NULL), code = 0;
    if (rc == 0)
        rc = fm_process_start(p);
    if (rc == 0)
        rc = fm_process_join(p, FM_FOREVER);
    if (rc == 0)
        rc = fm_process_exitcode(p, &code);
    return rc == 0 && code != 0 ? FM_ETASK : rc;
}

static int share_both(void)
{
    FM_AUTO(fm_dict) d = NULL;
    FM_AUTO(fm_list) l = NULL;
    int rc = fm_dict_create(&d, NULL);
    if (rc == 0)
        rc = fm_list_create(&l);
    for (int i = 0; rc == 0 && i < N; i++)
        rc = fm_list_append(l, fm_bytes_of(&i, sizeof i), FM_FOREVER);
    const struct shared s = {d, l, NULL, 0};
    if (rc == 0)
        rc = run(&s, f);
    return rc != 0 ? rc : print_both(&s);
}

/* ---- counting together ------------------------------------------------------------------------- */

static const char *const words[] = {"as", "fast", "as", "threads"};

static int count(void *arg)
{
    const struct shared *s = arg;
    char name[16];
    snprintf(name, sizeof name, "counter%d", s->number);
    int rc = fm_namespace_set(s->ns, name, fm_text("done"), FM_FOREVER);
    for (int i = 0; rc == 0 && i < N_TURNS; i++)
        rc = fm_dict_add(s->d, fm_text(words[i % 4]), 1, NULL, FM_FOREVER);
    return rc;
}

/* All at the same time. */
static int run_counters(struct shared s)
{
    fm_process *p[N_COUNTERS] = {NULL};
    int rc = 0;
    for (s.number = 0; rc == 0 && s.number < N_COUNTERS; s.number++) {
        rc = fm_process_create(&p[s.number], count, &s, sizeof s, NULL);
        if (rc == 0)
            rc = fm_process_start(p[s.number]);
    }
    for (int i = 0; i < N_COUNTERS; i++) {
        if (rc == 0)
            rc = fm_process_join(p[i], FM_FOREVER);
        fm_process_auto(&p[i]); /* what FM_AUTO does at the end of a scope */
    }
    return rc;
}

static int count_words(void)
{
    FM_AUTO(fm_dict) counts = NULL;
    FM_AUTO(fm_namespace) ns = NULL;
    int64_t n = 0;
    int rc = fm_dict_create(&counts, NULL);
    if (rc == 0)
        rc = fm_namespace_create(&ns);
    if (rc == 0)
        rc = run_counters((struct shared){counts, NULL, ns, 0});
    for (int i = 1; rc == 0 && i < 4; i++) {
        fm_buf buf = fm_buf_of(&n, sizeof n);
        rc = fm_dict_get(counts, fm_text(words[i]), &buf, FM_FOREVER);
        if (rc == 0)
            printf("%s: %lld\n", words[i], (long long)n);
    }
    if (rc == 0)
        printf("counter3 is there: %d\n", fm_namespace_contains(ns, "counter3", FM_FOREVER));
    return rc;
}

int main(void)
{
    int rc = share_both();
    if (rc == 0)
        rc = count_words();
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
    return rc != 0;
}
