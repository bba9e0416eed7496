#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 60
# A library without a table, with one of another version or size, or with an entry that is not complete is refused before
# anything runs, by a message that names the library, the kernel and what is wrong.
. "$(dirname "$0")/common.bash"

# plugin NAME ENTRY [TABLE]: NAME.so with one kernel, whose entry is changed by ENTRY.
plugin() {
    library "$1" <<C
#include <forkmap/kernel.h>
static void range(int64_t begin, int64_t end, const void *p) { (void)begin, (void)end, (void)p; }
static int bind(struct fmk_problem *p, const struct fmk_param *params) { (void)p, (void)params; return 0; }
static int verify(const struct fmk_problem *p, char *t, size_t cap) { (void)p, (void)t, (void)cap; return 2; }
static const struct fmk_kernel entry = {.name = "good", .summary = "s", .source = "s", .cost = "c", .result = "r",
    .grain = 1, .range = range, .bind = bind, .verify = verify, $2};
${3:-FMK_PLUGIN(&entry);}
C
}

# refused ENTRY REASON [TABLE]
refused() {
    plugin bad "$1" "${3:-}"
    expect 2 kernels --load ./bad.so
    says "./bad.so" "$2"
    [ ! -s stdout ] || fail "lists kernels all the same"
    expect 2 run good --load ./bad.so
    says "$2"
}

table='const struct fmk_kernel *const all[] = {&entry}; const struct fmk_plugin fmk_plugin ='
refused '.grain = 1' "no table of kernels" 'const void *used = &entry;'
refused '.grain = 1' "is a function" 'const void *used = &entry; FM_API int fmk_plugin_is(void) __asm__("fmk_plugin"); int fmk_plugin_is(void) { return 0; }'
refused '.grain = 1' "of version 9, this forkmap reads 1" "$table {9, sizeof entry, sizeof(struct fmk_problem), 1, all};"
refused '.grain = 1' "bytes, here they have" "$table {1, sizeof entry + 8, sizeof(struct fmk_problem), 1, all};"
refused '.grain = 1' "bytes, here they have" "$table {1, sizeof entry, 8, 1, all};"
refused '.grain = 1' "0 kernels" "$table {1, sizeof entry, sizeof(struct fmk_problem), 0, all};"
refused '.grain = 1' "1 kernels" "$table {1, sizeof entry, sizeof(struct fmk_problem), 1, 0};"
refused '.grain = 1' "number 1 is NULL" 'FMK_PLUGIN(&entry, 0);'
refused '.grain = 1' "two kernels of the table have this name" 'static const struct fmk_kernel twin = {.name = "good", .summary = "s", .source = "s", .cost = "c", .result = "r", .grain = 1, .range = range, .bind = bind, .verify = verify}; FMK_PLUGIN(&entry, &twin);'
refused '.name = 0' "has no name"
refused '.name = ""' "has no name"
refused '.name = "a b"' "only letters"
refused '.name = "x.so:f"' "only letters"
refused '.name = "--json"' "only letters"
refused '.name = "triad"' "kernel triad: a kernel that comes with forkmap has this name"
refused '.range = 0' "kernel good: range is NULL"
refused '.bind = 0' "bind is NULL"
refused '.verify = 0' "verify is NULL"
refused '.n_columns = 1, .columns = {{"x", FM_F64, 0, {0}}}' "default_input is NULL"
refused '.n_columns = 5' "n_columns is not 0 to 4"
refused '.n_columns = 1' "a column has no name"
refused '.n_columns = 1, .columns = {{"x", 0, 0, {0}}}' "dtype"
refused '.n_columns = 1, .columns = {{"x", FM_F64, 3, {0}}}' "row_ndim"
refused '.n_columns = 1, .columns = {{"x", FM_F64, 1, {-1}}}' "row_shape"
refused '.grain = 0' "grain is below 1"
refused '.summary = 0' "no summary"
refused '.source = 0' "no source"
refused '.cost = 0' "no cost"
refused '.result = 0' "no result"
refused '.params = {{"n", 0, 0}}' "no default value"
refused '.params = {{"n", "1", "h"}, {"n", "2", "h"}}' "same key"
refused '.params = {{"a", "1", ""}, {"b", "1", ""}, {"c", "1", ""}, {"d", "1", ""}, {"e", "1", ""}, {"f", "1", ""}, {"g", "1", ""}, {"h", "1", ""}}' "more than 7"

# These join the table, and cannot run: bind forgot something.
plugin good '.params = {{"n", "5", "items"}}'
expect 0 kernels --load ./good.so
shows good
expect 2 run good --load ./good.so
says "its bind made no out"
cp good.so again.so
expect 2 kernels --load ./good.so --load ./again.so
says "./again.so" "./good.so was loaded before and has this name"
expect 2 kernels --load ./good.so --load ./good.so
says "was loaded before"

# Files that are no libraries.
echo text >text.so
expect 2 kernels --load ./text.so
says "text.so" "cc -O2 -shared -fPIC"
expect 2 kernels --load ./missing.so
says "missing.so" "No such file"
head -c 5000 good.so >short.so
expect 2 kernels --load ./short.so
says "short.so"
echo 'void not_there(void); void f(void) { not_there(); }' | library undefined
expect 2 kernels --load ./undefined.so
says "not_there"
expect 2 run good --load ./undefined.so --json
shows '"error"'
