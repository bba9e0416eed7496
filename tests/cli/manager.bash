# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# A manager of the command's own, in the background: start [OPTION...], call CODE [WORD...].
. "$(dirname "${BASH_SOURCE[0]}")/common.bash"

# start OPTION...: sets `manager`, its pid; `address`.
start() {
    "$FORKMAP" manager --key-file key "$@" >where 2>manager.log &
    manager=$!
    trap 'kill -KILL "$manager" 2>/dev/null || true' EXIT
    for _ in $(seq 200); do
        [ ! -s where ] || break
        sleep 0.05
    done
    [ -s where ] || fail "no manager: $(cat manager.log)"
    address=$(cat where)
}

call() {
    local want=$1
    shift
    expect "$want" call --address "$address" --key-file key "$@"
}

# ended CODE: the manager ends by itself, with this code, and leaves nothing.
ended() {
    local code=0
    wait "$manager" || code=$?
    trap - EXIT
    [ "$code" = "$1" ] || fail "the manager left with $code, not $1: $(cat manager.log)"
    [ ! -e "$address" ] || fail "$address is left"
}
