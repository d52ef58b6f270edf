"""What this process holds: a test that uses `nothing_more` leaves nothing behind."""

import gc
import os
import resource
import socket
import threading
from collections.abc import Iterator
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
