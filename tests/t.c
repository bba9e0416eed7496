/* SPDX-License-Identifier: MIT */
/* The frame of every test program: one test by name, children, temporary files, leak checks. See t.h. */
#include "t.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { GRACE_MS = 5000, CHILD_LIMIT_S = 60 };
#else
enum { GRACE_MS = 1000, CHILD_LIMIT_S = 15 };
#endif
enum { MAX_FDS = 4096, MAX_NAMES = 256, TARGET_BYTES = 256, MAX_PATH_BYTES = 1024 };

/* What was there when the running test began. */
static char fd_was_open[MAX_FDS];
static char *shm_names[MAX_NAMES];
static int n_shm_names;
static int had_children;
static char temp_dir[MAX_PATH_BYTES];

static void sleep_ms(int ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* ---- children ---- */

int t_exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int t_signal(int status)
{
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* cmocka turns these into failed tests by longjmp, which in a child would go on with the next test. */
static void reset_signal_handlers(void)
{
    static const int caught[] = {SIGFPE, SIGILL,  SIGSEGV, SIGBUS,
                                 SIGSYS, SIGABRT, SIGTERM, SIGALRM};
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++)
        signal(caught[i], SIG_DFL);
}

pid_t t_start_child(void (*fn)(void *), void *arg)
{
    fflush(NULL); /* or the child would print it again */
    had_children = 1;
    pid_t pid = fork();
    if (pid < 0)
        fail_msg("fork: %s", strerror(errno));
    if (pid > 0)
        return pid;
    reset_signal_handlers();
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* ctest kills only the test process when its time is up */
    alarm(CHILD_LIMIT_S);
    fn(arg);
    fflush(NULL);
    _exit(0);
}

int t_wait_child(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            fail_msg("waitpid(%d): %s", (int)pid, strerror(errno));
    return status;
}

int t_in_child(void (*fn)(void *), void *arg)
{
    return t_wait_child(t_start_child(fn, arg));
}

/* Reads name, state and parent of a process. Returns 0 if it is gone. */
static int read_process(const char *pid, char name[32], char *state, int *parent)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    int n = fscanf(file, "%*d (%31[^)]) %c %d", name, state, parent);
    fclose(file);
    return n == 3;
}

/* Counts the children of this process; with `act`, calls it for each. */
static int for_each_child(void (*act)(const char *pid, const char *name, char state))
{
    int n_children = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;) {
        char name[32], state;
        int parent;
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
            !read_process(entry->d_name, name, &state, &parent) || parent != getpid())
            continue;
        n_children++;
        if (act != NULL)
            act(entry->d_name, name, state);
    }
    if (proc != NULL)
        closedir(proc);
    return n_children;
}

int t_times(int usually, int at_length)
{
    return getenv("FORKMAP_TEST_LONG") != NULL ? at_length : usually;
}

int t_n_children(void)
{
    return for_each_child(NULL);
}

static void report_and_kill(const char *pid, const char *name, char state)
{
    print_error("process left behind: %s, pid %s, state %c\n", name, pid, state);
    kill((pid_t)atoi(pid), SIGKILL);
}

/* Reaps what has ended until nothing is left or the time is over. Returns 1 if nothing is left. */
static int reap_children(int limit_ms, int *n_reaped)
{
    for (int waited_ms = 0; waited_ms <= limit_ms;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno == ECHILD)
            return 1;
        *n_reaped += pid > 0;
        if (pid == 0) {
            sleep_ms(5);
            waited_ms += 5;
        }
    }
    return 0;
}

static int check_children(void)
{
    int n_reaped = 0;
    if (reap_children(GRACE_MS, &n_reaped)) {
        if (n_reaped == 0 || had_children)
            return 0;
        print_error("%d ended child processes were not waited for\n", n_reaped);
        return -1;
    }
    for_each_child(report_and_kill);
    while (!reap_children(GRACE_MS, &n_reaped)) /* their children come to us in turn */
        for_each_child(report_and_kill);
    return -1;
}

/* ---- file descriptors ---- */

static const char *target_of_fd(int fd, char target[TARGET_BYTES])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, target, TARGET_BYTES - 1);
    target[length < 0 ? 0 : length] = '\0';
    return target;
}

static int is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void note_fds(void)
{
    for (int fd = 0; fd < MAX_FDS; fd++)
        fd_was_open[fd] = (char)is_open(fd);
}

/* The heap belongs to the family of processes, not to a pool, and lives as long as they do. */
static int is_heap(const char *target)
{
    return strncmp(target, "/memfd:forkmap", 14) == 0 ||
           (strncmp(target, "/dev/shm/forkmap-", 17) == 0 && strstr(target, " (deleted)") != NULL);
}

static int check_fds(void)
{
    int rc = 0;
    static int heap_fd = -1;
    char target[TARGET_BYTES];
    for (int fd = 0; fd < MAX_FDS; fd++) {
        int open_now = is_open(fd);
        if (open_now == fd_was_open[fd])
            continue;
        target_of_fd(fd, target);
        if (open_now && heap_fd < 0 && is_heap(target)) {
            heap_fd = fd;
            continue;
        }
        print_error("file descriptor %d %s %s\n", fd, open_now ? "left open:" : "was closed",
                    target);
        rc = -1;
    }
    return rc;
}

/* ---- /dev/shm ---- */

/* Other users' files say nothing about us; nor do those of LLVM's OpenMP, of named semaphores, of Open MPI, joblib and Python, whom benchmarks run meanwhile. */
static int is_ours(const char *name)
{
    static const char *const others[] = {".",       "__KMP_", "sem.", "vader_segment.",
                                         "joblib_", "psm_"};
    char path[MAX_PATH_BYTES];
    struct stat info;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strncmp(name, others[i], strlen(others[i])) == 0)
            return 0;
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    return stat(path, &info) == 0 && info.st_uid == geteuid();
}

static int was_there(const char *name)
{
    for (int i = 0; i < n_shm_names; i++)
        if (strcmp(shm_names[i], name) == 0)
            return 1;
    return 0;
}

static void note_shm(void)
{
    while (n_shm_names > 0)
        free(shm_names[--n_shm_names]);
    DIR *shm = opendir("/dev/shm");
    for (struct dirent *entry; shm != NULL && (entry = readdir(shm)) != NULL;)
        if (n_shm_names < MAX_NAMES && is_ours(entry->d_name))
            shm_names[n_shm_names++] = strdup(entry->d_name);
    if (shm != NULL)
        closedir(shm);
}

static int count_new_shm(int report)
{
    int n_new = 0;
    DIR *shm = opendir("/dev/shm");
    for (struct dirent *entry; shm != NULL && (entry = readdir(shm)) != NULL;) {
        if (!is_ours(entry->d_name) || was_there(entry->d_name))
            continue;
        n_new++;
        if (report)
            print_error("new in /dev/shm: %s\n", entry->d_name);
    }
    if (shm != NULL)
        closedir(shm);
    return n_new;
}

/* Another program may be between shm_open and shm_unlink just now, hence the grace. */
static int check_shm(void)
{
    for (int waited_ms = 0; waited_ms <= GRACE_MS; waited_ms += 20) {
        if (count_new_shm(0) == 0)
            return 0;
        sleep_ms(20);
    }
    return count_new_shm(1) == 0 ? 0 : -1;
}

/* ---- sleepers ---- */

char t_process_state(pid_t pid)
{
    char path[64], state = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return state;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 'Z';
    fclose(file);
    return state;
}

void t_wait_until_asleep(_Atomic int *n_ready, int n, pid_t pid)
{
    while (atomic_load(n_ready) < n && t_process_state(pid) != 'Z')
        usleep(500);
    while (t_process_state(pid) != 'S' && t_process_state(pid) != 'Z')
        usleep(500);
}

/* ---- temporary files ---- */

char *t_temp_dir(void)
{
    if (temp_dir[0] != '\0')
        return temp_dir;
    const char *parent = getenv("TMPDIR");
    snprintf(temp_dir, sizeof temp_dir, "%s/forkmap-test-XXXXXX", parent == NULL ? "/tmp" : parent);
    if (mkdtemp(temp_dir) == NULL)
        fail_msg("mkdtemp(%s): %s", temp_dir, strerror(errno));
    return temp_dir;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

static int remove_temp_dir(void)
{
    if (temp_dir[0] == '\0')
        return 0;
    int rc = nftw(temp_dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    if (rc != 0)
        print_error("cannot remove %s: %s\n", temp_dir, strerror(errno));
    temp_dir[0] = '\0';
    return rc;
}

void t_write_file(const char *path, const void *bytes, size_t n_bytes)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        fail_msg("%s: %s", path, strerror(errno));
    size_t n_written = n_bytes == 0 ? 0 : fwrite(bytes, 1, n_bytes, file);
    if (fclose(file) != 0 || n_written != n_bytes)
        fail_msg("%s: only %zu of %zu bytes written", path, n_written, n_bytes);
}

/* ---- the frame ---- */

void t_skip(const char *missing)
{
    print_message("missing: %s\n", missing);
    skip();
    abort(); /* skip() does not come back, but does not say so to the compiler */
}

void t_assert_all_gone(void)
{
    for (int i = 0; i < 1000; i++) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (t_n_children() == 0)
            return;
        usleep(1000);
    }
    fail_msg("%d processes are left after one second", t_n_children());
}

int t_method(void **state)
{
    return (int)(intptr_t)*state;
}

int t_setup(void **state)
{
    if (t_method(state) != 0 && fm_set_start_method(t_method(state), 1) != 0)
        return -1;
    had_children = 0;
    note_fds();
    note_shm();
    return 0;
}

int t_teardown(void **state)
{
    fm_forkserver_stop();
    if (t_method(state) != 0 && fm_set_start_method(FM_FORK, 1) != 0)
        return -1;
    int children = check_children();
    int files = remove_temp_dir();
    int fds = check_fds();
    int shm = check_shm();
    return children != 0 || files != 0 || fds != 0 || shm != 0 ? -1 : 0;
}

static const struct CMUnitTest *find_test(const struct CMUnitTest *tests, size_t n,
                                          const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(tests[i].name, name) == 0)
            return &tests[i];
    return NULL;
}

int t_main(int argc, char **argv, const struct CMUnitTest *tests, size_t n_tests)
{
    const struct CMUnitTest *first = tests;
    if (getenv("T_NO_INIT") == NULL)
        fm_init(argc, argv);
    if (argc > 1) {
        first = find_test(tests, n_tests, argv[1]);
        n_tests = 1;
    }
    if (first == NULL) {
        fprintf(stderr, "%s: there is no test %s\n", argv[0], argv[1]);
        return 2;
    }
    struct rlimit no_core = {0, 0}; /* tests crash on purpose */
    setrlimit(RLIMIT_CORE, &no_core);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* orphans come to us and are seen */
    return _cmocka_run_group_tests(argv[0], first, n_tests, NULL, NULL) == 0 ? 0 : 1;
}
