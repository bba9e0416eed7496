#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CPython's multiprocessing.Value as an engine of the lock benchmark: the protocol of bench/engine.h, the command of bench/lock.h.

    mp_lock.py lock NAME

A turn is the documented way to add to a shared value: `with value.get_lock(): value.value += 1`. Standard library only.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1


def answer(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def take_turns(value, barrier, n):
    barrier.wait()
    for _ in range(n):
        with value.get_lock():
            value.value += 1


def other(value, barrier, n, cpu):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.sched_setaffinity(0, {cpu})
    take_turns(value, barrier, n)


def time_turns(context, cpus, n_processes, n):
    value = context.Value("q", 0)
    barrier = context.Barrier(n_processes)
    others = [
        context.Process(target=other, args=(value, barrier, n, cpus[i % len(cpus)]))
        for i in range(1, n_processes)
    ]
    for process in others:
        process.start()
    os.sched_setaffinity(0, {cpus[0]})
    begin = time.perf_counter_ns()
    take_turns(value, barrier, n)
    for process in others:
        process.join()
    ns = time.perf_counter_ns() - begin
    os.sched_setaffinity(0, set(cpus))
    if value.value != n * n_processes:
        raise RuntimeError("turns are missing")
    return ns / n / n_processes


def main():
    context = multiprocessing.get_context("fork")
    cpus = sorted(os.sched_getaffinity(0))
    answer("ready")
    for line in sys.stdin:
        n_processes, n = (int(word) for word in line.split()[1:3])
        answer("%.3f" % time_turns(context, cpus, n_processes, n))


main()
