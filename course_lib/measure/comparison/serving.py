"""The process in which one of the servers serves."""

import asyncio
import ctypes
import importlib
import select
import socket
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

from course_lib.measure.child_process import MOST, arguments, become, tell
from course_lib.proc import raise_limit
from course_lib.servers import MODELS, AsyncioServer, CoroutineServer, EpollServer, Server
from course_lib.servers.connection import PAUSE, accept, ends_connection

from .peers import C

BACKLOG = 128
SIZE = 4096  # bytes of a read


class Echo(asyncio.Protocol):
    """An echo server as a Protocol: the shortest way that asyncio has."""

    def connection_made(self, transport: Any) -> None:
        self.transport: asyncio.Transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class SmallReads(Echo):
    """The same, with reads of 4 kB."""

    def connection_made(self, transport: Any) -> None:
        transport.max_size = SIZE
        self.transport = transport


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The same with streams."""
    try:
        while data := await reader.read(SIZE):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def echo_in_small_reads(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    transport: Any = writer.transport
    transport.max_size = SIZE
    await echo(reader, writer)


def without_room(serve: Callable, listener: socket.socket) -> None:
    """Serve with a heap that has no room for 256 kB at its end, so that each such read maps memory and gives it back.

    With room it costs as little as a small read. Whether there is any depends on all that the process did before
    (mallopt(3): M_TOP_PAD, M_MMAP_THRESHOLD). Without this line, chance would decide.
    """
    ctypes.CDLL(None).malloc_trim(0)
    serve(listener)


def protocol(listener: socket.socket, kind: type[asyncio.Protocol] = Echo, new_loop: Callable | None = None) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(for_ever(runner.get_loop().create_server(kind, sock=listener, backlog=BACKLOG)))


def streams(listener: socket.socket, client: Callable = echo, new_loop: Callable | None = None) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(for_ever(asyncio.start_server(client, sock=listener, backlog=BACKLOG)))


async def for_ever(opening: Coroutine[Any, Any, asyncio.Server]) -> None:
    await (await opening).serve_forever()


def uvloop(serve: Callable, listener: socket.socket) -> None:
    serve(listener, new_loop=importlib.import_module("uvloop").new_event_loop)


# What the structure costs, and the bare ones: what the language and the model cost when nothing else is done


def inlined_loop(listener: socket.socket) -> None:
    """What EpollServer does, in one function."""
    listener.setblocking(False)
    connections: dict[int, socket.socket] = {}
    unsent: dict[int, memoryview] = {}
    epoll, listening = select.epoll(), listener.fileno()
    epoll.register(listening, select.EPOLLIN)
    pause = None
    while True:
        ready = epoll.poll(pause)
        if pause:
            epoll.modify(listening, select.EPOLLIN)
            pause = None
        for number, events in ready:
            if number == listening:
                connection, no_room = accept(listener)
                if no_room:
                    epoll.modify(listening, 0)
                    pause = PAUSE
                elif connection:
                    connections[connection.fileno()] = connection
                    epoll.register(connection, select.EPOLLIN)
                continue
            connection, sent = connections[number], 0
            answer: bytes | memoryview | None = unsent.get(number, b"") if unsent else b""
            try:
                answer = answer or connection.recv(SIZE) or None
                if answer:
                    sent = connection.send(answer)
            except BlockingIOError:
                pass
            except OSError as error:
                if not ends_connection(error):
                    raise
                answer = None
            if answer is None:
                epoll.unregister(number)
                unsent.pop(number, None)
                connections.pop(number).close()
            elif sent < len(answer):
                epoll.modify(number, select.EPOLLOUT)
                unsent[number] = memoryview(answer)[sent:]
            elif number in unsent:
                epoll.modify(number, select.EPOLLIN)
                del unsent[number]


def bare_loop(listener: socket.socket) -> None:
    connections: dict[int, socket.socket] = {}
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    while True:
        for number, events in epoll.poll():
            if number in connections:
                connection = connections[number]
                connection.send(connection.recv(SIZE))
            else:
                connection, peer = listener.accept()
                connections[connection.fileno()] = connection
                epoll.register(connection, select.EPOLLIN)


def bare_generators(listener: socket.socket) -> None:
    def serve(connection: socket.socket) -> Generator[None, None, None]:
        while True:
            yield
            connection.send(connection.recv(SIZE))

    _bare(listener, serve)


def nested_generators(listener: socket.socket) -> None:
    def recv(connection: socket.socket) -> Generator[None, None, bytes]:
        yield
        return connection.recv(SIZE)

    def send_all(connection: socket.socket, data: bytes) -> Generator[None, None, None]:
        connection.send(data)
        return
        yield

    def serve(connection: socket.socket) -> Generator[None, None, None]:
        while True:
            yield from send_all(connection, (yield from recv(connection)))

    _bare(listener, serve)


def bare_natives(listener: socket.socket) -> None:
    class Readable:
        def __await__(self) -> Generator[None, None, None]:
            yield

    readable = Readable()

    async def serve(connection: socket.socket) -> None:
        while True:
            await readable
            connection.send(connection.recv(SIZE))

    _bare(listener, serve)


def _bare(listener: socket.socket, serve: Callable) -> None:
    tasks: dict[int, Generator | Coroutine] = {}
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    while True:
        for number, events in epoll.poll():
            if number in tasks:
                tasks[number].send(None)
            else:
                connection, peer = listener.accept()
                task = tasks[connection.fileno()] = serve(connection)
                task.send(None)
                epoll.register(connection, select.EPOLLIN)


_COURSE: dict[str, Callable[[], Server]] = {
    **{name: model for name, model in MODELS.items() if name != "asyncio"},
    "epoll, edges": partial(EpollServer, edge_triggered=True),
    "coroutine, async def": partial(CoroutineServer, native=True),
    "asyncio in a thread": AsyncioServer,
    "asyncio in a thread, 4 kB": partial(AsyncioServer, read_size=SIZE),
}
_OTHERS: dict[str, Callable[[socket.socket], None]] = {
    "asyncio protocol": partial(without_room, protocol),
    "asyncio protocol, 4 kB": partial(protocol, kind=SmallReads),
    "asyncio streams": partial(without_room, streams),
    "asyncio streams, 4 kB": partial(streams, client=echo_in_small_reads),
    "uvloop protocol": partial(uvloop, protocol),
    "uvloop streams": partial(uvloop, streams),
    "epoll, inlined": inlined_loop,
    "bare epoll loop": bare_loop,
    "bare generators": bare_generators,
    "bare generators, nested": nested_generators,
    "bare async def": bare_natives,
}


def main() -> None:
    """Serve, and say on which port."""
    name, program = arguments()
    raise_limit(MOST)
    if name in _COURSE:
        server = _COURSE[name]().start()
        tell(port=server.address[1])
        server.wait()
        return
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    tell(port=listener.getsockname()[1])
    if name == C:
        listener.set_inheritable(True)
        become(program, listener.fileno())
    _OTHERS[name](listener)
