/* SPDX-License-Identifier: MIT */
/* Mapping files; see filemap.h. */
#include "filemap.h"

#include "error.h"
#include "heap.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_MAPPED = 1024, N_TRIES = 64, N_YIELDS = 10000 };

#define CLAIMED UINT64_MAX /* by a thread that fills or clears the slot; no serial gets there */

/* Private to the process; a forked child inherits it with the mappings. Without a lock, which a fork might copy held. */
static struct mapped {
    _Atomic uint64_t serial; /* 0: free */
    const struct fmi_file_shm *record;
    char *base;
    size_t bytes;
    int fd; /* -1: another process is the opener */
    pid_t owner;
} table[MAX_MAPPED];

static struct mapped *find(uint64_t serial)
{
    for (int i = 0; i < MAX_MAPPED; i++)
        /* acquire: pairs with the release in enter */
        if (atomic_load_explicit(&table[i].serial, memory_order_acquire) == serial)
            return &table[i];
    return NULL;
}

static struct mapped *claim_slot(void)
{
    for (int i = 0; i < MAX_MAPPED; i++) {
        uint64_t none = 0;
        if (atomic_compare_exchange_strong(&table[i].serial, &none, CLAIMED))
            return &table[i];
    }
    fmi_error_note("%d files are mapped in this process already", MAX_MAPPED);
    return NULL;
}

static void release_slot(struct mapped *slot)
{
    atomic_store_explicit(&slot->serial, 0, memory_order_release); /* pairs with claim_slot */
}

static void enter(struct mapped *slot, const struct fmi_file_shm *file, int fd)
{
    slot->base = file->base;
    slot->bytes = file->bytes;
    slot->fd = fd;
    slot->owner = getpid();
    atomic_store_explicit(&slot->serial, file->serial, memory_order_release); /* pairs with find */
}

static void drop(struct mapped *slot, uint64_t serial)
{
    if (!atomic_compare_exchange_strong(&slot->serial, &serial, CLAIMED))
        return; /* another thread does it */
    fmi_sys_unmap(slot->base, slot->bytes);
    if (slot->fd >= 0 && slot->owner == getpid())
        close(slot->fd);
    release_slot(slot);
}

/* Whoever frees a record makes its serial 0 first, so what was another array's since does not pass for it. */
static void drop_dead(void)
{
    for (int i = 0; i < MAX_MAPPED; i++) {
        uint64_t serial = atomic_load_explicit(&table[i].serial, memory_order_acquire);
        if (serial != 0 && serial != CLAIMED &&
            __atomic_load_n(&table[i].record->serial, __ATOMIC_RELAXED) != serial)
            drop(&table[i], serial);
    }
}

/* -EEXIST: every place that was tried is taken. */
static int map_somewhere(struct fmi_file_shm *file, int fd)
{
    int rc = -EEXIST;
    for (int i = 0; i < N_TRIES && rc == -EEXIST; i++) {
        rc = fmi_heap_take_outside(file->bytes, &file->base, &file->serial);
        if (rc == 0)
            rc = fmi_sys_map_at(file->base, fd, file->bytes, (int)file->is_writable);
    }
    return rc;
}

int fmi_filemap_open(struct fmi_file_shm *out, int fd, size_t bytes, int is_writable)
{
    struct stat st;
    struct fmi_file_shm file = {.bytes = bytes, .pid = getpid(), .fd = fd};
    file.is_writable = is_writable != 0;
    if (fstat(fd, &st) != 0)
        return fmi_error(-errno, "fstat: %s", fm_strerror(-errno));
    file.device = st.st_dev;
    file.inode = st.st_ino;
    drop_dead();
    struct mapped *slot = claim_slot();
    if (slot == NULL)
        return -ENOMEM;
    int rc = map_somewhere(&file, fd);
    if (rc != 0) {
        release_slot(slot);
        return fmi_error(rc, "%zu MiB cannot be mapped: %s", bytes >> 20, fm_strerror(rc));
    }
    slot->record = out;
    *out = file;
    enter(slot, &file, fd);
    return 0;
}

/* Its size is not looked at: whether a file was cut before or after it was mapped here, the items that are gone get SIGBUS. */
static int is_same_file(const struct fmi_file_shm *file, int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && (uint64_t)st.st_dev == file->device &&
           (uint64_t)st.st_ino == file->inode;
}

/* The opener's file, whatever its name is by now. */
static int open_again(const struct fmi_file_shm *file)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)file->pid, (int)file->fd);
    int fd = open(path, (file->is_writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno != ENOENT)
        return fmi_error(-errno, "%s, a mapped file: %s", path, fm_strerror(-errno));
    if (fd >= 0 && is_same_file(file, fd))
        return fd;
    if (fd >= 0)
        close(fd);
    return fmi_error(FM_ESTALE, "process %d, which mapped the file, has ended or closed it",
                     (int)file->pid);
}

static int map_again(const struct fmi_file_shm *file)
{
    int fd = open_again(file);
    if (fd < 0)
        return fd;
    int rc = fmi_sys_map_at(file->base, fd, file->bytes, (int)file->is_writable);
    close(fd);
    return rc;
}

/* Another thread may be mapping the same file just now: then its addresses are taken for a moment, and it is in the table after it. */
static int await_other_thread(uint64_t serial)
{
    for (int i = 0; i < N_YIELDS; i++) {
        if (find(serial) != NULL)
            return 0;
        sched_yield();
    }
    return fmi_error(-EEXIST, "the addresses of a mapped file are taken in this process");
}

static int attach_new(const struct fmi_file_shm *file, const struct fmi_file_shm *record)
{
    drop_dead();
    struct mapped *slot = claim_slot();
    if (slot == NULL)
        return -ENOMEM;
    int rc = map_again(file);
    if (rc != 0) {
        release_slot(slot);
        return rc == -EEXIST ? await_other_thread(file->serial) : rc;
    }
    slot->record = record;
    enter(slot, file, -1);
    return 0;
}

int fmi_filemap_attach(const struct fmi_file_shm *file, const struct fmi_file_shm *record,
                       const char *begin, size_t bytes)
{
    if (file->serial == CLAIMED)
        return FM_ECORRUPT;
    const struct mapped *slot = find(file->serial);
    if (slot == NULL) {
        int rc = attach_new(file, record);
        if (rc != 0)
            return rc;
        slot = find(file->serial);
    }
    if (slot == NULL || begin < slot->base || bytes > slot->bytes ||
        (size_t)(begin - slot->base) > slot->bytes - bytes)
        return FM_ECORRUPT;
    return 0;
}

void fmi_filemap_close(uint64_t serial)
{
    struct mapped *slot = find(serial);
    if (slot != NULL)
        drop(slot, serial);
}
