"""What an exercise is. Its text, its reference and its check stand together in one module a notebook."""

import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from .attempt import Attempt


class Wrong(Exception):
    """The learner's function does something else than asked; the text is one sentence that names the cause."""


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    `solution` is the reference itself: a function or class, or a tuple of them where one exercise asks for
    several. `reference` is its source, with the imports it needs, ready to be put into a cell. `check` gets an
    `Attempt` and raises `Wrong` at the first failure that makes later ones meaningless. What it runs in the
    child gets the learner's version of `solution`: one function or class, or a tuple.
    """

    id: str
    minutes: int
    task: str
    stub: str
    hints: tuple[str, ...]
    solution: Callable | tuple[Callable, ...]
    explanation: str
    check: Callable[["Attempt"], None]

    @property
    def solutions(self) -> tuple[Callable, ...]:
        """The functions and classes it asks for, in the order in which `check` takes them."""
        return self.solution if isinstance(self.solution, tuple) else (self.solution,)

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
        imports = re.split(r"^(?=def |class )", self.stub, maxsplit=1, flags=re.MULTILINE)[0]
        return imports + "\n\n".join(map(inspect.getsource, self.solutions))


def file_of(name: str) -> str:
    """The file in ``mine/`` that holds the learner's own version: ``PollEngine`` → ``poll_engine.py``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower() + ".py"
