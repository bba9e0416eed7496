# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# For the tests of `forkmap shm`, which remove what they find: a /dev/shm of their own, in a mount namespace of their own.
# A test begins with `. shm.bash`, and runs a second time in there.
if [ -z "${IN_OWN_DEV_SHM:-}" ]; then
    own=(unshare --mount)
    [ "$(id -u)" -eq 0 ] || own+=(--map-root-user)
    "${own[@]}" mount -t tmpfs tmpfs /dev/shm 2>/dev/null ||
        { echo "SKIPPED: no mount namespace can be had here (unshare --mount)" >&2; exit 77; }
    IN_OWN_DEV_SHM=1 exec "${own[@]}" bash "$0"
fi
mount -t tmpfs tmpfs /dev/shm || exit 77
. "$(dirname "$0")/common.bash"
# shellcheck disable=SC2034  # the tests use it
stranger=${FORKMAP%/cli/forkmap}/tests/stranger

# start WORD...: a stranger that stays until `end`. Its number is in $started.
start() {
    local pipe=stdin.fifo
    mkfifo "$pipe"
    "$stranger" "$@" <"$pipe" >started &
    started=$!
    exec {kept}>"$pipe"
    until [ -s started ]; do
        kill -0 $started || fail "stranger $* has ended"
        sleep 0.01
    done
    rm "$pipe" started
    held+=("$started:$kept")
}

# Ends those that were started, and fails if one of them does.
end() {
    local one
    for one in "${held[@]}"; do
        local fd=${one#*:}
        exec {fd}>&-
    done
    for one in "${held[@]}"; do
        wait "${one%:*}" || fail "a stranger that held a segment failed"
    done
    held=()
}
held=()
