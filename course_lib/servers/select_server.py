"""The server that sleeps for all its clients at once: one thread, and one select() for all sockets.

It ends when a connection gets the number 1024: select() takes smaller ones only (select(2), BUGS).
"""

import select
import socket

from .base import Server
from .connection import PAUSE, Connection, accept


class SelectServer(Server):
    """Serves whoever is ready, and sleeps while nobody is. Each wait hands the kernel all sockets, and it walks through them."""

    def serve(self, listener: socket.socket) -> None:
        listener.setblocking(False)  # ready is a hint: the client may be gone by then (accept(2))
        connections: dict[int, Connection] = {}
        no_room = False
        while True:
            reading = [number for number, connection in connections.items() if not connection.unsent]
            writing = [number for number, connection in connections.items() if connection.unsent]
            if not no_room:
                reading.append(listener.fileno())
            # wait: the kernel walks through both lists; the thread sleeps until somebody is ready
            readable, writable, _ = select.select(reading, writing, [], PAUSE if no_room else None)
            ready = dict.fromkeys(readable + writable, True)
            if ready.pop(listener.fileno(), no_room):
                # accept: takes one finished handshake out of the accept queue
                sock, no_room = accept(listener)
                if sock:
                    connections[sock.fileno()] = Connection(sock)
            for number in ready:
                connection = connections[number]
                # read, answer: as far as the kernel does not say EAGAIN
                connection.go_on(self.answer)
                if connection.over:
                    # let go: gives the number back and sends the peer our end of the conversation
                    connections.pop(number).sock.close()
