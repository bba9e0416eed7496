/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork */
/* TIMEOUT: 40 */
/* Shareable lists: what they hold, how large a slot is, what is equal, and what several processes see of a slot that is set. */
#include "t_process.h"

#include "fault.h"
#include "heap.h"
#include "shlist.h"
#include "shlist_slot.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <unistd.h>

enum { N_PARTIES = 4, N_TURNS = 30000 };

static fm_shlist *make(const fm_shlist_item *items, int64_t n)
{
    fm_shlist *l;
    t_expect(fm_shlist_create(&l, items, n), 0);
    assert_non_null(l);
    return l;
}

static fm_shlist *make_one(fm_shlist_item item)
{
    return make(&item, 1);
}

/* The list of Python's manual. */
static fm_shlist *make_sample(void)
{
    const fm_shlist_item items[] = {fm_shlist_string("howdy"),  fm_shlist_bytes("HoWdY", 5),
                                    fm_shlist_double(-273.154), fm_shlist_int(100),
                                    fm_shlist_none(),           fm_shlist_bool(1),
                                    fm_shlist_int(42)};
    return make(items, T_N_OF(items));
}

static void expect_int(fm_shlist *l, int64_t i, int64_t expected)
{
    fm_shlist_item item;
    t_expect(fm_shlist_get(l, i, &item, NULL, 0), 0);
    assert_int_equal(item.type, FM_SHLIST_INT);
    assert_true(item.integer == expected);
}

static void expect_data(fm_shlist *l, int64_t i, int type, const char *data, size_t bytes)
{
    fm_shlist_item item;
    char buf[100];
    memset(buf, '#', sizeof buf);
    t_expect(fm_shlist_get(l, i, &item, buf, sizeof buf), 0);
    assert_int_equal(item.type, type);
    assert_int_equal(item.bytes, bytes);
    assert_ptr_equal(item.data, buf);
    assert_memory_equal(buf, data, bytes);
    assert_int_equal(buf[bytes], type == FM_SHLIST_STRING ? '\0' : '#');
}

static void expect_text(fm_shlist *l, int64_t i, const char *text)
{
    expect_data(l, i, FM_SHLIST_STRING, text, strlen(text));
}

static int set(fm_shlist *l, int64_t i, fm_shlist_item item)
{
    return fm_shlist_set(l, i, &item);
}

static int64_t count(fm_shlist *l, fm_shlist_item item)
{
    int64_t n = -5;
    t_expect(fm_shlist_count(l, &item, &n), 0);
    return n;
}

/* The first that is equal; -1: none. */
static int64_t index_of(fm_shlist *l, fm_shlist_item item)
{
    int64_t i = -5;
    int code = fm_shlist_index(l, &item, &i);
    assert_true(code == 0 ? i >= 0 : code == -ENOENT && i == -1);
    return i;
}

static size_t used_bytes(void)
{
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return usage.used_bytes;
}

static void ignore_message(int level, const char *message, void *arg)
{
    (void)level, (void)message;
    *(int *)arg += 1;
}

/* ---- what it holds ---- */

static void test_shlist_holds_what_it_was_made_of(void **state)
{
    (void)state;
    fm_shlist *l = make_sample();
    fm_shlist_item item;
    assert_int_equal(fm_shlist_len(l), 7);
    expect_text(l, 0, "howdy");
    expect_data(l, 1, FM_SHLIST_BYTES, "HoWdY", 5);
    t_expect(fm_shlist_get(l, 2, &item, NULL, 0), 0);
    assert_int_equal(item.type, FM_SHLIST_DOUBLE);
    assert_true(item.real == -273.154);
    expect_int(l, 3, 100);
    t_expect(fm_shlist_get(l, 4, &item, NULL, 0), 0);
    assert_int_equal(item.type, FM_SHLIST_NONE);
    t_expect(fm_shlist_get(l, 5, &item, NULL, 0), 0);
    assert_int_equal(item.type, FM_SHLIST_BOOL);
    assert_int_equal(item.boolean, 1);
    expect_int(l, 6, 42);
    fm_shlist_destroy(l);
}

static void test_shlist_keeps_every_bit_of_numbers(void **state)
{
    (void)state;
    static const int64_t integers[] = {0, -1, INT64_MIN, INT64_MAX};
    const double reals[] = {-0.0, (double)INFINITY, 5e-324, 0.1};
    fm_shlist *l = make_one(fm_shlist_none());
    fm_shlist_item item;
    for (size_t i = 0; i < T_N_OF(integers); i++) {
        t_expect(set(l, 0, fm_shlist_int(integers[i])), 0);
        expect_int(l, 0, integers[i]);
        t_expect(set(l, 0, fm_shlist_double(reals[i])), 0);
        t_expect(fm_shlist_get(l, 0, &item, NULL, 0), 0);
        assert_memory_equal(&item.real, &reals[i], sizeof reals[i]);
    }
    fm_shlist_destroy(l);
}

static void test_shlist_counts_negative_indexes_from_the_end(void **state)
{
    (void)state;
    fm_shlist *l = make_sample();
    fm_shlist_item item;
    expect_int(l, -1, 42);
    expect_text(l, -7, "howdy");
    t_expect(set(l, -1, fm_shlist_int(43)), 0);
    expect_int(l, 6, 43);
    static const int64_t outside[] = {7, -8, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < T_N_OF(outside); i++) {
        assert_int_equal(fm_shlist_get(l, outside[i], &item, NULL, 0), -ERANGE);
        assert_int_equal(item.type, 0);
        assert_int_equal(set(l, outside[i], fm_shlist_int(1)), -ERANGE);
        assert_int_equal(fm_shlist_slot_bytes(l, outside[i]), 0);
    }
    fm_shlist_destroy(l);
}

static void test_shlist_without_items_is_a_list(void **state)
{
    (void)state;
    fm_shlist *l = make(NULL, 0);
    fm_shlist_item item;
    assert_int_equal(fm_shlist_len(l), 0);
    assert_int_equal(fm_shlist_get(l, 0, &item, NULL, 0), -ERANGE);
    assert_int_equal(fm_shlist_get(l, -1, &item, NULL, 0), -ERANGE);
    assert_int_equal(count(l, fm_shlist_none()), 0);
    assert_int_equal(index_of(l, fm_shlist_none()), -1);
    fm_shlist_destroy(l);
}

/* ---- slots ---- */

static void test_shlist_slots_have_the_sizes_of_python(void **state)
{
    (void)state;
    const struct {
        size_t bytes, slot;
    } cases[] = {{0, 8}, {5, 8}, {7, 8}, {8, 16}, {9, 16}, {15, 16}, {16, 24}, {99, 104}};
    char data[128];
    memset(data, 'x', sizeof data);
    for (size_t i = 0; i < T_N_OF(cases); i++) {
        fm_shlist *l = make_one(fm_shlist_bytes(data, cases[i].bytes));
        assert_int_equal(fm_shlist_slot_bytes(l, 0), cases[i].slot);
        t_expect(set(l, 0, fm_shlist_bytes(data, cases[i].slot)), 0);
        assert_int_equal(set(l, 0, fm_shlist_bytes(data, cases[i].slot + 1)), FM_ETOOLONG);
        fm_shlist_destroy(l);
    }
    fm_shlist *l = make_sample();
    for (int i = 2; i < 7; i++)
        assert_int_equal(fm_shlist_slot_bytes(l, i), 8);
    fm_shlist_destroy(l);
}

static void test_shlist_refuses_a_text_that_outgrows_its_slot_and_says_its_size(void **state)
{
    (void)state;
    fm_shlist *l = make_sample();
    assert_int_equal(set(l, 0, fm_shlist_string("123456789")), FM_ETOOLONG);
    assert_non_null(strstr(fm_error_detail(), "9 bytes"));
    assert_non_null(strstr(fm_error_detail(), "room for 8"));
    expect_text(l, 0, "howdy");
    assert_int_equal(set(l, 3, fm_shlist_string("123456789")), FM_ETOOLONG);
    expect_int(l, 3, 100);
    fm_shlist_destroy(l);
}

static void test_shlist_slot_may_change_its_type(void **state)
{
    (void)state;
    fm_shlist *l = make_sample();
    fm_shlist_item item;
    t_expect(set(l, 3, fm_shlist_string("8 bytes!")), 0);
    expect_text(l, 3, "8 bytes!");
    t_expect(set(l, 3, fm_shlist_bytes("\0\1\2", 3)), 0);
    expect_data(l, 3, FM_SHLIST_BYTES, "\0\1\2", 3);
    t_expect(set(l, 3, fm_shlist_none()), 0);
    t_expect(fm_shlist_get(l, 3, &item, NULL, 0), 0);
    assert_int_equal(item.type, FM_SHLIST_NONE);
    t_expect(set(l, 0, fm_shlist_int(-7)), 0);
    expect_int(l, 0, -7);
    t_expect(set(l, 0, fm_shlist_string("12345678")), 0); /* the room is still there */
    expect_text(l, 0, "12345678");
    expect_data(l, 1, FM_SHLIST_BYTES, "HoWdY", 5); /* its neighbour */
    fm_shlist_destroy(l);
}

static void test_shlist_get_into_a_small_buffer_tells_the_size(void **state)
{
    (void)state;
    fm_shlist *l = make_sample();
    fm_shlist_item item;
    char buf[6];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fm_shlist_get(l, i, &item, NULL, sizeof buf), FM_ETOOLONG);
        assert_int_equal(item.type, i == 0 ? FM_SHLIST_STRING : FM_SHLIST_BYTES);
        assert_int_equal(item.bytes, 5);
        assert_null(item.data);
        assert_int_equal(fm_shlist_get(l, i, &item, buf, 4), FM_ETOOLONG);
    }
    assert_int_equal(fm_shlist_get(l, 0, &item, buf, 5), FM_ETOOLONG); /* the NUL */
    t_expect(fm_shlist_get(l, 0, &item, buf, 6), 0);
    t_expect(fm_shlist_get(l, 1, &item, buf, 5), 0);
    fm_shlist_destroy(l);
}

static void test_shlist_keeps_nuls_at_the_end(void **state)
{
    (void)state;
    fm_shlist_item text = fm_shlist_string("a");
    text.data = "a\0b\0";
    text.bytes = 4;
    fm_shlist *l = make_one(text);
    expect_data(l, 0, FM_SHLIST_STRING, "a\0b\0", 4);
    t_expect(set(l, 0, fm_shlist_bytes("\0\0", 2)), 0);
    expect_data(l, 0, FM_SHLIST_BYTES, "\0\0", 2);
    t_expect(set(l, 0, fm_shlist_bytes(NULL, 0)), 0);
    expect_data(l, 0, FM_SHLIST_BYTES, "", 0);
    fm_shlist_destroy(l);
}

/* ---- count and index ---- */

static void test_shlist_count_and_index_find_what_python_calls_equal(void **state)
{
    (void)state;
    const int64_t large = (INT64_C(1) << 53) + 1;
    const fm_shlist_item items[] = {
        fm_shlist_string("one"),       fm_shlist_int(1),
        fm_shlist_double(1.0),         fm_shlist_bool(1),
        fm_shlist_bytes("one", 3),     fm_shlist_none(),
        fm_shlist_double((double)NAN), fm_shlist_bool(0),
        fm_shlist_double(-0.0),        fm_shlist_int(large),
        fm_shlist_string(""),          fm_shlist_string("one but longer"),
        fm_shlist_int(INT64_MAX),      fm_shlist_int(INT64_MIN)};
    fm_shlist *l = make(items, T_N_OF(items));
    const struct {
        fm_shlist_item item;
        int64_t n, first;
    } cases[] = {
        {fm_shlist_int(1), 3, 1},
        {fm_shlist_double(1), 3, 1},
        {fm_shlist_bool(1), 3, 1},
        {fm_shlist_int(0), 2, 7},
        {fm_shlist_double(0), 2, 7},
        {fm_shlist_string("one"), 1, 0},
        {fm_shlist_bytes("one", 3), 1, 4},
        {fm_shlist_string("on"), 0, -1},
        {fm_shlist_string("one but longer"), 1, 11},
        {fm_shlist_string("one but langer"), 0, -1},
        {fm_shlist_string(""), 1, 10},
        {fm_shlist_bytes(NULL, 0), 0, -1},
        {fm_shlist_none(), 1, 5},
        {fm_shlist_double((double)NAN), 0, -1},
        {fm_shlist_double(0x1p53), 0, -1}, /* not 2^53 + 1, though that rounds to it */
        {fm_shlist_int(large), 1, 9},
        {fm_shlist_double(0x1p63), 0, -1},
        {fm_shlist_double(-0x1p63), 1, 13},
        {fm_shlist_int(2), 0, -1},
    };
    for (size_t i = 0; i < T_N_OF(cases); i++) {
        assert_int_equal(count(l, cases[i].item), cases[i].n);
        assert_int_equal(index_of(l, cases[i].item), cases[i].first);
    }
    fm_shlist_destroy(l);
}

/* ---- what is refused ---- */

static void test_shlist_create_refuses_bad_items(void **state)
{
    (void)state;
    fm_shlist *l = (fm_shlist *)&l;
    fm_shlist_item items[2] = {fm_shlist_int(1), {0}};
    assert_int_equal(fm_shlist_create(&l, items, 2), -EINVAL);
    assert_null(l);
    assert_non_null(strstr(fm_error_detail(), "item 1"));
    items[1].type = 7;
    assert_int_equal(fm_shlist_create(&l, items, 2), -EINVAL);
    items[1] = fm_shlist_string(NULL);
    assert_int_equal(fm_shlist_create(&l, items, 2), -EINVAL);
    items[1] = fm_shlist_bytes(NULL, 3);
    assert_int_equal(fm_shlist_create(&l, items, 2), -EINVAL);
    items[1] = fm_shlist_bytes("", SIZE_MAX);
    assert_int_equal(fm_shlist_create(&l, items, 2), -EOVERFLOW);
    assert_int_equal(fm_shlist_create(&l, items, -1), -EINVAL);
    assert_int_equal(fm_shlist_create(&l, NULL, 1), -EINVAL);
    assert_int_equal(fm_shlist_create(NULL, items, 1), -EINVAL);
    assert_null(l);
}

static void test_shlist_set_count_and_index_refuse_bad_items(void **state)
{
    (void)state;
    fm_shlist *l = make_sample();
    const fm_shlist_item bad[] = {{0}, {.type = 7}, {.type = FM_SHLIST_STRING}};
    int64_t n;
    for (size_t i = 0; i < T_N_OF(bad); i++) {
        assert_int_equal(fm_shlist_set(l, 0, &bad[i]), -EINVAL);
        assert_int_equal(fm_shlist_count(l, &bad[i], &n), -EINVAL);
        assert_int_equal(n, 0);
        assert_int_equal(fm_shlist_index(l, &bad[i], &n), -EINVAL);
        assert_int_equal(n, -1);
    }
    assert_int_equal(fm_shlist_set(l, 0, NULL), -EINVAL);
    assert_int_equal(fm_shlist_get(l, 0, NULL, NULL, 0), -EINVAL);
    assert_int_equal(fm_shlist_count(l, &bad[0], NULL), -EINVAL);
    assert_int_equal(fm_shlist_index(l, NULL, &n), -EINVAL);
    expect_text(l, 0, "howdy");
    fm_shlist_destroy(l);
}

static void expect_refused(fm_shlist *l, int expected)
{
    fm_shlist_item item = fm_shlist_int(1);
    int64_t n;
    assert_int_equal(fm_shlist_set(l, 0, &item), expected);
    assert_int_equal(fm_shlist_count(l, &item, &n), expected);
    assert_int_equal(fm_shlist_index(l, &item, &n), expected);
    assert_int_equal(fm_shlist_get(l, 0, &item, NULL, 0), expected);
    assert_int_equal(fm_shlist_len(l), 0);
    assert_int_equal(fm_shlist_slot_bytes(l, 0), 0);
}

static void test_shlist_calls_refuse_what_is_no_list(void **state)
{
    (void)state;
    int64_t numbers[32] = {0};
    fm_array *a = t_vector(FM_U8, 4096);
    fm_shlist *l = make_sample();
    expect_refused(NULL, -EINVAL);
    expect_refused((fm_shlist *)(void *)numbers, -EINVAL);
    expect_refused((fm_shlist *)(void *)a, FM_ECORRUPT);
    expect_refused((fm_shlist *)fm_array_data(a), FM_ECORRUPT);
    fm_shlist_destroy(l);
    expect_refused(l, FM_ECORRUPT);
    fm_array_destroy(a);
}

static void test_shlist_that_is_overwritten_is_noticed(void **state)
{
    (void)state;
    fm_shlist *l = make_sample();
    const fm_shlist good = *l;
    struct fmi_shlist_entry_shm *entry = (void *)l->data;
    const struct fmi_shlist_entry_shm good_entry = *entry,
                                      bad_entries[] = {{UINT64_MAX - 7, 1},
                                                       {good_entry.offset + 1, 1},
                                                       {good_entry.offset, 0},
                                                       {good_entry.offset, UINT64_MAX},
                                                       {good_entry.offset, 1000},
                                                       {l->bytes, 1}};
    for (size_t i = 0; i < T_N_OF(bad_entries); i++) {
        fm_shlist_item item;
        *entry = bad_entries[i];
        assert_int_equal(fm_shlist_get(l, 0, &item, NULL, 0), FM_ECORRUPT);
        assert_int_equal(set(l, 0, fm_shlist_int(1)), FM_ECORRUPT);
        assert_int_equal(
            fm_shlist_count(l, &(fm_shlist_item){.type = FM_SHLIST_NONE}, &(int64_t){0}),
            FM_ECORRUPT);
    }
    *entry = good_entry;
    uint64_t *head = (void *)(l->data + entry->offset + sizeof(uint64_t));
    const uint64_t good_heads[] = {head[0], head[2]},
                   bad_heads[] = {0, 7, 5 | 9 << 8, 2 | 1 << 8, UINT64_MAX};
    for (size_t i = 0; i < T_N_OF(bad_heads); i++) {
        fm_shlist_item item;
        char buf[32];
        head[0] = head[2] = bad_heads[i];
        assert_int_equal(fm_shlist_get(l, 0, &item, buf, sizeof buf), FM_ECORRUPT);
        assert_int_equal(item.type, 0);
    }
    head[0] = good_heads[0];
    head[2] = good_heads[1];
    expect_text(l, 0, "howdy");
    l->n_items = UINT64_MAX;
    expect_refused(l, FM_ECORRUPT);
    l->n_items = good.n_items;
    l->data = (char *)entry + (UINT64_C(1) << 50);
    expect_refused(l, FM_ECORRUPT);
    l->data = good.data;
    l->bytes = INT64_MAX;
    expect_refused(l, FM_ECORRUPT);
    l->bytes = good.bytes;
    fm_shlist_destroy(l);
}

static void test_shlist_destroyed_twice_is_reported(void **state)
{
    (void)state;
    int n_messages = 0;
    fm_shlist *l = make_sample();
    assert_int_equal(fm_log_set(0, ignore_message, &n_messages), 0);
    fm_shlist_destroy(NULL);
    fm_shlist_destroy(l);
    assert_int_equal(n_messages, 0);
    fm_shlist_destroy(l);
    assert_int_equal(n_messages, 1);
    assert_int_equal(fm_log_set(0, NULL, NULL), 0);
}

static void test_shlist_memory_is_free_again_at_the_end_of_the_scope(void **state)
{
    (void)state;
    static char data[3000000];
    fm_shlist *keep = make_sample(); /* its spans stay */
    const size_t before = used_bytes();
    {
        FM_AUTO(fm_shlist) l = make_one(fm_shlist_bytes(data, sizeof data));
        assert_true(used_bytes() >= before + 2 * sizeof data);
    }
    assert_int_equal(used_bytes(), before);
    fm_shlist_destroy(keep);
}

/* ---- several processes ---- */

struct shared {
    fm_shlist *list;
    fm_shlist **made; /* in the heap: of the child */
};

static int change_and_make(void *arg)
{
    const struct shared *shared = arg;
    int rc = set(shared->list, 0, fm_shlist_string("changed"));
    if (rc == 0)
        rc = set(shared->list, -1, fm_shlist_double(0.5));
    const fm_shlist_item items[] = {fm_shlist_string("of the child"), fm_shlist_int(3)};
    if (rc == 0)
        rc = fm_shlist_create(shared->made, items, 2);
    return rc == 0 ? 0 : 1;
}

static void test_shlist_made_before_or_after_the_start_means_the_same(void **state)
{
    fm_array *box = t_vector(FM_U64, 1);
    struct shared shared = {make_sample(), fm_array_data(box)};
    assert_int_equal(t_end(t_run(t_method(state), change_and_make, &shared, sizeof shared)), 0);
    expect_text(shared.list, 0, "changed");
    assert_int_equal(index_of(shared.list, fm_shlist_double(0.5)), 6);
    expect_text(*shared.made, 0, "of the child");
    expect_int(*shared.made, 1, 3);
    fm_shlist_destroy(*shared.made);
    fm_shlist_destroy(shared.list);
    fm_array_destroy(box);
}

enum { LONGEST = 900 };

/* Texts of one letter, whose length tells the letter; and now and then a number. */
static fm_shlist_item item_of(uint64_t number, char *buf)
{
    const size_t letter = number % 26;
    if (number % 7 == 0)
        return fm_shlist_int(-1);
    memset(buf, (int)('a' + letter), LONGEST);
    buf[LONGEST - letter * 30] = '\0';
    return fm_shlist_string(buf);
}

static int is_whole(const fm_shlist_item *item)
{
    if (item->type == FM_SHLIST_INT)
        return item->integer == -1;
    const size_t letter = (LONGEST - item->bytes) / 30;
    return item->type == FM_SHLIST_STRING && item->bytes == LONGEST - letter * 30 &&
           item->data[0] == (char)('a' + letter) &&
           memcmp(item->data, item->data + 1, item->bytes - 1) == 0;
}

static void set_items(void *arg)
{
    char buf[LONGEST + 1];
    for (uint64_t i = 0; i < N_TURNS; i++) {
        const fm_shlist_item next = item_of(i * 5 + (uint64_t)getpid(), buf);
        if (fm_shlist_set(arg, 0, &next) != 0)
            _exit(1);
    }
}

static void get_items(void *arg)
{
    char buf[LONGEST + 1];
    fm_shlist_item item;
    for (int i = 0; i < N_TURNS; i++)
        if (fm_shlist_get(arg, 0, &item, buf, sizeof buf) != 0 || !is_whole(&item))
            _exit(2);
}

static void test_shlist_item_that_others_set_is_never_seen_half(void **state)
{
    (void)state;
    char buf[LONGEST + 1];
    pid_t pids[N_PARTIES];
    fm_shlist *l = make_one(item_of(26, buf));
    for (int i = 0; i < N_PARTIES; i++)
        pids[i] = t_start_child(i % 2 == 0 ? set_items : get_items, l);
    for (int i = 0; i < N_PARTIES; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
    fm_shlist_destroy(l);
}

#ifdef FORKMAP_FAULTS
static struct fmi_shlist_slot overtaken;

/* As if the item had been set twice while it was read. */
static void overtake(const char *point)
{
    if (strcmp(point, "shlist.read") == 0)
        atomic_fetch_add(overtaken.turn, 2);
}

static void test_shlist_reader_that_is_always_overtaken_gets_the_item(void **state)
{
    (void)state;
    fm_shlist *l = make_sample();
    const struct fmi_shlist_entry_shm *entry = (void *)l->data;
    fmi_shlist_place(l->data + entry->offset, entry->n_words, &overtaken);
    fmi_fault_hook(overtake);
    expect_text(l, 0, "howdy");
    assert_int_equal(index_of(l, fm_shlist_string("howdy")), 0);
    fmi_fault_hook(NULL);
    t_expect(set(l, 0, fm_shlist_string("after")), 0); /* the lock is free */
    expect_text(l, 0, "after");
    fm_shlist_destroy(l);
}

static fm_shlist *watched;
static int n_to_copy; /* words, until it happens */

static void set_it_twice(void *arg)
{
    _exit(set(arg, 0, fm_shlist_string("cccccccccccccccccccccccc")) != 0 ||
          set(arg, 0, fm_shlist_string("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")) != 0);
}

static void set_it_meanwhile(const char *point)
{
    if (strcmp(point, "shlist.copy") == 0 && --n_to_copy == 0)
        assert_int_equal(t_exit_code(t_in_child(set_it_twice, watched)), 0);
}

static void test_shlist_item_that_is_set_twice_while_it_is_read_is_read_again(void **state)
{
    (void)state;
    for (int at = 1; at < 4; at++) {
        n_to_copy = at;
        watched = make_one(fm_shlist_string("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
        fmi_fault_hook(set_it_meanwhile);
        expect_text(watched, 0, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
        fmi_fault_hook(NULL);
        assert_true(n_to_copy < 0); /* it happened, and the reader went on */
        fm_shlist_destroy(watched);
    }
}
#else
static void test_shlist_item_that_is_set_twice_while_it_is_read_is_read_again(void **state)
{
    (void)state;
    t_skip("fault points: build with FORKMAP_FAULTS");
}

static void test_shlist_reader_that_is_always_overtaken_gets_the_item(void **state)
{
    (void)state;
    t_skip("fault points: build with FORKMAP_FAULTS");
}
#endif

T_MAIN(T_TEST(test_shlist_holds_what_it_was_made_of),
       T_TEST(test_shlist_keeps_every_bit_of_numbers),
       T_TEST(test_shlist_counts_negative_indexes_from_the_end),
       T_TEST(test_shlist_without_items_is_a_list),
       T_TEST(test_shlist_slots_have_the_sizes_of_python),
       T_TEST(test_shlist_refuses_a_text_that_outgrows_its_slot_and_says_its_size),
       T_TEST(test_shlist_slot_may_change_its_type),
       T_TEST(test_shlist_get_into_a_small_buffer_tells_the_size),
       T_TEST(test_shlist_keeps_nuls_at_the_end),
       T_TEST(test_shlist_count_and_index_find_what_python_calls_equal),
       T_TEST(test_shlist_create_refuses_bad_items),
       T_TEST(test_shlist_set_count_and_index_refuse_bad_items),
       T_TEST(test_shlist_calls_refuse_what_is_no_list),
       T_TEST(test_shlist_that_is_overwritten_is_noticed),
       T_TEST(test_shlist_destroyed_twice_is_reported),
       T_TEST(test_shlist_memory_is_free_again_at_the_end_of_the_scope),
       T_EACH_METHOD(test_shlist_made_before_or_after_the_start_means_the_same),
       T_TEST(test_shlist_item_that_others_set_is_never_seen_half),
       T_TEST(test_shlist_item_that_is_set_twice_while_it_is_read_is_read_again),
       T_TEST(test_shlist_reader_that_is_always_overtaken_gets_the_item))
