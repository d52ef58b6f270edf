"""The puzzle of notebook 08: a server of threads, and two ways to lose it: call instead of start, and close too early."""

import ast
import inspect
import socket
import textwrap
import threading

import pytest
from puzzle import InThread, Puzzle

from course_lib.kernel import wait_until
from course_lib.servers import ThreadedServer

PUZZLE = Puzzle("threaded-server")


def test_its_lines_are_those_of_the_server():
    source = inspect.getsource(ThreadedServer)
    for block in ("read", "accept", "close"):
        assert PUZZLE.its["blocks"][block]["code"].strip() in source
    method = ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(ThreadedServer.serve_client))))
    assert method.index("recv") < method.index("sendall(self.answer(data))") < method.index("close()")


class Running(InThread):
    """A program of the puzzle as a server in a thread."""

    def __init__(self, blocks) -> None:
        super().__init__(PUZZLE.lines(blocks), answer=bytes.upper, threading=self)
        self.started: list[threading.Thread] = []

    def Thread(self, target, args=()):  # stands for threading.Thread in the program
        self.started.append(threading.Thread(target=self.guarded, args=(target or (lambda: None), *args), daemon=True))
        return self.started[-1]


def test_the_right_program_serves_the_second_client_beside_a_silent_first_one():
    with Running(PUZZLE.right) as server, server.connect(), server.connect() as second:
        for _ in range(2):
            second.sendall(b"hello")
            assert second.recv(100) == b"HELLO"
        second.shutdown(socket.SHUT_WR)
        assert second.recv(100) == b""
        assert server.errors == []


def test_calling_instead_of_starting_is_a_real_bug():
    assert "the second client waits until the first one has left" in PUZZLE.words(PUZZLE.swapped("call"))
    with Running(PUZZLE.swapped("call")) as server, server.connect() as first, server.connect() as second:
        first.sendall(b"hello")
        assert first.recv(100) == b"HELLO"  # served by the thread that accepts
        second.sendall(b"hello")
        assert server.started == []
        second.settimeout(0.2)
        with pytest.raises(TimeoutError):
            second.recv(100)
        first.shutdown(socket.SHUT_WR)
        second.settimeout(30)
        assert second.recv(100) == b"HELLO"


def test_closing_inside_the_loop_is_a_real_bug():
    assert "A client that asks twice gets one answer" in PUZZLE.words(PUZZLE.swapped("close-inside"))
    with Running(PUZZLE.swapped("close-inside")) as server, server.connect() as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"HELLO" and client.recv(100) == b""
        assert wait_until(lambda: server.errors, 30) and server.errors[0].errno == 9
