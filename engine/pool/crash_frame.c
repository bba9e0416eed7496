/* SPDX-License-Identifier: MIT */
/* What a frame of a record means: the module from the crew's table (trace.h), the function from the module's file (symbol.h). */
#include "error.h"
#include "handle.h"
#include "symbol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where workers write: what is there need not end. */
static int copy_path(const fm_pool *pool, uint32_t module, char *path, size_t cap)
{
    if (!pool->has_crew || module == 0 || module > FMI_TRACE_MODULES)
        return 0;
    const struct fmi_trace_place_shm *place = &pool->view.crew->places[module - 1];
    /* acquire: pairs with find_place */
    if (atomic_load_explicit(&place->state, memory_order_acquire) != FMI_PLACE_WRITTEN)
        return 0;
    snprintf(path, cap, "%.*s", (int)strnlen(place->path, sizeof place->path), place->path);
    return 1;
}

/* The program has no path in the table: it is the one that runs here. */
static void name_program(char *path, size_t cap)
{
    ssize_t n = readlink("/proc/self/exe", path, cap - 1);
    path[n > 0 ? n : 0] = '\0';
}

int fm_pool_frame(fm_pool *pool, const fm_failure *failure, int i, fm_frame *out)
{
    int rc = fmi_pool_check(pool);
    if (rc != 0)
        return rc;
    if (failure == NULL || out == NULL || i < 0 || i >= failure->n_frames || i >= FM_MAX_FRAMES)
        return fmi_error(-EINVAL, "the record or out is NULL, or it has no frame %d", i);
    const uint64_t frame = failure->frames[i];
    *out = (fm_frame){.offset = FMI_FRAME_OFFSET(frame)};
    if (!copy_path(pool, FMI_FRAME_MODULE(frame), out->module, sizeof out->module))
        return 0;
    int is_program = out->module[0] == '\0';
    if (is_program)
        name_program(out->module, sizeof out->module);
    /* where a call returns to may be behind the function's end: the call is before it */
    uint64_t inside = i == 0 || out->offset == 0 ? out->offset : out->offset - 1;
    if (fmi_symbol_find(is_program ? "/proc/self/exe" : out->module, inside, out->function,
                        sizeof out->function, &out->function_offset) == 0)
        out->function_offset += out->offset - inside;
    return 0;
}
