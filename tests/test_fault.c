/* SPDX-License-Identifier: MIT */
/* LABELS: unit crash */
/* Fault points: the tests of deaths rest on them, so each must kill whom it should, once, and nobody else. */
#include "t.h"

#include "fault.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>

static void arm(int nth, int times)
{
#ifdef FORKMAP_FAULTS
    assert_int_equal(fmi_fault_arm("test.here", nth, times), 0);
#else
    (void)nth;
    (void)times;
    t_skip("fault points, which release builds leave out");
#endif
}

static void disarm(void)
{
#ifdef FORKMAP_FAULTS
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
#endif
}

static int passages(void)
{
#ifdef FORKMAP_FAULTS
    return fmi_fault_passages();
#else
    return -1;
#endif
}

static void pass(void *arg)
{
    int n = *(int *)arg;
    for (int i = 0; i < n; i++)
        FMI_FAULT("test.here");
}

static void pass_elsewhere(void *arg)
{
    (void)arg;
    FMI_FAULT("test.her");
    FMI_FAULT("test.here.too");
    FMI_FAULT("test.elsewhere");
}

/* n passages in a child of their own. Returns the signal that ended it. */
static int signal_after(int n)
{
    return t_signal(t_in_child(pass, &n));
}

static void test_fault_passages_of_all_children_are_counted_together(void **state)
{
    (void)state;
    arm(6, 1);
    assert_int_equal(signal_after(2), 0);
    assert_int_equal(signal_after(3), 0);
    assert_int_equal(passages(), 5);
    assert_int_equal(signal_after(1), SIGKILL);
    assert_int_equal(passages(), 6);
    disarm();
}

static void test_fault_replacement_of_the_killed_lives(void **state)
{
    (void)state;
    arm(1, 1);
    assert_int_equal(signal_after(1), SIGKILL);
    assert_int_equal(signal_after(100), 0);
    disarm();
}

static void test_fault_kills_as_many_in_a_row_as_it_was_told(void **state)
{
    (void)state;
    arm(2, 3);
    assert_int_equal(signal_after(1), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(signal_after(1), SIGKILL);
    assert_int_equal(signal_after(1), 0);
    disarm();
}

static void test_fault_of_another_name_kills_nobody(void **state)
{
    (void)state;
    arm(1, 1);
    assert_int_equal(t_in_child(pass_elsewhere, NULL), 0);
    assert_int_equal(passages(), 0);
    disarm();
}

static void test_fault_disarmed_kills_nobody(void **state)
{
    (void)state;
    arm(1, 1);
    disarm();
    assert_int_equal(signal_after(10), 0);
}

static void test_fault_armed_again_counts_from_one(void **state)
{
    (void)state;
    arm(100, 1);
    assert_int_equal(signal_after(3), 0);
    arm(2, 1);
    assert_int_equal(passages(), 0);
    assert_int_equal(signal_after(1), 0);
    assert_int_equal(signal_after(1), SIGKILL);
    disarm();
}

#ifdef FORKMAP_FAULTS
static int *n_hooked; /* shared: points passed that the test knows, in all processes */

static void count_here(const char *name)
{
    if (strcmp(name, "test.here") == 0)
        ++*n_hooked;
}
#endif

static void test_fault_hook_is_called_at_every_point_of_each_child_and_before_a_kill(void **state)
{
    (void)state;
    arm(3, 1);
#ifdef FORKMAP_FAULTS
    n_hooked =
        mmap(NULL, sizeof *n_hooked, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(n_hooked != MAP_FAILED);
    fmi_fault_hook(count_here);
    assert_int_equal(signal_after(2), 0);
    assert_int_equal(t_in_child(pass_elsewhere, NULL), 0);
    assert_int_equal(*n_hooked, 2);
    assert_int_equal(signal_after(5), SIGKILL);
    assert_int_equal(*n_hooked, 3);
    fmi_fault_hook(NULL);
    assert_int_equal(signal_after(5), 0);
    assert_int_equal(*n_hooked, 3);
    munmap(n_hooked, sizeof *n_hooked);
#endif
    disarm();
}

T_MAIN(T_TEST(test_fault_hook_is_called_at_every_point_of_each_child_and_before_a_kill),
       T_TEST(test_fault_passages_of_all_children_are_counted_together),
       T_TEST(test_fault_replacement_of_the_killed_lives),
       T_TEST(test_fault_kills_as_many_in_a_row_as_it_was_told),
       T_TEST(test_fault_of_another_name_kills_nobody), T_TEST(test_fault_disarmed_kills_nobody),
       T_TEST(test_fault_armed_again_counts_from_one))
