/* SPDX-License-Identifier: MIT */

/* Parameters by key, contexts, data files and error details of the kernels. */

#include "params.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Thread_local char last_detail[512];

int fmk_error(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(last_detail, sizeof last_detail, format, args);
    va_end(args);
    return code;
}

void fmk_error_clear(void)
{
    last_detail[0] = '\0';
}

const char *fmk_error_detail(void)
{
    return last_detail[0] != '\0' ? last_detail : fm_error_detail();
}

static struct fmk_param *find_param(struct fmk_param *params, const char *key)
{
    for (; params->key != NULL; params++)
        if (key != NULL && strcmp(params->key, key) == 0)
            return params;
    return NULL;
}

static int refuse_key(const struct fmk_kernel *kernel, const char *key)
{
    char known[256] = "";
    for (const struct fmk_param *k = kernel->params; k->key != NULL; k++) {
        const size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, " %s", k->key);
    }
    return fmk_error(-EINVAL, "%s has no parameter \"%s\"; it has:%s", kernel->name, key, known);
}

int fmk_params_merge(const struct fmk_kernel *kernel, const struct fmk_param *user,
                     struct fmk_param *merged)
{
    memcpy(merged, kernel->params, sizeof kernel->params);
    for (; user != NULL && user->key != NULL; user++) {
        struct fmk_param *param = find_param(merged, user->key);
        if (param == NULL)
            return refuse_key(kernel, user->key);
        if (user->value == NULL)
            return fmk_error(-EINVAL, "parameter %s of %s has no value", user->key, kernel->name);
        param->value = user->value;
    }
    return 0;
}

const char *fmk_param_text(const struct fmk_param *params, const char *key)
{
    for (; params->key != NULL; params++)
        if (strcmp(params->key, key) == 0)
            return params->value;
    return NULL;
}

int fmk_param_int(const struct fmk_param *params, const char *key, int64_t min, int64_t max,
                  int64_t *out)
{
    const char *text = fmk_param_text(params, key);
    char *end;
    if (text == NULL)
        return fmk_error(-EINVAL, "the kernel's table has no parameter \"%s\"", key);
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < min || value > max)
        return fmk_error(-EINVAL, "%s=%s: a whole number from %" PRId64 " to %" PRId64 " is needed",
                         key, text, min, max);
    *out = value;
    return 0;
}

int fmk_param_real(const struct fmk_param *params, const char *key, double *out)
{
    const char *text = fmk_param_text(params, key);
    char *end;
    if (text == NULL)
        return fmk_error(-EINVAL, "the kernel's table has no parameter \"%s\"", key);
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value))
        return fmk_error(-EINVAL, "%s=%s: a finite number is needed", key, text);
    *out = value;
    return 0;
}

int fmk_param_is_given(const struct fmk_kernel *kernel, const struct fmk_param *params,
                       const char *key)
{
    return fmk_param_text(params, key) != fmk_param_text(kernel->params, key);
}

int fmk_param_agrees(const struct fmk_kernel *kernel, const struct fmk_param *params,
                     const char *key, int64_t actual, const char *what)
{
    int64_t given = actual;
    if (!fmk_param_is_given(kernel, params, key))
        return 0;
    const int e = fmk_param_int(params, key, 0, INT64_MAX, &given);
    if (e != 0 || given == actual)
        return e;
    return fmk_error(-EINVAL, "%s=%" PRId64 ", but %s; leave %s out", key, given, what, key);
}

int fmk_memory_create(struct fmk_problem *p, size_t bytes)
{
    const int64_t length = (int64_t)bytes;
    const int e = fm_array_zeros(&p->memory, FM_U8, 1, &length);
    if (e == 0)
        p->ctx = fm_array_data(p->memory);
    return e;
}

/* share/forkmap beside the folder of the running program: in a tree that was installed and moved, and in a build tree. */
static int find_data_beside_program(char *path, size_t cap)
{
    const ssize_t length = readlink("/proc/self/exe", path, cap);
    if (length <= 0 || (size_t)length >= cap)
        return 0;
    path[length] = '\0';
    char *name = strrchr(path, '/');
    if (name == NULL)
        return 0;
    const size_t room = cap - (size_t)(name - path);
    const int added = snprintf(name, room, "/../share/forkmap");
    return added > 0 && (size_t)added < room && access(path, R_OK | X_OK) == 0;
}

int fmk_data_path(char *path, size_t cap, const char *name)
{
    char beside[4096];
    const char *root = getenv("FORKMAP_DATA");
    if (root == NULL || *root == '\0')
        root = find_data_beside_program(beside, sizeof beside) ? beside : FMK_DATA_DIR;
    const int length = snprintf(path, cap, "%s/%s", root, name);
    if (length < 0 || (size_t)length >= cap)
        return fmk_error(-ENAMETOOLONG, "%s/%s: longer than %zu bytes", root, name, cap - 1);
    return 0;
}
