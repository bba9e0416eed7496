/* SPDX-License-Identifier: MIT */
/* The summary of a run; see report.h. */
#include "report.h"

#include <stdarg.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 4096 };

static unsigned long long get(const _Atomic uint64_t *counter)
{
    return atomic_load(counter);
}

static double ms_of(const _Atomic int64_t *ns)
{
    return (double)atomic_load(ns) / 1e6;
}

static double seconds_of(const struct chaos_run *run)
{
    return (double)(chaos_now_ns() - run->begin_ns) / 1e9;
}

static void tell(const struct chaos_run *run, const char *text)
{
    printf("%s\n", text);
    fflush(stdout);
    FILE *log = run->log_path == NULL ? NULL : fopen(run->log_path, "ae");
    if (log == NULL)
        return;
    fprintf(log, "%s\n", text);
    fclose(log);
}

struct line {
    char text[LINE_BYTES];
    size_t n;
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct line *line, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    int n = vsnprintf(line->text + line->n, sizeof line->text - line->n, format, values);
    va_end(values);
    if (n > 0)
        line->n += (size_t)n;
    if (line->n >= sizeof line->text)
        line->n = sizeof line->text - 1;
}

static void add_findings(struct line *line, struct chaos_board *board)
{
    for (int i = 0; i < CHAOS_FINDINGS; i++)
        add(line, "%s%s %llu", i == 0 ? "" : ", ", chaos_finding_name(i), get(&board->n_found[i]));
}

void chaos_report_progress(const struct chaos_run *run)
{
    struct line line = {.n = 0};
    add(&line, "chaos: %6.0f s: %llu kills, %llu hosts, %llu maps; ", seconds_of(run),
        (unsigned long long)chaos_board_kills(run->board), (unsigned long long)run->n_hosts,
        (unsigned long long)chaos_board_maps(run->board));
    add_findings(&line, run->board);
    tell(run, line.text);
}

void chaos_report_summary(const struct chaos_run *run)
{
    struct chaos_board *b = run->board;
    struct line line = {.n = 0};
    add(&line, "chaos: seed %llu, %llu kills in %.1f s\n", (unsigned long long)run->seed,
        (unsigned long long)chaos_board_kills(b), seconds_of(run));
    add(&line, "kills:");
    for (int i = 0; i < CHAOS_KINDS; i++)
        add(&line, "%s %s %llu", i == 0 ? "" : ",", chaos_kind_name(i), get(&b->n_kills[i]));
    add(&line, "\nmaps: %llu;", (unsigned long long)chaos_board_maps(b));
    for (int i = 0; i < CHAOS_WORKS; i++)
        add(&line, "%s %s %llu", i == 0 ? "" : ",", chaos_work_name(i), get(&b->n_maps[i]));
    add(&line,
        "\nhosts %llu, pools %llu, deaths of workers %llu, replaced %llu, reruns %llu, steals "
        "%llu, "
        "bytes undone %llu\n",
        (unsigned long long)run->n_hosts, get(&b->n_pools), get(&b->n_deaths), get(&b->n_recycled),
        get(&b->n_reruns), get(&b->n_steals), get(&b->n_undone));
    add(&line, "slowest map %.1f ms (%s), of %llu in quiet times %.1f ms (%s), ",
        ms_of(&b->slowest_ns), chaos_work_name((int)atomic_load(&b->slowest_work)),
        get(&b->n_quiet), ms_of(&b->slowest_quiet_ns),
        chaos_work_name((int)atomic_load(&b->slowest_quiet_work)));
    add(&line,
        "slowest end of all that a host had %.1f ms\nfound: ", (double)run->slowest_end_ns / 1e6);
    add_findings(&line, b);
    if (!run->is_apart)
        add(&line, "\n(this is not root, so /dev/shm is shared with other programs)");
    tell(run, line.text);
}

static void add_json_where(struct line *line, const struct chaos_run *run)
{
    struct utsname machine;
    char date[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    uname(&machine);
    add(line,
        "\"commit\": \"%s\", \"date\": \"%s\", \"kernel\": \"%s\", \"cpus\": %ld, "
        "\"fault_points\": %s, \"seed\": %llu, ",
        run->commit, date, machine.release, sysconf(_SC_NPROCESSORS_ONLN),
#ifdef FORKMAP_FAULTS
        "true",
#else
        "false",
#endif
        (unsigned long long)run->seed);
}

static void add_json_counts(struct line *line, const struct chaos_run *run)
{
    struct chaos_board *b = run->board;
    add(line, "\"kills\": %llu, \"wanted\": %llu, \"seconds\": %.1f, \"by_kind\": {",
        (unsigned long long)chaos_board_kills(b), (unsigned long long)run->n_wanted,
        seconds_of(run));
    for (int i = 0; i < CHAOS_KINDS; i++)
        add(line, "%s\"%s\": %llu", i == 0 ? "" : ", ", chaos_kind_name(i), get(&b->n_kills[i]));
    add(line, "}, \"hosts\": %llu, \"pools\": %llu, \"maps\": %llu, \"quiet_maps\": %llu, ",
        (unsigned long long)run->n_hosts, get(&b->n_pools), (unsigned long long)chaos_board_maps(b),
        get(&b->n_quiet));
    add(line, "\"deaths\": %llu, \"reruns\": %llu, \"steals\": %llu, \"bytes_undone\": %llu, ",
        get(&b->n_deaths), get(&b->n_reruns), get(&b->n_steals), get(&b->n_undone));
    add(line,
        "\"slowest_map_ms\": %.1f, \"slowest_quiet_map_ms\": %.1f, \"slowest_end_ms\": %.1f, ",
        ms_of(&b->slowest_ns), ms_of(&b->slowest_quiet_ns), (double)run->slowest_end_ns / 1e6);
    for (int i = 0; i < CHAOS_FINDINGS; i++)
        add(line, "\"%s\": %llu%s", chaos_finding_name(i), get(&b->n_found[i]),
            i == CHAOS_FINDINGS - 1 ? "" : ", ");
}

/* Whoever reads the file finds the old or the new one, whole. */
static void replace_file(const char *path, const char *text)
{
    char fresh[1024];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *file = fopen(fresh, "we");
    if (file == NULL)
        return;
    fprintf(file, "%s\n", text);
    if (fclose(file) == 0)
        rename(fresh, path);
}

void chaos_report_json(const struct chaos_run *run, int is_finished)
{
    struct line line = {.n = 0};
    add(&line, "{\"finished\": %s, ", is_finished ? "true" : "false");
    add_json_where(&line, run);
    add_json_counts(&line, run);
    add(&line, "}");
    if (run->json_path != NULL)
        replace_file(run->json_path, line.text);
    FILE *log = run->log_path == NULL ? NULL : fopen(run->log_path, "ae");
    if (log == NULL)
        return;
    fprintf(log, "%s\n", line.text);
    fclose(log);
}
