#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 60
# gc takes the names of dead creators' segments, also of those that are mapped, and leaves all else in /dev/shm alone.
. "$(dirname "$0")/shm.bash"
there() {
    local name
    for name in "$@"; do
        [ -e "/dev/shm/$name" ] || fail "$name is gone"
    done
}
gone() {
    local name
    for name in "$@"; do
        [ ! -e "/dev/shm/$name" ] || fail "$name is there"
    done
}

expect 0 shm gc
shows "nothing to remove"
"$stranger" create dead1 1000 || fail "create"
"$stranger" create "dead 2" 1000 || fail "create"
"$stranger" create mapped 100000 || fail "create"
start hold mapped
start keep live 1000
alive=$started
echo hello >/dev/shm/foreign
head -c 8192 /dev/zero >/dev/shm/psm_zeros
cp /dev/shm/dead1 /dev/shm/copy_that_others_may_read
chmod 0644 /dev/shm/copy_that_others_may_read
mkdir /dev/shm/folder
ln -s dead1 /dev/shm/link
elsewhere=()
if unshare --pid --fork --mount-proc "$stranger" create elsewhere 1000 2>/dev/null; then
    elsewhere=(elsewhere)
fi

expect 0 shm list
grep -qE " +[0-9]+  dead .* dead1$" stdout || fail "dead1"
grep -qE " +1[.]0 KiB +$alive  alive .* live$" stdout || fail "live"
! grep -qE "foreign|psm_zeros|copy|folder|link" stdout || fail "what is no segment is shown"

expect 0 shm gc --dry-run
shows "would remove dead1 (" "would remove dead 2 (" "would remove mapped ("
! grep -q live stdout || fail "live would be removed"
there dead1 "dead 2" mapped live

expect 0 shm gc
shows "removed dead1 (" "removed dead 2 (" "removed mapped ("
gone dead1 "dead 2" mapped
there live foreign psm_zeros copy_that_others_may_read folder "${elsewhere[@]}"
[ -L /dev/shm/link ] || fail "link is gone"
[ "$(cat /dev/shm/foreign)" = hello ] || fail "foreign has changed"
"$stranger" read live || fail "live cannot be read"
if [ ${#elsewhere[@]} -gt 0 ]; then
    shows "kept 1 whose creators cannot be told"
    expect 0 shm list
    grep -qE "unknown .* elsewhere$" stdout || fail "elsewhere"
fi
end # who had mapped a removed one has gone on; and the creator of live ends
expect 0 shm gc
shows "removed live ("
gone live
