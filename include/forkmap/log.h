/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_LOG_H
#define FORKMAP_LOG_H

/** @file log.h  What the library has to say while it works: one line per event. */
/**
 * @defgroup fm_log Log
 * What the library has to say while it works: one line per event.
 * @{
 */

#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How much is said: a level, and all that are more important. */
enum fm_log_level {
    FM_LOG_OFF = 1,     /**< nothing */
    FM_LOG_ERROR = 2,   /**< what should not happen */
    FM_LOG_WARNING = 3, /**< what is not done as asked. The default */
    FM_LOG_INFO = 4,    /**< what happens seldom */
    FM_LOG_DEBUG = 5    /**< everything */
};

/**
 * Gets one message without newline. Runs in the thread and process that logs; must not fork.
 * @param level    an fm_log_level
 * @param message  the text, valid during the call
 * @param arg      from fm_log_set()
 */
typedef void fm_log_sink(int level, const char *message, void *arg);

/**
 * Sets how much is logged, and where to. The environment's `FORKMAP_LOG` (off, error, warning, info, debug) sets
 * the level at start.
 * @param level  an `fm_log_level`; 0 leaves it
 * @param sink   gets each message; NULL is the default, `[LEVEL/process-name] message` on stderr
 * @param arg    handed to the sink
 * @return 0, or `-EINVAL` for an unknown level
 * State after an error: nothing has changed.
 * Undefined: two threads setting it at once.
 * Blocks / thread-safety: never blocks; set it before other threads use the library.
 * Source: multiprocessing.log_to_stderr.
 */
FM_API int fm_log_set(int level, fm_log_sink *sink, void *arg);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
