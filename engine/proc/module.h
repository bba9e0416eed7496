/* SPDX-License-Identifier: MIT */
#ifndef FMI_MODULE_H
#define FMI_MODULE_H

/*
 * Function identity: what a function pointer of the host is in another process.
 *
 * A module that was loaded before the warden was forked lies at the same address in all workers, and its functions' addresses are
 * valid there as they are. A function of a module opened later, or for a process that is no fork of this one, is named by (path, build-id,
 * offset); who needs it opens the module itself, once, and refuses a file with another build-id. Files without a build-id are known by
 * device, inode, size and time of change. The program itself has the path "": it may have been renamed, or removed.
 */

#include <link.h>
#include <stddef.h>
#include <stdint.h>

enum { FMI_BUILD_ID_BYTES = 40 };

/* In shared memory, written once by the host before the job that refers to it is published; then constant. */
struct fmi_function_shm {
    uint64_t address; /* != 0: valid in every worker as it is, the rest is unused */
    uint64_t offset;  /* from the module's load address */
    uint32_t id_bytes;
    uint8_t id[FMI_BUILD_ID_BYTES];
    char path[4096 - 8 * 2 - 4 - FMI_BUILD_ID_BYTES]; /* "": the program */
};

/*
 * dl_iterate_phdr(). The list of loaded objects has a lock that glibc does not make new in a child, so a child that was forked while another thread
 * of the library was at the list would wait for ever when it first needs it. Hence all look at it by this, and hold others back while they fork; in
 * the child it needs no letting go. What threads of the program do by themselves is not seen.
 */
int fmi_modules_iterate(int (*see)(struct dl_phdr_info *info, size_t bytes, void *arg), void *arg);
void fmi_modules_hold(void);
void fmi_modules_let_go(void);

/* The modules that a process had loaded at one moment. Private memory. */
struct fmi_modules;
int fmi_modules_snapshot(struct fmi_modules **out);
void fmi_modules_free(struct fmi_modules *modules);

/* 1 if `function` lies in the main program, which is never unloaded: its address is valid in every worker. */
int fmi_modules_in_program(const struct fmi_modules *modules, const void *function);

/* Changes whenever a module is opened or closed; a function pointer described under one value keeps its meaning under it. */
uint64_t fmi_modules_generation(void);

/*
 * Describes `function` of this process for processes that had `at_fork` loaded; NULL: for any of this program. 0; FM_ENOFUNC: it
 * lies in no loaded module; FM_ESTALE: its file has no build-id and was replaced (detail).
 */
int fmi_function_describe(const struct fmi_modules *at_fork, const void *function,
                          struct fmi_function_shm *out);

/* The pointer in this process. 0; FM_ENOFUNC the module cannot be opened; FM_ESTALE its file has changed (detail). */
int fmi_function_resolve(const struct fmi_function_shm *described, void **out);

#endif
