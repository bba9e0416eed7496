/* SPDX-License-Identifier: MIT */
/* Named segments: made, attached, closed, unlinked; see segment.h for the protocol and forkmap/shm.h for the promises. */
#include "segment.h"

#include "checked.h"
#include "error.h"
#include "fault.h"
#include "memory.h"
#include "opts.h"
#include "shmfile.h"

#include <errno.h>
#include <forkmap/shm.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHECK_BYTES = 1 << 20,
    N_NAMES = 100
}; /* less than that is not compared with the memory left */

struct fm_shm {
    char *data;
    size_t bytes;
    uint64_t device, inode; /* the name may be another file's when it is removed */
    char name[FM_SHM_NAME_BYTES];
};

static int copy_opts(fm_shm_opts *to, const fm_shm_opts *given, unsigned known)
{
    int rc = fmi_opts_copy(to, sizeof *to, given);
    if (rc == 0 && (to->flags & ~known) != 0)
        rc = fmi_error(-EINVAL, "flags 0x%x: not known here: 0x%x", to->flags, to->flags & ~known);
    return rc;
}

static struct fm_shm *new_handle(const char *name)
{
    struct fm_shm *s = calloc(1, sizeof *s);
    if (s == NULL)
        fmi_error_note("%s: no memory for a handle", name);
    else
        snprintf(s->name, sizeof s->name, "%s", name);
    return s;
}

/* Maps the data. The descriptor is not needed after it: a segment costs none. */
static int map_data(struct fm_shm *s, int fd, const struct fmi_segment_shm *header, int is_writable)
{
    struct stat st;
    void *data;
    if (fstat(fd, &st) != 0)
        return fmi_error(-errno, "%s: fstat: %s", s->name, fm_strerror(-errno));
    s->device = st.st_dev;
    s->inode = st.st_ino;
    s->bytes = header->data_bytes;
    int rc = fmi_sys_map_shared(&data, fd, header->header_bytes, s->bytes, is_writable);
    if (rc != 0)
        return fmi_error(rc, "%s: %zu bytes cannot be mapped: %s", s->name, s->bytes,
                         fm_strerror(rc));
    s->data = data;
    return 0;
}

/* ---- to make one ---- */

static int fail_full(const char *name, size_t bytes, uint64_t room)
{
    if (room == UINT64_MAX)
        return fmi_error(-ENOSPC, "%s: %zu bytes, and /dev/shm is full", name, bytes);
    return fmi_error(-ENOSPC, "%s: %zu bytes, and /dev/shm has %" PRIu64 " left", name, bytes,
                     room);
}

static int check_size(const char *name, size_t bytes, size_t page)
{
    size_t whole;
    if (bytes == 0)
        return fmi_error(-EINVAL, "%s: a segment has at least one byte", name);
    if (!fmi_checked_add(bytes, 2 * page, &whole) || whole > INT64_MAX) /* rounded up to pages */
        return fmi_error(-EFBIG, "%s: %zu bytes are more than a file can have", name, bytes);
    if (whole - page > fmi_sys_file_limit()) /* the kernel would send SIGXFSZ */
        return fmi_error(-EFBIG, "%s: %zu bytes, but files may have %zu (ulimit -f)", name, bytes,
                         fmi_sys_file_limit());
    return 0;
}

/* What cannot be there is refused before anything is taken: others would find /dev/shm full meanwhile. */
static int check_room(const struct fm_shm *s, int fd)
{
    uint64_t room = fmi_shmfile_room(fd);
    if (s->bytes > room)
        return fail_full(s->name, s->bytes, room);
    if (s->bytes < CHECK_BYTES)
        return 0;
    int64_t left = fmi_sys_memory_left();
    if (s->bytes <= (uint64_t)left)
        return 0;
    return fmi_error(-ENOMEM, "%s: %zu bytes asked for, %" PRId64 " bytes of memory left", s->name,
                     s->bytes, left);
}

static int reserve(const struct fm_shm *s, int fd, size_t offset)
{
    int rc = fmi_sys_reserve(fd, fmi_sys_inode(fd), offset, s->data, s->bytes);
    if (rc ==
        -EOPNOTSUPP) /* /dev/shm is on a file system that cannot; touching the pages does as well */
        rc = fmi_sys_reserve(-1, 0, offset, s->data, s->bytes);
    if (rc == -ENOSPC)
        return fail_full(s->name, s->bytes, fmi_shmfile_room(fd));
    if (rc != 0)
        return fmi_error(rc, "%s: %zu bytes cannot be reserved (%" PRId64 " bytes of memory left)",
                         s->name, s->bytes, fmi_sys_memory_left());
    return 0;
}

static int write_state(const struct fm_shm *s, int fd, uint32_t state)
{
    int rc = fmi_shmfile_write(fd, &state, sizeof state, offsetof(struct fmi_segment_shm, state));
    return rc == 0 ? 0 : fmi_error(rc, "%s: header: %s", s->name, fm_strerror(rc));
}

/* MAKING -> READY. The name is there already: it is taken before the memory, which may need seconds. */
static int make(struct fm_shm *s, int fd, const struct fmi_segment_shm *header)
{
    FMI_FAULT("segment.making");
    int rc = check_room(s, fd);
    if (rc == 0)
        rc = fmi_shmfile_resize(fd, header->header_bytes + header->data_bytes);
    FMI_FAULT("segment.resized");
    if (rc == 0)
        rc = map_data(s, fd, header, 1);
    if (rc == 0)
        rc = reserve(s, fd, header->header_bytes);
    FMI_FAULT("segment.reserved");
    if (rc == 0)
        rc = write_state(s, fd, FMI_SEGMENT_READY);
    FMI_FAULT("segment.ready");
    return rc;
}

static int create_file(int *fd, const char *name, const struct fmi_segment_shm *header)
{
    int rc = fmi_shmfile_create(fd, name, header, sizeof *header, 0);
    if (rc == 0)
        return 0;
    if (rc == -EEXIST)
        return fmi_error(rc, "%s: the name is taken", name);
    return fmi_error(rc, "%s: cannot be made in /dev/shm: %s", name, fm_strerror(rc));
}

static int create_random(int *fd, struct fm_shm *s, const struct fmi_segment_shm *header)
{
    int rc = -EEXIST;
    for (int i = 0; rc == -EEXIST && i < N_NAMES; i++) {
        uint64_t number;
        if (getrandom(&number, sizeof number, 0) != sizeof number)
            return fmi_error(-errno, "getrandom: %s", fm_strerror(-errno));
        snprintf(s->name, sizeof s->name, "fm_%016" PRIx64, number);
        rc = create_file(fd, s->name, header);
    }
    return rc;
}

static int create_named(struct fm_shm *s, const struct fmi_segment_shm *header)
{
    int fd = -1;
    int rc = s->name[0] != '\0' ? create_file(&fd, s->name, header) : create_random(&fd, s, header);
    if (rc != 0)
        return rc;
    s->bytes = header->data_bytes;
    rc = make(s, fd, header);
    if (rc != 0)
        (void)fmi_shmfile_remove(fd, s->name);
    close(fd);
    return rc;
}

int fm_shm_create(fm_shm **out, const char *name, size_t bytes, const fm_shm_opts *opts)
{
    fm_shm_opts o;
    struct fmi_segment_shm header;
    size_t page = fmi_sys_page_bytes();
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    int rc = copy_opts(&o, opts, 0);
    if (rc != 0)
        return rc;
    const char *plain = name == NULL ? "" : fmi_segment_parse_name(name);
    if (plain == NULL)
        return -EINVAL;
    rc = check_size(plain, bytes, page);
    if (rc != 0)
        return rc;
    struct fm_shm *s = new_handle(plain);
    if (s == NULL)
        return -ENOMEM;
    fmi_segment_describe(&header, bytes, (uint32_t)page);
    rc = create_named(s, &header);
    if (rc == 0)
        *out = s;
    else
        fm_shm_close(s);
    return rc;
}

/* ---- to attach one ---- */

static int check_file(const char *name, const struct stat *st)
{
    if (st->st_uid != geteuid())
        return fmi_error(FM_ECORRUPT, "%s: belongs to user %u, this is user %u", name,
                         (unsigned)st->st_uid, (unsigned)geteuid());
    if ((st->st_mode & 077) != 0)
        return fmi_error(FM_ECORRUPT, "%s: mode %03o; others may open it, too", name,
                         (unsigned)st->st_mode & 0777);
    return 0;
}

/* The header first, then the size: where the header is READY the size is the last one, where it is MAKING any will do. */
static int check_open(int fd, const char *name, struct fmi_segment_shm *out)
{
    struct stat st;
    struct fmi_segment_shm bytes = {.magic = ""};
    int64_t n = fmi_shmfile_read(fd, &bytes, sizeof bytes);
    int rc = n < 0 ? (int)n : fstat(fd, &st) != 0 ? -errno : 0;
    if (rc != 0)
        return fmi_error(rc, "%s: %s", name, fm_strerror(rc));
    rc = check_file(name, &st);
    if (rc != 0)
        return rc;
    const struct fmi_segment_file file = {.name = name,
                                          .bytes = (uint64_t)st.st_size,
                                          .uid = st.st_uid,
                                          .page_bytes = (uint32_t)fmi_sys_page_bytes()};
    return fmi_segment_check(&file, &bytes, (size_t)n, out);
}

int fmi_segment_open(int *fd, const char *name, int is_writable, struct fmi_segment_shm *out)
{
    int rc = fmi_shmfile_open(fd, name, is_writable);
    if (rc == -ENXIO)
        return fmi_error(FM_ECORRUPT, "%s: no regular file, so no segment", name);
    if (rc != 0)
        return fmi_error(rc, "%s: %s", name, fm_strerror(rc));
    rc = check_open(*fd, name, out);
    if (rc != 0) {
        close(*fd);
        *fd = -1;
    }
    return rc;
}

/* A creator that ends between READY and this question has left a whole segment, hence the second look. */
static int open_ready(int *fd, const char *name, int is_writable, struct fmi_segment_shm *header)
{
    int creator = FMI_IDENTITY_ALIVE;
    for (;;) {
        int rc = fmi_segment_open(fd, name, is_writable, header);
        if (rc != 0 || header->state == FMI_SEGMENT_READY)
            return rc;
        close(*fd);
        if (creator == FMI_IDENTITY_DEAD)
            return fmi_error(FM_ECORRUPT,
                             "%s: its creator, process %d, died as it made it; `forkmap shm gc` "
                             "removes it",
                             name, (int)header->pid);
        creator = fmi_segment_creator(header);
        if (creator != FMI_IDENTITY_DEAD)
            return fmi_error(-EAGAIN, "%s: process %d is still making it", name, (int)header->pid);
    }
}

int fm_shm_attach(fm_shm **out, const char *name, const fm_shm_opts *opts)
{
    fm_shm_opts o;
    int fd;
    struct fmi_segment_shm header;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    int rc = copy_opts(&o, opts, FM_SHM_READ_ONLY);
    if (rc != 0)
        return rc;
    name = fmi_segment_parse_name(name);
    if (name == NULL)
        return -EINVAL;
    int is_writable = !(o.flags & FM_SHM_READ_ONLY);
    rc = open_ready(&fd, name, is_writable, &header);
    if (rc != 0)
        return rc;
    struct fm_shm *s = new_handle(name);
    rc = s == NULL ? -ENOMEM : map_data(s, fd, &header, is_writable);
    close(fd);
    if (rc == 0)
        *out = s;
    else
        fm_shm_close(s);
    return rc;
}

/* ---- one that is there ---- */

void *fm_shm_data(const fm_shm *s)
{
    return s == NULL ? NULL : s->data;
}

size_t fm_shm_bytes(const fm_shm *s)
{
    return s == NULL ? 0 : s->bytes;
}

const char *fm_shm_name(const fm_shm *s)
{
    return s == NULL ? "" : s->name;
}

void fm_shm_close(fm_shm *s)
{
    if (s == NULL)
        return;
    if (s->data != NULL)
        fmi_sys_unmap(s->data, s->bytes);
    free(s);
}

static int remove_name(int fd, const char *name)
{
    int rc = fmi_shmfile_remove(fd, name);
    if (rc == -EAGAIN)
        return fmi_error(rc, "%s: another process removes it just now", name);
    return rc == 0 ? 0 : fmi_error(rc, "%s: %s", name, fm_strerror(rc));
}

int fm_shm_unlink(fm_shm *s)
{
    struct stat st;
    int fd;
    if (s == NULL)
        return fmi_error(-EINVAL, "s is NULL");
    int rc = fmi_shmfile_open(&fd, s->name, 0);
    if (rc != 0 && rc != -ENXIO)
        return fmi_error(rc, "%s: %s", s->name, fm_strerror(rc));
    if (rc != 0 || fstat(fd, &st) != 0 || (uint64_t)st.st_dev != s->device ||
        (uint64_t)st.st_ino != s->inode)
        rc = fmi_error(-ENOENT, "%s: the name is another file's by now", s->name);
    else
        rc = remove_name(fd, s->name);
    if (fd >= 0)
        close(fd);
    return rc;
}

int fm_shm_remove(const char *name, unsigned flags)
{
    struct fmi_segment_shm header;
    int fd;
    if ((flags & ~(unsigned)FM_SHM_IF_DEAD) != 0)
        return fmi_error(-EINVAL, "flags 0x%x: only FM_SHM_IF_DEAD is known here", flags);
    name = fmi_segment_parse_name(name);
    if (name == NULL)
        return -EINVAL;
    int rc = fmi_segment_open(&fd, name, 0, &header);
    if (rc != 0)
        return rc == -EAGAIN ? fmi_error(FM_ECORRUPT, "%s: empty, so no segment", name) : rc;
    /* Who is dead stays dead, and the file is this one: no lock is needed for the question. */
    int creator = flags & FM_SHM_IF_DEAD ? fmi_segment_creator(&header) : FMI_IDENTITY_DEAD;
    if (creator == FMI_IDENTITY_DEAD)
        rc = remove_name(fd, name);
    else
        rc = fmi_error(-EBUSY, "%s: its creator, process %d, %s", name, (int)header.pid,
                       creator == FMI_IDENTITY_ALIVE ? "runs"
                                                     : "may run: it is in another container");
    close(fd);
    return rc;
}
