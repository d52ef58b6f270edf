"""The server of the first lecture notes: one process, one thread, blocking sockets."""

import socket

from .base import Server


class BlockingServer(Server):
    """Serves one client from its first byte to its last, then the next one."""

    def serve(self, listener: socket.socket) -> None:
        while True:
            # wait, accept: sleeps until a finished handshake is in the accept queue
            connection, peer = listener.accept()
            try:
                # read: sleeps until bytes arrive; b"" says that the peer has finished sending
                while data := connection.recv(4096):
                    # answer: copies into the send buffer, and sleeps while that is full
                    connection.sendall(self.answer(data))
            except ConnectionError:
                pass  # the peer cut the connection: its loss, the next client still waits
            # let go: gives the number back and sends the peer our end of the conversation
            connection.close()
