#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli crash
# TIMEOUT: 60
# --joblog appends a line of nine columns for each failed item; what failed in a run that was killed is added by the next one, once; and
# --retry-failed runs the failed items only.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
int f(const void *item, void *result, void *arg)
{
    const int64_t i = *(const int64_t *)item;
    (void)arg;
    *(double *)result = 3;
    if (access("good", F_OK) == 0)
        return i % 100 == 50 ? 0 : 99; /* no other item is to be run */
    if (i == 50)
        return 4;
    if (i == 150)
        abort();
    if (i == 250)
        exit(3);
    for (volatile int never = 1; i == 350 && never;)
        ;
    if (i == 900 && access("kill", F_OK) == 0) {
        usleep(200000);
        kill(0, SIGKILL);
    }
    return 0;
}
C
map=(map ./f.so:f range:0:1000 --out f8: -o out.npy --journal journal --joblog log --on-error continue --timeout 0.3)
head=$(printf 'Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand')
touch kill
set -m
"$FORKMAP" "${map[@]}" --workers 1 >stdout 2>stderr </dev/null &
pid=$!
code=0
wait $pid 2>/dev/null || code=$?
[ $code = 137 ] || fail "exit code $code"
[ "$(cat log)" = "$head" ] || fail "a killed run wrote $(cat log)"
rm kill
for _ in 1 2; do # the second time nothing is added
    expect 1 "${map[@]}"
    says "4 of 1000 items failed"
    [ "$(wc -l <log)" = 5 ] || fail "$(wc -l <log) lines"
done
[ "$(head -1 log)" = "$head" ] || fail "no head"
[ "$(awk -F '\t' 'NF != 9' log)" = "" ] || fail "a line has not nine columns"
[ "$(cut -f 1 log | tail -n +2 | sort -n | tr '\n' ' ')" = "50 150 250 350 " ] || fail "other items"
# A run of its own tells codes, signals and times.
rm journal out.npy log
expect 1 "${map[@]}"
[ "$(cut -f 1,2,5-8 log | tail -n +2 | tr '\t' ' ')" = "50 : 0 0 4 0
150 : 0 0 0 6
250 : 0 0 3 0
350 : 0 0 -1 9" ] || fail "other codes: $(cat log)"
now=$(date +%s)
awk -F '\t' -v now="$now" 'NR > 1 && ($3 < now - 60 || $3 > now + 1 || $4 < 0 || $4 > 60) { exit 1 }' log ||
    fail "other times: $(cat log)"
awk -F '\t' 'NR > 1 && index($9, "./f.so:f # item " $1 ":") != 1 { exit 1 }' log || fail "other commands"
touch good
expect 0 "${map[@]}" --retry-failed
says "996 of 1000 items were done before"
[ "$(wc -l <log)" = 5 ] || fail "good items were logged"
rm good
expect 0 "${map[@]}"
says "1000 of 1000"
# Without a journal; and to a file that is something else.
expect 1 map ./f.so:f range:40:60 --out f8: -o o.npy --joblog log --on-error continue
[ "$(wc -l <log)" = 6 ] || fail "not appended"
echo text >text
expect 2 map ./f.so:f range:40:60 --out none --joblog text
says "is no job log"
[ "$(cat text)" = text ] || fail "changed"
expect 2 map ./f.so:f range:40:60 --out f8: -o o.npy --joblog ./o.npy
expect 3 map ./f.so:f range:40:60 --out none --joblog nowhere/log
