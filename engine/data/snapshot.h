/* SPDX-License-Identifier: MIT */
#ifndef FMI_SNAPSHOT_H
#define FMI_SNAPSHOT_H

/* How fm_snapshot is made: one block of private memory, filled while the container is held, put in order afterwards. */

#include <forkmap/snapshot.h>

/* One item. `order`: items are sorted by it. */
struct fmi_snapshot_item {
    uint64_t order;
    fm_bytes key, value;
};

struct fmi_snapshot {
    fm_snapshot *snapshot;
    struct fmi_snapshot_item *items;
    char *at, *end; /* room for bytes */
    int64_t n, n_items;
    int has_keys, has_values;
};

/* [bytes] that one takes in the block, padded, with its NUL. */
size_t fmi_snapshot_room(size_t bytes);

/* For n_items, of `bytes` together as fmi_snapshot_room() counts. 0; -ENOMEM. */
int fmi_snapshot_begin(struct fmi_snapshot *s, int64_t n_items, size_t bytes, int has_keys,
                       int has_values);
/* 0; FM_ECORRUPT: there is more than was said. */
int fmi_snapshot_add(struct fmi_snapshot *s, uint64_t order, fm_bytes key, fm_bytes value);
fm_snapshot *fmi_snapshot_end(struct fmi_snapshot *s);
/* Instead of the end. */
void fmi_snapshot_drop(struct fmi_snapshot *s);

/* A copy into a buffer of the caller's. 0; FM_ETOOLONG; -EINVAL: NULL, or no room where there is a cap. */
int fmi_buf_check(const fm_buf *buf);
int fmi_buf_put(fm_buf *buf, fm_bytes from);
/* 0; -EINVAL: NULL, and not of 0 bytes. */
int fmi_bytes_check(fm_bytes bytes, const char *what);

#endif
