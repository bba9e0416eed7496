/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_MACHINE_H
#define FORKMAP_MACHINE_H

/** @file machine.h  The cores of this machine, which of them may be used, and where workers go. */
/**
 * @defgroup fm_machine Cores and placement
 * The cores of this machine, which of them may be used, and where workers go.
 * @{
 */

#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Physical cores of the machine, whoever may use them.
 * @return [cores] >= 1
 * Blocks / thread-safety: reads the topology once per process; any thread.
 * Source: multiprocessing.cpu_count.
 */
FM_API int fm_cpu_count(void);

/** Who may say how many cores a process has. */
enum fm_budget_source {
    FM_BUDGET_AFFINITY = 1, /**< cores that the affinity mask touches */
    FM_BUDGET_CGROUP = 2,   /**< CPU quota, v1 or v2: the smallest up to the root, rounded up */
    FM_BUDGET_SLURM = 3,    /**< SLURM_CPUS_PER_TASK, else SLURM_CPUS_ON_NODE */
    FM_BUDGET_PBS = 4,      /**< PBS_NCPUS, else PBS_NUM_PPN, NCPUS */
    FM_BUDGET_SGE = 5,      /**< NSLOTS */
    FM_BUDGET_LSF = 6,      /**< LSB_DJOB_NUMPROC */
    FM_BUDGET_FORKMAP =
        7, /**< FORKMAP_WORKERS: wins over all others when set; inside a worker only if it is less */
    FM_BUDGET_SOURCES = 7 /**< how many sources there are */
};

/** How many cores a process may use, and why. */
typedef struct fm_budget {
    int cores;                            /**< how many workers by default; >= 1 */
    int winner;                           /**< the fm_budget_source that decided */
    int by_source[FM_BUDGET_SOURCES + 1]; /**< what each source gave; 0: it says nothing */
} fm_budget;

/**
 * The cores that this process may use: the smallest of what all sources say; FORKMAP_WORKERS overrides.
 * @param b  filled whole
 * @return cores (>= 1), or `-EINVAL` for NULL or a variable that is not a number of 1 .. 1023 (detail names it)
 * Blocks / thread-safety: reads files in /proc and /sys; any thread.
 * Source: os.process_cpu_count; cgroup v1 cpu.cfs_quota_us / v2 cpu.max.
 */
FM_API int fm_cpu_budget(fm_budget *b);

/**
 * A source's name for people: "affinity mask", "cgroup quota", "SLURM", ...
 * @param source  an fm_budget_source
 * @return a text that lives for ever; "?" for any other number
 * Blocks / thread-safety: never; any thread.
 */
FM_API const char *fm_budget_source_name(int source);

/**
 * Memory that this process may still take: what the machine has available and what the control groups' limits (v1 or v2)
 * leave, whichever is smaller.
 * @return [bytes]; INT64_MAX if nothing says how much
 * Blocks / thread-safety: reads files in /proc and /sys; any thread.
 * Source: MemAvailable of /proc/meminfo; psutil.virtual_memory().available.
 */
FM_API int64_t fm_memory_left(void);

/** In which order workers are given places. */
enum fm_pin {
    FM_PIN_CORE = 1,    /**< default: one worker per physical core in turn, SMT siblings last */
    FM_PIN_SPREAD = 2,  /**< as far apart as possible: packages and NUMA nodes in turn */
    FM_PIN_COMPACT = 3, /**< neighbours first, SMT siblings included */
    FM_PIN_NONE = 4     /**< not pinned */
};

/** A processing unit: a core, or one of its SMT siblings. */
typedef struct fm_place {
    int cpu;     /**< OS number of the processing unit, -1: not pinned */
    int core;    /**< logical number of its physical core */
    int package; /**< logical number of its package (socket) */
    int numa;    /**< OS number of its NUMA node */
    int sibling; /**< 0: first unit of its core; 1, 2, ...: SMT siblings */
} fm_place;

/**
 * Where workers would be pinned, in rank order; only units inside the inherited affinity mask.
 * More workers than units go round again.
 * @param places     gets n places
 * @param n          [places] >= 1
 * @param pin        an fm_pin; 0 is FM_PIN_CORE
 * @param synthetic  NULL for this machine, or an hwloc description such as "pack:2 core:4 pu:2"
 * @return number of distinct units (>= 1); `-EINVAL` bad argument or description; `-ENOMEM`
 * Blocks / thread-safety: reads the topology once per process; any thread.
 * Source: hwloc; OpenMP's OMP_PLACES=cores.
 */
FM_API int fm_places(fm_place *places, int n, int pin, const char *synthetic);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
