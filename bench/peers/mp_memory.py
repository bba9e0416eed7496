#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CPython's multiprocessing.Pool as an engine of bench/memory: the commands are in bench/memory.h. Standard library only.

    mp_memory.py memory NAME CORES
"""

import ctypes
import multiprocessing
import signal
import sys

PR_SET_PDEATHSIG = 1
ROW_BYTES = 1 << 20
NEXT = bytes((value + 1) & 255 for value in range(256))

kept = []  # pools and data: the driver looks at them when the answer is there


def end_with_parent():
    """Pool's workers outlive a parent that is killed; a benchmark must not leave them behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def do_nothing(item):
    return item


def next_bytes(row):
    return row.translate(NEXT)


def open_pool(workers):
    pool = multiprocessing.Pool(workers, initializer=end_with_parent)
    if pool.map(do_nothing, range(workers), 1) != list(range(workers)):
        raise RuntimeError("items are missing")
    kept.append(pool)
    return pool


def map_data(workers, n_bytes):
    rows = [bytes([i & 255]) * ROW_BYTES for i in range(n_bytes // 2 // ROW_BYTES)]
    results = open_pool(workers).map(next_bytes, rows)
    for i, result in enumerate(results):
        if len(result) != ROW_BYTES or result.count((i + 1) & 255) != ROW_BYTES:
            raise RuntimeError("items are missing")
    kept.extend((rows, results))


def main():
    cores = int(sys.argv[3])
    multiprocessing.set_start_method("fork")
    print("ready", flush=True)
    for line in sys.stdin:
        command, number = line.split()
        if command == "open":
            open_pool(int(number))
        else:
            map_data(cores, int(number))
        print(0, flush=True)
    kept[0].terminate()


if __name__ == "__main__":
    main()
