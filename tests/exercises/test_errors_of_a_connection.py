"""The references of notebooks 02 to 04 keep the rule which error ends what: of recv and send, this connection alone."""

import errno
import os
import select
import socket
from contextlib import suppress

import pytest
from exercises.sockets import ENDS, listening

from course_lib.checks.ends import answers_no_more
from course_lib.servers.connection import GONE, NO_ROOM
from course_lib.solutions.blocking import serve_forever, serve_one
from course_lib.solutions.nonblocking import Conn, busy_server, try_accept, try_recv
from course_lib.solutions.selecting import chat, select_server

SERVERS = serve_forever, busy_server, select_server, chat


class Done(Exception):
    """The others have been served."""


class Fails(socket.socket):
    """A connection of which one call fails."""

    number, call, failed = 0, "", False

    def _fails(self, call):
        if call == self.call:
            self.failed = True
            raise OSError(self.number, os.strerror(self.number))

    def recv(self, *arguments):
        self._fails("recv")
        return super().recv(*arguments)

    def send(self, *arguments):
        self._fails("send")
        return super().send(*arguments)

    def sendall(self, *arguments):
        self._fails("send")
        return super().sendall(*arguments)


class Listener(socket.socket):
    """Its first connection fails; when all have come, and the others have an answer, it ends the server."""

    def serves(self, clients, number, call):
        self.clients, self.number, self.call, self.taken = clients, number, call, 0

    def accept(self):
        if self.taken == len(self.clients):
            if self.bad.failed and select.select(self.clients[1:], [], [], 0)[0]:
                raise Done
            raise BlockingIOError
        connection, peer = super().accept()
        if not self.taken:
            self.bad = connection = Fails(fileno=connection.detach())
            connection.number, connection.call = self.number, self.call
        self.taken += 1
        return connection, peer


def served(server, number, call):
    """Run this server until it has served the others; raises the error that ends it before."""
    with listening(Listener, 3) as (listener, clients):
        for client in clients:
            client.sendall(b"hello\n")
            if server is serve_forever:
                client.shutdown(socket.SHUT_WR)
        listener.serves(clients, number, call)
        with socket.create_connection(listener.getsockname()), suppress(Done):  # so that somebody is always waiting
            server(listener)


@pytest.mark.parametrize("call", ["recv", "send"])
@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.__name__)
def test_the_others_do_not_notice(server, name, call):
    served(server, getattr(errno, name), call)


@pytest.mark.parametrize("call", ["recv", "send"])
@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.__name__)
def test_a_number_given_back_ends_the_server(server, call):
    with pytest.raises(OSError, match="Bad file descriptor"):
        served(server, errno.EBADF, call)


class Refuses:
    def __init__(self, number):
        self.number = number

    def accept(self):
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", sorted(GONE), ids=errno.errorcode.get)
def test_a_client_that_is_gone_before_accept_is_nobody(number):
    assert try_accept(Refuses(number)) is None


@pytest.mark.parametrize("number", sorted(NO_ROOM | {errno.EBADF, errno.EINVAL}), ids=errno.errorcode.get)
def test_no_room_and_a_broken_listener_come_through(number):
    with pytest.raises(OSError) as error:
        try_accept(Refuses(number))
    assert error.value.errno == number


@pytest.mark.parametrize("call", ["recv", "send"])
def test_a_peer_that_answers_no_more_ends_each_of_them(call, dead):
    if call == "recv":
        assert try_recv(dead, 100) == b""
    else:
        conn = Conn(dead)
        conn.outbuf += b"hello\n"
        conn.on_writable()
        assert conn.over and not conn.want_write
    dead.setblocking(True)
    serve_one(dead)
    assert dead.fileno() == -1


@pytest.fixture
def dead():
    """A connection whose peer has not answered for so long that the kernel gave up: the next call says ETIMEDOUT."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        with listener.accept()[0] as sock:
            sock.setblocking(False)
            assert answers_no_more(sock)
            yield sock
