/* SPDX-License-Identifier: MIT */
/* Runs the C compiler. Its input and what it says are nameless files: no pipe can block it. */
#include "compile.h"

#include "say.h"
#include "stop.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Errno and traps are nobody's business in a worker. Contraction would give other bits on processors with fused
 * multiply-add; -fwrapv gives whole numbers that overflow a meaning.
 */
static char *const options[] = {"-x",
                                "c",
                                "-std=gnu11",
                                "-O3",
#if defined(__x86_64__) || defined(__i386__)
                                "-march=native",
#else
                                "-mcpu=native",
#endif
                                "-fno-math-errno",
                                "-fno-trapping-math",
                                "-ffp-contract=off",
                                "-fwrapv",
                                "-fPIC",
                                "-shared",
                                "-w",
                                "-fdiagnostics-color=never"};
#define N_OPTIONS ((int)(sizeof options / sizeof options[0]))

/* ---- which compiler ---------------------------------------------------------------------------- */

static int is_program(const char *path)
{
    struct stat s;
    return access(path, X_OK) == 0 && stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

/* As a shell finds it. Source: POSIX, XBD 8.3. */
static char *find_program(const char *name)
{
    const char *folders = getenv("PATH");
    if (strchr(name, '/') != NULL)
        return is_program(name) ? strdup(name) : NULL;
    if (folders == NULL)
        folders = "/usr/local/bin:/usr/bin:/bin";
    for (;;) {
        const int length = (int)strcspn(folders, ":");
        char *path = NULL;
        if (asprintf(&path, "%.*s/%s", length > 0 ? length : 1, length > 0 ? folders : ".", name) <
            0)
            return NULL;
        if (is_program(path))
            return path;
        free(path);
        if (folders[length] == '\0')
            return NULL;
        folders += length + 1;
    }
}

static int find_of_environment(struct fmc_compiler *c, const char *text)
{
    char *rest = NULL;
    c->text = strdup(text);
    if (c->text == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "CC=%s: out of memory", text);
    for (char *word = strtok_r(c->text, " \t", &rest); word != NULL;
         word = strtok_r(NULL, " \t", &rest)) {
        if (c->n_words == FMC_COMPILER_WORDS)
            return fmc_say_error(FMC_ENVIRONMENT, "unset CC to use the system's cc",
                                 "CC=%s: more than %d words", text, FMC_COMPILER_WORDS);
        c->words[c->n_words++] = word;
    }
    c->path = find_program(c->words[0]);
    if (c->path == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, "unset CC to use the system's cc",
                             "CC=%s: there is no program %s", text, c->words[0]);
    return FMC_DONE;
}

int fmc_compiler_find(struct fmc_compiler *c)
{
    static const char *const usual[] = {"cc", "gcc", "clang"};
    const char *text = getenv("CC");
    *c = (struct fmc_compiler){0};
    if (text != NULL && text[strspn(text, " \t")] != '\0')
        return find_of_environment(c, text);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        c->path = find_program(usual[i]);
        if (c->path == NULL)
            continue;
        c->text = strdup(usual[i]);
        c->words[0] = c->text;
        c->n_words = 1;
        return c->text != NULL ? FMC_DONE
                               : fmc_say_error(FMC_ENVIRONMENT, NULL, "-e: out of memory");
    }
    return fmc_say_error(FMC_ENVIRONMENT,
                         "install one: on Debian `apt install gcc libc6-dev`; or name one in CC",
                         "-e: there is no C compiler (cc, gcc, clang)");
}

void fmc_compiler_release(struct fmc_compiler *c)
{
    free(c->text);
    free(c->path);
    *c = (struct fmc_compiler){0};
}

/* ---- what the code depends on ------------------------------------------------------------------ */

/* -march=native follows these lines. The rest of the file changes while one looks at it. */
static int tells_processor(const char *line)
{
    static const char *const keys[] = {"vendor_id", "cpu family", "model", "stepping",
                                       "flags",     "Features",   "CPU "};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strncmp(line, keys[i], strlen(keys[i])) == 0)
            return 1;
    return 0;
}

static void describe_processor(FILE *to)
{
    char *line = NULL;
    size_t cap = 0;
    FILE *info = fopen("/proc/cpuinfo", "re");
    if (info == NULL)
        return;
    while (getline(&line, &cap, info) > 1) /* up to the empty line after the first one */
        if (tells_processor(line))
            fputs(line, to);
    free(line);
    (void)fclose(info);
}

/* Where compilers look for headers and for parts of themselves beside the usual places. */
static void describe_environment(FILE *to)
{
    static const char *const names[] = {"CPATH",         "C_INCLUDE_PATH",
                                        "COMPILER_PATH", "GCC_EXEC_PREFIX",
                                        "LIBRARY_PATH",  "CCC_OVERRIDE_OPTIONS"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (getenv(names[i]) != NULL)
            fprintf(to, "%s=%s\n", names[i], getenv(names[i]));
}

void fmc_compiler_describe(const struct fmc_compiler *c, FILE *to)
{
    struct stat s = {0};
    (void)stat(c->path, &s);
    fprintf(to, "%s %" PRIdMAX " %" PRIdMAX ".%09ld\n", c->path, (intmax_t)s.st_size,
            (intmax_t)s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
    for (int i = 1; i < c->n_words; i++)
        fprintf(to, "%s ", c->words[i]);
    for (int i = 0; i < N_OPTIONS; i++)
        fprintf(to, "%s ", options[i]);
    fputc('\n', to);
    describe_environment(to);
    describe_processor(to);
}

/* ---- running it -------------------------------------------------------------------------------- */

/* In English, whatever the user's language: what it says is read here. To be freed; NULL: no memory. */
static char **make_environment(void)
{
    size_t n = 0, used = 0;
    while (environ[n] != NULL)
        n++;
    char **copy = calloc(n + 2, sizeof *copy);
    if (copy == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "LC_ALL=", strlen("LC_ALL=")) != 0)
            copy[used++] = environ[i];
    copy[used] = "LC_ALL=C";
    return copy;
}

/* Waits for the compiler, and ends it when the command is asked to stop. 0, 1 it refused the source, or -errno. */
static int await(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
        if (fmc_stop_signal() != 0)
            kill(pid, SIGTERM);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

static int spawn(const struct fmc_compiler *c, char *const *words, int in, int out)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    char **environment = make_environment();
    int rc = environment != NULL ? posix_spawn_file_actions_init(&actions) : ENOMEM;
    if (rc == 0) {
        rc = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
        if (rc == 0)
            rc = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        if (rc == 0)
            rc = posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
        if (rc == 0)
            rc = posix_spawn(&pid, c->path, &actions, NULL, words, environment);
        posix_spawn_file_actions_destroy(&actions);
    }
    free(environment);
    return rc != 0 ? -rc : await(pid);
}

static int write_all(int fd, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        const ssize_t n = write(fd, text, left);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            text += n;
            left -= (size_t)n;
        }
    }
    return lseek(fd, 0, SEEK_SET) == 0 ? 0 : -errno;
}

/* Never NULL but for want of memory. */
static char *read_all(int fd)
{
    struct stat s;
    if (fstat(fd, &s) != 0)
        return NULL;
    char *text = calloc((size_t)s.st_size + 1, 1);
    if (text != NULL && pread(fd, text, (size_t)s.st_size, 0) < 0)
        text[0] = '\0';
    return text;
}

int fmc_compile(const struct fmc_compiler *c, const char *source, const char *entry,
                const char *path, char **said)
{
    char *words[FMC_COMPILER_WORDS + N_OPTIONS + 6];
    char *define = NULL;
    int n = 0, rc = -ENOMEM;
    *said = NULL;
    for (int i = 0; i < c->n_words; i++)
        words[n++] = c->words[i];
    for (int i = 0; i < N_OPTIONS; i++)
        words[n++] = options[i];
    if (asprintf(&define, "-DFM_ENTRY=%s", entry) < 0)
        return -ENOMEM;
    char *const rest[] = {define, "-o", (char *)path, "-", "-lm", NULL};
    memcpy(words + n, rest, sizeof rest);
    const int in = memfd_create("forkmap source", MFD_CLOEXEC);
    const int out = memfd_create("forkmap messages", MFD_CLOEXEC);
    if (in < 0 || out < 0)
        rc = -errno;
    else
        rc = write_all(in, source);
    if (rc == 0)
        rc = spawn(c, words, in, out);
    if (rc >= 0)
        *said = read_all(out);
    if (rc >= 0 && *said == NULL)
        rc = -ENOMEM;
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    free(define);
    return rc;
}
