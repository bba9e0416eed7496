/* SPDX-License-Identifier: MIT */
#ifndef FMI_MEMORY_H
#define FMI_MEMORY_H

/* Shared memory objects, mappings, and pages. Sizes in bytes; every function returns 0 or -errno. */

#include <stddef.h>
#include <stdint.h>

enum fmi_backing { FMI_BACKING_MEMFD = 1, FMI_BACKING_SHM_OPEN = 2 };

/*
 * Makes a nameless shared-memory object of `bytes` (sparse). MEMFD: sealed against shrinking and growing, not
 * limited by /dev/shm. SHM_OPEN: a random name, exclusive, mode 0600, unlinked at once.
 */
int fmi_sys_shm_create(int *out, int backing, size_t bytes);

/* An object in /dev/shm that another library made, by its name "/...": whether it is there; and its removal. */
int fmi_sys_shm_exists(const char *name);
void fmi_sys_shm_unlink(const char *name);

/* 1 if `fd` is such an object of `bytes`, of this user, which nobody else can have made shorter or named. */
int fmi_sys_shm_is_own(int fd, size_t bytes);

/* The largest object that RLIMIT_FSIZE lets this process make; SIZE_MAX without a limit. */
size_t fmi_sys_file_limit(void);

/* Private memory that this process has mapped to write [bytes], touched or not: what RLIMIT_DATA limits; 0 where nobody tells (/proc). */
size_t fmi_sys_private_mapped(void);

/* From now on this process may map so many bytes of private memory more than now, shared memory and files not counted. -ENOTSUP: see above. */
int fmi_sys_limit_private(size_t more_bytes);

/* Maps `bytes` of `fd` shared at `hint`, or nowhere: -EEXIST if the addresses are taken. */
int fmi_sys_map_at(void *hint, int fd, size_t bytes, int is_writable);

/* The same anywhere, from `offset` on, a multiple of the page size. */
int fmi_sys_map_shared(void **out, int fd, size_t offset, size_t bytes, int is_writable);

/* Maps private zeroed pages anywhere, without swap reservation. */
int fmi_sys_map_private(void **out, size_t bytes);
/* The same, inaccessible until fmi_sys_unprotect(): addresses, and no memory. */
int fmi_sys_map_nothing(void **out, size_t bytes);
void fmi_sys_unmap(void *p, size_t bytes);

/* A private page that reads 0 in every forked child; NULL where the kernel cannot. */
void *fmi_sys_map_wiped_on_fork(void);

/* Makes the pages inaccessible to this process and those that it forks from now on. */
int fmi_sys_protect_none(void *p, size_t bytes);
/* Makes them read-only, in the same way. */
int fmi_sys_protect_write(void *p, size_t bytes);
/* Undoes both. */
int fmi_sys_unprotect(void *p, size_t bytes);

/*
 * Allocates the pages of [offset, offset + bytes) of the object, mapped at `mapped`, so that no touch can fail: -ENOSPC,
 * -ENOMEM. In slices with signals blocked, because an interrupted slice starts again. `fd` is used if it is still the object
 * `inode`: a host may have closed it, and then the mapping is populated instead.
 */
int fmi_sys_reserve(int fd, uint64_t inode, size_t offset, void *mapped, size_t bytes);

/*
 * Puts huge pages under the whole ones of these, which are reserved: whoever touches them then faults once in 2 MiB. A wish: the kernel has none left,
 * or cannot (before Linux 6.1). It copies; in slices, so that signals are handled.
 */
void fmi_sys_make_huge(void *mapped, size_t bytes);

/* Gives the pages back to the kernel; they read 0 afterwards. */
int fmi_sys_punch(void *mapped, size_t bytes);

/* Waits until what was written to the mapped file is on disk. */
int fmi_sys_sync(void *mapped, size_t bytes);

uint64_t fmi_sys_inode(int fd); /* 0 on error */

/* Bytes that can be allocated now: the machine's available memory and the cgroup's headroom. */
int64_t fmi_sys_memory_left(void);

size_t fmi_sys_page_bytes(void);

#endif
