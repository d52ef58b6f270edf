"""The course's last sentence: what the learner's own loop has served, and how many lines that took."""

import ast
import html
from pathlib import Path

from course_lib import folders, journal
from course_lib.exercises import all_exercises
from course_lib.solutions import file_of

from .card import Card, inline

SECTION = "served"  # {client: {"requests": how many}}, as `course_lib.lab.served` keeps it


def ending() -> Card:
    """What the learner's Loop has served by now, from the journal, and the lines of the functions and classes in `mine/`."""
    kept = journal.read().get(SECTION, {})
    served = sorted((entry["requests"], client) for client, entry in kept.items() if entry.get("requests"))
    if not served:
        words = "Nothing yet: when `Loop` is in your own library, run the cells above again, and look here once more."
        return Card("the end", words.replace("`", ""), f"<p>{inline(words)}</p>")
    lines = sum(map(_lines, {folders.mine() / file_of(name) for exercise in all_exercises() for name in exercise.names}))
    told = [f"{number:,} {_of(client)}" for number, client in served]
    text = f"Your own loop has served {', '.join(told)}. You wrote {lines:,} lines."
    rows = "".join(f"<li><b>{number:,}</b> {html.escape(_of(client))}</li>" for number, client in served)
    return Card(
        "the end",
        text,
        f"<p class='course-question'>Your own loop has served</p><ul class='course-served'>{rows}</ul>"
        f"<p class='course-question'>in one thread. You wrote <b>{lines:,}</b> lines.</p>",
        "done",
    )


def _of(client: str) -> str:
    """A program asks with requests; anything else says itself what was counted."""
    return client if " " in client else f"requests of {client}"


def _lines(path: Path) -> int:
    """How many lines its functions and classes have, blank ones not counted; 0 where there is no such file, or no Python in it."""
    try:
        source = path.read_text(encoding="utf-8")
        defined = [
            node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        ]
    except (OSError, ValueError, SyntaxError):
        return 0
    lines = source.splitlines()
    return sum(bool(line.strip()) for node in defined for line in lines[node.lineno - 1 : node.end_lineno])
