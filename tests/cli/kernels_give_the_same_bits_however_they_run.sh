#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 120
# Workers, schedule, chunk and caller change the time of a kernel, never its output file.
. "$(dirname "$0")/common.bash"
small="--arg n=200 --arg width=64 --arg max_iter=200"
# shellcheck disable=SC2086  # the words are to be split
expect 0 run mandelbrot $small --workers 1 --verify -o one.npy
says "verified:"
for how in "--workers 2" "--workers 3 --schedule static" "--workers 2 --schedule dynamic --chunk 7" \
    "--workers 2 --schedule guided" "--workers 2 --caller works" "--workers 3 --chunk python --pin none"; do
    # shellcheck disable=SC2086
    expect 0 run mandelbrot $small $how -o other.npy
    cmp one.npy other.npy || fail "$how: other bits"
done
expect 0 run pi --arg n=64 --arg steps=500 --compare --repeats 2
shows serial "OpenMP, static" "forkmap, auto" "forkmap / OpenMP" "same bits"
expect 0 kernels
shows docking mandelbrot pi "rows of f4:6" "steps=65536"
