#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# A cache directory of another user is not used; an entry of another user is compiled again.
. "$(dirname "$0")/common.bash"
[ "$(id -u)" = 0 ] || skip "only root can give a directory to somebody else"
expect 0 map -e x0 range:0:10 -o r.npy
entry=$(echo cache/forkmap/*.so)
chown 65534 "$entry"
expect 0 map -e x0 range:0:10 -o r.npy
[ "$(stat -c %u "$entry")" = 0 ] || fail "an entry of another user was used"
chown 65534 cache/forkmap
expect 3 map -e x0 range:0:10 -o x.npy
says "belongs to another user" "XDG_CACHE_HOME"
absent x.npy
