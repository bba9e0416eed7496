#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 60
# --journal keeps OUT.part until all is done, goes on after a signal and a failure, changes nothing when all is done, and refuses another
# map's; words that do not go together are refused.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>
int f(const void *item, void *result, void *arg)
{
    const int64_t i = *(const int64_t *)item;
    (void)arg;
    *(double *)result = 0.5 * (double)i;
    close(open("ran", O_CREAT | O_WRONLY, 0600));
    if (access("slow", F_OK) == 0)
        usleep(2000);
    return i == 700 && access("bad", F_OK) == 0 ? 7 : 0;
}
int g(const void *item, void *result, void *arg)
{
    (void)item, (void)arg;
    *(double *)result = 1;
    return 0;
}
C
map=(map ./f.so:f range:0:1000 --out f8: -o out.npy --journal journal)
expect 0 map ./f.so:f range:0:1000 --out f8: -o right.npy
# A signal.
touch slow
rm -f ran
set -m
"$FORKMAP" "${map[@]}" >stdout 2>stderr &
pid=$!
until [ -e ran ] && [ -e journal ]; do
    kill -0 $pid 2>/dev/null || fail "it ended before the first item"
    sleep 0.02
done
sleep 0.1
kill -TERM $pid
code=0
wait $pid || code=$?
[ $code = 143 ] || fail "exit code $code"
says "forkmap: stopped by SIGTERM: " " of 1000 items done; what is done is kept" "the same command goes on"
[ ! -e out.npy ] && [ -e out.npy.part ] || fail "not out.npy.part alone"
rm slow
# A failure that ends the map, and is tried again.
touch bad
expect 1 "${map[@]}"
says "item 700: the function returned 7" "unfinished: out.npy"
[ -e out.npy.part ] || fail "the part is gone"
rm bad
echo old >old
cp right.npy link_target.npy
expect 0 "${map[@]}"
says "of 1000 items were done before"
cmp right.npy out.npy || fail "another output"
[ ! -e out.npy.part ] || fail "a part is left"
# All is done.
rm ran
stamp=$(stat -c '%i %Y' out.npy)
expect 0 "${map[@]}" --workers 3 --schedule static
says "1000 of 1000 items were done before"
[ ! -e ran ] && [ "$(stat -c '%i %Y' out.npy)" = "$stamp" ] || fail "something ran"
expect 0 "${map[@]}" --json
shows '"before":1000'
# Another map's.
expect 3 map ./f.so:g range:0:1000 --out f8: -o out.npy --journal journal
says "journal is the journal of another map" "the function is another one"
expect 3 "${map[@]}" --seed 5
says "the arguments or the seed"
expect 3 "${map[@]}" --arg a=1
says "the arguments or the seed"
expect 3 map ./f.so:f range:0:1000 --out f8: -o other.npy --journal journal
says "the output is another file"
absent other.npy
expect 3 map ./f.so:f range:0:999 --out f8: -o out.npy --journal journal
says "another type or shape" "remove"
cmp right.npy out.npy || fail "a refused map changed the output"
expect 3 map ./f.so:f range:0:1000 --out f8: -o other.npy --journal old
says "is no journal"
[ "$(cat old)" = old ] || fail "a file that is no journal was changed"
absent other.npy
# Words.
expect 2 map ./f.so:f range:0:10 --out f8: -o other.npy --retry-failed
says "--retry-failed needs the --journal"
expect 2 run pi --arg n=10 --arg steps=10 --journal j2
says "--journal is for functions of your own"
expect 2 map ./f.so:f range:0:10 --out f8: -o /dev/stdout --journal j2
expect 2 map ./f.so:f range:0:10 --out f8: -o other.npy --journal other.npy
says "a file of its own"
expect 2 map ./f.so:f range:0:10 --out f8: -o other.npy --journal j2 --joblog j2
expect 2 map ./f.so:f right.npy --out f8: -o right.npy --journal j2
says "must not be an INPUT"
expect 2 map ./f.so:f range:0:10 --out f8: -o other.npy --journal j2 --map never
expect 3 map ./f.so:f range:0:10 --out f8: -o other.npy --journal nowhere/j2
absent other.npy j2
# Without an output; and an expression.
expect 0 map ./f.so:g range:0:1000 --out f8: -o g.npy --journal g.journal
rm -f ran
expect 0 map -e 'x/2' range:0:1000 -o e.npy --journal e.journal
expect 0 map -e 'x/2' range:0:1000 -o e.npy --journal e.journal
says "1000 of 1000 items were done before"
cmp right.npy e.npy || fail "the expression gave something else"
# An output that replaces a file keeps its permissions; a link stays.
chmod 640 link_target.npy
ln -s link_target.npy link.npy
expect 0 map ./f.so:f range:0:1000 --out f8: -o link.npy --journal l.journal
[ -L link.npy ] && [ "$(stat -c %a link_target.npy)" = 640 ] || fail "the link or the permissions are gone"
cmp right.npy link_target.npy || fail "another output behind the link"
