"""Each exercise: its reference passes, its stub is open, each typical wrong solution gets the message that names its cause."""

import importlib
import re
from pathlib import Path

import pytest
from messages import messages

from course_lib import journal
from course_lib.exercises import all_exercises, check
from course_lib.solutions import file_of

EXERCISES = {exercise.id: exercise for exercise in all_exercises()}
WRONG = [importlib.import_module(f"exercises.wrong.{path.stem}") for path in sorted(Path(__file__).parent.glob("wrong/*.py"))]


def params(table):
    """Those of CASES, or of RIGHT, of each module: the id of the exercise, what its cells begin with, the case."""
    return [
        pytest.param(id, wrong.IMPORTS, case, id=f"{id} {case.name}")
        for wrong in WRONG for id, cases in getattr(wrong, table, {}).items() for case in cases
    ]  # fmt: skip


def handed_over(exercise, names):
    """What a learner hands over after this cell has run."""
    return [names[name] for name in exercise.names]


def test_each_exercise_has_typical_wrong_solutions():
    assert {id for wrong in WRONG for id in wrong.CASES} == set(EXERCISES)


def test_each_message_is_a_whole_sentence():
    assert [said for said in messages() if said.kind in ("Wrong", "cause") and not said.words.endswith((*".?)", "…}"))] == []


@pytest.mark.parametrize("id", EXERCISES)
def test_the_reference_passes_as_a_cell(id, cell, as_before, capsys, checked):
    exercise = EXERCISES[id]
    names = cell(exercise.reference)
    result = checked(id, *handed_over(exercise, names))
    assert result.passed and not result.open, result.findings
    first = capsys.readouterr().out
    assert first.startswith(f"{id} {exercise.name}\n  ok: ")
    stored = ", your ".join(f"{name} is now in mine/{file_of(name)}" for name in exercise.names)
    assert first.endswith(f"\n{id} passed. Your {stored}.\n")
    assert checked(id, *handed_over(exercise, names)).passed
    assert capsys.readouterr().out == first  # the same text each time: it is stored in notebooks


@pytest.mark.parametrize("id", EXERCISES)
def test_the_stub_is_open_and_no_try(id, cell, as_before, capsys):
    exercise = EXERCISES[id]
    names = cell(exercise.stub)
    capsys.readouterr()
    result = check(id, *handed_over(exercise, names))
    assert result.open and not result.passed
    assert capsys.readouterr().out in (
        f"{id} is open: {exercise.name} is not written yet.\n",
        f"{id} is open: not all of {exercise.name} is written yet.\n",
    )
    assert journal.read() == {}


@pytest.mark.parametrize("id, imports, case", params("RIGHT"))
def test_another_right_solution_passes_with_these_notes_and_is_kept(id, imports, case, cell, as_before, capsys, checked):
    result = checked(id, *handed_over(EXERCISES[id], cell(case.source, cell(imports))))
    notes, says = [finding.words for finding in result.findings if finding.kind == "note"], case.says.splitlines()
    assert result.passed and len(notes) == len(says) and all(map(str.__contains__, notes, says)), result.findings
    assert capsys.readouterr().out.endswith(f"{file_of(EXERCISES[id].names[-1])}.\n")


@pytest.mark.parametrize("id, imports, case", params("CASES"))
def test_a_typical_wrong_solution_gets_its_message(id, imports, case, cell, as_before, capsys, checked):
    names = cell(imports)
    result = checked(id, *handed_over(EXERCISES[id], cell(case.source, names)))
    said = capsys.readouterr().out
    assert not result.passed and not result.open
    cause = result.findings[-1]
    assert cause.kind == "not yet" and case.says in str(cause), said
    told = re.split(r"\n  .+ printed(?:, at the end)?:\n    \| ", said[said.index("\n  not yet: ") :])[0]
    assert told.split() == str(cause).split()
    assert all(len(line) <= 60 or " " not in line.strip() for line in told.split("\n"))  # JupyterLab breaks longer ones in a word
