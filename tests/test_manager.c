/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork */
/* TIMEOUT: 40 */
/* Managers in the family: objects by name, by pointer and by call, types of one's own, and the end. */
#include "t_manager.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

static void test_manager_has_every_type_by_call(void **state)
{
    (void)state;
    fm_manager *m = t_manager(NULL);
    assert_int_equal(fm_manager_is_here(m), 1);
    t_expect_all_types(m);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_gives_the_objects_own_pointers(void **state)
{
    (void)state;
    fm_manager *m = t_manager(NULL);
    fm_dict *d;
    fm_value *v;
    void *none;
    double number = 0;
    char text[8];
    fm_buf buf = fm_buf_of(text, sizeof text);
    t_make(m, "ages", "dict", "");
    t_make(m, "mass", "value", "f8 2.5");
    t_expect(fm_manager_get(m, "ages", (void **)&d), 0);
    t_expect(fm_manager_get(m, "mass", (void **)&v), 0);
    t_expect(fm_dict_set(d, fm_text("Ada"), fm_text("36"), FM_FOREVER), 0);
    t_expect_call(m, "ages", "get Ada", "36");
    t_expect_call(m, "ages", "set Bob 40", "");
    t_expect(fm_dict_get(d, fm_text("Bob"), &buf, FM_FOREVER), 0);
    assert_memory_equal(text, "40", 2);
    t_expect(fm_value_get(v, &number), 0);
    assert_true(number == 2.5);
    t_expect(fm_manager_get(m, "nobody", &none), -ENOENT);
    assert_null(none);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_names_are_listed_in_order_and_are_taken_once(void **state)
{
    (void)state;
    fm_manager *m = t_manager(NULL);
    fm_snapshot *s;
    t_make(m, "z", "dict", "");
    t_make(m, "y", "lock", "");
    t_make(m, "x", "queue", "10");
    t_expect(fm_manager_create(m, "y", "dict", NULL, 0, FM_FOREVER), -EEXIST);
    t_expect(fm_manager_delete(m, "y"), 0);
    t_expect(fm_manager_delete(m, "y"), -ENOENT);
    t_make(m, "y", "event", "");
    t_expect(fm_manager_list(m, &s), 0);
    assert_int_equal(s->n, 3);
    assert_string_equal(s->keys[0].data, "z");
    assert_string_equal(s->values[0].data, "dict");
    assert_string_equal(s->keys[1].data, "x");
    assert_string_equal(s->values[1].data, "queue");
    assert_string_equal(s->keys[2].data, "y");
    assert_string_equal(s->values[2].data, "event");
    fm_snapshot_free(s);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_refuses_what_it_cannot_make(void **state)
{
    (void)state;
    fm_manager *m = t_manager(NULL);
    fm_bytes bad[] = {fm_text("f8"), fm_text("x")};
    char name[FM_MANAGER_NAME_BYTES + 2];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    t_expect(fm_manager_create(m, "a", "set", NULL, 0, FM_FOREVER), -EINVAL);
    t_expect(fm_manager_create(m, "a", "value", NULL, 0, FM_FOREVER), -EINVAL);
    t_expect(fm_manager_create(m, "a", "value", bad, 2, FM_FOREVER), -EINVAL);
    t_expect(fm_manager_create(m, "a", "array", bad, 2, FM_FOREVER), -EINVAL);
    t_expect(fm_manager_create(m, "a", "dict", bad, 1, FM_FOREVER), -EINVAL);
    t_expect(fm_manager_create(m, "a", "dict", NULL, 1, FM_FOREVER), -EINVAL);
    t_expect(fm_manager_create(m, "", "dict", NULL, 0, FM_FOREVER), -EINVAL);
    t_expect(fm_manager_create(m, NULL, "dict", NULL, 0, FM_FOREVER), -EINVAL);
    t_expect(fm_manager_create(m, name, "dict", NULL, 0, FM_FOREVER), -EINVAL);
    t_expect(fm_manager_create(NULL, "a", "dict", NULL, 0, FM_FOREVER), -EINVAL);
    name[sizeof name - 2] = '\0';
    t_make(m, name, "dict", "");
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_refuses_options_out_of_range(void **state)
{
    (void)state;
    fm_manager *m;
    t_expect(fm_manager_start(NULL, NULL), -EINVAL);
    t_expect(fm_manager_start(&m, FM_MANAGER_OPTS(.authkey = "k")), -EINVAL);
    t_expect(fm_manager_start(&m, FM_MANAGER_OPTS(.authkey = "k", .authkey_bytes = 65)), -EINVAL);
    t_expect(fm_manager_start(&m, FM_MANAGER_OPTS(.max_clients = -1)), -EINVAL);
    t_expect(fm_manager_start(&m, FM_MANAGER_OPTS(.max_frame = 100)), -EINVAL);
    t_expect(fm_manager_start(&m, FM_MANAGER_OPTS(.address = "/no/such/folder/socket")), -ENOENT);
    assert_null(m);
    t_expect(fm_manager_connect(&m, NULL, "k", 1, NULL), -EINVAL);
    t_expect(fm_manager_connect(&m, "/tmp/x", NULL, 0, NULL), -EINVAL);
    t_expect(fm_manager_connect(&m, "/no/such/socket", "k", 1, NULL), -ENOENT);
    assert_null(m);
    t_expect(fm_manager_close(NULL), 0);
}

/* ---- in other processes of the family ------------------------------------------------------------------- */

struct work {
    fm_manager *m;
    int64_t n;
};

static int count_up(void *arg)
{
    struct work *w = arg;
    fm_dict *d;
    if (fm_manager_is_here(w->m) != 1 || fm_manager_get(w->m, "d", (void **)&d) != 0)
        return 2;
    for (int64_t i = 0; i < w->n; i++)
        if (fm_dict_add(d, fm_text("n"), 1, NULL, FM_FOREVER) != 0)
            return 3;
    return fm_manager_close(w->m) != 0;
}

static void test_manager_handle_is_good_in_every_process_of_the_family(void **state)
{
    int method = t_method(state);
    const struct work w = {t_manager(NULL), 1000};
    t_make(w.m, "d", "dict", "");
    fm_process *p = t_run(method, count_up, &w, sizeof w),
               *q = t_run(method, count_up, &w, sizeof w);
    assert_int_equal(t_end(p), 0);
    assert_int_equal(t_end(q), 0);
    t_expect_call(w.m, "d", "add n 0", "2000");
    t_expect(fm_manager_close(w.m), 0);
}

static int shut_down(void *arg)
{
    fm_manager *m;
    memcpy(&m, arg, sizeof(void *));
    return fm_manager_shutdown(m) != 0;
}

static void test_manager_is_shut_down_by_any_process(void **state)
{
    (void)state;
    fm_manager *m = t_manager(NULL);
    void *none;
    struct stat status;
    char address[200];
    snprintf(address, sizeof address, "%s", fm_manager_address(m));
    assert_int_equal(stat(address, &status), 0);
    t_make(m, "d", "dict", "");
    assert_int_equal(t_end(t_run(FM_FORK, shut_down, &m, sizeof(void *))), 0);
    assert_int_equal(stat(address, &status), -1);
    t_expect(fm_manager_get(m, "d", &none), FM_ECLOSED);
    t_expect(fm_manager_create(m, "e", "dict", NULL, 0, FM_FOREVER), FM_ECLOSED);
    t_expect_refusal(m, "d", "len", FM_ECLOSED);
    t_expect(fm_manager_shutdown(m), 0);
    t_expect(fm_manager_close(m), 0);
}

/* ---- types of one's own --------------------------------------------------------------------------------- */

static int tally_add(void *object, const fm_bytes *args, int n_args, fm_reply *reply)
{
    struct t_tally *t = object;
    char text[32];
    for (int i = 0; i < n_args; i++)
        t->sum += strtoll(args[i].data, NULL, 10);
    t->n_calls++;
    return fm_reply_add(reply,
                        fm_bytes_of(text, (size_t)snprintf(text, sizeof text, "%" PRId64, t->sum)));
}

static int tally_where(void *object, const fm_bytes *args, int n_args, fm_reply *reply)
{
    char text[32];
    (void)object;
    (void)args;
    (void)n_args;
    return fm_reply_add(
        reply, fm_bytes_of(text, (size_t)snprintf(text, sizeof text, "%d", (int)getpid())));
}

static int tally_fail(void *object, const fm_bytes *args, int n_args, fm_reply *reply)
{
    (void)object;
    (void)args;
    (void)n_args;
    (void)reply;
    return -EDOM;
}

static void test_manager_runs_methods_of_ones_own_in_its_server(void **state)
{
    assert_int_equal(fm_get_start_method(), t_method(state)); /* by which the server starts */
    fm_manager *m = t_manager(NULL);
    const fm_method methods[] = {{"add", tally_add}, {"where", tally_where}, {"fail", tally_fail}};
    struct t_tally *t;
    char where[32], own[32];
    t_expect(fm_manager_register(m, "tally", methods, 3, sizeof *t), 0);
    t_expect(fm_manager_register(m, "tally", methods, 3, sizeof *t), -EEXIST);
    t_expect(fm_manager_register(m, "dict", methods, 3, sizeof *t), -EEXIST);
    t_expect(fm_manager_register(m, "none", methods, 3, 0), -EINVAL);
    const fm_method twice[] = {{"add", tally_add}, {"add", tally_add}};
    t_expect(fm_manager_register(m, "twice", twice, 2, 8), -EINVAL);
    t_make(m, "t", "tally", "");
    t_expect_call(m, "t", "add 3 4", "7");
    t_expect_call(m, "t", "add -10", "-3");
    t_expect_refusal(m, "t", "fail", -EDOM);
    t_expect_refusal(m, "t", "nothing", -ENOSYS);
    t_expect(t_call(m, "t", "where", where, sizeof where), 0);
    snprintf(own, sizeof own, "%d", (int)getpid());
    assert_string_not_equal(where, own);
    t_expect(fm_manager_get(m, "t", (void **)&t), 0);
    assert_int_equal(t->sum, -3);
    assert_int_equal(t->n_calls, 2);
    fm_manager *client = t_client(fm_manager_address(m));
    t_expect_call(client, "t", "add 5", "2");
    t_expect(fm_manager_register(client, "more", methods, 3, 8), -EPERM);
    t_expect(fm_manager_close(client), 0);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_that_is_left_open_ends_with_its_program(void **state)
{
    (void)state;
    fm_manager *m = t_manager(NULL);
    t_make(m, "d", "dict", "");
    t_expect(fm_manager_shutdown(m), 0);
    t_expect(fm_manager_close(m), 0);
    t_expect(fm_manager_shutdown(NULL), -EINVAL);
    assert_string_equal(fm_manager_address(NULL), "");
}

T_MAIN(T_TEST(test_manager_has_every_type_by_call),
       T_TEST(test_manager_gives_the_objects_own_pointers),
       T_TEST(test_manager_names_are_listed_in_order_and_are_taken_once),
       T_TEST(test_manager_refuses_what_it_cannot_make),
       T_TEST(test_manager_refuses_options_out_of_range),
       T_EACH_METHOD(test_manager_handle_is_good_in_every_process_of_the_family),
       T_TEST(test_manager_is_shut_down_by_any_process),
       T_EACH_METHOD(test_manager_runs_methods_of_ones_own_in_its_server),
       T_TEST(test_manager_that_is_left_open_ends_with_its_program))
