/* SPDX-License-Identifier: MIT */
/* The machine, the build, stolen time, and the calibration by independent processes. */
#include "facts.h"

#include "bench_clock.h"
#include "spin_kernel.h"

#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef BENCH_FLAGS
#define BENCH_FLAGS "unknown"
#endif

#define CALIBRATION_US 3000.0

/* ---- the machine and the build ---- */

/* The first line of a file, or what follows `key` and a colon in it. Returns `text`, "" if there is none. */
static const char *read_fact(const char *path, const char *key, char *text, size_t cap)
{
    char line[512];
    FILE *f = fopen(path, "re");
    text[0] = '\0';
    while (f != NULL && text[0] == '\0' && fgets(line, sizeof(line), f) != NULL) {
        const char *colon = strchr(line, ':');
        line[strcspn(line, "\n")] = '\0';
        const char *fact = line;
        if (key != NULL && colon != NULL)
            fact = strncmp(line, key, strlen(key)) == 0 ? colon + 1 + strspn(colon + 1, " \t") : "";
        snprintf(text, cap, "%.*s", (int)cap - 1, fact);
    }
    if (f != NULL)
        fclose(f);
    return text;
}

/* The quota that this process runs under, version 2 and then 1; the nearest group that says one. */
static const char *read_quota(char *text, size_t cap)
{
    char group[256], path[512];
    read_fact("/proc/self/cgroup", "0:", group, sizeof(group)); /* "0::/a/b" leaves ":/a/b" */
    char *dir = group[0] == ':' ? group + 1 : group;
    while (dir[0] == '/') {
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", dir);
        if (read_fact(path, NULL, text, cap)[0] != '\0' && strncmp(text, "max", 3) != 0)
            return text;
        *strrchr(dir, '/') = '\0';
    }
    read_fact("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", NULL, text, cap);
    return text[0] != '\0' && text[0] != '-' ? text : "none";
}

json_t *bench_facts(const char *commit, int workers)
{
    char cpu[128], governor[64], quota[64], when[32];
    struct utsname system;
    const time_t now = time(NULL);
    struct tm utc;
    uname(&system);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    read_fact("/proc/cpuinfo", "model name", cpu, sizeof(cpu));
    read_fact("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", NULL, governor,
              sizeof(governor));
    return json_pack("{ss ss ss si si ss ss ss ss ss}", "commit", commit, "date", when, "cpu",
                     cpu[0] != '\0' ? cpu : "unknown", "cores", fm_cpu_count(), "workers", workers,
                     "kernel", system.release, "governor", governor[0] != '\0' ? governor : "none",
                     "cgroup_quota", read_quota(quota, sizeof(quota)), "compiler",
#ifdef __clang__
                     __VERSION__,
#else
                     "gcc " __VERSION__,
#endif
                     "flags", BENCH_FLAGS);
}

/* ---- what else ran ---- */

static double own_seconds(int who)
{
    struct rusage u;
    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

struct bench_usage bench_usage_now(void)
{
    double v[8] = {0}; /* user nice system idle iowait irq softirq steal */
    const double ticks = (double)sysconf(_SC_CLK_TCK);
    FILE *f = fopen("/proc/stat", "re");
    const int n = f == NULL ? 0
                            : fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &v[0], &v[1], &v[2],
                                     &v[3], &v[4], &v[5], &v[6], &v[7]);
    if (f != NULL)
        fclose(f);
    return (struct bench_usage){.wall = (double)bench_now_ns() * 1e-9,
                                .stolen = n == 8 ? v[7] / ticks : 0,
                                .used = n == 8 ? (v[0] + v[1] + v[2] + v[5] + v[6]) / ticks : 0,
                                .own = own_seconds(RUSAGE_SELF) + own_seconds(RUSAGE_CHILDREN)};
}

double bench_stolen_share(struct bench_usage since)
{
    const struct bench_usage now = bench_usage_now();
    const double stolen = now.stolen - since.stolen;
    const double busy = now.used - since.used + stolen;
    return busy > 0 ? stolen / busy : 0;
}

double bench_other_cores(struct bench_usage since)
{
    const struct bench_usage now = bench_usage_now();
    const double others = (now.used - since.used) - (now.own - since.own);
    return others > 0 ? others / (now.wall - since.wall) : 0;
}

/* ---- independent processes ---- */

void bench_pin(int cpu)
{
    if (cpu < 0)
        return;
    const size_t bytes = CPU_ALLOC_SIZE((size_t)cpu + 1);
    cpu_set_t *set = CPU_ALLOC((size_t)cpu + 1);
    if (set == NULL)
        return;
    CPU_ZERO_S(bytes, set);
    CPU_SET_S((size_t)cpu, bytes, set);
    sched_setaffinity(0, bytes, set);
    CPU_FREE(set);
}

struct calibration { /* shared by the processes of one measurement */
    _Atomic int n_ready;
    int64_t ns[];
};

/* They begin together: the last one to be ready lets all go. The first pass warms the core up. */
static void run_single(struct calibration *shared, int n, int me, int cpu, uint32_t steps)
{
    uint64_t result = 0;
    const uint32_t warm_steps = steps / 10;
    const struct bench_kernel_ctx warm = {&warm_steps, &result, 1}, ctx = {&steps, &result, 1};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bench_pin(cpu);
    bench_kernel(0, 1, &warm);
    atomic_fetch_add(&shared->n_ready, 1);
    while (atomic_load(&shared->n_ready) < n)
        ;
    const int64_t begin = bench_now_ns();
    bench_kernel(0, 1, &ctx);
    shared->ns[me] = bench_now_ns() - begin;
    _exit(0);
}

/* Runs n of them at once. Returns 0, -1 if a process is missing: then none is left. */
static int run_singles(struct calibration *shared, const fm_place *places, int n, uint32_t steps)
{
    int n_started = 0;
    pid_t *pids = calloc((size_t)n, sizeof(*pids));
    atomic_store(&shared->n_ready, 0);
    while (pids != NULL && n_started < n && (pids[n_started] = fork()) >= 0) {
        if (pids[n_started] == 0)
            run_single(shared, n, n_started, places[n_started].cpu, steps);
        n_started++;
    }
    for (int i = 0; i < n_started; i++) {
        if (n_started < n)
            kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    free(pids);
    return n_started == n ? 0 : -1;
}

double bench_calibrate(const fm_place *places, int n, double steps_per_us)
{
    const size_t bytes = sizeof(struct calibration) + (size_t)n * sizeof(int64_t);
    const uint32_t steps = (uint32_t)(CALIBRATION_US * steps_per_us);
    struct calibration *shared =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double times = NAN;
    if (shared == MAP_FAILED)
        return NAN;
    if (run_singles(shared, places, 1, steps) == 0) {
        const double alone_ns = (double)shared->ns[0];
        if (run_singles(shared, places, n, steps) == 0) {
            times = 0;
            for (int i = 0; i < n; i++)
                times += alone_ns / (double)shared->ns[i];
        }
    }
    munmap(shared, bytes);
    return times;
}
