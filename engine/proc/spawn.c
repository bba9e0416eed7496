/* SPDX-License-Identifier: MIT */
/*
 * FM_SPAWN: the program is executed anew, and fm_init() takes over there before its main does anything.
 *
 *     PROGRAM --forkmap-spawned=BASE,BYTES,RECORD,N,TRY     fd 3: the heap; from 4 on: the N descriptors of the launch
 *
 * The child maps the heap at the host's address. If something lies there, as addresses are random from one execution to the next, it executes itself
 * again; after some times it writes why into the record, by the descriptor, and leaves.
 */
#include "clock.h"
#include "error.h"
#include "fault.h"
#include "forksafe.h"
#include "heap.h"
#include "launch.h"
#include "memory.h"
#include "message.h"
#include "process.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

enum { MOST_TRIES = 8 };
static const char option[] = "--forkmap-spawned=";

static int is_initialised;                 /* private; children inherit it */
static const size_t least_bytes = 1 << 20; /* of a heap */

int fmi_spawn_is_possible(void)
{
    return is_initialised;
}

/* ---- the child ------------------------------------------------------------------------------- */

struct orders {
    struct fmi_heap_place place;
    uint64_t record;
    int n_fds, n_tries;
};

static void write_argument(char text[128], const struct orders *o)
{
    snprintf(text, 128, "%s%" PRIx64 ",%zx,%" PRIx64 ",%d,%d", option,
             (uint64_t)(uintptr_t)o->place.base, o->place.bytes, o->record, o->n_fds, o->n_tries);
}

static int read_argument(const char *text, struct orders *o)
{
    uint64_t base;
    char more;
    *o = (struct orders){.place.fd = FMI_SPAWN_FD};
    if (sscanf(text + sizeof option - 1, "%" SCNx64 ",%zx,%" SCNx64 ",%d,%d%c", &base,
               &o->place.bytes, &o->record, &o->n_fds, &o->n_tries, &more) != 5)
        return -EINVAL;
    o->place.base = (char *)(uintptr_t)base;
    if (o->n_fds < 1 || o->n_fds > FMI_LAUNCH_FDS || o->place.bytes < least_bytes ||
        o->record < base || o->record - base > o->place.bytes - sizeof(struct fmi_launch_shm))
        return -EINVAL;
    return fmi_sys_shm_is_own(o->place.fd, o->place.bytes) ? 0 : -EINVAL;
}

/* The heap is not mapped. */
static _Noreturn void refuse_from_afar(const struct orders *o, int code)
{
    char detail[sizeof((struct fmi_launch_shm *)NULL)->detail] = "";
    int32_t error = code;
    off_t at = (off_t)(o->record - (uintptr_t)o->place.base);
    snprintf(detail, sizeof detail, "%s", fm_error_detail());
    if (pwrite(o->place.fd, detail, sizeof detail,
               at + (off_t)offsetof(struct fmi_launch_shm, detail)) > 0)
        (void)!pwrite(o->place.fd, &error, sizeof error,
                      at + (off_t)offsetof(struct fmi_launch_shm, error));
    _exit(1);
}

static void try_again(struct orders *o, char **argv)
{
    char text[128];
    if (++o->n_tries >= MOST_TRIES)
        return;
    write_argument(text, o);
    char *const again[] = {argv[0], text, NULL};
    (void)fmi_sys_execute_again(again);
}

/* Descriptors are close-on-exec only from here on: what executed itself again needs them. */
static _Noreturn void become_spawned(struct orders *o, char **argv)
{
    int fds[FMI_LAUNCH_FDS];
    FMI_FAULT("spawn.begin");
    int rc = fmi_heap_attach(&o->place);
    if (rc == -EEXIST)
        try_again(o, argv);
    if (rc != 0)
        refuse_from_afar(o, rc);
    fmi_sys_close_on_exec(o->place.fd);
    for (int i = 0; i < o->n_fds; i++) {
        fds[i] = FMI_SPAWN_FD + 1 + i;
        fmi_sys_close_on_exec(fds[i]);
    }
    fmi_launch_enter((struct fmi_launch_shm *)(uintptr_t)o->record, fds, o->n_fds);
}

/* A program that is started by a script may be given further arguments. */
static const char *find_argument(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], option, sizeof option - 1) == 0)
            return argv[i];
    return NULL;
}

/*
 * What the argument says is believed if descriptor 3 is memory without a name of this very user. A program with more rights than its caller
 * believes nothing: it would run the caller's functions.
 */
int fm_init(int argc, char **argv)
{
    struct orders orders;
    if (argv == NULL)
        return fmi_error(-EINVAL, "argv is NULL");
    if (getauxval(AT_SECURE) != 0)
        return 0;
    is_initialised = 1;
    const char *argument = find_argument(argc, argv);
    if (argument == NULL)
        return 0;
    if (read_argument(argument, &orders) != 0) {
        fmi_log(FM_LOG_ERROR, "%s is not for people: forkmap starts processes with it", argument);
        _exit(2);
    }
    become_spawned(&orders, argv);
}

/* ---- the host -------------------------------------------------------------------------------- */

enum { MOST_NAMES = 8, VARIABLE_BYTES = 48 };

static int is_thread_variable(const char *entry)
{
    for (const char *const *name = fmi_inner_threads_names; *name != NULL; name++) {
        size_t length = strlen(*name);
        if (strncmp(entry, *name, length) == 0 && entry[length] == '=')
            return 1;
    }
    return 0;
}

/* A runtime reads these variables as it is loaded. NULL: no memory. */
static char **environment_for(int inner_threads, char texts[MOST_NAMES][VARIABLE_BYTES])
{
    size_t n = 0, kept = 0;
    while (environ != NULL && environ[n] != NULL)
        n++;
    char **all = calloc(n + MOST_NAMES + 1, sizeof *all);
    for (size_t i = 0; all != NULL && i < n; i++)
        if (inner_threads <= 0 || !is_thread_variable(environ[i]))
            all[kept++] = environ[i];
    for (int i = 0; all != NULL && inner_threads > 0 && fmi_inner_threads_names[i] != NULL; i++) {
        snprintf(texts[i], VARIABLE_BYTES, "%s=%d", fmi_inner_threads_names[i], inner_threads);
        all[kept++] = texts[i];
    }
    return all;
}

int fmi_spawn(struct fmi_child *child, const struct fmi_launch *launch, const int *fds, int n_fds)
{
    struct orders orders = {.record = (uintptr_t)child->record, .n_fds = n_fds};
    char text[128], texts[MOST_NAMES][VARIABLE_BYTES];
    int all_fds[FMI_LAUNCH_FDS + 1];
    if (!is_initialised)
        return fmi_error(FM_ENOINIT, "FM_SPAWN executes the program anew, which needs "
                                     "fm_init(argc, argv) as the first thing in main (and is not "
                                     "for programs with a set-user-ID bit)");
    int rc = fmi_heap_place(&orders.place);
    if (rc != 0)
        return rc;
    char **environment = environment_for(launch->inner_threads, texts);
    if (environment == NULL)
        return -ENOMEM;
    all_fds[0] = orders.place.fd;
    memcpy(all_fds + 1, fds, (size_t)n_fds * sizeof *fds);
    write_argument(text, &orders);
    char *const argv[] = {program_invocation_name, text, NULL};
    pid_t pid = fmi_sys_spawn(argv, environment, all_fds, n_fds + 1);
    free(environment);
    if (pid < 0)
        return fmi_error(pid, "the program cannot be executed anew: %s%s", fm_strerror(pid),
                         pid == -EMFILE ? " (see ulimit -n)" : "");
    child->pid = pid;
    return 0;
}
