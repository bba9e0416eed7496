/* SPDX-License-Identifier: MIT */
#ifndef FMI_SHMFILE_H
#define FMI_SHMFILE_H

/*
 * Shared-memory objects with a name that stays: files in /dev/shm, where shm_open(3) has them. Names come without a slash. 0 or -errno.
 *
 *   - a name appears with the first bytes of its file already in it, so that whatever its creator dies of, others can tell whose it is;
 *   - a name is removed by who holds the lock (flock) of its file, and only while it is that file's: of two that remove, and a third
 *     that makes a new one, none removes the new one. The lock goes with its holder.
 */

#include <stddef.h>
#include <stdint.h>

#define FMI_SHMFILE_PLAIN 1u /* as on systems without O_TMPFILE in /dev/shm, or without /proc */

/*
 * Makes the file `name` with n bytes, mode 0600 whatever the umask. -EEXIST. PLAIN: by shm_open(O_EXCL); the file is empty for a moment,
 * and stays so if the process dies in it.
 */
int fmi_shmfile_create(int *out, const char *name, const void *first, size_t n, unsigned flags);

/* Opens what is there. What is no regular file, a symbolic link too, is not opened: -ENXIO. */
int fmi_shmfile_open(int *out, const char *name, int is_writable);

/* Reads up to n bytes at offset 0; how many, or -errno. */
int64_t fmi_shmfile_read(int fd, void *to, size_t n);
int fmi_shmfile_write(int fd, const void *from, size_t n, uint64_t at);

/* Makes the file as long as that; its new bytes read 0. */
int fmi_shmfile_resize(int fd, uint64_t bytes);

/* What /dev/shm has left [bytes]; UINT64_MAX: it does not say. */
uint64_t fmi_shmfile_room(int fd);

/* Removes the name of the open file. -ENOENT: it has it no more; -EAGAIN: another process removes it just now. */
int fmi_shmfile_remove(int fd, const char *name);

/* Calls for each name that is there, whatever it is, until one returns other than 0; returns that. */
int fmi_shmfile_each(int (*call)(const char *name, void *arg), void *arg);

#endif
