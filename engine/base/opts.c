/* SPDX-License-Identifier: MIT */
/* Option structs of callers that were built with an older header are shorter; see opts.h. */
#include "opts.h"

#include "error.h"

#include <errno.h>
#include <string.h>

int fmi_opts_copy(void *to, size_t bytes, const void *given)
{
    size_t given_bytes;
    memset(to, 0, bytes);
    if (given == NULL)
        return 0;
    memcpy(&given_bytes, given, sizeof given_bytes);
    if (given_bytes < sizeof given_bytes || given_bytes > bytes)
        return fmi_error(-EINVAL,
                         "struct_size is %zu, this library knows %zu; use the FM_..._OPTS macro",
                         given_bytes, bytes);
    memcpy(to, given, given_bytes);
    return 0;
}
