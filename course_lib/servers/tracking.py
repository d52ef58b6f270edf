"""The socket class that the base hands to a server, so that it can be stopped and observed from outside."""

import socket
from collections.abc import Callable


class TrackedSocket(socket.socket):
    """A plain socket, but for one thing: the base hears of each connection that it accepts.

    It adds no attributes, so that its layout in memory is that of `socket.socket`.
    """

    __slots__ = ()
    on_accept: Callable[[socket.socket], None]

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        number, peer = self._accept()
        connection = type(self)(self.family, self.type, self.proto, fileno=number)
        # As in the standard library: a listener with a timeout still gives blocking connections.
        if socket.getdefaulttimeout() is None and self.gettimeout():
            connection.setblocking(True)
        self.on_accept(connection)
        return connection, peer


def tracked_class(on_accept: Callable[[socket.socket], None]) -> type[TrackedSocket]:
    """A TrackedSocket class of its own for one server: its listener and connections report to `on_accept`."""
    return type("TrackedSocket", (TrackedSocket,), {"__slots__": (), "on_accept": staticmethod(on_accept)})
