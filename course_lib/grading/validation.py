"""Run one learner's notebook under nbval, in a copy, and find out what became of each exercise and each cell."""

import ast
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from course_lib import folders, shipped
from course_lib.exercises import Exercise, all_exercises
from course_lib.sandbox.checked_process import environment, kill_marked

from .in_kernel import RESULTS
from .notebook_file import Cell, Unusable, as_shipped, belongs_to, cells, notebook_of, read

EVENTS = "COURSE_EVENTS"  # in the environment of nbval_events: the file
TIME_LIMIT = 60.0  # seconds for one cell
_START_LIMIT = 90.0  # seconds until the first cell runs
_GRACE = 30.0  # seconds beyond a cell's limit: then nbval itself hangs, and is ended

# The kernel's own folder is empty, so what a cell says of the learner's progress differs from what was stored.
_OF_PROGRESS = ("summary(", "progress(")
_SPARE = " is the reference here, until your own passes "


@dataclass
class State:
    """What became of one exercise: `word` is "passed", "open" (not written yet) or "not yet"."""

    exercise: Exercise
    word: str = "not yet"
    reason: str = ""


@dataclass
class Report:
    """What was found in one file. `problem`: it could not be validated, and why, as one sentence; then all else is empty."""

    path: Path
    problem: str = ""
    notebook: str = ""
    remarks: list[str] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    compared: int = 0  # cells that nobody has changed
    faults: list[str] = field(default_factory=list)  # of these cells: "cell 7, `…`: prints …"
    own_faults: list[str] = field(default_factory=list)  # of cells that the learner changed or added

    @property
    def passed(self) -> bool:
        return not self.problem and not self.faults and all(state.word == "passed" for state in self.states)


@dataclass
class _Step:
    """One cell of the copy that runs: a cell of the learner's, or the check of an exercise."""

    source: str
    cell: Cell | None = None
    original: Cell | None = None  # the cell as shipped, if the learner's is
    check: str = ""  # the exercise's id
    compare: bool = False

    def as_json(self, number: int) -> dict:
        ours = self.original if self.compare else None
        told = self.original or self.cell
        tags = told.tags if told else frozenset()
        return {
            "cell_type": "code",
            "id": f"step-{number}",
            "source": self.source,
            "outputs": list(ours.outputs) if ours else [],
            "execution_count": number + 1 if ours else None,  # nbval compares no cell without one
            "metadata": {"tags": sorted(tags if ours else tags | {"nbval-ignore-output"})},
        }


def validate(path: Path, time_limit: float = TIME_LIMIT, say: Callable[[str], object] = lambda text: None) -> Report:
    """Run the notebook at `path`, which is only read, in a fresh kernel with an empty folder of its own.

    `time_limit` is for each cell, in seconds; `say` hears which cell runs. All processes have ended at the return, also
    after KeyboardInterrupt.
    """
    report = Report(path)
    try:
        own = read(path)
        report.notebook = name = belongs_to(own)
    except Unusable as why:
        report.problem = f"{path} {why}."
        return report
    if path.name[:3] != name[:3]:
        report.remarks.append(f"By its cells it is {name}.")
    try:
        reference = cells(shipped.read(name))
    except shipped.NotFound as why:
        reference = []
        report.remarks.append(f"No output is compared: {why}")
    exercises = [exercise for exercise in all_exercises() if notebook_of(exercise.id) == name]
    steps = _steps(own, as_shipped(own, reference), exercises)
    events, results = _run(steps, time_limit, say)
    faults = _faults(steps, events, time_limit)
    _report_cells(report, steps, faults)
    report.states = [_state(exercise, steps, faults, results) for exercise in exercises]
    return report


def _steps(own: list[Cell], originals: dict[int, Cell], exercises: list[Exercise]) -> list[_Step]:
    """The learner's code cells in their order, with the course's check in the place of each check cell."""
    # By place, what is checked there: an exercise at its check cell, or where that is gone after the last cell of its code.
    checks: dict[int, list[tuple[Exercise, str]]] = {}
    dropped = set()
    for exercise in exercises:
        at = [cell for cell in own if cell.code and _checks(cell, exercise)]
        code = [cell for cell in own if cell.code and _writes(cell, exercise)]
        if at or code:
            arguments = _arguments(at[-1], exercise) if at else exercise.name
            checks.setdefault((at or code)[-1].place, []).append((exercise, arguments))
        dropped |= {cell.place for cell in at if len(_parsed(cell)) <= 1}  # what else stands in it still runs
    steps = []
    for cell in own:
        if cell.code and cell.text and cell.place not in dropped:
            original = originals.get(cell.place)
            steps.append(_Step(cell.source, cell, original, compare=original is not None and _compared(original)))
        for exercise, arguments in checks.get(cell.place, []):
            source = f"import course_lib.grading.in_kernel as _grading; _grading.checked({exercise.id!r}, lambda: ({arguments},))"
            steps.append(_Step(source, check=exercise.id))
    return steps


def _checks(cell: Cell, exercise: Exercise) -> bool:
    return f"check-{exercise.id}" in cell.tags or _check_call(cell, exercise) is not None


def _check_call(cell: Cell, exercise: Exercise) -> ast.Call | None:
    """The call ``check("4.2", …)`` in a cell, the last if there are several."""
    found = None
    for statement in _parsed(cell):
        match statement:
            case ast.Expr(ast.Call(ast.Name("check"), [ast.Constant(exercise.id), *_]) as call):
                found = call
            case ast.Assign(value=ast.Call(ast.Name("check"), [ast.Constant(exercise.id), *_]) as call):
                found = call
    return found


def _parsed(cell: Cell) -> list[ast.stmt]:
    """The statements of a cell; none if they are no Python, as in a cell that begins with ``%%bash``."""
    try:
        return ast.parse(cell.source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _arguments(cell: Cell, exercise: Exercise) -> str:
    """What the learner hands to the check, which may have another name."""
    call = _check_call(cell, exercise)
    return ", ".join(map(ast.unparse, call.args[1:])) if call and call.args[1:] else exercise.name


def _writes(cell: Cell, exercise: Exercise) -> bool:
    """Is this the cell of the exercise: by its tag, or because it defines all that is asked for?"""
    if f"exercise-{exercise.id}" in cell.tags:
        return True
    defined = {node.name for node in _parsed(cell) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
    return set(exercise.names) <= defined


def _compared(original: Cell) -> bool:
    if any(tag.startswith(("exercise-", "check-")) for tag in original.tags):
        return False
    if any(word in original.source for word in _OF_PROGRESS):
        return False
    return not any(_SPARE in "".join(output.get("text", "")) for output in original.outputs)


def _run(steps: list[_Step], time_limit: float, say: Callable[[str], object]) -> tuple[list[dict], dict[str, dict]]:
    """nbval's events, and by exercise the last result of its check."""
    mark = uuid.uuid4().hex
    with tempfile.TemporaryDirectory(prefix="course-check-", ignore_cleanup_errors=True) as folder:
        copy, events, results = (Path(folder) / name for name in ("notebook.ipynb", "events.jsonl", "results.jsonl"))
        notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [s.as_json(n) for n, s in enumerate(steps)]}
        with contextlib.suppress(OSError):  # what a cell says of the course's notebooks, it reads beside itself
            (Path(folder) / "notebooks").symlink_to(folders.notebooks(), target_is_directory=True)
        copy.write_text(json.dumps(notebook), encoding="ascii")  # escapes hold lone surrogates too
        variables = {name: value for name, value in environment().items() if not name.startswith(("COURSE_", "PYTEST_"))}
        variables |= {
            "COURSE_HOME": str(Path(folder) / "mine"),
            "COURSE_GRADING": mark,
            EVENTS: str(events),
            RESULTS: str(results),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        process = subprocess.Popen(
            nbval(
                f"--rootdir={folder}",
                "-pnbval.plugin",
                f"-p{__package__}.nbval_events",
                f"-p{__package__}.local_kernels",
                f"--nbval-cell-timeout={time_limit}",
                str(copy),
            ),
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C comes to us alone, and we end it with all that it started
        )
        try:
            _await(process, events, steps, time_limit, say)
        finally:
            process.kill()
            process.wait()
            kill_marked(mark)
        return _lines(events), {line["exercise"]: line for line in _lines(results)}


def nbval(*arguments: str) -> list[str]:
    """The command that runs notebooks under nbval in this Python, whatever pytest is configured to do elsewhere."""
    options = ["-q", "-c", os.devnull, "-p", "no:cacheprovider", "--nbval", "--nbval-current-env"]
    return [sys.executable, "-m", "pytest", *options, *arguments]


def _await(process: subprocess.Popen, events: Path, steps: list[_Step], time_limit: float, say: Callable[[str], object]) -> None:
    """Wait for its end, as long as one cell after the other ends in time."""
    heard, until = 0, time.monotonic() + _START_LIMIT
    while time.monotonic() < until:
        try:
            process.wait(0.2)
            return
        except subprocess.TimeoutExpired:
            found = _lines(events)
        if len(found) > heard:
            heard, until = len(found), time.monotonic() + time_limit + _GRACE
            say(f"cell {found[-1].get('begins', found[-1].get('ends', 0)) + 1} of {len(steps)}")


def _lines(path: Path) -> list[dict]:
    """The whole lines of a file of JSON lines, to which another process may be writing."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _faults(steps: list[_Step], events: list[dict], time_limit: float) -> list[str]:
    """What is wrong with each cell, as the second half of a sentence; "" where nothing is."""
    begun = {event.get("begins") for event in events}
    ended = {event["ends"]: event for event in events if "ends" in event}
    return [_fault(ended.get(number), number in begun, time_limit) for number in range(len(steps))]


def _fault(event: dict | None, begun: bool, time_limit: float) -> str:
    match event:
        case None if begun:
            return "never ends, and could not be interrupted"
        case None | {"outcome": "not run"}:
            return "does not run, for the kernel has gone"
        case {"outcome": "hangs"}:
            return f"does not end within {time_limit:g} s"
        case {"outcome": "died"}:
            return "ends the kernel"
        case {"outcome": "raises", "text": text}:
            return f"raises {text}"
        case {"outcome": "differs", "text": text}:
            return text
    return ""


def _report_cells(report: Report, steps: list[_Step], faults: list[str]) -> None:
    for step, fault in zip(steps, faults):
        report.compared += step.original is not None
        if step.cell and fault:
            (report.faults if step.original else report.own_faults).append(f"{step.cell.label}: {fault}")


def _state(exercise: Exercise, steps: list[_Step], faults: list[str], results: dict[str, dict]) -> State:
    result = results.get(exercise.id)
    if result and not result["reason"]:
        return State(exercise, result["state"])
    code = [(step.cell, fault) for step, fault in zip(steps, faults) if step.cell and _writes(step.cell, exercise)]
    if not code and (result is None or result["reason"].endswith("is not defined")):
        return State(exercise, reason="its cell is gone, and nothing else in the notebook defines it")
    for cell, fault in code:
        if fault:
            return State(exercise, reason=f"its cell {cell.place} {fault}")
    if result:
        return State(exercise, result["state"], result["reason"])
    of_check = next((fault for step, fault in zip(steps, faults) if step.check == exercise.id), "")
    return State(exercise, reason=f"its check {of_check or 'did not run'}")
