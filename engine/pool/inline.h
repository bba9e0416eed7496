/* SPDX-License-Identifier: MIT */
#ifndef FMI_INLINE_H
#define FMI_INLINE_H

/* A map called inside a worker: runs there, item after item, with the same results and records. */

#include "prepare.h"
#include "record.h"

/* As a map of a pool with one worker. A crash in it is a crash of the item that called it. */
int fmi_inline_map(const struct fmi_request *request, struct fmi_report *report);

#endif
