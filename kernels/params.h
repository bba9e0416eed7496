/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_PARAMS_H
#define FORKMAP_PARAMS_H

/*
 * Shared by the shipped kernels: what <forkmap/kernel.h> has for every kernel, and merged parameters,
 * data files and the error detail.
 */

#include "kernels.h"

void fmk_error_clear(void);

/*
 * The kernel's parameters with the user's values where given; `merged` gets FMK_MAX_PARAMS entries.
 * -EINVAL for a key that the kernel does not have.
 */
int fmk_params_merge(const struct fmk_kernel *kernel, const struct fmk_param *user,
                     struct fmk_param *merged);

/* 1 if the user gave a value: it is not the kernel's own default. */
int fmk_param_is_given(const struct fmk_kernel *kernel, const struct fmk_param *params,
                       const char *key);

/*
 * -EINVAL if the user gave this key another value than `actual`, which an input decides; `what`
 * says where that comes from: "column a has rows of 7".
 */
int fmk_param_agrees(const struct fmk_kernel *kernel, const struct fmk_param *params,
                     const char *key, int64_t actual, const char *what);

/* 1: pass number n_done is ready to run; 0: there is none, all are done; or an error < 0. */
int fmk_next_pass(struct fmk_problem *p, int64_t n_done);

/*
 * The folder `name` of the kernels' data: in $FORKMAP_DATA, else in share/forkmap beside the folder of the
 * running program, else where it was to be installed.
 * -ENAMETOOLONG
 */
int fmk_data_path(char *path, size_t cap, const char *name);

#endif
