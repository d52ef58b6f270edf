"""The process of clients that ask for one page again and again, each on its own connection."""

import re
import select
import socket
import time

from course_lib.proc import raise_limit

from .child_process import MOST, arguments, orders, tell

_ANSWER = re.compile(
    rb"HTTP/1\.[01] (\d+)[^\r\n]*\r\n(?:[^\r\n]*\r\n)*?content-length: *(\d+)\r\n(?:[^\r\n]*\r\n)*?\r\n", re.IGNORECASE
)
_PATIENCE = 8.0  # seconds for one answer


class Asking:
    """Connections to a server of HTTP/1.1."""

    def __init__(self, address: tuple[str, int], path: str, connections: int) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nHost: {address[0]}\r\n\r\n".encode()
        self._epoll = select.epoll()
        self._clients: dict[int, socket.socket] = {}
        self._came: dict[int, bytes] = {}
        for _ in range(connections):
            client = socket.create_connection(address, _PATIENCE)
            self._clients[client.fileno()] = client
            self._epoll.register(client, select.EPOLLIN)

    def ask(self, seconds: float) -> tuple[int, float]:
        """Let each client ask, and again when it has its answer; for so many seconds, once at least. Answers, and seconds."""
        begin, answered = time.perf_counter(), 0
        for number, client in self._clients.items():
            client.sendall(self._request)
            self._came[number] = b""
        while self._came:
            ready = self._epoll.poll(_PATIENCE)
            if not ready:
                raise TimeoutError(f"{len(self._came)} of {len(self._clients)} clients got no answer within {_PATIENCE:g} s")
            for number, _ in ready:
                client = self._clients[number]
                if not (data := client.recv(65_536)):
                    raise ConnectionError("the server closed a connection before it had answered")
                self._came[number] = came = self._came.get(number, b"") + data
                if not (found := _ANSWER.match(came)):
                    continue
                if found[1] != b"200":
                    raise ValueError(f"the answer has the status {found[1].decode()}, not 200")
                if len(came) < found.end() + int(found[2]):
                    continue
                answered += 1
                del self._came[number]
                if time.perf_counter() - begin < seconds:
                    client.sendall(self._request)
                    self._came[number] = b""
        return answered, time.perf_counter() - begin


def main() -> None:
    address, path, connections = arguments()
    raise_limit(MOST)
    try:
        clients = Asking(tuple(address), path, connections)
        clients.ask(0)
        tell(connected=True)
        for order in orders():
            answered, seconds = clients.ask(order["seconds"])
            tell(answered=answered, seconds=seconds)
    except (OSError, ValueError) as error:
        tell(why=str(error)[:200])
