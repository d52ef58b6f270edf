"""The ways into the course: what Binder, a dev container and GitHub read names things that are there."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

REPOSITORY = Path(__file__).parents[1]
PYTHONS = SpecifierSet(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["requires-python"])


def targets_of(command: str) -> list[str]:
    return re.findall(r"\bmake ([^\s;&|`]+)", command)


@pytest.fixture
def is_a_target(make):
    """Does make know how to make it?"""
    return lambda name: make("--dry-run", name).returncode == 0


@pytest.fixture(scope="module")
def devcontainer():
    return json.loads((REPOSITORY / ".devcontainer/devcontainer.json").read_text())


@pytest.fixture(scope="module")
def workflow():
    return yaml.safe_load((REPOSITORY / ".github/workflows/test.yml").read_text())


def test_the_devcontainer_makes_the_environment_that_its_notebooks_use(devcontainer, is_a_target):
    [target] = targets_of(devcontainer["postCreateCommand"])
    assert is_a_target(target) and not is_a_target("no-such-target")
    assert target.startswith(".venv/")
    settings = devcontainer["customizations"]["vscode"]["settings"]
    assert settings["python.defaultInterpreterPath"] == "${containerWorkspaceFolder}/.venv/bin/python"
    assert settings["jupyter.notebookFileRoot"] == "${fileDirname}"  # the learner's library lies beside the notebooks
    assert all((REPOSITORY / file).exists() for file in devcontainer["customizations"]["codespaces"]["openFiles"])


def test_the_devcontainers_python_is_new_enough_and_its_port_jupyterlabs(devcontainer):
    [version] = re.findall(r"python:(\d\.\d+)-", devcontainer["image"])
    assert PYTHONS.contains(version)
    assert devcontainer["forwardPorts"] == [8888] and "8888" in devcontainer["portsAttributes"]


def test_the_workflow_runs_all_tests_on_each_python(workflow):
    job = workflow["jobs"]["test"]
    versions = job["strategy"]["matrix"]["python"]
    assert all(isinstance(version, str) and PYTHONS.contains(version) for version in versions)
    assert versions[0] == str(PYTHONS).removeprefix(">=")
    assert "matrix.python" in job["container"]["image"] and "matrix.python" in job["steps"][-1]["env"]["PYTHON"]
    assert os.access(REPOSITORY / job["steps"][-1]["run"], os.X_OK)
    assert workflow[True].keys() == {"push", "pull_request", "schedule", "workflow_dispatch"}  # YAML reads `on` as true


def test_the_workflow_teaches_a_class_with_a_python_that_is_new_enough(workflow):
    steps = workflow["jobs"]["class"]["steps"]
    [version] = [step["with"]["python-version"] for step in steps if "setup-python" in step.get("uses", "")]
    assert PYTHONS.contains(version)
    [command] = [step["run"].split() for step in steps if "classroom" in step.get("run", "")]
    assert (REPOSITORY / command[1]).exists()
    done = subprocess.run([sys.executable, command[1], "--help"], cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert all(option in done.stdout for option in command[2::2])


def test_the_workflow_uses_githubs_own_actions_and_may_only_read(workflow):
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used and all(name.startswith("actions/") for name in used)
    assert workflow["permissions"] == {"contents": "read"}


def test_binder_takes_environment_yml_and_a_python_that_is_new_enough(tmp_path):
    program = shutil.which("jupyter-repo2docker") or shutil.which("repo2docker")
    if not program and not importlib.util.find_spec("repo2docker"):
        pytest.skip("repo2docker is not installed: pip install jupyter-repo2docker")
    # Without .git: a folder is read as it is.
    shutil.copytree(REPOSITORY, tmp_path / "course", ignore=shutil.ignore_patterns(".*", "mine", "__pycache__", "*.ipynb"))
    command = [program] if program else [sys.executable, "-m", "repo2docker"]
    command += ["--no-build", "--debug", "course"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert '--file "environment.yml"' in said
    [version] = set(re.findall(r"python=(\d\.\d+)", said))
    assert PYTHONS.contains(version)


def test_the_readmes_make_commands_are_targets(is_a_target):
    targets = set(targets_of((REPOSITORY / "README.md").read_text()))
    assert {"lab", "test"} <= targets
    for target in targets:
        assert is_a_target(target), target
