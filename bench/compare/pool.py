# SPDX-License-Identifier: MIT
"""pool.py LIBRARY FUNCTION WORKERS: a function of items.c over 1,000 items, by multiprocessing.Pool as its manual shows it."""

import ctypes
import multiprocessing
import sys

function = getattr(ctypes.CDLL(sys.argv[1]), sys.argv[2])


def work(i):
    result = ctypes.c_double()
    function(ctypes.byref(ctypes.c_int64(i)), ctypes.byref(result), None)
    return result.value


if __name__ == "__main__":
    with multiprocessing.Pool(int(sys.argv[3])) as pool:
        print(len(pool.map(work, range(1000))), "of 1000 results")
