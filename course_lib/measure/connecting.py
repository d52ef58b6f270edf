"""Many connections from one process: where the ports of one client address are used up, they come from the next."""

import errno
import socket

from .child_process import MOST

_IP_BIND_ADDRESS_NO_PORT = 24  # ip(7): the port is chosen by connect(), which may use one again towards another address


class Source:
    """The client addresses 127.0.0.1 to 127.0.0.`addresses`, at most `each` connections to a server from one of them.

    One address has some 28,000 ports, and connect() chooses among them.
    """

    def __init__(self, server: tuple[str, int], addresses: int = 254, each: int = MOST) -> None:
        self._server, self._addresses, self._each = server, addresses, each
        self._number, self._from_it = 1, 0  # the last number of our address, and how many connections it has

    def connect(self, patience: float) -> socket.socket:
        """A connection whose calls wait so many seconds. Raises OSError; EADDRNOTAVAIL when no address has a free port."""
        while True:
            if self._from_it >= self._each and self._number < self._addresses:
                self._next()
            client = socket.socket()
            client.settimeout(patience)
            try:
                if self._number > 1:
                    client.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                    client.bind((f"127.0.0.{self._number}", 0))
                client.connect(self._server)
            except OSError as error:
                client.close()
                if error.errno != errno.EADDRNOTAVAIL or self._number == self._addresses:
                    raise
                self._next()  # its ports are used up: others have them, or they wait in TIME_WAIT
            else:
                self._from_it += 1
                return client

    def _next(self) -> None:
        self._number, self._from_it = self._number + 1, 0
