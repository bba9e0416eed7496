#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CPython's multiprocessing.Pool as an engine of the benchmarks: the protocol of bench/engine.h.

    mp_pool.py launch NAME WORKERS
    mp_pool.py balance NAME WORKERS ITEMS STEPS_PER_US LIBRARY
    mp_pool.py item NAME WORKERS ITEMS
    mp_pool.py tasks NAME WORKERS
    mp_pool.py stream NAME WORKERS

The commands are those of bench/launch.h, balance.h, item.h, tasks.h and stream.h. Standard library only. The pool is used as
its documentation shows it: default chunk sizes, start method fork, no pinning. NAME ProcessPoolExecutor is that of
concurrent.futures, mp.imap-100 is imap with chunks of 100.
"""

import concurrent.futures
import contextlib
import ctypes
import mmap
import multiprocessing
import multiprocessing.pool
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
WARM = 20
CASES = ("triangular", "reversed", "lognormal", "pareto-1.5", "one-giant")


def end_with_parent():
    """Pool's workers outlive a parent that is killed; a benchmark must not leave them behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def answer(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# ---- launch: one trivial item per worker ----


def do_nothing(item):
    return item


def time_launches(pool, n_items, gap_ns, max_launches, max_ns):
    now = time.perf_counter_ns
    total = launches = 0
    while launches < max_launches and total < max_ns:
        until = now() + gap_ns
        while now() < until:
            pass
        begin = now()
        results = pool.map(do_nothing, range(n_items))
        total += now() - begin
        launches += 1
        if results != list(range(n_items)):
            raise RuntimeError("items are missing")
    return total / launches


def serve_launch(workers):
    with multiprocessing.Pool(workers, initializer=end_with_parent) as pool:
        answer("ready")
        for line in sys.stdin:
            gap_ns, max_launches, max_ns = (int(word) for word in line.split()[2:5])
            time_launches(pool, workers, gap_ns, WARM, max_ns)
            answer("%.3f" % time_launches(pool, workers, gap_ns, max_launches, max_ns))


# ---- balance: the kernel's object code through ctypes, over memory shared before the fork ----


class KernelContext(ctypes.Structure):
    """struct bench_kernel_ctx"""

    _fields_ = [
        ("iterations", ctypes.c_void_p),
        ("result", ctypes.c_void_p),
        ("stride", ctypes.c_int64),
    ]


class Problem:
    def __init__(self, library, name, n_items, steps_per_us):
        self.memory = mmap.mmap(-1, n_items * 12)
        self.n_bytes = n_items * 8
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.context = KernelContext(base + self.n_bytes, base, 1)
        if library.bench_items_fill(self.context.iterations, n_items, name.encode(), steps_per_us):
            raise RuntimeError("no case " + name)

    def clear(self):
        ctypes.memset(self.context.result, 0, self.n_bytes)


library = None
problems = {}


def load_library(path):
    global library
    pointer, i64 = ctypes.c_void_p, ctypes.c_int64
    library = ctypes.CDLL(path)
    library.bench_kernel.argtypes = (i64, i64, pointer)
    library.bench_kernel.restype = None
    library.bench_items_fill.argtypes = (pointer, i64, ctypes.c_char_p, ctypes.c_double)
    library.bench_items_checksum.argtypes = (pointer, i64)
    library.bench_items_checksum.restype = ctypes.c_uint64


def run_item(item):
    name, i = item
    library.bench_kernel(i, i + 1, ctypes.addressof(problems[name].context))


def time_map(pool, name, n_items, workers):
    problem = problems[name]
    items = [(name, i) for i in range(n_items)]
    pool.map(run_item, items[:workers])
    problem.clear()
    begin = time.perf_counter_ns()
    pool.map(run_item, items)
    ns = time.perf_counter_ns() - begin
    checksum = library.bench_items_checksum(problem.context.result, problem.n_bytes // 4)
    return "%.6f %016x" % (ns * 1e-6, checksum)


def serve_balance(workers, n_items, steps_per_us, path):
    load_library(path)
    for name in CASES:
        problems[name] = Problem(library, name, n_items, steps_per_us)
    with multiprocessing.Pool(workers, initializer=end_with_parent) as pool:
        answer("ready")
        for line in sys.stdin:
            answer(time_map(pool, line.split()[1], n_items, workers))


# ---- item: very many trivial items, ints to ints ----


def multiply_and_add(item):
    return item * 5 + 1


def time_items(pool, n_items):
    items = list(range(n_items))
    begin = time.perf_counter_ns()
    results = pool.map(multiply_and_add, items)
    ns = time.perf_counter_ns() - begin
    if results != [multiply_and_add(item) for item in items]:
        raise RuntimeError("items are missing")
    return ns / n_items


def serve_item(workers):
    with multiprocessing.Pool(workers, initializer=end_with_parent) as pool:
        answer("ready")
        for line in sys.stdin:
            time_items(pool, WARM)
            answer("%.6f" % time_items(pool, int(line.split()[2])))


# ---- tasks: single calls, 64 bytes to 64 bytes ----


def copy_block(block):
    return block[:8] + block[8:]


def run_batches(submit, get, batch, max_ns):
    """Returns begin, end and number of tasks."""
    block = bytes(range(64))
    n_done = 0
    end = begin = time.perf_counter_ns()
    while end - begin < max_ns:
        results = [get(pending) for pending in [submit(copy_block, block) for _ in range(batch)]]
        if results != [block] * batch:
            raise RuntimeError("results are missing")
        n_done += batch
        end = time.perf_counter_ns()
    return begin, end, n_done


def time_tasks(submit, get, n_submitters, batch, max_ns):
    run_batches(submit, get, batch, 1)
    with concurrent.futures.ThreadPoolExecutor(n_submitters) as threads:
        runs = [threads.submit(run_batches, submit, get, batch, max_ns) for _ in range(n_submitters)]
        begins, ends, counts = zip(*(run.result() for run in runs))
    return (max(ends) - min(begins)) / sum(counts)


def serve_tasks(name, workers):
    with contextlib.ExitStack() as stack:
        if name == "ProcessPoolExecutor":
            executor = concurrent.futures.ProcessPoolExecutor(workers, initializer=end_with_parent)
            submit, get = stack.enter_context(executor).submit, concurrent.futures.Future.result
        else:
            pool = stack.enter_context(multiprocessing.Pool(workers, initializer=end_with_parent))
            submit, get = lambda f, x: pool.apply_async(f, (x,)), multiprocessing.pool.AsyncResult.get
        run_batches(submit, get, 1, 1)
        answer("ready")
        for line in sys.stdin:
            answer("%.3f" % time_tasks(submit, get, *(int(word) for word in line.split()[1:4])))


# ---- stream: numbers to bytes objects ----


def make_bytes(item):
    number, n_bytes = item
    return number.to_bytes(8, "little") + bytes([number & 255]) * (n_bytes - 8)


def time_stream(imap, n_bytes, n_items, chunk):
    items = [(number, n_bytes) for number in range(n_items)]
    begin = time.perf_counter_ns()
    numbers = [int.from_bytes(result[:8], "little") for result in imap(make_bytes, items, chunk)]
    ns = time.perf_counter_ns() - begin
    if sorted(numbers) != list(range(n_items)):
        raise RuntimeError("results are missing")
    return ns / n_items


def serve_stream(name, workers):
    with multiprocessing.Pool(workers, initializer=end_with_parent) as pool:
        answer("ready")
        for line in sys.stdin:
            _, order, n_bytes, n_items = line.split()
            imap = pool.imap if order == "ordered" else pool.imap_unordered
            chunk = 100 if name == "mp.imap-100" else 1
            time_stream(imap, 64, 16, chunk)
            answer("%.3f" % time_stream(imap, int(n_bytes), int(n_items), chunk))


def main(arguments):
    multiprocessing.set_start_method("fork")
    suite, workers = arguments[0], int(arguments[2])
    if suite == "launch":
        serve_launch(workers)
    elif suite == "balance":
        serve_balance(workers, int(arguments[3]), float(arguments[4]), arguments[5])
    elif suite == "item":
        serve_item(workers)
    elif suite == "tasks":
        serve_tasks(arguments[1], workers)
    elif suite == "stream":
        serve_stream(arguments[1], workers)


if __name__ == "__main__":
    main(sys.argv[1:])
