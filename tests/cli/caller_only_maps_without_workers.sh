#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: fork
# --caller only: no process but the command; the same output as with workers.
. "$(dirname "$0")/common.bash"

cat >f.c <<'END'
#include <stdint.h>
#include <unistd.h>
int square(const void *item, void *result, void *arg)
{
    const int64_t i = *(const int64_t *)item;
    (void)arg;
    *(int64_t *)result = i * i;
    return 0;
}
int tell(const void *item, void *result, void *arg)
{
    (void)item, (void)arg;
    *(int64_t *)result = getpid();
    return 0;
}
END
"$CC" -O1 -shared -fPIC f.c -o f.so
"$FORKMAP" map ./f.so:square range:0:1000 --out i8: -o workers.npy 2>/dev/null
"$FORKMAP" map ./f.so:square range:0:1000 --out i8: -o only.npy --caller only 2>/dev/null
cmp workers.npy only.npy
"$FORKMAP" map ./f.so:tell range:0:3 --out i8: -o pids.npy --caller only 2>/dev/null &
command=$!
wait "$command"
tail -c 24 pids.npy | od -v -An -t d8 -w8 | while read -r pid; do
    [ "$pid" -eq "$command" ] || { echo "an item ran in process $pid, not in the command, $command" >&2 && exit 1; }
done
