/* SPDX-License-Identifier: MIT */

/* Arrays from .npy files, for the kernels' problems. */

#include "inputs.h"

#include "params.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void name_dtypes(char *text, size_t cap, const fm_dtype *dtypes)
{
    size_t used = 0;
    for (const fm_dtype *d = dtypes; *d != 0 && used < cap; d++) {
        char name[16];
        fm_dtype_name(*d, name, sizeof name);
        used += (size_t)snprintf(text + used, cap - used, "%s%s", d > dtypes ? " or " : "", name);
    }
}

static int check_array(const char *key, const char *path, int ndim, const fm_dtype *dtypes,
                       const fm_array *a)
{
    char has[16], needs[64];
    const fm_dtype *d = dtypes;
    while (*d != 0 && *d != fm_array_dtype(a))
        d++;
    fm_dtype_name(fm_array_dtype(a), has, sizeof has);
    name_dtypes(needs, sizeof needs, dtypes);
    if (fm_array_ndim(a) != ndim || *d == 0)
        return fmk_error(-EINVAL, "%s=%s: has %d axes of %s; %d of %s %s needed", key, path,
                         fm_array_ndim(a), has, ndim, needs, ndim == 1 ? "is" : "are");
    if (ndim == 2 && fm_array_count(a) == 0)
        return fmk_error(-EINVAL, "%s=%s: is %" PRId64 " x %" PRId64 ", and holds nothing", key,
                         path, fm_array_shape(a)[0], fm_array_shape(a)[1]);
    return 0;
}

int fmk_array_load(const char *key, const char *path, int ndim, const fm_dtype *dtypes,
                   fm_array **out)
{
    int e = fm_npy_load(path, FM_NPY_READ, out);
    if (e != 0)
        return e;
    e = check_array(key, path, ndim, dtypes, *out);
    if (e != 0) {
        fm_array_destroy(*out);
        *out = NULL;
    }
    return e;
}

void fmk_matrix_pack(void *to, const fm_array *a)
{
    const int64_t *shape = fm_array_shape(a), *strides = fm_array_strides(a);
    const size_t size = fm_dtype_bytes(fm_array_dtype(a));
    char *next = to;
    for (int64_t row = 0; row < shape[0]; row++)
        for (int64_t column = 0; column < shape[1]; column++, next += size)
            memcpy(next, (const char *)fm_array_data(a) + row * strides[0] + column * strides[1],
                   size);
}
