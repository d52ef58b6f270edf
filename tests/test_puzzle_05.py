"""The puzzle of notebook 05: the heart of PollServer, and two entries in the list of poll that are wrong."""

import ast
import select
import socket

import pytest
from puzzle import LONG, Puzzle, Rounds, code, long, statements

from course_lib.servers import PollServer

PUZZLE = Puzzle("poll-server")


def test_its_statements_are_those_of_the_server_in_the_same_order():
    body = statements(PollServer.serve, ast.While)
    assert code(ast.parse(PUZZLE.lines()).body) == code([s for s in body if isinstance(s, ast.For)])


# What the words say of a program, seen in that program


class Server(Rounds):
    def names(self, ready):
        yield {"poll": self.poll, "ready": dict(ready)}


@pytest.fixture
def server(ends):
    return Server(PUZZLE, select.poll(), *ends)


def test_the_right_program_answers_sleeps_and_lets_go(server):
    server.client.sendall(b"hello")
    assert server.run(PUZZLE.right) == 1 and server.client.recv(100) == b"HELLO"
    server.client.close()
    assert server.run(PUZZLE.right) == 1 and not server.connections and server.sock.fileno() == -1 and server.poll.poll(0) == []


def test_the_right_program_sends_a_long_answer_in_parts_and_sleeps_in_between(server):
    server.client.sendall(b"hello")
    assert server.run(PUZZLE.right, long) < 50 and 0 < len(server.unsent) < LONG
    server.client.sendall(b"and more")
    assert server.run(PUZZLE.right, long) == 0, "no more is read while an answer is stuck"
    server.take(PUZZLE.right, long)


def test_to_ask_for_both_is_a_real_bug(server):
    server.client.sendall(b"hello")
    assert server.run(PUZZLE.swapped("ask-for-both")) == 50, "poll() says again and again that there is room"


@pytest.mark.parametrize("asked_for", [b"", b"and more"])
def test_not_to_ask_for_room_stops_a_stuck_answer(server, asked_for):
    program = PUZZLE.without("interest")
    assert "nobody asks for room" in PUZZLE.words(program)
    server.client.sendall(b"hello")
    server.run(program, long)
    server.client.sendall(asked_for)
    assert server.run(program, long) == (50 if asked_for else 0), "it spins, or nobody sends the rest"


def test_the_interest_before_the_answer_comes_a_round_too_early(server):
    program = ["for", "look-up", "interest", "go-on", *PUZZLE.right[4:]]
    assert "too early" in PUZZLE.words(program)
    server.client.sendall(b"hello")
    server.run(program, long, waits=1)
    while not select.select([], [server.sock], [], 0)[1]:
        server.client.recv(1 << 20)
    assert server.run(program, long) == 0 and server.unsent, "there is room, and nobody is told"


def test_to_ask_for_nothing_instead_of_taking_it_out_is_a_real_bug(server):
    server.client.close()
    with pytest.raises(KeyError):
        server.run(PUZZLE.swapped("mute"))
    assert server.poll.poll(0) == [(server.number, select.POLLNVAL)]


@pytest.mark.parametrize("late", ["mute", "interest", "ask-for-both"])
@pytest.mark.parametrize("above", ["unregister", "close"])
def test_to_change_what_is_not_in_the_list_raises_what_the_words_say(server, above, late):
    right = PUZZLE.without("interest") if late == "interest" else PUZZLE.right
    assert "FileNotFoundError" in PUZZLE.its["blocks"][late]["after"][above]
    server.client.close()
    with pytest.raises(FileNotFoundError):
        server.run([*right[: right.index(above) + 1], late])


def test_closing_first_lets_go_too(server):
    program = [*PUZZLE.right[:5], "close", "unregister"]
    assert "First unregister, then close" in PUZZLE.words(program)
    server.client.close()
    assert server.run(program) == 1 and not server.connections and server.poll.poll(0) == []


def test_without_closing_it_stays_open(server):
    assert "still open" in PUZZLE.words(PUZZLE.right[:-1])
    server.client.shutdown(socket.SHUT_WR)
    assert server.run(PUZZLE.right[:-1]) == 1 and server.sock.fileno() >= 0 and server.connections
