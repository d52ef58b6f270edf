"""References of notebook 05: who waits for which sockets, on poll() and on select()."""

import select
import socket
from typing import Any

from .nonblocking import Conn, accept_or_pause


class PollEngine:
    """Who is waited for, on poll(). One entry for each socket; `data` is any object, and comes back from wait().

    A sock that was closed must be unwatched before the next watch() or wait(): its number may get a new owner.
    """

    def __init__(self) -> None:
        self._poll = select.poll()
        self._numbers = {}  # sock -> its number, which the sock forgets when it is closed
        self._data = {}  # number -> data

    def watch(self, sock: socket.socket, read: bool, write: bool, data: object) -> None:
        """Wait for this sock from now on: to be readable, writable, both or neither. For a sock that is watched: change it."""
        self._poll.register(sock, select.POLLIN * read | select.POLLOUT * write)
        self._numbers[sock] = sock.fileno()
        self._data[sock.fileno()] = data

    def unwatch(self, sock: socket.socket) -> None:
        """Wait for this sock no more. It is watched; it may be closed already."""
        number = self._numbers.pop(sock)
        del self._data[number]
        self._poll.unregister(number)

    def wait(self, seconds: float | None) -> list[tuple[Any, bool, bool, bool]]:
        """Sleep until a sock is ready, at most `seconds` (None: for ever). Return (data, readable, writable, hup) for each.

        readable and writable only where they were asked for; hup always: the peer hung up, or an error waits.
        """
        ready = self._poll.poll(None if seconds is None else seconds * 1000)  # poll() counts milliseconds
        hup = select.POLLHUP | select.POLLERR | select.POLLNVAL  # these come unasked
        return [
            (self._data[number], bool(bits & select.POLLIN), bool(bits & select.POLLOUT), bool(bits & hup))
            for number, bits in ready
        ]


class SelectEngine:
    """Who is waited for, on select(). One entry for each socket; `data` is any object, and comes back from wait().

    A sock that was closed must be unwatched before the next watch() or wait(): its number may get a new owner.
    """

    def __init__(self) -> None:
        self._entries = {}  # sock -> (read, write, data)

    def watch(self, sock: socket.socket, read: bool, write: bool, data: object) -> None:
        """Wait for this sock from now on: to be readable, writable, both or neither. For a sock that is watched: change it."""
        self._entries[sock] = read, write, data

    def unwatch(self, sock: socket.socket) -> None:
        """Wait for this sock no more. It is watched; it may be closed already."""
        del self._entries[sock]

    def wait(self, seconds: float | None) -> list[tuple[Any, bool, bool, bool]]:
        """Sleep until a sock is ready, at most `seconds` (None: for ever). Return (data, readable, writable, hup) for each.

        hup is always False: select() cannot tell. A sock whose peer hung up is readable, or writable, as it was asked for.
        """
        readers = [sock for sock, (read, _, _) in self._entries.items() if read]
        writers = [sock for sock, (_, write, _) in self._entries.items() if write]
        readable, writable, _ = map(set, select.select(readers, writers, [], seconds))
        return [(self._entries[sock][2], sock in readable, sock in writable, False) for sock in readable | writable]


def server(engine: "PollEngine", listener: socket.socket) -> None:
    """Serve all clients on this engine, and sleep while none of them is ready."""
    listener.setblocking(False)  # ready is a hint: the client may be gone before accept() comes to it
    engine.watch(listener, True, False, None)
    pause = 0.0
    while True:
        # wait
        events = engine.wait(pause or None)
        if pause:
            engine.watch(listener, True, False, None)
            pause = 0.0
        for conn, readable, writable, hup in events:
            # accept
            if conn is None:
                sock, pause = accept_or_pause(listener)
                if sock:
                    engine.watch(sock, True, False, Conn(sock))
                if pause:  # no room: its client stays, so the listener would be ready all the time
                    engine.watch(listener, False, False, None)
                continue
            # read
            if conn.want_read and (readable or hup):  # hup: the next recv() tells why
                conn.on_readable()
            # answer
            if conn.want_write and (writable or hup):
                conn.on_writable()
            # let go
            if conn.over:
                engine.unwatch(conn.sock)
                conn.sock.close()
            else:
                engine.watch(conn.sock, conn.want_read, conn.want_write, conn)


EXERCISES = {
    "5.1": (PollEngine,),
    "5.2": (SelectEngine,),
    "5.3": (server,),
}
