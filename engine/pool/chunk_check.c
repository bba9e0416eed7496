/* SPDX-License-Identifier: MIT */
/* Whether the rows of a chunk are values of the size that a function takes; asked once per chunk. */
#include "array.h"

#include <errno.h>
#include <forkmap/function.h>

static int check_rows(const char *what, const fm_array *a, size_t bytes)
{
    struct fmi_array_view v;
    if (a == NULL) {
        fm_note("no %s array, and the function needs one", what);
        return -EINVAL;
    }
    if (fmi_array_inspect(a, &v) != 0) {
        fm_note("the %s array was destroyed or overwritten", what);
        return -EINVAL;
    }
    if (v.row_bytes != bytes) {
        fm_note("%s rows have %zu bytes, the function's type has %zu", what, v.row_bytes, bytes);
        return -EINVAL;
    }
    if (!v.row_is_packed) {
        fm_note("the elements of an %s row do not follow each other: give a copy in C order", what);
        return -EINVAL;
    }
    return 0;
}

int fm_chunk_check(const fm_chunk *chunk, size_t in_bytes, size_t out_bytes)
{
    if (chunk->n_in > 1) {
        fm_note("%d columns, and the function takes one", chunk->n_in);
        return -EINVAL;
    }
    const int e = check_rows("input", chunk->n_in > 0 ? chunk->in_array[0] : NULL, in_bytes);
    return e != 0 ? e : check_rows("output", chunk->out_array, out_bytes);
}
