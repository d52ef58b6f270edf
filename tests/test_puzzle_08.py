"""The puzzle of notebook 08: a server of threads, and two ways to lose it: call instead of start, and close too early."""

import ast
import inspect
import socket
import textwrap
import threading

import pytest
from puzzle import Puzzle

from course_lib.kernel import wait_until
from course_lib.servers import ThreadedServer

PUZZLE = Puzzle("threaded-server")


def test_its_lines_are_those_of_the_server():
    source = inspect.getsource(ThreadedServer)
    for block in ("read", "accept", "close"):
        assert PUZZLE.its["blocks"][block]["code"].strip() in source
    method = ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(ThreadedServer.serve_client))))
    assert method.index("recv") < method.index("sendall(self.answer(data))") < method.index("close()")


class Running:
    """A program of the puzzle as a server in a thread."""

    def __init__(self, blocks) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.errors: list[BaseException] = []
        self.names = {"listener": self.listener, "answer": bytes.upper, "threading": self}
        self.started: list[threading.Thread] = []
        self.thread = threading.Thread(target=self._run, args=(PUZZLE.lines(blocks),), daemon=True)
        self.thread.start()

    def Thread(self, target, args=()):  # stands for threading.Thread in the program
        def run():
            try:
                target and target(*args)
            except OSError as error:
                self.errors.append(error)

        self.started.append(threading.Thread(target=run, daemon=True))
        return self.started[-1]

    def _run(self, program: str) -> None:
        try:
            exec(compile(program, "puzzle", "exec"), self.names)
        except OSError as error:
            self.errors.append(error)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.listener.getsockname(), timeout=30)

    def stop(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(30)
        self.listener.close()


@pytest.fixture
def serve():
    running: list[Running] = []

    def start(blocks):
        running.append(Running(blocks))
        return running[-1]

    yield start
    for one in running:
        one.stop()


def test_the_right_program_serves_the_second_client_beside_a_silent_first_one(serve):
    server = serve(PUZZLE.right)
    with server.connect(), server.connect() as second:
        for _ in range(2):
            second.sendall(b"hello")
            assert second.recv(100) == b"HELLO"
        second.shutdown(socket.SHUT_WR)
        assert second.recv(100) == b""
    assert server.errors == []


def test_calling_instead_of_starting_is_a_real_bug(serve):
    assert "the second client waits until the first one has left" in PUZZLE.words(PUZZLE.swapped("call"))
    server = serve(PUZZLE.swapped("call"))
    with server.connect() as first, server.connect() as second:
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


def test_closing_inside_the_loop_is_a_real_bug(serve):
    assert "A client that asks twice gets one answer" in PUZZLE.words(PUZZLE.swapped("close-inside"))
    server = serve(PUZZLE.swapped("close-inside"))
    with server.connect() as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"HELLO" and client.recv(100) == b""
    assert wait_until(lambda: server.errors, 30) and server.errors[0].errno == 9
