"""The server that never sleeps: one thread, non-blocking sockets, and every one of them asked again and again."""

import socket

from .base import Server
from .connection import Connection, accept


class NonBlockingServer(Server):
    """Serves all clients in turns: it asks each socket whether there is something to do, without end."""

    def serve(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        connections: list[Connection] = []
        while True:
            # wait: nobody sleeps here; a call that finds nothing to do comes back at once, with EAGAIN
            # accept: takes one finished handshake out of the accept queue
            sock, no_room = accept(listener)
            if sock:
                connections.append(Connection(sock))
            for connection in list(connections):
                # read, answer: as far as the kernel does not say EAGAIN
                connection.go_on(self.answer)
                if connection.over:
                    # let go: gives the number back and sends the peer our end of the conversation
                    connections.remove(connection)
                    connection.sock.close()
