/* SPDX-License-Identifier: MIT */
/* Looking from outside; see watch.h. */
#include "watch.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LOOK_US = 200,
    MOST_PROCESSES = 256,
    MOST_MEMFDS = 16,
    MOST_NAMES = 256,
    NAME_BYTES = 256,
    PATH_BYTES = 512
};
#define GONE_NS                                                                                    \
    5000000000 /* a host takes all with it in a millisecond; but the machine may have other things to do */
#define NAME_NS 1000000000

struct process {
    pid_t pid, parent;
    char state, name[32];
};

struct memory {
    dev_t device;
    ino_t inode;
};
static struct memory memories[MOST_MEMFDS];
static int n_memories;
static char names[MOST_NAMES][NAME_BYTES]; /* in /dev/shm when the run began */
static int n_names, is_apart;

/* ---- processes -------------------------------------------------------------------------------- */

static int read_process(const char *number, struct process *out)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/stat", number);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    int n = fscanf(file, "%d (%31[^)]) %c %d", &out->pid, out->name, &out->state, &out->parent);
    fclose(file);
    return n == 4;
}

/* Calls `see` for each process of the machine. */
static void for_each_process(void (*see)(const struct process *p, void *arg), void *arg)
{
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;) {
        struct process p;
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && read_process(entry->d_name, &p))
            see(&p, arg);
    }
    if (proc != NULL)
        closedir(proc);
}

struct family {
    struct process list[MOST_PROCESSES];
    int n;
    pid_t root;
};

static void add_child(const struct process *p, void *arg)
{
    struct family *family = arg;
    if (p->parent == family->root && family->n < MOST_PROCESSES)
        family->list[family->n++] = *p;
}

static void add_all(const struct process *p, void *arg)
{
    struct family *all = arg;
    if (all->n < MOST_PROCESSES)
        all->list[all->n++] = *p;
}

static void list_children(struct family *out)
{
    *out = (struct family){.root = getpid()};
    for_each_process(add_child, out);
}

int chaos_watch_reap(pid_t host, int *status)
{
    int how;
    for (pid_t pid; (pid = waitpid(-1, &how, WNOHANG)) > 0;)
        if (pid == host) {
            *status = how;
            return 1;
        }
    return 0;
}

static int is_alone(void)
{
    int ignored;
    chaos_watch_reap(0, &ignored);
    return waitpid(-1, &ignored, WNOHANG) < 0 && errno == ECHILD;
}

void chaos_watch_kill_all(void)
{
    struct family family;
    while (!is_alone()) {
        list_children(&family);
        for (int i = 0; i < family.n; i++)
            kill(family.list[i].pid, SIGKILL);
        chaos_sleep_us(LOOK_US);
    }
}

static void find_orphans(struct chaos_board *board)
{
    struct family family;
    list_children(&family);
    for (int i = 0; i < family.n; i++)
        if (family.list[i].state != 'Z')
            chaos_find(board, CHAOS_ORPHAN, "process %d, %s, state %c", (int)family.list[i].pid,
                       family.list[i].name, family.list[i].state);
}

/* ---- stacks ----------------------------------------------------------------------------------- */

static void print_file(pid_t pid, const char *what)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
    FILE *file = fopen(path, "re");
    size_t n = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    if (n > 0 && text[n - 1] == '\n')
        text[n - 1] = '\0';
    fprintf(stderr, "    %s: %s\n", what, text);
    if (file != NULL)
        fclose(file);
}

static void print_stacks(pid_t pid)
{
    char command[256];
    snprintf(command, sizeof command,
             "command -v gdb >/dev/null && timeout 20 gdb -q -batch -nx -p %d "
             "-ex 'thread apply all bt 16' 2>/dev/null | grep -E '^(#|Thread)' >&2",
             (int)pid);
    if (system(command) !=
        0) /* NOLINT(concurrency-mt-unsafe,cert-env33-c): a number in a fixed text */
        fprintf(stderr, "    (no stacks: there is no gdb, or it may not look)\n");
}

static void dump_below(const struct family *all, pid_t parent, int depth, int with_stacks)
{
    for (int i = 0; i < all->n; i++) {
        const struct process *p = &all->list[i];
        if (p->parent != parent || depth > 8)
            continue;
        fprintf(stderr, "  process %d, %s, of %d, state %c\n", (int)p->pid, p->name, (int)parent,
                p->state);
        print_file(p->pid, "wchan");
        print_file(p->pid, "syscall");
        if (with_stacks && p->state != 'Z')
            print_stacks(p->pid);
        dump_below(all, p->pid, depth + 1, with_stacks);
    }
}

void chaos_watch_dump(int with_stacks)
{
    static struct family all;
    all.n = 0;
    for_each_process(add_all, &all);
    dump_below(&all, getpid(), 0, with_stacks);
}

/* ---- names and memory ------------------------------------------------------------------------- */

static int is_known(const char *name)
{
    for (int i = 0; i < n_names; i++)
        if (strcmp(names[i], name) == 0)
            return 1;
    return 0;
}

/* Calls for each name that is new, and returns how many. */
static int for_each_new_name(void (*see)(const char *name, void *arg), void *arg)
{
    int n = 0;
    DIR *shm = opendir("/dev/shm");
    for (struct dirent *entry; shm != NULL && (entry = readdir(shm)) != NULL;) {
        if (entry->d_name[0] == '.' || is_known(entry->d_name))
            continue;
        n++;
        if (see != NULL)
            see(entry->d_name, arg);
    }
    if (shm != NULL)
        closedir(shm);
    return n;
}

static void learn_name(const char *name, void *arg)
{
    (void)arg;
    if (n_names < MOST_NAMES)
        snprintf(names[n_names++], NAME_BYTES, "%s", name);
}

static void find_name(const char *name, void *board)
{
    chaos_find(board, CHAOS_NAME, "/dev/shm/%s", name);
}

static void find_names(struct chaos_board *board)
{
    int64_t deadline = chaos_now_ns() + (is_apart ? 0 : NAME_NS);
    while (for_each_new_name(NULL, NULL) > 0 && chaos_now_ns() < deadline)
        chaos_sleep_us(LOOK_US);
    for_each_new_name(find_name, board);
    for_each_new_name(learn_name, NULL); /* so that it is found once */
}

struct search {
    struct chaos_board *board; /* NULL: what is found is noted */
};

static int is_noted(const struct stat *file)
{
    for (int i = 0; i < n_memories; i++)
        if (memories[i].device == file->st_dev && memories[i].inode == file->st_ino)
            return 1;
    return 0;
}

static void look_at_memfds(const struct process *p, void *arg)
{
    struct chaos_board *board = ((struct search *)arg)->board;
    char path[PATH_BYTES], target[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)p->pid);
    DIR *fds = opendir(path);
    for (struct dirent *entry; fds != NULL && (entry = readdir(fds)) != NULL;) {
        struct stat file;
        snprintf(path, sizeof path, "/proc/%d/fd/%.20s", (int)p->pid, entry->d_name);
        ssize_t n = readlink(path, target, sizeof target - 1);
        if (n < 7 || strncmp(target, "/memfd:", 7) != 0 || stat(path, &file) != 0)
            continue;
        if (board == NULL && n_memories < MOST_MEMFDS && !is_noted(&file))
            memories[n_memories++] = (struct memory){file.st_dev, file.st_ino};
        if (board != NULL && is_noted(&file))
            chaos_find(board, CHAOS_MEMFD, "descriptor %s of process %d, %s", entry->d_name,
                       (int)p->pid, p->name);
    }
    if (fds != NULL)
        closedir(fds);
}

void chaos_watch_note_memory(pid_t host)
{
    look_at_memfds(&(struct process){.pid = host}, &(struct search){NULL});
}

/* ---- before and after -------------------------------------------------------------------------- */

/* The rest of the run is a child's, the first process there; this one waits for it, and ends as it does. */
static void become_first(void)
{
    int status;
    pid_t pid = fork();
    if (pid < 0) {
        perror("chaos: fork");
        exit(3); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        return;
    }
    while (waitpid(pid, &status, 0) < 0)
        ;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 4);
}

int chaos_watch_begin(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    is_apart = unshare(CLONE_NEWNS | CLONE_NEWPID) == 0;
    if (is_apart)
        become_first();
    if (is_apart && (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
                     mount("proc", "/proc", "proc", 0, NULL) != 0 ||
                     mount("none", "/dev/shm", "tmpfs", 0, NULL) != 0)) {
        perror("chaos: mount");
        exit(3); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    for_each_new_name(learn_name, NULL);
    return is_apart;
}

int64_t chaos_watch_end(struct chaos_board *board)
{
    int64_t begin = chaos_now_ns(), took;
    while (!is_alone() && chaos_now_ns() - begin < GONE_NS)
        chaos_sleep_us(LOOK_US);
    took = chaos_now_ns() - begin;
    if (!is_alone()) {
        find_orphans(board);
        chaos_watch_dump(0);
        chaos_watch_kill_all();
    }
    find_names(board);
    for_each_process(look_at_memfds, &(struct search){board});
    n_memories = 0;
    return took;
}
