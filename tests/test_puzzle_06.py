"""The puzzle of notebook 06: the heart of EpollServer, and two ways to lose it: close first, and EPOLLOUT for ever."""

import ast
import errno
import os
import select
import socket

import pytest
from puzzle import Puzzle, Rounds, code, long, statements

from course_lib.servers import EpollServer

PUZZLE = Puzzle("epoll-server")


def test_its_statements_are_those_of_the_server_in_the_same_order():
    look_up, *rest = statements(EpollServer.serve_levels, ast.For)
    assert code([look_up]) == "connection = connections[number]"
    assert code(ast.parse(PUZZLE.lines()).body) == code(rest)


# What the words say of a program, seen in that program


class Server(Rounds):
    def names(self, ready):
        for number, _ in ready:
            yield {"epoll": self.poll, "number": number, "connection": self.connections[number]}


@pytest.fixture
def server(ends):
    with select.epoll() as epoll:
        yield Server(PUZZLE, epoll, *ends)


def test_the_right_program_answers_keeps_the_rest_sleeps_and_lets_go(server):
    server.client.sendall(b"hello")
    assert server.run(PUZZLE.right) == 1 and server.client.recv(100) == b"HELLO"
    server.client.sendall(b"much")
    assert server.run(PUZZLE.right, long) < 50 and server.unsent
    server.take(PUZZLE.right)
    assert server.run(PUZZLE.right) < 50 and server.run(PUZZLE.right) == 0
    server.client.close()
    assert server.run(PUZZLE.right) == 1 and not server.connections and server.sock.fileno() == -1


@pytest.mark.parametrize(
    "program",
    [
        PUZZLE.swapped("close-first"),
        [*PUZZLE.right[:3], "close", "unregister", *PUZZLE.right[5:]],
        [*PUZZLE.right[:4], "close-first", *PUZZLE.right[5:]],
    ],
)
def test_closing_first_is_a_real_bug(server, program):
    assert "EBADF" in PUZZLE.words(program)
    server.client.close()
    with pytest.raises(OSError) as caught:
        server.run(program)
    assert caught.value.errno == errno.EBADF and server.sock.fileno() == -1


def test_closing_twice_raises_what_the_words_say(server):
    program = [*PUZZLE.right[:5], "close-first", *PUZZLE.right[5:]]
    assert "KeyError" in PUZZLE.words(program)
    server.client.close()
    with pytest.raises(KeyError):
        server.run(program)


def test_closing_without_unregistering_leaves_a_zombie_while_a_copy_lives(server):
    copy = os.dup(server.number)
    server.client.shutdown(socket.SHUT_WR)
    assert "reported for ever" in PUZZLE.its["blocks"]["unregister"]["missing"]
    server.run(PUZZLE.without("unregister"), waits=1)
    assert server.sock.fileno() == -1
    for _ in range(3):
        assert [number for number, _ in server.poll.poll(0)] == [server.number]
    os.close(copy)


def test_room_for_ever_is_a_real_bug(server):
    bug = PUZZLE.swapped("elif-unsent")
    server.client.sendall(b"much")
    server.run(bug, long)
    server.take(bug)
    server.run(bug)
    assert not server.unsent and server.run(bug) == 50


@pytest.mark.parametrize("above", ["elif-changed", "modify"])
def test_closing_a_client_that_is_only_stuck_is_a_real_bug(server, above):
    place = PUZZLE.right.index(above) + 1
    program = [*PUZZLE.right[:place], "close-first", *PUZZLE.right[place:]]
    assert "it has not finished" in PUZZLE.words(program)
    server.client.sendall(b"much")
    with pytest.raises(OSError) as caught:
        server.run(program, long)
    assert caught.value.errno == errno.EBADF


def test_without_telling_epoll_a_stuck_answer_is_never_sent_on(server):
    program = PUZZLE.right[:-2]
    server.client.sendall(b"much")
    assert server.run(program, long) == 1 and server.unsent
    server.client.recv(1 << 20)
    assert server.run(program) == 0
