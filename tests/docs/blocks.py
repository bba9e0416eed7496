# SPDX-License-Identifier: MIT
"""Code blocks of a document, Markdown or mdoc, in their order.

A mark stands in a comment before a block, where readers do not see it (`.\\"` instead of `<!-- -->` in mdoc):

    <!-- test: none, a drawing -->      not run, and why not
    <!-- test: file=square.c -->        is kept under this name for later blocks
    <!-- test: with=square.c -->        C: the text of that file stands in front
    <!-- test: in=function -->          C: statements, for the body of a function that returns a code
    <!-- test: exit=1 -->               its last command, or the program, leaves with 1
    <!-- test: vary=pid,time,rate -->   shell: what differs from run to run; offset: +0x...; the numbers beside any other word
    <!-- test: replace=/opt:$PWD/opt --> shell: a place that the test has elsewhere
    <!-- test: output -->               what the program before it writes
    <!-- test: verbs -->                each line is `./dev VERB`; only the verb is looked up
    <!-- test: before: COMMAND -->      a command that is run first; may stand several times

Several words may stand in one comment. A block without language and marks is an error: nothing is left out silently.
"""
import dataclasses
import re

KNOWN_MARKS = {"none", "file", "with", "in", "exit", "vary", "output", "verbs", "before", "replace"}


class Malformed(Exception):
    """A document that cannot be read; the text begins with the line's number."""


@dataclasses.dataclass
class Block:
    line: int
    language: str
    text: str
    marks: dict


def read_mark(words, line, marks):
    """Adds the words of one comment to `marks`."""
    if words.startswith("none"):
        reason = words[len("none"):].lstrip(", ")
        if not reason:
            raise Malformed(f"{line}: `none` needs a reason")
        marks["none"] = reason
    elif words.startswith("before:"):
        marks.setdefault("before", []).append(words[len("before:"):].strip())
    else:
        for word in words.split():
            key, _, value = word.partition("=")
            if key not in KNOWN_MARKS:
                raise Malformed(f"{line}: no mark is called `{key}`")
            marks[key] = value


def dedent(lines, indent):
    return "".join((line[indent:] if line[:indent].strip() == "" else line) + "\n" for line in lines)


def guess_language(text):
    return "console" if text.startswith("$ ") else ""


class Markdown:
    """One pass over the lines; a block takes the marks that stand since the text before it."""

    def __init__(self, text):
        self.lines = text.split("\n")
        self.at = 0
        self.marks = {}
        self.blocks = []
        self.in_list = False
        self.after_blank = True

    def read(self):
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if fence := re.match(r"( *)(`{3,}|~{3,}) *([\w+-]*)", line):
                self.take_fenced(*fence.groups())
            elif re.match(r"<!-- *test:", line):
                self.take_comment()
            elif self.after_blank and line.startswith("    ") and line.strip():
                self.take_indented()
            else:
                self.pass_text(line)
        self.refuse_left_marks()
        return self.blocks

    def add(self, line, language, text):
        self.blocks.append(Block(line, language or guess_language(text), text, self.marks))
        self.marks = {}
        self.after_blank = False

    def take_fenced(self, indent, fence, language):
        begin = self.at
        self.at += 1
        while not re.fullmatch(rf" *{fence[0]}{{{len(fence)},}} *", self.lines[self.at]):
            self.at += 1
            if self.at == len(self.lines):
                raise Malformed(f"{begin + 1}: a block that does not end")
        self.add(begin + 1, language, dedent(self.lines[begin + 1:self.at], len(indent)))
        self.at += 1

    def take_comment(self):
        begin = self.at
        comment = self.lines[self.at]
        while "-->" not in self.lines[self.at]:
            self.at += 1
            if self.at == len(self.lines):
                raise Malformed(f"{begin + 1}: a comment that does not end")
            comment += " " + self.lines[self.at].strip()
        self.at += 1
        read_mark(re.match(r"<!-- *test: *(.*?) *-->", comment)[1], begin + 1, self.marks)

    def take_indented(self):
        if self.in_list and not self.lines[self.at].startswith(" " * 6):
            self.pass_text(self.lines[self.at])  # goes on with the list's item
            return
        if self.in_list:
            raise Malformed(f"{self.at + 1}: a block in a list; write it between ``` lines")
        begin = self.at
        while self.at < len(self.lines) and (self.lines[self.at].startswith("    ") or not self.lines[self.at].strip()):
            self.at += 1
        while not self.lines[self.at - 1].strip():
            self.at -= 1
        self.add(begin + 1, "", dedent(self.lines[begin:self.at], 4))

    def pass_text(self, line):
        self.after_blank = not line.strip()
        if line.strip():
            self.refuse_left_marks()
            if re.match(r" *([*+-]|\d+[.)]) ", line):
                self.in_list = True
            elif not line.startswith(" "):
                self.in_list = False
        self.at += 1

    def refuse_left_marks(self):
        if self.marks:
            raise Malformed(f"{self.at + 1}: a mark without a block behind it: {self.marks}")


def of_mdoc(text):
    """The displays .Bd ... .Ed of a manual page; a display that begins with `$ ` is a session, others are C."""
    blocks, marks, begin = [], {}, None
    lines = text.split("\n")
    for at, line in enumerate(lines):
        if line.startswith('.\\" test:'):
            read_mark(line[len('.\\" test:'):].strip(), at + 1, marks)
        elif re.match(r"\.Bd -(literal|unfilled)", line):
            begin = at
        elif line == ".Ed":
            shown = [re.sub(r"^\\&", "", shown) for shown in lines[begin + 1:at]]
            body = "".join(line.replace("\\e", "\\") + "\n" for line in shown if not line.startswith(".\\\""))
            blocks.append(Block(begin + 1, guess_language(body) or "c", body, marks))
            marks, begin = {}, None
    if begin is not None:
        raise Malformed(f"{begin + 1}: a display that does not end")
    return blocks


def of_document(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return Markdown(text).read() if path.endswith(".md") else of_mdoc(text)
