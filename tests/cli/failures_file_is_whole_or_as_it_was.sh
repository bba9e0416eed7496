#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 60
# --failures never replaces an input, the library or the output, gets its name when all records are in it, and has the
# records so far when a signal stops the map.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <fcntl.h>
#include <unistd.h>
int f(const void *item, void *result, void *arg)
{
    const long i = *(const long *)item;
    (void)arg;
    *(double *)result = 1;
    if (i == 3)
        return 7;
    if (i > 4)
        close(open("ran", O_CREAT | O_WRONLY, 0600));
    if (i > 9)
        usleep(20000);
    return 0;
}
C
head -c 80 /dev/zero >x.bin
ln -s x.bin link
ln f.so hard.so
cp f.so f.copy
for file in x.bin ./x.bin link f.so hard.so out.npy ./out.npy "$PWD/out.npy"; do
    expect 2 map ./f.so:f raw:i8:10:x.bin --out f8: -o out.npy --failures "$file"
    says "--failures $file" "a file of their own"
done
cmp f.so f.copy || fail "the library was overwritten"
[ "$(wc -c <x.bin)" = 80 ] || fail "the input was overwritten"
absent out.npy
expect 2 run pi --failures -
# As it was when nothing ran; replaced, through a link, when something did.
echo old >records
ln -s records to_records
expect 3 map ./f.so:f range:0:5 --out f8: -o nowhere/out.npy --failures records
[ "$(cat records)" = old ] || fail "touched before the work"
expect 1 map ./f.so:f range:0:5 --out f8: -o out.npy --on-error continue --failures to_records
grep -q '"item":3,"state":"failed","code":7' records || fail "no record"
[ "$(wc -l <records)" = 1 ] && [ -L to_records ] || fail "not one record, or the link was replaced"
grep -q '"address":null' records || fail "an address without a fault"
expect 1 map ./f.so:f range:0:5 --out f8: -o out.npy --on-error continue --failures /dev/stdout
shows '"item":3'
{ # a log goes on: what stood there, the records, what follows
    echo before
    "$FORKMAP" map ./f.so:f range:0:5 --out f8: -o out.npy --on-error continue --failures /dev/stdout -q 2>/dev/null
    echo after
} >log
grep -qx before log && grep -qx after log && grep -q '"item":3' log || fail "the log lost lines: $(cat log)"
[ -z "$(find . -name '*.part')" ] || fail "a part of a file is left"
rm -f ran out.npy
set -m
"$FORKMAP" map ./f.so:f range:0:1000000 --out f8: -o out.npy --on-error continue --workers 1 \
    --failures records2 >stdout 2>stderr &
pid=$!
until [ -e ran ]; do
    kill -0 $pid 2>/dev/null || fail "it ended before the first item"
    sleep 0.05
done
[ ! -e records2 ] || fail "there before the end"
kill -TERM $pid
code=0
wait $pid || code=$?
[ $code = 143 ] || fail "exit code $code"
says "stopped by SIGTERM" records2
grep -q '"item":3,"state":"failed","code":7' records2 || fail "no record of what failed before the signal"
absent out.npy
[ -z "$(find . -name '*.part')" ] || fail "a temporary file is left"
