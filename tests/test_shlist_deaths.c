/* SPDX-License-Identifier: MIT */
/* LABELS: crash kills */
/* TIMEOUT: 60 */
/* Processes that die or stop as they set an item of a shareable list: it is the old or the new one, and nobody waits for them. */
#include "t_pool.h"

#include "fault.h"
#include "shlist.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static const char old_text[] = "the old text of the slot", new_text[] = "NEW";

static fm_shlist *make_old(void)
{
    fm_shlist *l;
    const fm_shlist_item items[] = {fm_shlist_int(1), fm_shlist_string(old_text)};
    t_expect(fm_shlist_create(&l, items, 2), 0);
    return l;
}

static void expect_text(fm_shlist *l, const char *text)
{
    fm_shlist_item item;
    char buf[64];
    t_expect(fm_shlist_get(l, 1, &item, buf, sizeof buf), 0);
    assert_int_equal(item.type, FM_SHLIST_STRING);
    assert_string_equal(buf, text);
    assert_int_equal(item.bytes, strlen(text));
}

static int set_text(fm_shlist *l, const char *text)
{
    const fm_shlist_item item = fm_shlist_string(text);
    return fm_shlist_set(l, 1, &item);
}

static void set_new(void *arg)
{
    _exit(set_text(arg, new_text) != 0);
}

static void set_long(void *arg)
{
    _exit(set_text(arg, "THE NEW TEXT OF THE SLOT") != 0);
}

static void die_at(const char *point, int nth, void (*fn)(void *), void *arg)
{
    assert_int_equal(fmi_fault_arm(point, nth, 1), 0);
    assert_int_equal(t_signal(t_in_child(fn, arg)), SIGKILL);
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
}

/* ---- one ---- */

static void test_shlist_item_is_the_old_or_the_new_one_after_a_death_in_set(void **state)
{
    (void)state;
    const struct {
        const char *point;
        int nth;
        const char *left;
    } cases[] = {{"shlist.locked", 1, old_text},
                 {"shlist.head", 1, old_text},
                 {"shlist.word", 1, old_text},
                 {"shlist.word", 2, old_text},
                 {"shlist.word", 3, old_text},
                 {"shlist.written", 1, old_text},
                 {"shlist.turned", 1, "THE NEW TEXT OF THE SLOT"}};
    for (size_t i = 0; i < T_N_OF(cases); i++) {
        fm_shlist *l = make_old();
        die_at(cases[i].point, cases[i].nth, set_long, l);
        expect_text(l, cases[i].left);
        t_expect(set_text(l, "after it"), 0); /* and nobody is blocked */
        expect_text(l, "after it");
        assert_int_equal(t_exit_code(t_in_child(set_new, l)), 0);
        expect_text(l, new_text);
        fm_shlist_destroy(l);
    }
}

static void test_shlist_deaths_one_after_another_leave_the_item(void **state)
{
    (void)state;
    fm_shlist *l = make_old();
    for (int i = 0; i < 5; i++) {
        die_at("shlist.word", 1 + i % 3, set_long, l);
        expect_text(l, old_text);
    }
    die_at("shlist.turned", 1, set_new, l);
    expect_text(l, new_text);
    die_at("shlist.written", 1, set_long, l);
    expect_text(l, new_text);
    fm_shlist_destroy(l);
}

static void destroy_it(void *arg)
{
    fm_shlist_destroy(arg);
}

static void test_shlist_death_in_destroy_leaves_no_list_and_a_heap_that_works(void **state)
{
    (void)state;
    fm_shlist *l = make_old();
    die_at("shlist.dead", 1, destroy_it, l);
    assert_int_equal(fm_shlist_len(l), 0);
    fm_shlist *next = make_old();
    expect_text(next, old_text);
    fm_shlist_destroy(next);
}

/* ---- one that stops ---- */

static void stop_in_the_middle(const char *point)
{
    if (strcmp(point, "shlist.word") == 0)
        raise(SIGSTOP);
}

static void await_state(pid_t pid, char wanted)
{
    for (int i = 0; i < 5000 && t_process_state(pid) != wanted; i++)
        usleep(1000);
    assert_int_equal(t_process_state(pid), wanted);
}

static void test_shlist_get_does_not_wait_for_a_stopped_process_that_sets(void **state)
{
    (void)state;
    fm_shlist *l = make_old();
    int64_t n;
    const fm_shlist_item old = fm_shlist_string(old_text);
    fmi_fault_hook(stop_in_the_middle);
    pid_t pid = t_start_child(set_long, l);
    fmi_fault_hook(NULL);
    await_state(pid, 'T');
    expect_text(l, old_text);
    t_expect(fm_shlist_count(l, &old, &n), 0);
    assert_int_equal(n, 1);
    kill(pid, SIGKILL);
    assert_int_equal(t_signal(t_wait_child(pid)), SIGKILL);
    expect_text(l, old_text);
    t_expect(set_text(l, new_text), 0);
    expect_text(l, new_text);
    fm_shlist_destroy(l);
}

/* ---- many ---- */

enum { N_KILLS = 60, LONGEST = 4000 };

static void set_for_ever(void *arg)
{
    static char text[LONGEST + 1];
    for (int i = 0;; i++) {
        memset(text, 'a' + i % 26, LONGEST);
        const fm_shlist_item item = fm_shlist_bytes(text, (size_t)(LONGEST - i % 100));
        if (fm_shlist_set(arg, 0, &item) != 0)
            _exit(1);
    }
}

static void test_shlist_sixty_setters_killed_at_any_moment_leave_whole_items(void **state)
{
    (void)state;
    static char text[LONGEST], buf[LONGEST];
    fm_shlist *l;
    fm_shlist_item item = fm_shlist_bytes(text, LONGEST);
    t_expect(fm_shlist_create(&l, &item, 1), 0);
    pid_t other = t_start_child(set_for_ever, l);
    for (int i = 0; i < N_KILLS; i++) {
        pid_t pid = t_start_child(set_for_ever, l);
        usleep((useconds_t)(200 + i * 71 % 900));
        kill(pid, SIGKILL);
        assert_int_equal(t_signal(t_wait_child(pid)), SIGKILL);
        t_expect(fm_shlist_get(l, 0, &item, buf, sizeof buf), 0);
        assert_in_range(item.bytes, LONGEST - 99, LONGEST);
        assert_memory_equal(buf, buf + 1, item.bytes - 1);
        item = fm_shlist_bytes(text, LONGEST);
        t_expect(fm_shlist_set(l, 0, &item), 0);
    }
    kill(other, SIGKILL);
    assert_int_equal(t_signal(t_wait_child(other)), SIGKILL);
    fm_shlist_destroy(l);
}

T_MAIN(T_TEST(test_shlist_item_is_the_old_or_the_new_one_after_a_death_in_set),
       T_TEST(test_shlist_deaths_one_after_another_leave_the_item),
       T_TEST(test_shlist_death_in_destroy_leaves_no_list_and_a_heap_that_works),
       T_TEST(test_shlist_get_does_not_wait_for_a_stopped_process_that_sets),
       T_TEST(test_shlist_sixty_setters_killed_at_any_moment_leave_whole_items))
