/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* The ground floor: codes, details, size arithmetic, deadlines, ticks, log. */
#include "t.h"

#include "checked.h"
#include "clock.h"
#include "error.h"
#include "fault.h"
#include "message.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CODE_OF(name, value, text) name,
static const int codes[] = {FM_STATUS_LIST(CODE_OF)};
#undef CODE_OF
enum { N_CODES = sizeof codes / sizeof codes[0] };

/* ---- status ---- */

static void test_status_every_code_lies_below_every_errno(void **state)
{
    (void)state;
    for (int i = 0; i < N_CODES; i++)
        assert_true(codes[i] < -4095);
}

static void test_status_codes_are_distinct_and_have_their_own_texts(void **state)
{
    (void)state;
    for (int i = 0; i < N_CODES; i++) {
        for (int j = 0; j < i; j++) {
            assert_int_not_equal(codes[i], codes[j]);
            assert_string_not_equal(fm_strerror(codes[i]), fm_strerror(codes[j]));
        }
    }
}

static void test_status_every_code_has_the_name_that_it_has_in_c(void **state)
{
    (void)state;
#define CHECK_NAME(name, value, text)                                                              \
    assert_string_equal(fm_errname(name), #name);                                                  \
    assert_string_equal(fm_strerror(name), text);
    FM_STATUS_LIST(CHECK_NAME)
#undef CHECK_NAME
}

static void test_status_negative_errno_has_the_name_and_text_of_the_system(void **state)
{
    (void)state;
    assert_string_equal(fm_errname(-ENOSPC), "ENOSPC");
    assert_string_equal(fm_strerror(-ENOSPC), "No space left on device");
    assert_string_equal(fm_errname(0), "OK");
    assert_string_equal(fm_strerror(0), "success");
}

static void test_status_unknown_codes_get_a_text_instead_of_null(void **state)
{
    (void)state;
    static const int unknown[] = {1, ENOMEM, -4095, -5000, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        assert_string_equal(fm_errname(unknown[i]), "?");
        assert_string_equal(fm_strerror(unknown[i]), "unknown code");
    }
}

/* ---- detail ---- */

static void test_error_detail_is_that_of_the_last_failure(void **state)
{
    (void)state;
    assert_int_equal(fmi_error(-EINVAL, "rank %d of %d", 9, 8), -EINVAL);
    assert_string_equal(fm_error_detail(), "rank 9 of 8");
    assert_int_equal(fmi_error(FM_EFORMAT, "%s: no header", "in.npy"), FM_EFORMAT);
    assert_string_equal(fm_error_detail(), "in.npy: no header");
}

static void test_error_detail_that_is_too_long_is_cut_not_overrun(void **state)
{
    (void)state;
    char text[4096];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(fmi_error(-EIO, "%s", text), -EIO);
    assert_in_range(strlen(fm_error_detail()), 100, sizeof text - 2);
    assert_int_equal(strspn(fm_error_detail(), "x"), strlen(fm_error_detail()));
}

static void *fail_in_thread(void *arg)
{
    int *was_empty = arg;
    *was_empty = fm_error_detail()[0] == '\0';
    return (void *)(intptr_t)fmi_error(-EIO, "of the other thread");
}

static void test_error_detail_is_kept_per_thread(void **state)
{
    (void)state;
    pthread_t thread;
    int was_empty = 0;
    void *code;
    (void)fmi_error(-EINVAL, "of this thread");
    assert_int_equal(pthread_create(&thread, NULL, fail_in_thread, &was_empty), 0);
    assert_int_equal(pthread_join(thread, &code), 0);
    assert_int_equal((intptr_t)code, -EIO);
    assert_true(was_empty);
    assert_string_equal(fm_error_detail(), "of this thread");
}

struct stderr_to {
    int fd;
    void (*fn)(void);
};

static void run_with_stderr(void *arg)
{
    struct stderr_to *to = arg;
    dup2(to->fd, STDERR_FILENO);
    to->fn();
}

/* What fn writes to stderr in a child, and the child's wait status. */
static int stderr_of(void (*fn)(void), char *text, size_t cap)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct stderr_to to = {ends[1], fn};
    int status = t_in_child(run_with_stderr, &to);
    close(ends[1]);
    ssize_t n = read(ends[0], text, cap - 1);
    close(ends[0]);
    text[n < 0 ? 0 : n] = '\0';
    return status;
}

static void panic_with_numbers(void)
{
    fmi_panic("slot %d has state %d", 3, 99);
}

static void test_panic_says_why_and_aborts(void **state)
{
    (void)state;
    char text[256];
    int status = stderr_of(panic_with_numbers, text, sizeof text);
    assert_int_equal(t_signal(status), SIGABRT);
    assert_string_equal(text, "forkmap: slot 3 has state 99\n");
}

/* ---- checked arithmetic ---- */

static void test_checked_products_and_sums_that_fit_are_exact(void **state)
{
    (void)state;
    size_t out = 0;
    assert_true(fmi_checked_mul(65536, 65535, &out));
    assert_int_equal(out, 4294901760u);
    assert_true(fmi_checked_mul(SIZE_MAX, 0, &out));
    assert_int_equal(out, 0);
    assert_true(fmi_checked_add(SIZE_MAX - 1, 1, &out));
    assert_int_equal(out, SIZE_MAX);
}

static void test_checked_arithmetic_refuses_what_does_not_fit(void **state)
{
    (void)state;
    size_t out;
    assert_false(fmi_checked_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_false(fmi_checked_mul(SIZE_MAX, SIZE_MAX, &out));
    assert_false(fmi_checked_add(SIZE_MAX, 1, &out));
}

static void test_checked_round_up_reaches_the_next_multiple_or_refuses(void **state)
{
    (void)state;
    size_t out = 1;
    assert_true(fmi_checked_round_up(0, 64, &out));
    assert_int_equal(out, 0);
    assert_true(fmi_checked_round_up(64, 64, &out));
    assert_int_equal(out, 64);
    assert_true(fmi_checked_round_up(65, 64, &out));
    assert_int_equal(out, 128);
    assert_true(fmi_checked_round_up(SIZE_MAX - 63, 64, &out));
    assert_int_equal(out, SIZE_MAX - 63);
    assert_false(fmi_checked_round_up(SIZE_MAX - 62, 64, &out));
}

/* ---- time ---- */

static void test_deadline_of_forever_is_never(void **state)
{
    (void)state;
    assert_true(fmi_deadline_after(FM_FOREVER) == FMI_NEVER);
    assert_true(fmi_deadline_after(INT64_MIN) == FMI_NEVER);
}

static void test_deadline_that_overflows_saturates_at_never(void **state)
{
    (void)state;
    assert_true(fmi_deadline_after(INT64_MAX) == FMI_NEVER);
    assert_true(fmi_deadline_after(INT64_MAX - 1) == FMI_NEVER);
}

static void test_deadline_lies_its_timeout_after_now(void **state)
{
    (void)state;
    int64_t before = fmi_now_ns();
    int64_t deadline = fmi_deadline_after(FM_SECONDS(2));
    int64_t after = fmi_now_ns();
    assert_true(before + 2000000000 <= deadline && deadline <= after + 2000000000);
    assert_true(fmi_deadline_after(FM_NOWAIT) <= fmi_now_ns());
}

static void test_timeout_macros_count_in_nanoseconds(void **state)
{
    (void)state;
    assert_true(FM_SECONDS(1.5) == 1500000000);
    assert_true(FM_MS(20) == 20000000);
    assert_true(FM_US(0.5) == 500);
    assert_true(FM_FOREVER < 0 && FM_NOWAIT == 0);
}

static void test_clock_never_runs_backwards(void **state)
{
    (void)state;
    int64_t last = fmi_now_ns();
    for (int i = 0; i < 10000; i++) {
        int64_t now = fmi_now_ns();
        assert_true(now >= last);
        last = now;
    }
}

/* Counters of real processors run at 1 MHz to 10 GHz. */
static void test_ticks_are_calibrated_to_a_plausible_rate_once(void **state)
{
    (void)state;
    double rate = fmi_ticks_per_ns();
    assert_true(rate > 0.001 && rate < 10);
    assert_true(fmi_ticks_per_ns() == rate);
    assert_true(fmi_ticks_of_ns(0) == 0);
    assert_true(fmi_ticks_of_ns(1000000000) > fmi_ticks_of_ns(1000000));
}

/* ---- log ---- */

struct heard {
    int n, level;
    char text[2048];
};

static void hear(int level, const char *message, void *arg)
{
    struct heard *heard = arg;
    heard->n++;
    heard->level = level;
    strncpy(heard->text, message, sizeof heard->text - 1);
}

static void test_log_sink_gets_level_text_and_its_argument(void **state)
{
    (void)state;
    struct heard heard = {0};
    assert_int_equal(fm_log_set(FM_LOG_DEBUG, hear, &heard), 0);
    fmi_log(FM_LOG_INFO, "worker %d of %d", 3, 8);
    assert_int_equal(fm_log_set(FM_LOG_WARNING, NULL, NULL), 0);
    assert_int_equal(heard.n, 1);
    assert_int_equal(heard.level, FM_LOG_INFO);
    assert_string_equal(heard.text, "worker 3 of 8");
}

static void test_log_level_holds_back_what_is_less_important(void **state)
{
    (void)state;
    struct heard heard = {0};
    assert_int_equal(fm_log_set(FM_LOG_ERROR, hear, &heard), 0);
    fmi_log(FM_LOG_WARNING, "held back");
    assert_int_equal(heard.n, 0);
    fmi_log(FM_LOG_ERROR, "told");
    assert_int_equal(heard.n, 1);
    assert_int_equal(fm_log_set(FM_LOG_OFF, hear, &heard), 0);
    fmi_log(FM_LOG_ERROR, "held back");
    assert_int_equal(fm_log_set(FM_LOG_WARNING, NULL, NULL), 0);
    assert_int_equal(heard.n, 1);
}

static void test_log_unknown_level_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct heard heard = {0}, other = {0};
    assert_int_equal(fm_log_set(FM_LOG_INFO, hear, &heard), 0);
    assert_int_equal(fm_log_set(FM_LOG_DEBUG + 1, hear, &other), -EINVAL);
    assert_int_equal(fm_log_set(-1, hear, &other), -EINVAL);
    fmi_log(FM_LOG_INFO, "here");
    fmi_log(FM_LOG_DEBUG, "held back");
    assert_int_equal(fm_log_set(FM_LOG_WARNING, NULL, NULL), 0);
    assert_int_equal(heard.n, 1);
    assert_int_equal(other.n, 0);
}

static void test_log_level_zero_changes_only_the_sink(void **state)
{
    (void)state;
    struct heard heard = {0};
    assert_int_equal(fm_log_set(FM_LOG_INFO, NULL, NULL), 0);
    assert_int_equal(fm_log_set(0, hear, &heard), 0);
    fmi_log(FM_LOG_INFO, "told");
    fmi_log(FM_LOG_DEBUG, "held back");
    assert_int_equal(fm_log_set(FM_LOG_WARNING, NULL, NULL), 0);
    assert_int_equal(heard.n, 1);
}

static void warn_as_worker(void)
{
    fmi_log_set_name("fm-w03");
    fmi_log(FM_LOG_WARNING, "runs unpinned: %s", "no such core");
    fmi_log(FM_LOG_INFO, "held back");
}

static void test_log_without_a_sink_writes_level_process_and_text_to_stderr(void **state)
{
    (void)state;
    char text[256];
    unsetenv("FORKMAP_LOG");
    int status = stderr_of(warn_as_worker, text, sizeof text);
    assert_int_equal(t_exit_code(status), 0);
    assert_string_equal(text, "[WARNING/fm-w03] runs unpinned: no such core\n");
}

static void log_at_info_and_debug(void)
{
    fmi_log(FM_LOG_INFO, "told");
    fmi_log(FM_LOG_DEBUG, "held back");
}

static void test_log_level_comes_from_the_environment(void **state)
{
    (void)state;
    char text[256];
    setenv("FORKMAP_LOG", "info", 1);
    int status = stderr_of(log_at_info_and_debug, text, sizeof text);
    unsetenv("FORKMAP_LOG");
    assert_int_equal(t_exit_code(status), 0);
    assert_string_equal(text, "[INFO/main] told\n");
}

/* ---- fault points ---- */

static void pass_twice(void *arg)
{
    (void)arg;
    FMI_FAULT("test.other");
    FMI_FAULT("test.here");
    FMI_FAULT("test.here");
}

static void test_fault_point_kills_one_process_at_the_nth_passage(void **state)
{
    (void)state;
#ifdef FORKMAP_FAULTS
    assert_int_equal(fmi_fault_arm("test.here", 4, 1), 0);
    assert_int_equal(t_signal(t_in_child(pass_twice, NULL)), 0);
    assert_int_equal(t_signal(t_in_child(pass_twice, NULL)), SIGKILL);
    assert_int_equal(t_signal(t_in_child(pass_twice, NULL)), 0);
    assert_int_equal(fmi_fault_passages(), 6);
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
    assert_int_equal(t_in_child(pass_twice, NULL), 0);
#else
    assert_int_equal(t_in_child(pass_twice, NULL), 0);
    t_skip("fault points, which release builds leave out");
#endif
}

/* A process reads its level from the environment once, so that test comes before those that set it. */
T_MAIN(T_TEST(test_log_level_comes_from_the_environment),
       T_TEST(test_status_every_code_lies_below_every_errno),
       T_TEST(test_status_codes_are_distinct_and_have_their_own_texts),
       T_TEST(test_status_every_code_has_the_name_that_it_has_in_c),
       T_TEST(test_status_negative_errno_has_the_name_and_text_of_the_system),
       T_TEST(test_status_unknown_codes_get_a_text_instead_of_null),
       T_TEST(test_error_detail_is_that_of_the_last_failure),
       T_TEST(test_error_detail_that_is_too_long_is_cut_not_overrun),
       T_TEST(test_error_detail_is_kept_per_thread), T_TEST(test_panic_says_why_and_aborts),
       T_TEST(test_checked_products_and_sums_that_fit_are_exact),
       T_TEST(test_checked_arithmetic_refuses_what_does_not_fit),
       T_TEST(test_checked_round_up_reaches_the_next_multiple_or_refuses),
       T_TEST(test_deadline_of_forever_is_never),
       T_TEST(test_deadline_that_overflows_saturates_at_never),
       T_TEST(test_deadline_lies_its_timeout_after_now),
       T_TEST(test_timeout_macros_count_in_nanoseconds), T_TEST(test_clock_never_runs_backwards),
       T_TEST(test_ticks_are_calibrated_to_a_plausible_rate_once),
       T_TEST(test_log_sink_gets_level_text_and_its_argument),
       T_TEST(test_log_level_holds_back_what_is_less_important),
       T_TEST(test_log_unknown_level_is_refused_and_changes_nothing),
       T_TEST(test_log_level_zero_changes_only_the_sink),
       T_TEST(test_log_without_a_sink_writes_level_process_and_text_to_stderr),
       T_TEST(test_fault_point_kills_one_process_at_the_nth_passage))
