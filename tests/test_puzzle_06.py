"""The puzzle of notebook 06: the heart of EpollServer, and two ways to lose it: close first, and EPOLLOUT for ever."""

import ast
import errno
import inspect
import os
import select
import socket
import textwrap

import pytest

from course_lib.lesson.parsons import first_bug, puzzles
from course_lib.servers import EpollServer

PUZZLE = puzzles()["epoll-server"]
RIGHT = PUZZLE["solution"]
BUGS = sorted(set(PUZZLE["pool"]) - set(RIGHT))


def lines(blocks) -> str:
    return "\n".join(PUZZLE["blocks"][block]["code"] for block in blocks)


def statements(body) -> list[str]:
    return [ast.unparse(statement) for statement in body]


def test_its_statements_are_those_of_the_server_in_the_same_order():
    method = ast.parse(textwrap.dedent(inspect.getsource(EpollServer._on_levels))).body[0]
    loop = next(s for s in ast.walk(method) if isinstance(s, ast.For))
    guarded, decide = loop.body[-2:]
    send = next(s for s in guarded.body if "send" in ast.unparse(s))
    assert statements(ast.parse(lines(RIGHT)).body) == statements([send, decide])


def test_where_the_words_name_an_error_of_python_python_says_it():
    named = 0
    for place in range(len(RIGHT) + 1):
        for bug in BUGS:
            program = [*RIGHT[:place], bug, *RIGHT[place + 1 :]]
            if "unexpected indent" in first_bug(PUZZLE, program):
                named += 1
                with pytest.raises(IndentationError, match="unexpected indent"):
                    compile(lines(program), "puzzle", "exec")
    assert named == 4  # each of the two in the first line, and after the line that sends


# What the words say of a program, seen in that program


class Connection:
    """A registered connection, and the variables of the program that are about it."""

    def __init__(self) -> None:
        self.client, self.ours = socket.socketpair()
        self.ours.setblocking(False)
        self.client.settimeout(2)
        self.number = self.ours.fileno()
        self.epoll = select.epoll()
        self.epoll.register(self.ours, select.EPOLLIN)
        self.connections, self.unsent = {self.number: self.ours}, {}

    def run(self, blocks, answer: bytes | None) -> None:
        """The program once, for this answer; as in the server, a full send buffer is no error."""
        program = "try:\n" + textwrap.indent(lines(blocks[:1]), "    ") + "\nexcept BlockingIOError:\n    pass\n" + lines(blocks[1:])
        names = {"select": select, "epoll": self.epoll, "unsent": self.unsent, "connections": self.connections,
                 "connection": self.ours, "number": self.number, "answer": self.unsent.get(self.number, answer), "sent": 0}
        exec(compile(program, "puzzle", "exec"), names)

    def get_stuck(self, blocks) -> int:
        """Answer until the send buffer is full; how many bytes are unsent."""
        while not self.unsent:
            self.run(blocks, bytes(1 << 20))
        return len(self.unsent[self.number])

    def take_all(self, blocks) -> None:
        """Let the client read, and run the program for each report of room, until nothing is unsent."""
        while self.unsent:
            self.client.recv(1 << 20)
            if self.epoll.poll(0) == [(self.number, select.EPOLLOUT)]:
                self.run(blocks, b"")
        self.client.setblocking(False)
        try:
            while self.client.recv(1 << 20):
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        for thing in (self.client, self.ours, self.epoll):
            thing.close()


@pytest.fixture
def one():
    connection = Connection()
    yield connection
    connection.close()


def swapped(bug: str) -> list[str]:
    twin = next(twin for twin, its in PUZZLE["pairs"] if its == bug)
    return [bug if block == twin else block for block in RIGHT]


def test_the_right_program_answers_keeps_the_rest_sleeps_and_lets_go(one):
    one.run(RIGHT, b"HELLO")
    assert one.client.recv(100) == b"HELLO" and not one.unsent and one.epoll.poll(0) == []
    assert one.get_stuck(RIGHT) > 0 and one.epoll.poll(0) == []
    one.take_all(RIGHT)
    assert one.epoll.poll(0) == []
    one.run(RIGHT, None)
    assert one.ours.fileno() == -1 and not one.connections and one.epoll.poll(0) == []


def test_closing_first_is_a_real_bug(one):
    assert "EBADF" in first_bug(PUZZLE, swapped("close-first"))
    with pytest.raises(OSError) as caught:
        one.run(swapped("close-first"), None)
    assert caught.value.errno == errno.EBADF and one.ours.fileno() == -1


def test_closing_without_unregistering_leaves_a_zombie_while_a_copy_lives(one):
    copy = os.dup(one.number)
    one.run([block for block in RIGHT if block != "unregister"], None)
    one.client.send(b"x")
    assert one.epoll.poll(0) == [(one.number, select.EPOLLIN)]
    os.close(copy)


def test_room_for_ever_is_a_real_bug(one):
    bug = swapped("no-disarm")
    one.get_stuck(bug)
    one.take_all(bug)
    assert not one.unsent
    for _ in range(3):
        assert one.epoll.poll(0) == [(one.number, select.EPOLLOUT)]


def test_keeping_the_rest_before_the_interest_is_right_too(one):
    other = list(RIGHT)
    place = other.index("modify-out")
    other[place : place + 2] = "keep", "modify-out"
    assert "It can be done in this order" in first_bug(PUZZLE, other)
    assert one.get_stuck(other) > 0
    one.take_all(other)
    assert one.epoll.poll(0) == []


def test_a_rest_that_stays_is_sent_again(one):
    without = RIGHT[:7]
    one.get_stuck(without)
    rest = len(one.unsent[one.number])
    sent = 0
    for _ in range(1000):
        if one.epoll.poll(0):
            one.run(without, b"")
        sent += len(one.client.recv(1 << 20))
    assert sent > 10 * (1 << 20) > rest


@pytest.mark.parametrize("above", ("elif-short", "modify-in"))
def test_deleting_what_is_not_there_raises_what_the_words_say(one, above):
    place = RIGHT.index(above) + 1
    program = [*RIGHT[:place], "no-disarm", *RIGHT[place:]]
    assert "KeyError" in first_bug(PUZZLE, program)
    with pytest.raises(KeyError):
        one.get_stuck(program)
        one.take_all(program)
