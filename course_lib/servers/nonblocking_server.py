"""The server that never sleeps: one thread, non-blocking sockets, and every one of them asked again and again."""

import errno
import socket

from .base import Server


class NonBlockingServer(Server):
    """Serves all clients in turns: it asks each socket whether there is something to do, without end."""

    def serve(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        unsent: dict[socket.socket, memoryview] = {}  # what is left of the answer of each connection
        while True:
            # wait: nobody sleeps here; a call that finds nothing to do comes back at once, with EAGAIN
            try:
                # accept: takes one finished handshake out of the accept queue
                connection, peer = listener.accept()
            except BlockingIOError:
                pass  # the queue is empty
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE):
                    raise
                # no number is free: the client stays in the queue until a connection is let go
            else:
                connection.setblocking(False)  # Linux does not hand O_NONBLOCK down from the listener
                unsent[connection] = memoryview(b"")
            for connection in list(unsent):
                try:
                    if not unsent[connection]:
                        # read: takes what has arrived; b"" says that the peer has finished sending
                        data = connection.recv(4096)
                        unsent[connection] = memoryview(self.answer(data)) if data else None
                    if unsent[connection]:
                        # answer: the send buffer takes what it has room for; the rest is for a later round
                        sent = connection.send(unsent[connection])
                        unsent[connection] = unsent[connection][sent:]
                except BlockingIOError:
                    pass  # nothing has arrived, or the send buffer is full
                except ConnectionError:
                    unsent[connection] = None  # the peer cut the connection
                if unsent[connection] is None:
                    # let go: gives the number back and sends the peer our end of the conversation
                    del unsent[connection]
                    connection.close()
