/* SPDX-License-Identifier: MIT */
/* Memory of a process group, from /proc. */
#include "pss.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number after `key` in a file of lines "key:  number kB". Returns 0 or -ESRCH. */
static int read_kib(pid_t pid, const char *file, const char *key, double *kib)
{
    char path[64], line[256];
    const size_t key_bytes = strlen(key);
    int code = -ESRCH;
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    FILE *f = fopen(path, "re");
    while (f != NULL && code != 0 && fgets(line, sizeof(line), f) != NULL)
        if (strncmp(line, key, key_bytes) == 0 && line[key_bytes] == ':') {
            *kib = strtod(line + key_bytes + 1, NULL);
            code = 0;
        }
    if (f != NULL)
        fclose(f);
    return code;
}

int bench_pss_add(pid_t pid, struct bench_pss *sum)
{
    double kib, tables_kib;
    int code = read_kib(pid, "smaps_rollup", "Pss", &kib);
    if (code == 0)
        code = read_kib(pid, "status", "VmPTE", &tables_kib);
    if (code != 0)
        return code;
    sum->n++;
    sum->kib += kib;
    sum->tables_kib += tables_kib;
    return 0;
}

int bench_pss_add_group(pid_t group, const pid_t without[2], struct bench_pss *sum)
{
    DIR *processes = opendir("/proc");
    const struct dirent *entry;
    int code = 0;
    if (processes == NULL)
        return -errno;
    while (code == 0 && (entry = readdir(processes)) != NULL) {
        const pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
        if (pid > 0 && getpgid(pid) == group && pid != without[0] && pid != without[1])
            code = bench_pss_add(pid, sum);
    }
    closedir(processes);
    return code;
}
