/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork */
/* TIMEOUT: 40 */
/* Lists that grow: what they hold, that they do what an array does, what several processes see of one. */
#include "t_sync.h"
#include "t_process.h"

#include "heap.h"
#include "list.h"

#include <stdio.h>

enum { N_PARTIES = 4, N_TURNS = 5000 };

static fm_list *make(const char *letters)
{
    fm_list *l;
    t_expect(fm_list_create(&l), 0);
    for (; *letters != '\0'; letters++)
        t_expect(fm_list_append(l, fm_bytes_of(letters, 1), FM_FOREVER), 0);
    return l;
}

static void expect_slice(fm_list *l, int64_t begin, int64_t end, const char *letters)
{
    fm_snapshot *s;
    char text[5000] = "";
    t_expect(fm_list_slice(l, begin, end, &s, FM_FOREVER), 0);
    assert_null(s->keys);
    for (int64_t i = 0; i < s->n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s",
                 (const char *)s->values[i].data);
    assert_string_equal(text, letters);
    fm_snapshot_free(s);
}

static void expect(fm_list *l, const char *letters)
{
    int64_t n;
    expect_slice(l, 0, INT64_MAX, letters);
    t_expect(fm_list_len(l, &n, FM_FOREVER), 0);
    assert_int_equal(n, strlen(letters));
}

static int pop(fm_list *l, int64_t i, char *letter)
{
    fm_buf buf = fm_buf_of(letter, 1);
    return fm_list_pop(l, i, &buf, FM_FOREVER);
}

/* ---- what it holds ------------------------------------------------------------------------------- */

static void test_list_appends_gets_and_sets(void **state)
{
    (void)state;
    fm_list *l = make("abc");
    char text[10];
    fm_buf buf = fm_buf_of(text, sizeof text);
    expect(l, "abc");
    t_expect(fm_list_get(l, -1, &buf, FM_FOREVER), 0);
    assert_int_equal(buf.bytes, 1);
    assert_int_equal(text[0], 'c');
    t_expect(fm_list_set(l, -3, fm_text("longer"), FM_FOREVER), 0);
    t_expect(fm_list_get(l, 0, &buf, FM_FOREVER), 0);
    assert_int_equal(buf.bytes, 6);
    assert_memory_equal(text, "longer", 6);
    buf.cap = 5;
    assert_int_equal(fm_list_get(l, 0, &buf, FM_FOREVER), FM_ETOOLONG);
    assert_int_equal(buf.bytes, 6);
    static const int64_t outside[] = {3, -4, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < T_N_OF(outside); i++) {
        assert_int_equal(fm_list_get(l, outside[i], &buf, FM_FOREVER), -ERANGE);
        assert_int_equal(buf.bytes, 0);
        assert_int_equal(fm_list_set(l, outside[i], fm_text("x"), FM_FOREVER), -ERANGE);
        assert_int_equal(fm_list_delete(l, outside[i], FM_FOREVER), -ERANGE);
    }
    fm_list_destroy(l);
}

static void test_list_inserts_and_pops_where_python_does(void **state)
{
    (void)state;
    fm_list *l = make("");
    char c;
    assert_int_equal(pop(l, -1, &c), -ERANGE);
    t_expect(fm_list_insert(l, 5, fm_text("b"), FM_FOREVER), 0);
    t_expect(fm_list_insert(l, -9, fm_text("a"), FM_FOREVER), 0);
    t_expect(fm_list_insert(l, INT64_MAX, fm_text("d"), FM_FOREVER), 0);
    t_expect(fm_list_insert(l, -1, fm_text("c"), FM_FOREVER), 0);
    expect(l, "abcd");
    t_expect(pop(l, 1, &c), 0);
    assert_int_equal(c, 'b');
    t_expect(pop(l, -1, &c), 0);
    assert_int_equal(c, 'd');
    t_expect(pop(l, 0, &c), 0);
    assert_int_equal(c, 'a');
    expect(l, "c");
    t_expect(fm_list_delete(l, 0, FM_FOREVER), 0);
    expect(l, "");
    fm_list_destroy(l);
}

static void test_list_pop_into_a_small_buffer_leaves_the_item(void **state)
{
    (void)state;
    fm_list *l = make("ab");
    fm_buf none = fm_buf_of(NULL, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fm_list_pop(l, i, &none, FM_FOREVER), FM_ETOOLONG);
        assert_int_equal(none.bytes, 1);
    }
    expect(l, "ab");
    fm_list_destroy(l);
}

static void test_list_finds_counts_and_removes_what_is_equal(void **state)
{
    (void)state;
    fm_list *l = make("abcabca");
    int64_t i, n;
    t_expect(fm_list_index(l, fm_text("c"), &i, FM_FOREVER), 0);
    assert_int_equal(i, 2);
    assert_int_equal(fm_list_index(l, fm_text("ab"), &i, FM_FOREVER), -ENOENT);
    assert_int_equal(i, -1);
    t_expect(fm_list_count(l, fm_text("a"), &n, FM_FOREVER), 0);
    assert_int_equal(n, 3);
    t_expect(fm_list_count(l, fm_text("x"), &n, FM_FOREVER), 0);
    assert_int_equal(n, 0);
    assert_int_equal(fm_list_contains(l, fm_text("b"), FM_FOREVER), 1);
    assert_int_equal(fm_list_contains(l, fm_text(""), FM_FOREVER), 0);
    t_expect(fm_list_remove(l, fm_text("b"), FM_FOREVER), 0);
    expect(l, "acabca");
    t_expect(fm_list_remove(l, fm_text("b"), FM_FOREVER), 0);
    assert_int_equal(fm_list_remove(l, fm_text("b"), FM_FOREVER), -ENOENT);
    expect(l, "acaca");
    fm_list_destroy(l);
}

static void test_list_extends_reverses_slices_and_clears(void **state)
{
    (void)state;
    fm_list *l = make("ab");
    const fm_bytes more[] = {fm_text("c"), fm_text("d"), fm_text("e")},
                   bad[] = {fm_text("x"), fm_bytes_of(NULL, 1)};
    t_expect(fm_list_extend(l, more, 3, FM_FOREVER), 0);
    t_expect(fm_list_extend(l, NULL, 0, FM_FOREVER), 0);
    assert_int_equal(fm_list_extend(l, bad, 2, FM_FOREVER), -EINVAL);
    assert_int_equal(fm_list_extend(l, more, -1, FM_FOREVER), -EINVAL);
    expect(l, "abcde");
    t_expect(fm_list_reverse(l, FM_FOREVER), 0);
    expect(l, "edcba");
    expect_slice(l, 1, 3, "dc");
    expect_slice(l, -2, INT64_MAX, "ba");
    expect_slice(l, INT64_MIN, -4, "e");
    expect_slice(l, 3, 1, "");
    expect_slice(l, 5, 9, "");
    t_expect(fm_list_clear(l, FM_FOREVER), 0);
    expect(l, "");
    t_expect(fm_list_reverse(l, FM_FOREVER), 0);
    t_expect(fm_list_append(l, fm_text("z"), FM_FOREVER), 0);
    expect(l, "z");
    fm_list_destroy(l);
}

/* ---- sorting ------------------------------------------------------------------------------------- */

struct sorting {
    fm_list *list;
    int n_calls, code;
};

/* By the first letter only: what is equal keeps its order. */
static int by_letter(fm_bytes a, fm_bytes b, void *arg)
{
    struct sorting *s = arg;
    s->n_calls++;
    s->code = fm_list_append(s->list, a, FM_FOREVER);
    return *(const char *)a.data - *(const char *)b.data;
}

static void test_list_sort_keeps_the_order_of_equals_and_refuses_calls_within(void **state)
{
    (void)state;
    struct sorting s = {.list = make("")};
    char text[8], letters[1000];
    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof text, "%c%c", 'a' + i * 7 % 13, 'A' + i % 26);
        t_expect(fm_list_append(s.list, fm_text(text), FM_FOREVER), 0);
    }
    char *at = letters;
    for (int c = 'a'; c < 'a' + 13; c++)
        for (int i = 0; i < 500; i++)
            if ('a' + i * 7 % 13 == c) {
                *at++ = (char)c;
                *at++ = (char)('A' + i % 26);
            }
    t_expect(fm_list_sort(s.list, by_letter, &s, FM_FOREVER), 0);
    assert_int_equal(s.code, -EDEADLK);
    assert_in_range(s.n_calls, 500, 5000);
    fm_snapshot *all;
    t_expect(fm_list_slice(s.list, 0, INT64_MAX, &all, FM_FOREVER), 0);
    assert_int_equal(all->n, 500);
    for (int64_t i = 0; i < all->n; i++)
        assert_memory_equal(all->values[i].data, letters + 2 * i, 2);
    fm_snapshot_free(all);
    fm_list_destroy(s.list);
}

static void test_list_sort_without_a_function_is_by_bytes(void **state)
{
    (void)state;
    fm_list *l = make("cab");
    const fm_bytes more[] = {fm_text("ab"), fm_text(""), fm_bytes_of("\xff", 1)};
    t_expect(fm_list_extend(l, more, 3, FM_FOREVER), 0);
    t_expect(fm_list_sort(l, NULL, NULL, FM_FOREVER), 0);
    expect_slice(l, 0, INT64_MAX, "aabbc\xff");
    fm_list_destroy(l);
}

static int confused(fm_bytes a, fm_bytes b, void *arg)
{
    (void)a, (void)b;
    unsigned *seed = arg;
    return rand_r(seed) % 3 - 1;
}

static void test_list_sort_by_a_function_without_sense_loses_nothing(void **state)
{
    (void)state;
    fm_list *l = make("abcdefghijklmnopqrstuvwxyz");
    unsigned seed = 5;
    for (int i = 0; i < 50; i++)
        t_expect(fm_list_sort(l, confused, &seed, FM_FOREVER), 0);
    t_expect(fm_list_sort(l, NULL, NULL, FM_FOREVER), 0);
    expect(l, "abcdefghijklmnopqrstuvwxyz");
    fm_list_destroy(l);
}

/* ---- against a model ----------------------------------------------------------------------------- */

enum { MOST = 400 };

/* The same step on an array of letters. */
static void do_step(fm_list *l, char *model, unsigned *seed)
{
    const int64_t n = (int64_t)strlen(model), i = rand_r(seed) % (n + 1);
    const char letter[2] = {(char)('a' + rand_r(seed) % 26), '\0'};
    char c = 0, *found = strchr(model, letter[0]);
    const int what = rand_r(seed) % (n < MOST ? 8 : 4);
    if (what < 2 && i < n) {
        t_expect(pop(l, i - (what ? n : 0), &c), 0);
        assert_int_equal(c, model[i]);
        memmove(model + i, model + i + 1, (size_t)(n - i));
    } else if (what == 2) {
        assert_int_equal(fm_list_remove(l, fm_text(letter), FM_FOREVER), found ? 0 : -ENOENT);
        if (found != NULL)
            memmove(found, found + 1, strlen(found));
    } else if (what == 3 && i < n) {
        t_expect(fm_list_set(l, i, fm_text(letter), FM_FOREVER), 0);
        model[i] = letter[0];
    } else if (what == 4 || what == 5) {
        t_expect(fm_list_insert(l, i, fm_text(letter), FM_FOREVER), 0);
        memmove(model + i + 1, model + i, (size_t)(n - i + 1));
        model[i] = letter[0];
    } else if (what > 5) {
        t_expect(fm_list_append(l, fm_text(letter), FM_FOREVER), 0);
        memcpy(model + n, letter, sizeof letter);
    }
}

static void test_list_does_what_an_array_does(void **state)
{
    (void)state;
    char model[MOST + 10] = "";
    fm_list *l = make("");
    unsigned seed = 11;
    for (int step = 0; step < 20000; step++) {
        do_step(l, model, &seed);
        if (step % 101 == 0)
            expect(l, model);
        if (step % 3001 == 3000) {
            t_expect(fm_list_clear(l, FM_FOREVER), 0);
            *model = '\0';
        }
    }
    expect(l, model);
    fm_list_destroy(l);
}

static void test_list_gives_its_memory_back(void **state)
{
    (void)state;
    static char data[2000];
    struct fmi_heap_usage before = {0}, after;
    for (int round = 0; round < 20; round++) {
        fm_list *l = make("");
        for (int i = 0; i < 300; i++)
            t_expect(fm_list_insert(l, i / 2, fm_bytes_of(data, (size_t)i * 6), FM_FOREVER), 0);
        for (int i = 0; i < 100; i++) {
            t_expect(fm_list_set(l, i, fm_bytes_of(data, 1000), FM_FOREVER), 0);
            t_expect(fm_list_delete(l, i + 50, FM_FOREVER), 0);
        }
        fm_list_destroy(l);
        if (round == 0)
            fmi_heap_usage(&before);
    }
    fmi_heap_usage(&after);
    assert_int_equal(after.used_bytes, before.used_bytes);
}

/* ---- several processes --------------------------------------------------------------------------- */

static int append_own(void *shared, int number)
{
    for (int i = 0; i < N_TURNS; i++) {
        const int pair[2] = {number, i};
        if (fm_list_append(shared, fm_bytes_of(pair, sizeof pair), FM_FOREVER) != 0)
            return 1;
    }
    return 0;
}

static void expect_all_in_order(fm_list *l)
{
    fm_snapshot *all;
    int next[N_PARTIES] = {0}, pair[2];
    t_expect(fm_list_slice(l, 0, INT64_MAX, &all, FM_FOREVER), 0);
    assert_int_equal(all->n, N_PARTIES * N_TURNS);
    for (int64_t i = 0; i < all->n; i++) {
        memcpy(pair, all->values[i].data, sizeof pair);
        assert_int_equal(pair[1], next[pair[0]]++);
    }
    fm_snapshot_free(all);
}

static void test_list_has_all_that_several_processes_append(void **state)
{
    (void)state;
    fm_list *l = make("");
    t_in_processes(N_PARTIES, append_own, l);
    expect_all_in_order(l);
    fm_list_destroy(l);
}

static void test_list_has_all_that_several_threads_append(void **state)
{
    (void)state;
    fm_list *l = make("");
    t_in_threads(N_PARTIES, append_own, l);
    expect_all_in_order(l);
    fm_list_destroy(l);
}

static int append_from_another(void *arg)
{
    return fm_list_append(*(fm_list **)arg, fm_text("b"), FM_FOREVER);
}

static void test_list_is_one_in_processes_of_each_method(void **state)
{
    fm_list *l = make("a");
    fm_process *p = t_run(t_method(state), append_from_another, &l, sizeof(void *));
    assert_int_equal(t_end(p), 0);
    expect(l, "ab");
    fm_list_destroy(l);
}

/* ---- what is refused ----------------------------------------------------------------------------- */

static void test_list_refuses_what_cannot_be(void **state)
{
    (void)state;
    fm_list *l = make("a");
    int64_t n;
    fm_snapshot *s;
    assert_int_equal(fm_list_create(NULL), -EINVAL);
    assert_int_equal(fm_list_append(NULL, fm_text("x"), FM_FOREVER), -EINVAL);
    assert_int_equal(fm_list_append((fm_list *)(void *)&n, fm_text("x"), FM_FOREVER), -EINVAL);
    assert_int_equal(fm_list_append(l, fm_bytes_of(NULL, 1), FM_FOREVER), -EINVAL);
    assert_int_equal(fm_list_append(l, fm_bytes_of(&n, SIZE_MAX), FM_FOREVER), -EOVERFLOW);
    assert_int_equal(fm_list_append(l, fm_bytes_of(&n, (size_t)1 << 50), FM_FOREVER), -ENOMEM);
    assert_int_equal(fm_list_get(l, 0, NULL, FM_FOREVER), -EINVAL);
    assert_int_equal(fm_list_len(l, NULL, FM_FOREVER), -EINVAL);
    assert_int_equal(fm_list_count(l, fm_text("a"), NULL, FM_FOREVER), -EINVAL);
    assert_int_equal(fm_list_index(l, fm_text("a"), NULL, FM_FOREVER), -EINVAL);
    assert_int_equal(fm_list_slice(l, 0, 1, NULL, FM_FOREVER), -EINVAL);
    assert_int_equal(fm_list_slice(NULL, 0, 1, &s, FM_FOREVER), -EINVAL);
    expect(l, "a");
    atomic_store(&l->mark, FMI_LIST_DEAD);
    assert_int_equal(fm_list_append(l, fm_text("x"), FM_FOREVER), FM_ECORRUPT);
    atomic_store(&l->mark, FMI_LIST_LIVE);
    fm_list_destroy(l);
    fm_list_destroy(NULL);
}

static void use_all(fm_list *l)
{
    char text[100];
    fm_buf buf = fm_buf_of(text, sizeof text);
    fm_snapshot *s;
    int64_t n;
    (void)!fm_list_get(l, 0, &buf, FM_MS(1));
    (void)!fm_list_set(l, 1, fm_text("x"), FM_MS(1));
    (void)!fm_list_append(l, fm_text("x"), FM_MS(1));
    (void)!fm_list_insert(l, 1, fm_text("x"), FM_MS(1));
    (void)!fm_list_count(l, fm_text("x"), &n, FM_MS(1));
    (void)!fm_list_sort(l, NULL, NULL, FM_MS(1));
    if (fm_list_slice(l, 0, INT64_MAX, &s, FM_MS(1)) == 0)
        fm_snapshot_free(s);
    (void)!fm_list_pop(l, 0, &buf, FM_MS(1));
    (void)!fm_list_pop(l, -1, &buf, FM_MS(1));
    (void)!fm_list_clear(l, FM_MS(1));
    (void)!fm_list_append(l, fm_text("x"), FM_MS(1));
    fm_list_destroy(l);
}

/* One word of the record, a board or an item is overwritten. */
static void scribble(void *arg)
{
    const int at = *(int *)arg / 4, how = *(int *)arg % 4;
    const uint64_t with[] = {UINT64_MAX, 64, 0};
    fm_list *l;
    if (fm_list_create(&l) != 0 || fm_list_append(l, fm_text("a"), FM_FOREVER) != 0 ||
        fm_list_insert(l, 0, fm_text("b"), FM_FOREVER) != 0)
        _exit(1);
    uint64_t *board = (uint64_t *)atomic_load(&l->store.boards[atomic_load(&l->store.turn) & 1]);
    uint64_t *item = (uint64_t *)board[8];
    uint64_t *word = at < 16   ? (uint64_t *)(void *)l + at
                     : at < 32 ? board + (at - 16)
                               : item + (at - 32);
    (void)!fm_log_set(FM_LOG_OFF, NULL, NULL);
    *word = how == 3 ? (uint64_t)l : with[how];
    use_all(l);
}

static void test_list_overwritten_at_any_word_gives_codes_and_no_crash(void **state)
{
    (void)state;
    for (int i = 0; i < 4 * 35; i++) {
        const int status = t_in_child(scribble, &i);
        if (t_exit_code(status) != 0)
            fail_msg("word %d, value %d: signal %d", i / 4, i % 4, t_signal(status));
    }
}

/* ---- namespaces ---------------------------------------------------------------------------------- */

static void test_namespace_has_names_with_values(void **state)
{
    (void)state;
    FM_AUTO(fm_namespace) ns = NULL;
    fm_snapshot *all;
    char text[10];
    fm_buf buf = fm_buf_of(text, sizeof text);
    t_expect(fm_namespace_create(&ns), 0);
    t_expect(fm_namespace_set(ns, "x", fm_text("10"), FM_FOREVER), 0);
    t_expect(fm_namespace_set(ns, "y", fm_text("hello"), FM_FOREVER), 0);
    t_expect(fm_namespace_get(ns, "y", &buf, FM_FOREVER), 0);
    assert_int_equal(buf.bytes, 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(fm_namespace_contains(ns, "x", FM_FOREVER), 1);
    t_expect(fm_namespace_items(ns, &all, FM_FOREVER), 0);
    assert_int_equal(all->n, 2);
    assert_string_equal(all->keys[0].data, "x");
    assert_string_equal(all->values[1].data, "hello");
    fm_snapshot_free(all);
    t_expect(fm_namespace_delete(ns, "x", FM_FOREVER), 0);
    assert_int_equal(fm_namespace_get(ns, "x", &buf, FM_FOREVER), -ENOENT);
    assert_int_equal(fm_namespace_contains(ns, "x", FM_FOREVER), 0);
    assert_int_equal(fm_namespace_set(ns, NULL, fm_text("1"), FM_FOREVER), -EINVAL);
    assert_int_equal(fm_namespace_get(ns, NULL, &buf, FM_FOREVER), -EINVAL);
    assert_int_equal(fm_namespace_delete(NULL, "x", FM_FOREVER), -EINVAL);
    assert_int_equal(fm_namespace_create(NULL), -EINVAL);
}

T_MAIN(T_TEST(test_list_appends_gets_and_sets),
       T_TEST(test_list_inserts_and_pops_where_python_does),
       T_TEST(test_list_pop_into_a_small_buffer_leaves_the_item),
       T_TEST(test_list_finds_counts_and_removes_what_is_equal),
       T_TEST(test_list_extends_reverses_slices_and_clears),
       T_TEST(test_list_sort_keeps_the_order_of_equals_and_refuses_calls_within),
       T_TEST(test_list_sort_without_a_function_is_by_bytes),
       T_TEST(test_list_sort_by_a_function_without_sense_loses_nothing),
       T_TEST(test_list_does_what_an_array_does), T_TEST(test_list_gives_its_memory_back),
       T_TEST(test_list_has_all_that_several_processes_append),
       T_TEST(test_list_has_all_that_several_threads_append),
       T_EACH_METHOD(test_list_is_one_in_processes_of_each_method),
       T_TEST(test_list_refuses_what_cannot_be),
       T_TEST(test_list_overwritten_at_any_word_gives_codes_and_no_crash),
       T_TEST(test_namespace_has_names_with_values))
