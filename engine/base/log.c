/* SPDX-License-Identifier: MIT */
/* The log: a level, a sink, and a line per message. */
#include "message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_BYTES = 1024 };

static const char *const level_names[] = {"?", "OFF", "ERROR", "WARNING", "INFO", "DEBUG"};
static int current_level; /* 0: the environment has not been read */
static fm_log_sink *current_sink;
static void *current_arg;
static char process_name[64] = "main";

/* One write per line: lines of several processes do not mix. */
static void write_line(int level, const char *message)
{
    char line[MESSAGE_BYTES + 64];
    int length =
        snprintf(line, sizeof line, "[%s/%s] %s\n", level_names[level], process_name, message);
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        return; /* nobody is left to be told */
}

static int level_from_environment(void)
{
    const char *text = getenv("FORKMAP_LOG");
    char message[160];
    for (int level = FM_LOG_OFF; text != NULL && level <= FM_LOG_DEBUG; level++)
        if (strcasecmp(text, level_names[level]) == 0)
            return level;
    if (text != NULL && *text != '\0') {
        snprintf(message, sizeof message,
                 "FORKMAP_LOG=%.40s is none of off, error, warning, info, debug; warning is used",
                 text);
        write_line(FM_LOG_WARNING, message);
    }
    return FM_LOG_WARNING;
}

int fm_log_set(int level, fm_log_sink *sink, void *arg)
{
    if (level < 0 || level > FM_LOG_DEBUG)
        return -EINVAL;
    if (level != 0)
        current_level = level;
    current_sink = sink;
    current_arg = arg;
    return 0;
}

void fmi_log_set_name(const char *name)
{
    snprintf(process_name, sizeof process_name, "%s", name);
}

void fmi_log(int level, const char *format, ...)
{
    if (current_level == 0)
        current_level = level_from_environment();
    if (level > current_level)
        return;
    char message[MESSAGE_BYTES];
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof message, format, values);
    va_end(values);
    if (current_sink != NULL)
        current_sink(level, message, current_arg);
    else
        write_line(level, message);
}
