"""The server on asyncio, the event loop of Python's standard library: a coroutine for each client."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

from .base import BACKLOG, Answer, Server, echo
from .connection import GONE, NO_ROOM, ends_connection


class AsyncioServer(Server):
    """Serves each client in a coroutine, with asyncio's streams.

    read_size  how many bytes asyncio asks the kernel for at a time. None: its own choice, 256 kB; to allocate so large a
               buffer for each read costs more than all else in a small request. 4096: as the other servers of the course
    """

    def __init__(self, answer: Answer = echo, port: int = 0, read_size: int | None = None) -> None:
        super().__init__(answer, port)
        self.read_size = read_size

    def serve(self, listener: socket.socket) -> None:
        # wait: asyncio sleeps in epoll_wait while no coroutine is ready
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:  # not uvloop's, where a cell has installed it
            runner.run(self.accept_clients(listener))

    async def accept_clients(self, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._tell)
        self._over = self._loop.create_future()
        if self._stopping:  # before there was a loop to wake
            return
        # accept: asyncio takes all that is in the accept queue; without a free number it pauses for a second
        server = await asyncio.start_server(self.serve_client, sock=listener, backlog=BACKLOG)
        try:
            await self._over
        finally:
            server.close()

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.read_size:
            setattr(writer.transport, "max_size", self.read_size)  # what asyncio's selector loop asks for at once; not documented
        try:
            # read: takes what asyncio has received, all of it: while some is left, read() does not pause, and the others
            # would wait; b"" says that the peer has finished sending
            while data := await reader.read(65536):
                # answer: what the send buffer takes goes at once; with more than 64 kB left, waits until 16 kB are
                writer.write(self.answer(data))
                await writer.drain()
        except OSError as error:
            if not ends_connection(error):
                raise
        finally:
            # let go: after the last byte, gives the number back and sends the peer our end of the conversation
            writer.close()

    def _tell(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What asyncio would log ends the server, as an error in `answer` does in the others; what accept() meets, passes."""
        error = context.get("exception") or RuntimeError(context["message"])
        if getattr(error, "errno", None) not in NO_ROOM | GONE and not self._over.done():
            self._over.set_exception(error)

    def _wake(self) -> None:
        with suppress(AttributeError, RuntimeError):  # its loop does not run yet, or no longer
            self._loop.call_soon_threadsafe(self._over.cancel)
