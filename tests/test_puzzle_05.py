"""The puzzle of notebook 05: the heart of PollServer, and two entries in the list of poll that are not changed back."""

import ast
import inspect
import select
import socket
import textwrap

import pytest

from course_lib.lesson.parsons import first_bug, puzzles
from course_lib.servers import PollServer

PUZZLE = puzzles()["poll-server"]
RIGHT = PUZZLE["solution"]
BUGS = sorted(set(PUZZLE["pool"]) - set(RIGHT))
LONG = 4_000_000  # bytes of an answer that no send buffer takes at once


def lines(blocks) -> str:
    return "\n".join(PUZZLE["blocks"][block]["code"] for block in blocks)


def dump(statements) -> str:
    return ast.dump(ast.Module(statements, []))


class WithoutTheShortcut(ast.NodeTransformer):
    """`unsent and number in unsent` is `number in unsent`, asked faster where nothing is stuck."""

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        first, *rest = node.values
        return rest[0] if ast.unparse(first) == "unsent" and len(rest) == 1 else node


def test_its_statements_are_those_of_the_server_in_the_same_order():
    serve = ast.parse(textwrap.dedent(inspect.getsource(PollServer.serve))).body[0]
    loop = next(statement for statement in serve.body if isinstance(statement, ast.While))
    each = next(statement for statement in loop.body if isinstance(statement, ast.For))
    guarded = next(statement for statement in each.body if isinstance(statement, ast.Try))
    after = each.body[each.body.index(guarded) + 1 :]
    kept = [WithoutTheShortcut().visit(statement) for statement in (*guarded.body, *after)]
    assert dump(ast.parse(lines(RIGHT)).body) == dump(kept)


def test_where_the_words_name_an_error_of_python_python_says_it():
    named = 0
    for place in range(len(RIGHT) + 1):
        for found in set(PUZZLE["blocks"]) - set(RIGHT[:place]) - set(RIGHT[place : place + 1]):
            program = [*RIGHT[:place], found, *RIGHT[place + 1 :]]
            for error in ("unexpected indent", "expected an indented block", "invalid syntax"):
                if error in first_bug(PUZZLE, program):
                    named += 1
                    with pytest.raises(SyntaxError, match=error):
                        compile(lines(program), "puzzle", "exec")
    assert named >= 10


# What the words say of a program, seen in that program


class Enough(Exception):
    """The program has asked poll() as often as the test lets it."""


class Server:
    """The loop round the lines of a puzzle, with one connection; at most `waits` waits, which never last."""

    def __init__(self, blocks, connection: socket.socket, answer) -> None:
        self.poll, self.came_back = select.poll(), 0
        self.connections, self.unsent = {connection.fileno(): connection}, {}
        self.poll.register(connection, select.POLLIN)
        body = "connection, answer, sent = connections[number], unsent.get(number, b''), 0\n" + lines(blocks)
        self._program = compile(body, "puzzle", "exec")
        self._names = {"select": select, "poll": self.poll, "connections": self.connections, "unsent": self.unsent,
                       "self": type("Self", (), {"answer": staticmethod(answer)})}

    def run(self, waits: int = 50) -> int:
        """How often poll() came back with somebody, of so many times."""
        self.came_back = 0
        for _ in range(waits):
            found = self.poll.poll(0)
            self.came_back += bool(found)
            for number, _ in found:
                try:
                    exec(self._program, {**self._names, "number": number})
                except BlockingIOError:
                    pass
        return self.came_back


@pytest.fixture
def ends():
    client, connection = socket.socketpair()
    connection.setblocking(False)
    client.settimeout(2)
    yield client, connection
    client.close()
    connection.close()


def swapped(bug: str) -> list[str]:
    twin = next(twin for twin, its in PUZZLE["pairs"] if its == bug)
    return [bug if block == twin else block for block in RIGHT]


def read(client: socket.socket, server: Server, count: int) -> int:
    """Read so many bytes, and let the server send on meanwhile. Returns how many came."""
    got = 0
    while got < count:
        got += len(client.recv(1 << 20))
        server.run(1)
    return got


def test_the_right_program_answers_sleeps_and_lets_go(ends):
    client, connection = ends
    server = Server(RIGHT, connection, bytes.upper)
    client.sendall(b"hello")
    assert server.run() == 1 and client.recv(100) == b"HELLO"
    client.close()
    assert server.run() == 1 and not server.connections and connection.fileno() == -1 and server.poll.poll(0) == []


def test_the_right_program_sends_a_long_answer_in_parts_and_sleeps_in_between(ends):
    client, connection = ends
    server = Server(RIGHT, connection, lambda request: bytes(LONG))
    client.sendall(b"hello")
    assert server.run() < 50 and 0 < len(server.unsent[connection.fileno()]) < LONG
    client.sendall(b"and more")
    assert server.run() == 0, "no more is read while an answer is stuck"
    client.setblocking(True)
    assert read(client, server, LONG) == LONG


def test_not_to_ask_for_requests_again_is_a_real_bug(ends):
    client, connection = ends
    server = Server(swapped("done-forgets"), connection, lambda request: bytes(LONG))
    client.sendall(b"hello")
    server.run()
    assert read(client, server, LONG) == LONG
    server.run(1)
    assert server.run() == 50, "poll() says again and again that there is room"


def test_to_ask_for_nothing_instead_of_taking_it_out_is_a_real_bug(ends):
    client, connection = ends
    server, number = Server(swapped("mute"), connection, bytes.upper), connection.fileno()
    client.close()
    with pytest.raises(KeyError):
        server.run()
    assert server.poll.poll(0) == [(number, select.POLLNVAL)]


@pytest.mark.parametrize("above", ["unregister", "close"])
def test_to_change_what_is_not_in_the_list_raises_what_the_words_say(ends, above):
    client, connection = ends
    program = [*RIGHT[: RIGHT.index(above) + 1], "mute", *RIGHT[RIGHT.index(above) + 1 :]]
    assert "FileNotFoundError" in first_bug(PUZZLE, program)
    client.close()
    with pytest.raises(FileNotFoundError):
        Server(program, connection, bytes.upper).run()


@pytest.mark.parametrize("without", ["if-none", "recv"])
def test_without_a_line_it_does_what_the_words_say(ends, without):
    client, connection = ends
    words = PUZZLE["blocks"][without]["missing"]
    if without == "if-none":
        program = [*RIGHT[:3], "if-stuck", "stuck", "done"]
        program = lines(program).replace("elif sent", "if sent", 1)
        client.close()
        server = Server(RIGHT, connection, bytes.upper)
        server._program = compile("connection, answer, sent = connections[number], b'', 0\n" + program, "puzzle", "exec")
        assert "TypeError" in words
        with pytest.raises(TypeError):
            server.run()
    else:
        client.sendall(b"hello")
        server = Server(RIGHT, connection, bytes.upper)
        server._program = compile("answer, sent = b'', 0\n" + lines(RIGHT[2:]), "puzzle", "exec")
        assert "again and again" in words and server.run() == 50


def test_sending_first_serves_too_one_wait_later(ends):
    client, connection = ends
    program = ["send", "if-idle", "recv", *RIGHT[3:]]
    assert "It can be done in this order" in first_bug(PUZZLE, program)
    server = Server(program, connection, bytes.upper)
    client.sendall(b"hello")
    assert server.run(1) == 1 and server.unsent
    assert server.run(1) == 1 and client.recv(100) == b"HELLO" and server.run() == 0


def test_closing_first_lets_go_too(ends):
    client, connection = ends
    program = [*RIGHT[:4], "close", "unregister", *RIGHT[6:]]
    assert "First unregister, then close" in first_bug(PUZZLE, program)
    server = Server(program, connection, bytes.upper)
    client.close()
    assert server.run() == 1 and not server.connections and server.poll.poll(0) == []
