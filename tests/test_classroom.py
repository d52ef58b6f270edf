"""A class: each learner has a copy of the notebooks, and so a library of their own, and a hub carries several at once."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def test_each_copy_of_the_notebooks_has_a_library_of_its_own(tmp_path):
    program = (
        "from course_lib import folders, journal; journal.record('guesses', 'one', {'answer': 'two'}); print(folders.mine())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "COURSE_HOME"} | {"PYTHONPATH": str(REPOSITORY)}
    for name in ("alice", "bob"):
        copy = tmp_path / name / "notebooks"
        copy.mkdir(parents=True)
        shutil.copy(REPOSITORY / "notebooks/00_start_here.ipynb", copy)
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=copy,
            env=environment | {"HOME": str(tmp_path / name)},
            check=True,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.stdout.strip() == str(copy / "mine")
        assert (copy / "mine/progress.json").exists()


def test_two_learners_work_behind_a_hub_at_the_same_time():
    if not importlib.util.find_spec("jupyterhub"):
        pytest.skip("jupyterhub is not installed: pip install jupyterhub")
    if not shutil.which("configurable-http-proxy"):
        pytest.skip("configurable-http-proxy is not installed: npm install --global configurable-http-proxy")
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "tests/classroom.py"), "--learners", "2", "--last", "00"],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 learners" in done.stdout and "memory of a learner (PSS, median)" in done.stdout
