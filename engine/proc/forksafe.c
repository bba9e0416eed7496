/* SPDX-License-Identifier: MIT */
/* Threads and forks: pools of threads are ended before a fork, those that are left are told of; see forksafe.h. */
#include "forksafe.h"

#include "error.h"
#include "memory.h"
#include "message.h"
#include "module.h"
#include "process.h"

#include <dlfcn.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { MAX_MOMENTS = 50, MAX_RUNTIMES = 4, MAX_PATH_BYTES = 1024, VARIABLE_BYTES = 40 };
enum { GNU_OPENMP = 1, LLVM_OPENMP = 2, OPENBLAS_PTHREAD = 3 };
enum { MODE_WARN = 1, MODE_STRICT = 2, MODE_QUIET = 3 };
enum { OMP_PAUSE_HARD = 2, OPENBLAS_IS_PTHREAD = 1 }; /* of omp.h and cblas.h */

#define OPENMP_OF_LLVM "/__KMP_REGISTERED_LIB_%d_%u" /* pid, uid; as libomp writes it */

const char *const fmi_inner_threads_names[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                               "MKL_NUM_THREADS", "BLIS_NUM_THREADS", NULL};
enum { N_NAMES = sizeof fmi_inner_threads_names / sizeof fmi_inner_threads_names[0] - 1 };

union address { /* dlsym gives a pointer to data */
    void *symbol;
    int (*tell)(void);
    int (*pause)(int);
    void (*set)(int);
    void (*set_long)(long);
    int *number;
};

struct runtime {
    int kind;
    union address set, get, end, most; /* of OpenBLAS: most threads that it has ready */
};

/* Found before a fork, by the thread that forks, which is the one that lives on in the child. */
static _Thread_local struct {
    int is_known;
    uint64_t generation; /* of the loaded modules, when they were looked up */
    int is_llvm_used; /* the OpenMP of LLVM has run in this process, or in one that it was forked from */
    int n;
    struct runtime list[MAX_RUNTIMES];
    union address mkl,
        blis; /* wherever they are: found by name alone, and not there in most programs */
} runtimes;

/* ---- which runtimes are loaded ---- */

struct paths {
    int n;
    int kinds[MAX_RUNTIMES];
    char list[MAX_RUNTIMES][MAX_PATH_BYTES];
};

/* Also names as in libgomp-a34b3233.so.1, of packages that bring their own. */
static int kind_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    if (strncmp(name, "libgomp", 7) == 0)
        return GNU_OPENMP;
    if (strncmp(name, "libomp", 6) == 0 || strncmp(name, "libiomp", 7) == 0)
        return LLVM_OPENMP;
    return strstr(name, "openblas") != NULL ? OPENBLAS_PTHREAD : 0;
}

static int note_path(struct dl_phdr_info *info, size_t bytes, void *found)
{
    struct paths *paths = found;
    int kind = kind_of(info->dlpi_name);
    (void)bytes;
    if (kind == 0 || strlen(info->dlpi_name) >= MAX_PATH_BYTES)
        return 0;
    paths->kinds[paths->n] = kind;
    memcpy(paths->list[paths->n], info->dlpi_name, strlen(info->dlpi_name) + 1);
    return ++paths->n == MAX_RUNTIMES;
}

/* Some builds add a suffix to every name. */
static union address symbol_of(void *library, const char *name)
{
    char longer[64];
    union address found = {.symbol = dlsym(library, name)};
    snprintf(longer, sizeof longer, "%s64_", name);
    if (found.symbol == NULL)
        found.symbol = dlsym(library, longer);
    return found;
}

static int take_openblas(void *library, struct runtime *runtime)
{
    union address model = symbol_of(library, "openblas_get_parallel");
    runtime->set = symbol_of(library, "openblas_set_num_threads");
    runtime->get = symbol_of(library, "openblas_get_num_threads");
    runtime->end = symbol_of(library, "blas_thread_shutdown_");
    runtime->most = symbol_of(library, "blas_num_threads");
    return model.symbol != NULL && model.tell() == OPENBLAS_IS_PTHREAD &&
           runtime->set.symbol != NULL && runtime->get.symbol != NULL &&
           runtime->end.symbol != NULL;
}

static int take_runtime(int kind, void *library, struct runtime *runtime)
{
    *runtime = (struct runtime){.kind = kind};
    if (kind == OPENBLAS_PTHREAD)
        return take_openblas(library, runtime);
    runtime->set = symbol_of(library, "omp_set_num_threads");
    runtime->end = symbol_of(library, "omp_pause_resource_all"); /* of OpenMP 5.0: gcc 9 */
    return runtime->set.symbol != NULL;
}

static void name_registration(char *name, size_t bytes, pid_t pid)
{
    snprintf(name, bytes, OPENMP_OF_LLVM, (int)pid, (unsigned)getuid());
}

/* It registers itself when it is first used; to ask it would be to use it. */
static int is_llvm_registered(void)
{
    char name[64];
    name_registration(name, sizeof name, getpid());
    return fmi_sys_shm_exists(name);
}

static int has_llvm(void)
{
    for (int i = 0; i < runtimes.n; i++)
        if (runtimes.list[i].kind == LLVM_OPENMP)
            return 1;
    return 0;
}

/* Each library is asked for its own symbols: a program may have two runtimes, and some are loaded where RTLD_DEFAULT does not look. */
static void find_runtimes(void)
{
    uint64_t generation = fmi_modules_generation();
    if (runtimes.is_known && runtimes.generation == generation) {
        runtimes.is_llvm_used |= has_llvm() && is_llvm_registered();
        return;
    }
    struct paths *paths = calloc(1, sizeof *paths);
    if (paths == NULL)
        return;
    fmi_modules_iterate(note_path, paths);
    runtimes.n = 0;
    for (int i = 0; i < paths->n; i++) {
        void *library = dlopen(paths->list[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library == NULL)
            continue;
        runtimes.n += take_runtime(paths->kinds[i], library, &runtimes.list[runtimes.n]);
        if (paths->kinds[i] == LLVM_OPENMP && is_llvm_registered())
            runtimes.is_llvm_used = 1;
        dlclose(library);
    }
    free(paths);
    runtimes.mkl.symbol = dlsym(RTLD_DEFAULT, "MKL_Set_Num_Threads");
    runtimes.blis.symbol = dlsym(RTLD_DEFAULT, "bli_thread_set_num_threads");
    runtimes.generation = generation;
    runtimes.is_known = 1;
}

void fmi_inner_threads_prepare(void)
{
    if (!runtimes.is_known)
        find_runtimes();
}

/* ---- before a fork ---- */

/* A pause fails inside a parallel region; the threads of the region are then counted. 1: there is no thread but the caller. */
static int end_pools(void)
{
    find_runtimes(); /* also for the child, if there is one thread only */
    if (fmi_sys_count_threads() == 1)
        return 1;
    for (int i = 0; i < runtimes.n; i++) {
        const struct runtime *runtime = &runtimes.list[i];
        if (runtime->kind == GNU_OPENMP && runtime->end.symbol != NULL)
            runtime->end.pause(OMP_PAUSE_HARD);
        if (runtime->kind == OPENBLAS_PTHREAD)
            runtime->end.tell();
    }
    return 0;
}

static _Atomic int waiting_threads, waiting_pid; /* a child has none of its parent's */

void fmi_forksafe_thread_waits(int does_wait)
{
    int here = getpid(), seen = atomic_load(&waiting_pid);
    if (seen != here && atomic_compare_exchange_strong(&waiting_pid, &seen, here))
        atomic_store(&waiting_threads, 0);
    atomic_fetch_add(&waiting_threads, does_wait ? 1 : -1);
}

static int count_counted(void)
{
    int n = fmi_sys_count_threads() - 1;
    return atomic_load(&waiting_pid) == getpid() ? n - atomic_load(&waiting_threads) : n;
}

/*
 * How many threads the process has beside the caller and the library's own that wait. Those that libgomp has sent away when it made a team smaller are on their own, and
 * not joined by a pause: they get a moment to be gone.
 */
static int count_others(void)
{
    const struct timespec moment = {.tv_nsec = 200000};
    int n = count_counted(), has_gomp = 0;
    for (int i = 0; i < runtimes.n; i++)
        has_gomp |= runtimes.list[i].kind == GNU_OPENMP;
    for (int i = 0; i < MAX_MOMENTS && n > 0 && has_gomp; i++) {
        nanosleep(&moment, NULL);
        n = count_counted();
    }
    return n > 0 ? n : 0;
}

static int mode_from_environment(void)
{
    static const char *const names[] = {"?", "warn", "strict", "quiet"};
    static _Atomic int has_told;
    const char *text = getenv("FORKMAP_FORK");
    for (int mode = MODE_WARN; text != NULL && mode <= MODE_QUIET; mode++)
        if (strcasecmp(text, names[mode]) == 0)
            return mode;
    if (text != NULL && *text != '\0' && atomic_exchange(&has_told, 1) == 0)
        fmi_log(FM_LOG_WARNING, "FORKMAP_FORK=%.40s is none of warn, strict, quiet; warn is used",
                text);
    return MODE_WARN;
}

static const char *describe(char *text, size_t bytes, int n)
{
    static const char llvm[] = " (those of LLVM's OpenMP are counted, and do no harm)";
    snprintf(text, bytes,
             "%d other thread%s at a fork%s: what %s locked stays locked in the child for ever. "
             "Open the pool before threads start; or call fm_forkserver_start() first in main; or "
             "use FM_SPAWN or FM_FORKSERVER as .context. FORKMAP_FORK=quiet silences this",
             n, n == 1 ? " runs" : "s run", runtimes.is_llvm_used ? llvm : "",
             n == 1 ? "it has" : "they have");
    return text;
}

int fmi_forksafe_prepare(void)
{
    static _Atomic int warned_pid; /* once per process: a child of the host is another one */
    char text[512];
    int mode = mode_from_environment(), has_warned = atomic_load(&warned_pid) == getpid();
    if (end_pools() || mode == MODE_QUIET || (mode == MODE_WARN && has_warned))
        return 0;
    int n = count_others();
    if (n == 0)
        return 0;
    describe(text, sizeof text, n);
    if (mode == MODE_STRICT)
        return fmi_error(FM_EUNSAFE, "%s", text);
    if (atomic_exchange(&warned_pid, getpid()) != getpid())
        fmi_log(FM_LOG_WARNING, "%s", text);
    return 0;
}

int fmi_forksafe_is_clean(void)
{
    return end_pools() || count_others() == 0;
}

/* ---- in a child ---- */

static int is_inner_threads_name(const char *variable)
{
    for (int i = 0; i < N_NAMES; i++) {
        size_t length = strlen(fmi_inner_threads_names[i]);
        if (strncmp(variable, fmi_inner_threads_names[i], length) == 0 && variable[length] == '=')
            return 1;
    }
    return 0;
}

/* Not setenv: a thread of the host may have been in it at the fork, and its lock would be held for ever. */
static void set_variables(int n)
{
    static char variables[N_NAMES][VARIABLE_BYTES];
    size_t n_old = 0, n_kept = 0;
    while (environ != NULL && environ[n_old] != NULL)
        n_old++;
    char **list = calloc(n_old + N_NAMES + 1, sizeof *list); /* lives as long as the process */
    if (list == NULL)
        return;
    for (size_t i = 0; i < n_old; i++)
        if (!is_inner_threads_name(environ[i]))
            list[n_kept++] = environ[i];
    for (int i = 0; i < N_NAMES; i++) {
        snprintf(variables[i], VARIABLE_BYTES, "%s=%d", fmi_inner_threads_names[i], n);
        list[n_kept++] = variables[i];
    }
    environ = list;
}

/*
 * A child of a process with OpenBLAS has no threads of it. Its own call would start as many as the host had, and a product as many again:
 * so their number is lowered first, while there are none, and those for n are started when a product needs them.
 */
static void limit_openblas(const struct runtime *blas, int n)
{
    int has_most = blas->most.symbol != NULL;
    if (blas->get.tell() == n && (!has_most || *blas->most.number == n))
        return;
    blas->end.tell();
    if (has_most && *blas->most.number > n)
        *blas->most.number = n;
    blas->set.set(n);
    blas->end.tell();
}

/* The OpenMP of LLVM reads the environment at its first use, but not again in the child of a process that has used it. */
static void limit_runtime(const struct runtime *runtime, int n)
{
    if (runtime->kind == OPENBLAS_PTHREAD)
        limit_openblas(runtime, n);
    else if (runtime->kind == GNU_OPENMP || runtimes.is_llvm_used)
        runtime->set.set(n);
}

void fmi_inner_threads(int n)
{
    if (n <= 0)
        return;
    set_variables(n);
    fmi_inner_threads_prepare();
    for (int i = 0; i < runtimes.n; i++)
        limit_runtime(&runtimes.list[i], n);
    if (runtimes.mkl.symbol != NULL)
        runtimes.mkl.set(n);
    if (runtimes.blis.symbol != NULL)
        runtimes.blis.set_long(n);
}

/* ---- after a death ---- */

void fmi_forksafe_forget(pid_t dead)
{
    char name[64];
    name_registration(name, sizeof name, dead);
    fmi_sys_shm_unlink(name);
}
