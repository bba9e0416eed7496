/* SPDX-License-Identifier: MIT */
#ifndef FMI_TOPO_H
#define FMI_TOPO_H

/*
 * The machine's processing units and where they sit, by hwloc. The topology is read once per process
 * and inherited by its children; the affinity mask can change and is read anew by every call.
 */

#include <forkmap/machine.h>

/*
 * Lists processing units in topology order (the units of a core are neighbours, cores of a package too):
 * those of this machine inside the calling thread's affinity mask, or, if `synthetic` is not NULL, all
 * those of the machine that it describes. Sets *units, to be freed by the caller; NULL on failure.
 * Returns their number (>= 1); -EINVAL for a bad description; -ENOMEM; what sched_getaffinity said.
 */
int fmi_sys_topo_units(const char *synthetic, fm_place **units);

/* Physical cores of this machine, inside the mask or not. >= 1. */
int fmi_sys_topo_n_cores(void);

/*
 * Binds the calling thread to one processing unit (OS number). Returns 0; -EINVAL for no such unit, or
 * none that the kernel lets it have; -ENOSYS if hwloc could not read the topology; what the kernel said.
 */
int fmi_sys_topo_bind(int cpu);

/* Not while this process forks: hwloc has a lock around loading, which would stay locked in the child if another thread were inside. The child need not let go. */
void fmi_sys_topo_hold(void);
void fmi_sys_topo_let_go(void);

/* The processing unit (OS number) that runs the caller now, or -errno. */
int fmi_sys_current_cpu(void);

#endif
