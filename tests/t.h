/* SPDX-License-Identifier: MIT */
#ifndef T_H
#define T_H

/*
 * What every test program shares. A program ends with
 *
 *     T_MAIN(T_TEST(test_heap_when_full_says_how_full), T_TEST(...), ...)
 *
 * and CMake makes a ctest case of each T_TEST. The program can be spawned, unless T_NO_INIT is in its environment. Without an argument the program runs all its tests,
 * with the name of a test only that one. Comments in the first lines of the file are read by CMake:
 * "LABELS: unit crash" (always) and "TIMEOUT: 60" in seconds (20 without it).
 *
 * After each test, these are checked, and a test that breaks one fails:
 *   - no child process is left but the forkserver, which is ended first, nor one of a child that ended (they are adopted by the test). Those
 *     that are still ending get a second. A zombie of the test process itself is a failure; it is none
 *     if the test used t_start_child or t_in_child, since then it may be a late grandchild;
 *   - the same file descriptors are open as before. The one of the shared heap may come, and stays;
 *   - nothing of this user is new in /dev/shm.
 */

/* cmocka needs these four before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <forkmap/process.h>
#include <sys/types.h>

#define T_TEST(name)                                                                               \
    {                                                                                              \
#name, name, t_setup, t_teardown, NULL                                                     \
    }
#define T_MAIN(...)                                                                                \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        static const struct CMUnitTest tests[] = {__VA_ARGS__};                                    \
        return t_main(argc, argv, tests, sizeof tests / sizeof tests[0]);                          \
    }

/* The same test with each start method as the default: name_by_fork, name_by_spawn, name_by_forkserver. t_method(state) is that method. */
#define T_BY_METHOD(test, how, method)                                                             \
    {                                                                                              \
#test "_by_" how, test, t_setup, t_teardown, (void *)(intptr_t)(method)                    \
    }
#define T_EACH_METHOD(test)                                                                        \
    T_BY_METHOD(test, "fork", FM_FORK), T_BY_METHOD(test, "spawn", FM_SPAWN),                      \
        T_BY_METHOD(test, "forkserver", FM_FORKSERVER)
int t_method(void **state);

int t_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n_tests);
int t_setup(void **state);
int t_teardown(void **state);

/*
 * Runs fn(arg) in a forked child and returns its wait status; the child leaves by _exit(0) if fn returns.
 * Signal handlers are the default ones there, and SIGALRM ends it after 15 s (60 s under a sanitizer).
 * In a child no cmocka assertion may be used: it would run the other tests there. Use _exit(code).
 */
int t_in_child(void (*fn)(void *), void *arg);

/* The two halves of t_in_child, for tests that do something to the child in between. */
pid_t t_start_child(void (*fn)(void *), void *arg);
int t_wait_child(pid_t pid);

/* What a wait status says: the exit code, or -1 if it did not exit; the signal, or 0 if none. */
int t_exit_code(int status);
int t_signal(int status);

/* 'S' once a process sleeps in the kernel; 'Z' when it has ended. */
char t_process_state(pid_t pid);
/* Waits until n parties have counted themselves in `n_ready`, since they are about to sleep, and `pid` sleeps or has ended. */
void t_wait_until_asleep(_Atomic int *n_ready, int n, pid_t pid);

/* How often a storm strikes: `usually` in a run of all tests, `at_length` by hand: FORKMAP_TEST_LONG=1 ./dev test -L stress */
int t_times(int usually, int at_length);

/* Number of processes whose parent is the test process now, adopted ones included. */
int t_n_children(void);

/* Adopts and reaps until no process is left; fails after one second. */
void t_assert_all_gone(void);

/* An empty directory of this test, made at the first call and removed with its contents afterwards. */
char *t_temp_dir(void);

/* Makes or replaces a file. Fails the test if that does not work. */
void t_write_file(const char *path, const void *bytes, size_t n_bytes);

/* Ends the test as skipped; `missing` names what this machine lacks. Not in a child. */
_Noreturn void t_skip(const char *missing);

#endif
