/* SPDX-License-Identifier: MIT */
/* Limits of a process; see rlimits.h. */
#include "rlimits.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct limit {
    int code; /* of a call that ran into it */
    __rlimit_resource_t which;
    unsigned long long unit;
    const char *says, *remedy;
};
static const struct limit limits[] = {
    {-EMFILE, RLIMIT_NOFILE, 1, "RLIMIT_NOFILE is %llu descriptors", "ulimit -n"},
    {-EAGAIN, RLIMIT_NPROC, 1,
     "RLIMIT_NPROC is %llu processes of this user, and a control group may have its own limit",
     "ulimit -u"},
    {-ENOMEM, RLIMIT_AS, 1024, "RLIMIT_AS is %llu KiB of addresses", "ulimit -v"},
    {-ENOMEM, RLIMIT_DATA, 1024, "RLIMIT_DATA is %llu KiB of memory", "ulimit -d"},
};

static void append(const char *text)
{
    char before[512];
    snprintf(before, sizeof before, "%s", fm_error_detail());
    if (strstr(before, text) == NULL)
        fmi_error_note("%s%s%s", before, before[0] == '\0' ? "" : "; ", text);
}

int fmi_rlimits_explain(int rc)
{
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        const struct limit *l = &limits[i];
        struct rlimit value;
        char says[128], text[192];
        if (l->code != rc || getrlimit(l->which, &value) != 0 || value.rlim_cur == RLIM_INFINITY)
            continue;
        snprintf(says, sizeof says, l->says, /* NOLINT: one of the table's */
                 (unsigned long long)value.rlim_cur / l->unit);
        snprintf(text, sizeof text, "%s (see %s)", says, l->remedy);
        append(text);
    }
    return rc;
}

int fmi_rlimits_check_descriptors(int n, const char *what_for)
{
    int probes[16] = {0}, n_open = 0, error = 0;
    if (n > (int)(sizeof probes / sizeof probes[0]))
        n = (int)(sizeof probes / sizeof probes[0]);
    while (n_open < n && error == 0) {
        probes[n_open] = open("/", O_PATH | O_CLOEXEC);
        error = probes[n_open] < 0 ? errno : 0;
        n_open += error == 0;
    }
    for (int i = 0; i < n_open; i++)
        close(probes[i]);
    if (error == 0 || (error != EMFILE && error != ENFILE))
        return 0;
    return fmi_rlimits_explain(
        fmi_error(-error, "%s needs %d free descriptors, there are %d", what_for, n, n_open));
}
