"""`python -m course_lib reset`: a notebook as shipped, from a clone or without one, and the learner's kept beside it."""

import gzip
import json
import re
import shutil
import subprocess
from types import SimpleNamespace
from unittest import mock

import pytest
from held import failing
from outputs import NOTEBOOKS

from course_lib import folders, jupyter_extension, shipped
from course_lib.__main__ import main

NAME = "00_start_here.ipynb"
SHIPPED = b'{"cells": [], "as": "shipped"}\n'
LEARNERS = b'{"cells": [], "as": "changed"}\n'


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of one notebook, in a folder that is no clone."""
    folder = tmp_path / "course" / "notebooks"
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(SHIPPED)
    monkeypatch.setattr(folders, "COURSE", folder)
    monkeypatch.setattr(shipped, "_LIST", tmp_path / "shipped.json")
    monkeypatch.chdir(tmp_path)  # from where the repository's own notebooks are not found
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    shipped.write_list(folder)
    return folder


def git(course, *arguments):
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    subprocess.run(command, cwd=course.parent, check=True, capture_output=True)


def as_a_clone(course):
    for arguments in ["init"], ["add", "."], ["commit", "-m", "the course"]:
        git(course, *arguments)


def start_jupyterlab():
    server = SimpleNamespace(contents_manager=SimpleNamespace(register_pre_save_hook=lambda hook: None, notary=None))
    with mock.patch.object(jupyter_extension, "trust_shipped"):  # these are no notebooks: see test_jupyter_extension
        jupyter_extension._load_jupyter_server_extension(server)


def test_the_list_of_what_is_shipped_is_up_to_date():
    assert shipped.names() == folders.names(NOTEBOOKS)
    changed = [name for name in shipped.names() if shipped.blob_id((NOTEBOOKS / name).read_bytes()) != shipped._blobs()[name]]
    assert changed == [], "run make outputs"


def test_a_blob_id_is_gits():
    done = subprocess.run(["git", "hash-object", "--stdin"], input=SHIPPED, capture_output=True)
    assert done.stdout.decode().strip() == shipped.blob_id(SHIPPED)


def test_a_clone_gives_it_back_however_often_the_learner_has_committed(course, capsys):
    as_a_clone(course)
    (course / NAME).write_bytes(LEARNERS)
    git(course, "commit", "-am", "my own")
    (course / NAME).chmod(0o600)
    assert main(["reset", "0"]) == 0
    assert (course / NAME).read_bytes() == SHIPPED
    [kept] = course.glob("*_before_reset_*")
    assert kept.read_bytes() == LEARNERS
    assert re.fullmatch(r"00_start_here_before_reset_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.ipynb", kept.name)
    said = capsys.readouterr().out
    assert f"Your version is kept as {kept.name}." in said and "Reload Notebook from Disk" in said
    assert (course / NAME).stat().st_mode & 0o044 == 0o044


def test_without_a_clone_it_comes_from_what_jupyterlab_put_aside(course, learner_folder, capsys):
    start_jupyterlab()
    (course / NAME).write_bytes(LEARNERS)
    start_jupyterlab()
    assert main(["reset", "00_start_here"]) == 0 and main(["reset", "00"]) == 0
    assert (course / NAME).read_bytes() == SHIPPED
    assert len(list(course.glob("*_before_reset_*"))) == 1, "the second time there was nothing to do"
    assert capsys.readouterr().out.endswith("is as shipped already. Nothing was done.\n")


def test_a_class_shares_the_course_and_each_learner_has_a_clone(course, tmp_path, monkeypatch):
    own = tmp_path / "home" / "notebooks"
    own.parent.mkdir()
    course.rename(own)  # the shared course is installed without notebooks
    as_a_clone(own)
    assert main(["reset", "00"]) == 2, "neither here nor in the course"
    (own / NAME).write_bytes(LEARNERS)
    for folder in own.parent, own:
        monkeypatch.chdir(folder)
        (own / NAME).write_bytes(LEARNERS)
        assert main(["reset", "00"]) == 0 and (own / NAME).read_bytes() == SHIPPED


@pytest.mark.parametrize("copy", ["none", "of a changed notebook", "damaged", "cut off"])
def test_a_wrong_copy_is_never_taken_for_the_notebook(course, learner_folder, capsys, copy):
    start_jupyterlab()
    [path] = learner_folder.rglob("*.gz")
    if copy == "none":
        shutil.rmtree(learner_folder)
    else:
        path.write_bytes({"damaged": b"\x1f\x8bxyz", "cut off": path.read_bytes()[:-9]}.get(copy, gzip.compress(LEARNERS)))
    (course / NAME).write_bytes(LEARNERS)
    assert main(["reset", "00"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"{NAME} as shipped is not found on this machine: unpack the course anew, and take it from there.\n"
    assert (course / NAME).read_bytes() == LEARNERS and not list(course.glob("*_before_reset_*"))


def test_a_lost_notebook_comes_back_and_a_folder_in_its_place_is_kept(course, capsys):
    start_jupyterlab()
    (course / NAME).unlink()
    assert main(["reset", "00"]) == 0 and (course / NAME).read_bytes() == SHIPPED
    assert "Your version" not in capsys.readouterr().out
    (course / NAME).unlink()
    (course / NAME).mkdir()
    (course / NAME / "inside").touch()
    assert main(["reset", "00"]) == 0 and (course / NAME).read_bytes() == SHIPPED
    assert [path.name for path in course.glob("*_before_reset_*/*")] == ["inside"]


def test_two_resets_in_one_second_keep_both_versions(course, monkeypatch):
    start_jupyterlab()
    monkeypatch.setattr(shipped.time, "strftime", lambda form: "2026-03-01_10-00-00")
    for content in LEARNERS, b"another":
        (course / NAME).write_bytes(content)
        assert main(["reset", "00"]) == 0
    assert {path.read_bytes() for path in course.glob("*_before_reset_*")} == {LEARNERS, b"another"}


def test_a_full_disk_leaves_the_learners_notebook(course, monkeypatch, capsys):
    start_jupyterlab()
    (course / NAME).write_bytes(LEARNERS)
    monkeypatch.setattr("os.fsync", failing(28, "No space left on device"))
    assert main(["reset", "00"]) == 2
    assert capsys.readouterr().err == f"{NAME} cannot be replaced: No space left on device.\n"
    assert (course / NAME).read_bytes() == LEARNERS and not list(course.glob("*_before_reset_*"))


def test_jupyterlab_starts_where_nothing_can_be_put_aside(course, learner_folder):
    learner_folder.write_text("not a folder")
    start_jupyterlab()
    assert learner_folder.read_text() == "not a folder"


def test_what_is_put_aside_is_small(course, learner_folder):
    (course / NAME).write_bytes(content := json.dumps({"cells": [], "as": ["x" * 100] * 1000}).encode())
    shipped.write_list(course)
    start_jupyterlab()
    assert sum(path.stat().st_size for path in learner_folder.rglob("*.gz")) < len(content) / 10
