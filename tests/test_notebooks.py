"""The notebooks as files, and as programs: stored outputs, as shipped, and with the reference solutions put in."""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path

import nbformat
import pytest
from outputs import MAY_RAISE, NOTEBOOKS, WIDGET_VIEW, code, environment, new_notebook, notebooks, read, tags, text

from course_lib.exercises import all_exercises

PATHS = notebooks()
EACH = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
NOT_COMPARED = {"nbval-ignore-output", "nbval-skip"}
MACHINE = re.compile(r"/(?:home|Users)/\w|/root/|/tmp/|site-packages|ipykernel_\d")

# What the notebook's process holds: the names of its threads, the kinds of its descriptors.
HELD = """
import gc, os, re, threading
from collections import Counter
from zmq.utils.garbage import gc as collector
from course_lib.proc import links
def _held():
    if not collector.is_alive():
        collector.start()  # pyzmq's own thread and descriptors, else begun with the first message of 64 kB, in whichever run
    gc.collect()
    kinds = [re.split(r":?\\[?\\d", link)[0] for link in links().values() if "/profile_default" not in link]  # SQLite's, for moments
    kinds = [kind for kind in kinds if kind != "anon_inode:[eventfd]"]  # ipykernel keeps that of a thread up to 10 s longer
    return Counter([re.split(r"[:\\d]", thread.name)[0] for thread in threading.enumerate()] + kinds)
_first = _held()
os.environ["COURSE_STRICT"] = "1"  # from here on a check that does not pass raises
"""
NOTHING_MORE = "assert not _held() - _first, f'the second run left these more than the first: {_held() - _first}'"


def tagged(notebook, tag):
    return next(cell for cell in notebook.cells if tag in tags(cell))


def exercises_in(notebook):
    """The exercises whose stub stands in this notebook."""
    there = {tag for cell in notebook.cells for tag in tags(cell)}
    return [exercise for exercise in all_exercises() if f"exercise-{exercise.id}" in there]


def test_there_are_notebooks():
    assert [path.stem[:2] for path in PATHS if path.parent == NOTEBOOKS] == [f"{number:02}" for number in range(10)]


# Stored


@EACH
def test_stored_notebook_is_whole(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = notebook["cells"]
    ran = [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
    outputs = [(cell, output) for cell in ran for output in cell["outputs"]]

    assert {cell["execution_count"] for cell in ran} == {1}, "run it: make outputs"
    assert all(cell.get("id") for cell in cells) and len({cell["id"] for cell in cells}) == len(cells)
    assert [o for cell, o in outputs if o["output_type"] == "error" and not MAY_RAISE & tags(cell)] == []
    assert [o for _, o in outputs if WIDGET_VIEW in o.get("data", {})] == [], "a widget without a kernel: make outputs"
    assert "widgets" not in notebook["metadata"], "a widget without a kernel: make outputs"
    assert MACHINE.findall(json.dumps([o for _, o in outputs])) == []
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


@EACH
def test_most_outputs_are_compared(path):
    shown = [cell for cell in code(read(path)) if cell.outputs]
    assert sum(not NOT_COMPARED & tags(cell) for cell in shown) >= 2 / 3 * len(shown)


@EACH
def test_cells_are_short_and_explained(path):
    notebook = read(path)
    lines = [
        sum(bool(line.strip()) for line in cell.source.splitlines())
        for cell in code(notebook)
        if not any(tag.startswith("exercise-") for tag in tags(cell))
        and not cell.metadata.get("jupyter", {}).get("source_hidden")
    ]
    in_a_row = [len(list(cells)) for kind, cells in groupby(notebook.cells, lambda cell: cell.cell_type) if kind == "code"]
    assert statistics.median(lines) <= 5
    assert max(lines) <= 20
    assert max(in_a_row) <= 3


def test_each_claim_is_tested_in_one_notebook():
    found = Counter(
        claim
        for path in PATHS
        for claim in {tag for cell in read(path).cells for tag in tags(cell) if re.fullmatch(r"claim-C\d\d", tag)}
    )
    assert {claim: count for claim, count in found.items() if count > 1} == {}
    assert set(found) == {f"claim-C{number:02}" for number in range(1, 72)}


def test_no_two_guesses_have_one_key():
    """The journal keeps guesses by their keys, for all notebooks together."""
    keys = Counter(
        key for path in PATHS for cell in code(read(path)) for key in re.findall(r'^guess\("([^"]+)"', cell.source, re.MULTILINE)
    )
    assert len(keys) > 150 and {key for key, count in keys.items() if count > 1} == set()


def test_each_exercise_stands_in_one_notebook_with_its_stub_and_its_check():
    stubs = [(exercise, read(path)) for path in PATHS for exercise in exercises_in(read(path))]
    assert sorted(exercise.id for exercise, _ in stubs) == sorted(exercise.id for exercise in all_exercises())
    for exercise, notebook in stubs:
        assert tagged(notebook, f"exercise-{exercise.id}").source.strip() == exercise.stub.strip()
        checked = tagged(notebook, f"check-{exercise.id}")
        assert f'"{exercise.id}"' in checked.source
        assert f"{exercise.id} is open" in text(checked) and not NOT_COMPARED & tags(checked)


# Run


@EACH
def test_it_runs_as_stored_and_again_with_the_references_and_leaves_nothing_more(path, tmp_path):
    """In one kernel, as a learner does it: all cells, compared; the exercises solved, each checked strictly; all cells again."""
    notebook = read(path)
    again = [nbformat.v4.new_code_cell(cell.source, metadata={"tags": list(tags(cell))}) for cell in code(notebook)]
    for exercise in exercises_in(notebook):
        tagged(new_notebook(*again), f"exercise-{exercise.id}").source = exercise.reference
    there, held, nothing_more = map(nbformat.v4.new_code_cell, (f"%cd -q {path.parent}", HELD, NOTHING_MORE))
    for cell in (there, held, *again, nothing_more):
        cell.metadata["tags"] = [*tags(cell) | {"nbval-ignore-output"}]
    notebook.cells = [there, *notebook.cells, held, *again, nothing_more]
    nbformat.write(notebook, tmp_path / path.name)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        "--nbval-current-env",
        "--nbval-cell-timeout=120",
        f"--nbval-sanitize-with={Path(__file__).with_name('not_compared.cfg')}",
        "-p",
        "no:cacheprovider",
        "-p",
        "course_lib.grading.local_kernels",
        "-q",
        path.name,
    ]
    log = tmp_path / "nbval.txt"
    with log.open("w") as output:
        # nbval can hang for ever where a thread keeps publishing: a limit, an interrupt, then the end
        process = subprocess.Popen(
            command,
            env=environment(tmp_path / "home"),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        for sent in (signal.SIGINT, signal.SIGKILL, None):
            try:
                status = process.wait(270 if sent is signal.SIGINT else 10)
                break
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, sent)
    assert status == 0, log.read_text()


@EACH
def test_a_link_is_told_from_its_text_by_more_than_colour(path):
    texts = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    assert [link for text in texts for link in re.findall(r"(?<![*!])\[[^]]+\]\([^)]+\)", text)] == []
