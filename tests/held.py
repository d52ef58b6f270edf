"""What this process holds: a test that uses `nothing_more` leaves nothing behind."""

import gc
import ipaddress
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from course_lib import ports, proc
from course_lib.kernel import wait_until


@contextmanager
def a_port() -> Iterator[int]:
    """A port of 127.0.0.1 that nobody else is given meanwhile. Who sets SO_REUSEADDR, as servers do, can listen there (socket(7))."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def interrupted_in(function: Callable, when: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """A Ctrl-C that comes when the main thread is inside `function` and `when()` is true; elsewhere it would end the tests."""
    main = threading.main_thread().ident or 0

    def inside() -> bool:
        frame = sys._current_frames()[main]
        while frame and frame.f_code is not function.__code__:
            frame = frame.f_back
        return frame is not None

    def interrupt() -> None:
        if wait_until(lambda: over.is_set() or inside() and when(), 120) and not over.is_set():
            signal.pthread_kill(main, signal.SIGINT)

    over, thread = threading.Event(), threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[threading.Thread]:
    """A thread does this again and again, as long as the block lasts."""

    def again() -> None:
        while not over.is_set():
            act()

    over, thread = threading.Event(), threading.Thread(target=again)
    thread.start()
    try:
        yield thread
    finally:
        over.set()
        thread.join()


def together(*functions: Callable[[], object]) -> None:
    """Run them at once, each in its own thread, and wait; raises what they raised."""
    gate, wrong = threading.Barrier(len(functions)), []

    def run(function: Callable[[], object]) -> None:
        try:
            gate.wait(60)
            function()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if wrong:
        raise wrong[0]


def python(program: str, *words: str, behind: tuple = (), stdout: int = subprocess.PIPE, **options) -> subprocess.Popen:
    """A Python that runs this program with these words where it can import the course and its tests, behind another command."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*behind, sys.executable, "-c", program, *words]
    return subprocess.Popen(command, cwd=Path(__file__).parents[1], env=environment, text=True, stdout=stdout, **options)


def course(*words: str, **options) -> subprocess.Popen:
    """One of the course's commands: `course("course_lib", "serve", "epoll")`."""
    piped = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-u", "-m", *words], cwd=Path(__file__).parents[1], **piped, **options)


def failing(errno: int, words: str) -> Callable:
    """What fails like this when it is called, whatever it is given."""
    return mock.Mock(side_effect=OSError(errno, words))


def alive(pid: int) -> bool:
    """Is there such a process, and no zombie?"""
    return proc.state(pid) not in ("", "Z")


def marked(*marks: str) -> set[int]:
    """The numbers of all processes that were born with each of these in their environment (proc(5))."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            told = path.read_bytes()
        except OSError:  # gone, or somebody else's
            continue
        if all(mark.encode() in told for mark in marks):
            found.add(int(path.parent.name))
    return found


def listening(own: Container[int]) -> list[tuple[str, bool]]:
    """Where each of these sockets (inodes) takes what others send, and is that beyond loopback? (proc(5))"""
    found = []
    for protocol, waits in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for row in map(str.split, Path("/proc/net", protocol).read_text().splitlines()[1:]):
            if int(row[9]) in own and row[3] == waits:
                host, port = ports._address(socket.AF_INET6 if protocol.endswith("6") else socket.AF_INET, row[1])
                address = ipaddress.ip_address(host)
                address = getattr(address, "ipv4_mapped", None) or address
                found.append((f"{protocol} {host}:{port}", not address.is_loopback))
    return found


@contextmanager
def nothing_more() -> Iterator[None]:
    """Afterwards there are no more descriptors, threads and processes than before, and the limit is as it was."""
    gc.collect()  # what earlier tests have dropped
    before, limit = _held(), resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    assert wait_until(lambda: _held() <= before), _held() - before
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limit


def _held() -> set:
    return {*_unnamed().items(), *threading.enumerate(), *proc.children(os.getpid())}


def _unnamed() -> dict[int, str]:
    """The open descriptors that name no file: matplotlib keeps its fonts open."""
    return {number: target for number, target in proc.links().items() if not target.startswith("/")}
