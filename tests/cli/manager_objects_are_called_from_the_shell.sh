#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# Objects are made, called, listed and removed; results are lines, bytes or JSON; numbers are exact; the end removes the path.
. "$(dirname "$0")/manager.bash"
start --address "$PWD/m.sock" --create todo:queue:2 --create best:value:f8:0.1
[ "$address" = "$PWD/m.sock" ] || fail "it says $address"
[ "$(stat -c %a key)" = 600 ] || fail "a new key that others may read"
[ "$(stat -c %s key)" = 32 ] || fail "a new key of another length"

call 0 --create ages dict
call 0 ages set Ada 36
call 0 ages set Bob 41
call 0 ages items
[ "$(tr '\n' ' ' <stdout)" = "Ada 36 Bob 41 " ] || fail "items"
call 0 ages items --json
shows '{"event":"result","value":"Ada"}'
call 3 ages get Eve
says "ages get"
call 0 best add 0.2
call 0 best get
shows 0.30000000000000004
printf 'a\0b' | "$FORKMAP" call -a "$address" -k key todo put - || fail "put"
call 0 todo get --raw
[ "$(od -An -tx1 stdout | tr -d ' \n')" = 610062 ] || fail "bytes changed on their way"
call 3 todo get --timeout 0.05
says "timed out"
call 0 --list
shows "queue      todo" "value      best" "dict       ages"
call 0 --delete ages
call 3 ages len
says "no object ages"

call 0 --shutdown
ended 0
