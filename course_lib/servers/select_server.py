"""The server that sleeps for all its clients at once: one thread, and one select() for all sockets."""

import errno
import select
import socket

from .base import Server

PAUSE = 0.1  # seconds


class SelectServer(Server):
    """Serves whoever is ready, and sleeps while nobody is. It ends at descriptor 1024, which select() does not take."""

    def serve(self, listener: socket.socket) -> None:
        listener.setblocking(False)  # ready is a hint: the client may be gone before accept() comes to it
        reading, writing = {listener}, set()  # who waits for bytes, and who waits for room in its send buffer
        unsent: dict[socket.socket, memoryview] = {}  # what is left of the answer of each connection
        while True:
            # wait: the kernel walks through all of them; when none is ready, it lets the thread sleep until one is
            readable, writable, _ = select.select(reading, writing, [], None if listener in reading else PAUSE)
            reading.add(listener)
            for sock in readable + writable:
                if sock is listener:
                    try:
                        # accept: takes one finished handshake out of the accept queue
                        connection, peer = listener.accept()
                    except BlockingIOError:
                        continue  # it is gone
                    except OSError as error:
                        if error.errno not in (errno.EMFILE, errno.ENFILE):
                            raise
                        reading.remove(listener)  # no number is free, and it would be readable for ever: a pause
                        continue
                    connection.setblocking(False)  # Linux does not hand O_NONBLOCK down from the listener
                    reading.add(connection)
                    unsent[connection] = memoryview(b"")
                    continue
                try:
                    if sock in reading:
                        # read: takes what has arrived; b"" says that the peer has finished sending
                        data = sock.recv(4096)
                        unsent[sock] = memoryview(self.answer(data)) if data else None
                    if unsent[sock]:
                        # answer: the send buffer takes what it has room for; the rest waits for more room
                        unsent[sock] = unsent[sock][sock.send(unsent[sock]) :]
                except BlockingIOError:
                    pass  # it was not ready after all, or the send buffer is full
                except ConnectionError:
                    unsent[sock] = None  # the peer cut the connection
                reading.discard(sock)
                writing.discard(sock)
                if unsent[sock] is None:
                    # let go: gives the number back and sends the peer our end of the conversation
                    del unsent[sock]
                    sock.close()
                else:
                    (writing if unsent[sock] else reading).add(sock)
