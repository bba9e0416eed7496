/* SPDX-License-Identifier: MIT */
#ifndef T_MEMCG_H
#define T_MEMCG_H

/*
 * A memory control group of the test's own, below the one that it is in: made by t_memcg_make(), entered by a child, removed by
 * t_memcg_remove() when all that were in it are gone.
 */
#include "t.h"

#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char t_memcg_dir[FMI_CGROUP_PATH_BYTES + 64];

static inline int t_memcg_write(const char *name, const char *text)
{
    char path[sizeof t_memcg_dir + 64];
    snprintf(path, sizeof path, "%s/%s", t_memcg_dir, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text, strlen(text));
    int rc = n == (ssize_t)strlen(text) ? 0 : -errno;
    close(fd);
    return rc;
}

static inline int t_memcg_try(const char *parent, const char *limit, const char *swap, long bytes,
                              long swap_bytes)
{
    char text[32];
    if (parent[0] == '\0')
        return 0;
    snprintf(t_memcg_dir, sizeof t_memcg_dir, "%s/forkmap-test-%d", parent, (int)getpid());
    if (mkdir(t_memcg_dir, 0755) != 0)
        return 0;
    snprintf(text, sizeof text, "%ld", bytes);
    if (t_memcg_write(limit, text) == 0) {
        snprintf(text, sizeof text, "%ld", swap_bytes);
        (void)t_memcg_write(swap, text); /* where there is swap */
        return 1;
    }
    rmdir(t_memcg_dir);
    return 0;
}

/* Skips the test where no such group can be made. */
static inline void t_memcg_make(long bytes)
{
    struct fmi_cgroup c;
    fmi_sys_cgroup_find("", &c);
    if (t_memcg_try(c.memory.path, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", bytes,
                    bytes) ||
        t_memcg_try(c.unified.path, "memory.max", "memory.swap.max", bytes, 0))
        return;
    char *slash = strrchr(c.unified.path, '/'); /* a group with processes has no groups below it */
    if (slash != NULL && (size_t)(slash - c.unified.path) >= c.unified.mount_bytes) {
        *slash = '\0';
        if (t_memcg_try(c.unified.path, "memory.max", "memory.swap.max", bytes, 0))
            return;
    }
    t_memcg_dir[0] = '\0';
    t_skip("a memory control group that this user can make");
}

/* In a child: 0 or -errno. */
static inline int t_memcg_enter(void)
{
    char text[32];
    snprintf(text, sizeof text, "%d", (int)getpid());
    return t_memcg_write("cgroup.procs", text);
}

static inline void t_memcg_remove(void)
{
    const struct timespec moment = {.tv_nsec = 10000000};
    int rc = -1;
    for (int i = 0; i < 500 && (rc = rmdir(t_memcg_dir)) != 0 && errno == EBUSY; i++)
        nanosleep(&moment, NULL);
    assert_int_equal(rc, 0);
}

#endif
