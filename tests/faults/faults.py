#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The table of faults and the tests that show what is promised of each.

    faults.py run BUILD [JUNIT]...   runs these tests and writes docs/reliability.md: ./dev faults. With what ctest --output-junit has written it
                             runs nothing: ./dev test --output-junit JUNIT, ./dev faults JUNIT. Of a test in several files the last one counts
    faults.py tests BUILD    each row of the table has tests, and each of them is there
    faults.py page           docs/reliability.md has the rows of the table

table.tsv has a row for each fault: number, group, fault, promise, tests. Tests are names of ctest, and * in one is anything. page.md is the text
around the rows. A row whose tests are not all there, or did not run, is an error; a test that was skipped is shown with what it lacks.
"""
import collections
import datetime
import fnmatch
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TABLE = os.path.join(HERE, "table.tsv")
TEMPLATE = os.path.join(HERE, "page.md")
PAGE = os.path.join(ROOT, "docs", "reliability.md")
CHAOS = os.path.join(ROOT, "docs", "chaos.json")
CTEST = os.environ.get("CTEST", "ctest")

GROUPS = {
    "A": "Death of a worker",
    "B": "Stuck and stopped",
    "C": "Death and misuse of the host",
    "D": "Resources",
    "E": "Input, calls, network",
    "F": "Memory, inputs and long runs",
}
N_FAULTS = 67  # more may follow

Row = collections.namedtuple("Row", "number group fault promise tests")
Outcome = collections.namedtuple("Outcome", "state seconds reason")


class Wrong(Exception):
    """What the table, the page or a run must not be; one line for each."""


# ---- the table ----


def read_table(path=TABLE):
    rows = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("#") or not line.strip():
                continue
            cells = line.rstrip("\n").split("\t")
            if len(cells) != 5 or not all(cell.strip() for cell in cells):
                raise Wrong(f"table.tsv:{number}: {len(cells)} cells instead of five that say something")
            tests = cells[4].split()
            rows.append(Row(int(cells[0]), cells[1], cells[2], cells[3], tests))
    return rows


def check_rows(rows):
    wrong = []
    numbers = [row.number for row in rows]
    if numbers != list(range(1, len(rows) + 1)) or len(rows) < N_FAULTS:
        wrong.append(f"rows are not numbered from 1 to {N_FAULTS} or more in their order: {numbers}")
    for row in rows:
        if row.group not in GROUPS:
            wrong.append(f"row {row.number}: there is no group {row.group}")
        if not row.tests:
            wrong.append(f"row {row.number} has no test: {row.fault}")
    if [row.group for row in rows] != sorted(row.group for row in rows):
        wrong.append("the rows of a group do not stand together")
    if wrong:
        raise Wrong("\n".join(wrong))


# ---- what ctest knows ----


def ask_for_tests(build):
    """Name -> number, as ctest counts."""
    said = subprocess.run([CTEST, "--test-dir", build, "-N"], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"^ *Test *#(\d+): (\S+)", said, re.MULTILINE)
    return {name: int(number) for number, name in found}


def names_of(pattern, known):
    return [pattern] if pattern in known else fnmatch.filter(known, pattern)


def find_tests(rows, known):
    """Row number -> names. Each pattern must lead to one test at least."""
    missing, found = [], {}
    for row in rows:
        found[row.number] = []
        for pattern in row.tests:
            names = names_of(pattern, known)
            if not names:
                missing.append(f"row {row.number}: no test is called {pattern}")
            found[row.number] += [name for name in names if name not in found[row.number]]
    if missing:
        raise Wrong("\n".join(missing))
    return found


def reason_of(case):
    said = "".join(case.itertext())
    match = re.search(r"(?:missing|SKIPPED): *(.+)", said)
    return match.group(1).strip() if match else "it does not say why"


def outcome_of(case):
    seconds = float(case.get("time", "0"))
    if case.find("skipped") is not None:
        return Outcome("skipped", seconds, reason_of(case))
    if case.get("status") == "run" and case.find("failure") is None:
        return Outcome("passed", seconds, "")
    return Outcome("failed", seconds, "")


def run_tests(build, numbers):
    """Runs the tests of these numbers, two at a time: they pin their workers. Name -> outcome."""
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "junit.xml")
        subprocess.run([CTEST, "--test-dir", build, "-j", "2", "--output-on-failure", "--output-junit", report, "-I",
                        "0,0,0," + ",".join(map(str, sorted(numbers)))], check=False)
        return read_outcomes(report)


def read_outcomes(report):
    if not os.path.exists(report):
        raise Wrong(f"{report} is not there: ctest has run nothing")
    cases = xml.etree.ElementTree.parse(report).getroot().iter("testcase")
    return {case.get("name"): outcome_of(case) for case in cases}


# ---- the page ----


def escape(text):
    return text.replace("|", r"\|")


def cells_of(row):
    tests = " ".join(f"`{test}`" for test in row.tests)
    return f"| {row.number} | {escape(row.fault)} | {escape(row.promise)} | {tests} |"


def result_of(names, outcomes):
    """What the page says of a row: how many passed, and everything else by its name."""
    by_state = collections.defaultdict(list)
    for name in names:
        by_state[outcomes[name].state if name in outcomes else "not run"].append(name)
    parts = []
    if by_state["passed"]:
        seconds = sum(outcomes[name].seconds for name in by_state["passed"])
        parts.append(f"{len(by_state['passed'])} passed, {seconds:.1f} s")
    parts += [f"`{name}` skipped: {escape(outcomes[name].reason)}" for name in by_state["skipped"]]
    parts += [f"**`{name}` {state}**" for state in ("failed", "not run") for name in by_state[state]]
    return "; ".join(parts) or "**no test**"


def table_of(rows, found, outcomes):
    lines = []
    for letter, title in GROUPS.items():
        group = [row for row in rows if row.group == letter]
        if not group:
            continue
        lines += ["", f"### {letter}. {title}", "", "| # | fault | what is promised | shown by | here |",
                  "|--|--|--|--|--|"]
        lines += [f"{cells_of(row)} {result_of(found[row.number], outcomes)} |" for row in group]
    return "\n".join(lines).strip()


def output_of(*command):
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT).stdout.strip()


def processor():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        match = re.search(r"^model name\s*: (.+)$", file.read(), re.MULTILINE)
    return match.group(1) if match else platform.machine()


def commit():
    changed = output_of("git", "status", "--porcelain", "--untracked-files=no")
    return (output_of("git", "rev-parse", "--short=10", "HEAD") or "unknown") + (" and changes" if changed else "")


def machine_of(outcomes):
    n = collections.Counter(outcome.state for outcome in outcomes.values())
    return "\n".join([
        f"* {platform.system()} {platform.release()}, {processor()}, {len(os.sched_getaffinity(0))} processors",
        f"* {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}, commit {commit()}, debug build",
        f"* {len(outcomes)} tests: {n['passed']} passed, {n['skipped']} skipped, {n['failed']} failed",
    ])


def flat(value, prefix=""):
    """{"a": {"b": 1}} -> {"a.b": "1"}"""
    if not isinstance(value, dict):
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        return {prefix or "value": escape(text)}
    cells = {}
    for key, inner in value.items():
        cells.update(flat(inner, f"{prefix}.{key}" if prefix else str(key)))
    return cells


def runs_of(text):
    """A list of runs, an object with such a list, one run, or lines of JSON."""
    try:
        log = json.loads(text)
    except json.JSONDecodeError:
        log = [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(log, dict):
        lists = [value for value in log.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
        log = lists[0] if lists else [log]
    return [flat(run) for run in log]


def chaos_of(path=CHAOS):
    """Whatever the long runs have said, a column for each of the last of them."""
    if not os.path.exists(path):
        return "None has been recorded."
    with open(path, encoding="utf-8") as file:
        runs = runs_of(file.read())[-4:]
    lines = ["| |" + " |" * len(runs), "|--|" + "--|" * len(runs)]
    for key in dict.fromkeys(key for run in runs for key in run):
        lines.append(f"| {key} | " + " | ".join(run.get(key, "") for run in runs) + " |")
    return "\n".join(lines)


def write_page(rows, found, outcomes):
    with open(TEMPLATE, encoding="utf-8") as file:
        page = file.read()
    parts = {"MACHINE": machine_of(outcomes), "TABLE": table_of(rows, found, outcomes), "CHAOS": chaos_of()}
    for mark, text in parts.items():
        page = page.replace(f"@{mark}@", text)
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(page)


# ---- what can be asked for ----


def run(build, *reports):
    rows = read_table()
    check_rows(rows)
    known = ask_for_tests(build)
    found = find_tests(rows, known)
    wanted = {name for names in found.values() for name in names}
    outcomes = {} if reports else run_tests(build, {known[name] for name in wanted})
    for report in reports:
        outcomes.update(read_outcomes(report))
    outcomes = {name: outcome for name, outcome in outcomes.items() if name in wanted}
    write_page(rows, found, outcomes)
    wrong = []
    for row in rows:
        wrong += [f"row {row.number}: {name} {outcomes[name].state if name in outcomes else 'did not run'}"
                  for name in found[row.number] if name not in outcomes or outcomes[name].state == "failed"]
    if wrong:
        raise Wrong("\n".join(wrong))
    print(f"{len(rows)} rows, {len(outcomes)} tests: {os.path.relpath(PAGE)}")


def tests(build):
    rows = read_table()
    check_rows(rows)
    print(f"{len(rows)} rows, {sum(map(len, find_tests(rows, ask_for_tests(build)).values()))} tests")


def page():
    with open(PAGE, encoding="utf-8") as file:
        lines = file.read().splitlines()
    wrong = []
    rows = read_table()
    check_rows(rows)
    for row in rows:
        if sum(line.startswith(cells_of(row)) for line in lines) != 1:
            wrong.append(f"row {row.number} stands otherwise in the table: run ./dev faults")
    n_lines = sum(bool(re.match(r"\| \d+ \|", line)) for line in lines)
    if n_lines != len(rows):
        wrong.append(f"the page has {n_lines} rows, the table {len(rows)}: run ./dev faults")
    if wrong:
        raise Wrong("\n".join(wrong))


if __name__ == "__main__":
    try:
        {"run": run, "tests": tests, "page": page}[sys.argv[1]](*sys.argv[2:])
    except Wrong as error:
        sys.exit(str(error))
