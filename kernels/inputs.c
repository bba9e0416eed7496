/* SPDX-License-Identifier: MIT */

/* Matrices from .npy files, for the kernels' problems. */

#include "inputs.h"

#include "params.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int check_matrix(const char *key, const char *path, fm_dtype dtype, const fm_array *a)
{
    char has[16], needs[16];
    fm_dtype_name(fm_array_dtype(a), has, sizeof has);
    fm_dtype_name(dtype, needs, sizeof needs);
    if (fm_array_ndim(a) != 2 || fm_array_dtype(a) != dtype)
        return fmk_error(-EINVAL, "%s=%s: has %d axes of %s; a matrix, 2 axes of %s, is needed",
                         key, path, fm_array_ndim(a), has, needs);
    if (fm_array_count(a) == 0)
        return fmk_error(-EINVAL, "%s=%s: is %" PRId64 " x %" PRId64 ", and holds nothing", key,
                         path, fm_array_shape(a)[0], fm_array_shape(a)[1]);
    return 0;
}

int fmk_matrix_load(const char *key, const char *path, fm_dtype dtype, fm_array **out)
{
    int e = fm_npy_load(path, FM_NPY_READ, out);
    if (e != 0)
        return e;
    e = check_matrix(key, path, dtype, *out);
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
