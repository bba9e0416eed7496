/* SPDX-License-Identifier: MIT */
#ifndef FMI_TRACE_H
#define FMI_TRACE_H

/*
 * Where a process was when it crashed: return addresses, innermost first, each as a module and an offset in it. They are collected in the crash handler, so nothing is
 * allocated, locked or looked up in a file there; names are found later, by who asks (symbol.h).
 *
 * A module's number is that of its path in a table beside the crew, which any crashing worker adds to:
 *
 *   A PATH'S PLACE                                      the process dies here
 *   free     0, as zeroed memory
 *   writing  a crashing process has it, CAS             the place is lost; there are others, or none: then a frame has no module
 *   written  release; pairs with find_place             as intended
 *
 * Frames of this library that lead to the function are left out, if it is a module of its own.
 *
 * The table lies where functions can write: whoever reads it takes at most what its size allows.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <forkmap/map.h>

enum { FMI_TRACE_MODULES = 16, FMI_TRACE_PATH_BYTES = 508 };
enum { FMI_PLACE_WRITING = 1, FMI_PLACE_WRITTEN = 2 };

struct fmi_trace_place_shm {
    _Atomic uint32_t state;
    char path[FMI_TRACE_PATH_BYTES]; /* "": the program */
};
static_assert(sizeof(struct fmi_trace_place_shm) == 512, "trace: layout");

/* { number of the module, from 1:16, offset:48 }; without a module the address. */
#define FMI_FRAME(module, offset)                                                                  \
    ((uint64_t)(module) << 48 | ((uint64_t)(offset)&0xffffffffffffull))
#define FMI_FRAME_MODULE(frame) ((uint32_t)((frame) >> 48))
#define FMI_FRAME_OFFSET(frame) ((frame)&0xffffffffffffull)

/* In a crash handler: `context` is its ucontext_t. Raises *n_frames as it goes, so that a crash in here costs the rest of the frames only. */
void fmi_trace_collect(struct fmi_trace_place_shm *places, const void *context, uint64_t *frames,
                       _Atomic uint32_t *n_frames);

#endif
