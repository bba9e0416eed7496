#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CPython's multiprocessing.Queue as an engine of bench/queue: the commands are in bench/queue.h. Standard library only."""

import multiprocessing
import os
import sys
import time

WARM = 100


def write(queue, start, message, n):
    start.wait()
    for _ in range(n):
        queue.put(message)


def read(queue, start, n):
    start.wait()
    for _ in range(n):
        queue.get()


def run(writers, readers, n_bytes, n):
    queue, start = multiprocessing.Queue(), multiprocessing.Event()
    parties = [
        multiprocessing.Process(target=write, args=(queue, start, b"\1" * n_bytes, n // writers)) for _ in range(writers)
    ] + [multiprocessing.Process(target=read, args=(queue, start, n // readers)) for _ in range(readers)]
    for party in parties:
        party.start()
    begin = time.perf_counter_ns()
    start.set()
    for party in parties:
        party.join()
    if any(party.exitcode for party in parties):
        raise RuntimeError("messages are missing")
    return (time.perf_counter_ns() - begin) / n


def answer_trips(there, back, n, cpus):
    os.sched_setaffinity(0, cpus)
    for _ in range(n):
        back.put(there.get())


def trip(n_bytes, n, gap_ns, are_bound):
    there, back = multiprocessing.Queue(), multiprocessing.Queue()
    everywhere = os.sched_getaffinity(0)
    cpus = sorted(everywhere)
    own, others = ({cpus[0]}, {cpus[1 % len(cpus)]}) if are_bound else (everywhere, everywhere)
    other = multiprocessing.Process(target=answer_trips, args=(there, back, n + WARM, others))
    other.start()
    os.sched_setaffinity(0, own)
    message, total = b"\1" * n_bytes, 0
    for i in range(-WARM, n):
        if gap_ns:
            time.sleep(gap_ns / 1e9)
        begin = time.perf_counter_ns()
        there.put(message)
        back.get()
        if i >= 0:
            total += time.perf_counter_ns() - begin
    other.join()
    os.sched_setaffinity(0, everywhere)
    return total / n


def main():
    multiprocessing.set_start_method("fork")
    print("ready", flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        print("%.3f" % {"run": run, "trip": trip}[command](*map(int, numbers)), flush=True)


if __name__ == "__main__":
    main()
