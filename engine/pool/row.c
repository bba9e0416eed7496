/* SPDX-License-Identifier: MIT */
/* Rows of strided arrays; see row.h. */
#include "row.h"

#include <string.h>

enum direction { GATHER = 1, SCATTER = 2 };

static void copy_element(char *strided, char *packed, size_t bytes, enum direction way)
{
    if (way == GATHER)
        memcpy(packed, strided, bytes);
    else
        memcpy(strided, packed, bytes);
}

/* Walks axes `axis` .. ndim-1; returns where the packed bytes go on. */
static char *copy_axis(const struct fmi_array_view *a, int axis, char *strided, char *packed,
                       enum direction way)
{
    if (axis == a->ndim) {
        copy_element(strided, packed, a->item_bytes, way);
        return packed + a->item_bytes;
    }
    for (int64_t i = 0; i < a->shape[axis]; i++)
        packed = copy_axis(a, axis + 1, strided + i * a->strides[axis], packed, way);
    return packed;
}

static void copy_row(const struct fmi_array_view *a, int64_t item, char *packed, enum direction way)
{
    char *row = a->data + item * a->strides[0];
    if (a->row_is_packed)
        copy_element(row, packed, a->row_bytes, way);
    else
        copy_axis(a, 1, row, packed, way);
}

void fmi_row_gather(const struct fmi_array_view *a, int64_t item, char *packed)
{
    copy_row(a, item, packed, GATHER);
}

void fmi_row_scatter(const struct fmi_array_view *a, int64_t item, const char *packed)
{
    copy_row(a, item, (char *)(uintptr_t)packed, SCATTER); /* only read */
}
