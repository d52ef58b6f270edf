"""The puzzle of notebook 04: the heart of SelectServer, and two ways to make it spin."""

import ast
import select
import textwrap
from types import SimpleNamespace

import pytest
from puzzle import Puzzle, code, long, statements

from course_lib.servers import SelectServer
from course_lib.servers.connection import Connection

PUZZLE = Puzzle("select-server")


def test_its_statements_are_those_of_the_server_in_the_same_order():
    body = statements(SelectServer.serve, ast.While)
    begin = "writing =", "readable, writable, _ =", "ready =", "for number in ready"
    assert code(ast.parse(PUZZLE.lines()).body) == code([s for s in body if code([s]).startswith(begin)])


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


def run(blocks, connections, answer=bytes.upper, waits=50) -> int:
    """How often select() came back with somebody in so many waits."""
    waiter = Select(waits)
    server = SimpleNamespace(answer=answer)
    names = {"select": waiter, "connections": connections, "self": server, "no_room": False, "PAUSE": 0.1}
    body = "reading = [number for number, connection in connections.items() if not connection.unsent]\n" + PUZZLE.lines(blocks)
    program = compile("while True:\n" + textwrap.indent(body, "    "), "puzzle", "exec")
    with pytest.raises(Enough):
        exec(program, names)
    return waiter.came_back


def test_the_right_program_answers_sleeps_and_lets_go(ends):
    client, sock = ends
    connections = {sock.fileno(): Connection(sock)}
    client.sendall(b"hello")
    assert run(PUZZLE.right, connections) == 1 and client.recv(100) == b"HELLO"
    client.close()
    assert run(PUZZLE.right, connections) == 1 and not connections and sock.fileno() == -1


def test_asking_for_writable_always_is_a_real_bug(ends):
    client, sock = ends
    assert run(PUZZLE.swapped("writing-all"), {sock.fileno(): Connection(sock)}) == 50


def test_going_through_the_readable_ones_only_is_a_real_bug(ends):
    client, sock = ends
    connections = {sock.fileno(): Connection(sock)}
    client.sendall(b"hello")
    run(PUZZLE.right, connections, long)
    rest = len(connections[sock.fileno()].unsent)
    while not select.select([], [sock], [], 0)[1]:
        client.recv(1 << 20)
    assert run(PUZZLE.swapped("readable-only"), connections) == 50
    assert len(connections[sock.fileno()].unsent) == rest > 0
    assert run(PUZZLE.right, connections) < 50 and len(connections[sock.fileno()].unsent) < rest


def test_without_letting_go_the_server_spins(ends):
    client, sock = ends
    client.close()
    assert "readable for ever" in PUZZLE.words(PUZZLE.right[:-1])
    program = [*PUZZLE.right[:-2]]
    assert run(program, {sock.fileno(): Connection(sock)}) == 50 and sock.fileno() >= 0
