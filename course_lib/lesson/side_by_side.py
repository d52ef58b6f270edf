"""Two functions side by side: what is new in the second is seen at a glance."""

import ast
import difflib
import html
import inspect
import textwrap
from collections.abc import Callable
from itertools import zip_longest

from .card import Card

_LINE = "padding: 0 10px; white-space: pre-wrap; text-align: left; width: 50%; font-family: monospace"
_NEW = "font-weight: bold; border-left: 3px solid var(--jp-brand-color1, #1976d2)"


def side_by_side(old: Callable, new: Callable, alike: tuple[str, str] = ("", "")) -> Card:
    """The statements of two functions, equal ones in the same row, the others bold; as plain text with - and + before them.

    Comments are left out, and indentation is no difference. `alike` are two words that count as one, such as ("poll", "epoll").
    """
    left, right = _statements(old), _statements(new)
    one, other = alike
    compared = [
        [line.strip().replace(other, one).replace(other.upper(), one.upper()) for line in lines] for lines in (left, right)
    ]
    text, rows = [], []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, *compared, autojunk=False).get_opcodes():
        same = tag == "equal"
        text += (
            [f"  {line}" for line in right[c:d]] if same else [*(f"- {x}" for x in left[a:b]), *(f"+ {x}" for x in right[c:d])]
        )
        rows += [
            "<tr>" + "".join(_cell(line, same) for line in pair) + "</tr>"
            for pair in zip_longest(left[a:b], right[c:d], fillvalue="")
        ]
    head = "".join(
        f"<th scope='col' style='text-align: left; padding: 0 10px'>{html.escape(function.__qualname__)}</th>"
        for function in (old, new)
    )
    return Card(
        "side by side",
        "\n".join([f"- {old.__qualname__}, + {new.__qualname__}", *text]),
        f"<table class='course-pair'><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>",
    )


def _statements(function: Callable) -> list[str]:
    """The lines of its body as Python writes them: without comments."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    return "\n".join(map(ast.unparse, definition.body)).splitlines()


def _cell(line: str, same: bool) -> str:
    return f"<td style='{_LINE}{'' if same or not line else '; ' + _NEW}'>{html.escape(line)}</td>"
