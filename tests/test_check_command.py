"""`python -m course_lib check`: what learners and teachers are told of their notebooks."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from held import marked

from course_lib import folders, grading, shipped
from course_lib.__main__ import main
from course_lib.exercises import all_exercises
from course_lib.grading import validation
from course_lib.grading.notebook_file import Cell, Unusable, as_shipped, belongs_to, cells
from course_lib.kernel import wait_until

NOTEBOOK = json.loads((folders.COURSE / "02_blocking_server.ipynb").read_text(encoding="utf-8"))
BY_TAG = {tag: cell for cell in NOTEBOOK["cells"] for tag in cell["metadata"].get("tags", [])}
LINES, SERVE_ONE = (exercise for exercise in all_exercises() if exercise.id in ("2.2", "2.3"))


def own(source: str, tag: str = "") -> dict:
    """A cell that a learner has added or changed; with `tag`, in the place of a cell of the course."""
    return nbformat.v4.new_code_cell(source, metadata={"tags": [tag]} if tag else {})


def write(path: Path, *notebook_cells: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": notebook_cells}))
    return path


def shipped_cell(start: str) -> dict:
    return next(cell for cell in NOTEBOOK["cells"] if "".join(cell["source"]).startswith(start))


@pytest.fixture(scope="module")
def a_learners(tmp_path_factory):
    """The report on a notebook in which each thing happens once: one kernel for many tests."""
    path = write(
        tmp_path_factory.mktemp("handed in") / "my work.ipynb",
        NOTEBOOK["cells"][1],  # imports
        shipped_cell("believe("),
        own("# of my own\n1 / 0"),
        BY_TAG["exercise-2.4"],
        BY_TAG["check-2.4"],
        own(LINES.reference.replace("class Lines", "class MyLines"), "exercise-2.2"),
        own('mine = MyLines\nresult = check("2.2", mine)', "check-2.2"),
        own("import socket\ndef serve_one(conn):\n    raise ValueError('\\x1b[31m<b>\\n2.3 passed')", "exercise-2.3"),
        own('print("2.3 passed.")', "check-2.3"),
        own('socket.create_server(("127.0.0.1", 0)).accept()'),
        own('claim_verdict = verdict\ndef verdict(*ids): print("mine"); return claim_verdict(*ids)'),
        shipped_cell("verdict("),
        own("import os\nos._exit(3)"),
        shipped_cell("parsons("),
    )
    before = path.read_bytes(), sorted(path.parent.iterdir())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_HOME", str(path.parent / "mine"))
        report = grading.validate(path, time_limit=40)
    assert (path.read_bytes(), sorted(path.parent.iterdir())) == before, "the learner's notebook and progress are as before"
    return report


class TestOneReport:
    def test_each_exercise_has_its_state_and_a_reason(self, a_learners):
        states = {state.exercise.id: (state.word, state.reason) for state in a_learners.states}
        assert states["2.4"] == ("open", "")
        assert states["2.2"] == ("passed", ""), "the name that the learner hands to the check counts"
        word, reason = states["2.3"]
        assert word == "not yet" and "serve_one raised ValueError" in reason, "the course's own check ran, not the learner's"

    def test_cells_as_shipped_are_compared_and_own_cells_are_only_told(self, a_learners):
        differs, gone = a_learners.faults
        assert re.match(r"cell 12, `verdict\(.*: prints 'mine', and the course's ", differs)
        assert re.match(r"cell 14, `parsons\(.*: does not run, for the kernel has gone", gone)
        raises, hangs, dies = a_learners.own_faults
        assert raises == "cell 3, `# of my own`: raises ZeroDivisionError: division by zero"
        assert hangs == 'cell 10, `socket.create_server(("127.0.0.1", 0)).accept()`: does not end within 40 s'
        assert dies == "cell 13, `import os`: ends the kernel"
        assert a_learners.remarks == ["By its cells it is 02_blocking_server.ipynb."] and not a_learners.passed

    def test_the_table_is_plain_text(self, a_learners):
        shown = grading.as_text(a_learners)
        assert all(line.isprintable() for line in shown.split("\n"))
        assert re.search(r"^  2\.4 serve_forever  open$", shown, re.M) and re.search(
            r"^  2\.2 Lines          passed$", shown, re.M
        )
        assert re.search(r"^  2\.3 serve_one      not yet  serve_one raised ValueError: \\x1b\[31m<b>", shown, re.M)
        assert "of which 2 differ from the course's" in shown
        assert grading.as_sum([a_learners]) == "1 of 3 exercises passed, 1 open, 1 not yet, 2 cells differ."

    def test_junit_has_a_case_for_each_exercise(self, a_learners):
        a_learners.faults.append("a control character: \x00")
        try:
            damaged = grading.Report(Path("x.ipynb"), problem="x.ipynb is \x08 empty.")
            root = ElementTree.fromstring(grading.as_junit([a_learners, damaged]).encode())
        finally:
            a_learners.faults.pop()
        first, second = root
        failures = {case.get("name"): [(f.get("type"), f.get("message")) for f in case] for case in first}
        assert list(failures) == ["2.2 Lines", "2.3 serve_one", "2.4 serve_forever", "cells as shipped"]
        assert failures["2.4 serve_forever"] == [("open", "it is not written yet")] and failures["2.2 Lines"] == []
        assert failures["2.3 serve_one"][0][0] == "not yet" and "\\x1b" in failures["2.3 serve_one"][0][1]
        assert first.get("tests") == "4" and first.get("failures") == "3" and first.get("errors") == "0"
        assert second.find("testcase/error").get("message") == "x.ipynb is \\x08 empty."


def test_an_exercise_without_its_cell_is_not_yet_passed():
    state = validation._state(LINES, [], [], {})
    assert (state.word, state.reason) == ("not yet", "its cell is gone, and nothing else in the notebook defines it")


@pytest.mark.parametrize("words, faults, status", [("passed passed", [], 0), ("passed open", [], 1), ("passed passed", ["x"], 1)])
def test_the_status_tells_whether_all_is_well(tmp_path, monkeypatch, capsys, words, faults, status):
    states = [grading.State(exercise, word) for exercise, word in zip((LINES, SERVE_ONE), words.split())]
    monkeypatch.setattr(
        grading, "validate", lambda path, *more: grading.Report(path, states=states, faults=faults, own_faults=["y"])
    )
    assert main(["check", "2", "--junit", str(tmp_path / "results.xml")]) == status
    assert capsys.readouterr().out.startswith(f"{folders.COURSE / '02_blocking_server.ipynb'}\n")
    suite = ElementTree.parse(tmp_path / "results.xml").getroot().find("testsuite")
    assert suite.get("failures") == str(status)
    assert main(["check"]) == status
    assert capsys.readouterr().out.count("cells as shipped") == len(shipped.names())


TEXT = json.dumps(NOTEBOOK)
DAMAGED = {
    "empty": (b" \n", "is empty"),
    "binary": (bytes(range(256)), "is not a notebook: it holds something else than text"),
    "cut off": (TEXT[: len(TEXT) // 2].encode(), "is damaged: its JSON breaks off or is wrong in line 1"),
    "a page": (b"<html>", "is not a notebook: it is no JSON"),
    "a merge": (b"{\n<<<<<<< HEAD\n", "holds the marks of a merge that is not finished (<<<<<<<)"),
    "nested": (b'{"cells": ' + b"[" * 100_000, "is damaged: its JSON cannot be read"),
    "list": (b"[]", "is not a notebook: its JSON is no object"),
    "old": (
        b'{"nbformat": 3, "worksheets": []}',
        "has an old format (nbformat 3 or before): open it in JupyterLab and save it once",
    ),
    "new": (b'{"nbformat": 5, "cells": []}', "has a format (nbformat 5) that the course does not know"),
    "other": (b'{"name": "x"}', "is not a notebook: it has no list of cells"),
    "no cells": (b'{"nbformat": 4, "cells": []}', "has no cells"),
    "wrong cell": (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": 5}]}', "is damaged: its cell 1 cannot be read"),
    "foreign": (
        json.dumps({"nbformat": 4, "cells": [own("1 + 1")]}).encode(),
        "is not a notebook of the course: its cells are others",
    ),
}


def test_a_damaged_file_is_one_sentence_and_the_others_are_validated(tmp_path, capsys):
    for name, (content, _) in DAMAGED.items():
        (tmp_path / f"{name}.ipynb").write_bytes(content)
    (tmp_path / "folder.ipynb").mkdir()
    os.mkfifo(tmp_path / "pipe.ipynb")
    assert main(["check", str(tmp_path)]) == 1
    *said, total = capsys.readouterr().out.splitlines()
    expected = {name: sentence for name, (_, sentence) in DAMAGED.items()} | {"folder": "is a folder", "pipe": "is not a file"}
    assert said == [f"{tmp_path / name}.ipynb {expected[name]}." for name in sorted(expected, key=lambda name: f"{name}.ipynb")]
    assert total == f"0 of 0 exercises passed, {len(expected)} files not validated."


@pytest.mark.parametrize(
    "arguments",
    [["check", "99"], ["check", "nothing.ipynb"], ["check", "02", "--junit", "no/folder/x.xml"], ["reset", "99"], ["reset", ""]],
)
def test_a_mistake_at_the_terminal_is_one_sentence_and_status_2(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1


def test_cells_are_known_by_id_and_source_or_by_a_source_that_stands_alone():
    reference = [Cell(1, "a", True, "x"), Cell(2, "b", True, "x"), Cell(3, "c", True, "y"), Cell(4, "d", True, "z")]
    handed_in = [Cell(1, "b", True, "x"), Cell(2, "other", True, "x"), Cell(3, "new", True, "y\n"), Cell(4, "d", True, "changed")]
    assert as_shipped(handed_in, reference) == {1: reference[1], 3: reference[2]}


@pytest.mark.parametrize("name", shipped.names())
def test_a_notebook_is_known_by_its_cells_also_with_new_ids_and_without_tags(name):
    content = cells((folders.COURSE / name).read_bytes())
    bare = [Cell(cell.place, "", cell.code, cell.source) for cell in content]
    assert belongs_to(bare) == belongs_to(content[len(content) // 2 :]) == name


def test_another_notebook_with_one_common_cell_is_foreign():
    with pytest.raises(Unusable):
        belongs_to([Cell(1, "a", True, "import socket"), Cell(2, "b", True, NOTEBOOK["cells"][1]["source"][0])])


def test_several_checks_in_one_cell_and_a_check_without_its_cell(tmp_path):
    exercises = [exercise for exercise in all_exercises() if exercise.id in ("2.1", "2.2", "2.3")]
    both = 'check("2.1", a)\nb = 1\ncheck("2.2", Lines)'
    sources = ["def serve_one(conn): pass", both, "%%bash\nls", 'check("2.1", b, c)']
    handed_in = [Cell(place, "", True, source) for place, source in enumerate(sources, 1)]
    steps = [(step.check, step.source.rpartition("lambda: ")[2]) for step in validation._steps(handed_in, {}, exercises)]
    assert steps == [
        ("", sources[0]),
        ("2.3", "(serve_one,))"),
        ("", both),
        ("2.2", "(Lines,))"),
        ("", sources[2]),
        ("2.1", "(b, c,))"),
    ]


def test_an_interrupt_ends_all_kernels(tmp_path):
    started, mark = tmp_path / "started", uuid.uuid4().hex
    path = write(
        tmp_path / "02.ipynb",
        NOTEBOOK["cells"][1],
        shipped_cell("believe("),
        BY_TAG["exercise-2.4"],
        own(
            f"import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\nopen({str(started)!r}, 'w')\nwhile True: pass"
        ),
    )
    with subprocess.Popen(
        [sys.executable, "-m", "course_lib", "check", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TEST_MARK": mark},
    ) as process:
        try:
            assert wait_until(started.exists, 300)
            # This one, pytest, the kernel, and sleep, whose environment can be read only a moment after its exec.
            assert wait_until(lambda: len(marked(mark)) >= 4), marked(mark)
            process.send_signal(signal.SIGINT)
            out, said = process.communicate(timeout=120)
        finally:
            process.kill()
    assert (process.returncode, out, said) == (130, "", "Stopped. All kernels have ended.\n")
    assert wait_until(lambda: not marked(mark), 60), marked(mark)


def test_a_run_that_nbval_never_ends_is_ended(tmp_path, monkeypatch):
    """A cell that floods the kernel's output keeps nbval reading for ever."""
    monkeypatch.setattr(validation, "_GRACE", 1.0)
    begin = time.monotonic()
    process = subprocess.Popen(["sleep", "600"])
    try:
        events = tmp_path / "events"
        events.write_text('{"begins": 0}\n')
        validation._await(process, events, [None], 1.0, lambda text: None)
        assert process.poll() is None and time.monotonic() - begin >= 2.0
    finally:
        process.kill()
        process.wait()
