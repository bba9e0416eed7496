/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_PLUGIN_H
#define FORKMAP_PLUGIN_H

/* Whether what a library exports is a table of kernels. */

#include "kernels.h"

#define FMK_MOST_LOADED 1024 /* kernels of all libraries together */

/*
 * 0 if all of its kernels can join the table; -EINVAL with a detail that says which cannot, and why.
 * Clears the detail first.
 */
int fmk_plugin_check(const struct fmk_plugin *plugin, const char *path);

#endif
