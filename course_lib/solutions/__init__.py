"""The references of the exercises: what `course_lib.mine` falls back on. Standard library only.

Each module has those of one notebook, and says in EXERCISES which exercise asks for which.
"""

import re
from collections.abc import Callable
from functools import cache
from importlib import import_module

__all__ = ["file_of", "find", "names", "references"]

# in the order of the notebooks; a checked process loads only what its check needs
_MODULES = "descriptors", "blocking", "nonblocking", "selecting", "polling", "epolling", "coroutines", "cpu_io", "capstone"


@cache
def references() -> dict[str, tuple[Callable, ...]]:
    """Exercise -> the functions and classes it asks for, in the order in which `check` takes them."""
    return {id: asked for name in _MODULES for id, asked in import_module(f".{name}", __name__).EXERCISES.items()}


def names() -> list[str]:
    """Whatever an exercise asks for, in the order of the course."""
    return [reference.__name__ for asked in references().values() for reference in asked]


def find(name: str) -> tuple[str, Callable]:
    """The exercise that asks for this name, and its reference. Raises KeyError."""
    for id, asked in references().items():
        for reference in asked:
            if reference.__name__ == name:
                return id, reference
    raise KeyError(name)


def file_of(name: str) -> str:
    """The file in ``mine/`` that holds the learner's own version: ``PollEngine`` → ``poll_engine.py``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower() + ".py"
