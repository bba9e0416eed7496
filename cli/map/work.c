/* SPDX-License-Identifier: MIT */
/* One map from the checked words to the written output. */
#include "work.h"

#include "compare.h"
#include "events.h"
#include "failures.h"
#include "job.h"
#include "joblog.h"
#include "kinds.h"
#include "progress.h"
#include "report.h"
#include "say.h"
#include "stop.h"
#include "units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PROGRESS_NS   FM_MS(100)
#define GRACE_SECONDS 3.0 /* for the items in flight, once a signal has come */

struct work {
    const struct fmc_options *options;
    struct fmc_job job;
    struct fmc_output output;
    struct fmc_progress progress;
    struct fmc_failures failures;
    struct fmc_joblog joblog;
    int64_t
        n_before; /* items that earlier runs have ended; -1: there is no journal, or it was not opened */
    fm_pool *pool;
    int mapped;          /* the records tell of this map */
    double stop_seconds; /* since the begin of the map, when a signal was seen; 0: none was */
    int code;            /* of the map */
    int overwritten;     /* the function changed an array's descriptor */
    double seconds;
    fm_failure *records;
    int64_t n_records;
    int64_t n_done, n_failed; /* -1: not known, the map was stopped */
    int gave_up;              /* some items were not tried to their end */
    int verified;             /* 1 right, 0 wrong, -1 not asked for */
    int written;
};

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Before the map. */
static int interrupted(void)
{
    const int number = fmc_stop_signal();
    return fmc_say_error(FMC_SIGNALLED + number, NULL, "stopped by SIG%s: nothing was written",
                         sigabbrev_np(number));
}

/* In a worker. Its text would land among the data. */
static int print_to_stderr(int rank, void *arg)
{
    (void)rank;
    (void)arg;
    return dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 ? 0 : -errno;
}

static int open_pool(struct work *w)
{
    fm_pool_opts opts = w->options->pool;
    opts.signals = FM_SIGNALS_SOFT;
    if (w->options->json || fmc_options_writes_stdout(w->options))
        opts.initializer = print_to_stderr;
    const int code = fm_pool_open(&w->pool, &opts);
    if (code == 0)
        return FMC_DONE;
    fmc_say_code(code, "the workers could not be started",
                 code == -EAGAIN || code == -ENOMEM || code == -EMFILE ? "try fewer --workers"
                                                                       : NULL);
    return FMC_ENVIRONMENT;
}

static void announce(const struct work *w)
{
    if (!w->options->json)
        return;
    json_t *event = fmc_event("start");
    json_object_set_new(event, "function", fmc_event_text(w->options->function));
    json_object_set_new(event, "items", json_integer(w->job.n));
    json_object_set_new(event, "workers", json_integer(fm_pool_workers(w->pool)));
    json_object_set_new(event, "output",
                        w->output.path != NULL ? fmc_event_text(w->output.path) : json_null());
    (void)fmc_event_write(stdout, event); /* a broken stdout is reported once, at the end */
}

/* All that can be refused is refused here, before any item runs. */
static int begin(struct work *w, int run)
{
    int rc = fmc_job_prepare(&w->job, w->options, run);
    if (rc != FMC_DONE)
        return fmc_stop_signal() != 0 ? interrupted() : rc;
    fmc_stop_install(); /* from here on there is something to clean up */
    rc = fmc_job_open_output(&w->job, &w->output);
    if (rc == FMC_DONE)
        rc = fmc_failures_open(&w->failures, w->options->failures);
    if (rc == FMC_DONE)
        rc = fmc_joblog_open(&w->joblog, w->options->joblog);
    if (rc == FMC_DONE)
        rc = open_pool(w);
    if (rc == FMC_DONE && fmc_stop_signal() != 0)
        rc = interrupted();
    return rc;
}

/* Codes that tell of items; all others tell of the map. */
static int is_item_code(int code)
{
    return code == FM_ETASK || code == FM_ECRASHED || code == FM_ETIMEOUT || code == FM_EOOM;
}

/* Above a bar, if there is one. */
static void announce_stop(const struct work *w)
{
    if (!w->options->quiet && !w->options->json)
        fprintf(stderr,
                "%sforkmap: stopping: items that run have %g s; a second signal ends them\n",
                w->progress.drawn ? "\r\033[K" : "", GRACE_SECONDS);
}

/* A signal lets the items in flight end, and ends the workers if one of them takes long: nothing will be written anyway. */
static int step(const fm_progress *now, void *arg)
{
    struct work *w = arg;
    fmc_stop_note(fm_pool_signal(w->pool));
    if (fmc_stop_signal() != 0 && w->stop_seconds == 0) {
        w->stop_seconds = now->seconds;
        announce_stop(w);
    } else if (fmc_stop_signal() != 0 && now->seconds - w->stop_seconds >= GRACE_SECONDS) {
        (void)fm_pool_terminate(w->pool);
    }
    return fmc_progress_step(now, &w->progress);
}

static void map(struct work *w)
{
    fm_map_opts opts = fmc_job_map_opts(&w->job);
    opts.status = w->job.status;
    opts.progress = step;
    opts.progress_arg = w;
    opts.progress_interval = PROGRESS_NS;
    opts.journal_done = &w->n_before;
    fmc_progress_init(&w->progress, w->options->progress, w->options->json, w->options->quiet);
    w->progress.n_before = &w->n_before;
    const double begin_seconds = now_seconds();
    w->code = fmc_job_map(&w->job, w->pool, &opts);
    w->seconds = now_seconds() - begin_seconds;
    w->output.is_begun = w->n_before >= 0;
    fmc_stop_note(fm_pool_signal(w->pool));
    w->overwritten = !fmc_job_is_intact(&w->job);
    if (w->overwritten)
        w->code = FM_ECORRUPT;
    w->mapped =
        w->code == 0 || is_item_code(w->code) || (fmc_stop_signal() != 0 && !w->overwritten);
    const int all_tried = w->code == 0 || w->job.status != NULL;
    fmc_progress_end(&w->progress, all_tried && fmc_stop_signal() == 0 ? w->job.n : -1, w->seconds);
}

static void count(struct work *w)
{
    w->n_done = w->code == 0 ? w->job.n : -1;
    w->n_failed = w->code == 0 ? 0 : -1;
    if (w->job.status == NULL || !is_item_code(w->code))
        return;
    const unsigned char *states = (const unsigned char *)w->job.seen_status.data;
    w->n_done = w->n_failed = 0;
    for (int64_t i = 0; i < w->job.n; i++) {
        if (states[i] == FM_ITEM_DONE)
            w->n_done++;
        else if (states[i] == 0 || states[i] == FM_ITEM_CANCELLED)
            w->gave_up = 1;
        else
            w->n_failed++;
    }
}

static int close_failures(struct work *w, int rc)
{
    if (!w->mapped) {
        fmc_failures_abandon(&w->failures);
        return rc;
    }
    const int write_rc = fmc_failures_commit(&w->failures, w->pool, w->records, w->n_records);
    const int log_rc = fmc_joblog_append(&w->joblog, w->pool, w->options->function, w->records,
                                         w->n_records, w->options->map.item_timeout);
    return rc != FMC_DONE ? rc : write_rc != FMC_DONE ? write_rc : log_rc;
}

/* Stopped at the first failure: only the lowest failed item does not depend on timing. */
static void keep_lowest(struct work *w)
{
    if (w->job.status == NULL && w->n_records > 1)
        w->n_records = 1;
}

static void print_records(struct work *w)
{
    w->records = fmc_report_fetch(w->pool, &w->n_records);
    keep_lowest(w);
    fmc_report_print(w->pool, w->records, w->n_records, w->options->map.item_timeout,
                     w->failures.text);
    if (w->options->json)
        (void)fmc_report_write(stdout, w->pool, w->records, w->n_records);
}

/* What happens to the output is said together with what happened to the items. */
static int report_failures(struct work *w)
{
    const char *out = w->output.path,
               *fate = w->n_before >= 0 ? "; unfinished: " : "; not written: ";
    char kinds[240];
    print_records(w);
    fmc_kinds_describe(w->records, w->n_records, kinds, sizeof kinds);
    if (w->job.status == NULL)
        return fmc_say_error(FMC_SOME_FAILED,
                             "--on-error continue tries all items and writes the good rows",
                             "stopped at the first failure (%s)%s%s", fm_strerror(w->code),
                             out != NULL ? fate : "", out != NULL ? out : "");
    if (w->gave_up)
        return fmc_say_error(FMC_SOME_FAILED, NULL,
                             "gave up after %" PRId64 " failed items: %s%s%s", w->n_failed, kinds,
                             out != NULL ? fate : "", out != NULL ? out : "");
    return fmc_say_error(FMC_SOME_FAILED, NULL, "%" PRId64 " of %" PRId64 " items failed: %s%s%s",
                         w->n_failed, w->job.n, kinds,
                         out != NULL ? "; their rows are zero in " : "", out != NULL ? out : "");
}

static const char *advise_for_next_time(const struct work *w)
{
    if (w->n_before >= 0)
        return "the same command goes on from there";
    return w->job.function.kernel == NULL ? "--journal FILE keeps what is done for the next time"
                                          : NULL;
}

/* A signal ended the map: the output stays as it was. What is done, and what failed, is told. */
static int report_stop(struct work *w)
{
    const int number = fmc_stop_signal(), is_kept = w->n_before >= 0;
    const char *file = w->failures.text;
    const int64_t before = is_kept ? w->n_before : 0;
    fm_pool_counters counters = {0};
    char kinds[240], failed[300] = "";
    if (!w->mapped)
        return interrupted();
    print_records(w);
    (void)fm_pool_stats(w->pool, &counters);
    w->n_failed = w->n_records;
    w->n_done = before +
                ((int64_t)counters.items > w->n_failed ? (int64_t)counters.items - w->n_failed : 0);
    fmc_kinds_describe(w->records, w->n_records, kinds, sizeof kinds);
    if (w->n_failed > 0)
        snprintf(failed, sizeof failed, ", %" PRId64 " failed: %s", w->n_failed, kinds);
    return fmc_say_error(FMC_SIGNALLED + number, advise_for_next_time(w),
                         "stopped by SIG%s: %" PRId64 " of %" PRId64 " items done%s; %s%s",
                         sigabbrev_np(number), w->n_done, w->job.n, failed,
                         is_kept        ? "what is done is kept"
                         : file != NULL ? "no results were written; the failures so far are in "
                                        : "nothing was written",
                         file != NULL && !is_kept ? file : "");
}

/* The library could not do the map at all. */
static int report_refusal(const struct work *w)
{
    const char *remedy = w->code == FM_ECORRUPT
                             ? "the function probably wrote outside its result row; check --out"
                             : NULL;
    if (w->overwritten) /* the library has not noticed: its detail is of something else */
        return fmc_say_error(FMC_ENVIRONMENT, remedy, "%s: %s", w->options->function,
                             fm_strerror(w->code));
    return fmc_say_code(w->code, w->options->function, remedy);
}

/* Without references of its own a result can still be compared with a serial run, which must give the same bits. */
static int verify_by_serial(struct work *w)
{
    const size_t bytes = fm_array_bytes(w->job.out);
    void *mapped = malloc(bytes + 1);
    if (mapped == NULL)
        return -ENOMEM;
    memcpy(mapped, fm_array_data(w->job.out), bytes);
    const int code = fmk_run_serial(&w->job.problem);
    const int differs = memcmp(mapped, fm_array_data(w->job.out), bytes) != 0;
    free(mapped);
    return code != 0 ? code : differs;
}

static int verify(struct work *w)
{
    char text[240] = "";
    int code = w->job.function.kernel->verify(&w->job.problem, text, sizeof text);
    if (code == 2) {
        code = verify_by_serial(w);
        snprintf(text, sizeof text,
                 "%" PRId64 " results %s a serial run bit for bit (no reference for this input)",
                 w->job.n, code == 0 ? "equal" : "do NOT equal");
    }
    if (code < 0) {
        fmc_say_code(code, "--verify", NULL);
        return FMC_ENVIRONMENT;
    }
    w->verified = code == 0;
    if (!w->verified)
        return fmc_say_error(FMC_SOME_FAILED, NULL, "verification failed: %s", text);
    if (!w->options->json)
        fprintf(stderr, "verified: %s\n", text);
    return FMC_DONE;
}

/* From the code of the map to the exit code, and to an output that is there whole or not at all. */
static int judge(struct work *w)
{
    int rc = FMC_DONE;
    if (w->code != 0 && fmc_stop_signal() != 0)
        return report_stop(w);
    count(w);
    if (w->code != 0)
        rc = is_item_code(w->code) ? report_failures(w) : report_refusal(w);
    else if (w->options->verify)
        rc = verify(w);
    const int keep =
        w->code == 0 ? rc == FMC_DONE : is_item_code(w->code) && w->job.status && !w->gave_up;
    if (!keep || !fmc_output_is_open(&w->output))
        return rc;
    if (w->code != 0)
        fmc_output_clear_failed(&w->job.seen_out, &w->job.seen_status);
    const int write_rc = fmc_output_commit(&w->output, w->job.out);
    w->written = write_rc == FMC_DONE;
    return write_rc != FMC_DONE ? write_rc : rc;
}

static json_t *count_or_null(int64_t n)
{
    return n >= 0 ? json_integer(n) : json_null();
}

static void print_summary_event(const struct work *w, int exit_code)
{
    fm_pool_counters counters = {0};
    (void)fm_pool_stats(w->pool, &counters);
    json_t *event = fmc_event("summary");
    json_object_set_new(event, "function", fmc_event_text(w->options->function));
    json_object_set_new(event, "items", json_integer(w->job.n));
    json_object_set_new(event, "done", count_or_null(w->n_done));
    json_object_set_new(event, "failed", count_or_null(w->n_failed));
    if (w->n_before >= 0)
        json_object_set_new(event, "before", json_integer(w->n_before));
    json_object_set_new(event, "seconds", json_real(w->seconds));
    json_object_set_new(event, "workers", json_integer(fm_pool_workers(w->pool)));
    json_object_set_new(event, "status", fmc_event_text(fm_errname(w->code)));
    json_object_set_new(event, "output", w->written ? fmc_event_text(w->output.path) : json_null());
    json_object_set_new(event, "verified",
                        w->verified >= 0 ? json_boolean(w->verified) : json_null());
    json_object_set_new(event, "deaths", json_integer((json_int_t)counters.deaths));
    json_object_set_new(event, "reruns", json_integer((json_int_t)counters.reruns));
    json_object_set_new(event, "steals", json_integer((json_int_t)counters.steals));
    json_object_set_new(event, "exit", json_integer(exit_code));
    (void)fmc_event_write(stdout, event); /* a broken stdout is reported once, at the end */
}

/* On stderr: the output may be stdout. */
static void summarise(const struct work *w, int exit_code)
{
    char time[24], rate[16];
    if (w->options->json)
        print_summary_event(w, exit_code);
    if (w->n_before > 0 && !w->options->json && !w->options->quiet)
        fprintf(stderr, "%" PRId64 " of %" PRId64 " items were done before\n", w->n_before,
                w->job.n);
    if (w->options->json || w->options->quiet || w->n_done < 0)
        return;
    const int64_t n_run = w->n_before > 0 ? w->job.n - w->n_before : w->n_done;
    fmc_units_seconds(time, sizeof time, w->seconds);
    fmc_units_count(rate, sizeof rate, w->seconds > 0 ? (double)n_run / w->seconds : 0);
    if (w->n_done < w->job.n)
        fprintf(stderr, "%" PRId64 " of ", w->n_done);
    fprintf(stderr, "%" PRId64 " items in %s (%s/s), %d workers%s%s\n", w->job.n, time, rate,
            fm_pool_workers(w->pool), w->written ? " -> " : "", w->written ? w->output.path : "");
}

/* What is asked for is shown while the job is prepared; there is no map. */
static int print_source(const struct fmc_options *options)
{
    struct fmc_job job;
    const int rc = fmc_job_prepare(&job, options, 0);
    fmc_job_release_arrays(&job);
    fmc_job_release(&job);
    return rc;
}

int fmc_work(const struct fmc_options *options, int run)
{
    if (options->print_source)
        return print_source(options);
    struct work w = {.options = options,
                     .joblog.fd = -1,
                     .n_before = -1,
                     .n_done = -1,
                     .n_failed = -1,
                     .verified = -1};
    int rc = begin(&w, run);
    if (rc == FMC_DONE) {
        announce(&w);
        map(&w);
        rc = judge(&w);
        summarise(&w, rc);
        if (rc == FMC_DONE && options->compare)
            rc = fmc_compare(&w.job, w.pool);
    }
    fmc_output_abandon(&w.output);
    rc = close_failures(&w, rc);
    fmc_joblog_close(&w.joblog);
    (void)fm_pool_destroy(w.pool); /* whatever it says, the command ends now */
    if (!w.overwritten)            /* what cannot be trusted is not followed */
        fmc_job_release_arrays(&w.job);
    fmc_job_release(&w.job);
    free(w.records);
    return rc;
}
