/* SPDX-License-Identifier: MIT */
#ifndef FMC_SAY_H
#define FMC_SAY_H

/*
 * What the command says when something is wrong: `forkmap: what: why (detail)` on stderr, then
 * the remedy, in most cases one line. In JSON mode the same goes to stdout as an "error" event, too.
 */

enum fmc_exit {
    FMC_DONE = 0,
    FMC_SOME_FAILED = 1, /* the function failed for some items, or the results are wrong */
    FMC_USAGE = 2,       /* the words on the command line are wrong */
    FMC_ENVIRONMENT = 3, /* files, memory or processes do not allow it */
    FMC_SIGNALLED = 128  /* + the number of the signal that ended the work */
};

/* Errors are events on stdout, too, from now on. */
void fmc_say_in_json(int on);

/* Says it; `remedy` may be NULL. Returns `exit_code`, so that callers end with `return fmc_say_error(...)`. */
int fmc_say_error(int exit_code, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * Says that the library refused `what` with `code`, with the detail of the call that failed last. Returns FMC_USAGE
 * for -EINVAL and -EOVERFLOW (what was asked for cannot be), FMC_ENVIRONMENT for all others.
 */
int fmc_say_code(int code, const char *what, const char *remedy);

/* The same of a file that the library was told to open as `opened`: details that begin with that name `path` instead. */
int fmc_say_file_code(int code, const char *path, const char *opened, const char *remedy);

/* Closes stdout and says if what was written did not arrive. Returns `exit_code`, or FMC_ENVIRONMENT instead of 0. */
int fmc_say_end(int exit_code);

#endif
