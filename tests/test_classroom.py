"""A class: a hub carries several learners at once."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


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
