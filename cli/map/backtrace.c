/* SPDX-License-Identifier: MIT */
/* Frames as texts. */
#include "backtrace.h"

#include "events.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A path may be anything: it must not write escape sequences to the terminal. */
static void clear_controls(char *text)
{
    for (; *text != '\0'; text++)
        if (iscntrl((unsigned char)*text))
            *text = '?';
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static int is_c_library(const char *module)
{
    static const char *const begins[] = {"libc.so",    "libc-",    "libm.so", "libm-",
                                         "libpthread", "ld-linux", "libgcc_s"};
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
        if (strncmp(base_name(module), begins[i], strlen(begins[i])) == 0)
            return 1;
    return 0;
}

void fmc_backtrace_innermost(fm_pool *pool, const fm_failure *f, char *text, size_t cap)
{
    fm_frame frame;
    text[0] = '\0';
    for (int i = 0; i < f->n_frames; i++) {
        if (fm_pool_frame(pool, f, i, &frame) != 0 || frame.module[0] == '\0')
            return;
        if (is_c_library(frame.module))
            continue;
        snprintf(text, cap, " in %s%s%s+0x%" PRIx64, frame.function,
                 frame.function[0] != '\0' ? " at " : "", base_name(frame.module), frame.offset);
        clear_controls(text);
        return;
    }
}

static void describe_frame(const fm_frame *frame, char *text, size_t cap)
{
    char function[sizeof frame->function + 24] = "";
    if (frame->function[0] != '\0')
        snprintf(function, sizeof function, "%s+0x%" PRIx64 " at ", frame->function,
                 frame->function_offset);
    snprintf(text, cap, "%s%s%s0x%" PRIx64, function, frame->module,
             frame->module[0] != '\0' ? "+" : "", frame->offset);
}

json_t *fmc_backtrace_event(fm_pool *pool, const fm_failure *f)
{
    fm_frame frame;
    char text[sizeof frame.module + sizeof frame.function + 64];
    json_t *list = json_array();
    for (int i = 0; i < f->n_frames && fm_pool_frame(pool, f, i, &frame) == 0; i++) {
        describe_frame(&frame, text, sizeof text);
        json_array_append_new(list, fmc_event_text(text));
    }
    return list;
}
