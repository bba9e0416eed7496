/* SPDX-License-Identifier: MIT */
/*
 * A map that goes on where it was killed. The first process kills itself and its workers in the midst of the work; the second one makes the
 * same call, with the same journal, and runs only what was not done.
 */
#include <forkmap/forkmap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 20000 };

static int slow_square(const void *item, void *result, void *arg)
{
    const int64_t x = *(const int64_t *)item;
    (void)arg;
    for (volatile int i = 0; i < 5000; i++)
        ;
    *(int64_t *)result = x * x;
    return 0;
}

/* The output must be a file: memory ends with the program. The second time it is there already. */
static int open_output(fm_array **out)
{
    return access("squares.npy", F_OK) == 0
               ? fm_npy_load("squares.npy", FM_NPY_MAP_WRITE, out)
               : fm_npy_create("squares.npy", FM_I64, 1, (const int64_t[]){N}, out);
}

static int die_half_way(const fm_progress *p, void *arg)
{
    (void)arg;
    return p->n_done > N / 4 ? kill(0, SIGKILL) : 0; /* all processes of the group */
}

static int map(int (*progress)(const fm_progress *, void *), int64_t *done_before, int64_t *last)
{
    FM_AUTO(fm_pool) pool = NULL;
    FM_AUTO(fm_array) out = NULL;
    int rc = fm_pool_open(&pool, NULL);
    if (rc == 0)
        rc = open_output(&out);
    if (rc == 0)
        rc =
            fm_pool_map_range(pool, slow_square, 0, N, out,
                              FM_MAP_OPTS(.journal = "squares.journal", .journal_done = done_before,
                                          .progress = progress, .progress_interval = FM_MS(1)));
    if (rc == 0)
        *last = ((const int64_t *)fm_array_data(out))[N - 1];
    return rc;
}

int main(void)
{
    int64_t done_before = -1, last = 0;
    int status = 0;
    char folder[] = "/tmp/resume-XXXXXX";
    if (mkdtemp(folder) == NULL || chdir(folder) != 0)
        return 1;
    const pid_t pid = fork();
    if (pid == 0) {
        (void)setpgid(0, 0); /* so that only these are killed */
        _exit(map(die_half_way, &done_before, &last) != 0);
    }
    waitpid(pid, &status, 0);
    printf("the first was killed: %s\n", WIFSIGNALED(status) ? "yes" : "no");
    int rc = map(NULL, &done_before, &last);
    printf("%s; some items were done before: %s\n", fm_strerror(rc),
           done_before > 0 && done_before < N ? "yes" : "no");
    printf("the last square is %lld\n", (long long)last);
    rc = map(NULL, &done_before, &last);
    printf("%s; now %lld of %d are\n", fm_strerror(rc), (long long)done_before, N);
    unlink("squares.npy");
    unlink("squares.journal");
    return rmdir(folder) != 0 || rc != 0;
}
