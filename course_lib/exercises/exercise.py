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

    `solution` is the reference itself, a function or class; `reference` is its source, with the imports it
    needs, ready to be put into a cell. `check` gets an `Attempt` and raises `Wrong` at the first failure
    that makes later ones meaningless.
    """

    id: str
    minutes: int
    task: str
    stub: str
    hints: tuple[str, ...]
    solution: Callable
    explanation: str
    check: Callable[["Attempt"], None]

    @property
    def name(self) -> str:
        return self.solution.__name__

    @property
    def reference(self) -> str:
        imports = re.split(r"^(?=def |class )", self.stub, maxsplit=1, flags=re.MULTILINE)[0]
        return imports + inspect.getsource(self.solution)

    @property
    def file(self) -> str:
        """The file in ``mine/`` that holds the learner's own version: ``PollEngine`` → ``poll_engine.py``."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.name).lower() + ".py"
