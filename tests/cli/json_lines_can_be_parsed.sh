#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 60
# --json gives one object per line, each with its event, whatever the function's notes contain.
. "$(dirname "$0")/common.bash"
program check -ljansson <<'C'
#include <jansson.h>
#include <string.h>
/* check EVENT...: the lines of stdin are objects with these events, in this order. */
int main(int argc, char **argv)
{
    char line[65536];
    int n = 0;
    while (fgets(line, sizeof line, stdin) != NULL) {
        json_error_t why;
        json_t *event = json_loads(line, JSON_REJECT_DUPLICATES, &why);
        if (event == NULL)
            return fprintf(stderr, "%s: %s", why.text, line), 1;
        const char *name = json_string_value(json_object_get(event, "event"));
        if (name == NULL || (strcmp(name, "progress") != 0 && (++n >= argc || strcmp(name, argv[n]) != 0)))
            return fprintf(stderr, "not the event in turn: %s", line), 1;
        json_decref(event);
    }
    return n != argc - 1;
}
C
library f <<'C'
#include <forkmap/forkmap.h>
int f(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = 1;
    if (*(const int64_t *)item != 3)
        return 0;
    fm_note("a \"quote\", a \\, a \n, a \033[1m, and no UTF-8: \xff\xfe");
    return 42;
}
C
expect 0 map ./f.so:f range:10:20 --out f8: -o out.npy --json --progress
./check start summary <stdout || fail "success"
shows '"items":10,"done":10,"failed":0' '"output":"out.npy"' '"exit":0'
expect 1 map ./f.so:f range:0:10 --out f8: -o out.npy --json --on-error continue
./check start failure error summary <stdout || fail "a failed item"
shows '"item":3,"state":"failed","code":42' '"done":9,"failed":1' '"exit":1'
says 'item 3: the function returned 42' 'note: "a "quote"'
grep -q "$(printf '\033')" stderr && fail "an escape sequence reached the terminal"
expect 3 map ./f.so:f nowhere.npy --out f8: -o out.npy --json
./check error <stdout || fail "an error"
expect 0 kernels
events=$(sed -n 's/^[^ ].*/kernel/p' stdout)
expect 0 kernels --json
# shellcheck disable=SC2086  # one word for each kernel
./check $events <stdout || fail "kernels"
expect 0 topo --json --workers 3
./check budget machine worker worker worker <stdout || fail "topo"
expect 0 run pi --arg n=16 --arg steps=100 --json --verify --compare --repeats 2
./check start summary compare <stdout || fail "compare"
shows '"verified":true' '"same_bits":true'
