/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_LOG_H
#define FORKMAP_LOG_H

/** @file log.h  What the library has to say while it works: one line per event. */

#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

enum fm_log_level {
    FM_LOG_OFF = 1,
    FM_LOG_ERROR = 2,
    FM_LOG_WARNING = 3, /**< the default */
    FM_LOG_INFO = 4,
    FM_LOG_DEBUG = 5
};

/** Gets one message without newline. Runs in the thread and process that logs; must not fork. */
typedef void fm_log_sink(int level, const char *message, void *arg);

/**
 * Sets how much is logged, and where to.
 * @param level  an `fm_log_level`; 0 leaves it
 * @param sink   gets each message; NULL is the default, `[LEVEL/process-name] message` on stderr
 * @param arg    handed to the sink
 * @return 0, or `-EINVAL` for an unknown level (nothing changes)
 * The environment's `FORKMAP_LOG` (off, error, warning, info, debug) sets the level at start.
 * Undefined: two threads setting it at once.
 * Blocks / thread-safety: never blocks; set it before other threads use the library.
 * Source: multiprocessing.log_to_stderr.
 */
FM_API int fm_log_set(int level, fm_log_sink *sink, void *arg);

#ifdef __cplusplus
}
#endif
#endif
