"""The references of notebooks 02 to 06 keep the rule of accept(): no room is a pause, a client that has gone is nobody."""

import errno
import os
import select
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from itertools import count

import pytest
from exercises.sockets import listening

from course_lib import proc
from course_lib.kernel import wait_until
from course_lib.servers.connection import GONE, NO_ROOM
from course_lib.solutions.blocking import serve_forever
from course_lib.solutions.epolling import EpollEngine
from course_lib.solutions.nonblocking import busy_server
from course_lib.solutions.polling import PollEngine, SelectEngine, server
from course_lib.solutions.selecting import chat, select_server

IN_TURNS = {
    "3.3 busy_server": busy_server,
    "4.2 select_server": select_server,
    "4.4 chat": chat,
    "5.3 server on PollEngine": lambda listener: server(PollEngine(), listener),
    "5.3 server on SelectEngine": lambda listener: server(SelectEngine(), listener),
    "6.1 server on EpollEngine": lambda listener: server(EpollEngine(), listener),
}
ALL = {"2.4 serve_forever": serve_forever} | IN_TURNS

PROGRAM = """
import socket, sys
sys.path.insert(0, sys.argv[1])
from exercises.test_errors_of_accept import ALL
ALL[sys.argv[2]](socket.socket(fileno=int(sys.argv[3])))
"""


@contextmanager
def running(name):
    """This server in a process of its own: the number of the process, and a function that connects a client."""
    with ExitStack() as clients, socket.create_server(("127.0.0.1", 0)) as listener:
        tests = os.path.dirname(os.path.dirname(__file__))
        program = [sys.executable, "-c", PROGRAM, tests, name, str(listener.fileno())]
        with subprocess.Popen(program, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL) as process:
            try:
                yield process.pid, lambda: clients.enter_context(socket.create_connection(listener.getsockname(), timeout=20))
            finally:
                process.kill()


@contextmanager
def no_room(pid):
    """Inside, each number below the limit of this process is in use."""
    used = proc.links(pid)
    with proc.descriptor_limit(next(number for number in count() if number not in used), pid):
        yield


def heard(by, line, to):
    """What one client sends, and another one, or itself, hears of it."""
    by.sendall(line)
    return to.recv(100).upper()


@pytest.mark.parametrize("name", IN_TURNS)
def test_while_the_table_is_full_the_others_are_served(name):
    with running(name) as (pid, connect):
        first, second = connect(), connect()
        other = first if "chat" in name else second
        assert heard(second, b"hello\n", other) == b"HELLO\n"  # so both have been accepted
        with no_room(pid):
            late = connect()
            for _ in range(3):  # in the first of these rounds, at the latest, accept() has failed
                assert heard(second, b"again\n", other) == b"AGAIN\n"
            if "busy" not in name:
                used, slept = proc.cpu_seconds(pid), sleeps(pid)
                assert wait_until(lambda: sleeps(pid) >= slept + 5, 20), "it asks without a pause"
                assert proc.cpu_seconds(pid) - used < 0.1
            assert not select.select([late], [], [], 0)[0]
            other.close()  # that is room for one
            assert heard(late, b"late\n", second if "chat" in name else late) == b"LATE\n"


def sleeps(pid):
    """How often this process has gone to sleep."""
    return int(proc.status(pid, "voluntary_ctxt_switches"))


def test_a_full_table_does_not_end_the_server_that_serves_one_after_the_other():
    with running("2.4 serve_forever") as (pid, connect):
        with connect() as first:
            first.sendall(b"hello\n")
            first.shutdown(socket.SHUT_WR)
            assert first.makefile("rb").read() == b"HELLO\n"  # and then the end: its number is free again
        with no_room(pid):
            # accept() takes its number before it sleeps, so it may have one yet
            waiting = [connect(), connect()]
            for client in waiting:
                client.sendall(b"late\n")
                client.shutdown(socket.SHUT_WR)
            slept = sleeps(pid)
            assert wait_until(lambda: sleeps(pid) >= slept + 5, 20), "it has ended, or asks without a pause"
            assert not select.select(waiting[1:], [], [], 0)[0]
        assert [client.recv(100) for client in waiting] == [b"LATE\n"] * 2


class Done(Exception):
    """A client has its answer."""


class Fails(socket.socket):
    """A listener whose accept() fails with each of these errors; when a client has its answer it ends the server."""

    def accept(self):
        if self.errors:
            number = self.errors.pop()
            raise OSError(number, os.strerror(number))
        if select.select(self.clients, [], [], 0)[0]:
            raise Done
        return super().accept()


def serve(name, errors):
    # the last one says nothing: while it waits, accept() is called
    with listening(Fails, 4) as (listener, clients):
        listener.clients, listener.errors = clients, list(errors)
        for client in clients[:2]:
            client.sendall(b"hello\n")
        if name.startswith("2.4"):
            clients[0].shutdown(socket.SHUT_WR)
        ALL[name](listener)


@pytest.mark.parametrize("name", ALL)
def test_neither_a_client_that_has_gone_nor_a_full_table_ends_it(name):
    with pytest.raises(Done):
        serve(name, [*GONE, *NO_ROOM])


@pytest.mark.parametrize("number", [errno.EBADF, errno.EINVAL], ids=errno.errorcode.get)
@pytest.mark.parametrize("name", ALL)
def test_any_other_error_ends_it(name, number):
    with pytest.raises(OSError) as error:
        serve(name, [number, errno.ECONNABORTED])
    assert error.value.errno == number
