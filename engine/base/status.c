/* SPDX-License-Identifier: MIT */
/* Names and texts of the codes, and the detail of the last failure. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DETAIL_BYTES = 512 };
static _Thread_local char last_detail[DETAIL_BYTES];

const char *fm_strerror(int code)
{
#define TEXT_CASE(name, value, text)                                                               \
    case name:                                                                                     \
        return text;
    switch (code) {
        FM_STATUS_LIST(TEXT_CASE)
    case 0:
        return "success";
    }
#undef TEXT_CASE
    const char *text = code < 0 && code > -4096 ? strerrordesc_np(-code) : NULL;
    return text != NULL ? text : "unknown code";
}

const char *fm_errname(int code)
{
#define NAME_CASE(name, value, text)                                                               \
    case name:                                                                                     \
        return #name;
    switch (code) {
        FM_STATUS_LIST(NAME_CASE)
    case 0:
        return "OK";
    }
#undef NAME_CASE
    const char *name = code < 0 && code > -4096 ? strerrorname_np(-code) : NULL;
    return name != NULL ? name : "?";
}

const char *fm_error_detail(void)
{
    return last_detail;
}

void fmi_error_note(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(last_detail, sizeof last_detail, format, values);
    va_end(values);
}

void fmi_panic(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("forkmap: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    abort();
}
