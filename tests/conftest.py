"""What all tests share: the learner's folder is a temporary one, and in each process the browser comes last."""

import gc
import os
import shutil
import signal
import socket
import subprocess
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from held import nothing_more
from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

from course_lib.servers import stop_all

# A shell's background job ignores Ctrl-C, and so would each process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Storms, whole notebooks, measurements, classes: what `make quick` leaves out. Of each exercise it tries a few wrong solutions.
SLOW = {
    "test_bench", "test_chaos", "test_check_command", "test_classroom", "test_fairness", "test_fuzz", "test_measure", "test_mix",
    "test_notebooks", "test_platforms", "test_real_clients", "test_security", "test_storm", "test_ten_thousand", "test_ways_in",
    "test_many_clients", "test_misbehaviour", "test_patience", "test_coroutines", "test_suspects", "test_redis_protocol", "test_prefork",
}  # fmt: skip
FIRST = 1  # wrong solutions of an exercise
TOGETHER = "::TestOneReport::"  # what its tests share takes most of a minute: they run in one process


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadGroupScheduling:
    return BrowserBeside(config, log)


class BrowserBeside(LoadGroupScheduling):
    """One of the processes takes the tests with a browser from the beginning: those compute, while most others wait."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.split(TOGETHER)[0] if TOGETHER in nodeid else nodeid

    def _assign_work_unit(self, node: WorkerController) -> None:
        begun = any(map(_with_browser, self.assigned_work[node]))
        if begun or node is self.nodes[-1] and len(self.nodes) > 1:
            if browser := next(filter(_with_browser, self.workqueue), None):
                self.workqueue.move_to_end(browser, last=False)
            elif begun:
                return node.shutdown()  # nothing else may come after them
        with suppress(OSError):  # it has died, and remove_node will hear of it
            super()._assign_work_unit(node)
        if self.workqueue and self._pending_of(self.assigned_work[node]) < 2:
            self._assign_work_unit(node)  # a process begins a test when it knows the next one

    def remove_node(self, node: WorkerController) -> str | None:
        """A process has died: the test that it was at has failed and is not tried again, what it had not begun goes to the others."""
        left = {name: [test for test, over in unit.items() if not over] for name, unit in self.assigned_work[node].items()}
        died_in = next((tests.pop(0) for tests in left.values() if tests), None)
        self.assigned_work[node] = {name: dict.fromkeys(tests, False) for name, tests in left.items() if tests}
        super().remove_node(node)
        return died_in


def _with_browser(unit: str) -> bool:
    return "/browser/" in unit


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Playwright keeps an asyncio loop running in the main thread: nothing else may need one after it.
    items.sort(key=lambda item: "browser" in item.path.parts)
    seen = Counter()
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker("browser")
        elif item.path.stem in SLOW:
            item.add_marker("slow")
        elif "case" in getattr(item, "fixturenames", ()) and hasattr(item, "callspec"):
            exercise = item.originalname, item.callspec.params["id"]
            seen[exercise] += 1
            if seen[exercise] > FIRST:
                item.add_marker("slow")


@pytest.fixture(autouse=True, scope="module")
def nothing_left_to_the_collector():
    """What the tests of another module have dropped would go in the middle of one of these, and its descriptors with it.

    What is there now, thousands of tests and the modules, is frozen: a test that collects need not go over it.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def learner_folder(tmp_path, monkeypatch):
    """Keep every test's journal and passed exercises out of the repository."""
    folder = tmp_path / "mine"
    monkeypatch.setenv("COURSE_HOME", str(folder))
    return folder


@pytest.fixture
def make(tmp_path):
    """Run make with these words, and this environment, in a course of its own: tmp_path/"a course", without the rest of it."""
    repository, course = Path(__file__).parents[1], tmp_path / "a course"
    (course / "course_lib").mkdir(parents=True)
    for file in ("Makefile", "pyproject.toml", "course_lib/jupyterlab.json", "course_lib/jupyter_server.json"):
        shutil.copy(repository / file, course / file)

    def run(*words: str, **more: str) -> subprocess.CompletedProcess:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")} | more
        return subprocess.run(["make", *words], cwd=course, env=environment, capture_output=True, text=True, timeout=600)

    return run


@pytest.fixture
def ends():
    """(client, sock): a connected pair; `sock` does not block, `client` waits 2 s at most."""
    client, sock = socket.socketpair()
    with client, sock:
        sock.setblocking(False)
        client.settimeout(2)
        yield client, sock


@pytest.fixture
def kept():
    """`kept(thing)`: the thing, which is closed after the test."""
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture
def listener(kept):
    """One on loopback, at a free port."""
    return kept(socket.create_server(("127.0.0.1", 0)))


@pytest.fixture
def nothing_is_left():
    """No descriptor, thread or process more than before. A server that still runs counts, too."""
    with nothing_more():
        yield


@pytest.fixture
def servers_stop():
    """No server of another test runs, and none of this one after it."""
    stop_all()
    yield
    stop_all()
