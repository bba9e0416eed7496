/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 60 */
/* Who makes, names, deletes or serves objects dies in the middle of it: others go on. */
#include "t_manager.h"

#include "fault.h"

#include <errno.h>
#include <signal.h>

static int tally_add(void *object, const fm_bytes *args, int n_args, fm_reply *reply)
{
    struct t_tally *t = object;
    (void)args;
    (void)n_args;
    t->n_calls++;
    return fm_reply_add(reply, fm_text("added"));
}

/* Its path is left behind. */
static void remove_path(const fm_manager *m)
{
    char folder[200];
    snprintf(folder, sizeof folder, "%s", fm_manager_address(m));
    unlink(folder);
    *strrchr(folder, '/') = '\0';
    rmdir(folder);
}

static void create_one(void *m)
{
    t_must(fm_manager_create(m, "new", "dict", NULL, 0, FM_FOREVER));
}

static void delete_one(void *m)
{
    t_must(fm_manager_delete(m, "old"));
}

static void expect_killed(fm_manager *m, void (*what)(void *), const char *point)
{
    assert_int_equal(fmi_fault_arm(point, 1, 1), 0);
    assert_int_equal(t_signal(t_in_child(what, m)), SIGKILL);
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
}

static void test_manager_creator_killed_before_the_name_leaves_the_name_free(void **state)
{
    (void)state;
    fm_manager *m = t_manager(NULL);
    expect_killed(m, create_one, "manager.create");
    t_make(m, "new", "lock", "");
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_creator_killed_with_the_guard_leaves_the_object(void **state)
{
    (void)state;
    fm_manager *m = t_manager(NULL);
    expect_killed(m, create_one, "manager.named");
    t_expect(fm_manager_create(m, "new", "dict", NULL, 0, FM_SECONDS(10)), -EEXIST);
    t_expect_call(m, "new", "set k v", "");
    t_expect_call(m, "new", "get k", "v");
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_deleter_killed_leaves_the_name_free(void **state)
{
    (void)state;
    fm_manager *m = t_manager(NULL);
    t_make(m, "old", "dict", "");
    expect_killed(m, delete_one, "manager.delete");
    t_expect_refusal(m, "old", "len", -ENOENT);
    t_make(m, "old", "queue", "4");
    t_expect_call(m, "old", "put x", "");
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_server_killed_as_it_opens_is_broken(void **state)
{
    (void)state;
    fm_manager *m;
    assert_int_equal(fmi_fault_arm("server.open", 1, 1), 0);
    fmi_fault_spare_this_process();
    char path[200];
    snprintf(path, sizeof path, "%s/socket", t_temp_dir());
    t_expect(fm_manager_start(&m, FM_MANAGER_OPTS(.address = path)), FM_EBROKEN);
    assert_null(m);
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
}

/* Armed before the server is forked. */
static fm_manager *start_armed(const char *point)
{
    assert_int_equal(fmi_fault_arm(point, 1, 1), 0);
    fmi_fault_spare_this_process();
    return t_manager(NULL);
}

static void expect_the_family_goes_on(fm_manager *m)
{
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
    t_make(m, "d", "dict", "");
    t_expect_call(m, "d", "set k v", "");
    t_expect_call(m, "d", "get k", "v");
    remove_path(m);
    t_expect(fm_manager_close(m), 0);
}

static void test_manager_server_killed_before_a_reply_is_closed_to_clients(void **state)
{
    (void)state;
    fm_manager *m = start_armed("server.reply"), *client;
    t_expect(fm_manager_connect(&client, fm_manager_address(m), T_MANAGER_KEY, sizeof T_MANAGER_KEY,
                                NULL),
             FM_ECLOSED);
    assert_null(client);
    expect_the_family_goes_on(m);
}

static void test_manager_server_killed_before_it_gives_the_heap_is_closed_to_clients(void **state)
{
    (void)state;
    fm_manager *m = start_armed("server.offer"), *client;
    t_expect(fm_manager_connect(&client, fm_manager_address(m), T_MANAGER_KEY, sizeof T_MANAGER_KEY,
                                NULL),
             FM_ECLOSED);
    assert_null(client);
    expect_the_family_goes_on(m);
}

static void test_manager_server_killed_in_a_method_of_ones_own_is_closed_to_its_caller(void **state)
{
    (void)state;
    fm_manager *m = start_armed("manager.method");
    const fm_method methods[] = {{"add", tally_add}};
    t_expect(fm_manager_register(m, "tally", methods, 1, sizeof(struct t_tally)), 0);
    t_make(m, "t", "tally", "");
    t_expect_refusal(m, "t", "add", FM_ECLOSED);
    t_expect_refusal(m, "t", "add", FM_ECLOSED);
    expect_the_family_goes_on(m);
}

static void test_manager_server_killed_as_it_ends_lets_the_starter_finish(void **state)
{
    (void)state;
    fm_manager *m = start_armed("manager.end");
    void *none;
    t_make(m, "d", "dict", "");
    t_expect(fm_manager_shutdown(m), 0);
    t_expect(fm_manager_get(m, "d", &none), FM_ECLOSED);
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
    t_expect(fm_manager_close(m), 0);
}

/* ---- whoever dies, whenever --------------------------------------------------------------------------------- */

static void make_and_delete_for_ever(void *m)
{
    for (unsigned i = 0;; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%u", i % 5);
        int rc = i % 2 == 0 ? fm_manager_create(m, name, "dict", NULL, 0, FM_FOREVER)
                            : fm_manager_delete(m, name);
        if (rc != 0 && rc != -EEXIST && rc != -ENOENT)
            _exit(1);
    }
}

static void test_manager_makers_killed_at_any_moment_block_nobody(void **state)
{
    (void)state;
    fm_manager *m = t_manager(NULL);
    for (int i = 0; i < 60; i++) {
        pid_t a = t_start_child(make_and_delete_for_ever, m),
              b = t_start_child(make_and_delete_for_ever, m);
        usleep((useconds_t)(500 + 137 * i));
        kill(a, SIGKILL);
        assert_int_equal(t_signal(t_wait_child(a)), SIGKILL);
        kill(b, SIGKILL);
        assert_int_equal(t_signal(t_wait_child(b)), SIGKILL);
        fm_snapshot *s;
        t_expect(fm_manager_list(m, &s), 0);
        assert_in_range(s->n, 0, 5);
        for (int64_t k = 0; k < s->n; k++)
            t_expect(fm_manager_delete(m, s->keys[k].data), 0);
        fm_snapshot_free(s);
    }
    t_make(m, "own", "dict", "");
    t_expect_call(m, "own", "len", "0");
    t_expect(fm_manager_close(m), 0);
}

T_MAIN(T_TEST(test_manager_makers_killed_at_any_moment_block_nobody),
       T_TEST(test_manager_creator_killed_before_the_name_leaves_the_name_free),
       T_TEST(test_manager_creator_killed_with_the_guard_leaves_the_object),
       T_TEST(test_manager_deleter_killed_leaves_the_name_free),
       T_TEST(test_manager_server_killed_as_it_opens_is_broken),
       T_TEST(test_manager_server_killed_before_a_reply_is_closed_to_clients),
       T_TEST(test_manager_server_killed_before_it_gives_the_heap_is_closed_to_clients),
       T_TEST(test_manager_server_killed_in_a_method_of_ones_own_is_closed_to_its_caller),
       T_TEST(test_manager_server_killed_as_it_ends_lets_the_starter_finish))
