# SPDX-License-Identifier: MIT
"""executor.py LIBRARY FUNCTION WORKERS: a function of items.c over 1,000 items, by concurrent.futures.ProcessPoolExecutor as its manual shows it."""

import concurrent.futures
import ctypes
import sys

function = getattr(ctypes.CDLL(sys.argv[1]), sys.argv[2])


def work(i):
    result = ctypes.c_double()
    function(ctypes.byref(ctypes.c_int64(i)), ctypes.byref(result), None)
    return result.value


if __name__ == "__main__":
    with concurrent.futures.ProcessPoolExecutor(int(sys.argv[3])) as pool:
        print(len(list(pool.map(work, range(1000)))), "of 1000 results")
