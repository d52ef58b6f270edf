"""The puzzle of notebook 04: the heart of SelectServer, and two ways to make it spin."""

import ast
import inspect
import select
import socket
import textwrap

import pytest

from course_lib.lesson.parsons import first_bug, puzzles
from course_lib.servers import SelectServer

PUZZLE = puzzles()["select-server"]
RIGHT = PUZZLE["solution"]
BUGS = sorted(set(PUZZLE["pool"]) - set(RIGHT))


def lines(blocks) -> str:
    return "\n".join(PUZZLE["blocks"][block]["code"] for block in blocks)


def dump(statements) -> str:
    return ast.dump(ast.Module(statements, []))


def test_its_statements_are_those_of_the_server_in_the_same_order():
    serve = ast.parse(textwrap.dedent(inspect.getsource(SelectServer.serve))).body[0]
    loop = next(statement for statement in serve.body if isinstance(statement, ast.While))
    kept = [s for s in loop.body if isinstance(s, ast.For) or ast.unparse(s).startswith(("writing =", "readable, writable, _ ="))]
    guarded, *rest = kept[-1].body
    kept[-1].body = [*guarded.body, *rest]  # without its `try`
    assert dump(ast.parse(lines(RIGHT)).body) == dump(kept)


def test_where_the_words_name_an_error_of_python_python_says_it():
    named = 0
    for place in range(len(RIGHT) + 1):
        for bug in BUGS:
            words = first_bug(PUZZLE, [*RIGHT[:place], bug, *RIGHT[place + 1 :]])
            for error in ("unexpected indent", "expected an indented block"):
                if error in words:
                    named += 1
                    with pytest.raises(IndentationError, match=error):
                        compile(lines([*RIGHT[:place], bug, *RIGHT[place + 1 :]]), "puzzle", "exec")
    assert named >= 6


# What the words say of a program, seen in that program


class Enough(Exception):
    """The program has asked select() as often as the test lets it."""


class Select:
    """Stands for the module: at most `waits` waits, which never last."""

    def __init__(self, waits: int) -> None:
        self.left, self.came_back = waits, 0

    def select(self, reading, writing, exceptional, pause):
        if not self.left:
            raise Enough
        self.left -= 1
        found = select.select(reading, writing, exceptional, 0)
        self.came_back += any(found)
        return found


@pytest.fixture
def ends():
    client, connection = socket.socketpair()
    connection.setblocking(False)
    client.settimeout(2)
    yield client, connection
    client.close()
    connection.close()


def run(blocks, connection, waits=50) -> tuple[int, dict]:
    """(how often select() came back with somebody, what is left in `unsent`) after so many waits."""
    waiter, unsent = Select(waits), {connection: memoryview(b"")}

    class Self:
        answer = staticmethod(bytes.upper)

    names = {"select": waiter, "unsent": unsent, "self": Self, "pause": None}
    body = "reading = [sock for sock in unsent if not unsent[sock]]\n" + lines(blocks)
    program = compile("while True:\n" + textwrap.indent(body, "    "), "puzzle", "exec")
    with pytest.raises(Enough):
        exec(program, names)
    return waiter.came_back, unsent


def swapped(bug: str) -> list[str]:
    twin = next(twin for twin, its in PUZZLE["pairs"] if its == bug)
    return [bug if block == twin else block for block in RIGHT]


def test_the_right_program_answers_sleeps_and_lets_go(ends):
    client, connection = ends
    client.sendall(b"hello")
    assert run(RIGHT, connection)[0] == 1 and client.recv(100) == b"HELLO"
    client.close()
    came_back, unsent = run(RIGHT, connection)
    assert came_back == 1 and not unsent and connection.fileno() == -1


def test_asking_for_writable_always_is_a_real_bug(ends):
    client, connection = ends
    names = swapped("writing-all")
    program = lines(names[:2]).replace("pause", "0")
    found = {"select": select, "unsent": {connection: memoryview(b"")}, "reading": [connection]}
    for _ in range(3):
        exec(program, found)
        assert (found["readable"], found["writable"]) == ([], [connection])


def test_taking_no_notice_of_the_end_is_a_real_bug(ends):
    client, connection = ends
    client.close()
    came_back, unsent = run(swapped("keep-no-end"), connection)
    assert came_back == 50 and connection in unsent and connection.fileno() >= 0


def test_letting_go_too_early_raises_what_the_words_say(ends):
    client, connection = ends
    client.close()
    early = [*RIGHT[:6], "let-go", *RIGHT[6:8]]
    assert "KeyError" in first_bug(PUZZLE, early)
    with pytest.raises(KeyError):
        run(early, connection)


def test_sending_first_serves_too_one_wait_later(ends):
    client, connection = ends
    client.sendall(b"hello")
    later = ["writing", "select", "for", "if-unsent", "send", "if-idle"]
    assert "It can be done in this order" in first_bug(PUZZLE, [*later, "recv", "keep", "let-go"])
    came_back, unsent = run([*later, "recv", "keep", "let-go"], connection, waits=1)
    assert came_back == 1 and unsent[connection] == b"HELLO"
