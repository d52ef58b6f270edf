"""The notation of typical wrong solutions: what differs from a right one, and words of the message that names its cause."""

import ast
import copy
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Mapping
from typing import NamedTuple

from course_lib.solutions import references


class Case(NamedTuple):
    """A wrong solution as a cell, and words of what the check says of it; of a right one, those of its notes, a line each."""

    name: str
    says: str
    source: str


def case(name: str, says: str, base: str, changes: Mapping[str, str] | None = None) -> Case:
    """`base` with other parts in it, as `changed` reads them; without changes it is the wrong solution itself."""
    return Case(name, says, changed(_block(base), changes or {}))


def changed(base: str, changes: Mapping[str, str]) -> str:
    """`base` with the new part in the place of each old one, which is there once.

    An old part is a piece of a line, or lines; their indentation does not count, and the new part gets that of the place.
    A line `...` in it stands for all lines up to the next one. A line of which nothing is left goes.
    """
    for old, new in changes.items():
        base = _replaced(base, _block(old).split("\n"), _block(new).split("\n"))
    return base


def wrong(cases: list[Case], name: str) -> Case:
    """The one of this name."""
    return next(case for case in cases if case.name == name)


def right(id: str) -> str:
    """The references of this exercise without docstrings, comments and annotations."""
    return "\n\n".join(_bare(inspect.getsource(reference)) for reference in references()[id])


def _replaced(base: str, old: list[str], new: list[str]) -> str:
    lines = base.split("\n")
    if len(old) == 1:
        places = [number for number, line in enumerate(lines) for _ in range(line.count(old[0]))]
    else:
        places = [number for number in range(len(lines)) if _length(lines[number:], old)]
    assert len(places) == 1, f"{len(places)} times in it: {old}"
    place = places[0]
    margin = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
    length = 1
    if len(old) == 1:
        before, after = lines[place].split(old[0])
        if not before:  # a whole line, or its beginning
            before, new = margin, [new[0].lstrip(), *new[1:]]
        text = [*new[:-1], new[-1] + after]
        text[0] = before + text[0]
        text[1:] = [(margin + line).rstrip() for line in text[1:]]
    else:
        length = _length(lines[place:], old)
        text = [(margin + line).rstrip() for line in new]
    lines[place : place + length] = text if any(map(str.strip, text)) else []
    return "\n".join(lines)


def _length(lines: list[str], old: list[str]) -> int:
    """How many lines at the beginning are those of the old part; 0 if they are others."""
    parts = (r"(.*\n)*?" if line.strip() == "..." else rf"\1{re.escape(line)}\n" if line else "\n" for line in old)
    found = re.match("( *?)" + "".join(parts).removeprefix(r"\1"), "\n".join([*lines, ""]))
    return found[0].count("\n") if found else 0


def _block(text: str) -> str:
    """Without the line ends around a text of several lines, and without its margin."""
    return textwrap.dedent(text).strip("\n") if "\n" in text else text


def _bare(source: str) -> str:
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0] - 1] = lines[token.start[0] - 1][: token.start[1]].rstrip() or "#"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if ast.get_docstring(node):
                for number in range(node.body[0].lineno - 1, node.body[0].end_lineno):
                    lines[number] = "#"
            if not isinstance(node, ast.ClassDef):
                first = node.lineno - 1
                margin = lines[first][: node.col_offset]
                lines[first : node.body[0].lineno - 1] = [margin + _head(node), *["#"] * (node.body[0].lineno - 2 - first)]
    return "\n".join(line for line in lines if line != "#")


def _head(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Its first line, without annotations."""
    arguments = copy.deepcopy(function.args)
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    word = "def" if isinstance(function, ast.FunctionDef) else "async def"
    return f"{word} {function.name}({ast.unparse(arguments)}):"
