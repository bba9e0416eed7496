/* SPDX-License-Identifier: MIT */
/* Array files: open, check what they are, read into the heap. */
#include "infile.h"
#include "dtype.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 30 }; /* Linux moves at most 2^31 - 4096 bytes in one call */

static const char *name_kind(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFIFO:
        return "a FIFO";
    case S_IFSOCK:
        return "a socket";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    default:
        return "no regular file";
    }
}

static int check_kind(struct fmi_infile *in)
{
    struct stat st;
    if (fstat(in->fd, &st) != 0)
        return fmi_error(-errno, "%s: fstat: %s", in->path, fm_strerror(-errno));
    if (S_ISDIR(st.st_mode))
        return fmi_error(-EISDIR, "%s is a directory; name a file in it", in->path);
    if (!S_ISREG(st.st_mode))
        return fmi_error(FM_EFORMAT, "%s is %s; its size must be known, so copy it to a file first",
                         in->path, name_kind(st.st_mode));
    in->bytes = (uint64_t)st.st_size;
    return 0;
}

int fmi_infile_open(struct fmi_infile *in, const char *path)
{
    in->fd = -1;
    in->path = path;
    if (path == NULL)
        return fmi_error(-EINVAL, "path is NULL");
    in->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (in->fd < 0)
        return fmi_error(-errno, "%s: %s", path, fm_strerror(-errno));
    int code = check_kind(in);
    if (code != 0)
        fmi_infile_close(in);
    return code;
}

int fmi_infile_read(const struct fmi_infile *in, void *to, size_t bytes, uint64_t at)
{
    char *p = to;
    while (bytes > 0) {
        ssize_t n = pread(in->fd, p, bytes < READ_BYTES ? bytes : READ_BYTES, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fmi_error(-errno, "%s: offset %" PRIu64 ": %s", in->path, at,
                             fm_strerror(-errno));
        if (n == 0)
            return fmi_error(FM_EFORMAT,
                             "%s: offset %" PRIu64 ": the file ends, %zu bytes are missing",
                             in->path, at, bytes);
        p += n;
        at += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

void fmi_infile_close(struct fmi_infile *in)
{
    if (in->fd >= 0)
        close(in->fd);
    in->fd = -1;
}

int fmi_infile_load(const struct fmi_infile *in, const struct fmi_infile_layout *layout,
                    fm_array **out)
{
    int code = fm_array_create(out, layout->dtype, layout->ndim, layout->shape,
                               FM_ARRAY_OPTS(.order = layout->order));
    if (code != 0)
        return code;
    size_t bytes = fm_array_bytes(*out);
    void *data = fm_array_data(*out);
    code = fmi_infile_read(in, data, bytes, layout->offset);
    if (code != 0) {
        fm_array_destroy(*out);
        *out = NULL;
        return code;
    }
    fmi_dtype_swap(data, bytes, layout->swap_unit);
    return 0;
}
