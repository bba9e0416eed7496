/* SPDX-License-Identifier: MIT */
/*
 * The only caller of hwloc. A topology is turned into a flat list of units at once, so that everything
 * above works on plain numbers; the machine's handle stays only for binding.
 */
#include "topo.h"

#include "error.h"
#include "forklock.h"

#include <ctype.h>
#include <errno.h>
#include <hwloc.h>
#include <hwloc/linux.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_SYNTHETIC_UNITS =
        8192, /* hwloc's time grows with the square: 0.4 s for these, minutes for 10^5 */
    MAX_MASK_CPUS = 1 << 20
};

#define SYNTHETIC_EXAMPLE "\"pack:2 core:4 pu:2\""

struct mask {
    cpu_set_t *set;
    size_t n_cpus;
};

/* Read once; a thread that forks while another one reads leaves a child that reads again (glibc). */
static pthread_once_t machine_once = PTHREAD_ONCE_INIT;
static struct fmi_forklock in_hwloc = FMI_FORKLOCK;
static hwloc_topology_t machine; /* NULL: hwloc could not read it */
static fm_place *machine_units;
static int n_machine_units, n_machine_cores;

/* ---- loading -------------------------------------------------------------------------------- */

void fmi_sys_topo_hold(void)
{
    fmi_forklock_acquire(&in_hwloc);
}

void fmi_sys_topo_let_go(void)
{
    fmi_forklock_release(&in_hwloc);
}

/*
 * Cores and packages only: caches, devices, distances and probing by re-binding cost time and serve
 * nothing here. Groups stay, or synthetic NUMA nodes lose their level. Units that a cpuset forbids are
 * kept: numbers then do not depend on who asks, and the affinity mask leaves them out anyway.
 */
static void keep_it_cheap(hwloc_topology_t topology)
{
    unsigned long flags =
        HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED | HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING;
#if HWLOC_API_VERSION >= 0x00020800
    flags |= HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS |
             HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS;
#endif
    hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(topology, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_type_filter(topology, HWLOC_OBJ_PACKAGE, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_type_filter(topology, HWLOC_OBJ_GROUP, HWLOC_TYPE_FILTER_KEEP_STRUCTURE);
    hwloc_topology_set_flags(topology, flags);
}

static int load_unlocked(hwloc_topology_t *out, const char *synthetic)
{
    hwloc_topology_t topology;
    *out = NULL;
    if (hwloc_topology_init(&topology) != 0)
        return -ENOMEM;
    keep_it_cheap(topology);
    if ((synthetic != NULL && hwloc_topology_set_synthetic(topology, synthetic) != 0) ||
        hwloc_topology_load(topology) != 0) {
        int code = errno == ENOMEM ? -ENOMEM : -EINVAL;
        hwloc_topology_destroy(topology);
        return code;
    }
    *out = topology;
    return 0;
}

/* hwloc has a lock of its own around these, which a fork would leave locked in the child if another thread were inside. */
static int load_topology(hwloc_topology_t *out, const char *synthetic)
{
    fmi_sys_topo_hold();
    int rc = load_unlocked(out, synthetic);
    fmi_sys_topo_let_go();
    return rc;
}

static void destroy_topology(hwloc_topology_t topology)
{
    fmi_sys_topo_hold();
    hwloc_topology_destroy(topology);
    fmi_sys_topo_let_go();
}

static int index_above(hwloc_topology_t topology, hwloc_obj_t unit, hwloc_obj_type_t type,
                       int otherwise)
{
    hwloc_obj_t above = hwloc_get_ancestor_obj_by_type(topology, type, unit);
    return above != NULL ? (int)above->logical_index : otherwise;
}

/* Machines that show no cores have one per unit; those that show no package or NUMA node have one of it. */
static fm_place describe_unit(hwloc_topology_t topology, hwloc_obj_t unit)
{
    int n_cores = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE);
    int own_core = (n_cores > 0 ? n_cores : 0) + (int)unit->logical_index;
    int numa = unit->nodeset != NULL ? hwloc_bitmap_first(unit->nodeset) : 0;
    return (fm_place){.cpu = (int)unit->os_index,
                      .core = index_above(topology, unit, HWLOC_OBJ_CORE, own_core),
                      .package = index_above(topology, unit, HWLOC_OBJ_PACKAGE, 0),
                      .numa = numa < 0 ? 0 : numa};
}

static int list_units(hwloc_topology_t topology, fm_place **units)
{
    int n = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
    if (n < 1)
        return -EINVAL;
    fm_place *list = calloc((size_t)n, sizeof *list);
    if (list == NULL)
        return -ENOMEM;
    for (int i = 0; i < n; i++) {
        list[i] =
            describe_unit(topology, hwloc_get_obj_by_type(topology, HWLOC_OBJ_PU, (unsigned)i));
        if (i > 0 && list[i].core == list[i - 1].core)
            list[i].sibling = list[i - 1].sibling + 1;
    }
    *units = list;
    return n;
}

static void load_machine(void)
{
    if (load_topology(&machine, NULL) != 0)
        return;
    int n = list_units(machine, &machine_units);
    n_machine_units = n < 0 ? 0 : n;
    for (int i = 0; i < n_machine_units; i++)
        n_machine_cores += machine_units[i].sibling == 0;
}

/* ---- the machine, inside the mask ------------------------------------------------------------ */

/* The kernel refuses a buffer smaller than its own mask, whose size it does not tell. */
static int read_mask(struct mask *mask)
{
    for (size_t n = CPU_SETSIZE; n <= MAX_MASK_CPUS; n *= 2) {
        mask->n_cpus = n;
        mask->set = CPU_ALLOC(n);
        if (mask->set == NULL)
            return -ENOMEM;
        CPU_ZERO_S(CPU_ALLOC_SIZE(n), mask->set);
        if (sched_getaffinity(0, CPU_ALLOC_SIZE(n), mask->set) == 0)
            return 0;
        int code = -errno;
        CPU_FREE(mask->set);
        if (code != -EINVAL)
            return code;
    }
    return -EINVAL;
}

static int mask_has(const struct mask *mask, int cpu)
{
    return CPU_ISSET_S((size_t)cpu, CPU_ALLOC_SIZE(mask->n_cpus), mask->set) != 0;
}

static int keep_masked(const struct mask *mask, fm_place *list)
{
    int n = 0;
    for (int i = 0; i < n_machine_units; i++)
        if (mask_has(mask, machine_units[i].cpu))
            list[n++] = machine_units[i];
    return n;
}

/* Without a topology, or with one that knows none of these units: each is its own core. */
static int invent_units(const struct mask *mask, fm_place *list)
{
    int n = 0;
    for (int cpu = 0; cpu < (int)mask->n_cpus; cpu++)
        if (mask_has(mask, cpu)) {
            list[n] = (fm_place){.cpu = cpu, .core = n};
            n++;
        }
    return n;
}

static int list_machine(fm_place **units)
{
    struct mask mask;
    pthread_once(&machine_once, load_machine);
    int n = read_mask(&mask);
    if (n != 0)
        return fmi_error(n, "the affinity mask cannot be read: %s", fm_strerror(n));
    int n_masked = CPU_COUNT_S(CPU_ALLOC_SIZE(mask.n_cpus), mask.set);
    *units = malloc((size_t)n_masked * sizeof **units);
    if (*units == NULL) {
        n = fmi_error(-ENOMEM, "no memory for a list of %d processing units", n_masked);
    } else {
        n = keep_masked(&mask, *units);
        if (n == 0)
            n = invent_units(&mask, *units);
    }
    CPU_FREE(mask.set);
    return n;
}

/* ---- described machines ---------------------------------------------------------------------- */

/* The product of the counts in "type:count(attributes) [memory] ...", saturating; 0 is left to hwloc. */
static long long count_described(const char *text)
{
    long long n = 1;
    int depth = 0, in_type = 0;
    for (const char *c = text; *c != '\0'; c++) {
        depth += (*c == '(' || *c == '[') - (*c == ')' || *c == ']');
        if (depth == 0 && !in_type && isdigit((unsigned char)*c)) {
            char *end;
            long long count = strtoll(c, &end, 10);
            if (__builtin_mul_overflow(n, count, &n) || n > MAX_SYNTHETIC_UNITS)
                return LLONG_MAX;
            c = end - 1;
        } else if (isspace((unsigned char)*c) || *c == ':') {
            in_type = 0; /* "L2:4": the digit before the colon is a name's */
        } else if (isalpha((unsigned char)*c)) {
            in_type = 1;
        }
    }
    return n;
}

static int list_synthetic(const char *synthetic, fm_place **units)
{
    hwloc_topology_t topology;
    if (count_described(synthetic) > MAX_SYNTHETIC_UNITS)
        return fmi_error(-EINVAL, "\"%.80s\" describes more than %d processing units", synthetic,
                         MAX_SYNTHETIC_UNITS);
    int n = load_topology(&topology, synthetic);
    if (n == 0) {
        n = list_units(topology, units);
        destroy_topology(topology);
    }
    if (n == -EINVAL)
        return fmi_error(n, "\"%.80s\" does not describe a machine; an example: " SYNTHETIC_EXAMPLE,
                         synthetic);
    if (n < 0)
        return fmi_error(n, "no memory for the machine \"%.80s\"", synthetic);
    return n;
}

/* ---- public ---------------------------------------------------------------------------------- */

int fmi_sys_topo_units(const char *synthetic, fm_place **units)
{
    *units = NULL;
    return synthetic != NULL ? list_synthetic(synthetic, units) : list_machine(units);
}

int fmi_sys_topo_n_cores(void)
{
    pthread_once(&machine_once, load_machine);
    if (n_machine_cores > 0)
        return n_machine_cores;
    long n = sysconf(_SC_NPROCESSORS_CONF);
    return n > 0 ? (int)n : 1;
}

int fmi_sys_topo_bind(int cpu)
{
    pthread_once(&machine_once, load_machine);
    if (cpu < 0 || cpu >= MAX_MASK_CPUS)
        return fmi_error(-EINVAL, "%d is not a processing unit", cpu);
    if (machine == NULL)
        return fmi_error(-ENOSYS, "hwloc cannot read the topology of this machine");
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (set == NULL || hwloc_bitmap_only(set, (unsigned)cpu) != 0) {
        hwloc_bitmap_free(set);
        return fmi_error(-ENOMEM, "no memory for a binding");
    }
    /* Not hwloc_set_cpubind: under HWLOC_XMLFILE and the like it succeeds and binds nothing. */
    int code = hwloc_linux_set_tid_cpubind(machine, 0, set) == 0 ? 0 : -errno;
    hwloc_bitmap_free(set);
    return code == 0 ? 0 : fmi_error(code, "no binding to unit %d: %s", cpu, fm_strerror(code));
}

int fmi_sys_current_cpu(void)
{
    int cpu = sched_getcpu();
    return cpu >= 0 ? cpu : -errno;
}
