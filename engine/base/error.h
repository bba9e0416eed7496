/* SPDX-License-Identifier: MIT */
#ifndef FMI_ERROR_H
#define FMI_ERROR_H

/* The detail of this thread's last failure (fm_error_detail), and the end of the road. */

#include <forkmap/status.h>

/* Notes the detail and returns `code`: `return fmi_error(-EINVAL, "rank %d of %d", rank, n);` */
#define fmi_error(code, ...)                                                                       \
    (fmi_error_note(__VA_ARGS__), (code)) /* a macro: compilers see the code */
void fmi_error_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Only when private state contradicts itself: says so on stderr and aborts. */
_Noreturn void fmi_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
