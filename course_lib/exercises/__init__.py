"""Exercises: `check` what you wrote, ask for a `hint`, read the `solution`, see your `progress`."""

import ast
import hashlib
import inspect
import linecache
import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field

from course_lib import journal
from course_lib.sandbox import Attempt, Finding, NotChecked, Open, Wrong, a
from course_lib.sandbox.words import printable, where
from course_lib.solutions import file_of, names

from .exercise import Exercise, all_exercises
from .keep import CannotKeep, as_module, keep

__all__ = ["Exercise", "Finding", "Result", "all_exercises", "check", "hint", "progress", "solution"]

TRIES = 3  # failed checks, each of different code, that open the solution
_SHOWN_LINES, _SHOWN_CHARACTERS = 20, 2000
_WIDTH = 60  # characters of a line of ours: so many has a cell beside the panel, in a page of 1280 pixels


@dataclass
class Result:
    """What a check found. `open`: it was not written yet, or could not be checked. `findings` are what was printed."""

    passed: bool = False
    open: bool = False
    findings: list[Finding] = field(default_factory=list)
    exercise: Exercise | None = None

    def _ipython_display_(self) -> None:
        """As the last expression of a cell it adds nothing to what is printed but the controls of `on_result`."""
        if on_result and self.exercise:
            on_result(self)


on_result: Callable[[Result], None] | None = None  # shows what a page can offer below a check: course_lib.lesson sets it


def check(id: str = "", *learners: object) -> Result:
    """Run the learner's function or class in a process of its own, print what was found, and keep what passed.

    Where an exercise asks for several, it takes them in the order of its text: ``check("3.1", try_accept, try_recv)``.
    Always returns; with ``COURSE_STRICT=1`` in the environment it raises AssertionError unless passed.
    """
    result = _check(id, learners)
    result.exercise = next((exercise for exercise in all_exercises() if exercise.id == id), None)
    if os.environ.get("COURSE_STRICT") == "1" and not result.passed:
        raise AssertionError(f"{id} is not passed: {'; '.join(map(str, result.findings))}")
    return result


def hint(id: str = "") -> None:
    """Print the next hint; each call gives one more."""
    if exercise := _find(id):
        print(next_hint(exercise))


def next_hint(exercise: Exercise) -> str:
    """One hint more, or one sentence that there is none."""
    given, count = hints_given(exercise), len(exercise.hints)
    if given >= count:
        return f'{exercise.id} has no more hints; you have had all {count}. solution("{exercise.id}") opens after a pass or {TRIES} tries.'
    journal.update("exercises", exercise.id, lambda entry: entry | {"hints": given + 1})
    return f"{exercise.id}, hint {given + 1} of {count}: {exercise.hints[given]}"


def hints_given(exercise: Exercise) -> int:
    """How many of its hints the learner has had."""
    return min(_entry(exercise).get("hints", 0), len(exercise.hints))


def solution(id: str = "") -> None:
    """Print the reference and why it is so. Opens after a pass or three honest tries."""
    if exercise := _find(id):
        print(closed(exercise) or f"{exercise.reference}\nWhy: {exercise.explanation}")


def closed(exercise: Exercise) -> str:
    """When its solution opens, in one sentence; "" when it is open."""
    entry = _entry(exercise)
    missing = TRIES - entry.get("tries", 0)
    if entry.get("passed") or missing <= 0:
        return ""
    more = _count(missing, "more try", "more tries")
    return f"The solution of {exercise.id} opens when you have passed, or after {more}: checks of different code."


def progress() -> None:
    """Print a table: exercise, state, planned minutes."""
    rows, entries = [], journal.read().get("exercises", {})
    for exercise in all_exercises():
        entry = entries.get(exercise.id, {})
        tries = entry.get("tries", 0)
        state = "passed" if entry.get("passed") else _count(tries, "try", "tries") if tries else "open"
        rows.append((f"{exercise.id} {exercise.name}", state, f"{exercise.minutes} min"))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for name, state, minutes in rows:
        print(f"{name:{widths[0]}}  {state:{widths[1]}}  {minutes:>{widths[2]}}")


def _check(id: str, learners: tuple) -> Result:
    if not (exercise := _find(id)):
        return Result(open=True)
    if unfit := _unfit(exercise, learners):
        print(unfit)
        return Result(open=True)
    if not (hasattr(os, "pidfd_open") and os.path.exists("/proc/self/fd")):
        print("Checks need Linux with its /proc: they watch your code from outside. A container or a virtual machine will do.")
        return Result(open=True)
    several = len(learners) > 1
    with Attempt(learners if several else learners[0], "Your code" if several else exercise.name) as attempt:
        try:
            try:
                exercise.check(attempt)
                outcome = None
            except OSError as error:
                raise attempt.cause(error) from None
        except (Open, NotChecked, Wrong) as other:
            outcome = other
    findings = attempt.findings
    if isinstance(outcome, Open) and _is_begun(exercise, outcome.frame):
        print(f"{id} is open: {exercise.name} still raises NotImplementedError{where(outcome.frame)}: take that line out.")
        return Result(open=True)
    if isinstance(outcome, Open):
        print(f"{id} is open: {'not all of ' * several}{exercise.name} is {'not ' * (not several)}written yet.")
        return Result(open=True)
    if isinstance(outcome, NotChecked):
        print(outcome)
        return Result(open=True, findings=[Finding("not checked", str(outcome))])
    if isinstance(outcome, Wrong):
        findings.append(Finding("not yet", str(outcome), outcome.line.removeprefix(" in ")))
    print(f"{id} {exercise.name}", *map(_paragraph, findings), sep="\n")
    _show(attempt.output, attempt.name)
    if outcome is None:
        _passed(exercise, learners)
    else:
        _tried(exercise, learners)
    return Result(outcome is None, False, findings)


def _is_begun(exercise: Exercise, frame: tuple[str, int] | None) -> bool:
    """Has the function that raised there lines that the stub has not?"""
    file, line = frame or ("", 0)
    try:
        written = ast.walk(ast.parse("".join(linecache.getlines(file))))
    except SyntaxError:  # a line of IPython's own
        return False
    functions = ast.FunctionDef, ast.AsyncFunctionDef
    around = [node for node in written if isinstance(node, functions) and node.lineno <= line <= (node.end_lineno or 0)]
    stub = {"raise NotImplementedError"}.union(
        *(_statements(node) for node in ast.walk(ast.parse(exercise.stub)) if isinstance(node, functions))
    )
    return bool(around) and not _statements(max(around, key=lambda node: node.lineno)) <= stub


def _statements(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Those of its body, without docstring and comments."""
    return {ast.unparse(one) for one in function.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))}


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


def _unfit(exercise: Exercise, learners: tuple) -> str | None:
    """One sentence if these are not the kind of things the exercise asks for."""
    asked = len(exercise.solutions)
    if asked == 1:
        things = _kind(exercise.solutions[0])
    else:
        things = f"{asked} {'classes' if all(map(inspect.isclass, exercise.solutions)) else 'functions'}"
    if not learners or len(learners) == 1 and learners[0] is None:
        return f"Hand over your {things} too: {exercise.call}."
    if len(learners) != asked:
        return f"{exercise.id} asks for {'one ' * (asked == 1)}{things}, and you handed over {len(learners)}: {exercise.call}."
    given = tuple(getattr(learner, "__name__", None) for learner in learners)
    if given != exercise.names and set(given) == set(exercise.names):
        return f"Keep to the order: {exercise.call}."
    unfit = (_unfit_one(exercise, *pair) for pair in zip(exercise.solutions, learners))
    return next(filter(None, unfit), None)


def _unfit_one(exercise: Exercise, solution: Callable, learner: object) -> str | None:
    asks = f"{exercise.id} asks for the {_kind(solution)} {solution.__name__}"
    if inspect.isclass(solution):
        if inspect.isclass(learner):
            return None
        return f"{asks} itself, not for {a(learner)}: {exercise.call}."
    if inspect.isclass(learner):
        return f"{asks}, and {learner.__name__} is a class."
    if not callable(learner):
        return f"{asks} itself, not for {a(learner)}: {exercise.call}, without () behind the name."
    if inspect.iscoroutinefunction(learner) or inspect.isgeneratorfunction(learner) != inspect.isgeneratorfunction(solution):
        kind = "a plain function: with async or yield in it, a call does not run its body"
        if inspect.isgeneratorfunction(solution):
            kind = "a generator function: a def with yield in it"
        return f"{exercise.id} asks for {kind}."
    return None


def _kind(solution: Callable) -> str:
    return "class" if inspect.isclass(solution) else "function"


def _paragraph(finding: Finding) -> str:
    """In lines that a page need not break: JupyterLab breaks them in the middle of a word."""
    return textwrap.fill(
        str(finding), _WIDTH, initial_indent="  ", subsequent_indent="      ", break_long_words=False, break_on_hyphens=False
    )


def _show(output: str, name: str) -> None:
    """What the learner's code printed: bounded, and with no control character."""
    lines = [printable(line) for line in output.splitlines()]
    if not lines:
        return
    shown = "\n".join(lines[-_SHOWN_LINES:])[-_SHOWN_CHARACTERS:].split("\n")
    cut = len("\n".join(shown)) < len("\n".join(lines))
    print(f"  {name} printed{', at the end' if cut else ''}:", *shown, sep="\n    | ")


def _passed(exercise: Exercise, learners: tuple[Callable, ...]) -> None:
    for learner, own in zip(learners, exercise.solutions):
        if learner is own:  # bound by an import from course_lib.mine
            print(
                f"This {own.__name__} is the course's own, so nothing is kept. Run your cell of {exercise.id} again, then this check."
            )
            return
    journal.update("exercises", exercise.id, lambda entry: entry | {"passed": True})
    try:
        keep(learners, exercise, names())
    except CannotKeep as reason:
        print(f"{exercise.id} passed. It is not stored in mine/, for {reason}.")
    else:
        stored = [f"{name} is now in mine/{file_of(name)}" for name in exercise.names]
        print(f"{exercise.id} passed. Your {', your '.join(stored)}.")


def _tried(exercise: Exercise, learners: tuple[Callable, ...]) -> None:
    """Count a try, unless the code is the same as last time."""
    code = _fingerprint(exercise, learners)
    if _entry(exercise).get("last") != code:
        journal.update("exercises", exercise.id, lambda entry: entry | {"tries": entry.get("tries", 0) + 1, "last": code})


def _fingerprint(exercise: Exercise, learners: tuple[Callable, ...]) -> str:
    """The same for code that differs in comments and spaces only."""
    text = "".join(_code(learner, exercise.id, name) for learner, name in zip(learners, exercise.names))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _code(learner: Callable, id: str, name: str) -> str:
    try:
        return ast.dump(ast.parse(as_module(learner, id, name, names())))
    except CannotKeep:
        return repr(getattr(getattr(learner, "__code__", None), "co_code", learner))


def _entry(exercise: Exercise) -> dict:
    return journal.read().get("exercises", {}).get(exercise.id, {})


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
