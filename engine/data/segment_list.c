/* SPDX-License-Identifier: MIT */
/* What segments there are: fm_shm_list(). */
#include "segment.h"

#include "error.h"
#include "shmfile.h"

#include <errno.h>
#include <forkmap/shm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static_assert(FM_SHM_ALIVE == (int)FMI_IDENTITY_ALIVE && FM_SHM_DEAD == (int)FMI_IDENTITY_DEAD &&
                  FM_SHM_UNKNOWN == (int)FMI_IDENTITY_UNKNOWN,
              "they are handed out as they are");

/* All of them, since the first n by name are known only at the end. */
struct found {
    fm_shm_info *info;
    int n, cap;
    int64_t now_ns;
};

static fm_shm_info *next_place(struct found *f)
{
    if (f->n < f->cap)
        return &f->info[f->n];
    int cap = f->cap == 0 ? 16 : 2 * f->cap;
    fm_shm_info *more = reallocarray(f->info, (size_t)cap, sizeof *more);
    if (more == NULL)
        return NULL;
    f->info = more;
    f->cap = cap;
    return &f->info[f->n];
}

static void describe(fm_shm_info *info, const char *name, const struct fmi_segment_shm *header,
                     int64_t now_ns)
{
    *info = (fm_shm_info){.bytes = header->data_bytes,
                          .age_ns = now_ns > header->created_ns ? now_ns - header->created_ns : 0,
                          .pid = header->pid,
                          .creator = fmi_segment_creator(header),
                          .is_ready = header->state == FMI_SEGMENT_READY};
    snprintf(info->name, sizeof info->name, "%s", name);
}

/* What is no segment, or none of this user, is not spoken of. */
static int add(const char *name, void *arg)
{
    struct found *f = arg;
    struct fmi_segment_shm header;
    int fd;
    if (fmi_segment_parse_name(name) == NULL || fmi_segment_open(&fd, name, 0, &header) != 0)
        return 0;
    close(fd);
    fm_shm_info *info = next_place(f);
    if (info == NULL)
        return -ENOMEM;
    describe(info, name, &header, f->now_ns);
    f->n++;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const fm_shm_info *)a)->name, ((const fm_shm_info *)b)->name);
}

int fm_shm_list(fm_shm_info *list, int n)
{
    struct timespec now;
    if (n < 0 || (n > 0 && list == NULL))
        return fmi_error(-EINVAL, "a list of %d is NULL or negative", n);
    clock_gettime(CLOCK_REALTIME, &now);
    struct found f = {.now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec};
    int rc = fmi_shmfile_each(add, &f);
    if (rc != 0) {
        free(f.info);
        return fmi_error(rc, "/dev/shm: %s", fm_strerror(rc));
    }
    if (f.n > 0)
        qsort(f.info, (size_t)f.n, sizeof f.info[0], compare_names);
    for (int i = 0; i < f.n && i < n; i++)
        list[i] = f.info[i];
    free(f.info);
    return f.n;
}
