# SPDX-License-Identifier: MIT
# LABELS: stress
# TIMEOUT: 120
# 5 GiB of input, sparse so that it takes no disk, and the sums of its rows, in a control group with 512 MiB of memory.
. "$(dirname "$0")/common.bash"

group=/sys/fs/cgroup/memory/forkmap-test-$$ limit=memory.limit_in_bytes
[ -d /sys/fs/cgroup/memory ] || { group=/sys/fs/cgroup/forkmap-test-$$ limit=memory.max; }
mkdir "$group" 2>/dev/null && { echo $((512 << 20)) >"$group/$limit"; } 2>/dev/null || {
    rmdir "$group" 2>/dev/null
    skip "the right to make a control group with a memory limit"
}
trap 'sleep 0.2; rmdir "$group"' EXIT

rows=1310720 columns=512
{
    printf '\x93NUMPY\x01\x00\x76\x00'
    printf '%-117s\n' "{'descr': '<f8', 'fortran_order': False, 'shape': ($rows, $columns), }"
} >in.npy
truncate -s $((128 + rows * columns * 8)) in.npy

library f <<'END'
int sum(const void *item, void *result, void *arg)
{
    const double *x = item;
    double sum = 0.0;
    (void)arg;
    for (int i = 0; i < 512; i++)
        sum += x[i];
    *(double *)result = sum + 1.0;
    return 0;
}
END
bash -c "echo \$\$ >'$group/cgroup.procs' && exec '$FORKMAP' map ./f.so:sum in.npy --out f8: -o out.npy" \
    >stdout 2>stderr </dev/null || fail "exit code $?"
[ "$(stat -c %s out.npy)" -eq $((128 + rows * 8)) ] || fail "out.npy has another size"
seen=$(tail -c +129 out.npy | od -An -v -t f8 -w8 | awk '$1 == 1 { ones++ } END { print ones + 0 }')
[ "$seen" -eq "$rows" ] || fail "$seen rows of $rows are 1.0"
