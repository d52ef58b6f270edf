"""References of notebook 07: tasks that take turns, waits that are yielded, a loop, HTTP, async."""

import errno
import heapq
import itertools
import socket
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator

from .epolling import EpollEngine
from .nonblocking import try_accept, try_recv


def run(tasks: dict[str, Generator]) -> dict[str, object]:
    """Run the tasks in turn, one step each, until all have ended. Return for each name what its task returned or raised."""
    results = {}
    ready = deque(tasks.items())
    while ready:
        name, task = ready.popleft()
        try:
            next(task)
        except StopIteration as end:
            results[name] = end.value
        except Exception as error:  # it ends this task, and no other
            results[name] = error
        else:
            ready.append((name, task))
    return results


def recv(sock: socket.socket, n: int) -> Generator[tuple, None, bytes]:
    """Let the others have their turn; then return at most n bytes as soon as there are some, b"" when no more will come."""
    while True:
        yield "read", sock  # first, even if bytes are there: a client that sends without end must not keep the others waiting
        if (data := try_recv(sock, n)) is not None:  # readable is a hint (select(2), BUGS)
            return data


def send_all(sock: socket.socket, data: bytes) -> Generator[tuple, None, None]:
    """Send all of data. An error of send(), such as ConnectionResetError, comes through."""
    left = memoryview(data)
    while left:
        try:
            left = left[sock.send(left) :]
        except BlockingIOError:  # the send buffer is full
            yield "write", sock


def accept(listener: socket.socket) -> Generator[tuple, None, socket.socket]:
    """Let the others have their turn; then return the next client's connection, non-blocking."""
    while True:
        yield "read", listener
        if conn := try_accept(listener):
            return conn


def sleep(seconds: float) -> Generator[tuple, None, None]:
    """Let the others go on for so many seconds."""
    yield "sleep", seconds


class Loop:
    """Runs tasks that yield what they wait for: ("read", sock), ("write", sock), ("sleep", seconds); None: just their next turn.

    Where its tasks are: `ready` (a deque), `readers` and `writers` (number of the descriptor -> task), `sleepers` (a heap of
    (moment, count, task)). `names` has the name of each.
    """

    def __init__(self) -> None:
        self.ready = deque()
        self.readers, self.writers = {}, {}
        self.sleepers = []
        self.names = {}
        self._socks = {}  # number -> whose number it was when a task began to wait for it
        self._count = itertools.count()
        self._engine = EpollEngine()

    def spawn(self, task: Generator, name: str | None = None) -> None:
        """Add a task. Also from inside of a task that runs."""
        self.names[task] = name or getattr(task, "__name__", "task")
        self.ready.append(task)

    def run(self) -> None:
        """Run until no task is left. A task that raises ends, its traceback is printed, and the others go on."""
        while self.ready or self._socks or self.sleepers:
            for _ in range(len(self.ready)):  # whoever becomes ready meanwhile comes in the next round, after the sockets
                self._step(self.ready.popleft())
            self._wait()

    def _step(self, task: Generator) -> None:
        try:
            match task.send(None):  # what next() does; a coroutine has no next()
                case None:
                    self.ready.append(task)
                case "sleep", seconds:
                    heapq.heappush(self.sleepers, (time.monotonic() + seconds, next(self._count), task))
                case "read", sock:
                    self._wait_for(sock, task, self.readers)
                case "write", sock:
                    self._wait_for(sock, task, self.writers)
                case other:
                    raise ValueError(f"a task yields ('read', sock), ('write', sock), ('sleep', seconds) or None, not {other!r}")
        except StopIteration:
            del self.names[task]
        except Exception as error:
            error.add_note(f"It has ended the task {self.names.pop(task)}; the others go on.")
            traceback.print_exception(error)

    def _wait_for(self, sock: socket.socket, task: Generator, waiting: dict) -> None:
        number = sock.fileno()
        if self._socks.get(number, sock) is not sock:  # the old one was closed; its task's next call on it will raise EBADF
            self._wake(number, True, True)
        if number in waiting:
            raise RuntimeError("another task waits for this already")
        reads, writes = waiting is self.readers or number in self.readers, waiting is self.writers or number in self.writers
        self._engine.watch(sock, reads, writes, number)
        waiting[number] = task
        self._socks[number] = sock

    def _wake(self, number: int, readable: bool, writable: bool) -> None:
        if readable and number in self.readers:
            self.ready.append(self.readers.pop(number))
        if writable and number in self.writers:
            self.ready.append(self.writers.pop(number))
        if number in self.readers or number in self.writers:
            self._engine.watch(self._socks[number], number in self.readers, number in self.writers, number)
        else:  # watched while nobody waits, it would wake the loop again and again
            self._engine.unwatch(self._socks.pop(number))

    def _wait(self) -> None:
        seconds = None
        if self.ready:
            seconds = 0
        elif self.sleepers:
            seconds = max(0, self.sleepers[0][0] - time.monotonic())
        elif all(sock.fileno() == -1 for sock in self._socks.values()):  # nothing can wake them, so this must
            for number in list(self._socks):
                self._wake(number, True, True)
            return
        seconds = seconds and min(seconds, 86_400)  # the kernel counts milliseconds in an int
        for number, readable, writable, hup in self._engine.wait(seconds):
            self._wake(number, readable or hup, writable or hup)
        while self.sleepers and self.sleepers[0][0] <= time.monotonic():
            self.ready.append(heapq.heappop(self.sleepers)[2])


def http(conn: socket.socket, page: Callable[[str], Generator[object, None, bytes | None]]) -> Generator[object, None, None]:
    """Serve HTTP/1.1 on this connection until the client has finished, then close it.

    `body = yield from page(path)` gives the body of a page as bytes, or None if there is no such page.
    """
    try:
        unread = b""
        while True:
            while b"\r\n\r\n" not in unread:  # the empty line ends a request
                if len(unread) > 65_536 or not (data := (yield from recv(conn, 4096))):
                    return
                unread += data
            head, _, unread = unread.partition(b"\r\n\r\n")
            request, *fields = head.decode("latin-1").split("\r\n")
            asked = [field.lower().removeprefix("connection:") for field in fields if field.lower().startswith("connection:")]
            last = "close" in map(str.strip, ",".join(asked).split(",")) or request.endswith("HTTP/1.0")
            match request.split(" "):
                case ["GET", path, _]:
                    status, body = "200 OK", (yield from page(path))
                    if body is None:
                        status, body = "404 Not Found", b"There is no such page.\n"
                case words:  # it may have a body that we would take for the next request
                    status, body, last = "501 Not Implemented" if len(words) == 3 else "400 Bad Request", b"", True
            said = f"Content-Length: {len(body)}\r\n" + "Connection: close\r\n" * last
            try:
                yield from send_all(conn, f"HTTP/1.1 {status}\r\n{said}\r\n".encode() + body)
            except OSError as error:
                if error.errno == errno.EBADF:  # our own mistake
                    raise
                return  # the client has gone, or no way leads to it
            if last:
                return
            if unread:  # perhaps the next request: the others have their turn first
                yield None
    finally:
        conn.close()


class Wait:
    """Something to await: the task stops here, and the loop gets (event, about), as from a yield in a generator."""

    def __init__(self, event: str, about: socket.socket | float) -> None:
        self.event, self.about = event, about

    def __await__(self) -> Generator[tuple, None, None]:
        yield self.event, self.about


class AsyncSocket:
    """A non-blocking socket whose calls are awaited: `data = await conn.recv(4096)`."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    async def recv(self, n: int) -> bytes:
        """Let the others have their turn; then return at most n bytes as soon as there are some, b"" when no more will come."""
        while True:
            await Wait("read", self.sock)
            if (data := try_recv(self.sock, n)) is not None:
                return data

    async def send_all(self, data: bytes) -> None:
        """Send all of data. An error of send(), such as ConnectionResetError, comes through."""
        left = memoryview(data)
        while left:
            try:
                left = left[self.sock.send(left) :]
            except BlockingIOError:
                await Wait("write", self.sock)

    async def accept(self) -> "AsyncSocket":
        """Let the others have their turn; then return the next client's connection."""
        while True:
            await Wait("read", self.sock)
            if conn := try_accept(self.sock):
                return AsyncSocket(conn)

    def close(self) -> None:
        self.sock.close()


EXERCISES = {
    "7.1": (run,),
    "7.2": (recv, send_all, accept, sleep),
    "7.3": (Loop,),
    "7.4": (http,),
    "7.5": (Wait, AsyncSocket),
}
