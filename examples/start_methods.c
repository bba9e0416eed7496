/* SPDX-License-Identifier: MIT */
/*
 * The same small program by each start method: what a process, and a pool's worker, finds of what main did before it was started.
 *
 *     start_methods [--pids]
 */
#include <forkmap/forkmap.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int number = 1; /* main makes it 2 */

/* What a child sees. Each member is 1 for yes. */
struct sight {
    int argument, array, global, environment, directory, descriptor;
    int pid, parent_pid;
};

/* Handed to it by value. The pointers lead into the heap. */
struct question {
    int eleven; /* 11, if the struct has arrived */
    int fd;
    const double *array;
    struct sight *answer;
};

static int is_root(int fd)
{
    struct stat there, root;
    return fstat(fd, &there) == 0 && stat("/", &root) == 0 && there.st_dev == root.st_dev &&
           there.st_ino == root.st_ino;
}

static struct sight look_around(const struct question *q)
{
    char directory[4096];
    const char *variable = getenv("START_METHODS");
    return (struct sight){
        .argument = q->eleven == 11,
        .array = q->array[1] == 1,
        .global = number == 2,
        .environment = variable != NULL && strcmp(variable, "set by main") == 0,
        .directory = getcwd(directory, sizeof directory) != NULL && strcmp(directory, "/") == 0,
        .descriptor = is_root(q->fd),
        .pid = getpid(),
        .parent_pid = getppid(),
    };
}

static int run_process(void *arg)
{
    const struct question *q = arg;
    *q->answer = look_around(q);
    return 0;
}

static int run_item(const void *item, void *result, void *arg)
{
    (void)item;
    *(struct sight *)result = look_around(arg);
    return 0;
}

/* ---- main's side ----------------------------------------------------------------------------- */

static int ask_process(const fm_context *context, const struct question *q)
{
    FM_AUTO(fm_process) p = NULL;
    int rc = fm_process_create(&p, run_process, q, sizeof *q, FM_PROCESS_OPTS(.context = context));
    if (rc == 0)
        rc = fm_process_start(p);
    return rc == 0 ? fm_process_join(p, FM_FOREVER) : rc;
}

static int ask_pool(const fm_context *context, const struct question *q, fm_array *out)
{
    FM_AUTO(fm_pool) pool = NULL;
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .context = context));
    if (rc == 0)
        rc = fm_pool_map_range(pool, run_item, 0, 1, out,
                               FM_MAP_OPTS(.arg = (void *)q, .arg_bytes = sizeof *q));
    return rc;
}

/* sights[0]: by a process. sights[1]: by a worker. */
static int ask_both(int method, struct question q, struct sight sights[2])
{
    FM_AUTO(fm_array) out = NULL;
    fm_context context;
    const int64_t one = 1;
    int rc = fm_get_context(method, &context);
    if (rc == 0)
        rc = fm_array_zeros(&out, FM_STRUCT(sizeof(struct sight)), 1, &one);
    if (rc != 0)
        return rc;
    q.answer = fm_array_data(out);
    rc = ask_process(&context, &q);
    sights[0] = *q.answer;
    if (rc == 0)
        rc = ask_pool(&context, &q, out);
    sights[1] = *q.answer;
    return rc;
}

/* One column for each method: "yes" or "no", or "?" if process and worker differ. */
static void print_row(const char *what, struct sight sights[][2], int n, size_t member)
{
    printf("%-36s", what);
    for (int m = 0; m < n; m++) {
        int seen[2];
        for (int k = 0; k < 2; k++)
            memcpy(&seen[k], (const char *)&sights[m][k] + member, sizeof seen[k]);
        printf("%12s", seen[0] != seen[1] ? "?" : seen[0] ? "yes" : "no");
    }
    printf("\n");
}

static void print_table(const int *methods, struct sight sights[][2], int n)
{
    printf("%-36s", "in a process, and in a worker:");
    for (int m = 0; m < n; m++)
        printf("%12s", fm_start_method_name(methods[m]));
    printf("\n");
    print_row("an argument given by value", sights, n, offsetof(struct sight, argument));
    print_row("an array", sights, n, offsetof(struct sight, array));
    print_row("a global that main has changed", sights, n, offsetof(struct sight, global));
    print_row("a variable that main has set", sights, n, offsetof(struct sight, environment));
    print_row("the directory that main is in", sights, n, offsetof(struct sight, directory));
    print_row("a file that main has opened", sights, n, offsetof(struct sight, descriptor));
}

static void print_pids(const int *methods, struct sight sights[][2], int n)
{
    printf("main: %d, forkserver: %d\n", (int)getpid(), fm_forkserver_pid());
    for (int m = 0; m < n; m++)
        printf("%s: process %d, child of keeper %d; worker %d, child of warden %d\n",
               fm_start_method_name(methods[m]), sights[m][0].pid, sights[m][0].parent_pid,
               sights[m][1].pid, sights[m][1].parent_pid);
}

int main(int argc, char **argv)
{
    FM_AUTO(fm_array) array = NULL;
    struct sight sights[8][2];
    const int *methods = fm_all_start_methods();
    int n = 0, rc = fm_init(argc, argv); /* in what FM_SPAWN has executed it does not return */
    if (rc == 0)
        rc = fm_forkserver_start(NULL); /* early: the server is a copy of main as it is now */
    if (rc == 0)
        rc = fm_array_arange(&array, FM_F64, 0, 10, 1);

    number = 2;
    setenv("START_METHODS", "set by main", 1);
    struct question q = {.eleven = 11, .fd = open("/", O_RDONLY | O_DIRECTORY)};
    if (rc == 0 && chdir("/") == 0)
        q.array = fm_array_data(array);
    for (; rc == 0 && methods[n] != 0; n++)
        rc = ask_both(methods[n], q, sights[n]);
    close(q.fd);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    print_table(methods, sights, n);
    if (argc > 1 && strcmp(argv[1], "--pids") == 0)
        print_pids(methods, sights, n);
    return 0;
}
