/* SPDX-License-Identifier: MIT */
#ifndef FMI_SERIES_H
#define FMI_SERIES_H

/*
 * Several maps that are one call for the caller: the pool is entered once, so that a close lets the call finish, and the
 * records that are kept are those of the last map that had any. map.c.
 */

#include "prepare.h"
#include "record.h"

struct fmi_series { /* private to its thread */
    fm_pool *pool;
    uint64_t key; /* of the report */
    int is_inline;
    struct fmi_report report;
};

/* 0; as fmi_pool_enter. Nothing is to be ended then. */
int fmi_series_begin(struct fmi_series *s, fm_pool *pool);
/* One map. As fm_pool_map(). */
int fmi_series_map(struct fmi_series *s, const struct fmi_request *request);
/* Keeps the report for fm_pool_failures(). */
void fmi_series_end(struct fmi_series *s);

#endif
