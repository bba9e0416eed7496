/* SPDX-License-Identifier: MIT */
#ifndef FMI_INFILE_H
#define FMI_INFILE_H

/*
 * Array files to read from. By read(): a file that shrinks meanwhile is then an error and not a SIGBUS. By mmap where the caller asks
 * for it (filemap.h).
 */

#include <forkmap/array.h>

struct fmi_infile {
    const char *path; /* the caller's, for messages */
    int fd;
    uint64_t bytes; /* size at open */
};

/*
 * Opens a regular file, `is_writable` to write as well. Never waits (for the other end of a FIFO). 0; -errno of open; -EISDIR; -EINVAL NULL;
 * FM_EFORMAT neither file nor directory.
 */
int fmi_infile_open(struct fmi_infile *in, const char *path, int is_writable);

/* Reads exactly `bytes` bytes at offset `at`. 0; -errno; FM_EFORMAT the file ends before. */
int fmi_infile_read(const struct fmi_infile *in, void *to, size_t bytes, uint64_t at);

void fmi_infile_close(struct fmi_infile *in);

/* What lies in a file, and how. */
struct fmi_infile_layout {
    uint64_t offset;  /* of the first element [bytes] */
    size_t swap_unit; /* > 1: the other byte order, in units of so many bytes */
    int64_t shape[FM_MAX_DIMS];
    fm_dtype dtype;
    int ndim;
    int order; /* an fm_order */
};

/* Makes an array of it, read straight into the heap. As fm_npy_load(). The size was compared before. */
int fmi_infile_load(const struct fmi_infile *in, const struct fmi_infile_layout *layout,
                    fm_array **out);

/*
 * The same without a copy: the elements are the file. -EINVAL where they lie in another byte order, or not at a multiple of 16 bytes. The
 * descriptor goes over to the array.
 */
int fmi_infile_map(struct fmi_infile *in, const struct fmi_infile_layout *layout, int is_writable,
                   fm_array **out);

/* As `mode` (an fm_npy_mode) says. */
int fmi_infile_array(struct fmi_infile *in, const struct fmi_infile_layout *layout, int mode,
                     fm_array **out);

/* 0, or -EINVAL with a detail that lists them. */
int fmi_infile_check_mode(int mode);

#endif
