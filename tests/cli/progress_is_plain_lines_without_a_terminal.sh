#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 60
# Without a terminal nothing is drawn; --progress gives plain lines there.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <unistd.h>
int slow(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    usleep(30000);
    return 0;
}
C
expect 0 map ./f.so:slow range:0:200 --out none --progress --workers 2
grep -qE '^forkmap: [0-9]+%, [0-9]+/200 items, .*ETA ' stderr || fail "no line of progress"
grep -q "$(printf '\r')" stderr && fail "something is redrawn in a file"
expect 0 map ./f.so:slow range:0:10 --out none
[ "$(wc -l <stderr)" = 1 ] || fail "more than the summary"
