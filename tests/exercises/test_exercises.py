"""What a learner calls: check with odd arguments, hint, solution, progress, and what is counted as a try."""

import ast
import sys
import threading
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
from exercises.case import changed
from exercises.wrong.nonblocking import ACCEPT, RECV

from course_lib import journal
from course_lib.exercises import all_exercises, check, hint, progress, solution
from course_lib.solutions import file_of

IDS = [exercise.id for exercise in all_exercises()]
MAKE_LISTENER, LINES = (exercise for exercise in all_exercises() if exercise.id in ("2.1", "2.2"))
WRONG = "def make_listener(port=0, backlog=16): return {}"


def test_each_exercise_is_complete():
    exercises = all_exercises()
    names = [name for exercise in exercises for name in exercise.names]
    assert len(set(IDS)) == len(IDS) and IDS == sorted(IDS)
    assert len({file_of(name) for name in names}) == len(names)
    for exercise in exercises:
        assert exercise.minutes > 0 and exercise.task and exercise.explanation and len(exercise.hints) >= 2
        assert "raise NotImplementedError" in exercise.stub
        for text in (exercise.stub, exercise.reference):
            assert all(f" {name}(" in text or f" {name}:" in text for name in exercise.names)
            compile(text, exercise.id, "exec")


@pytest.mark.parametrize("id, helpers", [("3.1", ["pause_after"]), ("5.3", ["pause_after", "accept_or_pause"])])
def test_a_solution_shows_the_functions_that_help_it_and_the_stub_does_not(id, helpers):
    exercise = next(exercise for exercise in all_exercises() if exercise.id == id)
    functions = [node.name for node in ast.parse(exercise.reference).body if isinstance(node, ast.FunctionDef)]
    assert functions == [*helpers, *exercise.names]
    assert not any(helper in exercise.stub for helper in helpers)


@pytest.mark.parametrize(
    "arguments, says",
    [
        ((), f'Say which exercise, as a string: "{IDS[0]}".'),
        ((2.1,), f'Say which exercise, as a string: "{IDS[0]}".'),
        (("9.99",), f"There is no exercise '9.99'; there are {', '.join(IDS)}."),
        (("\x1b[2J",), "There is no exercise '\\\\x1b[2J'"),
        (("2.1",), 'Hand over your function too: check("2.1", make_listener).'),
        (("2.2",), 'Hand over your class too: check("2.2", Lines).'),
        (("2.1", 5), "asks for the function make_listener itself, not for a value of type int"),
        (("2.1", list), "asks for the function make_listener, and list is a class."),
        (("2.2", ...), "asks for the class Lines itself, not for a value of type ellipsis"),
        (("2.2", print), "asks for the class Lines itself"),
        (("2.1", print, print), '2.1 asks for one function, and you handed over 2: check("2.1", make_listener).'),
        (("3.1",), 'Hand over your 2 functions too: check("3.1", try_accept, try_recv).'),
        (("3.1", print), '3.1 asks for 2 functions, and you handed over 1: check("3.1", try_accept, try_recv).'),
        (("3.1", (print, print)), "3.1 asks for 2 functions, and you handed over 1"),
        (("3.1", print, 5), "3.1 asks for the function try_recv itself, not for a value of type int"),
        (("3.1", list, print), "3.1 asks for the function try_accept, and list is a class."),
        (("3.1", print, None), "3.1 asks for the function try_recv itself, not for None"),
    ],
    ids=repr,
)
def test_odd_arguments_are_one_sentence(arguments, says, capsys):
    result = check(*arguments)
    said = capsys.readouterr().out
    assert says in said and said.count("\n") == 1
    assert result.open and not result.passed
    assert journal.read() == {}


class Sly(type):
    """Of a class that cannot be compared."""

    def __eq__(cls, other):
        raise RuntimeError

    __hash__ = type.__hash__


@pytest.mark.parametrize(
    "thing",
    [np.array([1, 2]), MagicMock(), Sly("Lines", (), {})(), float("nan"), threading.Lock()],
    ids=lambda thing: type(thing).__name__,
)
def test_whatever_is_handed_over_it_is_one_sentence(thing, capsys):
    assert check("2.2", thing).open
    assert capsys.readouterr().out.startswith("2.2 asks for the class Lines itself, not for a value of type ")


def test_a_class_that_cannot_be_compared_is_checked(capsys):
    assert not check("2.2", Sly("Lines", (), {})).passed and "not yet" in capsys.readouterr().out


@pytest.mark.parametrize("entry", [None, Path("somewhere"), 5, b"bytes"], ids=repr)
def test_whatever_a_cell_puts_into_the_path_of_imports(entry, cell, checked, monkeypatch):
    monkeypatch.setattr(sys, "path", [entry, *sys.path])
    assert not checked("2.1", cell("def make_listener(port=0, backlog=16): raise KeyError")["make_listener"]).open


def test_a_notebook_whose_folder_is_gone(cell, checked, monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert not checked("2.1", cell("def make_listener(port=0, backlog=16): raise KeyError")["make_listener"]).open


@pytest.mark.parametrize("head, body", [("async def", "pass"), ("def", "yield")])
def test_a_function_whose_body_would_not_run(head, body, cell, capsys):
    result = check("2.1", cell(f"{head} make_listener(port=0, backlog=16): {body}")["make_listener"])
    assert result.open and "asks for a plain function" in capsys.readouterr().out


def test_strict_mode_raises_unless_passed(cell, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_STRICT", "1")
    assert check("2.1", MAKE_LISTENER.solutions[0]).passed
    for learner in (cell(WRONG.format(5))["make_listener"], cell(MAKE_LISTENER.stub)["make_listener"], None):
        with pytest.raises(AssertionError, match="2.1 is not passed"):
            check("2.1", learner)


def test_a_result_shows_nothing_as_the_last_expression_of_a_cell():
    from IPython.core.formatters import DisplayFormatter

    assert DisplayFormatter().format(check("9.99")) == ({}, {})


def test_hints_come_one_after_the_other(capsys):
    hints = MAKE_LISTENER.hints
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
    assert shown == f"{MAKE_LISTENER.reference}\nWhy: {MAKE_LISTENER.explanation}\n"


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


@pytest.mark.parametrize("before", ["helpers = types.ModuleType('01 helpers')", "helpers = None"])
def test_a_try_with_what_no_file_can_say_counts(before, cell):
    check("2.1", cell(f"import types\n{before}\ndef make_listener(port=0, backlog=16): return helpers")["make_listener"])
    assert journal.read()["exercises"]["2.1"]["tries"] == 1


def test_the_solution_opens_after_a_pass(cell, capsys):
    check("2.2", cell(LINES.reference)["Lines"])
    capsys.readouterr()
    solution("2.2")
    assert capsys.readouterr().out.startswith("class Lines:")


def test_progress(cell, capsys):
    check("2.1", cell(WRONG.format(1))["make_listener"])
    check("2.2", cell(LINES.reference)["Lines"])
    check("2.2", cell("class Lines: pass")["Lines"])
    hint("2.3")
    capsys.readouterr()
    progress()
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == IDS
    assert len({len(row) for row in rows}) == 1  # columns
    table = {id: " ".join(row.split()[1:]) for id, row in zip(IDS, rows)}
    assert table["2.1"] == "make_listener 1 try 5 min"
    assert table["2.2"] == "Lines passed 8 min"
    assert table["2.3"] == "serve_one open 6 min"
    assert table["3.1"] == "try_accept, try_recv open 6 min"


def test_a_machine_without_free_descriptors_is_no_try(cell, monkeypatch, capsys):
    from course_lib.sandbox import checked_process

    def refuse(name):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(checked_process, "memory_file", refuse)
    assert check("2.1", cell(WRONG.format(1))["make_listener"]).open
    assert capsys.readouterr().out == "The check could not start a process: Too many open files.\n"
    assert journal.read() == {}


def test_a_check_that_cannot_start_is_no_try(cell, monkeypatch, capsys):
    from course_lib.sandbox import checked_process

    monkeypatch.setattr(checked_process, "START_LIMIT", 0.0)
    monkeypatch.setattr(checked_process.proc, "stat", lambda *whose: [])  # never taken for one that only needs more time
    result = check("2.1", cell(WRONG.format(1))["make_listener"])
    assert result.open and "did not start" in capsys.readouterr().out
    assert journal.read() == {}


@pytest.mark.parametrize(
    "library, says",
    {
        "def half_a_line(": "SyntaxError: '(' was never closed, __init__.py, line 1",
        "import socket\nfrom .gone import Run": "ModuleNotFoundError: No module named 'course_lib.sandbox.gone', __init__.py, line 2",
        "raise SystemExit(3)": "status 3",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)": "SIGKILL",
    }.items(),
)
def test_a_library_that_cannot_be_imported_is_not_blamed_on_the_learner(
    library, says, cell, tmp_path, monkeypatch, capsys, as_before
):
    package = tmp_path / "half" / "course_lib" / "sandbox"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").write_text(library)
    monkeypatch.syspath_prepend(tmp_path / "half")  # the child looks there first; here the library is imported already
    assert check("2.1", cell(WRONG.format(1))["make_listener"]).open
    sentence = f"The check could not start: a fresh Python process ended while it imported the course's library ({says})."
    assert capsys.readouterr().out == sentence + "\n"
    assert journal.read() == {}


def test_the_reference_itself_passes_but_is_not_taken_for_the_learners(capsys, home):
    from course_lib.mine import Lines

    assert check("2.2", Lines).passed
    assert "This Lines is the course's own, so nothing is kept." in capsys.readouterr().out
    assert not home.exists()


def try_recv(line: str) -> str:
    """A right one, with this line at its beginning."""
    return changed(RECV, {"def try_recv(sock, size):": f"def try_recv(sock, size):\n    {line}"})


def test_several_functions_are_one_exercise_and_two_files(cell, capsys, home):
    names = cell(ACCEPT + RECV)
    assert check("3.1", names["try_accept"], names["try_recv"]).passed
    said = capsys.readouterr().out
    assert said.startswith("3.1 try_accept, try_recv\n  ok: ")
    assert said.endswith("3.1 passed. Your try_accept is now in mine/try_accept.py, your try_recv is now in mine/try_recv.py.\n")
    assert sorted(path.name for path in home.glob("*.py")) == ["try_accept.py", "try_recv.py"]
    solution("3.1")
    shown = capsys.readouterr().out
    assert shown.count("import socket\n") == 1 and "def try_accept(" in shown and "\n\n\ndef try_recv(" in shown


def test_several_functions_in_the_wrong_order(cell, capsys):
    names = cell(ACCEPT + RECV)
    assert check("3.1", names["try_recv"], names["try_accept"]).open
    assert capsys.readouterr().out == 'Keep to the order: check("3.1", try_accept, try_recv).\n'


def test_half_of_several_functions(cell, capsys):
    stub = next(exercise for exercise in all_exercises() if exercise.id == "3.1").stub
    for source in (stub + ACCEPT, stub + RECV):
        names = cell(source)
        assert check("3.1", names["try_accept"], names["try_recv"]).open
        assert capsys.readouterr().out == "3.1 is open: not all of try_accept, try_recv is written yet.\n"
    assert journal.read() == {}


def test_a_change_in_one_of_several_functions_is_another_try(cell, capsys):
    for line, tries in ("return b''", 1), ("return b''  # a comment", 1), ("return None", 2):
        names = cell(ACCEPT + try_recv(line))
        assert not check("3.1", names["try_accept"], names["try_recv"]).passed
        assert journal.read()["exercises"]["3.1"]["tries"] == tries


def test_one_of_several_functions_is_the_courses_own(cell, capsys, home):
    from course_lib.mine import try_recv

    assert check("3.1", cell(ACCEPT)["try_accept"], try_recv).passed
    assert "This try_recv is the course's own, so nothing is kept. Run your cell of 3.1 again" in capsys.readouterr().out
    assert not home.exists()


def test_several_functions_of_which_one_cannot_go_into_another_process(cell, capsys):
    names = cell("lock = __import__('threading').Lock()\n" + ACCEPT + try_recv("lock"))
    result = check("3.1", names["try_accept"], names["try_recv"])
    assert str(result.findings[-1]).startswith("not yet: Your code uses lock, a lock of this notebook.")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise NotImplementedError", "is not written yet"),
        ('"""What it does."""\n    raise NotImplementedError', "is not written yet"),
        (
            "s = socket.socket()\n    raise NotImplementedError\n    return s",
            "still raises NotImplementedError in line 4, `raise NotImplementedError`: take",
        ),
        (
            "if port:\n        return None\n    else:\n        raise NotImplementedError",
            "still raises NotImplementedError in line 6",
        ),
    ],
)
def test_a_line_of_the_stub_that_was_left_standing_is_named(body, said, cell, capsys):
    names = cell(f"import socket\ndef make_listener(port=0, backlog=16):\n    {body}\n")
    assert check("2.1", names["make_listener"]).open
    assert capsys.readouterr().out.startswith(f"2.1 is open: make_listener {said}")
    assert journal.read() == {}
