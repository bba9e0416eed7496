#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What benchmarks have measured, as a page: report.py write|draft FOLDER PAGE | check FOLDER | summary FOLDER [NAME...]

write     reads FOLDER/NAME.jsonl of each benchmark, and writes PAGE (bench/REPORT.md) and the plots beside it, in the folder plots
draft     the same of whatever there is, also of quick runs
check     FOLDER has a run of each benchmark, and a page can be made of them
summary   prints a line for each benchmark: how many targets were met, and which were not

The text of a page is template.md and, for a benchmark, notes/NAME.md, if there is one: why a target is missed, and what the limit is. Figures in
them come from the run: {CASE/ENGINE} is a median with its unit, {CASE|RATIO} is the value of a verdict. A note may name another benchmark's figure:
{NAME:CASE/ENGINE}. A figure that is not there is told as "not measured", but a benchmark, or a case of a whole run, that is not there is an error.
"""
import collections
import json
import math
import os
import re
import sys

import plots

HERE = os.path.dirname(os.path.abspath(__file__))
SHOWN = "launch item chunk balance triad tasks stream queue lock manager start gather memory recover programs".split()

Series = collections.namedtuple("Series", "median p10 p90 n unit")
Verdict = collections.namedtuple("Verdict", "case ratio value target sense met")


class Wrong(Exception):
    """What a run or a note must not be."""


class Run:
    """One benchmark's file: its header, figures by case and engine, words, and verdicts."""

    def __init__(self, path):
        self.name = os.path.basename(path).removesuffix(".jsonl")
        self.header, self.series, self.words, self.verdicts = {}, {}, {}, []
        with open(path, encoding="utf-8") as file:
            for line in file:
                self.read(json.loads(line))
        if not self.header:
            raise Wrong(f"{path} has no header")

    def read(self, line):
        if "question" in line:
            self.header = line
        elif "ratio" in line:
            self.verdicts.append(
                Verdict(line["case"], line["ratio"], line["value"], line.get("target"), line.get("sense"), line.get("met"))
            )
        elif "outcome" in line:
            self.words.setdefault(line["case"], {})[line["engine"]] = line["outcome"]
        elif "median" in line:
            figures = Series(line["median"], line["p10"], line["p90"], line["n"], line["unit"])
            self.series.setdefault(line["case"], {})[line["engine"]] = figures

    def cases(self):
        return [case for case in dict.fromkeys([*self.series, *self.words]) if case != "calibration"]

    def engines(self, case):
        return [*self.series.get(case, {}), *self.words.get(case, {})]

    def targets(self):
        return [verdict for verdict in self.verdicts if verdict.target is not None]


# ---- figures ----

STEPS = {"ns": ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns")), "B": ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))}


def digits(value):
    """Three significant digits, and no more zeros than that."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def with_unit(value, unit):
    for size, name in STEPS.get(unit, ()):
        if abs(value) >= size:
            return f"{digits(value / size)} {name}"
    return f"{digits(value)} {unit}"


def cell(run, case, engine):
    figures = run.series.get(case, {}).get(engine)
    if figures is None:
        return run.words.get(case, {}).get(engine, "")
    return f"{with_unit(figures.median, figures.unit)} ({digits(figures.p10 / figures.median if figures.median else 1)}–{digits(figures.p90 / figures.median if figures.median else 1)})"


# ---- the page ----


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def medians(run):
    engines = list(dict.fromkeys(engine for case in run.cases() for engine in run.engines(case)))
    return table(["", *run.cases()], [[engine, *(cell(run, case, engine) for case in run.cases())] for engine in engines])


def verdicts(run):
    signs = {"max": "≤", "min": "≥"}
    rows = [
        [v.case, v.ratio, digits(v.value), f"{signs[v.sense]} {digits(v.target)}", "yes" if v.met else "**no**"]
        for v in run.targets()
    ]
    rows += [[v.case, v.ratio, digits(v.value), "", ""] for v in run.verdicts if v.target is None]
    return table(["case", "ratio", "value", "target", "met"], rows)


FIGURE = re.compile(r"\{(?:(\w+):)?([^{}/|]+)([/|])([^{}]+)\}")


def fill(text, runs, own):
    """The figures that a note names."""

    def figure(match):
        name, case, kind, what = match.groups()
        run = runs.get(name) if name else own
        if run is None:
            raise Wrong(f"a note names a figure of {name}, of which there is no run: {match.group(0)}")
        if case not in run.cases() and not run.header["quick"]:
            raise Wrong(f"a note of {own.name} names a case that {run.name} does not have: {match.group(0)}")
        if kind == "|":
            values = [digits(v.value) for v in run.verdicts if v.case == case and v.ratio == what]
            return values[0] if values else "(not measured)"
        figures = run.series.get(case, {}).get(what)
        return with_unit(figures.median, figures.unit) if figures else "(not measured)"

    return FIGURE.sub(figure, text)


def machine(runs):
    """What all runs of a page have in common; a page of two machines would compare what cannot be compared."""
    facts = "cpu cores workers kernel governor cgroup_quota compiler flags".split()
    seen = {tuple(str(run.header[fact]) for fact in facts) for run in runs.values()}
    if len(seen) > 1:
        raise Wrong("these runs are of different machines or builds: " + "; ".join(" ".join(s) for s in seen))
    dates = sorted(run.header["date"] for run in runs.values())
    commits = sorted({run.header["commit"] for run in runs.values()})
    values = dict(zip(facts, seen.pop()))
    return (
        f"{values['cpu']}, {values['cores']} cores, {values['workers']} workers; Linux {values['kernel']}; governor: {values['governor']}; CPU quota: "
        f"{values['cgroup_quota']}; {values['compiler']}, `{values['flags']}`; commit {', '.join(commits)}; {dates[0]} to {dates[-1]}"
    )


def missed(run):
    return [f"{v.case}: {v.ratio} {digits(v.value)}" for v in run.targets() if not v.met]


def section(run, runs, pictures):
    parts = [f"## {run.name}: {run.header['question']}\n", medians(run)]
    if run.verdicts:
        parts.append(verdicts(run))
    parts += [f"![{run.name}]({picture})\n" for picture in pictures]
    note = os.path.join(HERE, "notes", run.name + ".md")
    if os.path.exists(note):
        with open(note, encoding="utf-8") as file:
            parts.append(fill(file.read(), runs, run))
    elif missed(run) and not run.header["quick"]:
        parts.append("*Why a target is missed here is not told yet.*\n")
    return "\n".join(parts)


def overview(runs):
    rows = []
    for run in runs.values():
        n_met = sum(v.met for v in run.targets())
        rows.append([f"[{run.name}](#{run.name})", run.header["question"], f"{n_met} of {len(run.targets())}", "; ".join(missed(run))])
    return table(["benchmark", "question", "targets met", "missed"], rows)


def read_runs(folder):
    runs = {}
    for name in SHOWN:
        path = os.path.join(folder, name + ".jsonl")
        if os.path.exists(path):
            runs[name] = Run(path)
    if not runs:
        raise Wrong(f"{folder} has no run of a benchmark")
    return runs


def check_whole(runs):
    quick = [run.name for run in runs.values() if run.header["quick"]]
    missing = [name for name in SHOWN if name not in runs]
    if quick or missing:
        raise Wrong(f"a report is of whole runs; quick: {' '.join(quick) or 'none'}; missing: {' '.join(missing) or 'none'}")


def compose(runs, pictures):
    """The text of a page; pictures are paths, by benchmark."""
    with open(os.path.join(HERE, "template.md"), encoding="utf-8") as file:
        text = file.read()
    sections = [section(run, runs, pictures.get(run.name, [])) for run in runs.values()]
    for mark, part in {"MACHINE": machine(runs), "OVERVIEW": overview(runs), "SECTIONS": "\n".join(sections)}.items():
        text = text.replace(f"<!-- {mark} -->", part)
    return text


def write(folder, page, is_draft):
    runs = read_runs(folder)
    if not is_draft:
        check_whole(runs)
    stem = os.path.splitext(os.path.basename(page))[0].lower()
    pictures = {run.name: plots.draw(run, os.path.dirname(page), "plots/" + stem) for run in runs.values()}
    text = compose(runs, pictures)
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"written: {page}")


def check(folder):
    runs = read_runs(folder)
    missing = [name for name in SHOWN if name not in runs]
    if missing:
        raise Wrong(f"{folder} has no run of {' '.join(missing)}")
    text = compose(runs, {})
    absent = [run.name for run in runs.values() if run.header["question"] not in text or not run.cases()]
    if absent:
        raise Wrong(f"nothing was measured by {' '.join(absent)}")
    print(f"{len(runs)} benchmarks, {sum(len(run.verdicts) for run in runs.values())} verdicts")


def summary(folder, names):
    runs = read_runs(folder)
    for run in runs.values():
        if names and run.name not in names:
            continue
        targets = run.targets()
        print(f"{run.name:10} {sum(v.met for v in targets):3} of {len(targets):3} targets met" + "".join(f"\n           {m}" for m in missed(run)))


def main(arguments):
    try:
        if len(arguments) == 3 and arguments[0] in ("write", "draft"):
            write(arguments[1], arguments[2], arguments[0] == "draft")
        elif len(arguments) == 2 and arguments[0] == "check":
            check(arguments[1])
        elif len(arguments) >= 2 and arguments[0] == "summary":
            summary(arguments[1], arguments[2:])
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except (Wrong, OSError, KeyError, ValueError) as wrong:
        print(f"report: {wrong!r}" if isinstance(wrong, KeyError) else f"report: {wrong}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
