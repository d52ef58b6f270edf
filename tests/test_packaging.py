"""What is installed, from what, and what the set-up says where it cannot work."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import rattler
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from test_layering import imports

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
ON_CONDA = {"playwright": "playwright-python", "redis": "redis-py"}  # conda-forge's `playwright` is the one for Node


def requirements(*extras: str) -> dict[str, Requirement]:
    lines = PROJECT["dependencies"] + [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def test_environment_yml_asks_for_what_pyproject_asks_for():
    *lines, pip = yaml.safe_load((REPOSITORY / "environment.yml").read_text())["dependencies"]
    specs = [rattler.MatchSpec(line) for line in lines]
    conda = {spec.name.normalized: SpecifierSet(str(spec.version or "")) for spec in specs if spec.name.normalized != "python"}
    *from_pypi, course = pip["pip"]
    pypi = {requirement.name: requirement.specifier for requirement in map(Requirement, from_pypi)}
    wanted = {ON_CONDA.get(name, name): requirement.specifier for name, requirement in requirements("test").items()}
    python = next(spec for spec in specs if spec.name.normalized == "python")
    assert SpecifierSet(PROJECT["requires-python"]).contains(str(python.version).removesuffix(".*"))
    assert conda | pypi == wanted | {"pip": SpecifierSet()}
    assert not conda.keys() & pypi.keys() and course == "-e ."


def imported(path: Path) -> set[str]:
    """The top-level names of the modules that a source file imports."""
    return {name.split(".")[0] for name in imports(path)} - sys.stdlib_module_names - {"course_lib"}


@pytest.mark.parametrize("folder, extras", [("course_lib", []), ("tests", ["test"])])
def test_every_import_is_required(folder, extras):
    installs = importlib.metadata.packages_distributions()
    required = {canonicalize_name(name) for name in requirements(*extras)}
    sources = list((REPOSITORY / folder).rglob("*.py"))
    own = {name for source in sources for name in (source.stem, source.parent.name)}
    undeclared = {
        f"{source.name}: {name}"
        for source in sources
        for name in imported(source) - own
        if not required & {canonicalize_name(package) for package in installs.get(name, [])}
    }
    assert undeclared == set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(REPOSITORY)], check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def test_wheel_holds_the_whole_package_and_jupyterlabs_settings(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        settings = [name for name in names if name.endswith("/share/jupyter/lab/settings/overrides.d/course_lib.json")]
        [licence] = [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
        [metadata] = [name for name in names if name.endswith(".dist-info/METADATA")]
        assert archive.read(licence) == (REPOSITORY / "LICENSE").read_bytes()
        assert b"\nLicense-Expression: BSD-3-Clause\n" in archive.read(metadata)
        assert json.loads(archive.read(settings[0])) == json.loads((REPOSITORY / "course_lib/jupyterlab.json").read_text())
    on_disk = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "course_lib").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {name for name in names if name.startswith("course_lib/")} == on_disk


@pytest.fixture
def alone(wheel, tmp_path):
    """Run `python -m …` in a folder of a learner's home, with the wheel alone; the notebooks are a copy in it. (status, said)"""
    site, home = tmp_path / "site", tmp_path / "home"
    site.mkdir()
    zipfile.ZipFile(wheel).extractall(site)
    shutil.copytree(REPOSITORY / "notebooks", home / "notebooks", ignore=shutil.ignore_patterns("mine", ".ipynb_checkpoints"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COURSE_", "PYTHON"))}
    environment |= {"HOME": str(home), "PYTHONPATH": str(site)}

    def run(folder: str, *words: str) -> tuple[int, str]:
        (home / folder).mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, *words], cwd=home / folder, env=environment, capture_output=True, text=True, timeout=240
        )
        return done.returncode, done.stdout + done.stderr

    # These notebooks are the shipped ones, and JupyterLab has started once.
    prepare = "from course_lib import folders, shipped; shipped.write_list(folders.notebooks()); shipped.put_aside()"
    assert run("notebooks", "-c", prepare) == (0, "")
    return run


@pytest.mark.parametrize("folder", [".", "notebooks", "notebooks/more", "elsewhere"])
def test_the_wheel_alone_finds_a_learners_copy(alone, folder, tmp_path):
    status, said = alone(folder, "-m", "course_lib.mine")
    assert status == 0 and f"goes to {tmp_path}/home/notebooks/mine" in said
    notebook = tmp_path / "home/notebooks/04_select.ipynb"
    shipped = notebook.read_bytes()
    notebook.write_text("{}")
    status, said = alone(folder, "-m", "course_lib", "reset", "04_select")
    assert status == 0 and notebook.read_bytes() == shipped, said


def test_in_the_wheel_alone_a_checked_notebook_finds_the_others(alone):
    _, said = alone(".", "-m", "course_lib", "check", "00")  # its course_map() lists them
    assert "cells as shipped" in said and "prints nothing" not in said


def test_a_clone_of_nbgitpullers_is_found_from_home_and_with_none_or_two_one_is_told_to_go_there(alone, tmp_path):
    home = tmp_path / "home"
    (home / "a clone").mkdir()
    (home / "notebooks").rename(home / "a clone/notebooks")
    assert f"goes to {home}/a clone/notebooks/mine" in alone(".", "-m", "course_lib.mine")[1]
    shutil.copytree(home / "a clone", home / "another")
    for command in ["course_lib.mine"], ["course_lib", "reset", "00"], ["course_lib", "check"]:
        assert alone(".", "-m", *command) == (2, "the notebooks are not here: change to their folder (cd) and try again\n")


NO_EPOLL = ("sitecustomize.py", "import select\ndel select.epoll\n")
NO_VENV = ("ensurepip.py", "raise ImportError\n")
TOO_OLD = ("sitecustomize.py", "import sys\nsys.version_info = (3, 10, 13, 'final', 0)\n")


@pytest.mark.parametrize(
    "broken, sentence",
    [
        (TOO_OLD, "The course needs Python 3.11 or newer"),
        (NO_EPOLL, "The course needs epoll, which only Linux has"),
        (NO_VENV, "has no venv module: install it"),
    ],
    ids=["too old", "no epoll", "no venv"],
)
def test_make_says_what_the_machine_lacks(make, tmp_path, broken, sentence):
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    name, source = broken
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / name).write_text(source)
    done = make("lab", PYTHONPATH=str(modules), PYTHON=sys.executable)
    first, *rest = done.stderr.splitlines()
    assert sentence in first
    assert done.returncode != 0
    assert not any("Traceback" in line for line in rest)
    assert not (tmp_path / "a course/.venv").exists()


@pytest.fixture
def some_pip(tmp_path):
    """A pip that finds two packages, has fetched one, goes on when a line comes, and fails. The command, its log and environment."""
    (tmp_path / "pip.py").write_text(
        "print('Collecting jupyterlab<5,>=4.6 (from course)\\n  Downloading jupyterlab-4.6.1-py3-none-any.whl.metadata (16 kB)')\n"
        "print('  Downloading jupyterlab-4.6.1-py3-none-any.whl (12.4 MB)\\nCollecting ipykernel>=7.4', flush=True)\n"
        "input()\nraise SystemExit(3)\n"
    )
    log = tmp_path / "pip.log"
    command = [sys.executable, str(REPOSITORY / ".ci/install.py"), str(log), "course"]
    return {"args": command, "env": os.environ | {"PYTHONPATH": str(tmp_path)}, "stdin": subprocess.PIPE}, log


def test_a_terminal_shows_how_far_the_first_run_is(some_pip):
    how, _ = some_pip
    ours, theirs = os.openpty()
    with open(ours, "rb", buffering=0) as terminal, subprocess.Popen(**how, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        while b"packages: 2 found, 1 fetched, 0 installed, ipykernel" not in shown:
            shown += terminal.read(1000)
        process.communicate(b"\n")
    assert process.returncode == 3


def test_where_nobody_looks_the_first_run_is_quiet_and_its_log_has_what_pip_says(some_pip):
    how, log = some_pip
    done = subprocess.run(how["args"], env=how["env"], input=b"\n", stdout=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stdout) == (3, b"")
    assert log.read_text().startswith("Collecting jupyterlab")
