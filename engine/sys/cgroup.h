/* SPDX-License-Identifier: MIT */
#ifndef FMI_CGROUP_H
#define FMI_CGROUP_H

/*
 * What control groups leave to this process: CPU time and memory, in version 1, version 2, and both at once.
 *
 * A limit anywhere between the process's group and the root binds, so each question walks up:
 *
 *     <mount point>/a/b/c    the group, from /proc/self/cgroup and /proc/self/mountinfo
 *     <mount point>/a/b
 *     <mount point>/a
 *     <mount point>          the walk ends here: what lies above cannot be seen
 *
 * A file that is missing or that makes no sense limits nothing. No call here fails.
 */

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

enum { FMI_CGROUP_PATH_BYTES = PATH_MAX };

struct fmi_cgroup_dir {
    size_t mount_bytes;               /* how much of `path` is the mount point */
    char path[FMI_CGROUP_PATH_BYTES]; /* "": the process is in no such hierarchy */
};

/* One process's groups. */
struct fmi_cgroup {
    struct fmi_cgroup_dir cpu;     /* version 1, controller "cpu" */
    struct fmi_cgroup_dir memory;  /* version 1, controller "memory" */
    struct fmi_cgroup_dir unified; /* version 2 */
};

/* CPU quota in cores, rounded up; 0: none. */
int fmi_sys_cgroup_cpu_quota(void);

/* Memory [bytes] that may still be used before something is killed: limit - usage + page cache that the
 * kernel can drop. INT64_MAX: no limit. */
int64_t fmi_sys_cgroup_memory_left(void);

/*
 * How many processes of the group that this process is in at the open were killed for want of memory, ever. A look is one short read, as somebody
 * waits for it. 0 where nothing counts them.
 */
struct fmi_oom_counter {
    int fds[2]; /* version 1, version 2; -1: none */
};
void fmi_sys_oom_counter_open(struct fmi_oom_counter *counter);
uint64_t fmi_sys_oom_counter_read(const struct fmi_oom_counter *counter);
void fmi_sys_oom_counter_close(struct fmi_oom_counter *counter);

/* Finds the mounts, if that was not done: for the children of this process. */
void fmi_sys_cgroup_prepare(void);

/*
 * The same in two steps, below a directory that stands for "/" (proc/self/... and the mount points are
 * looked up in it). The calls above are these with root "", and remember what they found.
 */
void fmi_sys_cgroup_find(const char *root, struct fmi_cgroup *c);
int fmi_sys_cgroup_cpu_quota_of(const struct fmi_cgroup *c);
int64_t fmi_sys_cgroup_memory_left_of(const struct fmi_cgroup *c);
void fmi_sys_oom_counter_open_of(struct fmi_oom_counter *counter, const struct fmi_cgroup *c);

#endif
