#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 60
# SIGINT, SIGTERM and SIGHUP end the map, after a while also one of endless items: exit code 128 + n, the output is not written, no process stays.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <fcntl.h>
#include <unistd.h>
int slow(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    *(double *)result = 1;
    close(open("ran", O_CREAT | O_WRONLY, 0600));
    usleep(20000);
    return 0;
}
int endless(const void *item, void *result, void *arg)
{
    (void)item, (void)result, (void)arg;
    close(open("ran", O_CREAT | O_WRONLY, 0600));
    for (volatile int never = 1; never;)
        ;
    return 0;
}
C
set -m # jobs in the background keep SIGINT
for kind in "INT slow" "TERM slow" "HUP endless"; do
    read -r signal function <<<"$kind"
    rm -f ran
    "$FORKMAP" map ./f.so:$function range:0:100000000 --out f8: -o out.npy >stdout 2>stderr &
    pid=$!
    until [ -e ran ]; do
        kill -0 $pid 2>/dev/null || fail "it ended before the first item"
        sleep 0.05
    done
    kill -$signal $pid
    code=0
    wait $pid || code=$?
    [ $code = $((128 + $(kill -l $signal))) ] || fail "SIG$signal: exit code $code"
    says "stopped by SIG$signal"
    absent out.npy
    for _ in 1 2 3 4 5 6 7 8 9 10; do # the job was a process group of its own: nobody may be left in it
        kill -0 -$pid 2>/dev/null || break
        sleep 0.1
    done
    ! kill -0 -$pid 2>/dev/null || fail "SIG$signal: a process is left"
done
