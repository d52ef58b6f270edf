"""Each way in which the course serves many clients, by a name: what a test of all servers runs, and visits."""

import socket
import threading
from contextlib import suppress
from functools import partial

from course_lib.servers import (
    AsyncioServer,
    CoroutineServer,
    EpollServer,
    NonBlockingServer,
    PollServer,
    SelectServer,
    Server,
    ThreadedServer,
)

SERVE_ALL = {
    "nonblocking": NonBlockingServer,
    "select": SelectServer,
    "poll": PollServer,
    "epoll": EpollServer,
    "epoll on edges": partial(EpollServer, edge_triggered=True),
    "generators": CoroutineServer,
    "async def": partial(CoroutineServer, native=True),
    "asyncio": AsyncioServer,
    "threads": ThreadedServer,
}


def connect(server: Server) -> socket.socket:
    return socket.create_connection(server.address, timeout=60)


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
