/* SPDX-License-Identifier: MIT */
#ifndef FMC_PLUGIN_H
#define FMC_PLUGIN_H

/* Kernels of the user's own: --load PATH.so, see <forkmap/kernel.h>. */

/* The option's description, for the argp tables of the commands that have it. */
#define FMC_PLUGIN_HELP                                                                            \
    "Take kernels of your own from a library, too; may be given several times. `forkmap new "      \
    "kernel NAME` writes one to start from"

/*
 * Loads the libraries and adds their kernels to the table, in this order; before any pool is opened, so that workers
 * inherit their code. They stay loaded until the command ends. Returns FMC_DONE, or says what is wrong and returns
 * FMC_USAGE or FMC_ENVIRONMENT.
 */
int fmc_plugin_load(const char *const *paths, int n);

#endif
