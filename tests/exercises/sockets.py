"""What tests share: connected sockets, listeners of a kind with their clients, and tasks in the reference's Loop."""

import contextlib
import io
import socket

from course_lib.solutions.coroutines import Loop

ENDS = (
    "ECONNRESET",
    "EPIPE",
    "ETIMEDOUT",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ENETDOWN",
)  # errors of recv and send that end a connection


@contextlib.contextmanager
def listening(kind, number):
    """A listener of this class, and so many clients of it."""
    with kind() as listener, contextlib.ExitStack() as clients:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        connect = socket.create_connection
        yield listener, [clients.enter_context(connect(listener.getsockname(), timeout=20)) for _ in range(number)]


@contextlib.contextmanager
def pair():
    """Two connected sockets that do not block."""
    one, peer = socket.socketpair()
    with one, peer:
        one.setblocking(False)
        peer.setblocking(False)
        yield one, peer


def in_a_loop(*tasks) -> None:
    loop = Loop()
    for task in tasks:
        loop.spawn(task)
    loop.run()


def told_in_a_loop(*tasks) -> str:
    """What it prints on standard error."""
    with contextlib.redirect_stderr(io.StringIO()) as told:
        in_a_loop(*tasks)
    return told.getvalue()
