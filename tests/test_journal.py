import json
import os
import subprocess
import sys
import threading

import pytest

from course_lib import journal


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "mine"))
    return tmp_path / "mine"


def test_there_is_nothing_at_first_and_reading_creates_nothing(home):
    assert journal.read() == {}
    assert not home.exists()


def test_what_is_recorded_is_read_back(home):
    journal.record("guesses", "accept-alone", {"choice": "睡在内核里", "sure": 80})
    journal.record("exercises", "2.1", {"tries": 1})
    journal.record("exercises", "2.1", {"tries": 2})
    assert journal.read() == {
        "guesses": {"accept-alone": {"choice": "睡在内核里", "sure": 80}},
        "exercises": {"2.1": {"tries": 2}},
    }
    assert "睡在内核里" in (home / "progress.json").read_text("utf-8")


def test_a_lone_surrogate_survives():
    journal.record("sentences", "C16", {"text": "half \ud83d"})
    assert journal.read()["sentences"]["C16"]["text"] == "half \ud83d"


def test_only_dicts_that_json_can_hold():
    with pytest.raises(TypeError, match="a dict, not int"):
        journal.record("recall", "02", 5)
    with pytest.raises(TypeError):
        journal.record("recall", "02", {"answer": b"bytes"})
    assert journal.read() == {}


def test_home_follows_the_environment_then_the_working_directory(tmp_path, monkeypatch):
    assert journal.home() == tmp_path / "mine"
    monkeypatch.delenv("COURSE_HOME")
    monkeypatch.chdir(tmp_path)
    assert journal.home().parts[-2:] == ("notebooks", "mine")
    (tmp_path / "00_start_here.ipynb").touch()
    assert journal.home() == tmp_path / "mine"


def test_threads_and_processes_lose_no_entry():
    code = (
        "import sys; from course_lib import journal\n"
        "for i in range(25): journal.record('guesses', sys.argv[1] + str(i), {'i': i})"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "ab"]

    def write(name):
        for i in range(25):
            journal.record("recall", name + str(i), {"i": i})

    threads = [threading.Thread(target=write, args=(name,)) for name in "cd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0]
    data = journal.read()
    assert len(data["guesses"]) == 50 and len(data["recall"]) == 50


def test_a_reader_never_sees_half_a_file(home):
    journal.record("guesses", "long", {"text": "x" * 100_000})
    stop = threading.Event()

    def write():
        while not stop.is_set():
            journal.record("guesses", "long", {"text": "y" * 100_000})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            assert len(journal.read()["guesses"]["long"]["text"]) == 100_000
    finally:
        stop.set()
        writer.join()
    assert sorted(path.name for path in home.iterdir()) == [".progress.lock", "progress.json"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"guesses": 3}', b'{"guesses": {"a": 3}}', b"[" * 100_000],
)
@pytest.mark.parametrize("act", ["read", "record"])
def test_a_damaged_file_is_set_aside(home, capsys, content, act):
    home.mkdir()
    (home / "journal.damaged-1.json").write_bytes(b"an older one")
    (home / "progress.json").write_bytes(content)
    if act == "read":
        assert journal.read() == {}
    else:
        journal.record("guesses", "a", {})
        assert journal.read() == {"guesses": {"a": {}}}
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "damaged-2.json" in said
    assert (home / "journal.damaged-1.json").read_bytes() == b"an older one"
    assert (home / "journal.damaged-2.json").read_bytes() == content


def unwritable(home, monkeypatch):
    """Root may write anywhere, so the refusal comes from the call itself."""

    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(journal.tempfile, "mkstemp", refuse)


def test_an_unwritable_folder_is_one_sentence_and_the_session_goes_on(home, monkeypatch, capsys):
    journal.record("guesses", "before", {"n": 1})
    with monkeypatch.context() as patch:
        unwritable(home, patch)
        journal.record("guesses", "during", {"n": 2})
        said = capsys.readouterr().out
        assert said.count("\n") == 1 and "Read-only file system" in said
        assert set(journal.read()["guesses"]) == {"before", "during"}
        assert "during" not in (home / "progress.json").read_text()
    journal.record("guesses", "after", {"n": 3})
    assert set(json.loads((home / "progress.json").read_text())["guesses"]) == {"before", "during", "after"}


def test_a_file_in_place_of_the_folder_is_one_sentence(home, capsys):
    home.write_text("not a folder")
    journal.record("guesses", "a", {})
    assert capsys.readouterr().out.count("\n") == 1
    assert home.read_text() == "not a folder"


def test_a_failed_write_leaves_the_old_file_and_no_other(home, monkeypatch):
    journal.record("guesses", "a", {"n": 1})

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    journal.record("guesses", "a", {"n": 2})
    monkeypatch.undo()
    assert json.loads((home / "progress.json").read_text()) == {"guesses": {"a": {"n": 1}}}
    assert sorted(path.name for path in home.iterdir()) == [".progress.lock", "progress.json"]
    journal._unsaved.clear()


def test_reading_needs_only_the_standard_library():
    code = "import sys; from course_lib import journal; print(sorted({'IPython', 'ipywidgets', 'cloudpickle'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stderr
