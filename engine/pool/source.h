/* SPDX-License-Identifier: MIT */
#ifndef FMI_SOURCE_H
#define FMI_SOURCE_H

/* Where the items of a stream come from: rows of an array, numbers, or what a generator makes. */

#include "array.h"

#include <forkmap/stream.h>

struct fmi_source { /* private */
    fm_source asked;
    struct fmi_array_view view; /* of an array */
    size_t item_bytes;
    int is_copied;   /* items are written to the window; else workers find them where they are */
    int64_t n_drawn; /* items so far */
    int64_t n;       /* there are so many; INT64_MAX: the generator knows */
    int code;        /* 0; FM_ECLOSED: there are no more; else how the generator failed */
};

/* 0; -EINVAL (detail), -EOVERFLOW, FM_ECORRUPT, why a mapped file cannot be reached. */
int fmi_source_prepare(struct fmi_source *s, const fm_source *asked);

/*
 * Draws up to `most` items; those that are copied go to `slots`, `stride` bytes apart. Returns how many; sets `code` if there will be no
 * more.
 */
int64_t fmi_source_draw(struct fmi_source *s, int64_t most, char *slots, int64_t stride);

/* Where item `i` of an array lies if it is not copied; NULL: it is a number. */
char *fmi_source_item(const struct fmi_source *s, int64_t i);

#endif
