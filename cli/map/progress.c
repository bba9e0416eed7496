/* SPDX-License-Identifier: MIT */
/* Progress on stderr. */
#include "progress.h"

#include "events.h"
#include "options.h"
#include "stop.h"
#include "units.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINE_SECONDS  2.0
#define EVENT_SECONDS 1.0
#define WIDEST_BAR    60

/* A message of the library while a bar is drawn would land behind it. */
static void print_above_bar(int level, const char *message, void *arg)
{
    static const char *const names[] = {"", "", "error", "warning", "info", "debug"};
    const char *name = level > 0 && level < 6 ? names[level] : "";
    (void)arg;
    fprintf(stderr, "\r\033[Kforkmap: %s: %s\n", name, message);
}

void fmc_progress_init(struct fmc_progress *p, int show, int json, int quiet)
{
    *p = (struct fmc_progress){.form = FMC_PROGRESS_NONE};
    p->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    if (show == FMC_SHOW_NEVER || (show == FMC_SHOW_AUTO && quiet))
        return;
    if (json && show == FMC_SHOW_ALWAYS)
        p->form = FMC_PROGRESS_EVENTS;
    else if (isatty(STDERR_FILENO))
        p->form = FMC_PROGRESS_BAR;
    else if (show == FMC_SHOW_ALWAYS)
        p->form = FMC_PROGRESS_LINES;
    p->next_seconds = p->form == FMC_PROGRESS_LINES ? LINE_SECONDS : 0;
    if (p->form == FMC_PROGRESS_BAR)
        (void)fm_log_set(0, print_above_bar, NULL);
}

static double share(const fm_progress *now)
{
    return now->n_items > 0 ? (double)now->n_done / (double)now->n_items : 1;
}

/* "28311/65536 items  1.2M/s  ETA 0:03  failed 2"; `aligned`: with columns that stay where they are. */
static void describe(const struct fmc_progress *p, const fm_progress *now, const char *gap,
                     int aligned, char *text, size_t cap)
{
    char rate[16], eta[16], failed[40] = "", total[24];
    const int64_t before = p->n_before != NULL && *p->n_before > 0 ? *p->n_before : 0;
    const int64_t n_run = now->n_done > before ? now->n_done - before : 0;
    const double per_second = now->seconds > 0 ? (double)n_run / now->seconds : 0;
    const double left = (double)(now->n_items - now->n_done);
    const int digits = snprintf(total, sizeof total, "%" PRId64, now->n_items);
    fmc_units_count(rate, sizeof rate, per_second);
    fmc_units_clock(eta, sizeof eta, per_second > 0 ? left / per_second : -1);
    if (now->n_failed > 0)
        snprintf(failed, sizeof failed, "%sfailed %" PRId64, gap, now->n_failed);
    snprintf(text, cap, "%*" PRId64 "/%s items%s%*s/s%sETA %s%s", aligned ? digits : 0, now->n_done,
             total, gap, aligned ? 4 : 0, rate, gap, eta, failed);
}

/* `width` cells, filled in eighths of a cell where the terminal has the glyphs. */
static void fill_bar(const struct fmc_progress *p, double filled, int width, char *text, size_t cap)
{
    static const char *const eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    const int units = p->utf8 ? 8 : 1;
    const int total = (int)(filled * width * units);
    size_t used = 0;
    for (int i = 0; i < width; i++) {
        const char *cell = " ";
        if ((i + 1) * units <= total)
            cell = p->utf8 ? "█" : "#";
        else if (i * units < total)
            cell = eighths[total - i * units];
        if (used + strlen(cell) + 1 > cap)
            break;
        memcpy(text + used, cell, strlen(cell));
        used += strlen(cell);
    }
    text[used] = '\0';
}

static int terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

static void draw_bar(struct fmc_progress *p, const fm_progress *now)
{
    char text[160];
    describe(p, now, "  ", 1, text, sizeof text);
    const int columns = terminal_width();
    int width = columns - (int)strlen(text) - (int)strlen(" 100% || ") - 1;
    if (width > WIDEST_BAR)
        width = WIDEST_BAR;
    if (width >= 5) {
        char bar[WIDEST_BAR * 3 + 1];
        fill_bar(p, share(now), width, bar, sizeof bar);
        fprintf(stderr, "\r\033[K%4d%% |%s| %s\r", (int)(share(now) * 100), bar, text);
    } else { /* cut: a line that wraps could not be redrawn in place */
        fprintf(stderr, "\r\033[K%4d%% %.*s\r", (int)(share(now) * 100),
                columns > 7 ? columns - 7 : 0, text);
    }
    fflush(stderr);
    p->drawn = 1;
}

static void print_event(const fm_progress *now)
{
    json_t *event = fmc_event("progress");
    json_object_set_new(event, "items", json_integer(now->n_items));
    json_object_set_new(event, "done", json_integer(now->n_done));
    json_object_set_new(event, "failed", json_integer(now->n_failed));
    json_object_set_new(event, "seconds", json_real(now->seconds));
    (void)fmc_event_write(stdout, event); /* a broken stdout is reported once, at the end */
}

static void print_line(const struct fmc_progress *p, const fm_progress *now)
{
    char text[160];
    describe(p, now, ", ", 0, text, sizeof text);
    fprintf(stderr, "forkmap: %d%%, %s\n", (int)(share(now) * 100), text);
}

int fmc_progress_step(const fm_progress *now, void *arg)
{
    struct fmc_progress *p = arg;
    p->last = *now;
    if (p->form == FMC_PROGRESS_BAR) {
        draw_bar(p, now);
    } else if (p->form == FMC_PROGRESS_LINES && now->seconds >= p->next_seconds) {
        p->next_seconds = now->seconds + LINE_SECONDS;
        print_line(p, now);
    } else if (p->form == FMC_PROGRESS_EVENTS && now->seconds >= p->next_seconds) {
        p->next_seconds = now->seconds + EVENT_SECONDS;
        print_event(now);
    }
    return fmc_stop_signal() != 0;
}

void fmc_progress_end(struct fmc_progress *p, int64_t n_items, double seconds)
{
    if (p->form != FMC_PROGRESS_BAR)
        return;
    if (p->drawn) {
        if (n_items >= 0) {
            p->last.n_done = n_items;
            p->last.seconds = seconds;
            draw_bar(p, &p->last);
        }
        fputc('\n', stderr);
    }
    p->drawn = 0;
    p->form = FMC_PROGRESS_NONE;
    (void)fm_log_set(0, NULL, NULL);
}
