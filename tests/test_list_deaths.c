/* SPDX-License-Identifier: MIT */
/* LABELS: crash kills */
/* TIMEOUT: 60 */
/* Processes that die or stop in a call on a list: it happened or it did not, nobody waits for them for ever, and no more than a block is lost. */
#include "t_sync.h"
#include "t_process.h"

#include "heap.h"
#include "list.h"

#include <stdio.h>

enum { LARGE = 40000, SPAN = 65536 };
static char large[LARGE];

struct subject {
    fm_list *list;
    int (*operation)(fm_list *l);
};

static fm_bytes large_item(char letter)
{
    memset(large, letter, sizeof large);
    return fm_bytes_of(large, sizeof large);
}

/* Eight items: one more needs a larger board. */
static fm_list *make(void)
{
    fm_list *l;
    t_expect(fm_list_create(&l), 0);
    t_expect(fm_list_append(l, large_item('L'), T_LOST), 0);
    for (const char *letter = "hgfedc"; *letter != '\0'; letter++)
        t_expect(fm_list_append(l, fm_bytes_of(letter, 1), T_LOST), 0);
    t_expect(fm_list_append(l, large_item('M'), T_LOST), 0);
    return l;
}

/* ---- operations: done again they change nothing -------------------------------------------------- */

static int64_t len(fm_list *l)
{
    int64_t n = -1;
    return fm_list_len(l, &n, T_LOST) == 0 ? n : -1;
}

static int append(fm_list *l)
{
    return len(l) == 8 ? fm_list_append(l, large_item('N'), T_LOST) : 0;
}
static int extend(fm_list *l)
{
    const fm_bytes items[] = {fm_text("x"), large_item('N'), fm_text("y")};
    return len(l) == 8 ? fm_list_extend(l, items, 3, T_LOST) : 0;
}
static int insert(fm_list *l)
{
    return len(l) == 8 ? fm_list_insert(l, 2, large_item('N'), T_LOST) : 0;
}
static int set(fm_list *l)
{
    return fm_list_set(l, 0, large_item('N'), T_LOST);
}
static int pop_first(fm_list *l)
{
    return len(l) == 8 ? fm_list_delete(l, 0, T_LOST) : 0;
}
static int pop_last(fm_list *l)
{
    return len(l) == 8 ? fm_list_delete(l, -1, T_LOST) : 0;
}
static int remove_one(fm_list *l)
{
    const int code = fm_list_remove(l, large_item('L'), T_LOST);
    return code == -ENOENT ? 0 : code;
}
static int sort(fm_list *l)
{
    return fm_list_sort(l, NULL, NULL, T_LOST);
}
/* Only as long as L comes first. */
static int reverse(fm_list *l)
{
    int64_t i = -1;
    const int code = fm_list_index(l, large_item('L'), &i, T_LOST);
    return code != 0 || i != 0 ? code : fm_list_reverse(l, T_LOST);
}
static int clear(fm_list *l)
{
    return fm_list_clear(l, T_LOST);
}

static int operate(void *shared, int number)
{
    struct subject *s = shared;
    (void)number;
    return s->operation(s->list);
}

/* ---- what is left -------------------------------------------------------------------------------- */

static void describe(fm_list *l, char *text)
{
    fm_snapshot *all;
    t_expect(fm_list_slice(l, 0, INT64_MAX, &all, T_LOST), 0);
    for (int64_t i = 0; i < all->n; i++) {
        const char *data = all->values[i].data;
        *text++ = data[0];
        for (size_t at = 1; at < all->values[i].bytes; at++)
            assert_true(data[at] == data[0]);
    }
    *text = '\0';
    fm_snapshot_free(all);
}

static size_t used_bytes(void)
{
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return usage.used_bytes;
}

static void expect_sound(fm_list *l)
{
    char text[100], again[100];
    describe(l, text);
    for (int i = 0; i < 20; i++)
        t_expect(fm_list_insert(l, i, fm_text("z"), T_LOST), 0);
    for (int i = 0; i < 20; i++)
        t_expect(fm_list_remove(l, fm_text("z"), T_LOST), 0);
    describe(l, again);
    assert_string_equal(text, again);
    assert_int_equal(atomic_load(&l->store.fresh), 0);
    assert_int_equal(atomic_load(&l->store.stale), 0);
}

static int may_lose_a_block(const char *point)
{
    return strcmp(point, "list.taken") == 0 || strcmp(point, "list.dropped") == 0;
}

static int die_once(int (*operation)(fm_list *l), const char *point, int nth,
                    const char *repair_point)
{
    char before[100], now[100], after[100];
    struct subject s = {make(), operation};
    const size_t used = used_bytes();
    describe(s.list, before);
    const int is_dead = t_killed_at(point, nth, operate, &s);
    if (is_dead && repair_point != NULL)
        (void)t_killed_at(repair_point, 1, operate, &s);
    describe(s.list, now);
    t_expect(operation(s.list), 0);
    describe(s.list, after);
    if (strcmp(now, before) != 0)
        assert_string_equal(now, after);
    expect_sound(s.list);
    fm_list_destroy(s.list);
    fm_list *next = make();
    assert_true(used_bytes() <= used + (may_lose_a_block(point) ? 2 * SPAN : 0));
    fm_list_destroy(next);
    return is_dead;
}

static int (*const operations[])(fm_list *l) = {append,   extend,     insert, set,     pop_first,
                                                pop_last, remove_one, sort,   reverse, clear};

static void warm_up(void)
{
    for (size_t i = 0; i < T_N_OF(operations); i++) {
        fm_list *l = make();
        t_expect(operations[i](l), 0);
        expect_sound(l);
        fm_list_destroy(l);
    }
}

static void test_list_call_happened_or_not_after_a_death_at_each_point(void **state)
{
    (void)state;
    static const char *const points[] = {
        "list.locked", "list.taken",  "list.fresh", "list.written", "list.board",
        "list.turn",   "list.turned", "list.set",   "list.was_set", "list.appended",
        "list.popped", "list.sorted", "list.clear", "list.cleared", "list.dropped",
    };
    int n_deaths[T_N_OF(points)] = {0};
    warm_up();
    for (size_t i = 0; i < T_N_OF(operations); i++)
        for (size_t k = 0; k < T_N_OF(points); k++)
            for (int nth = 1; nth <= 4 && die_once(operations[i], points[k], nth, NULL); nth++)
                n_deaths[k]++;
    for (size_t k = 0; k < T_N_OF(points); k++)
        if (n_deaths[k] == 0)
            fail_msg("nobody died at %s", points[k]);
}

static void test_list_repair_survives_deaths_in_it(void **state)
{
    (void)state;
    static const char *const at[] = {"list.repair", "list.settled", "list.repaired"};
    static const char *const first[] = {"list.written", "list.turn",    "list.turned", "list.set",
                                        "list.was_set", "list.cleared", "list.popped"};
    warm_up();
    for (size_t i = 0; i < T_N_OF(first); i++)
        for (size_t k = 0; k < T_N_OF(at); k++)
            for (size_t o = 0; o < T_N_OF(operations); o++)
                (void)die_once(operations[o], first[i], 1, at[k]);
}

static int die_in_it(fm_bytes a, fm_bytes b, void *arg)
{
    (void)b;
    if (--*(int *)arg == 0)
        raise(SIGKILL);
    return *(const char *)a.data == 'L' ? 1 : -1;
}

static int sort_and_die(void *shared, int number)
{
    int n_left = 7;
    (void)number;
    return fm_list_sort(shared, die_in_it, &n_left, T_LOST);
}

static void test_list_is_unchanged_when_the_function_that_compares_dies(void **state)
{
    (void)state;
    fm_list *l = make();
    char before[100], after[100];
    describe(l, before);
    assert_int_equal(t_signal(t_wait_child(t_start_party(sort_and_die, l, 0))), SIGKILL);
    describe(l, after);
    assert_string_equal(before, after);
    expect_sound(l);
    fm_list_destroy(l);
}

/* ---- one that stops ------------------------------------------------------------------------------ */

static void stop_there(const char *point)
{
    if (strcmp(point, "list.written") == 0)
        raise(SIGSTOP);
}

static void append_and_leave(void *arg)
{
    _exit(fm_list_append(arg, fm_text("v"), T_LOST) != 0);
}

static void test_list_calls_time_out_while_a_process_is_stopped_in_one(void **state)
{
    (void)state;
    fm_list *l = make();
    fm_snapshot *s;
    int64_t n;
    fm_buf buf = fm_buf_of(NULL, 0);
    const fm_bytes x = fm_text("x");
    fmi_fault_hook(stop_there);
    pid_t pid = t_start_child(append_and_leave, l);
    fmi_fault_hook(NULL);
    for (int i = 0; i < 5000 && t_process_state(pid) != 'T'; i++)
        usleep(1000);
    assert_int_equal(t_process_state(pid), 'T');
    for (int64_t timeout = FM_NOWAIT; timeout <= FM_MS(1); timeout += FM_MS(1)) {
        assert_int_equal(fm_list_append(l, x, timeout), -ETIMEDOUT);
        assert_int_equal(fm_list_extend(l, &x, 1, timeout), -ETIMEDOUT);
        assert_int_equal(fm_list_insert(l, 0, x, timeout), -ETIMEDOUT);
        assert_int_equal(fm_list_get(l, 0, &buf, timeout), -ETIMEDOUT);
        assert_int_equal(fm_list_set(l, 0, x, timeout), -ETIMEDOUT);
        assert_int_equal(fm_list_pop(l, 0, NULL, timeout), -ETIMEDOUT);
        assert_int_equal(fm_list_delete(l, 0, timeout), -ETIMEDOUT);
        assert_int_equal(fm_list_remove(l, x, timeout), -ETIMEDOUT);
        assert_int_equal(fm_list_index(l, x, &n, timeout), -ETIMEDOUT);
        assert_int_equal(fm_list_count(l, x, &n, timeout), -ETIMEDOUT);
        assert_int_equal(fm_list_contains(l, x, timeout), -ETIMEDOUT);
        assert_int_equal(fm_list_len(l, &n, timeout), -ETIMEDOUT);
        assert_int_equal(fm_list_reverse(l, timeout), -ETIMEDOUT);
        assert_int_equal(fm_list_sort(l, NULL, NULL, timeout), -ETIMEDOUT);
        assert_int_equal(fm_list_clear(l, timeout), -ETIMEDOUT);
        assert_int_equal(fm_list_slice(l, 0, 9, &s, timeout), -ETIMEDOUT);
    }
    t_kill(pid);
    assert_int_equal(len(l), 8);
    expect_sound(l);
    fm_list_destroy(l);
}

/* ---- many ---------------------------------------------------------------------------------------- */

enum { N_PARTIES = 4, N_KILLS = 400 };

struct field {
    fm_list *list;
    _Atomic int stop;
    _Atomic int64_t added[N_PARTIES], taken[N_PARTIES], in_doubt;
};

/* Each takes and adds items at any place, and counts them; what was under way at a death is in doubt. */
static int use_list(void *shared, int number)
{
    struct field *f = shared;
    unsigned seed = (unsigned)(number + getpid());
    char item[300];
    while (atomic_load(&f->stop) == 0) {
        fm_buf buf = fm_buf_of(item, sizeof item);
        const int place = rand_r(&seed) % 40 - 20, what = rand_r(&seed) % 4;
        memset(item, 'a' + number, sizeof item);
        const fm_bytes bytes = fm_bytes_of(item, 1 + (size_t)rand_r(&seed) % 299);
        int code;
        atomic_fetch_add(&f->in_doubt, 1);
        if (what < 2) {
            code = what == 0 ? fm_list_insert(f->list, place, bytes, T_LOST)
                             : fm_list_append(f->list, bytes, T_LOST);
            if (code != 0)
                return 1;
            atomic_fetch_add(&f->added[number], 1);
        } else {
            code = fm_list_pop(f->list, what == 2 ? place : -1, &buf, T_LOST);
            if (code != 0 && code != -ERANGE)
                return 2;
            for (size_t at = 1; at < buf.bytes; at++)
                if (item[at] != item[0])
                    return 3;
            atomic_fetch_add(&f->taken[number], code == 0);
        }
        atomic_fetch_sub(&f->in_doubt, 1);
        if (what == 3 && place == 0 && fm_list_sort(f->list, NULL, NULL, T_LOST) != 0)
            return 4;
    }
    return 0;
}

static void test_list_storm_leaves_as_many_items_as_were_added(void **state)
{
    (void)state;
    struct field *f = t_shared(sizeof *f);
    int64_t n, expected = 0;
    t_expect(fm_list_create(&f->list), 0);
    t_storm(N_PARTIES, N_KILLS, use_list, f, &f->stop);
    for (int i = 0; i < N_PARTIES; i++)
        expected += atomic_load(&f->added[i]) - atomic_load(&f->taken[i]);
    t_expect(fm_list_len(f->list, &n, T_LOST), 0);
    const int64_t in_doubt = atomic_load(&f->in_doubt);
    assert_true(in_doubt >= 0 && in_doubt <= N_KILLS);
    assert_true(n >= expected - in_doubt && n <= expected + in_doubt);
    t_expect(fm_list_clear(f->list, T_LOST), 0);
    fm_list_destroy(f->list);
    munmap(f, sizeof *f);
}

T_MAIN(T_TEST(test_list_call_happened_or_not_after_a_death_at_each_point),
       T_TEST(test_list_repair_survives_deaths_in_it),
       T_TEST(test_list_is_unchanged_when_the_function_that_compares_dies),
       T_TEST(test_list_calls_time_out_while_a_process_is_stopped_in_one),
       T_TEST(test_list_storm_leaves_as_many_items_as_were_added))
