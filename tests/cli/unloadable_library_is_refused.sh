#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# A library that is not there, is no library, is cut, or needs what nobody has, is a wrong word.
. "$(dirname "$0")/common.bash"
library whole <<'C'
int f(void)
{
    return 0;
}
C
library needy <<'C'
int nobody_has_this(void);
int f(void)
{
    return nobody_has_this();
}
C
echo "int f;" >text.so
: >empty.so
head -c 1000 whole.so >cut.so
for file in nowhere text empty cut needy; do
    expect 2 map ./$file.so:f range:0:10 --out f8: -o out.npy
    says "./$file.so" "cc -O2 -shared -fPIC"
done
says nobody_has_this
absent out.npy
