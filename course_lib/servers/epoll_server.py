"""The server that epoll wakes: the kernel keeps the list of its sockets, and hands over those that are ready."""

from __future__ import annotations  # its types are names only: the module can be imported where there is no epoll

import select
import socket

from .base import Answer, Server, echo
from .connection import PAUSE, Connection, accept


class EpollServer(Server):
    """Serves whoever is ready, and sleeps while nobody is. A wait costs nothing for those who are idle.

    edge_triggered  hear of each change once (EPOLLET), not of a state as long as it lasts (epoll(7))
    """

    needs = "epoll"

    def __init__(self, answer: Answer = echo, port: int = 0, edge_triggered: bool = False) -> None:
        super().__init__(answer, port)
        self.edge_triggered = edge_triggered

    def serve(self, listener: socket.socket) -> None:
        listener.setblocking(False)  # ready is a hint: the client may be gone by then (accept(2))
        with select.epoll() as epoll:
            (self.serve_edges if self.edge_triggered else self.serve_levels)(epoll, listener)

    def serve_levels(self, epoll: select.epoll, listener: socket.socket) -> None:
        connections: dict[int, Connection] = {}
        no_room = False
        epoll.register(listener, select.EPOLLIN)  # into the interest list, which stays in the kernel
        while True:
            # wait: sleeps while the ready list is empty; hands over what is in it
            ready = dict(epoll.poll(PAUSE if no_room else None))
            if ready.pop(listener.fileno(), no_room):
                # accept: takes one finished handshake out of the accept queue
                paused = no_room
                sock, no_room = accept(listener)
                if no_room != paused:  # a pause begins, or ends
                    epoll.modify(listener, 0 if no_room else select.EPOLLIN)
                if sock:
                    connections[sock.fileno()] = Connection(sock)
                    epoll.register(sock, select.EPOLLIN)
            for number in ready:
                connection = connections[number]
                interest = connection.interest
                # read, answer: as far as the kernel does not say EAGAIN
                connection.go_on(self.answer)
                if connection.over:
                    # let go: out of the interest list before the number is given back (epoll(7))
                    epoll.unregister(number)
                    connections.pop(number).sock.close()
                elif connection.interest != interest:
                    epoll.modify(number, connection.interest)  # a system call: only when it has changed

    def serve_edges(self, epoll: select.epoll, listener: socket.socket) -> None:
        connections: dict[int, Connection] = {}
        no_room = False
        going: set[int] = set()  # who had an edge and has not said EAGAIN since
        epoll.register(listener, select.EPOLLIN | select.EPOLLET)
        while True:
            # wait: sleeps only when everybody has said EAGAIN
            ready = epoll.poll(0 if going else PAUSE if no_room else None)
            going.update(number for number, events in ready)
            if no_room or listener.fileno() in going:
                # accept: one in each round, until the queue is empty
                sock, no_room = accept(listener)
                going.discard(listener.fileno())
                if sock:
                    going.add(listener.fileno())
                    connections[sock.fileno()] = Connection(sock)
                    epoll.register(sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
            for number in going - {listener.fileno()}:
                # read, answer: one piece in each round, so that nobody waits for a long talker
                if not connections[number].go_on(self.answer):
                    going.discard(number)  # the next edge is room in the send buffer, or new bytes
                elif connections[number].over:
                    # let go: out of the interest list before the number is given back (epoll(7))
                    epoll.unregister(number)
                    going.discard(number)
                    connections.pop(number).sock.close()
