/* SPDX-License-Identifier: MIT */
/* Fault points; see fault.h. In release builds this file is empty. */
#include "fault.h"

#ifdef FORKMAP_FAULTS
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define SHARED_FILE "FMI_FAULT_FILE" /* in the environment */
#define ANY         "*"              /* as a name: all are only noted */

enum { POINT_BYTES = 40, PROCESS_BYTES = 16, MAX_SEEN = 1024 };

struct fault_shm {
    char name[POINT_BYTES], process[PROCESS_BYTES], victim_name[PROCESS_BYTES];
    int action, value, nth, times;
    _Atomic int passages, victim, n_waiting, n_let_go;
    _Atomic int is_noting, n_seen;
    struct {
        char point[POINT_BYTES], process[PROCESS_BYTES];
    } seen[MAX_SEEN];
};
static struct fault_shm *_Atomic armed; /* threads may look for it at once */
static _Atomic int has_looked;          /* for the file of the program that executed this one */
static pid_t spared;
static void (*called)(const char *name);

static int map_page(int fd)
{
    void *page = mmap(NULL, sizeof(struct fault_shm), PROT_READ | PROT_WRITE,
                      fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return -ENOMEM;
    armed = page;
    return 0;
}

static int map_file(const char *path, int flags)
{
    int fd = open(path, flags | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int rc = (flags & O_CREAT) != 0 && ftruncate(fd, sizeof(struct fault_shm)) != 0 ? -errno
                                                                                    : map_page(fd);
    close(fd);
    return rc;
}

int fmi_fault_share(const char *path)
{
    int rc = map_file(path, O_CREAT | O_EXCL);
    return rc != 0 ? rc : setenv(SHARED_FILE, path, 1) != 0 ? -ENOMEM : 0;
}

/* A second thread that passes while the first one looks passes unseen. */
static int is_armed(void)
{
    if (armed == NULL && !atomic_exchange(&has_looked, 1)) {
        const char *path = getenv(SHARED_FILE);
        if (path != NULL)
            map_file(path, 0);
    }
    return armed != NULL && armed->name[0] != '\0';
}

int fmi_fault_arm_to(int action, int value, const char *name, int nth, int times)
{
    if (armed == NULL && map_page(-1) != 0)
        return -ENOMEM;
    armed->name[0] = '\0'; /* nobody passes it while it is changed */
    armed->process[0] = '\0';
    armed->action = action;
    armed->value = value;
    armed->nth = nth;
    armed->times = times;
    atomic_store(&armed->passages, 0);
    atomic_store(&armed->victim, 0);
    snprintf(armed->name, sizeof armed->name, "%s", name == NULL ? "" : name);
    return 0;
}

int fmi_fault_arm(const char *name, int nth, int times)
{
    return fmi_fault_arm_to(FMI_FAULT_KILL, 0, name, nth, times);
}

void fmi_fault_only(const char *process)
{
    snprintf(armed->process, sizeof armed->process, "%s", process == NULL ? "" : process);
}

void fmi_fault_spare_this_process(void)
{
    spared = getpid();
}

int fmi_fault_passages(void)
{
    return armed == NULL ? 0 : atomic_load(&armed->passages);
}

int fmi_fault_victim(void)
{
    return armed == NULL ? 0 : atomic_load(&armed->victim);
}

int fmi_fault_waiting(void)
{
    return armed == NULL ? 0 : atomic_load(&armed->n_waiting);
}

void fmi_fault_let_go(void)
{
    atomic_fetch_add(&armed->n_let_go, 1);
}

const char *fmi_fault_victim_name(void)
{
    return armed->victim_name;
}

void fmi_fault_watch(void)
{
    atomic_store(&armed->n_seen, 0);
    snprintf(armed->name, sizeof armed->name, ANY);
}

int fmi_fault_seen(int n, const char **point, const char **process)
{
    if (n >= atomic_load(&armed->n_seen))
        return 0;
    *point = armed->seen[n].point;
    *process = armed->seen[n].process;
    return 1;
}

void fmi_fault_hook(void (*hook)(const char *name))
{
    called = hook;
}

static void sleep_us(int64_t us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

static void wait_until_let_go(void)
{
    int before = atomic_load(&armed->n_let_go);
    atomic_fetch_add(&armed->n_waiting, 1);
    while (atomic_load(&armed->n_let_go) == before)
        sleep_us(200);
    atomic_fetch_sub(&armed->n_waiting, 1);
}

static int is_noted(const char *point, const char *process)
{
    for (int i = 0; i < atomic_load(&armed->n_seen); i++)
        if (strcmp(armed->seen[i].point, point) == 0 &&
            strcmp(armed->seen[i].process, process) == 0)
            return 1;
    return 0;
}

static void name_process(char process[PROCESS_BYTES])
{
    memset(process, 0, PROCESS_BYTES);
    prctl(PR_GET_NAME, process);
    for (size_t n = strlen(process); n > 0 && process[n - 1] >= '0' && process[n - 1] <= '9'; n--)
        process[n - 1] = '\0';
}

static void note(const char *point)
{
    char process[PROCESS_BYTES];
    name_process(process);
    if (is_noted(point, process))
        return;
    while (atomic_exchange(&armed->is_noting, 1) != 0)
        sleep_us(10);
    int n = atomic_load(&armed->n_seen);
    if (n < MAX_SEEN && !is_noted(point, process)) {
        snprintf(armed->seen[n].point, POINT_BYTES, "%s", point);
        snprintf(armed->seen[n].process, PROCESS_BYTES, "%s", process);
        atomic_store(&armed->n_seen, n + 1);
    }
    atomic_store(&armed->is_noting, 0);
}

static int is_meant(const char *name)
{
    char process[PROCESS_BYTES];
    if (!is_armed())
        return 0;
    if (armed->name[0] == ANY[0] && getpid() != spared)
        note(name);
    if (strcmp(armed->name, name) != 0 || getpid() == spared)
        return 0;
    if (armed->process[0] == '\0')
        return 1;
    name_process(process);
    return strcmp(process, armed->process) == 0;
}

static int act(const char *name, int can_fail)
{
    switch (armed->action) {
    case FMI_FAULT_STOP:
        kill(getpid(), SIGSTOP);
        break;
    case FMI_FAULT_SLEEP:
        sleep_us((int64_t)armed->value * 1000);
        break;
    case FMI_FAULT_WAIT:
        wait_until_let_go();
        break;
    case FMI_FAULT_FAIL:
        if (can_fail)
            return -armed->value;
        fprintf(stderr, "fault point %s cannot fail\n", name);
        abort();
    default:
        kill(getpid(), SIGKILL);
    }
    return 0;
}

static int pass(const char *name, int can_fail)
{
    if (called != NULL)
        called(name);
    if (!is_meant(name))
        return 0;
    int passage = atomic_fetch_add(&armed->passages, 1) + 1;
    if (passage < armed->nth || passage >= armed->nth + armed->times)
        return 0;
    name_process(armed->victim_name);
    atomic_store(&armed->victim, getpid());
    return act(name, can_fail);
}

void fmi_fault_reached(const char *name)
{
    pass(name, 0);
}

int fmi_fault_error(const char *name)
{
    return pass(name, 1);
}
#else
typedef int fmi_fault_nothing; /* ISO C wants one declaration */
#endif
