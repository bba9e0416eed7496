#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# A manager without its server does not go on as if it had one: it leaves with a message.
. "$(dirname "$0")/manager.bash"
# The last of the first children: command, keeper, server.
last_child() {
    local pid=$1 child
    while child=$(cut -d' ' -f1 "/proc/$pid/task/$pid/children") && [ -n "$child" ]; do
        pid=$child
    done
    echo "$pid"
}
[ -e "/proc/self/task/$$/children" ] || skip "/proc has no lists of children"
start --address "$PWD/m.sock"
server=$(last_child "$manager")
[ "$server" != "$manager" ] || fail "it has no child"
kill -KILL "$server"
code=0
wait "$manager" || code=$?
trap - EXIT
[ "$code" = 3 ] || fail "it left with $code"
grep -q "was killed" manager.log || fail "it said: $(cat manager.log)"
