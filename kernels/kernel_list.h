/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_KERNEL_LIST_H
#define FORKMAP_KERNEL_LIST_H

/*
 * The functions that the table in kernels.c names: each kernel's range, and what makes and checks
 * its problem.
 */

#include "kernels.h"

fmk_range_fn fmk_docking_range, fmk_mandelbrot_range, fmk_pi_range;

int fmk_docking_input(const struct fmk_param *params, fm_array **columns);
int fmk_docking_bind(struct fmk_problem *p, const struct fmk_param *params);
int fmk_docking_verify(const struct fmk_problem *p, char *text, size_t cap);

int fmk_mandelbrot_bind(struct fmk_problem *p, const struct fmk_param *params);
int fmk_mandelbrot_verify(const struct fmk_problem *p, char *text, size_t cap);

int fmk_pi_bind(struct fmk_problem *p, const struct fmk_param *params);
int fmk_pi_verify(const struct fmk_problem *p, char *text, size_t cap);

#endif
