"""What an exercise is: its text, a Markdown file, and the references that it asks for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.checks import check_of
from course_lib.solutions import references

from .stubs import solution_of, stub_of

if TYPE_CHECKING:
    from course_lib.sandbox.attempt import Attempt

_TEXTS = Path(__file__).with_name("texts")


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    `solutions` are the references, functions and classes, in the order in which `check` takes them. `stub` is the cell
    that a learner starts from; `reference` is their source, with what it needs, ready to be put into a cell.
    """

    id: str
    minutes: int
    task: str
    hints: tuple[str, ...]
    explanation: str
    stub: str
    solutions: tuple[Callable, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(solution.__name__ for solution in self.solutions)

    @property
    def name(self) -> str:
        """``Lines``, or ``try_accept, try_recv`` where there are several."""
        return ", ".join(self.names)

    @property
    def call(self) -> str:
        """What a learner types: ``check("3.1", try_accept, try_recv)``."""
        return f'check("{self.id}", {self.name})'

    @property
    def reference(self) -> str:
        return solution_of(self.solutions)

    @property
    def check(self) -> Callable[[Attempt], None]:
        return check_of(self.id)


@cache
def all_exercises() -> tuple[Exercise, ...]:
    """All exercises of the course, in its order."""
    return tuple(_read(id, asked) for id, asked in references().items())


def _read(id: str, asked: tuple[Callable, ...]) -> Exercise:
    """The exercise as its text tells it: minutes and task, then under headings Hints, Why and, seldom, Stub.

    Without a stub there it is the reference without bodies.
    """
    text = (_TEXTS / f"{id}.md").read_text(encoding="utf-8")
    head, *sections = re.split(r"^## (\w+)\n+", text, flags=re.MULTILINE)
    minutes, _, task = head.removeprefix("minutes: ").partition("\n")
    parts = {name: section.strip() for name, section in zip(sections[::2], sections[1::2])}
    stub = parts["Stub"].removeprefix("```python\n").removesuffix("```") if "Stub" in parts else stub_of(asked)
    hints = tuple(hint.removeprefix("- ") for hint in parts["Hints"].splitlines())
    return Exercise(id, int(minutes), task.strip(), hints, parts["Why"], stub, asked)
