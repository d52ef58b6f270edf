"""The server of the first lecture notes: one process, one thread, blocking sockets."""

import socket
import time

from .base import Server
from .connection import ends_connection, pause_after


class BlockingServer(Server):
    """Serves one client from its first byte to its last, then the next one."""

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                # wait, accept: sleeps until a finished handshake is in the accept queue
                connection, peer = listener.accept()
            except OSError as error:
                time.sleep(pause_after(error))  # that client is gone, or there is no room for it yet
            else:
                self.serve_client(connection)

    def serve_client(self, connection: socket.socket) -> None:
        try:
            # read: sleeps until bytes arrive; b"" says that the peer has finished sending
            while data := connection.recv(4096):
                # answer: copies into the send buffer, and sleeps while that is full
                connection.sendall(self.answer(data))
        except OSError as error:
            if not ends_connection(error):
                raise
        # let go: gives the number back and sends the peer our end of the conversation
        connection.close()
