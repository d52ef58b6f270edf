"""The puzzle of notebook 03: one step of a connection, every wrong order gets words, and the two bugs are real."""

import ast
import inspect
import select
import socket
import textwrap

import pytest
from puzzle import Puzzle, code, statements

from course_lib.servers import NonBlockingServer, connection

PUZZLE = Puzzle("nonblocking-server")
RIGHT = PUZZLE.right


def step() -> ast.FunctionDef:
    """`Connection.go_on` as it stands in the source."""
    return ast.parse(textwrap.dedent(inspect.getsource(connection.Connection.go_on))).body[0]


def server(blocks) -> type[NonBlockingServer]:
    """The server of the course, whose connections go on as these blocks say."""
    function = step()
    not_shown = next(node for node in function.body if isinstance(node, ast.Try)).handlers[1:]
    function.body = ast.parse(PUZZLE.lines(blocks)).body
    next(node for node in function.body if isinstance(node, ast.Try)).handlers += not_shown
    names = vars(connection).copy()
    exec(compile(ast.fix_missing_locations(ast.Module([function], [])), "puzzle", "exec"), names)
    kind = type("PuzzleConnection", (connection.Connection,), {"go_on": names["go_on"]})
    serve = NonBlockingServer.serve
    its = type(serve)(serve.__code__, serve.__globals__ | {"Connection": kind})
    return type("PuzzleServer", (NonBlockingServer,), {"serve": its})


def test_the_solution_is_the_step_of_the_course():
    function = step()
    guarded = next(node for node in function.body if isinstance(node, ast.Try))
    del guarded.handlers[1:]
    body = function.body[1:] if ast.get_docstring(function) else function.body
    assert code(ast.parse(PUZZLE.lines()).body) == code(body)
    assert "go_on(self.answer)" in code(statements(NonBlockingServer.serve, ast.While))


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        (["none", "read"], "Line 1: `recv()` raises BlockingIOError for every client that is silent"),
        (["none", "try"], "Line 1: `try:` comes too late"),
        (["try", "read", "keep"], "Line 2: Read only when no answer waits"),
        (["try", "none", "keep"], "Line 3: `data` has no value here"),
        (["try", "none", "read", "end-none"], "Line 4: `recv()` never returns None. The end is `b''`"),
        (["try", "none", "read", "keep"], "Line 4: Nobody asks for `b''`, the end"),
        (["try", "none", "read", "keep", "end"], "Line 4: Whether `b''` has come is asked directly after reading"),
        (["try", "none", "read", "end", "send"], "Line 5: What was read gets no answer"),
        (["try", "none", "read", "end", "keep", "sendall"], "Line 6: On a non-blocking socket `sendall()` sends what fits"),
        (["try", "none", "read", "end", "keep", "rest"], "Line 6: Nothing goes out"),
        (["try", "none", "read", "end", "keep", "rest", "send"], "Line 6: `send()` comes too late"),
        (["try", "none", "read", "end", "keep", "send", "not-yet"], "Line 7: An `except` stands under the whole block"),
        (["try", "none", "read", "end", "keep", "send", "rest", "done"], "Line 8: `return True` ends the step"),
        ([*RIGHT[:-1]], "After line 8 something is missing. Whoever called must know"),
        ([*RIGHT, "sendall"], "Line 10: On a non-blocking socket"),
    ],
)  # fmt: skip
def test_the_first_bug_is_named(blocks, words):
    assert PUZZLE.words(blocks).startswith(words)


def test_the_solution_serves():
    with server(RIGHT)() as built, socket.create_connection(built.address, timeout=20) as client:
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""


def test_the_line_that_takes_the_end_for_a_message_never_lets_go():
    with server(PUZZLE.swapped("end-none"))() as built:
        with socket.create_connection(built.address, timeout=20) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
            client.shutdown(socket.SHUT_WR)
            assert select.select([client], [], [], 0.3)[0] == []


def test_the_line_with_sendall_ends_the_server_when_all_fits():
    with server(PUZZLE.swapped("sendall"))() as built, socket.create_connection(built.address, timeout=20) as client:
        client.sendall(b"hello")
        built.wait()
        assert isinstance(built.error, TypeError)
