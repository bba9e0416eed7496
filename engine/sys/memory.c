/* SPDX-License-Identifier: MIT */
/* Shared memory objects, mappings, and pages; see memory.h. */
#include "memory.h"

#include "cgroup.h"
#include "checked.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

enum { SLICE_BYTES = 64 << 20 };

static int open_memfd(void)
{
    int fd = memfd_create("forkmap", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd < 0 ? -errno : fmi_sys_above_stdio(fd);
}

static int open_unlinked(void)
{
    uint64_t random[2];
    char name[64];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return -EIO;
    snprintf(name, sizeof name, "/forkmap-%016lx%016lx", (unsigned long)random[0],
             (unsigned long)random[1]);
    int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    shm_unlink(name);
    fd = fmi_sys_above_stdio(fd);
    if (fd < 0)
        return fd;
    if (fchmod(fd, 0600) != 0) { /* a umask of 0777 would have made the mode 0 */
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int fmi_sys_shm_exists(const char *name)
{
    int error = errno, fd = shm_open(name, O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    errno = error;
    return fd >= 0;
}

void fmi_sys_shm_unlink(const char *name)
{
    int error = errno; /* a caller may destroy a pool before it looks */
    shm_unlink(name);
    errno = error;
}

int fmi_sys_shm_create(int *out, int backing, size_t bytes)
{
    *out = -1;
    int fd = backing == FMI_BACKING_SHM_OPEN ? open_unlinked() : open_memfd();
    if (fd < 0)
        return fd;
    if (ftruncate(fd, (off_t)bytes) != 0 ||
        (backing == FMI_BACKING_MEMFD &&
         fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)) {
        int error = errno;
        close(fd);
        return -error;
    }
    *out = fd;
    return 0;
}

int fmi_sys_shm_is_own(int fd, size_t bytes)
{
    struct stat status;
    enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };
    int seals = fcntl(fd, F_GET_SEALS); /* a file of shm_open has none */
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
           status.st_nlink == 0 && (size_t)status.st_size == bytes &&
           (seals < 0 || seals == F_SEAL_SEAL || (seals & SEALS) == SEALS);
}

size_t fmi_sys_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return limit.rlim_cur;
}

size_t fmi_sys_private_mapped(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[128];
    size_t kilobytes = 0;
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmData: %zu kB", &kilobytes) == 1)
            break;
    fclose(file);
    return kilobytes * 1024;
}

/* The soft limit: a pool that is opened in a function may set another for its own workers. */
int fmi_sys_limit_private(size_t more_bytes)
{
    struct rlimit limit;
    size_t mapped = fmi_sys_private_mapped(), most;
    if (mapped == 0 || getrlimit(RLIMIT_DATA, &limit) != 0)
        return -ENOTSUP;
    if (!fmi_checked_add(mapped, more_bytes, &most) || most >= limit.rlim_cur)
        return 0; /* what there was is narrower */
    limit.rlim_cur = most;
    return setrlimit(RLIMIT_DATA, &limit) == 0 ? 0 : -errno;
}

int fmi_sys_map_at(void *hint, int fd, size_t bytes, int is_writable)
{
    void *p = mmap(hint, bytes, is_writable ? PROT_READ | PROT_WRITE : PROT_READ,
                   MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, fd, 0);
    if (p == MAP_FAILED)
        return -errno;
    if (p != hint) { /* kernels before 4.17 take it as a wish */
        munmap(p, bytes);
        return -EEXIST;
    }
    return 0;
}

int fmi_sys_map_shared(void **out, int fd, size_t offset, size_t bytes, int is_writable)
{
    void *p = mmap(NULL, bytes, is_writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd,
                   (off_t)offset);
    *out = p == MAP_FAILED ? NULL : p;
    return p == MAP_FAILED ? -errno : 0;
}

int fmi_sys_map_private(void **out, size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    *out = p == MAP_FAILED ? NULL : p;
    return p == MAP_FAILED ? -errno : 0;
}

int fmi_sys_map_nothing(void **out, size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    *out = p == MAP_FAILED ? NULL : p;
    return p == MAP_FAILED ? -errno : 0;
}

void fmi_sys_unmap(void *p, size_t bytes)
{
    munmap(p, bytes);
}

void *fmi_sys_map_wiped_on_fork(void)
{
    void *page;
    if (fmi_sys_map_private(&page, fmi_sys_page_bytes()) != 0)
        return NULL;
    if (madvise(page, fmi_sys_page_bytes(), MADV_WIPEONFORK) == 0)
        return page;
    munmap(page, fmi_sys_page_bytes());
    return NULL;
}

int fmi_sys_protect_none(void *p, size_t bytes)
{
    return mprotect(p, bytes, PROT_NONE) == 0 ? 0 : -errno;
}

int fmi_sys_protect_write(void *p, size_t bytes)
{
    return mprotect(p, bytes, PROT_READ) == 0 ? 0 : -errno;
}

int fmi_sys_unprotect(void *p, size_t bytes)
{
    return mprotect(p, bytes, PROT_READ | PROT_WRITE) == 0 ? 0 : -errno;
}

static int reserve_slice(int fd, size_t offset, void *mapped, size_t bytes)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = fd >= 0 ? fallocate(fd, 0, (off_t)offset, (off_t)bytes) : -1;
    if (fd < 0 || (rc != 0 && (errno == ENOSYS || errno == EOPNOTSUPP)))
        rc = madvise(mapped, bytes, MADV_POPULATE_WRITE);
    int error = rc == 0 ? 0 : errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == EFAULT ? -ENOSPC : -error; /* EFAULT: a touch would have been SIGBUS */
}

int fmi_sys_reserve(int fd, uint64_t inode, size_t offset, void *mapped, size_t bytes)
{
    if (fmi_sys_inode(fd) != inode)
        fd = -1;
    for (size_t done = 0; done < bytes;) {
        size_t slice = bytes - done < SLICE_BYTES ? bytes - done : SLICE_BYTES;
        int rc = reserve_slice(fd, offset + done, (char *)mapped + done, slice);
        if (rc == -EINTR)
            continue;
        if (rc != 0)
            return rc;
        done += slice;
    }
    return 0;
}

void fmi_sys_make_huge(void *mapped, size_t bytes)
{
    int rc = 0;
    size_t lead =
        SLICE_BYTES - (uintptr_t)mapped % SLICE_BYTES; /* later slices begin with a huge page */
    for (size_t done = 0, slice; done < bytes && (rc == 0 || errno == EAGAIN || errno == EBUSY);
         done += slice) {
        slice = done == 0 ? lead : SLICE_BYTES;
        if (slice > bytes - done)
            slice = bytes - done;
        rc = madvise((char *)mapped + done, slice, MADV_COLLAPSE);
    }
}

int fmi_sys_punch(void *mapped, size_t bytes)
{
    return madvise(mapped, bytes, MADV_REMOVE) == 0 ? 0 : -errno;
}

int fmi_sys_sync(void *mapped, size_t bytes)
{
    return msync(mapped, bytes, MS_SYNC) == 0 ? 0 : -errno;
}

uint64_t fmi_sys_inode(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? (uint64_t)status.st_ino ^ ((uint64_t)status.st_dev << 40) : 0;
}

static int64_t machine_memory_left(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL)
        return INT64_MAX;
    char line[128];
    long kilobytes;
    int64_t left = INT64_MAX;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "MemAvailable: %ld kB", &kilobytes) == 1)
            left = (int64_t)kilobytes * 1024;
    fclose(file);
    return left;
}

int64_t fmi_sys_memory_left(void)
{
    int64_t machine = machine_memory_left(), group = fmi_sys_cgroup_memory_left();
    return machine < group ? machine : group;
}

size_t fmi_sys_page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}
