#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles and runs every code block of one document, and compares the output that it shows.

    run_document.py DOCUMENT        in an empty directory; blocks.py tells the marks

The environment has FORKMAP_SOURCE (the checkout), FORKMAP_BUILD (where it was built), CC and FC.
"""
import collections
import os
import re
import sys

import blocks
from session import Failed, Session, commands_of, compare, write

C_PRELUDE = """#include <forkmap/forkmap.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
"""
# Names that statements in a text may use.
C_BODY = """int statements(fm_pool *pool, fm_array *in, fm_array *out, int64_t n);
int statements(fm_pool *pool, fm_array *in, fm_array *out, int64_t n)
{
    int rc = 0;
    (void)pool, (void)in, (void)out, (void)n;
    {
#line %d
%s
    }
    return rc;
}
"""
LIBRARY = "-Lbuild/release -lforkmap -Wl,-rpath,$PWD/build/release -lm"
FORTRAN_LIBRARY = f"-Lbuild/release/fortran -lforkmap_fortran -Wl,-rpath,$PWD/build/release/fortran {LIBRARY}"
C_OPTIONS = "-std=gnu11 -O1 -Iinclude"
SUFFIX = {"c": ".c", "fortran": ".f90"}


class Runner:
    def __init__(self, session):
        self.session = session
        self.output = None  # of the last program
        self.done = collections.Counter()

    def run(self, block):
        for command in block.marks.get("before", []):
            self.expect_exit(command, 0, *self.session.command(command))
        if "none" in block.marks:
            return f"not run: {block.marks['none']}"
        if "verbs" in block.marks:
            return self.check_verbs(block)
        if "output" in block.marks:
            return self.check_output(block)
        if "file" in block.marks:
            write(block.marks["file"], block.text)
        kinds = {"c": self.run_c, "fortran": self.run_fortran, "console": self.run_console, "sh": self.run_script}
        if block.language in kinds:
            kinds[block.language](block)
            return block.language
        if "file" in block.marks:
            return "file"
        raise Failed(f"a block in no known language ({block.language or 'none given'}) and without a mark; "
                     "say what it is: tests/docs/blocks.py tells how")

    def expect_exit(self, what, want, code, output):
        if code != want:
            raise Failed(f"{what}: exit code {code}, not {want}\n{output}")

    def check_verbs(self, block):
        """Lines that would build and test the whole project: their words must be those of `dev help`."""
        _, shown = self.session.command(f"{self.session.source}/dev help")
        verbs = set(re.findall(r"^  ([a-z]+)", shown, re.MULTILINE))
        for line in block.text.splitlines():
            used = re.match(r"(?:\$ )?\./dev ([a-z]+)", line)
            if not used or used[1] not in verbs:
                raise Failed(f"no verb of ./dev: {line}")
        return "verbs"

    def check_output(self, block):
        if self.output is None:
            raise Failed("no program stands before this output")
        compare(block.text, self.output)
        return "output"

    def run_c(self, block):
        name = self.source_name(block)
        text = block.text
        if "#include" not in text:
            body = C_BODY % (block.line + 1, text) if block.marks.get("in") == "function" else text
            text = C_PRELUDE + self.text_in_front(block) + body
        write(name, text)
        if re.search(r"\bmain\s*\(", text):
            self.run_program(block, name, C_OPTIONS, LIBRARY)
        else:
            self.session.compile("c", name, f"{C_OPTIONS} -Wno-unused-function -c -o fragment.o")

    def text_in_front(self, block):
        if "with" not in block.marks:
            return ""
        with open(block.marks["with"], encoding="utf-8") as file:
            return file.read()

    def run_fortran(self, block):
        name = self.source_name(block)
        write(name, block.text)
        if re.search(r"^\s*program\b", block.text, re.MULTILINE | re.IGNORECASE):
            self.run_program(block, name, "-O1 -Ibuild/release/fortran/modules", FORTRAN_LIBRARY)
        else:
            self.session.compile("fortran", name, "-O1 -c -o fragment.o")

    def run_program(self, block, name, options, libraries):
        language = "c" if name.endswith(".c") else "fortran"
        self.session.compile(language, name, f"{options} -o program.tested", libraries)
        code, self.output = self.session.command("./program.tested")
        self.expect_exit(name, int(block.marks.get("exit", 0)), code, self.output)

    def source_name(self, block):
        return block.marks.get("file", f"block_{block.line}{SUFFIX[block.language]}")

    def run_console(self, block):
        there, _, here = block.marks.get("replace", "").partition(":")
        commands = commands_of(block.text.replace(there, here) if there else block.text)
        for number, (command, shown) in enumerate(commands):
            if self.makes_file(command, shown):
                continue
            code, output = self.session.command(command)
            last = number == len(commands) - 1
            self.expect_exit(command, int(block.marks.get("exit", 0)) if last else 0, code, output)
            if shown is not None:
                compare(shown, output, block.marks.get("vary", "").split(",") if "vary" in block.marks else ())

    def makes_file(self, command, shown):
        """`$ cat FILE` shows a reader what to write into a file that is not there yet."""
        cat = re.fullmatch(r"cat ([\w./-]+)", command)
        if not cat or shown is None or os.path.exists(cat[1]):
            return False
        write(cat[1], shown)
        return True

    def run_script(self, block):
        code, output = self.session.command(f"( set -e\n{block.text})")
        self.expect_exit("the script", int(block.marks.get("exit", 0)), code, output)


def run_all(path, found, runner):
    failures = 0
    for block in found:
        where = f"{os.path.basename(path)}:{block.line}"
        try:
            what = runner.run(block)
            runner.done[what] += 1
            print(f"{where}: {what}")
        except Failed as error:
            failures += 1
            print(f"{where}: FAILED: {error}")
    return failures


def main(path):
    source, build = os.environ["FORKMAP_SOURCE"], os.environ["FORKMAP_BUILD"]
    try:
        found = blocks.of_document(path)
    except blocks.Malformed as error:
        print(f"{os.path.basename(path)}:{error}")
        return 1
    for tool, package in (("CC", "gcc"), ("FC", "gfortran")):
        if not os.access(os.environ[tool], os.X_OK):
            print(f"SKIPPED: {package} is missing; ./dev setup test installs it")
            return 77
    session = Session(source, build, {"cc": os.environ["CC"], "gfortran": os.environ["FC"]})
    failures = run_all(path, found, Runner(session))
    session.close()
    print(f"{len(found)} blocks, {failures} of them failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
