#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""CPython's multiprocessing.Manager().dict() as an engine of bench/manager: the command is in bench/manager.h. Standard library only."""

import multiprocessing
import os
import sys
import time

KEYS = [b"%08d" % (i * 7 % 1000) for i in range(1000)]
VALUE = b"12345678"


def take_part(ages, ready, start, cpu, operation, n):
    os.sched_setaffinity(0, {cpu})
    for key in KEYS[:1]:
        ages[key] = VALUE  # connects
    ready.release()
    start.wait()
    for i in range(n):
        if operation == "set":
            ages[KEYS[i % 1000]] = VALUE
        else:
            ages[KEYS[i % 1000]]


def run(ages, operation, n_clients, n):
    ready, start = multiprocessing.Semaphore(0), multiprocessing.Event()
    cpus = sorted(os.sched_getaffinity(0))
    clients = [
        multiprocessing.Process(target=take_part, args=(ages, ready, start, cpus[i % len(cpus)], operation, n))
        for i in range(n_clients)
    ]
    for client in clients:
        client.start()
    for _ in clients:
        ready.acquire()
    begin = time.perf_counter_ns()
    start.set()
    for client in clients:
        client.join()
    if any(client.exitcode for client in clients):
        raise RuntimeError("operations failed")
    return (time.perf_counter_ns() - begin) / n / n_clients


def main():
    multiprocessing.set_start_method("fork")
    with multiprocessing.Manager() as manager:
        ages = manager.dict({key: VALUE for key in KEYS})
        print("ready", flush=True)
        for line in sys.stdin:
            _, operation, n_clients, n = line.split()
            print("%.3f" % run(ages, operation, int(n_clients), int(n)), flush=True)


if __name__ == "__main__":
    main()
