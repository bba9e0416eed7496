/* SPDX-License-Identifier: MIT */
/* LABELS: unit crash */
/* Fault points: the tests of deaths rest on them, so each must kill whom it should, once, and nobody else. */
#include "t.h"

#include "fault.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

/* ---- other actions ---- */

#ifdef FORKMAP_FAULTS
static void arm_to(int action, int value)
{
    assert_int_equal(fmi_fault_arm_to(action, value, "test.here", 1, 1), 0);
}

static void fail_once(void *arg)
{
    (void)arg;
    _exit(FMI_FAULT_ERRNO("test.here") == -EAGAIN && FMI_FAULT_ERRNO("test.here") == 0 ? 0 : 1);
}

static void rename_and_pass(void *name)
{
    prctl(PR_SET_NAME, name);
    FMI_FAULT("test.here");
}

static int64_t ms_of(int passages_before)
{
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_int_equal(signal_after(passages_before), 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
}

/* Until the armed point was passed by somebody, who is there now. */
static pid_t await_victim(void)
{
    while (fmi_fault_victim() == 0)
        usleep(500);
    return fmi_fault_victim();
}
#endif

static void test_fault_stop_holds_its_process_until_it_is_continued(void **state)
{
    (void)state;
    arm(1, 1);
#ifdef FORKMAP_FAULTS
    arm_to(FMI_FAULT_STOP, 0);
    pid_t pid = t_start_child(pass, &(int){1});
    assert_int_equal(await_victim(), pid);
    while (t_process_state(pid) != 'T')
        usleep(500);
    kill(pid, SIGCONT);
    assert_int_equal(t_wait_child(pid), 0);
#endif
    disarm();
}

static void test_fault_sleep_takes_as_long_as_it_was_told(void **state)
{
    (void)state;
    arm(1, 1);
#ifdef FORKMAP_FAULTS
    arm_to(FMI_FAULT_SLEEP, 30);
    assert_true(ms_of(1) >= 30);
#endif
    disarm();
}

static void test_fault_failure_is_returned_once_where_a_point_can_fail(void **state)
{
    (void)state;
    arm(1, 1);
#ifdef FORKMAP_FAULTS
    arm_to(FMI_FAULT_FAIL, EAGAIN);
    assert_int_equal(t_in_child(fail_once, NULL), 0);
    arm_to(FMI_FAULT_FAIL, EAGAIN);
    assert_int_equal(signal_after(1), SIGABRT); /* this one cannot */
#endif
    disarm();
}

static void test_fault_wait_ends_when_it_is_let_go(void **state)
{
    (void)state;
    arm(1, 1);
#ifdef FORKMAP_FAULTS
    arm_to(FMI_FAULT_WAIT, 0);
    pid_t pid = t_start_child(pass, &(int){1});
    while (fmi_fault_waiting() == 0)
        usleep(500);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    fmi_fault_let_go();
    assert_int_equal(t_wait_child(pid), 0);
    assert_int_equal(fmi_fault_waiting(), 0);
#endif
    disarm();
}

static void test_fault_of_one_process_passes_others(void **state)
{
    (void)state;
    arm(1, 1);
#ifdef FORKMAP_FAULTS
    fmi_fault_only("fm-w");
    assert_int_equal(t_in_child(rename_and_pass, "fm-warden"), 0);
    assert_int_equal(passages(), 0);
    assert_int_equal(t_signal(t_in_child(rename_and_pass, "fm-w07")), SIGKILL);
    assert_string_equal(fmi_fault_victim_name(), "fm-w");
#endif
    disarm();
}

static void test_fault_watch_notes_each_point_and_process_once(void **state)
{
    (void)state;
    arm(1, 1);
#ifdef FORKMAP_FAULTS
    const char *point, *process;
    fmi_fault_watch();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(t_in_child(rename_and_pass, i == 0 ? "fm-w00" : "fm-w11"), 0);
        assert_int_equal(t_in_child(pass_elsewhere, NULL), 0);
    }
    assert_int_equal(fmi_fault_seen(0, &point, &process), 1);
    assert_string_equal(point, "test.here");
    assert_string_equal(process, "fm-w");
    assert_int_equal(fmi_fault_seen(3, &point, &process), 1);
    assert_string_equal(point, "test.elsewhere");
    assert_int_equal(fmi_fault_seen(4, &point, &process), 0);
#endif
    disarm();
}

T_MAIN(T_TEST(test_fault_stop_holds_its_process_until_it_is_continued),
       T_TEST(test_fault_sleep_takes_as_long_as_it_was_told),
       T_TEST(test_fault_failure_is_returned_once_where_a_point_can_fail),
       T_TEST(test_fault_wait_ends_when_it_is_let_go),
       T_TEST(test_fault_of_one_process_passes_others),
       T_TEST(test_fault_watch_notes_each_point_and_process_once),
       T_TEST(test_fault_hook_is_called_at_every_point_of_each_child_and_before_a_kill),
       T_TEST(test_fault_passages_of_all_children_are_counted_together),
       T_TEST(test_fault_replacement_of_the_killed_lives),
       T_TEST(test_fault_kills_as_many_in_a_row_as_it_was_told),
       T_TEST(test_fault_of_another_name_kills_nobody), T_TEST(test_fault_disarmed_kills_nobody),
       T_TEST(test_fault_armed_again_counts_from_one))
