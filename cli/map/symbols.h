/* SPDX-License-Identifier: MIT */
#ifndef FMC_SYMBOLS_H
#define FMC_SYMBOLS_H

/* Shared libraries: whether a file can be one, and what a loaded one exports. */

/*
 * What is wrong with the file, NULL if nothing is. The loader maps a file as its headers say: one that was cut short kills
 * the process that loads it by SIGBUS, and a pipe blocks it.
 */
const char *fmc_symbols_refuse_file(const char *path);

/* Calls `each` for every function that the library opened as `handle` (dlopen) defines and exports. */
void fmc_symbols_each(void *handle, void (*each)(const char *name, void *arg), void *arg);

/* 1 if the address that dlsym gave is data: calling it would be a crash in every worker. */
int fmc_symbols_is_data(const void *address);

#endif
