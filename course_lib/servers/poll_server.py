"""The server that poll() wakes: the same as with select(), but without the wall at descriptor 1024."""

import errno
import select
import socket

from .base import Server

PAUSE = 100  # milliseconds


class PollServer(Server):
    """Serves whoever is ready, and sleeps while nobody is. Each wait walks through all its sockets."""

    needs = "poll"

    def serve(self, listener: socket.socket) -> None:
        listener.setblocking(False)  # ready is a hint: the client may be gone by then (accept(2))
        connections: dict[int, socket.socket] = {}
        unsent: dict[int, memoryview] = {}  # what is left of an answer, while a send buffer is full
        door, pause = listener.fileno(), None
        poll = select.poll()
        poll.register(door, select.POLLIN)
        while True:
            # wait: the kernel gets the whole list and walks through it; the thread sleeps if none is ready
            ready = poll.poll(pause)
            if pause:
                poll.register(door, select.POLLIN)
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
                        poll.unregister(door)  # no number is free: a pause
                        pause = PAUSE
                        continue
                    connection.setblocking(False)  # Linux does not hand O_NONBLOCK down from the listener
                    connections[connection.fileno()] = connection
                    poll.register(connection, select.POLLIN)
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
                    # let go: gives the number back and sends the peer our end of the conversation
                    poll.unregister(number)
                    unsent.pop(number, None)
                    connections.pop(number).close()
                elif sent < len(answer):
                    poll.modify(number, select.POLLOUT)  # until there is room, nothing more is read from it
                    unsent[number] = memoryview(answer)[sent:]
                elif number in unsent:
                    poll.modify(number, select.POLLIN)
                    del unsent[number]
