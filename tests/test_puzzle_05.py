"""The puzzle of notebook 05: the heart of PollServer, and two entries in the list of poll that are wrong."""

import ast
import select
import socket

import pytest
from puzzle import Puzzle, code, statements

from course_lib.servers import PollServer
from course_lib.servers.connection import Connection

PUZZLE = Puzzle("poll-server")
LONG = 4_000_000  # bytes of an answer that no send buffer takes at once


def test_its_statements_are_those_of_the_server_in_the_same_order():
    body = statements(PollServer.serve, ast.While)
    assert code(ast.parse(PUZZLE.lines()).body) == code([s for s in body if isinstance(s, ast.For)])


# What the words say of a program, seen in that program


class Server:
    """The loop round the lines of a puzzle, with one connection; waits never last."""

    def __init__(self, blocks, sock: socket.socket, answer=bytes.upper) -> None:
        self.poll, self.connections = select.poll(), {sock.fileno(): Connection(sock)}
        self.poll.register(sock, select.POLLIN)
        self._program = compile(PUZZLE.lines(blocks), "puzzle", "exec")
        self._names = {
            "select": select,
            "poll": self.poll,
            "connections": self.connections,
            "self": type("Self", (), {"answer": staticmethod(answer)}),
        }

    def run(self, waits: int = 50) -> int:
        """How often poll() came back with somebody, of so many times."""
        came_back = 0
        for _ in range(waits):
            ready = dict(self.poll.poll(0))
            came_back += bool(ready)
            exec(self._program, {**self._names, "ready": ready})
        return came_back


def test_the_right_program_answers_sleeps_and_lets_go(ends):
    client, sock = ends
    server = Server(PUZZLE.right, sock)
    client.sendall(b"hello")
    assert server.run() == 1 and client.recv(100) == b"HELLO"
    client.close()
    assert server.run() == 1 and not server.connections and sock.fileno() == -1 and server.poll.poll(0) == []


def test_the_right_program_sends_a_long_answer_in_parts_and_sleeps_in_between(ends):
    client, sock = ends
    server = Server(PUZZLE.right, sock, lambda request: bytes(LONG))
    client.sendall(b"hello")
    assert server.run() < 50 and 0 < len(server.connections[sock.fileno()].unsent) < LONG
    client.sendall(b"and more")
    assert server.run() == 0, "no more is read while an answer is stuck"
    got = 0
    while got < LONG:
        got += len(client.recv(1 << 20))
        server.run(1)


def test_to_ask_for_both_is_a_real_bug(ends):
    client, sock = ends
    server = Server(PUZZLE.swapped("ask-for-both"), sock)
    client.sendall(b"hello")
    assert server.run() == 50, "poll() says again and again that there is room"


@pytest.mark.parametrize("asked_for", [b"", b"and more"])
def test_not_to_ask_for_room_stops_a_stuck_answer(ends, asked_for):
    client, sock = ends
    assert "nobody asks for room" in PUZZLE.words(PUZZLE.without("interest"))
    server = Server(PUZZLE.without("interest"), sock, lambda request: bytes(LONG))
    client.sendall(b"hello")
    server.run()
    client.sendall(asked_for)
    assert server.run() == (50 if asked_for else 0), "it spins, or nobody sends the rest"


def test_the_interest_before_the_answer_comes_a_round_too_early(ends):
    client, sock = ends
    program = ["for", "look-up", "interest", "go-on", *PUZZLE.right[4:]]
    assert "too early" in PUZZLE.words(program)
    server = Server(program, sock, lambda request: bytes(LONG))
    client.sendall(b"hello")
    server.run(1)
    while not select.select([], [sock], [], 0)[1]:
        client.recv(1 << 20)
    assert server.run() == 0 and server.connections[sock.fileno()].unsent, "there is room, and nobody is told"


def test_to_ask_for_nothing_instead_of_taking_it_out_is_a_real_bug(ends):
    client, sock = ends
    server, number = Server(PUZZLE.swapped("mute"), sock), sock.fileno()
    client.close()
    with pytest.raises(KeyError):
        server.run()
    assert server.poll.poll(0) == [(number, select.POLLNVAL)]


@pytest.mark.parametrize("late", ["mute", "interest", "ask-for-both"])
@pytest.mark.parametrize("above", ["unregister", "close"])
def test_to_change_what_is_not_in_the_list_raises_what_the_words_say(ends, above, late):
    client, sock = ends
    right = PUZZLE.without("interest") if late == "interest" else PUZZLE.right
    program = [*right[: right.index(above) + 1], late]
    assert "FileNotFoundError" in PUZZLE.its["blocks"][late]["after"][above]
    client.close()
    with pytest.raises(FileNotFoundError):
        Server(program, sock).run()


def test_closing_first_lets_go_too(ends):
    client, sock = ends
    program = [*PUZZLE.right[:5], "close", "unregister"]
    assert "First unregister, then close" in PUZZLE.words(program)
    server = Server(program, sock)
    client.close()
    assert server.run() == 1 and not server.connections and server.poll.poll(0) == []


def test_without_closing_it_stays_open(ends):
    client, sock = ends
    assert "still open" in PUZZLE.words(PUZZLE.right[:-1])
    client.shutdown(socket.SHUT_WR)
    server = Server(PUZZLE.right[:-1], sock)
    assert server.run() == 1 and sock.fileno() >= 0 and server.connections
