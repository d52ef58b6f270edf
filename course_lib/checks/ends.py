"""The ends of a connection, as a check handles them."""

import os
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from course_lib.ports import is_queued
from course_lib.proc import descriptor_limit
from course_lib.sandbox import Causes, Wrong, wait_until

LONGEST = 65_536  # bytes that a line may have (exercise 2.2)
TOO_LONG = b"x" * (LONGEST + 5000)  # and no line end
LONG_LINES = (b"x" * 49_999 + b"\n") * 4  # 200,000 bytes

FORGOTTEN = "A socket object that nobody keeps closes its number, too: keep it in a list or dict as long as the client is there."
_TWO_OWNERS = (
    "It was closed before. Has this number two owners, as after os.fdopen(conn.fileno()) or socket.socket(fileno=...)? Then take "
    "conn.makefile('rb'), or os.dup() for a number of its own."
)
# What it says about a server.
CLOSED: Causes = {
    "EBADF in close": _TWO_OWNERS,
    "EBADF in with ": _TWO_OWNERS,
    "EBADF": f"You used a socket after you had closed it: forget it in the same moment. {FORGOTTEN}",
}


def readable(sock: socket.socket, seconds: float = 0.0, event: int = select.POLLIN) -> bool:
    """Wait until it is, at most so long: bytes, the end, a reset, or a client at a listener."""
    poll = select.poll()
    poll.register(sock, event)
    return bool(poll.poll(seconds * 1000))


def writable(sock: socket.socket) -> bool:
    """Has its send buffer room now?"""
    return readable(sock, event=select.POLLOUT)


def accepted(listener: socket.socket, client: socket.socket | int) -> socket.socket:
    """The connection of this client, or of the one with this port, who is connected; a blocking listener."""
    port = client if isinstance(client, int) else client.getsockname()[1]
    conn, peer = listener.accept()
    while peer[1] != port:  # a stranger, who had business with the last owner of this port
        conn.close()
        conn, peer = listener.accept()
    return conn


@contextmanager
def connection(listener: socket.socket, receive_buffer: int | None = None) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection: a client, and the non-blocking socket to it. The listener is non-blocking afterwards."""
    with socket.socket() as client:
        if receive_buffer:  # before connect(): the handshake announces the window
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        listener.setblocking(True)
        client.connect(listener.getsockname())
        conn = accepted(listener, client)
        listener.setblocking(False)
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with conn:
            conn.setblocking(False)
            yield client, conn


def left_as_it_was(who: str, sock: socket.socket, which: str = "the socket that it was given") -> None:
    """Raise Wrong unless it is open and non-blocking, without a time limit; `who` begins the message."""
    if sock.fileno() == -1:
        raise Wrong(f"{who} closed {which}: whoever owns it still needs it.")
    if os.get_blocking(sock.fileno()):
        raise Wrong(f"{who} left {which} blocking: the next call on it may sleep.")
    if sock.gettimeout():
        raise Wrong(f"{who} left {which} with a time limit: then Python waits in poll() for you. It is setblocking(False).")


def fill(sock: socket.socket) -> None:
    """Send until the send buffer is full."""
    with suppress(BlockingIOError):
        while True:
            sock.send(bytes(65_536), socket.MSG_DONTWAIT)


def empty(sock: socket.socket) -> None:
    """Read until nothing is left."""
    with suppress(BlockingIOError):
        while sock.recv(1 << 20, socket.MSG_DONTWAIT):
            pass


def send(client: socket.socket, data: bytes) -> None:
    """Send it all; a connection that the server has cut shows when we read."""
    with suppress(ConnectionError):
        client.sendall(data)


def half_close(client: socket.socket) -> None:
    """Say that no more comes; a connection that the server has cut shows when we read."""
    with suppress(OSError):
        client.shutdown(socket.SHUT_WR)


def reset(client: socket.socket) -> None:
    """Close with a reset instead of a FIN: what a crashed client looks like (socket(7), SO_LINGER)."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def answers_no_more(sock: socket.socket) -> bool:
    """Let the kernel give up the peer of this connection: its next call fails with ETIMEDOUT. Needs a peer that does not read.

    Returns False where the kernel does not give up within 3 s (TCP_USER_TIMEOUT of tcp(7): here a millisecond and one probe).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1)
    waits = select.poll()
    waits.register(sock, select.POLLOUT)
    while True:
        fill(sock)
        ready = waits.poll(3000)
        if not ready or ready[0][1] & select.POLLERR:
            return bool(ready)
        # else the peer's buffer took some more


@contextmanager
def no_free_descriptor() -> Iterator[None]:
    """Inside, the kernel gives out no number any more: all below the limit are in use (getrlimit(2))."""
    lowest_free = os.open("/dev/null", os.O_RDONLY)
    os.close(lowest_free)
    with descriptor_limit(lowest_free):
        yield


@contextmanager
def clients_of(listener: socket.socket, number: int) -> Iterator[list[socket.socket]]:
    """This many clients whose handshakes are complete: they stand in the accept queue."""
    with ExitStack() as clients:
        found = []
        for _ in range(number):
            found.append(clients.enter_context(socket.create_connection(listener.getsockname())))
            if not wait_until(lambda: is_queued(found[-1])):
                raise Wrong("A client connected and did not come into the accept queue of the listener.")
        yield found


def is_closed(got: object) -> bool:
    return isinstance(got, socket.socket) and got.fileno() == -1


def is_connected(sock: socket.socket) -> bool:
    try:
        return bool(sock.getpeername())
    except OSError:  # ENOTCONN
        return False
