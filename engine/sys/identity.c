/* SPDX-License-Identifier: MIT */
/* Identities of processes; see identity.h. */
#include "identity.h"

#include "process.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* /proc may be mounted for another pid namespace than that of this process: its numbers are others' then. */
static int is_own_proc(void)
{
    char text[16] = "";
    ssize_t n = readlink("/proc/self", text, sizeof text - 1);
    return n > 0 && strtol(text, NULL, 10) == getpid();
}

/* Pids are of a pid namespace; a start is told by the clock of a time namespace, which older kernels lack. */
static uint64_t own_namespaces(void)
{
    struct stat pid, time;
    if (!is_own_proc() || stat("/proc/self/ns/pid", &pid) != 0)
        return 0;
    uint64_t time_ino = stat("/proc/self/ns/time", &time) == 0 ? (uint64_t)time.st_ino : 0;
    return (uint64_t)pid.st_ino | time_ino << 32; /* numbers of 32 bits, never 0 */
}

void fmi_identity_of(int32_t pid, struct fmi_identity *out)
{
    *out = (struct fmi_identity){.pid = pid, .namespaces = own_namespaces()};
    (void)fmi_sys_process_start(pid, &out->start);
}

void fmi_identity_of_self(struct fmi_identity *out)
{
    fmi_identity_of(getpid(), out);
}

int fmi_identity_state(const struct fmi_identity *of)
{
    uint64_t start;
    if (of->namespaces == 0 || of->namespaces != own_namespaces() || of->pid <= 0)
        return FMI_IDENTITY_UNKNOWN;
    if (!fmi_sys_is_alive(of->pid))
        return FMI_IDENTITY_DEAD;
    if (fmi_sys_process_start(of->pid, &start) == 0 && of->start != 0)
        return start == of->start ? FMI_IDENTITY_ALIVE : FMI_IDENTITY_DEAD;
    /* Hidden (hidepid), or it has ended since. */
    return fmi_sys_is_alive(of->pid) ? FMI_IDENTITY_UNKNOWN : FMI_IDENTITY_DEAD;
}
