#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CPython's pools as engines of bench/recover: the command is in bench/recover.h. Standard library only.

    mp_recover.py recover NAME WORKERS      NAME: mp.Pool, ProcessPoolExecutor

Each sample has a pool of its own, in a process of its own: what hangs is killed with all that belongs to it.
"""

import concurrent.futures
import concurrent.futures.process
import ctypes
import mmap
import multiprocessing
import os
import select
import signal
import struct
import sys
import time

PR_SET_PDEATHSIG = 1
N_ITEMS = 64  # BENCH_RECOVER_ITEMS
HANG_S = 3.0  # BENCH_RECOVER_HANG_MS
INSIDE_S = 300e-6
LONG = bytes(1 << 20)

memory = mmap.mmap(-1, 8)  # shared: when the victim died [ns]
lock = queue = None  # of the sample


def end_with_parent():
    """Pool's workers outlive a parent that is killed; a benchmark must not leave them behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def die(*_):
    struct.pack_into("q", memory, 0, time.monotonic_ns())
    os.kill(os.getpid(), signal.SIGKILL)


def die_soon():
    """In the midst of the call that follows."""
    signal.signal(signal.SIGALRM, die)
    signal.setitimer(signal.ITIMER_REAL, INSIDE_S)


def work(task):
    case, item, steps = task
    x = 1
    for _ in range(steps // 64):  # a step of the interpreter takes so many times as long
        x = (x * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
    if item == N_ITEMS // 2:
        if case == "lock":
            lock.acquire()
        elif case == "put":
            die_soon()
            queue.put(LONG)
        elif case == "get":
            die_soon()
            queue.get()
        die()
    if case == "lock":
        with lock:
            x += 1
    return item + x


def run_map(name, workers, tasks):
    """In a child: how the map ended, and when. The pool is not closed: the process is killed."""
    global lock, queue
    lock, queue = multiprocessing.Lock(), multiprocessing.SimpleQueue()
    if name == "mp.Pool":
        pool = multiprocessing.Pool(workers, initializer=end_with_parent)
    else:
        pool = concurrent.futures.ProcessPoolExecutor(workers, initializer=end_with_parent)
    begin = time.monotonic_ns()
    try:
        list(pool.map(work, tasks))
        return "done %d" % (time.monotonic_ns() - begin)
    except concurrent.futures.process.BrokenProcessPool:
        return "broken %d" % (time.monotonic_ns() - died_ns())


def died_ns():
    return struct.unpack_from("q", memory, 0)[0]


def hangs(source):
    """Waits until the map has ended (False), or has not for so long after the death."""
    while not select.select([source], [], [], 0.05)[0]:
        if died_ns() and time.monotonic_ns() - died_ns() > HANG_S * 1e9:
            return True
    return False


def die_once(name, workers, tasks):
    source, sink = os.pipe()
    struct.pack_into("q", memory, 0, 0)
    pid = os.fork()
    if pid == 0:
        end_with_parent()
        os.write(sink, run_map(name, workers, tasks).encode())
        os._exit(0)
    os.close(sink)
    how = "hangs" if hangs(source) else os.read(source, 100).decode()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(source)
    return how


def main():
    name, workers = sys.argv[2], int(sys.argv[3])
    multiprocessing.set_start_method("fork")
    print("ready", flush=True)
    for line in sys.stdin:
        _, case, steps = line.split()
        tasks = [(case, item, int(steps)) for item in range(N_ITEMS)]
        print(die_once(name, workers, tasks), flush=True)


if __name__ == "__main__":
    main()
