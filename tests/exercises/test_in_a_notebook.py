"""In a real kernel: functions defined in cells, and the kernel as it was after each check."""

import nbformat
import pytest
from outputs import client

from course_lib.exercises import all_exercises
from course_lib.solutions import file_of

STATE = """
def state():
    import os, signal, sys, threading
    pid = os.getpid()
    return (
        sorted(os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{n}")),
        threading.active_count(),
        open(f"/proc/self/task/{pid}/children").read(),
        [signal.getsignal(n) for n in signal.valid_signals()],
    )
"""

STUCK = """
import time

def make_listener(port=0, backlog=16):
    print("before")
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            pass
"""

TIMED = {"2.4": "%%time\n"}

BAD = """
def make_listener(port=0, backlog=16):
    import os
    os._exit(1)
"""


@pytest.fixture
def run(monkeypatch):
    def run(*cells: str) -> list:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        client(notebook).execute()
        return [cell.outputs for cell in notebook.cells]

    return run


def test_functions_of_cells(run, home):
    exercises = [exercise for exercise in all_exercises() if exercise.id.startswith("2.")]
    cells = ["from course_lib.exercises import check, hint, solution, progress", STATE, 'check("9.99")', "before = state()"]
    for exercise in exercises:
        cells += [exercise.stub, f'check("{exercise.id}", {exercise.name})']
        cells += [TIMED.get(exercise.id, "") + exercise.reference, f'check("{exercise.id}", {exercise.name})']
    cells += [STUCK, 'check("2.1", make_listener)', BAD, 'check("2.1", make_listener)', "print(state() == before)", "progress()"]
    outputs = run(*cells)
    assert all(output.output_type == "stream" and output.name == "stdout" for cell in outputs for output in cell)
    said = ["".join(output.text for output in cell) for cell in outputs]
    for number, exercise in enumerate(exercises):
        stub, open_, reference, passed = said[4 + 4 * number : 8 + 4 * number]
        assert open_ == f"{exercise.id} is open: {exercise.name} is not written yet.\n"
        assert reference.startswith("CPU times: ") if exercise.id in TIMED else reference == ""
        assert passed.endswith(f"\n{exercise.id} passed. Your {exercise.name} is now in mine/{file_of(exercise.name)}.\n")
    stuck, bad, same, table = said[-5], said[-3], said[-2], said[-1]
    assert "sleeps in line 7, `time.sleep(1000)`.\n  make_listener printed:\n    | before\n" in stuck
    assert "ended its whole process with status 1" in " ".join(bad.split())
    assert same == "True\n"
    assert table.count("passed") == len(exercises)
    assert {path.name for path in home.iterdir()} >= {file_of(exercise.name) for exercise in exercises}


def test_of_a_cell_that_is_run_again_the_latest_counts(run, home):
    first, second = "END = re.compile(rb'\\n')", "END = re.compile(rb'x')"
    lines = """
class Lines:
    def __init__(self): self.rest = b""
    def feed(self, chunk):
        *lines, self.rest = END.split(self.rest + chunk)
        if max(map(len, [*lines, self.rest])) > 65536: raise ValueError("too long a line")
        return lines
"""
    run("import re\nfrom course_lib.exercises import check", first, second, first, lines, 'check("2.2", Lines)')
    assert first in (home / "lines.py").read_text()


def test_a_magic_inside_of_a_solution(run):
    cells = ["from course_lib.exercises import check"]
    for magic in "%time pass", "x = !ls":
        cells += [f"%time pass\ndef make_listener(port=0, backlog=16):\n    {magic}", 'check("2.1", make_listener)']
    for (said,) in run(*cells)[2::2]:
        assert "make_listener has a magic in it" in " ".join(said.text.split())
