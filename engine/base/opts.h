/* SPDX-License-Identifier: MIT */
#ifndef FMI_OPTS_H
#define FMI_OPTS_H

#include <stddef.h>

/* Copies an option struct that begins with struct_size, of this version or an older one. `given` may be NULL. 0 or -EINVAL. */
int fmi_opts_copy(void *to, size_t bytes, const void *given);

#endif
