/* SPDX-License-Identifier: MIT */
/* What Fortran cannot call or check: fm_note() is variadic, and the layout of a bind(C) type is not compared with the struct's. */
#include <assert.h>
#include <forkmap/forkmap.h>

static_assert(sizeof(fm_chunk) == 432, "fortran/forkmap_c.f90: type fm_chunk");
static_assert(sizeof(fm_failure) == 272, "fortran/forkmap_c.f90: type fm_failure_c");

FM_API void fmf_note(const char *text);

void fmf_note(const char *text)
{
    fm_note("%s", text);
}
