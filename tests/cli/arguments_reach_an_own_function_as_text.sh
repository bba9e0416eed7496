#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# --arg KEY=VALUE becomes one text, a line each; without any it is empty, never NULL.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <string.h>
int with(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    return strcmp(arg, "scale=2.5\nname=a=b c\nempty=\n");
}
int without(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    return arg == NULL || *(const char *)arg != '\0';
}
C
expect 0 map ./f.so:with range:0:100 --out none --arg scale=2.5 --arg "name=a=b c" --arg empty=
expect 0 map ./f.so:without range:0:100 --out none
expect 1 map ./f.so:with range:0:100 --out none
