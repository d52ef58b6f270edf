"""What this process holds: a test that uses `nothing_more` leaves nothing behind."""

import gc
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from course_lib.kernel import open_numbers, wait_until


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


def children(pid: int) -> set[int]:
    """The numbers of a process's children."""
    found = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found |= set(map(int, path.read_text().split()))
        except OSError:  # the thread has ended
            pass
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
    return {*_unnamed().items(), *threading.enumerate(), *children(os.getpid())}


def _unnamed() -> dict[int, str]:
    """The open descriptors that name no file: matplotlib keeps its fonts open."""
    found = {}
    for number in open_numbers():
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except OSError:  # that of the listing itself
            pass
    return {number: target for number, target in found.items() if not target.startswith("/")}
