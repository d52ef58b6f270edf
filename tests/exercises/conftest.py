import gc
import itertools
import linecache
import os
import signal
import textwrap
import threading

import pytest

from course_lib import proc
from course_lib.exercises import check

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A learner's folder for this test alone."""
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "mine"))
    monkeypatch.delenv("COURSE_STRICT", raising=False)
    return tmp_path / "mine"


def run_cell(source: str, names: dict | None = None) -> dict:
    """Run source as IPython runs a cell: in ``__main__``, its text known to linecache. Returns the namespace."""
    names = {"__name__": "__main__"} if names is None else names
    source = textwrap.dedent(source).lstrip()
    file = f"/tmp/ipykernel_1/{next(_numbers)}.py"
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    exec(compile(source, file, "exec"), names)
    return names


@pytest.fixture
def cell():
    yield run_cell
    for file in [file for file in linecache.cache if file.startswith("/tmp/ipykernel_1/")]:
        del linecache.cache[file]


def process_state() -> dict:
    """What a check must leave as it was."""
    return {
        "descriptors": proc.links(),
        "threads": threading.active_count(),
        "children": proc.children(os.getpid()),
        # pytest-timeout takes its own handler of SIGALRM away when a test has failed
        "handlers": [signal.getsignal(number) for number in signal.valid_signals() - {signal.SIGALRM}],
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "directory": os.getcwd(),
        "environment": {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
    }


@pytest.fixture
def checked(capsys):
    """check(), as often as it says that the machine was too busy; at most three times."""

    def run(id: str, *learners: object):
        for _ in range(3):
            capsys.readouterr()
            result = check(id, *learners)
            if not (result.open and result.findings):
                break
        return result

    return run


@pytest.fixture
def as_before():
    """The process is after the test what it was before."""
    gc.collect()  # an epoll of an earlier test, which nobody keeps, would go meanwhile
    before = process_state()
    yield
    assert process_state() == before
