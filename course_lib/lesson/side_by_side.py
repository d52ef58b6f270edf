"""Two functions side by side: equal lines are joined, and what is new in the second is seen at a glance."""

import ast
import difflib
import html
import inspect
import re
import textwrap
from collections.abc import Callable
from itertools import zip_longest

from .card import Card, breakable


def side_by_side(old: Callable, new: Callable, alike: tuple[str, str] = ("", "")) -> Card:
    """The statements of two functions, equal ones in the same row and joined, of the others what differs in bold.

    As plain text the others have - and + before them. Comments are left out, and indentation is no difference. `alike` are two
    words that count as one, such as ("poll", "epoll"). Where there is no room for two columns, the page shows what the text does.
    """
    left, right = _statements(old), _statements(new)
    one, other = alike
    first, second = (
        [line.strip().replace(other, one).replace(other.upper(), one.upper()) for line in lines] for lines in (left, right)
    )
    text, rows = [], []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        same = tag == "equal"
        text += (
            [f"  {line}" for line in right[c:d]] if same else [*(f"- {x}" for x in left[a:b]), *(f"+ {x}" for x in right[c:d])]
        )
        rows += [
            "<tbody>",
            *(_row(same, *pair) for pair in zip_longest(left[a:b], right[c:d], fillvalue="")),
            "</tbody>",
        ]
    heads = [f"<th scope='col'>{html.escape(function.__qualname__)}</th>" for function in (old, new)]
    return Card(
        "side by side",
        "\n".join([f"- {old.__qualname__}, + {new.__qualname__}", *text]),
        f"<table class='course-sides'><thead><tr>{'<td></td>'.join(heads)}</tr></thead>{''.join(rows)}</table>",
    )


def _statements(function: Callable) -> list[str]:
    """The lines of its body as Python writes them: without comments."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    return "\n".join(map(ast.unparse, definition.body)).splitlines()


def _marked(left: str, right: str) -> tuple[str, str]:
    """Two lines as HTML, the words that only one of them has in bold."""
    first, second = (re.findall(r"\w+|\s+|\W", line) for line in (left, right))
    shown: tuple[list[str], list[str]] = ([], [])
    for tag, a, b, c, d in difflib.SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        for side, part in zip(shown, (first[a:b], second[c:d])):
            told = html.escape("".join(part))
            side.append(told if tag == "equal" or not told.strip() else f"<b>{told}</b>")
    return "".join(shown[0]), "".join(shown[1])


def _row(same: bool, *lines: str) -> str:
    code = [line.lstrip(" ") for line in lines]
    shown = map(html.escape, code) if same else _marked(*code)
    new = "" if same else " class='course-new'"
    cells = [_cell(len(line) - len(rest), marked, new) for line, rest, marked in zip(lines, code, shown)]
    joint = "<td class='course-joint'></td>" if same else "<td></td>"
    return f"<tr>{joint.join(cells)}</tr>"


def _cell(deep: int, code: str, new: str) -> str:
    """A line of code; where it is broken, its indentation stays with its first word, and the rest stands a little deeper."""
    return f"<td{new} style='--indent: {deep}ch'>{'&nbsp;' * deep}{breakable(code)}</td>" if code else "<td></td>"
