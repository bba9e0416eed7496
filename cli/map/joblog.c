/* SPDX-License-Identifier: MIT */
/* The file of --joblog, see joblog.h. */
#include "joblog.h"

#include "report.h"
#include "say.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char head[] =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

static int refuse(const struct fmc_joblog *log, int code)
{
    return fmc_say_error(FMC_ENVIRONMENT, NULL, "--joblog %s: %s", log->text, fm_strerror(code));
}

/* One write(2): another command may append to the same file. */
static int write_line(const struct fmc_joblog *log, const char *line, size_t bytes)
{
    ssize_t n;
    do
        n = write(log->fd, line, bytes);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)bytes ? 0 : n < 0 ? -errno : -ENOSPC;
}

/* An empty file gets the head; any other must begin with it. */
static int begin(struct fmc_joblog *log)
{
    char first[sizeof head] = "";
    struct stat st;
    if (fstat(log->fd, &st) != 0)
        return refuse(log, -errno);
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        const int code = write_line(log, head, sizeof head - 1);
        return code == 0 ? FMC_DONE : refuse(log, code);
    }
    if (pread(log->fd, first, sizeof head - 1, 0) < 0)
        return refuse(log, -errno);
    if (memcmp(first, head, sizeof head - 1) == 0)
        return FMC_DONE;
    return fmc_say_error(FMC_USAGE, "give it a file of its own",
                         "--joblog %s: it is there, and is no job log", log->text);
}

int fmc_joblog_open(struct fmc_joblog *log, const char *text)
{
    *log = (struct fmc_joblog){.text = text, .fd = -1};
    if (text == NULL)
        return FMC_DONE;
    log->fd = open(text, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
    if (log->fd < 0)
        return refuse(log, -errno);
    const int rc = begin(log);
    if (rc != FMC_DONE)
        fmc_joblog_close(log);
    return rc;
}

void fmc_joblog_close(struct fmc_joblog *log)
{
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
}

/* ---- items that have a line already -------------------------------------------------------------- */

struct items {
    int64_t *list; /* in ascending order */
    size_t n;
};

static int compare_items(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int add_item(struct items *items, int64_t item)
{
    if ((items->n & (items->n - 1)) == 0) { /* 0, or a power of two: full */
        const size_t room = items->n == 0 ? 1 : 2 * items->n;
        int64_t *list = realloc(items->list, room * sizeof *list);
        if (list == NULL)
            return -ENOMEM;
        items->list = list;
    }
    items->list[items->n++] = item;
    return 0;
}

static int read_items(const struct fmc_joblog *log, struct items *items)
{
    char *line = NULL, *end;
    size_t room = 0;
    int code = 0;
    FILE *file = fopen(log->text, "re");
    if (file == NULL)
        return -errno;
    while (code == 0 && getline(&line, &room, file) >= 0) {
        const long long item = strtoll(line, &end, 10);
        if (end != line && *end == '\t')
            code = add_item(items, item);
    }
    free(line);
    fclose(file);
    if (items->n > 0)
        qsort(items->list, items->n, sizeof items->list[0], compare_items);
    return code;
}

static int is_earlier(const fm_failure *f)
{
    return f->worker < 0 && f->attempt == 0;
}

static int find_logged(const struct fmc_joblog *log, const fm_failure *list, int64_t n,
                       struct items *items)
{
    struct stat st;
    int64_t i = 0;
    while (i < n && !is_earlier(&list[i]))
        i++;
    if (i == n || fstat(log->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return 0;
    return read_items(log, items);
}

/* ---- lines --------------------------------------------------------------------------------------- */

/* What CLOCK_MONOTONIC said is this long before now. */
static double start_time(const fm_failure *f)
{
    struct timespec now, wall;
    clock_gettime(CLOCK_MONOTONIC, &now);
    clock_gettime(CLOCK_REALTIME, &wall);
    if (f->begin_ns == 0) /* not known: an earlier run's */
        return 0;
    return (double)wall.tv_sec - (double)now.tv_sec +
           (double)(wall.tv_nsec - now.tv_nsec + f->begin_ns) / 1e9;
}

/* A column, and a line, is one whatever stands in it. */
static void make_plain(char *text)
{
    for (; *text != '\0'; text++)
        if (iscntrl((unsigned char)*text))
            *text = ' ';
}

static int append(const struct fmc_joblog *log, fm_pool *pool, const char *function,
                  const fm_failure *f, int64_t limit_ns)
{
    char what[400], *command = NULL, *line = NULL;
    fmc_report_describe(pool, f, limit_ns, what, sizeof what);
    if (asprintf(&command, "%s # %s", function, what) < 0)
        return -ENOMEM;
    make_plain(command);
    const int n = asprintf(&line, "%" PRId64 "\t:\t%.3f\t%10.3f\t0\t0\t%d\t%d\t%s\n", f->item,
                           start_time(f), (double)(f->end_ns - f->begin_ns) / 1e9,
                           f->state == FM_ITEM_TIMEOUT ? -1 : f->code, f->signal, command);
    free(command);
    if (n < 0)
        return -ENOMEM;
    const int code = write_line(log, line, (size_t)n);
    free(line);
    return code;
}

int fmc_joblog_append(struct fmc_joblog *log, fm_pool *pool, const char *function,
                      const fm_failure *list, int64_t n, int64_t limit_ns)
{
    struct items logged = {0};
    if (log->fd < 0)
        return FMC_DONE;
    int code = find_logged(log, list, n, &logged);
    for (int64_t i = 0; i < n && code == 0; i++)
        if (!is_earlier(&list[i]) || logged.n == 0 ||
            bsearch(&list[i].item, logged.list, logged.n, sizeof logged.list[0], compare_items) ==
                NULL)
            code = append(log, pool, function, &list[i], limit_ns);
    free(logged.list);
    return code == 0 ? FMC_DONE : refuse(log, code);
}
