/* SPDX-License-Identifier: MIT */
#ifndef FMI_MESSAGE_H
#define FMI_MESSAGE_H

/* Log messages. fmi_log(FM_LOG_WARNING, "worker %d runs unpinned: %s", rank, why); */

#include <forkmap/log.h>

void fmi_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The name in front of each message: "main", "warden", "fm-w03". At most 63 bytes are kept. */
void fmi_log_set_name(const char *name);

#endif
