import json
import os
import re
import subprocess
import sys
import threading

import pytest
from held import failing

from course_lib import folders, journal


@pytest.fixture(autouse=True)
def home(learner_folder, monkeypatch):
    monkeypatch.setattr(journal, "_LOCK_LIMIT", 300.0)  # a busy disk keeps the others waiting
    yield learner_folder
    journal._unsaved.clear()
    journal._trouble.clear()


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
    assert folders.mine() == tmp_path / "mine"
    monkeypatch.delenv("COURSE_HOME")
    monkeypatch.chdir(tmp_path)
    assert folders.mine().parts[-2:] == ("notebooks", "mine")
    for name in "alice", "bob":  # each copy of the notebooks has a library of its own
        copy = tmp_path / name
        copy.mkdir()
        (copy / "00_start_here.ipynb").touch()
        monkeypatch.chdir(copy)
        assert folders.mine() == copy / "mine"
        journal.record("guesses", "one", {"answer": "two"})
        assert (copy / "mine/progress.json").exists()


def two_processes(does):
    """Two processes that do this 25 times; i is the number of the time, and sys.argv[1] one's name: a, or b."""
    code = f"import sys; from course_lib import journal; journal._LOCK_LIMIT = 300.0\nfor i in range(25): {does}"
    return [subprocess.Popen([sys.executable, "-c", code, name]) for name in "ab"]


def test_threads_and_processes_lose_no_entry():
    processes = two_processes("journal.record('guesses', sys.argv[1] + str(i), {'i': i})")

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


def test_two_kernels_that_change_one_entry_lose_nothing():
    processes = two_processes(
        "journal.update('exercises', '2.1', lambda entry: entry | {'tries': entry.get('tries', 0) + 1, sys.argv[1]: i})"
    )
    assert [process.wait() for process in processes] == [0, 0]
    assert journal.read() == {"exercises": {"2.1": {"tries": 50, "a": 24, "b": 24}}}


def test_a_process_that_stands_still_with_the_lock_blocks_nobody(home, monkeypatch, capsys):
    code = (
        "import time; from course_lib import journal\n"
        "journal.update('guesses', 'a', lambda entry: print('locked', flush=True) or time.sleep(600) or {})"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout.readline() == b"locked\n"
            monkeypatch.setattr(journal, "_LOCK_LIMIT", 0.1)
            journal.record("guesses", "b", {"n": 1})
            assert "another process keeps it locked" in capsys.readouterr().out
        finally:
            other.kill()
    journal.record("guesses", "c", {"n": 2})
    assert json.loads((home / "progress.json").read_text())["guesses"] == {"b": {"n": 1}, "c": {"n": 2}}


def test_what_a_killed_writer_left_is_removed(home):
    home.mkdir()
    (home / ".progress.json.abc").write_text("{")
    journal.record("guesses", "a", {})
    assert sorted(path.name for path in home.iterdir()) == [".progress.lock", "progress.json"]


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


KEPT = {"guesses": {"a": {"answer": "x", "sure": 80}}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"\x00" * 5000,
        b'{"guesses": 3}',
        b'{"guesses": {"a": 3}}',
        b"[" * 100_000,
        b'{"exercises": {"2.1": {"tries": "many"}}}',
        b'{"guesses": {"a": {"options": [1]}}}',
        b'{"sentences": {"C01": {"sure": true}}}',
    ],
)
@pytest.mark.parametrize("act", ["read", "record"])
def test_a_damaged_file_is_set_aside(home, capsys, content, act):
    home.mkdir()
    (home / "progress.damaged-1.json").write_bytes(b"an older one")
    (home / "progress.json").write_bytes(content)
    if act == "read":
        assert not any(journal.read().values())
    else:
        journal.record("guesses", "a", {})
        assert journal.read()["guesses"] == {"a": {}}
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "progress.damaged-2.json, and a new one begins" in said
    assert (home / "progress.damaged-1.json").read_bytes() == b"an older one"
    assert (home / "progress.damaged-2.json").read_bytes() == content


@pytest.mark.parametrize("act", ["read", "record"])
def test_what_is_sound_in_a_damaged_file_stays(home, capsys, act):
    home.mkdir()
    (home / "progress.json").write_text(json.dumps(KEPT | {"exercises": {"2.1": {"tries": "many"}, "2.2": {"passed": True}}}))
    if act == "record":
        journal.record("recall", "02.1", {"right": True})
    data = journal.read()
    assert data["guesses"] == KEPT["guesses"] and data["exercises"] == {"2.2": {"passed": True}}
    assert ("recall" in data) == (act == "record")
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and said.endswith("progress.damaged-1.json, and what could be read of it stays.\n")
    assert json.loads((home / "progress.json").read_text()) == data


def test_a_folder_or_a_pipe_in_the_place_of_the_file(home, capsys):
    (home / "progress.json" / "inside").mkdir(parents=True)
    journal.record("guesses", "a", {"n": 1})
    assert (home / "progress.damaged-1.json" / "inside").is_dir()
    (home / "progress.json").unlink()
    os.mkfifo(home / "progress.json")
    assert journal.read() == {}
    assert capsys.readouterr().out.count("\n") == 2 and len(list(home.glob("progress.damaged-*"))) == 2


def test_an_unwritable_folder_is_one_sentence_and_the_session_goes_on(home, monkeypatch, capsys):
    journal.record("guesses", "before", {"n": 1})
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.mkstemp", failing(30, "Read-only file system"))  # root may write anywhere
        for key in "during", "and":
            journal.record("guesses", key, {"n": 2})
            assert set(journal.read()["guesses"]) >= {"before", "during"}
        said = capsys.readouterr().out
        assert said.count("\n") == 1 and "Read-only file system" in said
        assert journal.trouble() == said.rstrip()
        assert "during" not in (home / "progress.json").read_text()
    journal.record("guesses", "after", {"n": 3})
    assert capsys.readouterr().out == f"Your progress is saved again in {home}.\n" and journal.trouble() == ""
    assert set(json.loads((home / "progress.json").read_text())["guesses"]) == {"before", "during", "and", "after"}


def test_a_failed_write_leaves_the_old_file_and_no_other(home, monkeypatch):
    journal.record("guesses", "a", {"n": 1})
    monkeypatch.setattr(os, "fsync", failing(28, "No space left on device"))
    journal.record("guesses", "a", {"n": 2})
    monkeypatch.undo()
    assert json.loads((home / "progress.json").read_text()) == {"guesses": {"a": {"n": 1}}}
    assert sorted(path.name for path in home.iterdir()) == [".progress.lock", "progress.json"]


ALL_FUNCTIONS = """
from course_lib.exercises import check, hint, progress
from course_lib.lesson import believe, compare, guess, rewrite, summary, verdict
class Lines:
    def __init__(self): self.rest = b""
    def feed(self, chunk):
        *lines, self.rest = (self.rest + chunk).split(b"\\n")
        if max(map(len, [*lines, self.rest])) > 65536: raise ValueError("too long a line")
        return lines
print("begin")
believe("C06").widget, guess("a key", "what?", "x", "y").widget, rewrite("C06").widget
compare("a key", "x"), verdict("C06"), summary("02")
check("2.2", Lines)
hint("2.1")
hint("2.1")
progress()
from course_lib.mine import serve_one
"""


# Root may write everywhere; without these capabilities (capabilities(7)) it may what an owner may.
NO_MORE_THAN_AN_OWNER = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.getuid() == 0 else []


@pytest.mark.parametrize("trouble", ["read-only folder", "unreadable file", "full disk", "no HOME", "a file for a folder"])
def test_every_function_goes_on_and_one_sentence_is_said(tmp_path, home, trouble):
    home.mkdir()
    (home / "progress.json").write_text(json.dumps(KEPT))
    variables = os.environ | {"MPLCONFIGDIR": str(tmp_path)}
    code, sentence = ALL_FUNCTIONS, f"Your progress cannot be saved in {home}: "
    if trouble == "read-only folder":
        home.chmod(0o555)
        sentence += "Permission denied"
    elif trouble == "unreadable file":
        (home / "progress.json").chmod(0)
        home.chmod(0o755)
        sentence = f"Your progress in {home / 'progress.json'} cannot be read: Permission denied"
    elif trouble == "full disk":
        code = "import os\ndef full(number): raise OSError(28, os.strerror(28))\nos.fsync = full\n" + ALL_FUNCTIONS
        sentence += "No space left on device"
    elif trouble == "no HOME":
        (tmp_path / "00_start_here.ipynb").touch()
        variables |= {"COURSE_HOME": "~a_user_that_is_not_there/mine"}
        variables.pop("HOME", None)
        sentence = ""
    else:
        (home / "progress.json").unlink()
        home.rmdir()
        home.write_text("mine")
        sentence = f"Your progress in {home / 'progress.json'} cannot be read: Not a directory"
    run = subprocess.run(
        [*NO_MORE_THAN_AN_OWNER, sys.executable, "-c", code],
        env=variables,
        capture_output=True,
        text=True,
        timeout=600,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("Your progress") == bool(sentence), run.stdout
    assert sentence in run.stdout and "2.1, hint 2 of " in run.stdout and re.search("^2.2 Lines +passed", run.stdout, re.M)
    if trouble == "a file for a folder":
        assert home.read_text() == "mine"
    elif trouble != "no HOME":
        home.chmod(0o755)
        assert json.loads((home / "progress.json").read_text()) == KEPT
