"""Exercises: `check` what you wrote, ask for a `hint`, read the `solution`, see your `progress`."""

import ast
import hashlib
import inspect
import os
from dataclasses import dataclass, field
from typing import Callable

from course_lib import journal

from . import blocking, descriptors, nonblocking, selecting
from .attempt import Attempt
from .exercise import Exercise, Wrong
from .keep import CannotKeep, as_module, keep
from .run import NotChecked, Open, printable

__all__ = ["Exercise", "Result", "all_exercises", "check", "hint", "progress", "solution"]

TRIES = 3  # failed checks, each of different code, that open the solution
_SHOWN_LINES, _SHOWN_CHARACTERS = 20, 2000


@dataclass
class Result:
    """What a check found. `open`: there was nothing to check yet. `findings` are the lines that were printed."""

    passed: bool = False
    open: bool = False
    findings: list[str] = field(default_factory=list)

    def _ipython_display_(self) -> None:
        """As the last expression of a cell it shows nothing: all is printed already."""


def all_exercises() -> list[Exercise]:
    """All exercises of the course, in its order."""
    return [exercise for module in (descriptors, blocking, nonblocking, selecting) for exercise in module.EXERCISES]


def check(id: str = "", learner: object = None) -> Result:
    """Run the learner's function or class in a process of its own, print what was found, and keep what passed.

    Always returns; with ``COURSE_STRICT=1`` in the environment it raises AssertionError unless passed.
    """
    result = _check(id, learner)
    if os.environ.get("COURSE_STRICT") == "1" and not result.passed:
        raise AssertionError(f"{id} is not passed: {'; '.join(result.findings)}")
    return result


def hint(id: str = "") -> None:
    """Print the next hint; each call gives one more."""
    if not (exercise := _find(id)):
        return
    entry = _entry(exercise)
    given, count = entry.get("hints", 0), len(exercise.hints)
    if given >= count:
        print(f'{id} has no more hints; you have had all {count}. solution("{id}") opens after a pass or {TRIES} tries.')
        return
    print(f"{id}, hint {given + 1} of {count}: {exercise.hints[given]}")
    journal.record("exercises", id, entry | {"hints": given + 1})


def solution(id: str = "") -> None:
    """Print the reference and why it is so. Opens after a pass or three honest tries."""
    if not (exercise := _find(id)):
        return
    entry = _entry(exercise)
    missing = TRIES - entry.get("tries", 0)
    if not entry.get("passed") and missing > 0:
        print(f"The solution of {id} opens when you have passed, or after {_count(missing, 'more try', 'more tries')}: checks of different code.")
        return
    print(f"{exercise.reference}\nWhy: {exercise.explanation}")


def progress() -> None:
    """Print a table: exercise, state, planned minutes."""
    rows = []
    for exercise in all_exercises():
        entry = _entry(exercise)
        tries = entry.get("tries", 0)
        state = "passed" if entry.get("passed") else _count(tries, "try", "tries") if tries else "open"
        rows.append((f"{exercise.id} {exercise.name}", state, f"{exercise.minutes} min"))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for name, state, minutes in rows:
        print(f"{name:{widths[0]}}  {state:{widths[1]}}  {minutes:>{widths[2]}}")


def _check(id: str, learner: object) -> Result:
    if not (exercise := _find(id)):
        return Result(open=True)
    if unfit := _unfit(exercise, learner):
        print(unfit)
        return Result(open=True)
    with Attempt(learner, exercise.name) as attempt:
        try:
            try:
                exercise.check(attempt)
                outcome = None
            except OSError as error:
                raise attempt.cause(error) from None
        except (Open, NotChecked, Wrong) as other:
            outcome = other
    findings = attempt.findings
    if isinstance(outcome, Open):
        print(f"{id} is open: {exercise.name} is not written yet.")
        return Result(open=True)
    if isinstance(outcome, NotChecked):
        print(outcome)
        return Result(open=True)
    if isinstance(outcome, Wrong):
        findings.append(f"not yet: {outcome}")
    print(f"{id} {exercise.name}", *findings, sep="\n  ")
    _show(attempt.output, exercise.name)
    if outcome is None:
        _passed(exercise, learner)
    else:
        _tried(exercise, learner)
    return Result(outcome is None, False, findings)


def _find(id: object) -> Exercise | None:
    """The exercise of this number; if there is none, one sentence is printed."""
    for exercise in all_exercises():
        if exercise.id == id:
            return exercise
    ids = ", ".join(exercise.id for exercise in all_exercises())
    if isinstance(id, str) and id:
        print(f"There is no exercise {printable(id)[:40]!r}; there are {ids}.")
    else:
        print(f'Say which exercise, as a string: "{all_exercises()[0].id}". There are {ids}.')
    return None


def _unfit(exercise: Exercise, learner: object) -> str | None:
    """One sentence if this is not the kind of thing the exercise asks for."""
    kind = "class" if inspect.isclass(exercise.solution) else "function"
    call = f'check("{exercise.id}", {exercise.name})'
    if learner is None:
        return f"Hand over your {kind} too: {call}."
    if kind == "class":
        if inspect.isclass(learner):
            return None
        return f"{exercise.id} asks for the class {exercise.name} itself, not for a value of type {type(learner).__name__}: {call}."
    if inspect.isclass(learner):
        return f"{exercise.id} asks for the function {exercise.name}, and {learner.__name__} is a class."
    if not callable(learner):
        return f"{exercise.id} asks for the function {exercise.name} itself, not for a value of type {type(learner).__name__}: {call}, without () behind the name."
    if inspect.iscoroutinefunction(learner) or inspect.isgeneratorfunction(learner) != inspect.isgeneratorfunction(exercise.solution):
        return f"{exercise.id} asks for a plain function: with async or yield in it, a call does not run its body."
    return None


def _show(output: str, name: str) -> None:
    """What the learner's code printed: bounded, and with no control character."""
    lines = [printable(line) for line in output.splitlines()]
    if not lines:
        return
    shown = "\n".join(lines[-_SHOWN_LINES:])[-_SHOWN_CHARACTERS:].split("\n")
    cut = len("\n".join(shown)) < len("\n".join(lines))
    print(f"  {name} printed{', at the end' if cut else ''}:", *shown, sep="\n    | ")


def _passed(exercise: Exercise, learner: Callable) -> None:
    if learner is exercise.solution:  # bound by an import from course_lib.mine
        print(f"This {exercise.name} is the course's own, so nothing is kept. Run your cell of {exercise.id} again, then this check.")
        return
    journal.record("exercises", exercise.id, _entry(exercise) | {"passed": True})
    try:
        keep(learner, exercise, [other.name for other in all_exercises()])
    except CannotKeep as reason:
        print(f"{exercise.id} passed. It is not stored in mine/, for {reason}.")
    else:
        print(f"{exercise.id} passed. Your {exercise.name} is now in mine/{exercise.file}.")


def _tried(exercise: Exercise, learner: Callable) -> None:
    """Count a try, unless the code is the same as last time."""
    entry, code = _entry(exercise), _fingerprint(exercise, learner)
    if entry.get("last") != code:
        journal.record("exercises", exercise.id, entry | {"tries": entry.get("tries", 0) + 1, "last": code})


def _fingerprint(exercise: Exercise, learner: Callable) -> str:
    """The same for code that differs in comments and spaces only."""
    try:
        text = ast.dump(ast.parse(as_module(learner, exercise, [other.name for other in all_exercises()])))
    except CannotKeep:
        text = repr(getattr(getattr(learner, "__code__", None), "co_code", learner))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _entry(exercise: Exercise) -> dict:
    return journal.read().get("exercises", {}).get(exercise.id, {})


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
