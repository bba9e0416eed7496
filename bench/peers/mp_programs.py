#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whole programs under CPython's multiprocessing.Pool, as an engine of bench/programs.

The commands are in bench/programs.h.

    mp_programs.py programs NAME WORKERS

Standard library only: what one writes who has no numpy. A program is a pool of its own, made when the program is first
asked for and not counted; then map with its default chunk over the same items as the kernel of that name in C. Start
method fork, no pinning. Results are held to the C kernels' by the sum of all their elements.
"""

import contextlib
import ctypes
import functools
import math
import multiprocessing
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
OPTIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../kernels/data/options/options.csv")


def end_with_parent():
    """Pool's workers outlive a parent that is killed; a benchmark must not leave them behind."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def answer(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# ---- generated numbers: those of kernels/inputs.h ----

MASK = 2**64 - 1


def bits_at(seed, index):
    z = ((seed << 48) + (index + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def below_at(seed, index, n):
    return (bits_at(seed, index) >> 32) * n >> 32


# ---- ep ----

FACTOR, EP_MASK = 5**13, 2**46 - 1


def draw_block(n_pairs, block, item):
    first = item * block
    state = 271828183 * pow(FACTOR, 2 * first, 2**46) & EP_MASK
    row = [0.0] * 12
    for _ in range(min(block, n_pairs - first)):
        state = state * FACTOR & EP_MASK
        x = 2.0**-45 * state - 1.0
        state = state * FACTOR & EP_MASK
        y = 2.0**-45 * state - 1.0
        t = x * x + y * y
        if t <= 1.0:
            factor = math.sqrt(-2.0 * math.log(t) / t)
            x *= factor
            y *= factor
            row[0] += x
            row[1] += y
            row[2 + int(max(abs(x), abs(y)))] += 1.0
    return row


class Ep:
    def __init__(self, m, block):
        self.n = -(-(2**m) // block)
        self.draw = functools.partial(draw_block, 2**m, block)

    def run(self, pool):
        return pool.map(self.draw, range(self.n))


# ---- blackscholes ----


def normal_below(x):
    return 0.5 * math.erfc(-x * math.sqrt(0.5))


def price(option):
    kind, spot, strike, rate, dividend, volatility, years = option
    spot *= math.exp(-dividend * years)
    strike *= math.exp(-rate * years)
    deviation = volatility * math.sqrt(years)
    d1 = math.log(spot / strike) / deviation + 0.5 * deviation
    return max(kind * (spot * normal_below(kind * d1) - strike * normal_below(kind * (d1 - deviation))), 0.0)


class Blackscholes:
    def __init__(self, n):
        with open(OPTIONS, encoding="ascii") as lines:
            names = next(lines).strip().split(",")
            rows = [self.parse(dict(zip(names, line.strip().split(",")))) for line in lines]
        self.options = [rows[k % len(rows)] for k in range(n)]

    @staticmethod
    def parse(row):
        kind = 1.0 if row["type"] == "C" else -1.0
        keys = ("spot", "strike", "rate", "dividend", "volatility", "years")
        return (kind,) + tuple(float(row[key]) for key in keys)

    def run(self, pool):
        return pool.map(price, self.options)


# ---- mandelbrot ----


def count_row(height, width, row):
    cy = -1.25 + 2.5 / height * (row + 0.5)
    counts = []
    for column in range(width):
        cx = -2.25 + 3.0 / width * (column + 0.5)
        x = y = 0.0
        steps = 0
        while steps < 1000 and x * x + y * y <= 4.0:
            x, y = x * x - y * y + cx, 2.0 * x * y + cy
            steps += 1
        counts.append(steps)
    return counts


class Mandelbrot:
    def __init__(self, n, width):
        self.n, self.count = n, functools.partial(count_row, n, width)

    def run(self, pool):
        return pool.map(self.count, range(self.n))


# ---- spectral_norm ----


def multiply_row(x, i):
    return sum(v / ((i + j) * (i + j + 1) // 2 + i + 1) for j, v in enumerate(x))


def multiply_column(x, i):
    return sum(v / ((i + j) * (i + j + 1) // 2 + j + 1) for j, v in enumerate(x))


class SpectralNorm:
    def __init__(self, n):
        self.n = n

    def run(self, pool):
        u = [1.0] * self.n
        for _ in range(20):
            u = pool.map(functools.partial(multiply_row, u), range(self.n))
            u = pool.map(functools.partial(multiply_column, u), range(self.n))
        return u


# ---- nbody ----

SUN = 4.0 * math.pi**2
YEAR = 365.24
BODIES = (  # x, y, z [AU]; velocities [AU/day]; mass [of the Sun]
    (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    (4.84143144246472090e00, -1.16032004402742839e00, -1.03622044471123109e-01,
     1.66007664274403694e-03, 7.69901118419740425e-03, -6.90460016972063023e-05, 9.54791938424326609e-04),
    (8.34336671824457987e00, 4.12479856412430479e00, -4.03523417114321381e-01,
     -2.76742510726411906e-03, 4.99852801234917238e-03, 2.30417297573763929e-05, 2.85885980666130812e-04),
    (1.28943695621391310e01, -1.51111514016986312e01, -2.23307578892655734e-01,
     2.96460137564761618e-03, 2.37847173959480950e-03, -2.96589568540237556e-05, 4.36624404335156298e-05),
    (1.53796971148509165e01, -2.59193146099879641e01, 1.79258772950371181e-01,
     2.68067772490389322e-03, 1.62824170038242295e-03, -9.51592254519715870e-05, 5.15138902046611451e-05),
)  # fmt: skip
PAIRS = [(a, b) for a in range(5) for b in range(a + 1, 5)]


def start_bodies(member):
    bodies = []
    for b, body in enumerate(BODIES):
        parts = [(below_at(41, (member * 5 + b) * 3 + k, 512) - 256) / 256.0 if member else 0.0 for k in range(3)]
        x = [body[k] * (1.0 + 0.001 * parts[k]) for k in range(3)]
        bodies.append(x + [body[3 + k] * YEAR for k in range(3)] + [body[6] * SUN])
    for k in range(3, 6):
        bodies[0][k] -= sum(body[k] * body[6] for body in bodies[1:]) / SUN
    return bodies


def find_energy(bodies):
    energy = sum(0.5 * m * (u * u + v * v + w * w) for _, _, _, u, v, w, m in bodies)
    for a, b in PAIRS:
        energy -= bodies[a][6] * bodies[b][6] / math.dist(bodies[a][:3], bodies[b][:3])
    return energy


def take_step(pairs, bodies, dt):
    for a, b in pairs:
        x, y, z = a[0] - b[0], a[1] - b[1], a[2] - b[2]
        square = x * x + y * y + z * z
        pull = dt / (square * math.sqrt(square))
        to_b, to_a = pull * b[6], pull * a[6]
        a[3] -= x * to_b
        a[4] -= y * to_b
        a[5] -= z * to_b
        b[3] += x * to_a
        b[4] += y * to_a
        b[5] += z * to_a
    for body in bodies:
        body[0] += dt * body[3]
        body[1] += dt * body[4]
        body[2] += dt * body[5]


def move_member(steps, member):
    bodies = start_bodies(member)
    pairs = [(bodies[a], bodies[b]) for a, b in PAIRS]
    before = find_energy(bodies)
    for _ in range(steps):
        take_step(pairs, bodies, 0.01)
    return before, find_energy(bodies)


class Nbody:
    def __init__(self, n, steps):
        self.n, self.move = n, functools.partial(move_member, steps)

    def run(self, pool):
        return pool.map(self.move, range(self.n))


# ---- xs_lookup: tables made before the fork, so that nothing of them is sent ----

MATERIALS = ((32, 36), (5, 13), (4, 105), (26, 40), (20, 48), (9, 14))
tables = None


def part(seed, index):
    return (1 + below_at(seed, index, 1024)) / 1024.0


class Tables:
    def __init__(self, nuclides, points, bins):
        self.bins = bins
        self.energies = [self.make_energies(k * points, points) for k in range(nuclides)]
        self.xs = [[self.make_xs(k * points + j) for j in range(points)] for k in range(nuclides)]
        self.starts = [self.find_starts(nuclide) for nuclide in range(bins + 1)]
        self.materials = []
        n = 0
        for m, (share, weight) in enumerate(MATERIALS):
            size = max(nuclides * share // 64, 1)
            first = below_at(55, m, nuclides) if m > 0 else 0
            members = [((first + k) % nuclides, part(56, n + k)) for k in range(size)]
            self.materials += [members] * weight
            n += size

    @staticmethod
    def make_energies(first, n):
        sums = [0]
        for k in range(1, n):
            sums.append(sums[-1] + 1 + below_at(53, first + k, 64) ** 2)
        return [s / sums[-1] for s in sums]

    @staticmethod
    def make_xs(point):
        elastic, absorption = part(54, 3 * point), part(54, 3 * point + 1)
        fission = absorption * part(54, 3 * point + 2)
        return elastic + absorption, elastic, absorption, fission, 2.5 * fission

    def find_starts(self, edge):
        return [self.find_interval(energies, 0, len(energies) - 2, edge / self.bins) for energies in self.energies]

    @staticmethod
    def find_interval(energies, low, high, energy):
        while low < high:
            middle = (low + high + 1) // 2
            if energies[middle] <= energy:
                low = middle
            else:
                high = middle - 1
        return low


def look_up(i):
    energy = (bits_at(51, i) >> 11) * 2.0**-53
    edge = int(energy * tables.bins)
    lows, highs = tables.starts[edge], tables.starts[edge + 1]
    a = b = c = d = e = 0.0
    for nuclide, weight in tables.materials[below_at(52, i, 256)]:
        energies = tables.energies[nuclide]
        k = tables.find_interval(energies, lows[nuclide], highs[nuclide], energy)
        f = (energies[k + 1] - energy) / (energies[k + 1] - energies[k])
        low, high = tables.xs[nuclide][k], tables.xs[nuclide][k + 1]
        a += weight * (high[0] - f * (high[0] - low[0]))
        b += weight * (high[1] - f * (high[1] - low[1]))
        c += weight * (high[2] - f * (high[2] - low[2]))
        d += weight * (high[3] - f * (high[3] - low[3]))
        e += weight * (high[4] - f * (high[4] - low[4]))
    return a, b, c, d, e


class XsLookup:
    def __init__(self, n, nuclides, points, bins):
        global tables
        self.n = n
        tables = Tables(nuclides, points, bins)

    def run(self, pool):
        return pool.map(look_up, range(self.n))


# ---- commands ----

PROGRAMS = {
    "ep": Ep,
    "blackscholes": Blackscholes,
    "mandelbrot": Mandelbrot,
    "spectral_norm": SpectralNorm,
    "nbody": Nbody,
    "xs_lookup": XsLookup,
}


def add_up(result):
    return math.fsum(v for row in result for v in (row if isinstance(row, (tuple, list)) else (row,)))


def time_run(program, pool):
    pool.map(math.sqrt, range(100))
    begin = time.perf_counter_ns()
    result = program.run(pool)
    ns = time.perf_counter_ns() - begin
    return "%.6f - %.17g" % (ns * 1e-6, add_up(result))


def main(arguments):
    multiprocessing.set_start_method("fork")
    workers = int(arguments[2])
    prepared = {}
    with contextlib.ExitStack() as stack:
        answer("ready")
        for line in sys.stdin:
            words = line.split()
            if words[0] == "forget":
                stack.close()
                prepared.clear()
                answer("0")
                continue
            key = " ".join(words[3:])
            if key not in prepared:
                sizes = {name: int(value) for name, value in (word.split("=") for word in words[4:])}
                program = PROGRAMS[words[3]](**sizes)
                pool = stack.enter_context(multiprocessing.Pool(workers, initializer=end_with_parent))
                prepared[key] = program, pool
            answer(time_run(*prepared[key]))


if __name__ == "__main__":
    main(sys.argv[1:])
