#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# list tells each segment in a line, or an object with --json; rm removes what is named, and nothing that is no segment.
. "$(dirname "$0")/shm.bash"
expect 0 shm list
shows "no named segments"
expect 0 shm list --json
[ ! -s stdout ] || fail "objects for nothing"
"$stranger" create b 5000000 || fail "create"
"$stranger" create a 1 || fail "create"
start keep c 4096

expect 0 shm list
awk '{ print $NF }' stdout | tr '\n' ' ' | grep -qx "name a b c " || fail "not in the order of names"
expect 0 shm list --json
[ "$(wc -l <stdout)" = 3 ] || fail "not three lines"
grep -qE '^\{"event":"segment","name":"a","bytes":1,"pid":[0-9]+,"creator":"dead","age":[0-9.]+,"ready":true\}$' stdout || fail "a"
shows '"name":"b","bytes":5000000' "\"name\":\"c\",\"bytes\":4096,\"pid\":$started,\"creator\":\"alive\""

expect 0 shm rm a /b
shows "removed a" "removed /b"
expect 3 shm rm a
says "a: No such file or directory"
expect 0 shm rm c --json
shows '{"event":"removed","name":"c"}'
[ -z "$(ls /dev/shm)" ] || fail "left: $(ls /dev/shm)"
end

echo hello >/dev/shm/foreign
expect 3 shm rm foreign
says "foreign" "others may open it"
chmod 600 /dev/shm/foreign
expect 3 shm rm foreign
says "foreign" "too few for a segment"
[ "$(cat /dev/shm/foreign)" = hello ] || fail "a foreign file was removed"
expect 2 shm rm a/b
says "slash"

expect 2 shm
says "list, gc or rm is missing"
expect 2 shm lits
says "did you mean list?"
expect 2 shm list a
says "list takes no name"
expect 2 shm rm
says "NAME is missing"
expect 2 shm list --dry-run
says "--dry-run is for gc"
