#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli crash
# TIMEOUT: 150
# kill -9 of all processes of one `forkmap map --journal` at random moments, again and again, until it completes: the output is that of a
# map that nobody disturbed, and each kill costs one cell for each worker at most. The function counts how often it began each cell.
# The large one: JOURNAL_KILLS=50 JOURNAL_ITEMS=10000000 JOURNAL_NS=10000 JOURNAL_LIFE_MS=1000, two minutes.
. "$(dirname "$0")/common.bash"
kills=${JOURNAL_KILLS:-5} items=${JOURNAL_ITEMS:-100000} item_ns=${JOURNAL_NS:-15000} life_ms=${JOURNAL_LIFE_MS:-120} workers=2
seed=${JOURNAL_SEED:-$$}
RANDOM=$seed
cell=$(((items + 65535) / 65536))
cells=$(((items + cell - 1) / cell))
library f <<'C'
#include <errno.h>
#include <fcntl.h>
#include <forkmap/forkmap.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
/* arg: counts=FILE cell=ITEMS ns=NS, one a line. */
static _Atomic unsigned *counts;
static long long cell, ns;
static int begin(const char *arg)
{
    char path[4096];
    if (sscanf(arg, "counts=%4095s\ncell=%lld\nns=%lld", path, &cell, &ns) != 3)
        return EINVAL;
    int fd = open(path, O_RDWR);
    void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 65536 * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return errno;
    counts = p;
    return 0;
}
static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}
int f(const fm_chunk *chunk, void *arg)
{
    const int rc = counts == NULL ? begin(arg) : 0;
    if (rc != 0)
        return rc;
    if (chunk->begin % cell == 0)
        atomic_fetch_add(&counts[chunk->begin / cell], 1);
    const long long end = now() + ns * chunk->count;
    for (long long k = 0; k < chunk->count; k++) {
        const double x = (double)(chunk->begin + k);
        *(double *)((char *)chunk->out + k * chunk->out_stride) = x * x / 3 + 1;
    }
    while (now() < end)
        ;
    return 0;
}
C
# look: cells that began, all times they did; and cells that the journal calls done.
program look <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    static unsigned counts[65536];
    static unsigned long long done[1024];
    unsigned long long begun = 0, n_done = 0;
    int fd = open(argv[1], O_RDONLY), journal = open(argv[2], O_RDONLY);
    if (argc != 3 || read(fd, counts, sizeof counts) != sizeof counts)
        return 1;
    for (int i = 0; i < 65536; i++)
        begun += counts[i];
    if (journal >= 0 && pread(journal, done, sizeof done, 4096) != sizeof done)
        return 1;
    for (int i = 0; i < 1024; i++)
        n_done += (unsigned)__builtin_popcountll(done[i]);
    printf("%llu %llu\n", begun, n_done);
    return 0;
}
C
head -c 262144 /dev/zero >undisturbed.counts
cp undisturbed.counts counts
expect 0 map ./f.so:f "range:0:$items" --chunk-fn --out f8: -o undisturbed.npy --workers $workers \
    --arg counts=undisturbed.counts --arg "cell=$cell" --arg ns=0
map=(map ./f.so:f "range:0:$items" --chunk-fn --out f8: -o out.npy --workers "$workers" --journal journal
    --arg counts=counts --arg "cell=$cell" --arg "ns=$item_ns")
set -m # each command is a group of its own
begin_seconds=$SECONDS n_kills=0 most_lost=0 begun_before=0 done_before=0
while [ "$n_kills" -lt "$kills" ]; do
    "$FORKMAP" "${map[@]}" >stdout 2>stderr </dev/null &
    pid=$!
    if [ $((n_kills % 2)) = 1 ]; then # every other time not before a cell has begun: on a busy machine the start takes long
        until [ "$(./look counts journal)" != "$begun_before $done_before" ] || ! kill -0 $pid 2>/dev/null; do
            sleep 0.02
        done
    fi
    life=$((RANDOM % life_ms))
    sleep "$(printf '%d.%03d' $((life / 1000)) $((life % 1000)))"
    kill -9 -$pid 2>/dev/null || fail "seed $seed: it ended before it was killed $kills times"
    code=0
    wait $pid 2>/dev/null || code=$?
    [ $code = 137 ] || fail "seed $seed: exit code $code"
    while kill -0 -$pid 2>/dev/null; do # what is killed takes a moment to end
        sleep 0.01
    done
    n_kills=$((n_kills + 1))
    [ ! -e out.npy ] || fail "seed $seed: out.npy is there before all is done"
    read -r begun n_done <<<"$(./look counts journal)"
    lost=$((begun - begun_before - (n_done - done_before)))
    [ $lost -le $workers ] || fail "seed $seed, kill $n_kills: $lost cells of $workers workers were lost"
    [ $lost -le $most_lost ] || most_lost=$lost
    begun_before=$begun done_before=$n_done
done
expect 0 "${map[@]}"
[ "$done_before" = 0 ] || says "of $items items were done before"
read -r begun n_done <<<"$(./look counts journal)"
[ "$n_done" = "$cells" ] || fail "seed $seed: $n_done of $cells cells are done"
echo "seed $seed: $n_kills kills in $((SECONDS - begin_seconds)) s; $cells cells of $cell items; $((begun - cells)) were run again, $most_lost after one kill at most; $done_before were done at the last kill"
cmp undisturbed.npy out.npy || fail "seed $seed: the output is another one"
[ -z "$(find . -name '*.part')" ] || fail "a part is left"
[ "$done_before" -gt 0 ] || fail "seed $seed: no kill found a cell that was done"
expect 0 "${map[@]}"
says "$items of $items items were done before"
[ "$(./look counts journal)" = "$begun $cells" ] || fail "a complete map ran something"
