"""The server of coroutines: it reads like the blocking one, a task a client, and all tasks run in one thread."""

import socket
from collections.abc import Generator

from .base import Answer, Server, echo
from .connection import ends_connection
from .scheduler import Loop, Task, Wait, accept, recv, send_all


class CoroutineServer(Server):
    """Serves each client in a task of its own. Where a task would sleep, it yields instead, and the loop runs another one.

    native  tasks are coroutines (`async def`, `await`) instead of generators (`yield from`); the loop is the same
    """

    needs = "epoll"

    def __init__(self, answer: Answer = echo, port: int = 0, native: bool = False) -> None:
        super().__init__(answer, port)
        self.native = native
        self.loop = Loop(on_error=self._end)

    def serve(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self.loop.spawn((self.accept_natively if self.native else self.accept_clients)(listener))
        # wait: the loop sleeps in epoll_wait while no task is ready
        self.loop.run()

    # Generators

    def accept_clients(self, listener: socket.socket) -> Generator[Wait, None, None]:
        while True:
            # accept: takes one finished handshake out of the accept queue
            connection, peer = yield from accept(listener)
            self.loop.spawn(self.serve_client(connection))

    def serve_client(self, connection: socket.socket) -> Generator[Wait, None, None]:
        try:
            # read: takes what has arrived; b"" says that the peer has finished sending
            while data := (yield from recv(connection, 4096)):
                # answer: copies into the send buffer, and waits while that is full
                yield from send_all(connection, self.answer(data))
        except OSError as error:
            if not ends_connection(error):
                raise
        finally:
            # let go: gives the number back and sends the peer our end of the conversation
            connection.close()

    # The same as coroutines

    async def accept_natively(self, listener: socket.socket) -> None:
        while True:
            connection, peer = await accept(listener)
            self.loop.spawn(self.serve_natively(connection))

    async def serve_natively(self, connection: socket.socket) -> None:
        try:
            while data := await recv(connection, 4096):
                await send_all(connection, self.answer(data))
        except OSError as error:
            if not ends_connection(error):
                raise
        finally:
            connection.close()

    def _end(self, task: Task) -> None:
        """An error in `answer` ends the server, as it does in the others."""
        assert task.error
        raise task.error
