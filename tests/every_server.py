"""Each way in which the course serves many clients, by a name, one of a learner's own, and how tests visit a server."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from course_lib.kernel import wait_until
from course_lib.servers import MODELS, CoroutineServer, EpollServer, Server

EVERY = MODELS | {
    "epoll on edges": partial(EpollServer, edge_triggered=True),
    "async def": partial(CoroutineServer, native=True),
}
SERVE_ALL = {name: model for name, model in EVERY.items() if name != "blocking"}


def connect(server: Server) -> socket.socket:
    return socket.create_connection(server.address, timeout=60)


def ask(client: socket.socket, text: bytes = b"hello") -> bytes:
    """What comes back for this text."""
    client.sendall(text)
    return client.recv(4096)


def answers(server: Server, text: bytes = b"hello") -> bool:
    """Does it serve a client that comes, asks, and goes?"""
    with connect(server) as client:
        return ask(client, text) == server.answer(text)


def visit(server: Server) -> None:
    """One client that comes, asks, and goes; afterwards the server has no connection."""
    assert answers(server)
    assert wait_until(lambda: len(server._open_sockets()) == 1)


def asleep(server: Server, *calls: str) -> bool:
    """Does it come to sleep in one of these calls? On its way there it makes others, and would be held in front of one."""
    return wait_until(lambda: server.doing().call in calls, 30)


def serving(serve: Callable[[socket.socket], object]) -> Server:
    """A server of a learner's own, which serves by `serve(listener)`."""
    return type("Mine", (Server,), {"serve": lambda self, listener: serve(listener)})()


class OwnThreadsServer(Server):
    """A thread for each client, of which nobody but `serve` knows."""

    def serve(self, listener):
        while True:
            threading.Thread(target=self.echo, args=listener.accept()).start()

    def echo(self, conn, peer):
        with suppress(OSError):  # its connection is closed where the server is stopped meanwhile
            while data := conn.recv(4096):
                conn.sendall(self.answer(data))
        conn.close()
