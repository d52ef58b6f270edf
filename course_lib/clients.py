"""NamedClients for a server under observation: plain sockets that never make their owner wait."""

import errno
import os
import socket
import struct
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

NAMES = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy")
_KEPT = 200  # bytes of the last answer that are remembered
_AT_ONCE, _SLOWLY = 1 << 20, 1024  # bytes that one look reads
_OF_ANOTHER_TYPE = (errno.EPROTOTYPE, errno.ECONNREFUSED)  # what a Unix listener of another type says: by path, by name
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, no time (socket(7): SO_LINGER)


Address = tuple[str, int] | str  # (host, port), or the path of a Unix socket; of an abstract one its name behind an @ (unix(7))


def address_of(sock: socket.socket) -> Address:
    """The address of a socket as a table of descriptors shows it."""
    name = sock.getsockname()
    if isinstance(name, bytes):
        return "@" + os.fsdecode(name[1:])
    return name[:2] if isinstance(name, tuple) else name


class Client:
    """One client with a name, of a TCP or a Unix listener. No method waits: what cannot be done now is done as far as it goes.

    state     "connecting", "connected", "half-closed" (it has finished sending), "closed", "reset" or an error in words
    sent      how many bytes its kernel has taken
    received  how many bytes came back; `last` holds the end of them
    unsent    bytes that the kernel has not taken yet; each look() sends on
    slow      when True, a look() reads little: the server's send buffer fills up
    """

    def __init__(self, address: Address, name: str) -> None:
        self.name = name
        self.state = "connecting"
        self.sent = 0
        self.received = 0
        self.last = b""
        self.unsent = bytearray()
        self.slow = False
        self._alone = threading.RLock()  # a cell and the thread of a panel may use it at the same time
        refused = self._connect(address)
        if refused in _OF_ANOTHER_TYPE and self.unix:
            self.socket.close()
            refused = self._connect(address, socket.SOCK_SEQPACKET)
        if refused not in (0, errno.EINPROGRESS):
            self._over(OSError(refused, ""))
        else:
            self.address = address_of(self.socket)
            self.look()

    def _connect(self, address: Address, type: int = socket.SOCK_STREAM) -> int:
        """Begin to connect; what connect(2) says."""
        self.socket = socket.socket(_family(address), type)
        self.socket.setblocking(False)
        if isinstance(address, str):
            self.socket.bind("")  # the kernel finds a name, by which its peer can be known
            address = "\0" + address[1:] if address.startswith("@") else address
        return self.socket.connect_ex(address)

    @property
    def unix(self) -> bool:
        """True for the client of a Unix socket."""
        return self.socket.family == socket.AF_UNIX

    @property
    def open(self) -> bool:
        """True while its descriptor is open."""
        return self.socket.fileno() >= 0

    def look(self) -> None:
        """Take what has arrived, send on, and notice that the connection was made, finished or lost."""
        with self._alone:
            self._look()

    def _look(self) -> None:
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
        self._send_on()
        left = _SLOWLY if self.slow else _AT_ONCE
        with self._without_waiting():
            while left > 0 and self.open:
                data = self.socket.recv(min(left, 65536))
                if not data:
                    self.state = "finished by the server"
                    return
                left -= len(data)
                self.received += len(data)
                self.last = (self.last + data)[-_KEPT:]

    def send(self, data: bytes) -> None:
        """Send `data`: now what the kernel takes, the rest with later looks (send(2))."""
        with self._alone:
            self.unsent += data
            self._send_on()

    def _send_on(self) -> None:
        with self._without_waiting():
            while self.unsent and self.open:
                taken = self.socket.send(self.unsent)
                self.sent += taken
                del self.unsent[:taken]

    @contextmanager
    def _without_waiting(self) -> Iterator[None]:
        """As far as it goes at once; an error is the end of the connection."""
        try:
            yield
        except BlockingIOError:
            pass
        except OSError as error:
            self._over(error)

    def half_close(self) -> None:
        """Say that nothing more will be sent, not even what the kernel has not taken yet; go on receiving (shutdown(2): SHUT_WR)."""
        with self._alone, self._without_waiting():
            self.unsent.clear()
            self.socket.shutdown(socket.SHUT_WR)
            self.state = "half-closed"

    def close(self) -> None:
        """Close the connection in the ordinary way."""
        with self._alone:
            self.socket.close()
            self.state = "closed"

    def reset(self) -> None:
        """Cut the connection: the peer gets a reset instead of an end (socket(7): SO_LINGER with no time)."""
        with self._alone:
            if self.open and not self.unix:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.socket.close()
            self.state = "closed: a Unix socket has no reset" if self.unix else "reset"

    def _over(self, error: OSError) -> None:
        self.socket.close()
        self.unsent.clear()
        self.state = {
            errno.ECONNREFUSED: "refused: nobody listens",
            errno.ECONNRESET: "reset by the server",
            errno.EPIPE: "finished by the server",
            errno.EBADF: "closed",
            errno.EAGAIN: "refused: the accept queue is full",
        }.get(error.errno or 0, errno.errorcode.get(error.errno or 0, "lost"))


def _family(address: Address) -> socket.AddressFamily:
    if isinstance(address, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


class NamedClients:
    """The clients that were connected to one server or listener, each with a name that panels show."""

    def __init__(self) -> None:
        self.by_name: dict[str, Client] = {}
        self.labels: dict[Address, str] = {}
        self._made = 0

    def connect(self, address: Address) -> Client:
        """Connect one more client, and forget all but the last few that ended."""
        for name in [name for name, client in self.by_name.items() if not client.open][:-6]:
            self.labels.pop(getattr(self.by_name.pop(name), "address", ""), None)
        name = NAMES[self._made] if self._made < len(NAMES) else f"client {self._made + 1}"
        self._made += 1
        client = self.by_name[name] = Client(address, name)
        if client.open:
            self.labels[client.address] = name
        return client

    def look(self) -> None:
        """Let every client take what has arrived."""
        for client in list(self.by_name.values()):
            client.look()

    def close(self) -> None:
        """Close every client that is still open."""
        for client in list(self.by_name.values()):
            if client.open:
                client.close()

    def name_of(self, peer: Address | None) -> str | None:
        """The name of the client with this address, or None."""
        if isinstance(peer, tuple) and peer[0].startswith("::ffff:"):
            peer = peer[0][7:], peer[1]  # an IPv4 client of an IPv6 listener (ipv6(7))
        return self.labels.get(peer) if peer else None


_known: weakref.WeakKeyDictionary[object, NamedClients] = weakref.WeakKeyDictionary()


def clients_of(thing: object) -> NamedClients:
    """The clients of a server or socket: the same one for every panel on it. Clients of servers that have stopped are closed."""
    for server, clients in list(_known.items()):
        with suppress(Exception):  # one of somebody else's making does not tell
            if server is not thing and getattr(server, "running", True) is False:
                clients.close()
    try:
        return _known.setdefault(thing, NamedClients())
    except Exception:  # a number, an epoll …: nothing can be remembered for it
        return NamedClients()


def crowd(server: Any, count: int = 20) -> list[Client]:
    """Connect `count` clients to a server (or to the address of anything that has one); panels on it show them by name."""
    return [clients_of(server).connect(server.address) for _ in range(count)]
