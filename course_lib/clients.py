"""Clients for a server under observation: plain sockets that never make their owner wait."""

import errno
import socket
import struct

_KEPT = 200  # bytes of the last answer that are remembered
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, no time (socket(7): SO_LINGER)


class Client:
    """One TCP client with a name. No method waits: what cannot be done now is done as far as it goes.

    state     "connecting", "connected", "half-closed" (it has finished sending), "closed", "reset" or an error in words
    received  how many bytes came back; `last` holds the end of them
    """

    def __init__(self, address: tuple[str, int], name: str) -> None:
        self.name = name
        self.state = "connecting"
        self.received = 0
        self.last = b""
        self.socket = socket.socket()
        self.socket.setblocking(False)
        refused = self.socket.connect_ex(address)
        if refused not in (0, errno.EINPROGRESS):
            self._over(OSError(refused, ""))
        else:
            self.address = self.socket.getsockname()
            self.look()

    @property
    def open(self) -> bool:
        """True while its descriptor is open."""
        return self.socket.fileno() >= 0

    def look(self) -> None:
        """Take what has arrived, and notice that the connection was made, finished or lost."""
        if not self.open:
            return
        if self.state == "connecting":
            error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                return self._over(OSError(error, ""))
            try:
                self.socket.getpeername()
            except OSError:
                return
            self.state = "connected"
        try:
            while data := self.socket.recv(65536):
                self.received += len(data)
                self.last = (self.last + data)[-_KEPT:]
        except BlockingIOError:
            return
        except OSError as error:
            return self._over(error)
        self.state = "finished by the server"

    def send(self, data: bytes) -> int:
        """Send as much of `data` as the kernel takes now; returns that number of bytes (send(2))."""
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._over(error)
            return 0

    def half_close(self) -> None:
        """Say that nothing more will be sent, and go on receiving (shutdown(2): SHUT_WR)."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
            self.state = "half-closed"
        except OSError as error:
            self._over(error)

    def close(self) -> None:
        """Close the connection in the ordinary way."""
        self.socket.close()
        self.state = "closed"

    def reset(self) -> None:
        """Cut the connection: the peer gets a reset instead of an end (socket(7): SO_LINGER with no time)."""
        if self.open:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.socket.close()
        self.state = "reset"

    def _over(self, error: OSError) -> None:
        self.socket.close()
        self.state = {
            errno.ECONNREFUSED: "refused: nobody listens", errno.ECONNRESET: "reset by the server",
            errno.EPIPE: "finished by the server", errno.EBADF: "closed",
        }.get(error.errno, errno.errorcode.get(error.errno, "lost"))
