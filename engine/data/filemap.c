/* SPDX-License-Identifier: MIT */
/* Mapping files; see filemap.h. */
#include "filemap.h"

#include "error.h"
#include "heap.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_MAPPED = 1024, N_TRIES = 40, WAIT_US = 100, N_WAITS = 10000 };

#define CLAIMED UINT64_MAX /* by a thread that fills or clears the slot; no serial gets there */

/* Private to the process; a forked child inherits it with the mappings. Without a lock, which a fork might copy held. */
static struct mapped {
    _Atomic uint64_t serial; /* 0: free */
    const struct fmi_file_shm *_Atomic record;
    char *base; /* while CLAIMED: where it is about to be mapped, or NULL */
    size_t bytes;
    int fd;      /* -1: another process is the opener */
    pid_t owner; /* who filled the slot: not this process if it was inherited */
    int is_writable;
} table[MAX_MAPPED];
static _Atomic int n_used; /* slots from here on were never claimed */

static struct mapped *find(uint64_t serial)
{
    for (int i = 0; i < n_used; i++)
        /* acquire: pairs with the release in enter */
        if (atomic_load_explicit(&table[i].serial, memory_order_acquire) == serial)
            return &table[i];
    return NULL;
}

static void raise_n_used(int n)
{
    int seen = n_used;
    while (seen < n && !atomic_compare_exchange_weak(&n_used, &seen, n))
        ;
}

static struct mapped *claim_slot(void)
{
    for (int i = 0; i < MAX_MAPPED; i++) {
        uint64_t none = 0;
        if (!atomic_compare_exchange_strong(&table[i].serial, &none, CLAIMED))
            continue;
        table[i].base = NULL;
        table[i].owner = getpid();
        raise_n_used(i + 1);
        return &table[i];
    }
    fmi_error_note("%d files are mapped in this process already", MAX_MAPPED);
    return NULL;
}

static void release_slot(struct mapped *slot)
{
    atomic_store_explicit(&slot->serial, 0, memory_order_release); /* pairs with claim_slot */
}

static void enter(struct mapped *slot, const struct fmi_file_shm *file,
                  const struct fmi_file_shm *record, int fd)
{
    slot->fd = fd;
    slot->is_writable = file->is_writable != 0;
    atomic_store_explicit(&slot->record, record, memory_order_relaxed);
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

/*
 * Whoever frees a record makes its serial 0 first, so what was another array's since does not pass for it. What this process opened
 * itself goes by its own fmi_filemap_close() only: the record may be overwritten, and its memory in use.
 */
void fmi_filemap_drop_dead(void)
{
    for (int i = 0; i < n_used; i++) {
        uint64_t serial = atomic_load_explicit(&table[i].serial, memory_order_acquire);
        if (serial == 0 || serial == CLAIMED || (table[i].fd >= 0 && table[i].owner == getpid()))
            continue;
        const struct fmi_file_shm *record =
            atomic_load_explicit(&table[i].record, memory_order_relaxed);
        if (__atomic_load_n(&record->serial, __ATOMIC_ACQUIRE) != serial) /* pairs with the free */
            drop(&table[i], serial);
    }
}

/* The slot says where before it is there, so that a child that is forked meanwhile can find what it inherited. */
static int map_at(struct mapped *slot, const struct fmi_file_shm *file, int fd)
{
    slot->base = file->base;
    slot->bytes = file->bytes;
    int rc = fmi_sys_map_at(file->base, fd, file->bytes, (int)file->is_writable);
    if (rc != 0)
        slot->base = NULL;
    return rc;
}

/* Steps get longer, so that any number of mappings, of any size, are passed. -ENOMEM: every place that was tried is taken. */
static int map_somewhere(struct mapped *slot, struct fmi_file_shm *file, int fd)
{
    for (int i = 0; i < N_TRIES; i++) {
        int rc = fmi_heap_take_outside(file->bytes, i, &file->base, &file->serial);
        if (rc == 0)
            rc = map_at(slot, file, fd);
        if (rc != -EEXIST)
            return rc;
    }
    return -ENOMEM;
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
    fmi_filemap_drop_dead();
    struct mapped *slot = claim_slot();
    if (slot == NULL)
        return -ENOMEM;
    int rc = map_somewhere(slot, &file, fd);
    if (rc != 0) {
        release_slot(slot);
        return rc == FM_ECORRUPT
                   ? rc
                   : fmi_error(rc, "%zu bytes cannot be mapped: %s", bytes, fm_strerror(rc));
    }
    *out = file;
    enter(slot, &file, out, fd);
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
    int fd =
        open(path, (file->is_writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno != ENOENT)
        return fmi_error(-errno, "%s, a mapped file: %s", path, fm_strerror(-errno));
    if (fd >= 0 && is_same_file(file, fd))
        return fd;
    if (fd >= 0)
        close(fd);
    return fmi_error(
        -ESTALE, "%s, a mapped file: process %d has ended or closed it, or /proc is not mounted",
        path, (int)file->pid);
}

static int map_again(struct mapped *slot, const struct fmi_file_shm *file)
{
    int fd = open_again(file);
    if (fd < 0)
        return fd;
    int rc = map_at(slot, file, fd);
    close(fd);
    return rc;
}

/* A slot that the parent was filling when this process was forked: the child has the mapping, and nobody who finishes it. */
static int drop_half_made(const char *base)
{
    for (int i = 0; i < n_used; i++)
        if (atomic_load_explicit(&table[i].serial, memory_order_acquire) == CLAIMED &&
            table[i].owner != getpid() && table[i].base == base) {
            fmi_sys_unmap(table[i].base, table[i].bytes);
            release_slot(&table[i]);
            return 1;
        }
    return 0;
}

/* Another thread may be mapping the same file just now: then its addresses are taken for a moment, and it is in the table after it. */
static int await_other_thread(uint64_t serial)
{
    for (int i = 0; i < N_WAITS; i++) {
        if (find(serial) != NULL)
            return 0;
        usleep(WAIT_US);
    }
    return fmi_error(-EEXIST, "the addresses of a mapped file are taken in this process");
}

static int attach_new(const struct fmi_file_shm *file, const struct fmi_file_shm *record)
{
    fmi_filemap_drop_dead();
    struct mapped *slot = claim_slot();
    if (slot == NULL)
        return -ENOMEM;
    int rc = map_again(slot, file);
    if (rc == -EEXIST && drop_half_made(file->base))
        rc = map_again(slot, file);
    if (rc != 0) {
        release_slot(slot);
        return rc == -EEXIST ? await_other_thread(file->serial) : rc;
    }
    enter(slot, file, record, -1);
    return 0;
}

int fmi_filemap_attach(const struct fmi_file_shm *file, const struct fmi_file_shm *record,
                       const char *begin, size_t bytes, int *is_writable)
{
    if (file->serial == CLAIMED || !fmi_heap_is_outside(file->base, file->bytes))
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
    *is_writable = slot->is_writable; /* not what the record says: it may be overwritten */
    return 0;
}

void fmi_filemap_close(const struct fmi_file_shm *record)
{
    for (int i = 0; i < n_used; i++) {
        uint64_t serial = atomic_load_explicit(&table[i].serial, memory_order_acquire);
        if (serial != 0 && serial != CLAIMED &&
            atomic_load_explicit(&table[i].record, memory_order_relaxed) == record)
            drop(&table[i], serial);
    }
}
