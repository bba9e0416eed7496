#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""compare.py write|check README FORKMAP: the README's table of one crash, one hang and one Ctrl-C under OpenMP, Python's pools and forkmap.

write   runs them all, and writes what was seen between the table's markers.
check   runs forkmap only (the command FORKMAP), and fails unless its column says what was seen now. Times and places in code may differ, and after Ctrl-C counts.

Each program has the same function of items.c, 1,000 items, 2 workers, and a session of its own, in which a Ctrl-C reaches all of its processes as from a
terminal. Who has not ended after 10 s is killed. CC names the compiler.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BEGIN, END = "<!-- compare: begin -->\n", "<!-- compare: end -->\n"
WORKERS, LIMIT_S = "2", 10

FAULTS = {  # function of items.c: row
    "crash": "one of 1,000 items crashes",
    "hang": "one of them never ends",
    "slow": "Ctrl-C in the middle",
}


def ways(build, forkmap, fault):
    """Column: command."""
    library = build + "/items.so"
    python = [sys.executable, "-u"]
    return {
        "OpenMP": [build + "/openmp", fault],
        "multiprocessing.Pool": [*python, HERE + "/pool.py", library, fault, WORKERS],
        "ProcessPoolExecutor": [*python, HERE + "/executor.py", library, fault, WORKERS],
        "forkmap": [forkmap, "map", library + ":" + fault, "range:0:1000", "--out", "f8:", "-o", build + "/out.npy"]
        + ["--on-error", "continue", "--timeout", "1", "--workers", WORKERS],
    }


def compile_programs(build, with_openmp):
    cc = os.environ.get("CC", "cc")
    items = HERE + "/items.c"
    subprocess.run([cc, "-O2", "-shared", "-fPIC", items, "-o", build + "/items.so"], check=True)
    if with_openmp:
        subprocess.run([cc, "-O2", "-fopenmp", HERE + "/openmp.c", items, "-o", build + "/openmp"], check=True)


# ---- what is seen ----


def members(session):
    """Processes of a session that live."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % name) as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if fields[3] == str(session) and fields[0] != "Z":
            found.append(int(name))
    return found


def end_session(session):
    """Kills what is left of it; returns how many there were."""
    time.sleep(0.2)  # those that are about to end
    left = members(session)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return len(left)


def run(command, ctrl_c_s, said):
    """Exit code (None: it was killed after LIMIT_S), seconds since the start or the Ctrl-C (ctrl_c_s; 0: none), processes left."""
    begin = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        start_new_session=True,
        env=dict(os.environ, OMP_NUM_THREADS=WORKERS),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        if ctrl_c_s:
            time.sleep(ctrl_c_s)
            os.killpg(process.pid, signal.SIGINT)
            begin = time.monotonic()
        code = process.wait(LIMIT_S)
        seconds = time.monotonic() - begin
        return code, seconds, end_session(process.pid)
    except subprocess.TimeoutExpired:
        end_session(process.pid)
        process.wait()
        return None, LIMIT_S, 0


# ---- what is told of it ----


def how_it_ended(code, seconds):
    if code is None:
        return "hangs; killed after %d s" % seconds
    if code < 0:
        return "dies by %s after %.1f s" % (signal.Signals(-code).name, seconds)
    return "exit code %d after %.1f s" % (code, seconds)


def what_it_said(text):
    said = re.findall(r"^(item \d+: .*?)(?: \(.*)?$", text, re.M)
    said += re.findall(r"^forkmap: (stopped .*)", text, re.M)
    errors = re.findall(r"^(?:\w+\.)*(\w+(?:Error|Interrupt|Pool))\b", text, re.M)
    said += errors[-1:]
    n_tracebacks = text.count("Traceback (most recent call last)")
    if n_tracebacks:
        said.append("%d traceback%s" % (n_tracebacks, "s" * (n_tracebacks > 1)))
    return said


def results(text):
    if "nothing was written" in text:
        return "no results"
    counts = re.findall(r"\b(\d+)(?: of 1000 results| of 1000 items in| of 1000 items are| items in)", text)
    return counts[-1] + " of 1,000 results" if counts else "no results"


def observe(command, fault, ctrl_c_s):
    with tempfile.TemporaryFile("w+") as said:
        code, seconds, n_left = run(command, ctrl_c_s if fault == "slow" else 0, said)
        said.seek(0)
        text = said.read()
    words = [how_it_ended(code, seconds), *what_it_said(text), results(text)]
    if n_left:
        words.append("%d processes left" % n_left)
    print("%s: %s\n%s" % (" ".join(command), "; ".join(words), text), file=sys.stderr)
    return "; ".join(words)


# ---- the table ----


def split_readme(path):
    with open(path) as file:
        before, begin, rest = file.read().partition(BEGIN)
    table, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit("%s has no table between %s and %s" % (path, BEGIN.strip(), END.strip()))
    return before, table, after


def read_table(table):
    """{row: {column: cell}}"""
    lines = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return {cells[0]: dict(zip(lines[0][1:], cells[1:])) for cells in lines[2:]}


def write(readme, build, forkmap):
    compile_programs(build, True)
    before, _, after = split_readme(readme)
    names = list(ways(build, forkmap, "crash"))
    lines = [["", *names], ["---"] * (len(names) + 1)]
    for fault, row in FAULTS.items():
        lines.append([row, *(observe(command, fault, 3) for command in ways(build, forkmap, fault).values())])
    table = "".join("| %s |\n" % " | ".join(line) for line in lines).replace("|  |", "| |")
    cc = subprocess.run([os.environ.get("CC", "cc"), "-dumpfullversion"], capture_output=True, text=True).stdout.strip()
    table += "\nSeen with gcc %s and CPython %s; %s workers or threads. Times are those of that day's machine.\n" % (
        cc,
        sys.version.split()[0],
        WORKERS,
    )
    with open(readme, "w") as file:
        file.write(before + BEGIN + "\n" + table + "\n" + END + after)


def alike(cell, fault):
    cell = re.sub(r"after [\d.]+ s", "after some time", cell)
    cell = re.sub(r"\.so\+0x[0-9a-f]+", ".so", cell)
    return re.sub(r"\d+ of 1,?000", "some of 1,000", cell) if fault == "slow" else cell


def check(readme, build, forkmap):
    compile_programs(build, False)
    table = read_table(split_readme(readme)[1])
    failed = 0
    for fault, row in FAULTS.items():
        commands = ways(build, forkmap, fault)
        told = table.get(row, {})
        if set(told) != set(commands) or not all(told.values()):
            sys.exit("%s: the row '%s' has not the columns %s" % (readme, row, ", ".join(commands)))
        seen = observe(commands["forkmap"], fault, 1)
        if alike(seen, fault) != alike(told["forkmap"], fault):
            print("%s, forkmap: seen '%s', told '%s'" % (row, seen, told["forkmap"]))
            failed = 1
    return failed


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("write", "check"):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as build:
        sys.exit({"write": write, "check": check}[sys.argv[1]](sys.argv[2], build, os.path.abspath(sys.argv[3])))


main()
