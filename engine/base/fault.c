/* SPDX-License-Identifier: MIT */
/* Fault points; see fault.h. In release builds this file is empty. */
#include "fault.h"

#ifdef FORKMAP_FAULTS
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct fault_shm {
    char name[64];
    int nth, times;
    _Atomic int passages;
};
static struct fault_shm *armed;
static pid_t spared;
static void (*called)(const char *name);

int fmi_fault_arm(const char *name, int nth, int times)
{
    if (armed == NULL) {
        void *page =
            mmap(NULL, sizeof *armed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED)
            return -ENOMEM;
        armed = page;
    }
    snprintf(armed->name, sizeof armed->name, "%s", name == NULL ? "" : name);
    armed->nth = nth;
    armed->times = times;
    atomic_store(&armed->passages, 0);
    return 0;
}

void fmi_fault_spare_this_process(void)
{
    spared = getpid();
}

int fmi_fault_passages(void)
{
    return armed == NULL ? 0 : atomic_load(&armed->passages);
}

void fmi_fault_hook(void (*hook)(const char *name))
{
    called = hook;
}

void fmi_fault_reached(const char *name)
{
    if (called != NULL)
        called(name);
    if (armed == NULL || strcmp(armed->name, name) != 0 || getpid() == spared)
        return;
    int passage = atomic_fetch_add(&armed->passages, 1) + 1;
    if (passage >= armed->nth && passage < armed->nth + armed->times)
        kill(getpid(), SIGKILL);
}
#else
typedef int fmi_fault_nothing; /* ISO C wants one declaration */
#endif
