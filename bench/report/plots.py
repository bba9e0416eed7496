# SPDX-License-Identifier: MIT
"""The pictures of a report, drawn by gnuplot: medians with p10 and p90."""
import os
import subprocess

UNIT = {"ns": 1, "B": 1}


class Plot:
    """Cases are places on the x axis. `only` picks engines by the beginnings of their names; () takes all."""

    def __init__(self, file, title, cases, xlabel, ylabel, figure, only=(), log="y", ticks=None):
        self.file, self.title, self.cases, self.xlabel, self.ylabel = file, title, cases, xlabel, ylabel
        self.figure, self.only, self.log, self.ticks = figure, only, log, ticks or cases


def time_us(case, figures):
    return [v / 1e3 for v in (figures.median, figures.p10, figures.p90)]


SIZES = {"8B": 8, "64B": 64, "4KiB": 4096, "1MiB": 1 << 20, "4MiB": 4 << 20, "16MiB": 16 << 20}


def gib_per_s(case, figures):
    size = SIZES[case.split("-")[1]]
    return [size / v / 1.073741824 for v in (figures.median, figures.p90, figures.p10)]


def as_is(case, figures):
    return [figures.median, figures.p10, figures.p90]


PLOTS = {
    "launch": [
        Plot("launch-gap", "A map after the caller was busy with something else", ["hot", "10us", "100us", "1ms", "10ms"],
             "idle time of the pool before the map", "call to return [µs]", time_us, ticks=["0", "10 µs", "100 µs", "1 ms", "10 ms"]),
    ],
    "balance": [
        Plot("balance-efficiency", "How much of the cores a map uses", ["triangular", "reversed", "lognormal", "pareto-1.5", "one-giant", "mandelbrot"],
             "distribution of the items' costs", "time of a map [ms]", as_is, only=("forkmap", "libgomp", "serial", "mp.Pool")),
    ],
    "queue": [
        Plot("queue-throughput", "Messages from one process to another", ["1:1-8B", "1:1-64B", "1:1-4KiB", "1:1-1MiB", "1:1-4MiB", "1:1-16MiB"],
             "length of a message", "throughput [GiB/s]", gib_per_s, ticks=["8 B", "64 B", "4 KiB", "1 MiB", "4 MiB", "16 MiB"]),
    ],
}


def lines(run, plot):
    """Engine: rows of place, value, low, high."""
    found = {}
    for place, case in enumerate(plot.cases):
        for engine, figures in run.series.get(case, {}).items():
            if figures.unit in ("ns", "ms", "us") and (not plot.only or engine.startswith(plot.only)):
                found.setdefault(engine, []).append((place, *plot.figure(case, figures)))
    return found


def script(plot, engines, path):
    ticks = ", ".join(f'"{tick}" {place}' for place, tick in enumerate(plot.ticks))
    drawn = ", ".join(
        f'$data index {i} using 1:2:3:4 with yerrorlines title "{engine}" noenhanced' for i, engine in enumerate(engines)
    )
    data = "\n\n\n".join("\n".join(" ".join(f"{v:g}" for v in row) for row in rows) for rows in engines.values())
    return f"""set terminal svg size 900,520 background rgb "white" font "sans,13"
set output "{path}"
set title "{plot.title}"
set xlabel "{plot.xlabel}"
set ylabel "{plot.ylabel}"
set xtics ({ticks})
set xrange [-0.3:{len(plot.cases) - 0.7}]
set logscale {plot.log}
set grid ytics
set key outside right noenhanced
$data << END
{data}
END
plot {drawn}
"""


def draw(run, folder, beginning):
    """Returns the files, by their paths from `folder`."""
    drawn = []
    for plot in PLOTS.get(run.name, []):
        engines = lines(run, plot)
        if not engines:
            continue
        path = f"{beginning}-{plot.file}.svg"
        os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
        subprocess.run(["gnuplot"], input=script(plot, engines, os.path.join(folder, path)), text=True, check=True)
        drawn.append(path)
    return drawn
