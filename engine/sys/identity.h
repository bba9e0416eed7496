/* SPDX-License-Identifier: MIT */
#ifndef FMI_IDENTITY_H
#define FMI_IDENTITY_H

/*
 * Who a process is, for others to ask later whether it still runs. A pid alone does not say: it is given to another process some time after
 * the end, and means another process in another pid namespace, as that of a container.
 */

#include <stdint.h>

struct fmi_identity {
    uint64_t start;      /* as fmi_sys_process_start(); 0: not known */
    uint64_t namespaces; /* in which pid and start mean something; 0: not known */
    int32_t pid;
};

enum fmi_identity_state {
    FMI_IDENTITY_ALIVE = 1,
    FMI_IDENTITY_DEAD,
    FMI_IDENTITY_UNKNOWN /* of other namespaces; or /proc does not tell */
};

void fmi_identity_of_self(struct fmi_identity *out);
/* Of a process in the same namespaces. */
void fmi_identity_of(int32_t pid, struct fmi_identity *out);

/* Any bytes may be asked about: nothing is sent to the process. Who has ended and is not reaped yet is dead. */
int fmi_identity_state(const struct fmi_identity *of);

#endif
