"""A few short rounds of chaos, and that the runner finds what it looks for (more rounds: see tests/chaos.py)."""

import json
import random

import chaos
import nbformat
import pytest
from chaos import Kernel, Round, library, play, processes_of, steps
from outputs import new_notebook, notebooks


@pytest.mark.parametrize("number, seed", [("00", 1), ("02", 2)])
def test_a_round_leaves_nothing_behind(number, seed):
    path = next(path for path in notebooks() if path.stem.startswith(number))
    result = play(path, seed, length=14)
    assert result.faults == []
    assert result.ran > 8


LEAKS = """
import os, socket, subprocess, sys, threading
sys.kept = [socket.create_server(("127.0.0.1", 0)), threading.Thread(target=threading.Event().wait, name="lost", daemon=True)]
sys.kept[1].start()
sys.child = subprocess.Popen(["sleep", "600"], start_new_session=True)
open(os.path.join(os.environ["COURSE_HOME"], "progress.json"), "w").write('{"guesses": {')
"""


def test_a_round_finds_what_cells_leave_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(chaos, "LINGERS", 1)
    monkeypatch.setattr(chaos, "SETTLES", 1)
    monkeypatch.setattr(chaos, "moment", lambda source, chance: None)  # cut off halfway, the cell would leave something else
    path = tmp_path / "leaks.ipynb"
    nbformat.write(new_notebook("import socket", LEAKS), path)
    found = "\n".join(play(path, seed=3, length=6).faults)
    assert "threads left: {'lost': 1}" in found
    assert "descriptors left: {'socket:[]': 1}" in found
    assert "listeners left" in found
    assert "child processes left: ['sleep 600 ']" in found
    assert "processes outlive" in found
    assert "the progress is damaged" in found


DEAF = """
import threading
while True:
    try:
        print("deaf")
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
"""


@pytest.fixture
def kernel(learner_folder):
    learner_folder.mkdir()
    kernel = Kernel(learner_folder)
    yield kernel
    kernel.end()
    assert processes_of(learner_folder) == set()


def test_a_cell_that_no_interrupt_ends_is_found(kernel):
    assert kernel.run("1 / 0").how == "ZeroDivisionError"
    sleeper = kernel.run("import threading; threading.Event().wait()", 0.1)
    assert (sleeper.how, sleeper.interrupted) == ("KeyboardInterrupt", True)
    assert kernel.run(DEAF, "first output").how == "stuck"


def test_a_cell_that_awaits_ends_when_it_is_interrupted_at_the_latest_when_its_await_is_over(kernel):
    awaits = kernel.run("import asyncio; print('begun', flush=True); await asyncio.sleep(3)", "first output")
    assert awaits.interrupted and awaits.how in ("CancelledError", "KeyboardInterrupt")
    assert kernel.run("print(await asyncio.sleep(0, 'goes on'))").text == "goes on\n"


def test_lost_progress_and_damaged_files_are_found(tmp_path):
    (tmp_path / "progress.json").write_text(json.dumps({"guesses": {"kept": {}}, "exercises": {"2.2": {"passed": True}}}))
    (tmp_path / "lines.py").write_text("class Lines:\n    pass\n")
    before = Round("", 0)
    entries, files = library(tmp_path, before, set(), set())
    assert before.faults == [] and ("passed", "2.2") in entries and files == {"lines.py"}
    (tmp_path / "progress.json").write_text(json.dumps({"guesses": {"kept": {}}, "exercises": {"2.2": {}}}))
    (tmp_path / "lines.py").unlink()
    (tmp_path / "conn.py").write_text("class Conn:\n")
    now = Round("", 0)
    library(tmp_path, now, entries, files)
    assert [fault.split(":")[0] for fault in now.faults] == [
        "mine/conn.py is damaged",
        "progress was lost",
        "files of mine/ were lost",
    ]


def test_the_same_seed_gives_the_same_order_and_another_one_another():
    orders = [steps(80, 60, random.Random(seed)) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert set(orders[0]) <= set(range(80))
