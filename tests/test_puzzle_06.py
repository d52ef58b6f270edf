"""The puzzle of notebook 06: the heart of EpollServer, and two ways to lose it: close first, and EPOLLOUT for ever."""

import ast
import errno
import os
import select
import socket

import pytest
from puzzle import Puzzle, code, statements

from course_lib.servers import EpollServer
from course_lib.servers.connection import Connection

PUZZLE = Puzzle("epoll-server")
LONG = 4_000_000  # bytes of an answer that no send buffer takes at once


def test_its_statements_are_those_of_the_server_in_the_same_order():
    look_up, *rest = statements(EpollServer.serve_levels, ast.For)
    assert code([look_up]) == "connection = connections[number]"
    assert code(ast.parse(PUZZLE.lines()).body) == code(rest)


# What the words say of a program, seen in that program


class Server:
    """The loop round the lines of the puzzle, with one registered connection; waits never last."""

    def __init__(self, client: socket.socket, sock: socket.socket) -> None:
        self.client, self.sock = client, sock
        self.number = self.sock.fileno()
        self.epoll = select.epoll()
        self.epoll.register(self.sock, select.EPOLLIN)
        self.connections = {self.number: Connection(self.sock)}

    def run(self, blocks, answer=bytes.upper, waits: int = 50) -> int:
        """How often epoll came back with somebody, of so many times."""
        program = compile(PUZZLE.lines(blocks), "puzzle", "exec")
        names = {
            "select": select,
            "epoll": self.epoll,
            "connections": self.connections,
            "self": type("Self", (), {"answer": staticmethod(answer)}),
        }
        came_back = 0
        for _ in range(waits):
            ready = self.epoll.poll(0)
            came_back += bool(ready)
            for number, _ in ready:
                exec(program, {**names, "number": number, "connection": self.connections[number]})
        return came_back


@pytest.fixture
def server(ends):
    server = Server(*ends)
    with server.epoll:
        yield server


def take(server, blocks) -> None:
    """Let the client read all of a long answer, and the server send on."""
    got = 0
    while got < LONG:
        got += len(server.client.recv(1 << 20))
        server.run(blocks, waits=1)


def long(request: bytes) -> bytes:
    return bytes(LONG)


def test_the_right_program_answers_keeps_the_rest_sleeps_and_lets_go(server):
    server.client.sendall(b"hello")
    assert server.run(PUZZLE.right) == 1 and server.client.recv(100) == b"HELLO"
    server.client.sendall(b"much")
    assert server.run(PUZZLE.right, long) < 50 and server.connections[server.number].unsent
    take(server, PUZZLE.right)
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
        assert [number for number, _ in server.epoll.poll(0)] == [server.number]
    os.close(copy)


def test_room_for_ever_is_a_real_bug(server):
    bug = PUZZLE.swapped("elif-unsent")
    server.client.sendall(b"much")
    server.run(bug, long)
    take(server, bug)
    server.run(bug)
    assert not server.connections[server.number].unsent and server.run(bug) == 50


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
    assert server.run(program, long) == 1 and server.connections[server.number].unsent
    server.client.recv(1 << 20)
    assert server.run(program) == 0
