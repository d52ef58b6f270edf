"""The puzzle of notebook 09: a server on the course's Loop, and two ways to keep everybody in its accept queue."""

import contextlib
import errno
import inspect
import threading
import time

import pytest
from puzzle import InThread, Puzzle

from course_lib.kernel import wait_until
from course_lib.solutions.coroutines import Loop, accept, recv, send_all, sleep

PUZZLE = Puzzle("loop-server")


def capitals(connection, page):  # stands for http in the program: what matters here is who accepts
    with connection:
        while data := (yield from recv(connection, 100)):
            yield from send_all(connection, data.upper())


class Running(InThread):
    """A program of the puzzle in a thread. `full` is set while no descriptor is free; `naps` are the calls of time.sleep."""

    over = False

    def __init__(self, blocks) -> None:
        self.full, self.refused, self.naps = threading.Event(), threading.Event(), []
        names = {"loop": Loop(), "http": capitals, "page": None, "accept": self._accept, "sleep": sleep, "time": self}
        super().__init__(PUZZLE.lines(blocks), **names)
        self.listener.setblocking(False)

    def sleep(self, seconds) -> None:
        self.naps.append(seconds)
        time.sleep(seconds)

    def _accept(self, listener):
        yield "read", listener
        if self.over:
            raise SystemExit  # the end of the test: no Exception, so the program's own `except` lets it through
        if self.full.is_set():
            self.refused.set()
            raise OSError(errno.EMFILE, "Too many open files")
        return (yield from accept(listener))

    def stop(self) -> None:
        self.over = True
        with contextlib.suppress(OSError):
            self.connect().close()


def says(client, text: bytes) -> bytes:
    client.sendall(text)
    return client.recv(100)


def test_its_accept_is_the_exercises():
    assert inspect.isgeneratorfunction(accept) and "accept(listener)" in PUZZLE.its["blocks"]["accept"]["code"]


def test_the_right_program_serves_beside_a_silent_client_and_after_the_moment_without_a_descriptor():
    with Running(PUZZLE.right) as server, server.connect() as silent, server.connect() as talking:
        assert says(talking, b"hello") == b"HELLO"
        server.full.set()
        with server.connect() as waiting:
            waiting.sendall(b"me too")
            assert server.refused.wait(30)
            assert says(talking, b"again") == b"AGAIN"  # the others are served meanwhile
            server.full.clear()
            assert waiting.recv(100) == b"ME TOO"
        assert says(silent, b"now") == b"NOW"
        assert server.naps == []


def test_serving_in_the_task_that_accepts_is_a_real_bug():
    assert "the next client is accepted when this one has left" in PUZZLE.words(PUZZLE.swapped("serve-here"))
    with Running(PUZZLE.swapped("serve-here")) as server, server.connect() as first, server.connect() as second:
        assert says(first, b"hello") == b"HELLO"
        second.sendall(b"hello")
        second.settimeout(0.2)
        with pytest.raises(TimeoutError):
            second.recv(100)
        first.close()
        second.settimeout(30)
        assert second.recv(100) == b"HELLO"


def test_sleeping_with_the_whole_thread_is_a_real_bug():
    assert "puts the THREAD to sleep" in PUZZLE.words(PUZZLE.swapped("pause-all"))
    with Running(PUZZLE.swapped("pause-all")) as server:
        server.full.set()
        with server.connect():
            assert server.refused.wait(30) and wait_until(lambda: server.naps, 30)
        server.full.clear()
