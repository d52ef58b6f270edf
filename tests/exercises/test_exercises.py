"""What a learner calls: check with odd arguments, hint, solution, progress, and what is counted as a try."""

import pytest

from course_lib import journal
from course_lib.exercises import all_exercises, check, hint, progress, solution

WRONG = "def make_listener(port=0, backlog=16): return {}"


def test_each_exercise_is_complete():
    exercises = all_exercises()
    assert len({exercise.id for exercise in exercises}) == len({exercise.file for exercise in exercises}) == len(exercises)
    for exercise in exercises:
        assert exercise.minutes > 0 and exercise.task and exercise.explanation and len(exercise.hints) >= 2
        assert "raise NotImplementedError" in exercise.stub
        for text in (exercise.stub, exercise.reference):
            assert f" {exercise.name}" in text
            compile(text, exercise.id, "exec")


@pytest.mark.parametrize(
    "arguments, says",
    [
        ((), 'Say which exercise, as a string: "2.1".'),
        ((2.1,), 'Say which exercise, as a string: "2.1".'),
        (("9.99",), "There is no exercise '9.99'; there are 2.1, 2.2"),
        (("\x1b[2J",), "There is no exercise '\\\\x1b[2J'"),
        (("2.1",), 'Hand over your function too: check("2.1", make_listener).'),
        (("2.2",), 'Hand over your class too: check("2.2", Lines).'),
        (("2.1", 5), "asks for the function make_listener itself, not for a value of type int"),
        (("2.1", list), "asks for the function make_listener, and list is a class."),
        (("2.2", object()), "asks for the class Lines itself, not for a value of type object"),
        (("2.2", print), "asks for the class Lines itself"),
    ],
    ids=repr,
)
def test_odd_arguments_are_one_sentence(arguments, says, capsys):
    result = check(*arguments)
    said = capsys.readouterr().out
    assert says in said and said.count("\n") == 1
    assert result.open and not result.passed
    assert journal.read() == {}


@pytest.mark.parametrize("head, body", [("async def", "pass"), ("def", "yield")])
def test_a_function_whose_body_would_not_run(head, body, cell, capsys):
    result = check("2.1", cell(f"{head} make_listener(port=0, backlog=16): {body}")["make_listener"])
    assert result.open and "asks for a plain function" in capsys.readouterr().out


def test_strict_mode_raises_unless_passed(cell, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_STRICT", "1")
    exercise = all_exercises()[0]
    assert check("2.1", exercise.solution).passed
    for learner in (cell(WRONG.format(5))["make_listener"], cell(exercise.stub)["make_listener"], None):
        with pytest.raises(AssertionError, match="2.1 is not passed"):
            check("2.1", learner)


def test_a_result_shows_nothing_as_the_last_expression_of_a_cell():
    from IPython.core.formatters import DisplayFormatter

    assert DisplayFormatter().format(check("9.99")) == ({}, {})


def test_hints_come_one_after_the_other(capsys):
    hints = all_exercises()[0].hints
    for number, text in enumerate(hints, 1):
        hint("2.1")
        assert capsys.readouterr().out == f"2.1, hint {number} of {len(hints)}: {text}\n"
    for _ in range(2):
        hint("2.1")
        assert capsys.readouterr().out.startswith(f"2.1 has no more hints; you have had all {len(hints)}.")
    hint("2.2")
    assert "2.2, hint 1 of" in capsys.readouterr().out


def test_hint_and_solution_of_an_unknown_exercise_are_one_sentence(capsys):
    for ask in (hint, solution):
        for id in ("9.99", 5, None):
            ask(id)
            assert capsys.readouterr().out.count("\n") == 1
        ask()
        assert capsys.readouterr().out.count("\n") == 1


def test_the_solution_opens_after_three_honest_tries(cell, capsys):
    def said_by_solution() -> str:
        capsys.readouterr()
        solution("2.1")
        return capsys.readouterr().out

    def try_(source: str) -> None:
        check("2.1", cell(source)["make_listener"])

    assert "after 3 more tries" in said_by_solution()
    try_(WRONG.format(1))
    assert "after 2 more tries" in said_by_solution()
    try_(WRONG.format(1))
    try_("# only a comment is new\n" + WRONG.format(" 1"))
    assert "after 2 more tries" in said_by_solution()
    try_(WRONG.format(2))
    assert "after 1 more try:" in said_by_solution()
    try_("value = 1\n" + WRONG.format("value"))
    shown = said_by_solution()
    exercise = all_exercises()[0]
    assert shown == f"{exercise.reference}\nWhy: {exercise.explanation}\n"


def test_a_change_in_a_helper_or_a_constant_is_another_try(cell):
    for value in (1, 2):
        cell_ = f"limit = {value}\ndef helper(): return limit\n" + WRONG.format("helper()")
        check("2.1", cell(cell_)["make_listener"])
    assert journal.read()["exercises"]["2.1"]["tries"] == 2


def test_code_without_source_is_tried_once(capsys):
    names = {"__name__": "__main__"}
    exec(compile(WRONG.format(1), "<nowhere>", "exec"), names)
    for _ in range(2):
        check("2.1", names["make_listener"])
    assert journal.read()["exercises"]["2.1"]["tries"] == 1


def test_the_solution_opens_after_a_pass(cell, capsys):
    check("2.2", cell(all_exercises()[1].reference)["Lines"])
    capsys.readouterr()
    solution("2.2")
    assert capsys.readouterr().out.startswith("class Lines:")


def test_progress(cell, capsys):
    check("2.1", cell(WRONG.format(1))["make_listener"])
    check("2.2", cell(all_exercises()[1].reference)["Lines"])
    check("2.2", cell("class Lines: pass")["Lines"])
    hint("2.3")
    capsys.readouterr()
    progress()
    assert capsys.readouterr().out.splitlines()[:4] == [
        "2.1 make_listener  1 try   5 min",
        "2.2 Lines          passed  8 min",
        "2.3 serve_one      open    6 min",
        "2.4 serve_forever  open    3 min",
    ]


def test_a_machine_without_free_descriptors_is_no_try(cell, monkeypatch, capsys):
    from course_lib.exercises import run

    def refuse(name):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(run, "memory_file", refuse)
    assert check("2.1", cell(WRONG.format(1))["make_listener"]).open
    assert capsys.readouterr().out == "The check could not start a process: Too many open files.\n"
    assert journal.read() == {}


def test_a_check_that_cannot_start_is_no_try(cell, monkeypatch, capsys):
    from course_lib.exercises import run

    monkeypatch.setattr(run, "START_LIMIT", 0.0)
    monkeypatch.setattr(run.Run, "_stat", lambda self: [])  # never taken for one that only needs more time
    result = check("2.1", cell(WRONG.format(1))["make_listener"])
    assert result.open and "did not start" in capsys.readouterr().out
    assert journal.read() == {}


def test_the_reference_itself_passes_but_is_not_taken_for_the_learners(capsys, home):
    from course_lib.mine import Lines

    assert check("2.2", Lines).passed
    assert "This Lines is the course's own, so nothing is kept." in capsys.readouterr().out
    assert not home.exists()
