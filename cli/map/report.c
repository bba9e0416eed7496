/* SPDX-License-Identifier: MIT */
/* Failure records for people and for programs. */
#include "report.h"

#include "backtrace.h"
#include "events.h"
#include "say.h"
#include "units.h"

#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define MOST_PRINTED 20

static void name_signal(int number, char *text, size_t cap)
{
    const char *name = sigabbrev_np(number);
    if (name != NULL)
        snprintf(text, cap, "SIG%s", name);
    else
        snprintf(text, cap, "signal %d", number);
}

/* An address of 0 means something for these only. */
static int has_address(const fm_failure *f)
{
    return f->address != 0 || f->signal == SIGSEGV || f->signal == SIGBUS || f->signal == SIGILL ||
           f->signal == SIGFPE;
}

static void describe_crash(const fm_failure *f, char *text, size_t cap)
{
    char name[32];
    name_signal(f->signal, name, sizeof name);
    if (f->signal == 0)
        snprintf(text, cap, "exit(%d) called in the function", f->code);
    else if (f->stack_overflow)
        snprintf(text, cap, "crashed by %s: stack overflow", name);
    else if (f->wrote_input > 0)
        snprintf(text, cap, "crashed by %s: wrote into input %d, at address 0x%" PRIx64, name,
                 f->wrote_input - 1, f->address);
    else if (has_address(f))
        snprintf(text, cap, "crashed by %s at address 0x%" PRIx64, name, f->address);
    else
        snprintf(text, cap, "crashed by %s", name);
}

/* The kernel's memory killer, or an allocation that failed at --memory-limit. */
static void describe_want(const fm_failure *f, char *text, size_t cap)
{
    char peak[32], name[32];
    fmc_units_bytes(peak, sizeof peak, f->peak_bytes);
    name_signal(f->signal, name, sizeof name);
    if (f->signal == SIGKILL)
        snprintf(text, cap, "out of memory at %s: SIGKILL (OOM: oom_kill +1 in its control group)",
                 peak);
    else if (f->signal != 0)
        snprintf(text, cap, "out of memory: no more at the memory limit, then %s", name);
    else
        snprintf(text, cap, "out of memory: no more at the memory limit, then exit(%d)", f->code);
}

static void describe_state(const fm_failure *f, int64_t limit_ns, char *text, size_t cap)
{
    switch (f->state) {
    case FM_ITEM_FAILED:
        snprintf(text, cap, "the function returned %d", f->code);
        break;
    case FM_ITEM_CRASHED:
        describe_crash(f, text, cap);
        break;
    case FM_ITEM_TIMEOUT:
        if (limit_ns > 0)
            snprintf(text, cap, "passed the time limit of %g s", (double)limit_ns / 1e9);
        else
            snprintf(text, cap, "passed its time limit, after %.3g s",
                     (double)(f->end_ns - f->begin_ns) / 1e9);
        break;
    case FM_ITEM_OUT_OF_MEMORY:
        describe_want(f, text, cap);
        break;
    default:
        snprintf(text, cap, "%s", fm_item_state_name(f->state));
        break;
    }
}

/* A note is the user's: it must not write escape sequences to the terminal. */
static void describe_note(const char *note, char *text, size_t cap)
{
    size_t n = 0;
    for (const char *c = note; *c != '\0' && n + 1 < cap; c++)
        text[n++] = iscntrl((unsigned char)*c) ? ' ' : *c;
    text[n] = '\0';
}

void fmc_report_describe(fm_pool *pool, const fm_failure *f, int64_t limit_ns, char *text,
                         size_t cap)
{
    char what[120], where[200], cpu[24] = "not pinned", note[sizeof f->note];
    describe_state(f, limit_ns, what, sizeof what);
    fmc_backtrace_innermost(pool, f, where, sizeof where);
    describe_note(f->note, note, sizeof note);
    if (f->cpu >= 0)
        snprintf(cpu, sizeof cpu, "cpu %d", f->cpu);
    snprintf(text, cap, "item %" PRId64 ": %s%s (worker %d, pid %d, %s, attempt %d)%s%s%s", f->item,
             what, where, f->worker, f->pid, cpu, f->attempt, note[0] != '\0' ? "; note: \"" : "",
             note, note[0] != '\0' ? "\"" : "");
}

static json_t *make_event(fm_pool *pool, const fm_failure *f)
{
    char name[32], address[32];
    name_signal(f->signal, name, sizeof name);
    snprintf(address, sizeof address, "0x%" PRIx64, f->address);
    json_t *event = fmc_event("failure");
    json_object_set_new(event, "item", json_integer(f->item));
    json_object_set_new(event, "state", fmc_event_text(fm_item_state_name(f->state)));
    json_object_set_new(event, "code", json_integer(f->code));
    json_object_set_new(event, "signal", f->signal != 0 ? fmc_event_text(name) : json_null());
    json_object_set_new(event, "stack_overflow", json_boolean(f->stack_overflow));
    json_object_set_new(event, "address", has_address(f) ? fmc_event_text(address) : json_null());
    json_object_set_new(event, "backtrace", fmc_backtrace_event(pool, f));
    json_object_set_new(event, "wrote_input",
                        f->wrote_input > 0 ? json_integer(f->wrote_input - 1) : json_null());
    json_object_set_new(event, "worker", json_integer(f->worker));
    json_object_set_new(event, "pid", json_integer(f->pid));
    json_object_set_new(event, "cpu", f->cpu >= 0 ? json_integer(f->cpu) : json_null());
    json_object_set_new(event, "attempt", json_integer(f->attempt));
    json_object_set_new(event, "seconds", json_real((double)(f->end_ns - f->begin_ns) / 1e9));
    json_object_set_new(event, "peak_bytes", json_integer(f->peak_bytes));
    json_object_set_new(event, "note", fmc_event_text(f->note));
    return event;
}

int fmc_report_write(FILE *file, fm_pool *pool, const fm_failure *list, int64_t n)
{
    int rc = 0;
    for (int64_t i = 0; i < n && rc == 0; i++)
        rc = fmc_event_write(file, make_event(pool, &list[i]));
    return rc;
}

void fmc_report_print(fm_pool *pool, const fm_failure *list, int64_t n, int64_t limit_ns,
                      const char *file)
{
    char text[600];
    for (int64_t i = 0; i < n && i < MOST_PRINTED; i++) {
        fmc_report_describe(pool, &list[i], limit_ns, text, sizeof text);
        fprintf(stderr, "%s\n", text);
    }
    if (n <= MOST_PRINTED)
        return;
    fprintf(stderr, "... and %" PRId64 " more; %s%s\n", n - MOST_PRINTED,
            file != NULL ? "all are in " : "--failures FILE writes them all",
            file != NULL ? file : "");
}

fm_failure *fmc_report_fetch(fm_pool *pool, int64_t *n)
{
    const int64_t count = fm_pool_failures(pool, NULL, 0);
    *n = 0;
    if (count <= 0)
        return NULL;
    fm_failure *list = calloc((size_t)count, sizeof *list);
    if (list == NULL) {
        fmc_say_error(FMC_ENVIRONMENT, NULL, "no memory for %" PRId64 " failure records", count);
        return NULL;
    }
    const int64_t got = fm_pool_failures(pool, list, count);
    *n = got < count ? got : count;
    return list;
}
