"""The server that epoll wakes: the kernel keeps the list of its sockets, and hands over those that are ready."""

from __future__ import annotations  # its types are names only: the module can be imported where there is no epoll

import errno
import select
import socket

from .base import Answer, Server, echo

PAUSE = 0.1  # seconds


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
            (self._on_edges if self.edge_triggered else self._on_levels)(epoll, listener)

    def _on_levels(self, epoll: select.epoll, listener: socket.socket) -> None:
        connections: dict[int, socket.socket] = {}
        unsent: dict[int, memoryview] = {}  # what is left of an answer, while a send buffer is full
        door, pause = listener.fileno(), None
        epoll.register(door, select.EPOLLIN)  # into the interest list, which stays in the kernel
        while True:
            # wait: sleeps while the ready list is empty; hands over what is in it
            ready = epoll.poll(pause)
            if pause:
                epoll.register(door, select.EPOLLIN)
                pause = None
            for number, events in ready:
                if number == door:
                    try:
                        # accept: takes one finished handshake out of the accept queue
                        connection, peer = listener.accept()
                    except BlockingIOError:
                        continue  # it is gone
                    except OSError as error:
                        if error.errno not in (errno.EMFILE, errno.ENFILE):
                            raise
                        epoll.unregister(door)  # no number is free: a pause
                        pause = PAUSE
                        continue
                    connection.setblocking(False)  # Linux does not hand O_NONBLOCK down from the listener
                    connections[connection.fileno()] = connection
                    epoll.register(connection, select.EPOLLIN)
                    continue
                connection, sent = connections[number], 0
                answer = unsent.get(number, b"") if unsent else b""
                try:
                    if not answer:
                        # read: takes what has arrived; b"" says that the peer has finished sending
                        data = connection.recv(4096)
                        answer = self.answer(data) if data else None
                    if answer:
                        # answer: the send buffer takes what it has room for
                        sent = connection.send(answer)
                except BlockingIOError:
                    pass  # it was not ready after all, or the send buffer is full
                except ConnectionError:
                    answer = None  # the peer cut the connection
                if answer is None:
                    # let go: out of the interest list before the number is given back (epoll(7))
                    epoll.unregister(number)
                    unsent.pop(number, None)
                    connections.pop(number).close()
                elif sent < len(answer):
                    epoll.modify(number, select.EPOLLOUT)  # until there is room, no more is read
                    unsent[number] = memoryview(answer)[sent:]
                elif number in unsent:
                    epoll.modify(number, select.EPOLLIN)
                    del unsent[number]

    def _on_edges(self, epoll: select.epoll, listener: socket.socket) -> None:
        connections: dict[int, socket.socket] = {}
        unsent: dict[int, memoryview] = {}
        door, pause = listener.fileno(), False
        going: set[int] = set()  # who had an event and has not said EAGAIN since
        epoll.register(door, select.EPOLLIN | select.EPOLLET)
        while True:
            # wait: sleeps only when everybody has said EAGAIN
            going.update(number for number, events in epoll.poll(0 if going else PAUSE if pause else None))
            if pause:
                going.add(door)
                pause = False
            for number in list(going):
                if number == door:
                    try:
                        # accept: one in each round, until the queue is empty
                        connection, peer = listener.accept()
                    except BlockingIOError:
                        going.discard(door)
                        continue
                    except OSError as error:
                        if error.errno not in (errno.EMFILE, errno.ENFILE):
                            raise
                        going.discard(door)  # no number is free: a pause
                        pause = True
                        continue
                    connection.setblocking(False)
                    connections[connection.fileno()] = connection
                    epoll.register(connection, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
                    continue
                connection, answer, sent = connections[number], unsent.pop(number, b""), 0
                try:
                    if not answer:
                        # read: a piece in each round, so that nobody waits for a long talker
                        data = connection.recv(4096)
                        answer = self.answer(data) if data else None
                    if answer:
                        # answer: what the send buffer has room for
                        sent = connection.send(answer)
                except BlockingIOError:
                    going.discard(number)  # the next edge is room in the buffer, or new bytes
                except ConnectionError:
                    answer = None
                if answer is None:
                    # let go
                    epoll.unregister(number)
                    going.discard(number)
                    connections.pop(number).close()
                elif sent < len(answer):
                    unsent[number] = memoryview(answer)[sent:]
