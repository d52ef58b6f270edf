"""The puzzle of notebook 03: its solution is the course's server, every wrong order gets words, and the two bugs are real."""

import ast
import inspect
import itertools
import select
import socket
import textwrap

import pytest
from course_lib.lesson.parsons import first_bug, puzzles
from course_lib.servers import NonBlockingServer, Server

PUZZLE = puzzles()["nonblocking-server"]
RIGHT = PUZZLE["solution"]
TWIN_OF = {bug: twin for twin, bug in PUZZLE["pairs"]}


def heart() -> ast.For:
    """The loop over the connections in the source, without the clause that the task does not show."""
    source = ast.parse(textwrap.dedent(inspect.getsource(NonBlockingServer.serve)))
    loop = next(node for node in ast.walk(source) if isinstance(node, ast.For))
    guarded = next(node for node in loop.body if isinstance(node, ast.Try))
    guarded.handlers = [handler for handler in guarded.handlers if handler.type.id != "ConnectionError"]
    return loop


def program(blocks) -> list[ast.stmt]:
    return ast.parse("\n".join(PUZZLE["blocks"][block]["code"] for block in blocks)).body


def server(blocks) -> type[Server]:
    """The server of the course, with these blocks as its heart."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(NonBlockingServer.serve)))
    next(node for node in ast.walk(tree) if isinstance(node, ast.For)).body = program(blocks)
    names = vars(inspect.getmodule(NonBlockingServer)).copy()
    exec(compile(ast.fix_missing_locations(tree), "puzzle", "exec"), names)
    return type("PuzzleServer", (Server,), {"serve": names["serve"]})


def test_the_solution_is_the_server_of_the_course():
    assert ast.dump(ast.Module(program(RIGHT), [])) == ast.dump(ast.Module(heart().body, []))


def test_a_block_that_is_there_is_not_called_missing():
    speaks_of_order = {"read"}  # "must be read first": true of a late block too
    missing = [PUZZLE["blocks"][block]["missing"] for block in set(RIGHT) - speaks_of_order]
    for found in itertools.permutations(RIGHT):
        bug = first_bug(PUZZLE, list(found))
        assert bug is None or not any(words in bug for words in missing)


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        (["none", "read"], "Line 1: `recv()` raises BlockingIOError for every client that is silent"),
        (["none", "try"], "Line 1: `try:` comes too late"),
        (["try", "read", "keep"], "Line 2: Read only when no answer waits"),
        (["try", "some", "send", "rest", "none", "read", "keep", "not-yet", "close"], "Line 2: Answering first would work too"),
        (["try", "none", "keep"], "Line 3: `data` has no value here"),
        (["try", "none", "read", "keep-end"], "Line 4: This line takes `b''` for a message"),
        (["try", "none", "read", "some"], "Line 4: What was read gets no answer"),
        (["try", "none", "read", "keep", "send"], "Line 5: Indented like this it belongs to the reading above"),
        (["try", "none", "read", "keep", "some", "sendall"], "Line 6: On a non-blocking socket `sendall()` sends what fits"),
        (["try", "none", "read", "keep", "some", "rest"], "Line 6: Nothing goes out"),
        (["try", "none", "read", "keep", "some", "rest", "send"], "Line 6: `send()` comes too late"),
        (["try", "none", "read", "keep", "some", "send", "not-yet"], "Line 7: An `except` stands under the whole block"),
        (["try", "none", "read", "keep", "some", "send", "rest", "close"], "Line 8: Letting go comes last"),
        ([*RIGHT[:-1]], "After line 8 something is missing. A client that has finished is never let go"),
        ([*RIGHT, "sendall"], "Line 10: On a non-blocking socket"),
    ],
)  # fmt: skip
def test_the_first_bug_is_named(blocks, words):
    assert first_bug(PUZZLE, blocks).startswith(words)


def test_the_solution_and_the_other_order_serve():
    answering_first = ["try", "some", "send", "rest", "none", "read", "keep", "not-yet", "close"]
    for blocks in RIGHT, answering_first:
        with server(blocks)() as built, socket.create_connection(built.address, timeout=5) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100) == b""


def test_the_line_that_takes_the_end_for_a_message_never_lets_go():
    with server(["keep-end" if block == "keep" else block for block in RIGHT])() as built:
        with socket.create_connection(built.address, timeout=5) as client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
            client.shutdown(socket.SHUT_WR)
            assert select.select([client], [], [], 0.3)[0] == []


def test_the_line_with_sendall_sends_again_what_it_has_sent():
    with server(["sendall" if block == "send" else block for block in RIGHT])() as built:
        with socket.create_connection(built.address, timeout=5) as client:
            client.sendall(b"hello")
            got = b""
            while len(got) < 10:
                got += client.recv(10 - len(got))
            assert got == b"hellohello"


@pytest.mark.parametrize(
    ("blocks", "error"),
    [
        (["try", "none", "read", "keep", "some", "send", "rest", "close", "not-yet"], "expected 'except' or 'finally' block"),
        (["try", "none", "read", "not-yet", "keep", "some", "send", "rest", "close"], "unexpected indent"),
    ],
)
def test_python_refuses_what_the_words_say_it_refuses(blocks, error):
    with pytest.raises(SyntaxError, match=error):
        program(blocks)
