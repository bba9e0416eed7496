/* SPDX-License-Identifier: MIT */
/* How many workers this process may have, and who said so. */
#include "cgroup.h"
#include "crew.h"
#include "error.h"
#include "memory.h"
#include "topo.h"

#include <ctype.h>
#include <errno.h>
#include <forkmap/machine.h>
#include <forkmap/pool.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NAMES = 3 };

/* The variables of a source; the first that is set counts. */
struct variables {
    int source;
    const char *names[MAX_NAMES];
};
static const struct variables variables[] = {
    {FM_BUDGET_SLURM, {"SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"}},
    {FM_BUDGET_PBS, {"PBS_NCPUS", "PBS_NUM_PPN", "NCPUS"}},
    {FM_BUDGET_SGE, {"NSLOTS"}},
    {FM_BUDGET_LSF, {"LSB_DJOB_NUMPROC"}},
    {FM_BUDGET_FORKMAP, {"FORKMAP_WORKERS"}},
};
enum { N_VARIABLES = sizeof variables / sizeof variables[0] };

/* Distinct cores of the units in the mask. The units of a core are neighbours. */
static int cores_in_mask(void)
{
    fm_place *units;
    int n = fmi_sys_topo_units(NULL, &units);
    if (n < 0)
        return fmi_sys_topo_n_cores(); /* no mask to be had: nothing is known to be forbidden */
    int cores = 0;
    for (int i = 0; i < n; i++)
        cores += i == 0 || units[i].core != units[i - 1].core;
    free(units);
    return cores;
}

/* Returns 1 .. FM_MAX_WORKERS, or 0 for anything else. Digits only: no sign, blank, unit or list. */
static int parse_workers(const char *text)
{
    int value = 0;
    for (const char *c = text; *c != '\0'; c++) {
        if (!isdigit((unsigned char)*c))
            return 0;
        value = value * 10 + (*c - '0');
        if (value > FM_MAX_WORKERS)
            return 0;
    }
    return value;
}

/* What the variables of one source say: 0 if none is set, -EINVAL if the one that counts is no number. */
static int read_variables(const struct variables *v)
{
    for (int i = 0; i < MAX_NAMES && v->names[i] != NULL; i++) {
        const char *text = getenv(v->names[i]);
        if (text == NULL)
            continue;
        int workers = parse_workers(text);
        if (workers == 0)
            return fmi_error(
                -EINVAL,
                "%s is \"%.40s\"; a whole number of 1 to %d is accepted: correct it or unset it",
                v->names[i], text, FM_MAX_WORKERS);
        return workers;
    }
    return 0;
}

/* What the variable says is for the whole: in a worker, whose own cores are a part, it makes them no more. */
static void choose_winner(fm_budget *b)
{
    b->winner = FM_BUDGET_AFFINITY;
    for (int source = 1; source < FM_BUDGET_FORKMAP; source++)
        if (b->by_source[source] > 0 && b->by_source[source] < b->by_source[b->winner])
            b->winner = source;
    int forkmap = b->by_source[FM_BUDGET_FORKMAP];
    if (forkmap > 0 && (fmi_worker_self() == NULL || forkmap < b->by_source[b->winner]))
        b->winner = FM_BUDGET_FORKMAP;
    int cores = b->by_source[b->winner];
    b->cores = cores < FM_MAX_WORKERS ? cores : FM_MAX_WORKERS; /* no pool can have more */
}

int fm_cpu_count(void)
{
    return fmi_sys_topo_n_cores();
}

int fm_cpu_budget(fm_budget *b)
{
    if (b == NULL)
        return fmi_error(-EINVAL, "the budget to fill is NULL");
    memset(b, 0, sizeof *b);
    for (int i = 0; i < N_VARIABLES; i++) {
        int workers = read_variables(&variables[i]);
        if (workers < 0)
            return workers;
        b->by_source[variables[i].source] = workers;
    }
    b->by_source[FM_BUDGET_AFFINITY] = cores_in_mask();
    b->by_source[FM_BUDGET_CGROUP] = fmi_sys_cgroup_cpu_quota();
    choose_winner(b);
    return b->cores;
}

const char *fm_budget_source_name(int source)
{
    static const char *const names[FM_BUDGET_SOURCES + 1] = {
        "?", "affinity mask", "cgroup quota", "SLURM", "PBS", "SGE", "LSF", "FORKMAP_WORKERS"};
    return source < 1 || source > FM_BUDGET_SOURCES ? names[0] : names[source];
}

int64_t fm_memory_left(void)
{
    return fmi_sys_memory_left();
}
