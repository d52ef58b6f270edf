"""References of notebook 06: an engine on epoll, reading all there is, what provokes four bugs, a stop."""

import select
import socket
from contextlib import suppress
from typing import Any

from .nonblocking import try_recv
from .suspects import RunningServer


class EpollEngine:
    """Who is waited for, on epoll, level-triggered. One entry for each socket; `data` is any object, and comes back from wait().

    A sock that was closed must be unwatched before the next watch() or wait(): its number may get a new owner.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()  # its interest list stays in the kernel, from one wait to the next
        self._numbers = {}  # sock -> its number, which the sock forgets when it is closed
        self._entries = {}  # number -> (mask, data)

    def watch(self, sock: socket.socket, read: bool, write: bool, data: object) -> None:
        """Wait for this sock from now on: to be readable, writable, both or neither. For a sock that is watched: change it."""
        tell = self._epoll.modify if sock in self._numbers else self._epoll.register
        mask = select.EPOLLIN * read | select.EPOLLOUT * write
        tell(sock, mask)
        self._numbers[sock] = sock.fileno()
        self._entries[sock.fileno()] = mask, data

    def unwatch(self, sock: socket.socket) -> None:
        """Wait for this sock no more. It is watched; it may be closed already."""
        number = self._numbers.pop(sock)
        del self._entries[number]
        if sock.fileno() == number:  # with close() the kernel has taken it out by itself (epoll(7))
            self._epoll.unregister(number)

    def wait(self, seconds: float | None) -> list[tuple[Any, bool, bool, bool]]:
        """Sleep until a sock is ready, at most `seconds` (None: for ever). Return (data, readable, writable, hup) for each.

        readable and writable only where they were asked for; hup always: the peer hung up, or an error waits.
        """
        ready = self._epoll.poll(seconds, max(1, len(self._entries)))  # by default at most 1023 come at once
        if any(number not in self._entries for number, _ in ready):
            # closed before unwatch(), while a copy of the descriptor lives: this entry goes only with the whole list (epoll(7))
            self._epoll.close()
            self._epoll = select.epoll()
            for number, (mask, _) in self._entries.items():
                with suppress(OSError):  # closed too
                    self._epoll.register(number, mask)
        hup = select.EPOLLHUP | select.EPOLLERR  # these come unasked
        return [
            (self._entries[number][1], bool(bits & select.EPOLLIN), bool(bits & select.EPOLLOUT), bool(bits & hup))
            for number, bits in ready
            if number in self._entries
        ]


def drain(sock: socket.socket) -> tuple[bytes, bool]:
    """Read all that has come. Return it, and whether the peer has finished; a reset counts as finished."""
    data = bytearray()
    while True:
        piece = try_recv(sock, 65536)
        if not piece:  # None: nothing is left (EAGAIN); b"": nothing more will come
            return bytes(data), piece == b""
        data += piece


def provoke_a(server: RunningServer) -> str:
    """Be the clients that make server_a fail. Return the name of its bug."""
    client = server.connect()
    client.sendall(b"job\n")
    client.recv(4)  # now the process has been started, with copies of all descriptors
    client.close()
    return "zombie"


def provoke_b(server: RunningServer) -> str:
    """Be the clients that make server_b fail. Return the name of its bug."""
    for _ in range(13):
        server.connect()
    return "no descriptor"


def provoke_c(server: RunningServer) -> str:
    """Be the clients that make server_c fail. Return the name of its bug."""
    clients = server.connect(), server.connect()
    for client in clients:
        client.sendall(b"hello\n")
        client.recv(6)
    with server.paused():
        for client in clients:
            client.close()
    return "stale"


def provoke_d(server: RunningServer) -> str:
    """Be the clients that make server_d fail. Return the name of its bug."""
    client = server.connect()
    lines = (b"x" * 60_000 + b"\n") * 4
    client.sendall(lines)
    with server.paused():  # its answers have filled the buffers by now
        pass
    client.makefile("rb").read(len(lines))
    return "writable"


class Stopper:
    """Ends a loop that sleeps in engine.wait(): after stop(), wait() returns this Stopper as `data` of an entry."""

    def __init__(self, engine: "EpollEngine") -> None:
        self._engine = engine
        self._end, self._other_end = socket.socketpair()
        self._other_end.setblocking(False)
        engine.watch(self._end, True, False, self)

    def stop(self) -> None:
        """Wake the loop. From any thread, any number of times; never waits."""
        try:
            self._other_end.send(b"x")  # this makes the watched end readable
        except BlockingIOError:
            pass  # full: enough bytes lie there to wake it

    def close(self) -> None:
        """Take out of the engine what was put in, and close it. For the loop, when it has ended."""
        self._engine.unwatch(self._end)
        self._end.close()
        self._other_end.close()


EXERCISES = {
    "6.1": (EpollEngine,),
    "6.2": (drain,),
    "6.3": (provoke_a, provoke_b, provoke_c, provoke_d),
    "6.4": (Stopper,),
}
