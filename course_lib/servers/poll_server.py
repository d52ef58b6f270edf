"""The server that poll() wakes: the same as with select(), but without the wall at descriptor 1024."""

import select
import socket

from .base import Server
from .connection import PAUSE, Connection, accept


class PollServer(Server):
    """Serves whoever is ready, and sleeps while nobody is. Each wait hands the kernel all sockets, and it walks through them."""

    needs = "poll"

    def serve(self, listener: socket.socket) -> None:
        listener.setblocking(False)  # ready is a hint: the client may be gone by then (accept(2))
        connections: dict[int, Connection] = {}
        no_room = False
        poll = select.poll()
        poll.register(listener, select.POLLIN)  # into a list of this object, in our memory
        while True:
            # wait: the kernel gets the whole list and walks through it; the thread sleeps until somebody is ready
            ready = dict(poll.poll(1000 * PAUSE if no_room else None))
            if ready.pop(listener.fileno(), no_room):
                # accept: takes one finished handshake out of the accept queue
                sock, no_room = accept(listener)
                poll.modify(listener, 0 if no_room else select.POLLIN)
                if sock:
                    connections[sock.fileno()] = Connection(sock)
                    poll.register(sock, select.POLLIN)
            for number in ready:
                connection = connections[number]
                # read, answer: as far as the kernel does not say EAGAIN
                connection.go_on(self.answer)
                poll.modify(number, connection.interest)
                if connection.over:
                    # let go: gives the number back and sends the peer our end of the conversation
                    poll.unregister(number)
                    connections.pop(number).sock.close()
