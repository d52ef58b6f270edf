"""A scheduler: tasks that say what they wait for, and a loop that runs those who need not wait.

A task is a generator, or a coroutine of `async def`. Where it has to wait, it yields what for, and others run meanwhile:

    ("read", sock)      until a recv or accept on it would not sleep; `sock` is anything with fileno(), or a number
    ("write", sock)     until a send on it would not sleep
    ("sleep", seconds)  so long
    None                until the others who are ready had their turn

recv, send_all, accept and sleep, at the end, do this for non-blocking sockets. A generator calls them with `yield from`,
an `async def` with `await`; the loop does not know which of the two it runs.

A task closes only sockets that no other waits on: the kernel forgets a closed descriptor, and wakes nobody (epoll(7)).
"""

from __future__ import annotations  # its types are names only: the module can be imported where there is no epoll

import heapq
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from itertools import count
from types import coroutine
from typing import Any

from .connection import pause_after
from .interest import Interest

Code = Generator[Any, None, Any] | Coroutine[Any, None, Any]  # what runs as a task
Wait = tuple[str, Any]  # what it yields
LONGEST = 86_400  # seconds; epoll_wait counts milliseconds in an int


class Task:
    """A generator or coroutine under way. `wait` is what it waits for, as it was yielded; None when it waits for nothing.

    result  what it returned
    error   what it raised, or None
    """

    __slots__ = ("name", "code", "wait", "number", "result", "error")

    def __init__(self, code: Code, name: str | None) -> None:
        self.code, self.name = code, name or getattr(code, "__name__", "task")
        self.wait: Any = None
        self.number: int | None = None  # the descriptor that it waits for
        self.result: Any = None
        self.error: Exception | None = None


class Loop:
    """Runs tasks by turns, in one thread. An exception ends the task that raised it; the others go on.

    on_error  called with each Task that raised. Without it, run() raises all of it at its end, as an ExceptionGroup.
    """

    def __init__(self, on_error: Callable[[Task], object] | None = None) -> None:
        self.ready: deque[Task] = deque()  # who can run, in the order of their turns; the first one is running
        self._interest = Interest(self.ready)
        self.readers, self.writers = self._interest.readers, self._interest.writers  # descriptor -> who waits for it
        self.sleepers: list[tuple[float, int, Task]] = []  # a heap of (time.monotonic() of its end, a count, who)
        self.failed: list[Task] = []  # who raised in this run, or in the last one
        self.on_error = on_error or self.failed.append
        self._count = count()

    def spawn(self, task: Code, name: str | None = None) -> Task:
        """Add a task: before run(), or from a task that runs (not from another thread). Its turn comes in the next round."""
        if not hasattr(task, "send"):
            raise TypeError(f"a task is what a generator function returns when it is called, not {type(task).__name__}")
        self.ready.append(Task(task, name))
        return self.ready[-1]

    def run(self) -> None:
        """Run until every task has ended. When on_error or an interrupt ends it before, the tasks that are left are closed."""
        ready, sleepers = self.ready, self.sleepers
        self.failed.clear()
        self._interest.open()
        try:
            while ready or self.readers or self.writers or sleepers:
                # Those who are ready now. Who gets ready meanwhile has a turn in the next round, after the sockets.
                for _ in range(len(ready)):
                    self._step(ready[0])
                    ready.popleft()
                # The kernel lets the thread sleep until a descriptor is ready, or the first sleeper is due.
                seconds = self._patience()
                if self.readers or self.writers or seconds:
                    self._interest.poll(seconds)
                while sleepers and sleepers[0][0] <= time.monotonic():
                    ready.append(heapq.heappop(sleepers)[2])
        finally:
            self._close()
        if self.failed:
            raise ExceptionGroup("tasks failed", [task.error for task in self.failed if task.error])

    def _step(self, task: Task) -> None:
        """Run a task until it waits again, or ends."""
        try:
            wait = task.code.send(None) if task.error is None else task.code.throw(task.error)
        except StopIteration as end:
            task.result, task.error = end.value, None
            self._leave(task)
        except Exception as error:
            task.error = error
            self._leave(task)
            self.on_error(task)
        else:
            if task.number is not None and wait == task.wait and wait[1].fileno() == task.number:
                return  # the same again: what the kernel was told stays as it is
            self._leave(task)
            try:
                self._wait(task, wait)
                task.error = None
            except Exception as error:
                task.error = error  # it will be raised where the task yielded
                self.ready.append(task)

    def _wait(self, task: Task, wait: Any) -> None:
        """Enter a task among those who wait."""
        match wait:
            case None:
                self.ready.append(task)
            case ("sleep", seconds):
                heapq.heappush(self.sleepers, (time.monotonic() + seconds, next(self._count), task))
            case ("read" | "write" as what, sock):
                self._interest.enter(task, what, sock)
                # A number may name another file when it comes again; a list is never equal to what is yielded then.
                task.wait = [what, sock] if isinstance(sock, int) else wait
            case _:
                raise TypeError(f'a task yields ("read", sock), ("write", sock), ("sleep", seconds) or None, not {wait!r}')

    def _leave(self, task: Task) -> None:
        if task.number is not None:
            self._interest.leave(task)
        task.wait = None

    def _patience(self) -> float | None:
        """How long the kernel may let the thread sleep: seconds, or None for as long as nobody is ready."""
        if self.ready:
            return 0
        return min(max(0, self.sleepers[0][0] - time.monotonic()), LONGEST) if self.sleepers else None

    def _close(self) -> None:
        self._interest.close()
        left = [*self.ready, *self.readers.values(), *self.writers.values(), *(task for _, _, task in self.sleepers)]
        for waiting in (self.ready, self.readers, self.writers, self.sleepers):
            waiting.clear()
        for task in left:
            task.code.close()


# What tasks call. A call that would sleep is left to the loop. @coroutine: `await` takes it as `yield from` does (PEP 492).


@coroutine
def recv(sock: socket.socket, size: int) -> Generator[Wait, None, bytes]:
    """Return what has arrived, at most `size` bytes; b"" when the peer has finished sending (recv(2))."""
    while True:
        yield "read", sock  # first: after an answer, the next request is seldom there already
        try:
            return sock.recv(size)
        except BlockingIOError:
            pass  # ready is a hint


@coroutine
def send_all(sock: socket.socket, data: bytes) -> Generator[Wait, None, None]:
    """Send all of `data`. Waits only while the send buffer is full (send(2))."""
    unsent: bytes | memoryview = data
    while True:
        try:
            sent = sock.send(unsent)
        except BlockingIOError:
            sent = 0
        if sent == len(unsent):
            return
        unsent = memoryview(unsent)[sent:]
        yield "write", sock


@coroutine
def accept(listener: socket.socket) -> Generator[Wait, None, tuple[socket.socket, tuple[str, int]]]:
    """Return the next connection, non-blocking, and its peer. Without a free number the client stays in the queue (accept(2))."""
    while True:
        yield "read", listener
        try:
            connection, peer = listener.accept()
        except BlockingIOError:
            pass  # the client is gone
        except OSError as error:
            if seconds := pause_after(error):
                yield "sleep", seconds  # the listener stays readable: without a pause, this would use all of a core
        else:
            connection.setblocking(False)  # Linux does not hand O_NONBLOCK down from the listener
            return connection, peer


@coroutine
def sleep(seconds: float) -> Generator[Wait, None, None]:
    """Let others run for at least so many seconds."""
    yield "sleep", seconds
