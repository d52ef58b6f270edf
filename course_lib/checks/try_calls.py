"""Check of exercise 3.1: accept() and recv() that do not wait."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from course_lib.ports import is_queued
from course_lib.proc import descriptor_limit, sockets
from course_lib.sandbox import Attempt, Talk, Wrong, a, wait_until

from .ends import answers_no_more, left_as_it_was, readable, reset
from .ends import connection as both_ends

_IDLE_CALLS = 2000  # a few milliseconds of work, unless something in the call waits


def check_try(attempt: Attempt) -> None:
    told = attempt.ask(_use_try, attempt.listen(), causes=_CAUSES)
    if told["hides"]:
        attempt.note(
            "on a socket that you have closed, try_recv raises no error: it hides a bug of your own (EBADF). Catch less."
        )


_LOST = (
    "Nothing more will come, so return b'', as for a client that has finished. The error has many names: catch BlockingIOError first, "
    "then OSError."
)
_CAUSES = {
    "BlockingIOError": "{type}{line}: EAGAIN is the kernel's way to say that no client is waiting, or that nothing has come yet. This "
    "is an answer: catch it and return None.",
    "ECONNRESET EPIPE": f"{{type}}{{line}}: the client has sent a reset. {_LOST}",
    "ETIMEDOUT": f"{{type}}{{line}}: the client answers no more. {_LOST}",
}


def _use_try(talk: Talk, learner: tuple[Callable, Callable], listener: socket.socket) -> None:
    try_accept, try_recv = learner
    listener.setblocking(False)
    _use_try_accept(talk, try_accept, listener)
    _use_try_recv(talk, try_recv, listener)


def _use_try_accept(talk: Talk, try_accept: Callable, listener: socket.socket) -> None:
    _nobody_waits(talk, try_accept, listener)
    _two_wait(talk, try_accept, listener)
    _out_of_descriptors(talk, try_accept, listener)


def _nobody_waits(talk: Talk, try_accept: Callable, listener: socket.socket) -> None:
    talk.step("No client is waiting, and try_accept(listener) did not return within 1 s")
    got = try_accept(listener)
    if got is not None:
        raise Wrong(f"No client is waiting, and try_accept returned {a(got)}: return None.")
    left_as_it_was("try_accept", listener)
    talk.step(f"{_IDLE_CALLS} calls of try_accept with no client waiting took over 1 s: something in it waits")
    for _ in range(_IDLE_CALLS):
        try_accept(listener)
    talk.good("try_accept: None when no client is waiting, and it does not wait for one")


def _two_wait(talk: Talk, try_accept: Callable, listener: socket.socket) -> None:
    talk.step("A client is waiting, and try_accept(listener) did not return within 1 s")
    with _clients(listener, 2) as clients:
        before = set(sockets())
        got = [try_accept(listener), try_accept(listener), try_accept(listener)]
        for connection in got[:2]:
            _is_connection(connection)
        if got[2] is not None:
            raise Wrong(f"Two clients were waiting and both were taken; the third call returned {a(got[2])}, not None.")
        try:
            taken = [connection.getpeername() for connection in got[:2]]
        except OSError:  # ENOTCONN
            raise Wrong("try_accept returned a socket that is not connected: return the one that accept() gives.") from None
        if taken != [client.getsockname() for client in clients]:
            raise Wrong("Two clients were waiting; two calls of try_accept must give a connection each, in the order they came.")
        left = len(set(sockets()) - before) - 2
        if left > 0:
            raise Wrong(f"try_accept left {left} more open than the sockets that it returned.")
        if os.get_blocking(got[0].fileno()):
            raise Wrong(
                "The accepted socket is blocking: on Linux it does not inherit O_NONBLOCK from the listener (accept(2)). "
                "Set it: connection.setblocking(False)."
            )
        left_as_it_was("try_accept", got[0], "the connection")
        for connection in got[:2]:
            connection.close()
    talk.good("try_accept: a non-blocking connection for each client")


def _out_of_descriptors(talk: Talk, try_accept: Callable, listener: socket.socket) -> None:
    talk.step("All descriptors are used up, and try_accept(listener) did not return within 1 s")
    with _clients(listener, 1):
        try:
            with _no_free_descriptor():
                got = try_accept(listener)
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
        else:
            raise Wrong(
                f"All descriptors were used up and a client was waiting: accept() raised EMFILE, and try_accept returned {a(got)}"
                + (', which says "nobody there"' if got is None else "")
                + ". Catch BlockingIOError only, and let other errors through (accept(2))."
            )
        connection = try_accept(listener)
        _is_connection(connection)
        connection.close()
    talk.good("try_accept: out of descriptors is an error and comes through")


def _use_try_recv(talk: Talk, try_recv: Callable, listener: socket.socket) -> None:
    with both_ends(listener) as (client, connection):
        _nothing_yet(talk, try_recv, connection)
        _bytes_have_come(talk, try_recv, client, connection)
        _half_closes(talk, try_recv, client, connection)
    _is_lost(talk, try_recv, listener)
    talk.step("The socket is closed, and try_recv(sock, 100) did not return within 1 s")
    try:
        try_recv(connection, 100)
    except OSError:
        talk.tell(hides=False)
    else:
        talk.tell(hides=True)


def _nothing_yet(talk: Talk, try_recv: Callable, connection: socket.socket) -> None:
    talk.step("Nothing has come yet, and try_recv(sock, 100) did not return within 1 s")
    got = try_recv(connection, 100)
    if got == b"":
        raise Wrong(
            "Nothing has come yet, and try_recv returned b'': so an idle client is taken for one that left. None and b'' are "
            "different answers."
        )
    if got is not None:
        raise Wrong(f"Nothing has come yet, and try_recv returned {a(got)}: return None.")
    left_as_it_was("try_recv", connection)
    talk.step(f"{_IDLE_CALLS} calls of try_recv with nothing to read took over 1 s: something in it waits")
    for _ in range(_IDLE_CALLS):
        try_recv(connection, 100)
    talk.good("try_recv: None when nothing has come yet, and it does not wait for it")


def _bytes_have_come(talk: Talk, try_recv: Callable, client: socket.socket, connection: socket.socket) -> None:
    talk.step("Bytes have come, and try_recv(sock, size) did not return within 1 s")
    client.sendall(b"hello")
    readable(connection, 1.0)
    for size, expected in (2, b"he"), (100, b"llo"):
        got = try_recv(connection, size)
        if got is not None and type(got) is not bytes:
            raise Wrong(f"Bytes had come, and try_recv returned {a(got)}: return what recv() gave.")
        if got is not None and len(got) > size:
            raise Wrong(f"try_recv(sock, {size}) returned {len(got)} bytes: hand `size` on to recv().")
        if got == b"hello":
            raise Wrong("b'hello' had come and its first two bytes were read; try_recv gave them again: no MSG_PEEK.")
        if got != expected:
            before = " and its first two bytes were read" if expected == b"llo" else ""
            raise Wrong(f"b'hello' had come{before}; try_recv(sock, {size}) returned {got!r}, not {expected!r}.")
    if try_recv(connection, 100) is not None:
        raise Wrong("All bytes were read and the client is still there: that is None, not yet.")
    talk.good("try_recv: what has come, at most `size` bytes")


def _half_closes(talk: Talk, try_recv: Callable, client: socket.socket, connection: socket.socket) -> None:
    talk.step("The client has half-closed, and try_recv(sock, 100) did not return within 1 s")
    client.sendall(b"bye")
    client.shutdown(socket.SHUT_WR)
    readable(connection, 1.0)
    got = [try_recv(connection, 100), *(_finished(try_recv, connection) for _ in range(2))]
    if got[0] != b"bye":
        raise Wrong(f"The client sent b'bye' and finished; try_recv returned {got[0]!r} first, not b'bye'.")
    if got[1:] != [b"", b""]:
        raise Wrong(
            f"The client has finished, and try_recv returned {got[1]!r}, not b'': recv() gives b'' for this, again and again "
            "(recv(2)). None would say that more may come. `if not data` cannot tell them apart."
        )
    talk.good("try_recv: b'' when the client has finished")


def _is_lost(talk: Talk, try_recv: Callable, listener: socket.socket) -> None:
    with both_ends(listener) as (client, connection):
        talk.step("The client has sent a reset, and try_recv(sock, 100) did not return within 1 s")
        reset(client)
        readable(connection, 1.0)
        got = try_recv(connection, 100)
        if got != b"":
            raise Wrong(
                f"The client has sent a reset, and try_recv returned {got!r}: nothing more will ever come, so return b''. "
                "Catch BlockingIOError alone for None: `except OSError` takes in ConnectionResetError as well."
            )
    with both_ends(listener) as (client, connection):
        talk.step("The client answers no more, and try_recv(sock, 100) did not return within 4 s", 4.0)
        if answers_no_more(connection) and (got := try_recv(connection, 100)) != b"":
            raise Wrong(
                f"The client answers no more, so recv() raised TimeoutError (ETIMEDOUT, tcp(7)), and try_recv returned {got!r}: "
                "nothing more will ever come, so return b''."
            )
    talk.good("try_recv: a reset counts as finished, and so does a client that answers no more")


def _finished(try_recv: Callable, connection: socket.socket) -> object:
    readable(connection, 1.0)  # the end counts as readable
    got = try_recv(connection, 100)
    if connection.fileno() == -1:
        raise Wrong("The client has finished sending, and try_recv closed the socket: the client still reads. Only return b''.")
    return got


def _is_connection(got: object) -> None:
    if got is None:
        raise Wrong("A client was waiting, and try_accept returned None.")
    if isinstance(got, tuple):
        raise Wrong("try_accept returned the pair (connection, address) that accept() gives: return the connection alone.")
    if not isinstance(got, socket.socket):
        raise Wrong(f"A client was waiting, and try_accept returned {a(got)}: return the connection.")
    if got.fileno() == -1:
        raise Wrong("try_accept returned a closed socket: the caller needs it open.")


@contextmanager
def _no_free_descriptor() -> Iterator[None]:
    """Inside, the kernel gives out no number any more: all below the limit are in use (getrlimit(2))."""
    lowest_free = os.open("/dev/null", os.O_RDONLY)
    os.close(lowest_free)
    with descriptor_limit(lowest_free):
        yield


@contextmanager
def _clients(listener: socket.socket, number: int) -> Iterator[list[socket.socket]]:
    """This many clients whose handshakes are complete: they stand in the accept queue."""
    with ExitStack() as clients:
        found = []
        for _ in range(number):
            found.append(clients.enter_context(socket.create_connection(listener.getsockname())))
            if not wait_until(lambda: is_queued(found[-1])):
                raise Wrong("A client connected and did not come into the accept queue of the listener.")
        yield found


CHECKS = {"3.1": check_try}
