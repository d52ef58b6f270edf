"""The server of threads: the blocking one, once for each client."""

import socket
import threading
import time

from .base import Answer, Server, echo, shut_down
from .connection import PAUSE, ends_connection, pause_after


class ThreadedServer(Server):
    """Serves each client in a thread of its own, which sleeps while its client is silent."""

    def __init__(self, answer: Answer = echo, port: int = 0) -> None:
        super().__init__(answer, port)
        self._clients: dict[threading.Thread, socket.socket] = {}
        self._failed: BaseException | None = None

    def serve(self, listener: socket.socket) -> None:
        self._failed = None
        try:
            while True:
                try:
                    # wait, accept: sleeps until a finished handshake is in the accept queue
                    connection, peer = listener.accept()
                except OSError as error:
                    time.sleep(pause_after(error))  # that client is gone, or there is no room for it yet
                else:
                    self._begin(connection, listener)
        except OSError:
            if self._failed:
                raise self._failed from None
            raise
        finally:
            self._end_clients()

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

    # Its threads

    def _begin(self, connection: socket.socket, listener: socket.socket) -> None:
        name = threading.current_thread().name
        client = threading.Thread(target=self._run_client, args=(connection, listener), name=name, daemon=True)
        self._clients[client] = connection
        try:
            client.start()
        except RuntimeError:  # no more threads (pthread_create(3): EAGAIN): this client is let go
            del self._clients[client]
            connection.close()
            time.sleep(PAUSE)

    def _run_client(self, connection: socket.socket, listener: socket.socket) -> None:
        try:
            self.serve_client(connection)
        except BaseException as error:
            self._failed = error  # an error in `answer` ends the server, as it does in the others
            shut_down(listener)
        finally:
            del self._clients[threading.current_thread()]

    def _end_clients(self) -> None:
        for client, connection in list(self._clients.items()):
            shut_down(connection)
            client.join()

    def _threads(self) -> list[threading.Thread | None]:
        return [*super()._threads(), *self._clients]
