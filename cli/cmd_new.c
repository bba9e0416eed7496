/* SPDX-License-Identifier: MIT */
/* `forkmap new kernel NAME`: a folder with a kernel to start from. Its files are those of cli/starter. */
#include "commands.h"

#include "kernels.h"
#include "say.h"
#include "starter.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char doc[] = "Write a kernel of your own to start from: a folder NAME with a source "
                          "that can be compiled, its "
                          "CMakeLists.txt, and a test.\n"
                          "\n"
                          "NAME is a C identifier. Nothing is overwritten."
                          "\v"
                          "Examples:\n"
                          "\n"
                          "  forkmap new kernel mine\n"
                          "  cd mine\n"
                          "  cc -O3 -shared -fPIC -o mine.so mine.c -lm\n"
                          "  forkmap run mine --load ./mine.so --verify --compare\n"
                          "\n"
                          "  forkmap new kernel mine --dir src";

static const struct argp_option options[] = {
    {"dir", 'd', "D", 0, "Make the folder NAME in D (default: here)", 0},
    {0},
};

struct wish {
    const char *kind, *name, *dir;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct wish *w = state->input;
    switch (key) {
    case 'd':
        if (*arg == '\0') /* as of a variable that is not set: the root is not meant */
            argp_error(state, "--dir: the folder's name is empty");
        w->dir = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (w->name != NULL)
            argp_error(state, "%s: one word too many", arg);
        else if (w->kind != NULL)
            w->name = arg;
        else if (strcmp(arg, "kernel") == 0)
            w->kind = arg;
        else
            argp_error(state, "%s: only a kernel can be written: forkmap new kernel NAME", arg);
        return 0;
    case ARGP_KEY_END:
        if (w->name == NULL)
            argp_error(state, "%s is missing", w->kind == NULL ? "kernel NAME" : "NAME");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int check_name(const char *name)
{
    int is_identifier = isalpha((unsigned char)name[0]) || name[0] == '_';
    for (const char *c = name; *c != '\0'; c++)
        is_identifier = is_identifier && (isalnum((unsigned char)*c) || *c == '_');
    if (!is_identifier || strlen(name) > 63)
        return fmc_say_error(FMC_USAGE, "letters, digits and _, no digit in front, at most 63",
                             "%s: not a C identifier", name);
    if (fmk_find(name) != NULL)
        return fmc_say_error(FMC_USAGE, "choose another name",
                             "%s: a kernel that comes with forkmap has this name", name);
    return FMC_DONE;
}

/* Writes the text with the kernel's name where the starter has its own. */
static int write_named(FILE *file, const char *text, size_t length, const char *name)
{
    const char *end = text + length;
    while (text < end) {
        const char *found =
            memmem(text, (size_t)(end - text), FMC_STARTER_NAME, strlen(FMC_STARTER_NAME));
        const size_t before = (size_t)((found != NULL ? found : end) - text);
        if (fwrite(text, 1, before, file) != before || (found != NULL && fputs(name, file) < 0))
            return errno;
        text = found != NULL ? found + strlen(FMC_STARTER_NAME) : end;
    }
    return 0;
}

static void make_path(char *path, const char *folder, const struct fmc_starter *s, const char *name)
{
    if (s->suffix != NULL)
        snprintf(path, PATH_MAX, "%s/%s%s", folder, name, s->suffix);
    else
        snprintf(path, PATH_MAX, "%s/%s", folder, s->name);
}

/* 0, or why not; "x": a file that is there is not overwritten. */
static int write_file(const char *path, const struct fmc_starter *s, const char *name)
{
    FILE *file = fopen(path, "wxe");
    if (file == NULL)
        return errno;
    int e = write_named(file, (const char *)s->bytes, s->n_bytes, name);
    if (fclose(file) != 0 && e == 0)
        e = errno;
    return e;
}

/* All files, or none and no folder. */
static int write_all(const char *folder, const char *name)
{
    char path[PATH_MAX];
    int e = 0;
    size_t k = 0;
    for (; e == 0 && k < FMC_N_STARTERS; k++) {
        make_path(path, folder, &fmc_starters[k], name);
        e = write_file(path, &fmc_starters[k], name);
    }
    if (e == 0)
        return FMC_DONE;
    fmc_say_error(FMC_ENVIRONMENT, NULL, "%s: %s; nothing was written", path, strerror(e));
    while (k > 0) {
        make_path(path, folder, &fmc_starters[--k], name);
        (void)unlink(path);
    }
    (void)rmdir(folder);
    return FMC_ENVIRONMENT;
}

/* "-I DIR " if the headers are beside this command and not where compilers look. */
static void find_include(char *flag, size_t cap)
{
    static const char *const places[] = {"../include",
                                         "../../../include"}; /* installed; in a checkout */
    char self[PATH_MAX], path[PATH_MAX + 64], *slash;
    const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    flag[0] = '\0';
    if (length <= 0)
        return;
    self[length] = '\0';
    slash = strrchr(self, '/');
    *(slash != NULL ? slash : self) = '\0';
    for (size_t k = 0; k < sizeof places / sizeof places[0]; k++) {
        snprintf(path, sizeof path, "%s/%s/forkmap/kernel.h", self, places[k]);
        char *real = realpath(path, NULL);
        if (real == NULL)
            continue;
        real[strlen(real) - strlen("/forkmap/kernel.h")] = '\0';
        if (strcmp(real, "/usr/include") != 0 && strcmp(real, "/usr/local/include") != 0)
            snprintf(flag, cap, "-I%s ", real);
        free(real);
        return;
    }
}

static void print_next_steps(const char *folder, const char *name)
{
    char path[PATH_MAX], include[PATH_MAX + 8];
    find_include(include, sizeof include);
    for (size_t k = 0; k < FMC_N_STARTERS; k++) {
        make_path(path, folder, &fmc_starters[k], name);
        printf("wrote %s\n", path);
    }
    printf("\nNext:\n\n  cd %s\n  cc -O3 -shared -fPIC %s-o %s.so %s.c -lm\n"
           "  forkmap run %s --load ./%s.so --verify --compare\n",
           folder, include, name, name, name, name);
}

static int refuse_folder(const char *folder, int e)
{
    if (e == EEXIST)
        return fmc_say_error(FMC_ENVIRONMENT,
                             "nothing is overwritten: choose another name, or another --dir",
                             "%s: it is there already", folder);
    return fmc_say_error(FMC_ENVIRONMENT,
                         e == ENOENT || e == ENOTDIR ? "--dir must be a folder that is there"
                                                     : NULL,
                         "%s: cannot be made (%s)", folder, strerror(e));
}

int fmc_cmd_new(int argc, char **argv)
{
    static const struct argp argp = {options, parse, "kernel NAME", doc, NULL, NULL, NULL};
    struct wish w = {NULL, NULL, NULL};
    char folder[PATH_MAX - 128];
    argp_parse(&argp, argc, argv, 0, NULL, &w);
    const int rc = check_name(w.name);
    if (rc != FMC_DONE)
        return rc;
    const int length = snprintf(folder, sizeof folder, "%s%s%s", w.dir != NULL ? w.dir : "",
                                w.dir != NULL ? "/" : "", w.name);
    if (length < 0 || (size_t)length >= sizeof folder)
        return fmc_say_error(FMC_USAGE, NULL, "--dir: the path is too long");
    if (mkdir(folder, 0777) != 0)
        return refuse_folder(folder, errno);
    if (write_all(folder, w.name) != FMC_DONE)
        return FMC_ENVIRONMENT;
    print_next_steps(folder, w.name);
    return FMC_DONE;
}
