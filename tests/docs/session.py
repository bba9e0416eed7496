# SPDX-License-Identifier: MIT
"""The directory and the shell in which the blocks of one document are run, as a reader would in a fresh checkout."""
import os
import re
import subprocess

MARKER = "@forkmap-block@"
# Fortran has no way to say that an argument which the interface demands is not used.
WARNINGS = {"cc": "-Wall -Wextra -Werror", "gfortran": "-Wall -Wextra -Werror -Wno-unused-dummy-argument"}


class Failed(Exception):
    """A block that does not do what its document says."""


class Session:
    """An empty directory that looks like a built checkout, and one shell for the whole document."""

    def __init__(self, source, build, compilers):
        here = os.getcwd()
        self.environment = dict(os.environ, LC_ALL="C.UTF-8", HOME=here, XDG_CACHE_HOME=f"{here}/.cache",
                                PATH=f"{here}/.bin:{build}/cli:{os.environ['PATH']}")
        os.makedirs(".bin")
        for name, path in compilers.items():
            self.make_compiler(name, path)
        os.makedirs("build")
        os.symlink(build, "build/release")
        for name in ("include", "kernels", "docs", "examples"):
            os.symlink(f"{source}/{name}", name)
        self.source, self.build = source, build
        self.compiler = {"c": f"{os.getcwd()}/.bin/cc", "fortran": f"{os.getcwd()}/.bin/gfortran"}
        self.shell = subprocess.Popen(["bash", "--norc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, env=self.environment, text=True)

    def make_compiler(self, name, path):
        """What a reader calls `cc` is the compiler of the build, with every warning an error."""
        with open(f".bin/{name}", "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec "{path}" {WARNINGS[name]} "$@"\n')
        os.chmod(f".bin/{name}", 0o755)

    def command(self, text):
        """Runs one command in the shell; returns its exit code and what it wrote on both outputs."""
        try:
            self.shell.stdin.write(f"{{ {text}\n}} </dev/null 2>&1\nprintf '\\n{MARKER}%d\\n' $?\n")
            self.shell.stdin.flush()
        except BrokenPipeError:
            raise Failed(f"the shell has ended before: {text}") from None
        output = ""
        for line in self.shell.stdout:
            if line.startswith(MARKER):
                return int(line[len(MARKER):]), output[:-1]  # without printf's own newline
            output += line
        raise Failed(f"the shell has ended in: {text}")

    def compile(self, language, name, options, libraries=""):
        code, output = self.command(f"{self.compiler[language]} {options} {name} {libraries}")
        if code != 0:
            raise Failed(f"{name} does not compile:\n{output}")

    def close(self):
        try:
            self.shell.stdin.close()
        except BrokenPipeError:
            pass  # it has ended already, and the block that did it has failed
        self.shell.wait()


def write(name, text):
    if os.path.dirname(name):
        os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)


def commands_of(text):
    """(command, shown output or None) of a session. A command goes on while its lines end in a backslash."""
    found = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append([line[2:], None])
        elif found and found[-1][1] is None and found[-1][0].endswith("\\"):
            found[-1][0] += "\n" + line.removeprefix("> ")
        elif found:
            found[-1][1] = (found[-1][1] or "") + line + "\n"
        else:
            raise Failed("a session begins with `$ `")
    return found


NUMBER = r"\d[\d.,]*"
VARYING = {"time": (rf"{NUMBER} (s|ms|us|ns)\b", "# s"), "rate": (rf"{NUMBER} ?[kMG]?/s", "#/s"),
           "offset": (r"\+0x[0-9a-f]+", "+0x#")}


def blur(text, words):
    """Replaces what differs from run to run: durations, rates, offsets in files, and the numbers beside any other of `words`."""
    for word in words:
        if word in VARYING:
            text = re.sub(*VARYING[word], text)
        else:
            text = re.sub(rf"\b{re.escape(word)} +{NUMBER}", f"{word} #", text)
            text = re.sub(rf"{NUMBER} {re.escape(word.removesuffix('s'))}s?\b", f"# {word}", text)
    return re.sub(r" {2,}(?=#)", " ", text) if words else text


def compare(shown, got, words=()):
    """`...` in what is shown stands for anything within a line; alone on a line, for any lines."""
    pattern = ""
    for line in blur(shown, words).rstrip("\n").split("\n"):
        if line.strip() == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += ".*?".join(map(re.escape, line.rstrip().split("..."))) + r" *\n"
    got = blur(got, words).rstrip("\n") + "\n"
    if not re.fullmatch(pattern, got):
        raise Failed(f"the document shows\n{indented(shown)}but what comes is\n{indented(got)}")


def indented(text):
    return "".join(f"    {line}\n" for line in text.rstrip("\n").split("\n"))
