#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# Who has another key, or a key that others may read, is refused with the reason; so are words that mean nothing. SIGTERM ends it in order.
. "$(dirname "$0")/manager.bash"
start --create ages:dict
head -c 32 /dev/zero >other
chmod 600 other
expect 3 call -a "$address" -k other --list
says "wrong key"
chmod 644 other
expect 3 call -a "$address" -k other --list
says "others may read" "chmod 600"
: >empty
chmod 600 empty
expect 3 call -a "$address" -k empty --list
says "1 to 64 bytes"
expect 3 call -a "$address" -k absent --list
says "absent" "manager --key-file"
[ ! -e absent ] || fail "call made a key"
expect 3 call -a ./nowhere -k key --list
says "nowhere"

call 2 ages
says "NAME and METHOD are missing"
call 3 ages gett x
says "dict has no method gett"
call 2 --list --shutdown
says "only one"
call 2 --create x
says "TYPE"
call 2 ages get x --raw --json
says "exclude each other"
expect 2 call -k key --list
says "--address"
expect 2 manager
says "--key-file"
expect 2 manager -k key word
says "word"
expect 2 manager -k key -a ./b.sock -c x
says "NAME:TYPE"
expect 2 manager -k key -a ./b.sock -c x:dikt
says "dikt"
[ ! -e b.sock ] || fail "a manager that could not start leaves its path"

kill -TERM "$manager"
ended 143
