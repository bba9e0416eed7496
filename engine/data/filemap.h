/* SPDX-License-Identifier: MIT */
#ifndef FMI_FILEMAP_H
#define FMI_FILEMAP_H

/*
 * Files mapped as memory of the family: arrays larger than the memory of the machine. Like the heap, such a file has one address in all
 * processes; unlike it, it may have come after a process was forked. So a process maps it when it first meets an array in it, from
 * what the array's buffer record tells: the file is that under /proc/PID/fd of the process that opened it, whatever its name is by now.
 *
 *   the opener    takes addresses that no other mapping of the family has, maps, keeps the descriptor, writes the record
 *   a process     reads a private copy of the record; has it mapped already (itself, or inherited by fork), or maps it
 *   the last user of the array unmaps it and closes; workers and warden unmap it before they next sleep, other processes when they next
 *   map a file. The opener's descriptor and mapping go when it destroys the array itself
 *
 * A process's own table says what it has mapped. The record is in shared memory and may be nonsense: what it says is checked against
 * the table or against the file, and mapped among the addresses for files, where nothing is mapped, or not at all.
 *
 * DIES HERE
 *   the opener       its descriptor is gone: who has not mapped the file yet gets -ESTALE, all others go on
 *   anyone else      nothing is shared but the record, which does not change
 *
 * A file that gets shorter while it is mapped kills whoever touches what is gone (SIGBUS). In a worker that is a record of the item.
 */

#include <stddef.h>
#include <stdint.h>

/* In an array's buffer record (array.h); constant once the array is there. */
struct fmi_file_shm {
    uint64_t serial; /* of the mapping, in the family; 0: the memory is the heap's */
    char *base;      /* of the mapping, which begins at offset 0 of the file */
    uint64_t bytes;
    uint64_t device, inode;
    int32_t pid, fd; /* of the opener */
    uint32_t is_writable;
    uint32_t pad;
};

/* Maps the first `bytes` (> 0) of the open file `fd`, which is taken over if that succeeds. 0; -ENOMEM, -EACCES, ... */
int fmi_filemap_open(struct fmi_file_shm *out, int fd, size_t bytes, int is_writable);

/*
 * Sees to it that [begin, begin + bytes) of a mapping is memory of this process. `file` is a private copy of `record`. 0; -ESTALE the opener
 * has ended, or the descriptor is another file's now; FM_ECORRUPT; -ENOMEM, -EACCES, -EMFILE ... as open and mmap say.
 */
int fmi_filemap_attach(const struct fmi_file_shm *file, const struct fmi_file_shm *record,
                       const char *begin, size_t bytes, int *is_writable);

/* Unmaps here what belongs to that record, and closes the descriptor if this process opened it. */
void fmi_filemap_close(const struct fmi_file_shm *record);

/* Unmaps what belongs to arrays that are gone, but for what this process opened itself. Cheap where nothing was ever mapped. */
void fmi_filemap_drop_dead(void);

#endif
