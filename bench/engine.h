/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

/*
 * Engines: what is compared. Each lives in a process group of its own, because an OpenMP runtime has
 * one wait policy per process and reads it at start, because a pool wants to be forked before any OpenMP
 * region, and because one peer is Python. So samples can alternate A B A B between them.
 *
 * The driver commands an engine over two pipes, its stdin and stdout, one text line each way:
 *
 *   engine                              driver
 *   "ready" or "missing REASON"   -->   keeps it, or skips the peer and says so
 *                                 <--   a command
 *   the answer                    -->
 *   ends                          <--   end of file
 *
 * Whatever is not being measured is stopped (SIGSTOP to its whole group): the threads of an idle OpenMP
 * runtime spin for a while, up to for ever with OMP_WAIT_POLICY=active, and would take cores from the next sample.
 */

#include <stddef.h>
#include <sys/types.h>

#define BENCH_LINE 256 /* longest command or answer [bytes] */

struct bench_engine {
    const char *name; /* as it is called in messages */
    pid_t pid;        /* of the group's leader; 0: not there */
    int to, from;     /* pipes */
};

/* ---- the driver's side ---- */

/*
 * Starts argv (found on PATH) with changed environment: "NAME=VALUE" sets, "NAME" removes; NULL ends both lists.
 * Returns 0, stopped and ready; 1 when the peer is missing, after a line that says so; < 0 after a message.
 */
int bench_engine_start(struct bench_engine *e, const char *name, char *const argv[],
                       char *const environment[]);

/* Lets it run, asks, stops it. Returns 0 and the answer without newline, or < 0 after a message. */
int bench_engine_ask(struct bench_engine *e, const char *command, char answer[BENCH_LINE]);

/* Ends it, and what is left of its group. */
void bench_engine_end(struct bench_engine *e);

/* ---- the engine's side ---- */

/* Answers one command: writes the answer without newline. Non-zero ends the engine with an error. */
typedef int bench_answer_fn(void *self, const char *command, char answer[BENCH_LINE]);

/* Says ready, answers until end of file. Returns the exit code. */
int bench_engine_serve(bench_answer_fn *answer, void *self);

/* Says why this engine cannot be had here. Returns the exit code. */
int bench_engine_missing(const char *why);

#endif
