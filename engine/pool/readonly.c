/* SPDX-License-Identifier: MIT */
/* Inputs that cannot be written to; see readonly.h. */
#include "readonly.h"

#include "array.h"
#include "memory.h"
#include "slab.h"

/*
 * The whole pages of a column. A page that it shares belongs to others, too; but nothing else lies in those of an allocation of spans, nor of a file, so there an array that is all of the
 * memory has its last page, and its first one.
 */
static void find_pages(const struct fmi_array_view *v, uintptr_t *begin, uintptr_t *end)
{
    size_t page = fmi_sys_page_bytes(), bytes = v->buffer->bytes;
    int is_alone = v->lo == v->buffer->data && (size_t)(v->hi - v->lo) == bytes &&
                   (v->is_mapped || bytes > FMI_SLAB_MAX_BYTES);
    *begin = (uintptr_t)v->lo + (is_alone ? 0 : page - 1);
    *end = (uintptr_t)v->hi + (is_alone ? page - 1 : 0);
    *begin -= *begin % page;
    *end -= *end % page;
    if (*end < *begin)
        *end = *begin;
}

static int protect(struct fmi_readonly *guard, const struct fmi_array_view *v)
{
    uintptr_t begin, end;
    find_pages(v, &begin, &end);
    if (begin == end || v->is_readonly)
        return 0;
    int rc = fmi_sys_protect_write((void *)begin, end - begin);
    if (rc != 0)
        return rc;
    guard->parts[guard->n].begin = (char *)begin;
    guard->parts[guard->n++].bytes = end - begin;
    return 0;
}

int fmi_readonly_begin(struct fmi_readonly *guard, const struct fmi_plan *plan)
{
    struct fmi_array_view view;
    int rc = 0;
    guard->n = 0;
    if ((plan->flags & FMI_PLAN_GUARDS) == 0)
        return 0;
    for (int k = 0; k < plan->n_in && k < FM_MAX_COLUMNS && rc == 0; k++) {
        rc = fmi_array_inspect(plan->in[k].array, &view);
        if (rc == 0)
            rc = protect(guard, &view);
    }
    if (rc != 0)
        fmi_readonly_end(guard);
    return rc;
}

void fmi_readonly_end(struct fmi_readonly *guard)
{
    for (; guard->n > 0; guard->n--)
        (void)fmi_sys_unprotect(guard->parts[guard->n - 1].begin, guard->parts[guard->n - 1].bytes);
}

int fmi_readonly_input(const struct fmi_plan *plan, uint64_t address)
{
    struct fmi_array_view view;
    uintptr_t begin, end;
    if ((plan->flags & FMI_PLAN_GUARDS) == 0)
        return 0;
    for (int k = 0; k < plan->n_in && k < FM_MAX_COLUMNS; k++) {
        if (fmi_array_inspect(plan->in[k].array, &view) != 0)
            continue;
        find_pages(&view, &begin, &end);
        if (address >= begin && address < end)
            return k + 1;
    }
    return 0;
}
