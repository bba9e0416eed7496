#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli crash
# TIMEOUT: 120
# Of a million items one crashes, one exits, one loops for ever, one overflows the stack and one is killed: all
# others are right, and five records tell what happened. With a chunk function: the chunk is split until the single bad item is found.
. "$(dirname "$0")/common.bash"
library bad <"$here/five_bad_items.c"
program check <<'C'
#include "npy.h"
int main(void)
{
    const double *y = npy_load("out.npy", "<f8", "(1000000,)", 1000000, 8);
    int right = 0;
    for (long i = 0; i < 1000000; i++)
        if (i >= 777 && i <= 781 ? y[i] != 0 : y[i] != (double)i * (double)i)
            return 1;
        else
            right += i < 777 || i > 781;
    return right != 999995;
}
C
expect 1 map ./bad.so:chunk range:0:1000000 --chunk-fn --out f8: -o out.npy --timeout 0.6 --on-error continue \
    --failures failures.jsonl
./check || fail "wrong results"
says "item 777: crashed by SIGSEGV at address 0x0 in square at bad.so+0x" \
    "item 778: exit(3) called in the function (worker " \
    "item 779: passed the time limit of 0.6 s (worker " \
    "item 780: crashed by SIGSEGV: stack overflow in " \
    "item 781: crashed by SIGKILL (worker " \
    "5 of 1000000 items failed: 1 crashed (SIGSEGV), 1 exited (3), 1 passed the time limit, 1 crashed (SIGSEGV, stack overflow), 1 crashed (SIGKILL)" "999995 of 1000000 items"
[ "$(grep -c '^item ' stderr)" = 5 ] || fail "not five records"
[ "$(grep -c '"event":"failure".*"worker":[0-9].*"attempt":[0-9]' failures.jsonl)" = 5 ] ||
    fail "not five records in the file"
grep -q '"item":777,"state":"crashed","code":0,"signal":"SIGSEGV"' failures.jsonl || fail "no record of 777"
grep -q '"item":778,"state":"crashed","code":3,"signal":null' failures.jsonl || fail "no record of 778"
grep -q '"item":779,"state":"time' failures.jsonl || fail "no record of 779"
