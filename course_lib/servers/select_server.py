"""The server that sleeps for all its clients at once: one thread, and one select() for all sockets.

It ends when a connection gets the number 1024: select() takes smaller ones only (select(2), BUGS).
"""

import errno
import select
import socket

from .base import Server

PAUSE = 0.1  # seconds


class SelectServer(Server):
    """Serves whoever is ready, and sleeps while nobody is."""

    def serve(self, listener: socket.socket) -> None:
        listener.setblocking(False)  # ready is a hint: the client may be gone by then (accept(2))
        unsent: dict[socket.socket, memoryview] = {}  # what is left of the answer of each connection
        pause = None  # how long select() may sleep, when no number is free for the next client
        while True:
            reading = [sock for sock in unsent if not unsent[sock]]
            writing = [sock for sock in unsent if unsent[sock]]
            if pause is None:
                reading.append(listener)
            # wait: the kernel walks through both lists; the thread sleeps until somebody is ready
            readable, writable, _ = select.select(reading, writing, [], pause)
            pause = None
            if listener in readable:
                readable.remove(listener)
                try:
                    # accept: takes one finished handshake out of the accept queue
                    connection, peer = listener.accept()
                except BlockingIOError:
                    pass  # it is gone
                except OSError as error:
                    if error.errno not in (errno.EMFILE, errno.ENFILE):
                        raise
                    pause = PAUSE  # no number is free: the client stays in the queue for a moment
                else:
                    connection.setblocking(False)  # Linux does not hand O_NONBLOCK down from the listener
                    unsent[connection] = memoryview(b"")
            for sock in readable + writable:
                try:
                    if not unsent[sock]:
                        # read: takes what has arrived; b"" says that the peer has finished sending
                        data = sock.recv(4096)
                        unsent[sock] = memoryview(self.answer(data)) if data else None
                    if unsent[sock]:
                        # answer: the send buffer takes what it has room for; the rest waits
                        sent = sock.send(unsent[sock])
                        unsent[sock] = unsent[sock][sent:]
                except BlockingIOError:
                    pass  # it was not ready after all, or the send buffer is full
                except ConnectionError:
                    unsent[sock] = None  # the peer cut the connection
                if unsent[sock] is None:
                    # let go: gives the number back and sends the peer our end of the conversation
                    del unsent[sock]
                    sock.close()
