/* SPDX-License-Identifier: MIT */
/* LABELS: crash kills */
/* TIMEOUT: 60 */
/* Processes that die or stop in a call on a dict: it happened or it did not, nobody waits for them for ever, and no more than a block is lost. */
#include "t_sync.h"
#include "t_process.h"

#include "dict.h"
#include "heap.h"

#include <stdio.h>

/* A block of spans, which the heap counts; one for a spare. */
enum { LARGE = 40000, SPAN = 65536 };
static char large[LARGE];

struct subject {
    fm_dict *dict;
    int (*operation)(fm_dict *d);
};

static int set(fm_dict *d, const char *key, fm_bytes value)
{
    return fm_dict_set(d, fm_text(key), value, T_LOST);
}

static fm_bytes large_value(char letter, size_t bytes)
{
    memset(large, letter, sizeof large);
    return fm_bytes_of(large, bytes);
}

/* Eight pairs: one more needs a larger table. */
static fm_dict *make(void)
{
    static const char *const small[] = {"s1", "s2", "s3", "s4"};
    fm_dict *d;
    t_expect(fm_dict_create(&d, FM_DICT_OPTS(.stripes = 1)), 0);
    t_expect(set(d, "old",
                 fm_text("a value in a block of its own, of more than 64 bytes, for the spares")),
             0);
    t_expect(set(d, "big", large_value('b', LARGE)), 0);
    t_expect(set(d, "big2", large_value('c', LARGE)), 0);
    for (int i = 0; i < 4; i++)
        t_expect(set(d, small[i], fm_text("x")), 0);
    t_expect(fm_dict_add(d, fm_text("n"), 41, NULL, T_LOST), 0);
    return d;
}

/* ---- operations ---------------------------------------------------------------------------------- */

static int insert_small(fm_dict *d)
{
    return set(d, "new", fm_text("value"));
}
static int insert_large(fm_dict *d)
{
    return set(d, "new", large_value('n', LARGE));
}
static int insert_where_room_is(fm_dict *d)
{
    const int code = fm_dict_delete(d, fm_text("n"), T_LOST);
    return code == 0 || code == -ENOENT ? set(d, "new", fm_text("value")) : code;
}
static int replace_small(fm_dict *d)
{
    return set(d, "s2", fm_text("another length"));
}
static int replace_in_place(fm_dict *d)
{
    return set(d, "s2", fm_text("y"));
}
static int replace_large(fm_dict *d)
{
    return set(d, "big", large_value('B', LARGE - 5));
}
static int replace_large_by_small(fm_dict *d)
{
    return set(d, "big", fm_text("small"));
}
static int add(fm_dict *d)
{
    int64_t n = 0;
    fm_buf buf = fm_buf_of(&n, sizeof n);
    const int code = fm_dict_get(d, fm_text("n"), &buf, T_LOST);
    return code != 0 || n == 42 ? code : fm_dict_add(d, fm_text("n"), 1, NULL, T_LOST);
}
static int delete_small(fm_dict *d)
{
    const int code = fm_dict_delete(d, fm_text("s3"), T_LOST);
    return code == -ENOENT ? 0 : code;
}
static int delete_large(fm_dict *d)
{
    const int code = fm_dict_delete(d, fm_text("big"), T_LOST);
    return code == -ENOENT ? 0 : code;
}
static int pop_last(fm_dict *d)
{
    char key[8];
    int64_t n;
    fm_buf k = fm_buf_of(key, sizeof key), v = fm_buf_of(&n, sizeof n);
    return fm_dict_contains(d, fm_text("n"), T_LOST) == 1 ? fm_dict_popitem(d, &k, &v, T_LOST) : 0;
}
static int clear(fm_dict *d)
{
    return fm_dict_clear(d, T_LOST);
}

/* ---- what is left -------------------------------------------------------------------------------- */

/* Keys, lengths, first letters. */
static void describe(fm_dict *d, char *text, size_t bytes)
{
    fm_snapshot *items;
    int64_t n;
    *text = '\0';
    t_expect(fm_dict_items(d, &items, T_LOST), 0);
    for (int64_t i = 0; i < items->n; i++) {
        const fm_bytes v = items->values[i];
        const char *data = v.data;
        snprintf(text + strlen(text), bytes - strlen(text), "%s:%zu:%d ",
                 (const char *)items->keys[i].data, v.bytes, v.bytes > 0 ? data[0] : -1);
        for (size_t at = 1; v.bytes > 1000 && at < v.bytes; at++)
            assert_true(data[at] == data[0]);
        assert_int_equal(fm_dict_contains(d, items->keys[i], T_LOST), 1);
    }
    t_expect(fm_dict_len(d, &n, T_LOST), 0);
    assert_int_equal(n, items->n);
    fm_snapshot_free(items);
}

static size_t used_bytes(void)
{
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return usage.used_bytes;
}

static int operate(void *shared, int number)
{
    struct subject *s = shared;
    (void)number;
    return s->operation(s->dict);
}

/* A dict that was used after a death, and its end. */
static void expect_sound(fm_dict *d)
{
    char text[500], again[500];
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "key %d", i);
        t_expect(set(d, text, fm_text(text)), 0);
    }
    for (int i = 0; i < 40; i++) {
        snprintf(text, sizeof text, "key %d", i);
        t_expect(fm_dict_delete(d, fm_text(text), T_LOST), 0);
    }
    describe(d, text, sizeof text);
    t_expect(set(d, "one more", fm_text("1")), 0);
    t_expect(fm_dict_delete(d, fm_text("one more"), T_LOST), 0);
    describe(d, again, sizeof again);
    assert_string_equal(text, again);
    assert_int_equal(atomic_load(&d->stripes[0].fresh), 0);
    assert_int_equal(atomic_load(&d->stripes[0].stale), 0);
}

static int may_lose_a_block(const char *point)
{
    return strcmp(point, "dict.taken") == 0 || strcmp(point, "dict.dropped") == 0;
}

/* 1: it died there. `repair_point`: whoever comes next dies, too. */
static int die_once(int (*operation)(fm_dict *d), const char *point, int nth,
                    const char *repair_point)
{
    char before[500], after[500], now[500];
    struct subject s = {make(), operation};
    const size_t used = used_bytes();
    describe(s.dict, before, sizeof before);
    const int is_dead = t_killed_at(point, nth, operate, &s);
    if (is_dead && repair_point != NULL)
        (void)t_killed_at(repair_point, 1, operate, &s);
    describe(s.dict, now, sizeof now);
    t_expect(operation(s.dict), 0);
    describe(s.dict, after, sizeof after);
    if (operation == insert_where_room_is && strcmp(now, before) != 0 && strcmp(now, after) != 0)
        assert_null(strstr(now, "n:8")); /* two steps: the first is done */
    else if (strcmp(now, before) != 0)
        assert_string_equal(now, after);
    expect_sound(s.dict);
    fm_dict_destroy(s.dict);
    fm_dict *next = make(); /* the same, so what is used more was lost */
    assert_true(used_bytes() <= used + (may_lose_a_block(point) ? 2 * SPAN : 0));
    fm_dict_destroy(next);
    return is_dead;
}

static const char *const points[] = {
    "dict.locked",   "dict.taken",   "dict.fresh",   "dict.spare",      "dict.written",
    "dict.entered",  "dict.indexed", "dict.counted", "dict.replace",    "dict.replaced",
    "dict.in_place", "dict.remove",  "dict.removed", "dict.retired",    "dict.unindexed",
    "dict.dropped",  "dict.filled",  "dict.grow",    "dict.grown",      "dict.clear",
    "dict.cleared",  "dict.empty",   "dict.emptied", "dict.one_of_all",
};

static int (*const operations[])(fm_dict *d) = {
    insert_small,
    insert_large,
    insert_where_room_is,
    replace_small,
    replace_in_place,
    replace_large,
    replace_large_by_small,
    add,
    delete_small,
    delete_large,
    pop_last,
    clear,
};

/* Blocks of each size were asked for once: the heap has its slabs. */
static void warm_up(void)
{
    for (size_t i = 0; i < T_N_OF(operations); i++) {
        fm_dict *d = make();
        t_expect(operations[i](d), 0);
        expect_sound(d);
        fm_dict_destroy(d);
    }
}

static void test_dict_call_happened_or_not_after_a_death_at_each_point(void **state)
{
    (void)state;
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

static void test_dict_repair_survives_deaths_in_it(void **state)
{
    (void)state;
    static const char *const at[] = {"dict.repair", "dict.settled", "dict.repaired"};
    static const char *const first[] = {"dict.fresh", "dict.entered",  "dict.grow",
                                        "dict.grown", "dict.replaced", "dict.removed"};
    warm_up();
    for (size_t i = 0; i < T_N_OF(first); i++)
        for (size_t k = 0; k < T_N_OF(at); k++)
            for (size_t o = 0; o < T_N_OF(operations); o++)
                if (operations[o] != insert_where_room_is)
                    (void)die_once(operations[o], first[i], 1, at[k]);
}

static void test_dict_large_table_is_cleared_whoever_dies(void **state)
{
    (void)state;
    static const char *const at[] = {"dict.cleared",   "dict.empty",    "dict.dropped",
                                     "dict.old_table", "dict.no_table", "dict.emptied"};
    for (size_t k = 0; k < T_N_OF(at); k++) {
        struct subject s = {.operation = clear};
        char key[20];
        int64_t n;
        t_expect(fm_dict_create(&s.dict, FM_DICT_OPTS(.stripes = 2)), 0);
        for (int i = 0; i < 400; i++) {
            snprintf(key, sizeof key, "%d", i);
            t_expect(set(s.dict, key, fm_text(key)), 0);
        }
        assert_int_equal(t_killed_at(at[k], 1, operate, &s), 1);
        t_expect(fm_dict_len(s.dict, &n, T_LOST), 0);
        assert_int_equal(n, 0);
        t_expect(set(s.dict, "k", fm_text("v")), 0);
        t_expect(fm_dict_len(s.dict, &n, T_LOST), 0);
        assert_int_equal(n, 1);
        fm_dict_destroy(s.dict);
    }
}

static int destroy_it(fm_dict *d)
{
    fm_dict_destroy(d);
    return 0;
}

static int make_one(fm_dict *d)
{
    fm_dict *other;
    (void)d;
    return fm_dict_create(&other, NULL);
}

static void test_dict_death_in_create_or_destroy_leaves_a_heap_that_works(void **state)
{
    (void)state;
    struct subject s = {make(), make_one};
    assert_int_equal(t_killed_at("dict.publish", 1, operate, &s), 1);
    s.operation = destroy_it;
    assert_int_equal(t_killed_at("dict.dead", 1, operate, &s), 1);
    assert_int_equal(set(s.dict, "k", fm_text("v")), FM_ECORRUPT);
    fm_dict *next = make();
    expect_sound(next);
    fm_dict_destroy(next);
}

/* ---- one that stops ------------------------------------------------------------------------------ */

static void stop_there(const char *point)
{
    if (strcmp(point, "dict.written") == 0)
        raise(SIGSTOP);
}

static void set_and_leave(void *arg)
{
    _exit(set(arg, "new", fm_text("v")) != 0);
}

static void test_dict_calls_time_out_while_a_process_is_stopped_in_one(void **state)
{
    (void)state;
    fm_dict *d = make();
    int64_t n;
    fm_buf buf = fm_buf_of(&n, sizeof n), key = buf;
    fm_snapshot *items;
    fm_dict *copy;
    const fm_bytes k = fm_text("k");
    fmi_fault_hook(stop_there);
    pid_t pid = t_start_child(set_and_leave, d);
    fmi_fault_hook(NULL);
    for (int i = 0; i < 5000 && t_process_state(pid) != 'T'; i++)
        usleep(1000);
    assert_int_equal(t_process_state(pid), 'T');
    for (int64_t timeout = FM_NOWAIT; timeout <= FM_MS(2); timeout += FM_MS(1)) {
        assert_int_equal(fm_dict_get(d, k, &buf, timeout), -ETIMEDOUT);
        assert_int_equal(fm_dict_set(d, k, k, timeout), -ETIMEDOUT);
        assert_int_equal(fm_dict_delete(d, k, timeout), -ETIMEDOUT);
        assert_int_equal(fm_dict_contains(d, k, timeout), -ETIMEDOUT);
        assert_int_equal(fm_dict_pop(d, k, NULL, timeout), -ETIMEDOUT);
        assert_int_equal(fm_dict_popitem(d, &key, &buf, timeout), -ETIMEDOUT);
        assert_int_equal(fm_dict_setdefault(d, k, k, NULL, timeout), -ETIMEDOUT);
        assert_int_equal(fm_dict_update(d, &k, &k, 1, NULL, timeout), -ETIMEDOUT);
        assert_int_equal(fm_dict_add(d, k, 1, NULL, timeout), -ETIMEDOUT);
        assert_int_equal(fm_dict_len(d, &n, timeout), -ETIMEDOUT);
        assert_int_equal(fm_dict_clear(d, timeout), -ETIMEDOUT);
        assert_int_equal(fm_dict_items(d, &items, timeout), -ETIMEDOUT);
        assert_int_equal(fm_dict_copy(&copy, d, timeout), -ETIMEDOUT);
    }
    t_kill(pid);
    assert_int_equal(fm_dict_contains(d, fm_text("new"), T_LOST), 0);
    expect_sound(d);
    fm_dict_destroy(d);
}

T_MAIN(T_TEST(test_dict_call_happened_or_not_after_a_death_at_each_point),
       T_TEST(test_dict_repair_survives_deaths_in_it),
       T_TEST(test_dict_large_table_is_cleared_whoever_dies),
       T_TEST(test_dict_death_in_create_or_destroy_leaves_a_heap_that_works),
       T_TEST(test_dict_calls_time_out_while_a_process_is_stopped_in_one))
