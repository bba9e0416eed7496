/* SPDX-License-Identifier: MIT */
#ifndef FMI_OUTFILE_H
#define FMI_OUTFILE_H

/*
 * A file that appears whole or not at all. Its space is reserved when it is opened, so that a full disk or
 * a forbidden place is an error before any work is done for it.
 *
 *   state   | what lies on disk                    | write      | commit        | the process dies here
 *   open    | a file without a name (O_TMPFILE), or| as it says | target, whole | nothing is left; where the
 *           | .forkmap-<16 hex> beside the target  |            |               | file has a name, it stays
 *   direct  | nothing: a pipe, a device, a         | at once    | -             | what was written is gone
 *           | descriptor of this process           |            |               |
 *   closed  | target, or as before after abandon   | -          | -             | -
 *
 * The target's folder is kept by descriptor: neither chdir() nor a renamed folder changes where the file goes. An
 * existing target keeps its permissions, and is followed if it is a symbolic link.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FMI_OUTFILE_NAMED 1u /* never without a name, as on file systems that lack O_TMPFILE */
#define FMI_OUTFILE_NEW                                                                            \
    2u /* replaces nothing: the commit is -EEXIST if the target is there by then */

struct fmi_outfile {
    char *path; /* for messages */
    char *name; /* of the target in its folder; NULL: direct */
    size_t bytes;
    int fd;
    int folder_fd;
    char temp[32]; /* name of the unfinished file in the folder, "" if it has none */
    int is_new;    /* FMI_OUTFILE_NEW */
    pid_t owner;   /* a forked child must not finish or remove its parent's file */
};

/*
 * Opens an output of exactly `bytes` bytes (a direct one may get any number). 0; -EINVAL NULL; -EISDIR; -EACCES,
 * -ENOENT, -EROFS ... of open; -ENOSPC, -EDQUOT no room; -EFBIG over RLIMIT_FSIZE; -ENOMEM. After an error nothing
 * is left.
 */
int fmi_outfile_open(struct fmi_outfile *o, const char *path, size_t bytes, unsigned flags);

/* Appends. 0, -errno or FM_EFORKED. */
int fmi_outfile_write(struct fmi_outfile *o, const void *data, size_t bytes);

/* Writes at offset `at`, which does not move where the next one is appended. Not for direct ones. */
int fmi_outfile_write_at(struct fmi_outfile *o, const void *data, size_t bytes, uint64_t at);

/* Syncs and gives the file its name. Closed afterwards, whatever it returns: 0, -errno, FM_EFORKED. */
int fmi_outfile_commit(struct fmi_outfile *o);

/* Removes what there is. Closed afterwards. */
void fmi_outfile_abandon(struct fmi_outfile *o);

#endif
