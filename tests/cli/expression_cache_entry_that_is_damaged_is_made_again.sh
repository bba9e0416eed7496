#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# An entry that is empty, cut short, no library, another library, writable by others or a link is compiled again.
. "$(dirname "$0")/common.bash"
expect 0 map -e '3 * x0' range:0:100 -o r.npy
entry=$(echo cache/forkmap/*.so)
cp "$entry" good
library other <<'C'
int f(void)
{
    return 1;
}
C
damage_empty() { : >"$entry"; }
damage_cut() { head -c 5000 good >"$entry"; }
damage_text() { echo "no library" >"$entry"; }
damage_zeros() { head -c 5000 /dev/zero >"$entry"; }
damage_other() { cat other.so >"$entry"; }
damage_mode() { chmod 777 "$entry"; }
damage_link() { ln -sf "$PWD/good" "$entry"; }
for damage in empty cut text zeros other mode link; do
    damage_$damage
    expect 0 map -e '3 * x0' range:0:100 -o s.npy
    cmp r.npy s.npy || fail "damage $damage: other results"
    { [ ! -L "$entry" ] && cmp good "$entry"; } || fail "damage $damage: not made again"
    [ "$(stat -c %a "$entry")" = 700 ] || fail "damage $damage: mode $(stat -c %a "$entry")"
done
[ "$(ls cache/forkmap | wc -l)" = 1 ] || fail "left in the cache: $(ls cache/forkmap)"
