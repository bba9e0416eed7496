/* SPDX-License-Identifier: MIT */
/* Engines in process groups of their own, commanded over pipes. The protocol is in engine.h. */
#include "engine.h"

#include "bench_clock.h"

#include <forkmap/status.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_NS                                                                                \
    ((int64_t)120 * 1000000000) /* the longest answer is a sample on a loaded machine */
#define SETTLE_NS 200000        /* for the other members of a group to stop, or to start again */

/* ---- lines over pipes ---- */

static int send_line(int fd, const char *line)
{
    char text[BENCH_LINE + 1];
    const int n = snprintf(text, sizeof(text), "%s\n", line);
    if (n < 0 || (size_t)n >= sizeof(text))
        return -EMSGSIZE;
    return write(fd, text, (size_t)n) == n
               ? 0
               : -EPIPE; /* shorter than PIPE_BUF: whole or not at all */
}

/* One line without its newline; byte by byte, so that nothing of a next line is lost. 0 at end of file. */
static int receive_line(int fd, char line[BENCH_LINE], int64_t deadline_ns)
{
    for (size_t n = 0; n < BENCH_LINE; n++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        const int64_t left_ns = deadline_ns - bench_now_ns();
        if (deadline_ns != INT64_MAX &&
            poll(&p, 1, left_ns > 0 ? (int)(left_ns / 1000000) : 0) == 0)
            return -ETIMEDOUT;
        const ssize_t got = read(fd, &line[n], 1);
        if (got < 0 && errno == EINTR)
            n--;
        else if (got <= 0)
            return got < 0 ? -errno : 0;
        else if (line[n] == '\n') {
            line[n] = '\0';
            return 1;
        }
    }
    return -EMSGSIZE;
}

/* ---- the driver's side ---- */

static void become_engine(char *const argv[], char *const environment[], const int to[2],
                          const int from[2], pid_t driver)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != driver)
        _exit(1);
    signal(SIGPIPE, SIG_DFL);
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    for (int i = 0; environment[i] != NULL; i++)
        putenv(environment[i]);
    execvp(argv[0], argv);
    char line[BENCH_LINE];
    snprintf(line, sizeof(line), "missing cannot run %.100s: %s", argv[0], strerror(errno));
    send_line(STDOUT_FILENO, line);
    _exit(127);
}

static int start_process(struct bench_engine *e, char *const argv[], char *const environment[])
{
    int to[2], from[2];
    const pid_t driver = getpid();
    if (pipe2(to, O_CLOEXEC) != 0)
        return -errno;
    if (pipe2(from, O_CLOEXEC) != 0) {
        const int code = -errno;
        close(to[0]);
        close(to[1]);
        return code;
    }
    e->pid = fork();
    if (e->pid == 0)
        become_engine(argv, environment, to, from, driver);
    const int code = e->pid < 0 ? -errno : 0;
    close(to[0]);
    close(from[1]);
    e->to = to[1];
    e->from = from[0];
    if (e->pid > 0)
        setpgid(e->pid, e->pid); /* here too: whoever is first */
    return code;
}

/* Returns 0, or -ECHILD when it has ended instead. */
static int stop_group(struct bench_engine *e)
{
    int status;
    kill(-e->pid, SIGSTOP);
    if (waitpid(e->pid, &status, WUNTRACED) == e->pid && WIFSTOPPED(status)) {
        bench_sleep_ns(SETTLE_NS);
        return 0;
    }
    kill(-e->pid, SIGKILL); /* what it left behind */
    e->pid = 0;
    return -ECHILD;
}

static int fail_engine(struct bench_engine *e, const char *what, int code)
{
    fprintf(stderr, "bench: %s: %s: %s\n", e->name, what,
            code == 0 ? "it ended" : fm_strerror(code));
    bench_engine_end(e);
    return code == 0 ? -ECHILD : code;
}

int bench_engine_start(struct bench_engine *e, const char *name, char *const argv[],
                       char *const environment[])
{
    char line[BENCH_LINE];
    *e = (struct bench_engine){.name = name, .to = -1, .from = -1};
    signal(SIGPIPE,
           SIG_IGN); /* an engine that ended is an error message, not the end of the driver */
    int code = start_process(e, argv, environment);
    if (code < 0)
        return fail_engine(e, "cannot start", code);
    code = receive_line(e->from, line, bench_now_ns() + PATIENCE_NS);
    if (code <= 0)
        return fail_engine(e, "does not get ready", code);
    if (strncmp(line, "missing ", 8) == 0) {
        fprintf(stderr, "bench: skipped: %s (%s)\n", name, line + 8);
        bench_engine_end(e);
        return 1;
    }
    if (strcmp(line, "ready") != 0)
        return fail_engine(e, line, -EPROTO);
    code = stop_group(e);
    return code < 0 ? fail_engine(e, "does not stop", code) : 0;
}

int bench_engine_ask(struct bench_engine *e, const char *command, char answer[BENCH_LINE])
{
    kill(-e->pid, SIGCONT);
    bench_sleep_ns(SETTLE_NS);
    int code = send_line(e->to, command);
    if (code == 0)
        code = receive_line(e->from, answer, bench_now_ns() + PATIENCE_NS);
    if (code <= 0)
        return fail_engine(e, command, code);
    if (strncmp(answer, "error ", 6) == 0)
        return fail_engine(e, answer, -EPROTO);
    code = stop_group(e);
    return code < 0 ? fail_engine(e, "does not stop", code) : 0;
}

/* In order if it can, so that a pool is closed as a user would; then by force, with whatever it left. */
void bench_engine_end(struct bench_engine *e)
{
    if (e->to >= 0)
        close(e->to);
    if (e->pid > 0) {
        const int64_t deadline_ns = bench_now_ns() + 5000000000;
        kill(-e->pid, SIGCONT);
        while (waitpid(e->pid, NULL, WNOHANG) == 0) {
            if (bench_now_ns() > deadline_ns)
                kill(e->pid, SIGKILL);
            bench_sleep_ns(1000000);
        }
        kill(-e->pid, SIGKILL);
    }
    if (e->from >= 0)
        close(e->from);
    *e = (struct bench_engine){.name = e->name, .to = -1, .from = -1};
}

/* ---- the engine's side ---- */

int bench_engine_serve(bench_answer_fn *answer, void *self)
{
    char command[BENCH_LINE], line[BENCH_LINE];
    if (send_line(STDOUT_FILENO, "ready") != 0)
        return 1;
    for (;;) {
        const int code = receive_line(STDIN_FILENO, command, INT64_MAX);
        if (code <= 0)
            return code < 0;
        snprintf(line, sizeof(line), "error %.200s", command);
        if (answer(self, command, line) != 0) {
            send_line(STDOUT_FILENO, line);
            return 1;
        }
        if (send_line(STDOUT_FILENO, line) != 0)
            return 1;
    }
}

int bench_engine_missing(const char *why)
{
    char line[BENCH_LINE];
    snprintf(line, sizeof(line), "missing %.200s", why);
    send_line(STDOUT_FILENO, line);
    return 0;
}
