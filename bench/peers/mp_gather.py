#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Python's pools as engines of bench/gather: the command is in bench/gather.h.

    mp_gather.py gather NAME WORKERS      NAME: mp.Pool, joblib

Each is used as its documentation shows it. By memmap joblib's calls write into a numpy.memmap of the caller's, here a file in memory
without a name, and what is sent back is the time alone.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import time
import weakref

PR_SET_PDEATHSIG = 1
PAGE = 4096


def end_with_parent():
    """Pool's workers outlive a parent that is killed; a benchmark must not leave them behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def make_bytes(task):
    n_bytes, value = task
    part = bytes([value]) * n_bytes
    return time.monotonic_ns(), part


def make_array(n_bytes, value):
    part = numpy.full(n_bytes, value, numpy.uint8)
    return time.monotonic_ns(), part


def fill_row(out, row, value):
    out[row] = value
    return time.monotonic_ns()


class Memory:
    """The memmaps, by size: a page a part, and what was asked for last."""

    def __init__(self, workers):
        self.workers = workers
        self.rows = {}

    def get(self, n_bytes):
        if n_bytes not in self.rows:
            self.rows = {size: rows for size, rows in self.rows.items() if size == PAGE}
            self.rows[n_bytes] = self.make(n_bytes)
        return self.rows[n_bytes]

    def make(self, n_bytes):
        file = os.memfd_create("results")
        os.ftruncate(file, self.workers * n_bytes)
        path = "/proc/%d/fd/%d" % (os.getpid(), file)
        rows = numpy.memmap(path, numpy.uint8, "r+", shape=(self.workers, n_bytes))
        weakref.finalize(rows, os.close, file)
        return rows


def gather_by_pool(pool, values, n_bytes):
    results = pool.map(make_bytes, [(n_bytes, value) for value in values], 1)
    has = time.monotonic_ns()
    return has, max(result[0] for result in results), [result[1] for result in results]


def gather_by_joblib(parallel, values, n_bytes):
    results = parallel(joblib.delayed(make_array)(n_bytes, value) for value in values)
    has = time.monotonic_ns()
    return has, max(result[0] for result in results), [result[1] for result in results]


def gather_by_memmap(parallel, memory, values, n_bytes):
    out = memory.get(n_bytes)
    ends = parallel(joblib.delayed(fill_row)(out, row, value) for row, value in enumerate(values))
    has = time.monotonic_ns()
    return has, max(ends), list(out)


def read_pages(parts):
    for part in parts:
        if isinstance(part, bytes):
            sum(part[::PAGE])
        else:
            int(part[::PAGE].sum())


def serve(gathers, workers):
    """gathers: by the command's name."""
    for gather in gathers.values():
        gather([0] * workers, PAGE)
    print("ready", flush=True)
    for line in sys.stdin:
        command, n_bytes, value = line.split()
        n_bytes, gather = int(n_bytes), gathers[command]
        values = [(int(value) + part) & 255 for part in range(workers)]
        gather(values, PAGE)
        has, end, parts = gather(values, n_bytes)
        begin = time.monotonic_ns()
        read_pages(parts)
        read = time.monotonic_ns() - begin
        if any(part[0] != v or part[-1] != v or len(part) != n_bytes for part, v in zip(parts, values)):
            raise RuntimeError("results are missing")
        print("%d %d -1" % (has - end, read), flush=True)


def main():
    name, workers = sys.argv[2], int(sys.argv[3])
    if name == "mp.Pool":
        multiprocessing.set_start_method("fork")
        with multiprocessing.Pool(workers, initializer=end_with_parent) as pool:
            serve({"gather": lambda values, n_bytes: gather_by_pool(pool, values, n_bytes)}, workers)
        return
    memory = Memory(workers)
    with joblib.Parallel(n_jobs=workers) as parallel:
        gathers = {
            "gather": lambda values, n_bytes: gather_by_joblib(parallel, values, n_bytes),
            "memmap": lambda values, n_bytes: gather_by_memmap(parallel, memory, values, n_bytes),
        }
        serve(gathers, workers)


try:
    import joblib
    import numpy
except ImportError as error:
    if __name__ == "__main__" and sys.argv[2] != "mp.Pool":
        print("missing", error, flush=True)
        sys.exit(0)

if __name__ == "__main__":
    main()
