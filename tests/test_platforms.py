"""Where epoll, poll or /proc is missing, the course says so, in one sentence, and what can work does work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

# What a system other than Linux lacks is taken away before the course is imported; what Python itself needs is loaded by then.
TAKE_AWAY = """
import asyncio, builtins, ctypes, errno, fcntl, multiprocessing, os, resource, select, selectors, socket, subprocess, sys, time

def without(module, *names):
    for name in names:
        for full in [full for full in vars(module) if full == name or name.endswith("*") and full.startswith(name[:-1])]:
            delattr(module, full)

def hide(module, name):
    raw = getattr(module, name)
    def hiding(path, *more, **named):
        text = path.decode() if isinstance(path, bytes) else str(path) if not isinstance(path, int) else ""
        if text.startswith(("/proc", "/dev/fd")):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", text)
        return raw(path, *more, **named)
    setattr(module, name, hiding)

def no_proc():
    for module, name in ((builtins, "open"), (os, "open"), (os, "listdir"), (os, "readlink"), (os, "stat"), (os, "scandir")):
        hide(module, name)
    os.path.exists = lambda path, raw=os.path.exists: not str(path).startswith("/proc") and raw(path)

def no_epoll():
    without(select, "epoll", "EPOLL*", "POLLRDHUP")
    selectors.DefaultSelector = selectors.PollSelector
    without(selectors, "EpollSelector")

def no_poll():
    without(select, "poll", "POLL*")
    selectors.DefaultSelector = selectors.SelectSelector
    without(selectors, "PollSelector")

def darwin(with_pages=False):
    if with_pages:
        import IPython, ipywidgets, anywidget, cloudpickle, matplotlib.figure  # they ask for the platform when they are loaded
    no_epoll()
    no_proc()
    without(os, "memfd_create", "pidfd_open", "eventfd*", "EFD_*", "sched_getaffinity", "sched_setaffinity", "posix_fadvise")
    without(socket, "TCP_INFO", "SO_DOMAIN", "SO_PROTOCOL", "SOCK_CLOEXEC", "SOCK_NONBLOCK")
    without(time, "CLOCK_BOOTTIME")
    sys.platform = "darwin"

tell = None  # nothing is taken away

def windows():
    darwin()
    no_poll()
    for name in ("fcntl", "termios", "resource", "mmap"):
        sys.modules[name] = None
    sys.platform = "win32"
"""

IMPORT_ALL = """
import course_lib.clients, course_lib.exercises, course_lib.lesson, course_lib.measure, course_lib.mine
import course_lib.kernel, course_lib.servers, course_lib.widgets
"""


def run(taken: str, program: str, home: Path) -> subprocess.CompletedProcess:
    """Run a program in a fresh process from which something is taken away; `taken` is a call of a function of TAKE_AWAY."""
    (home / "take.py").write_text(TAKE_AWAY)
    environment = os.environ | {"PYTHONPATH": f"{home}:{REPOSITORY}", "COURSE_HOME": str(home / "mine")}
    command = [sys.executable, "-c", f"import take; take.{taken}\n{program}"]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=600)


def passes(taken: str, program: str, home: Path) -> list[str]:
    """The lines that it prints; it must not fail, and stderr may have the course's one sentence only."""
    done = run(taken, program, home=home)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "taken, missing", [("no_proc()", ["/proc"]), ("no_poll()", []), ("darwin(True)", ["epoll", "/proc"]), ("tell", [])]
)
def test_everything_can_be_imported_and_what_is_missing_is_said_once(taken, missing, tmp_path):
    done = run(taken, IMPORT_ALL + "print('imported')", home=tmp_path)
    assert done.stdout == "imported\n", done.stderr
    said = done.stderr.splitlines()
    assert len(said) == bool(missing)
    for line in said:
        assert line.startswith("This system has no " + " and no ".join(missing))
        assert "need Linux" in line and "README" in line


def test_windows_is_told_of_wsl2_in_one_sentence(tmp_path):
    done = run("windows()", "import course_lib.servers", home=tmp_path)
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith("ImportError: Windows") and "WSL2" in last and "README" in last


SERVE = """
import socket, threading
from course_lib.kernel import descriptors, open_numbers, wait_until
from course_lib.servers import %(model)s, live_servers

before = threading.active_count(), open_numbers()
with %(model)s(answer=bytes.upper) as server:
    server.record()
    clients = [socket.create_connection(server.address, timeout=60)]
    clients[0].sendall(b"hello")
    print(clients[0].recv(100))
    rows = server.descriptors()
    print(sorted(row.kind for row in rows), {row.peer for row in rows} == {None, clients[0].getsockname()})
    print(server.doing())
    print(bool(server.calls()))
    clients.pop().close()
print(live_servers(), wait_until(lambda: (threading.active_count(), open_numbers()) == before))
"""


@pytest.mark.parametrize(
    "model", ["BlockingServer", "NonBlockingServer", "SelectServer", "PollServer", "AsyncioServer", "ThreadedServer"]
)
def test_servers_without_epoll_serve_and_can_be_watched(model, tmp_path):
    assert passes("darwin()", SERVE % {"model": model}, tmp_path) == [
        "b'HELLO'",
        "['connection', 'listener'] True",
        "not known: this system has no /proc",
        "True",  # its calls are recorded
        "[] True",  # nothing is left
    ]


@pytest.mark.parametrize(
    "taken, model", [("no_epoll()", "EpollServer"), ("darwin()", "CoroutineServer"), ("no_poll()", "PollServer")]
)
def test_a_server_that_needs_more_says_so(taken, model, tmp_path):
    program = f"""
from course_lib.servers import NotHere, {model}, live_servers
try:
    {model}().start()
except NotHere as why:
    print(why)
print(live_servers())
"""
    sentence, left = passes(taken, program, tmp_path)
    needed = "poll" if model == "PollServer" else "epoll"
    assert sentence.startswith(f"{model} needs {needed}, and this system does not have it")
    assert left == "[]"


def test_the_command_says_so_too(tmp_path):
    program = "from course_lib.__main__ import main\nimport sys\nsys.exit(main(['serve', 'epoll']))"
    done = run("darwin()", program, home=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("EpollServer needs epoll")
    assert "Traceback" not in done.stderr


def test_a_panel_shows_what_it_can_and_says_what_it_cannot(tmp_path):
    program = """
import json, socket
from course_lib.servers import SelectServer
from course_lib.widgets import observe
with SelectServer() as server, socket.create_connection(server.address, timeout=60) as client:
    client.sendall(b"x"), client.recv(1)
    panel = observe(server, me=client)
    state = panel.state()
    rows = [[row["kind"], row["peer"]] for row in state["rows"]]
    print(json.dumps([state["server"]["doing"], state["note"], rows, panel.picture()]))
"""
    [line] = passes("darwin(True)", program, tmp_path)
    doing, note, rows, picture = json.loads(line)
    assert doing == "not known" and "no /proc" in note
    assert rows == [["listener", ""], ["connection", "me"]]
    assert "no /proc" in picture and "listener" in picture


def test_checks_and_measurements_say_that_they_need_linux(tmp_path):
    program = """
from course_lib.exercises import all_exercises, check
from course_lib.measure import ladder
from course_lib.servers import SelectServer
exercise = all_exercises()[0]
print(check(exercise.id, *exercise.solutions).open)
try:
    ladder([SelectServer], idle=[0], rounds=1)
except RuntimeError as error:
    print(error)
"""
    *said, opened, measured = passes("darwin(True)", program, tmp_path)
    [sentence] = said
    assert sentence.startswith("Checks need Linux with its /proc")
    assert opened == "True"
    assert "measurements need Linux" in measured


def test_notebook_00_and_the_readme_say_what_each_system_can():
    start = (REPOSITORY / "notebooks/00_start_here.ipynb").read_text()
    readme = (REPOSITORY / "README.md").read_text()
    for text in (start, readme):
        assert "macOS" in text and "WSL2" in text and "container" in text
