/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork */
/* TIMEOUT: 40 */
/* Dicts: what they hold, in which order, and what several processes see of it. */
#include "t_sync.h"
#include "t_process.h"

#include "dict.h"
#include "heap.h"
#include "keyhash.h"

#include <stdio.h>

enum { N_PARTIES = 4, N_TURNS = 20000 };

static fm_dict *make(int stripes)
{
    fm_dict *d;
    t_expect(fm_dict_create(&d, FM_DICT_OPTS(.stripes = stripes)), 0);
    assert_non_null(d);
    return d;
}

static int set(fm_dict *d, const char *key, const char *value)
{
    return fm_dict_set(d, fm_text(key), fm_text(value), FM_FOREVER);
}

static void expect_text(fm_dict *d, const char *key, const char *value)
{
    char text[100];
    fm_buf buf = fm_buf_of(text, sizeof text);
    const int code = fm_dict_get(d, fm_text(key), &buf, FM_FOREVER);
    if (value == NULL) {
        assert_int_equal(code, -ENOENT);
        assert_int_equal(buf.bytes, 0);
        return;
    }
    t_expect(code, 0);
    assert_int_equal(buf.bytes, strlen(value));
    assert_memory_equal(text, value, buf.bytes);
}

static int64_t len(fm_dict *d)
{
    int64_t n;
    t_expect(fm_dict_len(d, &n, FM_FOREVER), 0);
    return n;
}

/* "a=1 b=2 " */
static void expect_items(fm_dict *d, const char *expected)
{
    fm_snapshot *items;
    char text[1000] = "";
    t_expect(fm_dict_items(d, &items, FM_FOREVER), 0);
    for (int64_t i = 0; i < items->n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s=%s ",
                 (const char *)items->keys[i].data, (const char *)items->values[i].data);
    assert_string_equal(text, expected);
    fm_snapshot_free(items);
}

static size_t used_bytes(void)
{
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return usage.used_bytes;
}

/* ---- what it holds ------------------------------------------------------------------------------- */

static void test_dict_gives_what_was_set_and_tells_what_is_not_there(void **state)
{
    (void)state;
    fm_dict *d = make(0);
    expect_text(d, "a", NULL);
    t_expect(set(d, "a", "one"), 0);
    t_expect(set(d, "b", "two"), 0);
    expect_text(d, "a", "one");
    expect_text(d, "b", "two");
    t_expect(
        set(d, "a",
            "another one, much longer than the one that was there before, and so in another block"),
        0);
    expect_text(
        d, "a",
        "another one, much longer than the one that was there before, and so in another block");
    assert_int_equal(len(d), 2);
    assert_int_equal(fm_dict_contains(d, fm_text("a"), FM_FOREVER), 1);
    t_expect(fm_dict_delete(d, fm_text("a"), FM_FOREVER), 0);
    assert_int_equal(fm_dict_delete(d, fm_text("a"), FM_FOREVER), -ENOENT);
    assert_int_equal(fm_dict_contains(d, fm_text("a"), FM_FOREVER), 0);
    expect_text(d, "a", NULL);
    assert_int_equal(len(d), 1);
    fm_dict_destroy(d);
}

static void test_dict_holds_keys_and_values_of_any_bytes_and_length(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 8, 9, 31, 32, 33, 100, 4000, 33000, 100000};
    static char data[100000], out[100000];
    fm_dict *d = make(2);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7 % 251);
    for (size_t k = 0; k < T_N_OF(sizes); k++)
        for (size_t v = 0; v < T_N_OF(sizes); v++) {
            const fm_bytes key = fm_bytes_of(data, sizes[k]),
                           value = fm_bytes_of(data + 1, v == 0 ? 0 : sizes[v] - 1);
            fm_buf buf = fm_buf_of(out, sizeof out);
            t_expect(fm_dict_set(d, key, value, FM_FOREVER), 0);
            t_expect(fm_dict_get(d, key, &buf, FM_FOREVER), 0);
            assert_int_equal(buf.bytes, value.bytes);
            assert_memory_equal(out, value.data, value.bytes);
        }
    assert_int_equal(len(d), T_N_OF(sizes));
    t_expect(fm_dict_set(d, fm_bytes_of("a\0b", 3), fm_text("x"), FM_FOREVER), 0);
    assert_int_equal(fm_dict_contains(d, fm_bytes_of("a\0c", 3), FM_FOREVER), 0);
    assert_int_equal(fm_dict_contains(d, fm_bytes_of("a\0b", 3), FM_FOREVER), 1);
    fm_dict_destroy(d);
}

static void test_dict_get_into_a_small_buffer_tells_the_length(void **state)
{
    (void)state;
    fm_dict *d = make(0);
    char text[4] = "###";
    fm_buf buf = fm_buf_of(text, 3), none = fm_buf_of(NULL, 0);
    t_expect(set(d, "k", "four"), 0);
    assert_int_equal(fm_dict_get(d, fm_text("k"), &buf, FM_FOREVER), FM_ETOOLONG);
    assert_int_equal(buf.bytes, 4);
    assert_string_equal(text, "###");
    assert_int_equal(fm_dict_pop(d, fm_text("k"), &none, FM_FOREVER), FM_ETOOLONG);
    assert_int_equal(none.bytes, 4);
    expect_text(d, "k", "four");
    buf = fm_buf_of(text, 4);
    t_expect(fm_dict_pop(d, fm_text("k"), &buf, FM_FOREVER), 0);
    assert_memory_equal(text, "four", 4);
    assert_int_equal(fm_dict_pop(d, fm_text("k"), &buf, FM_FOREVER), -ENOENT);
    assert_int_equal(buf.bytes, 0);
    fm_dict_destroy(d);
}

/* ---- order --------------------------------------------------------------------------------------- */

static void test_dict_keeps_the_order_of_insertion(void **state)
{
    (void)state;
    fm_dict *d = make(8);
    expect_items(d, "");
    t_expect(set(d, "x", "1"), 0);
    t_expect(set(d, "a", "2"), 0);
    t_expect(set(d, "m", "3"), 0);
    expect_items(d, "x=1 a=2 m=3 ");
    t_expect(set(d, "x", "10 and some more"), 0);
    expect_items(d, "x=10 and some more a=2 m=3 ");
    t_expect(fm_dict_delete(d, fm_text("x"), FM_FOREVER), 0);
    t_expect(set(d, "x", "4"), 0);
    expect_items(d, "a=2 m=3 x=4 ");
    fm_dict_destroy(d);
}

static void test_dict_popitem_takes_the_youngest_of_all_stripes(void **state)
{
    (void)state;
    fm_dict *d = make(16);
    char key[20], out_key[20], out[20];
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof key, "key %d", i);
        t_expect(set(d, key, key), 0);
    }
    for (int i = 1000; i-- > 0;) {
        fm_buf k = fm_buf_of(out_key, sizeof out_key), v = fm_buf_of(out, sizeof out);
        snprintf(key, sizeof key, "key %d", i);
        if (i == 500) {
            v.cap = 3;
            assert_int_equal(fm_dict_popitem(d, &k, &v, FM_FOREVER), FM_ETOOLONG);
            assert_int_equal(k.bytes, 7);
            assert_int_equal(v.bytes, 7);
            v.cap = sizeof out;
        }
        t_expect(fm_dict_popitem(d, &k, &v, FM_FOREVER), 0);
        assert_int_equal(k.bytes, strlen(key));
        assert_memory_equal(out_key, key, k.bytes);
        assert_memory_equal(out, key, v.bytes);
    }
    fm_buf k = fm_buf_of(out_key, sizeof out_key), v = fm_buf_of(out, sizeof out);
    assert_int_equal(fm_dict_popitem(d, &k, &v, FM_FOREVER), -ENOENT);
    assert_int_equal(len(d), 0);
    fm_dict_destroy(d);
}

static void test_dict_keys_and_values_are_copies_in_order(void **state)
{
    (void)state;
    fm_dict *d = make(0);
    fm_snapshot *keys, *values;
    t_expect(set(d, "one", "1"), 0);
    t_expect(set(d, "two", "2"), 0);
    t_expect(fm_dict_keys(d, &keys, FM_FOREVER), 0);
    t_expect(fm_dict_values(d, &values, FM_FOREVER), 0);
    t_expect(fm_dict_clear(d, FM_FOREVER), 0);
    assert_int_equal(keys->n, 2);
    assert_null(keys->values);
    assert_string_equal(keys->keys[1].data, "two");
    assert_int_equal(values->n, 2);
    assert_null(values->keys);
    assert_string_equal(values->values[0].data, "1");
    fm_snapshot_free(keys);
    fm_snapshot_free(values);
    fm_snapshot_free(NULL);
    fm_dict_destroy(d);
}

/* ---- other calls --------------------------------------------------------------------------------- */

static void test_dict_setdefault_sets_once(void **state)
{
    (void)state;
    fm_dict *d = make(0);
    char text[10];
    fm_buf buf = fm_buf_of(text, sizeof text);
    t_expect(fm_dict_setdefault(d, fm_text("k"), fm_text("first"), &buf, FM_FOREVER), 0);
    assert_memory_equal(text, "first", 5);
    t_expect(fm_dict_setdefault(d, fm_text("k"), fm_text("second"), &buf, FM_FOREVER), 1);
    assert_int_equal(buf.bytes, 5);
    assert_memory_equal(text, "first", 5);
    t_expect(fm_dict_setdefault(d, fm_text("k"), fm_text("third"), NULL, FM_FOREVER), 1);
    buf.cap = 3;
    assert_int_equal(fm_dict_setdefault(d, fm_text("k"), fm_text("x"), &buf, FM_FOREVER),
                     FM_ETOOLONG);
    assert_int_equal(buf.bytes, 5);
    fm_dict_destroy(d);
}

static void test_dict_add_counts_and_refuses_what_is_no_integer(void **state)
{
    (void)state;
    fm_dict *d = make(0);
    int64_t sum = 0, out = 0;
    fm_buf buf = fm_buf_of(&out, sizeof out);
    t_expect(fm_dict_add(d, fm_text("n"), 5, &sum, FM_FOREVER), 0);
    assert_int_equal(sum, 5);
    t_expect(fm_dict_add(d, fm_text("n"), -7, NULL, FM_FOREVER), 0);
    t_expect(fm_dict_get(d, fm_text("n"), &buf, FM_FOREVER), 0);
    assert_int_equal(out, -2);
    assert_int_equal(fm_dict_add(d, fm_text("n"), INT64_MIN, &sum, FM_FOREVER), -ERANGE);
    t_expect(fm_dict_add(d, fm_text("n"), 0, &sum, FM_FOREVER), 0);
    assert_int_equal(sum, -2);
    t_expect(set(d, "text", "abc"), 0);
    assert_int_equal(fm_dict_add(d, fm_text("text"), 1, NULL, FM_FOREVER), -EINVAL);
    expect_text(d, "text", "abc");
    fm_dict_destroy(d);
}

static void test_dict_update_sets_in_order_and_copy_has_the_same(void **state)
{
    (void)state;
    fm_dict *d = make(0), *copy;
    const fm_bytes keys[] = {fm_text("b"), fm_text("a"), fm_text("b")},
                   values[] = {fm_text("1"), fm_text("2"), fm_text("3")};
    int64_t n_set;
    t_expect(fm_dict_update(d, keys, values, 3, &n_set, FM_FOREVER), 0);
    assert_int_equal(n_set, 3);
    expect_items(d, "b=3 a=2 ");
    t_expect(fm_dict_copy(&copy, d, FM_FOREVER), 0);
    t_expect(set(d, "c", "4"), 0);
    expect_items(copy, "b=3 a=2 ");
    const fm_bytes bad[] = {fm_text("z"), fm_bytes_of(NULL, 4), fm_text("y")};
    assert_int_equal(fm_dict_update(copy, bad, values, 3, &n_set, FM_FOREVER), -EINVAL);
    assert_int_equal(n_set, 1);
    expect_items(copy, "b=3 a=2 z=1 ");
    t_expect(fm_dict_update(copy, NULL, NULL, 0, NULL, FM_FOREVER), 0);
    fm_dict_destroy(copy);
    fm_dict_destroy(d);
}

static void test_dict_cleared_is_empty_and_works(void **state)
{
    (void)state;
    fm_dict *d = make(4);
    char key[20];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2000; i++) {
            snprintf(key, sizeof key, "%d", i);
            t_expect(set(d, key, key), 0);
        }
        assert_int_equal(len(d), 2000);
        t_expect(fm_dict_clear(d, FM_FOREVER), 0);
        assert_int_equal(len(d), 0);
        expect_text(d, "7", NULL);
    }
    t_expect(set(d, "7", "x"), 0);
    expect_items(d, "7=x ");
    fm_dict_destroy(d);
}

static void test_dict_gives_its_memory_back(void **state)
{
    (void)state;
    static char value[3000];
    fm_dict_destroy(make(0));
    size_t before = 0;
    for (int round = 0; round < 20; round++) {
        fm_dict *d = make(0);
        for (int i = 0; i < 500; i++)
            t_expect(fm_dict_set(d, fm_bytes_of(&i, sizeof i), fm_bytes_of(value, (size_t)i * 5),
                                 FM_FOREVER),
                     0);
        for (int i = 0; i < 500; i++)
            t_expect(fm_dict_set(d, fm_bytes_of(&i, sizeof i),
                                 fm_bytes_of(value, (size_t)(500 - i) * 5), FM_FOREVER),
                     0);
        for (int i = 0; i < 250; i++)
            t_expect(fm_dict_delete(d, fm_bytes_of(&i, sizeof i), FM_FOREVER), 0);
        fm_dict_destroy(d);
        if (round == 0)
            before = used_bytes();
    }
    assert_int_equal(used_bytes(), before);
}

static void test_dict_hash_is_that_of_python(void **state)
{
    (void)state;
    static const uint64_t no_seed[2] = {0, 0};
    char counted[63];
    for (int i = 0; i < 63; i++)
        counted[i] = (char)(i + 1);
    /* PYTHONHASHSEED=0 python3 -c 'print(hex(hash(b"a") & (2**64-1)))', Python 3.11 */
    assert_true(fmi_keyhash(no_seed, "a", 1) == 0x407448d2b89b1813);
    assert_true(fmi_keyhash(no_seed, "forkmap", 7) == 0xc72a9059de1dc0f6);
    assert_true(fmi_keyhash(no_seed, "forkmap!", 8) == 0xbb309f66c45b2431);
    assert_true(fmi_keyhash(no_seed, counted, sizeof counted) == 0x6bafe9f92616651b);
    const uint64_t seed[2] = {1, 0};
    assert_true(fmi_keyhash(seed, "a", 1) != 0x407448d2b89b1813);
}

/* ---- against a model ----------------------------------------------------------------------------- */

enum { N_KEYS = 300, N_STEPS = 60000 };

/* A serial dict: for each key the place in the order, and its value. */
struct model {
    int64_t place[N_KEYS]; /* 0: not there */
    uint64_t value[N_KEYS];
    size_t bytes[N_KEYS];
    int64_t last;
};

static void put_in_model(struct model *m, int k, uint64_t value, size_t bytes)
{
    m->value[k] = value;
    m->bytes[k] = bytes;
    if (m->place[k] == 0)
        m->place[k] = ++m->last;
}

static int youngest(const struct model *m)
{
    int found = -1;
    for (int k = 0; k < N_KEYS; k++)
        if (m->place[k] != 0 && (found < 0 || m->place[k] > m->place[found]))
            found = k;
    return found;
}

static int oldest_after(const struct model *m, int64_t place)
{
    int found = -1;
    for (int k = 0; k < N_KEYS; k++)
        if (m->place[k] > place && (found < 0 || m->place[k] < m->place[found]))
            found = k;
    return found;
}

/* A value is its number as often as it fits. */
static fm_bytes value_of(uint64_t number, size_t bytes, char *data)
{
    for (size_t i = 0; i < bytes; i++)
        data[i] = (char)(number >> i % 8 * 8);
    return fm_bytes_of(data, bytes);
}

static void expect_model(fm_dict *d, const struct model *m)
{
    fm_snapshot *items;
    char data[256];
    int64_t place = 0;
    t_expect(fm_dict_items(d, &items, FM_FOREVER), 0);
    for (int64_t i = 0; i < items->n; i++) {
        const int k = oldest_after(m, place);
        assert_true(k >= 0);
        const fm_bytes value = value_of(m->value[k], m->bytes[k], data);
        assert_int_equal(items->keys[i].bytes, sizeof k);
        assert_memory_equal(items->keys[i].data, &k, sizeof k);
        assert_int_equal(items->values[i].bytes, value.bytes);
        assert_memory_equal(items->values[i].data, value.data, value.bytes);
        place = m->place[k];
    }
    assert_int_equal(oldest_after(m, place), -1);
    fm_snapshot_free(items);
}

static void do_step(fm_dict *d, struct model *m, unsigned *seed)
{
    const int k = rand_r(seed) % N_KEYS, what = rand_r(seed) % 10;
    const fm_bytes key = fm_bytes_of(&k, sizeof k);
    const uint64_t number = (uint64_t)rand_r(seed);
    const size_t bytes = (size_t)rand_r(seed) % 200;
    char data[256], out[256];
    fm_buf buf = fm_buf_of(out, sizeof out);
    if (what < 4) {
        t_expect(fm_dict_set(d, key, value_of(number, bytes, data), FM_FOREVER), 0);
        put_in_model(m, k, number, bytes);
    } else if (what < 7) {
        assert_int_equal(fm_dict_pop(d, key, &buf, FM_FOREVER), m->place[k] != 0 ? 0 : -ENOENT);
        if (m->place[k] != 0)
            assert_memory_equal(out, value_of(m->value[k], m->bytes[k], data).data, buf.bytes);
        m->place[k] = 0;
    } else if (what == 7) {
        int there = youngest(m), got = -1;
        fm_buf got_key = fm_buf_of(&got, sizeof got);
        assert_int_equal(fm_dict_popitem(d, &got_key, &buf, FM_FOREVER), there < 0 ? -ENOENT : 0);
        assert_int_equal(got, there);
        if (there >= 0)
            m->place[there] = 0;
    } else if (what == 8) {
        const int was_there = m->place[k] != 0;
        assert_int_equal(
            fm_dict_setdefault(d, key, value_of(number, bytes, data), NULL, FM_FOREVER), was_there);
        if (!was_there)
            put_in_model(m, k, number, bytes);
    } else {
        assert_int_equal(fm_dict_contains(d, key, FM_FOREVER), m->place[k] != 0);
    }
}

static void test_dict_does_what_a_serial_model_does(void **state)
{
    (void)state;
    static struct model m;
    static const int stripes[] = {1, 3, 32};
    unsigned seed = 7;
    for (size_t i = 0; i < T_N_OF(stripes); i++) {
        fm_dict *d = make(stripes[i]);
        memset(&m, 0, sizeof m);
        for (int step = 0; step < N_STEPS / 3; step++) {
            do_step(d, &m, &seed);
            if (step % 997 == 0)
                expect_model(d, &m);
            if (step % 5003 == 5002) {
                t_expect(fm_dict_clear(d, FM_FOREVER), 0);
                memset(&m.place, 0, sizeof m.place);
            }
        }
        expect_model(d, &m);
        fm_dict_destroy(d);
    }
}

/* ---- several processes --------------------------------------------------------------------------- */

static int count_up(void *shared, int number)
{
    fm_dict *d = shared;
    char key[20];
    for (int i = 0; i < N_TURNS; i++) {
        snprintf(key, sizeof key, "counter %d", (i + number) % 7);
        if (fm_dict_add(d, fm_text(key), 1, NULL, FM_FOREVER) != 0)
            return 1;
    }
    return 0;
}

static void expect_sum(fm_dict *d, int64_t expected)
{
    fm_snapshot *values;
    int64_t sum = 0, n;
    t_expect(fm_dict_values(d, &values, FM_FOREVER), 0);
    for (int64_t i = 0; i < values->n; i++) {
        memcpy(&n, values->values[i].data, sizeof n);
        sum += n;
    }
    assert_int_equal(sum, expected);
    fm_snapshot_free(values);
}

static void test_dict_additions_of_several_processes_are_exact(void **state)
{
    (void)state;
    fm_dict *d = make(0);
    t_in_processes(N_PARTIES, count_up, d);
    expect_sum(d, (int64_t)N_PARTIES * N_TURNS);
    fm_dict_destroy(d);
}

static void test_dict_additions_of_several_threads_are_exact(void **state)
{
    (void)state;
    fm_dict *d = make(2);
    t_in_threads(N_PARTIES, count_up, d);
    expect_sum(d, (int64_t)N_PARTIES * N_TURNS);
    fm_dict_destroy(d);
}

/* All set one key to what is all the same letter, of many lengths. */
static int set_and_get_whole(void *shared, int number)
{
    char data[600], out[600];
    for (int i = 0; i < N_TURNS; i++) {
        fm_buf buf = fm_buf_of(out, sizeof out);
        memset(data, 'a' + number, sizeof data);
        if (fm_dict_set(shared, fm_text("k"), fm_bytes_of(data, (size_t)(1 + i * 37 % 600)),
                        FM_FOREVER) != 0 ||
            fm_dict_get(shared, fm_text("k"), &buf, FM_FOREVER) != 0)
            return 1;
        for (size_t at = 1; at < buf.bytes; at++)
            if (out[at] != out[0])
                return 2;
    }
    return 0;
}

static void test_dict_values_are_whole_whoever_sets_them(void **state)
{
    (void)state;
    fm_dict *d = make(0);
    t_in_processes(N_PARTIES, set_and_get_whole, d);
    fm_dict_destroy(d);
}

static int fill_from_spawned(void *arg)
{
    fm_dict *d = *(fm_dict **)arg;
    int code = fm_dict_set(d, fm_text("by"), fm_text("another"), FM_FOREVER);
    return code != 0 ? code : fm_dict_contains(d, fm_text("here"), FM_FOREVER) - 1;
}

static void test_dict_is_one_in_processes_of_each_method(void **state)
{
    fm_dict *d = make(0);
    t_expect(set(d, "here", "x"), 0);
    fm_process *p = t_run(t_method(state), fill_from_spawned, &d, sizeof(void *));
    assert_int_equal(t_end(p), 0);
    expect_text(d, "by", "another");
    fm_dict_destroy(d);
}

/* ---- what is refused ----------------------------------------------------------------------------- */

static void test_dict_refuses_what_cannot_be(void **state)
{
    (void)state;
    fm_dict *d = make(0), *none;
    fm_buf buf = fm_buf_of(NULL, 0);
    fm_snapshot *items;
    char here[256] __attribute__((aligned(64))) = "";
    assert_int_equal(fm_dict_create(NULL, NULL), -EINVAL);
    assert_int_equal(fm_dict_create(&none, FM_DICT_OPTS(.stripes = 257)), -EINVAL);
    assert_null(none);
    assert_int_equal(fm_dict_create(&none, FM_DICT_OPTS(.stripes = -1)), -EINVAL);
    assert_int_equal(fm_dict_set(NULL, fm_text("k"), fm_text("v"), FM_FOREVER), -EINVAL);
    assert_int_equal(fm_dict_set((fm_dict *)here, fm_text("k"), fm_text("v"), FM_FOREVER), -EINVAL);
    assert_int_equal(fm_dict_set(d, fm_bytes_of(NULL, 1), fm_text("v"), FM_FOREVER), -EINVAL);
    assert_int_equal(fm_dict_set(d, fm_text("k"), fm_bytes_of(NULL, 1), FM_FOREVER), -EINVAL);
    assert_int_equal(fm_dict_set(d, fm_text("k"), fm_bytes_of(here, SIZE_MAX), FM_FOREVER),
                     -EOVERFLOW);
    assert_int_equal(fm_dict_set(d, fm_text("k"), fm_bytes_of(here, (size_t)1 << 50), FM_FOREVER),
                     -ENOMEM);
    assert_int_equal(fm_dict_get(d, fm_text("k"), NULL, FM_FOREVER), -EINVAL);
    assert_int_equal(fm_dict_get(d, fm_text("k"), &buf, FM_FOREVER), -ENOENT);
    assert_int_equal(fm_dict_items(d, NULL, FM_FOREVER), -EINVAL);
    assert_int_equal(fm_dict_items(NULL, &items, FM_FOREVER), -EINVAL);
    assert_int_equal(fm_dict_len(d, NULL, FM_FOREVER), -EINVAL);
    assert_int_equal(len(d), 0);
    fm_dict_destroy(d);
    fm_dict_destroy(NULL);
}

/* Every word of the record, of its stripe's table and of its pair, one after another, is overwritten: calls return, with whatever code. */
static void use_all(fm_dict *d)
{
    char text[100];
    fm_buf buf = fm_buf_of(text, sizeof text), key = buf;
    fm_snapshot *items;
    int64_t n;
    (void)!fm_dict_get(d, fm_text("k"), &buf, FM_MS(1));
    (void)!fm_dict_set(d, fm_text("k"), fm_text("another value, longer"), FM_MS(1));
    (void)!fm_dict_set(d, fm_text("j"), fm_text("v"), FM_MS(1));
    (void)!fm_dict_add(d, fm_text("i"), 1, NULL, FM_MS(1));
    if (fm_dict_items(d, &items, FM_MS(1)) == 0)
        fm_snapshot_free(items);
    (void)!fm_dict_len(d, &n, FM_MS(1));
    (void)!fm_dict_popitem(d, &key, &buf, FM_MS(1));
    (void)!fm_dict_pop(d, fm_text("k"), &buf, FM_MS(1));
    (void)!fm_dict_clear(d, FM_MS(1));
    (void)!fm_dict_set(d, fm_text("k"), fm_text("v"), FM_MS(1));
    fm_dict_destroy(d);
}

static void scribble(void *arg)
{
    const int at = *(int *)arg / 4, how = *(int *)arg % 4;
    const uint64_t with[] = {UINT64_MAX, 64, 0, 0x200000000000};
    fm_dict *d;
    if (fm_dict_create(&d, FM_DICT_OPTS(.stripes = 1)) != 0 || set(d, "k", "value") != 0 ||
        set(d, "l", "v") != 0)
        _exit(1);
    uint64_t *words[] = {(uint64_t *)(void *)d, (uint64_t *)atomic_load(&d->stripes[0].table),
                         NULL};
    words[2] = (uint64_t *)words[1][8];
    uint64_t *word = at < 24   ? words[0] + at
                     : at < 56 ? words[1] + (at - 24)
                               : words[2] + (at - 56);
    (void)!fm_log_set(FM_LOG_OFF, NULL, NULL);
    *word = how == 3 ? (uint64_t)d : with[how];
    use_all(d);
}

static void test_dict_overwritten_at_any_word_gives_codes_and_no_crash(void **state)
{
    (void)state;
    for (int i = 0; i < 4 * 64; i++) {
        const int status = t_in_child(scribble, &i);
        if (t_exit_code(status) != 0)
            fail_msg("word %d, value %d: signal %d", i / 4, i % 4, t_signal(status));
    }
}

static void test_dict_that_was_destroyed_or_marked_otherwise_is_corrupt(void **state)
{
    (void)state;
    fm_dict *d = make(0);
    int64_t n;
    atomic_store(&d->mark, FMI_DICT_DEAD);
    assert_int_equal(fm_dict_set(d, fm_text("k"), fm_text("v"), FM_FOREVER), FM_ECORRUPT);
    atomic_store(&d->mark, FMI_DICT_LIVE);
    t_expect(set(d, "k", "v"), 0);
    for (int i = 0; i < FM_DICT_DEFAULT_STRIPES; i++)
        if (atomic_load(&d->stripes[i].table) != 0)
            atomic_store(&d->stripes[i].table, 4096);
    assert_int_equal(set(d, "k", "v"), FM_ECORRUPT);
    assert_non_null(strstr(fm_error_detail(), "overwritten"));
    assert_int_equal(fm_dict_len(d, &n, FM_FOREVER), FM_ECORRUPT);
    fm_dict_destroy(d);
}

T_MAIN(T_TEST(test_dict_gives_what_was_set_and_tells_what_is_not_there),
       T_TEST(test_dict_holds_keys_and_values_of_any_bytes_and_length),
       T_TEST(test_dict_get_into_a_small_buffer_tells_the_length),
       T_TEST(test_dict_keeps_the_order_of_insertion),
       T_TEST(test_dict_popitem_takes_the_youngest_of_all_stripes),
       T_TEST(test_dict_keys_and_values_are_copies_in_order),
       T_TEST(test_dict_setdefault_sets_once),
       T_TEST(test_dict_add_counts_and_refuses_what_is_no_integer),
       T_TEST(test_dict_update_sets_in_order_and_copy_has_the_same),
       T_TEST(test_dict_cleared_is_empty_and_works), T_TEST(test_dict_gives_its_memory_back),
       T_TEST(test_dict_hash_is_that_of_python), T_TEST(test_dict_does_what_a_serial_model_does),
       T_TEST(test_dict_additions_of_several_processes_are_exact),
       T_TEST(test_dict_additions_of_several_threads_are_exact),
       T_TEST(test_dict_values_are_whole_whoever_sets_them),
       T_EACH_METHOD(test_dict_is_one_in_processes_of_each_method),
       T_TEST(test_dict_refuses_what_cannot_be),
       T_TEST(test_dict_overwritten_at_any_word_gives_codes_and_no_crash),
       T_TEST(test_dict_that_was_destroyed_or_marked_otherwise_is_corrupt))
