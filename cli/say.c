/* SPDX-License-Identifier: MIT */
/* Error lines of the command, and the exit code that belongs to each. */
#include "say.h"

#include "events.h"
#include "kernels.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int json_mode;

void fmc_say_in_json(int on)
{
    json_mode = on;
}

static void say_event(int exit_code, const char *text, const char *remedy)
{
    json_t *event = fmc_event("error");
    json_object_set_new(event, "exit", json_integer(exit_code));
    json_object_set_new(event, "text", fmc_event_text(text));
    if (remedy != NULL)
        json_object_set_new(event, "remedy", fmc_event_text(remedy));
    (void)fmc_event_write(stdout, event); /* a broken stdout is reported once, by fmc_say_end */
}

static void say_remedy(const char *remedy)
{
    for (;;) {
        const int length = (int)strcspn(remedy, "\n");
        fprintf(stderr, "  %.*s\n", length, remedy);
        if (remedy[length] == '\0')
            return;
        remedy += length + 1;
    }
}

int fmc_say_error(int exit_code, const char *remedy, const char *format, ...)
{
    char *text = NULL;
    va_list list;
    va_start(list, format);
    const int length = vasprintf(&text, format, list);
    va_end(list);
    const char *shown = length < 0 ? format : text;
    fprintf(stderr, "forkmap: %s\n", shown);
    if (remedy != NULL)
        say_remedy(remedy);
    if (json_mode)
        say_event(exit_code, shown, remedy);
    if (length >= 0)
        free(text);
    return exit_code;
}

/* Details often begin with the name that was asked for: once is enough. */
static const char *skip_name(const char *detail, const char *name)
{
    const size_t length = strlen(name);
    if (strncmp(detail, name, length) != 0 || detail[length] != ':' || detail[length + 1] != ' ')
        return detail;
    return detail + length + 2;
}

/* Length of the detail without ": No such file or directory" at its end: the text of the code stands in front of it. */
static int cut_text(const char *detail, const char *text)
{
    const size_t length = strlen(detail), tail = strlen(text) + strlen(": ");
    if (length <= tail || strcmp(detail + length - strlen(text), text) != 0 ||
        strncmp(detail + length - tail, ": ", strlen(": ")) != 0)
        return (int)length;
    return (int)(length - tail);
}

static int say_detail(int code, const char *what, const char *remedy, const char *detail)
{
    const int exit_code = code == -EINVAL || code == -EOVERFLOW ? FMC_USAGE : FMC_ENVIRONMENT;
    const char *text = fm_strerror(code);
    detail = skip_name(detail, what);
    const size_t length = strlen(what);
    if (detail[0] == '\0' || strcmp(detail, text) == 0)
        return fmc_say_error(exit_code, remedy, "%s: %s", what, text);
    if (strncmp(detail, what, length) == 0 && detail[length] == ' ')
        return fmc_say_error(exit_code, remedy, "%s", detail); /* a sentence about it */
    if (code == -EINVAL) /* its text says less than the detail */
        return fmc_say_error(exit_code, remedy, "%s: %s", what, detail);
    return fmc_say_error(exit_code, remedy, "%s: %s (%.*s)", what, text, cut_text(detail, text),
                         detail);
}

int fmc_say_code(int code, const char *what, const char *remedy)
{
    return say_detail(code, what, remedy, fmk_error_detail());
}

int fmc_say_file_code(int code, const char *path, const char *opened, const char *remedy)
{
    const char *detail = fmk_error_detail();
    const size_t length = strlen(opened);
    char *text = NULL;
    if (strncmp(detail, opened, length) == 0 && asprintf(&text, "%s%s", path, detail + length) < 0)
        text = NULL;
    const int exit_code = say_detail(code, path, remedy, text != NULL ? text : detail);
    free(text);
    return exit_code;
}

int fmc_say_end(int exit_code)
{
    const int failed_before = ferror(stdout);
    if (fclose(stdout) == 0 && !failed_before)
        return exit_code;
    fprintf(stderr, "forkmap: standard output: %s\n",
            errno != 0 ? strerror(errno) : "write failed");
    return exit_code == FMC_DONE ? FMC_ENVIRONMENT : exit_code;
}
