#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Starts of CPython's multiprocessing.Pool as an engine of bench/start: the commands are in bench/start.h.

Standard library only, and no more of it than is needed, because a spawned child imports this file again.
"""

import mmap
import multiprocessing
import sys
import time

METHODS = ("fork", "forkserver", "spawn")


def do_nothing(item):
    return item


def start_once(context, workers):
    begin = time.perf_counter_ns()
    pool = context.Pool(workers)
    results = pool.map(do_nothing, range(workers))
    pool.terminate()
    pool.join()
    ns = time.perf_counter_ns() - begin
    if results != list(range(workers)):
        raise RuntimeError("items are missing")
    return ns


def time_starts(method, workers, max_starts, max_ns):
    context = multiprocessing.get_context(method)
    start_once(context, workers)
    total = n = 0
    while n < max_starts and total < max_ns:
        total += start_once(context, workers)
        n += 1
    return total / n


def make_heap(n_bytes):
    if n_bytes == 0:
        return None
    heap = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        heap.madvise(mmap.MADV_NOHUGEPAGE)
    except OSError:
        pass  # a kernel without huge pages
    heap[:: mmap.PAGESIZE] = b"\1" * ((n_bytes + mmap.PAGESIZE - 1) // mmap.PAGESIZE)
    return heap


def answer(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main():
    heap = None
    for method in METHODS:
        start_once(multiprocessing.get_context(method), 1)
    answer("ready")
    for line in sys.stdin:
        words = line.split()
        if words[0] == "heap":
            if heap is not None:
                heap.close()
            heap = make_heap(int(words[1]))
            answer("ok")
        else:
            answer("%.3f" % time_starts(words[1], *(int(word) for word in words[2:5])))


if __name__ == "__main__":
    main()
