# SPDX-License-Identifier: MIT
# LABELS: fork
# --map always, never and auto: the same output, bit for bit, and whole or not at all in each.
. "$(dirname "$0")/common.bash"

library f <<'END'
#include <stdint.h>
int number(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = 0.1 * (double)*(const int64_t *)item;
    return 0;
}
int twice(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = 2.0 * *(const double *)item;
    return *(const double *)item == 100.0;
}
END
expect 0 map ./f.so:number range:0:900 --out f8: -o good.npy
expect 0 map ./f.so:number range:0:1100 --out f8: -o bad.npy
for how in always never auto; do
    expect 0 map ./f.so:twice good.npy --out f8: -o "$how.npy" --map "$how"
    cmp always.npy "$how.npy" || fail "--map $how gives another file"
    expect 1 map ./f.so:twice bad.npy --out f8: -o stopped.npy --map "$how"
    absent stopped.npy
    expect 1 map ./f.so:twice bad.npy --out f8: -o "$how-1.npy" --map "$how" --on-error continue
    cmp always-1.npy "$how-1.npy" || fail "--map $how gives another file when an item fails"
done
expect 0 map ./f.so:twice good.npy --out f8: -o /dev/stdout --map always # cannot be mapped
cmp stdout always.npy || fail "what goes to a pipe differs"
expect 2 map ./f.so:twice good.npy --out f8: -o x.npy --map perhaps
says "--map perhaps" always
