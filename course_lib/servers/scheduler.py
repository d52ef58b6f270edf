"""A scheduler of one screen: tasks that say what they wait for, and a loop that runs those who need not wait.

A task is a generator, or a coroutine of `async def`. Where it has to wait, it yields what for, and others run meanwhile:

    ("read", sock)      until a recv or accept on it would not sleep; `sock` is anything with fileno(), or a number
    ("write", sock)     until a send on it would not sleep
    ("sleep", seconds)  so long
    None                until the others who are ready had their turn

recv, send_all, accept and sleep, at the end, do this for non-blocking sockets. A generator calls them with `yield from`,
an `async def` with `await`; the loop does not know which of the two it runs.

A task closes only sockets that no other waits on: the kernel forgets a closed descriptor, and wakes nobody (epoll(7)).
"""

import errno
import heapq
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from itertools import count
from types import coroutine

PAUSE = 0.1  # seconds
LONGEST = 86_400  # seconds; epoll_wait counts milliseconds in an int

# In numbers (sys/epoll.h), so that the module can be imported where there is no epoll.
_OVER = 0x10 | 0x8  # EPOLLHUP | EPOLLERR: the kernel tells these unasked; the recv or send that follows says which
_READABLE, _WRITABLE = 0x1 | _OVER, 0x4 | _OVER  # EPOLLIN, EPOLLOUT


class Task:
    """A generator or coroutine under way. `wait` is what it waits for, as it was yielded; () when it waits for nothing.

    result  what it returned
    error   what it raised, or None
    """

    __slots__ = ("name", "code", "wait", "number", "result", "error")

    def __init__(self, code: Generator | Coroutine, name: str | None) -> None:
        self.code, self.name = code, name or code.__name__
        self.wait, self.number = (), None  # number: the descriptor that it waits for
        self.result = self.error = None


class Loop:
    """Runs tasks by turns, in one thread. An exception ends the task that raised it; the others go on.

    on_error  called with each Task that raised. Without it, run() raises all of it at its end, as an ExceptionGroup.
    """

    def __init__(self, on_error: Callable[[Task], None] | None = None) -> None:
        self.ready: deque[Task] = deque()  # who can run, in the order of their turns; the first one is running
        self.readers: dict[int, Task] = {}  # descriptor -> who waits until it is readable
        self.writers: dict[int, Task] = {}  # descriptor -> who waits until it is writable
        self.sleepers: list[tuple[float, int, Task]] = []  # a heap of (time.monotonic() of its end, a count, who)
        self.failed: list[Task] = []  # who raised in this run, or in the last one
        self.on_error = on_error or self.failed.append
        self._count = count()

    def spawn(self, task: Generator | Coroutine, name: str | None = None) -> Task:
        """Add a task: before run(), or from a task that runs (not from another thread). Its turn comes in the next round."""
        if not hasattr(task, "send"):
            raise TypeError(f"a task is what a generator function returns when it is called, not {type(task).__name__}")
        self.ready.append(Task(task, name))
        return self.ready[-1]

    def run(self) -> None:
        """Run until every task has ended. When on_error or an interrupt ends it before, the tasks that are left are closed."""
        ready, readers, writers, sleepers = self.ready, self.readers, self.writers, self.sleepers
        self.failed.clear()
        self._epoll = select.epoll()
        try:
            while ready or readers or writers or sleepers:
                # Those who are ready now. Who gets ready meanwhile has a turn in the next round, after the sockets.
                for _ in range(len(ready)):
                    self._step(ready[0])
                    ready.popleft()
                # The kernel lets the thread sleep until a descriptor is ready, or the first sleeper is due.
                seconds = None
                if ready:
                    seconds = 0
                elif sleepers:
                    seconds = min(max(0, sleepers[0][0] - time.monotonic()), LONGEST)
                if readers or writers or seconds:
                    for number, events in self._epoll.poll(seconds):
                        if events & _READABLE and number in readers:
                            ready.append(readers[number])
                        if events & _WRITABLE and number in writers:
                            ready.append(writers[number])
                        if number not in readers and number not in writers:
                            self._begin_a_new_list()
                while sleepers and sleepers[0][0] <= time.monotonic():
                    task = heapq.heappop(sleepers)[2]
                    task.wait = ()
                    ready.append(task)
        finally:
            self._close()
        if self.failed:
            raise ExceptionGroup("tasks failed", [task.error for task in self.failed])

    def _step(self, task: Task) -> None:
        """Run a task until it waits again, or ends."""
        try:
            wait = task.code.send(None) if task.error is None else task.code.throw(task.error)
        except StopIteration as end:
            task.result, task.error = end.value, None
            self._let_go(task)
        except Exception as error:
            task.error = error
            self._let_go(task)
            self.on_error(task)
        else:
            if wait == task.wait and wait[1].fileno() == task.number:
                return  # the same again: what the kernel was told stays as it is
            self._let_go(task)
            task.error = None
            try:
                self._wait(task, wait)
            except Exception as error:
                task.error = error  # it will be raised where the task yielded
                self.ready.append(task)

    def _wait(self, task: Task, wait: tuple | None) -> None:
        """Enter a task among those who wait."""
        match wait:
            case None:
                self.ready.append(task)
            case ("sleep", seconds):
                heapq.heappush(self.sleepers, (time.monotonic() + seconds, next(self._count), task))
                task.wait = wait
            case ("read" | "write" as what, sock):
                number = _number(sock)
                if number < 0:
                    raise OSError(errno.EBADF, "a task waits for a socket that is closed")
                self._wake_those_at_a_closed(number)
                mine, others = (self.readers, self.writers) if what == "read" else (self.writers, self.readers)
                if number in mine:
                    raise RuntimeError(f"two tasks wait to {what} on one descriptor; the first is {mine[number].name!r}")
                if number in others:
                    self._epoll.modify(number, select.EPOLLIN | select.EPOLLOUT)
                else:
                    self._epoll.register(number, select.EPOLLIN if what == "read" else select.EPOLLOUT)
                mine[number], task.number = task, number
                # A number may name another file when it comes again; a list is never equal to what is yielded then.
                task.wait = [what, sock] if isinstance(sock, int) else wait
            case _:
                raise TypeError(f'a task yields ("read", sock), ("write", sock), ("sleep", seconds) or None, not {wait!r}')

    def _let_go(self, task: Task) -> None:
        """Take a task out of those who wait, and its descriptor out of the kernel's interest list."""
        number = task.number
        if number is not None:
            what, sock = task.wait
            del (self.readers if what == "read" else self.writers)[number]
            if _number(sock) != number:  # the kernel has taken it out by itself, with close() (epoll(7))
                self._wake_those_at_a_closed(number)
            else:
                with suppress(OSError):
                    if number in self.readers or number in self.writers:
                        self._epoll.modify(number, select.EPOLLIN if number in self.readers else select.EPOLLOUT)
                    else:
                        self._epoll.unregister(number)
        task.wait, task.number = (), None

    def _wake_those_at_a_closed(self, number: int) -> None:
        """Wake who waits on a socket that had this number and is closed: the kernel will not; its next call raises EBADF."""
        for waiting in (self.readers, self.writers):
            task = waiting.get(number)
            if task and _number(task.wait[1]) != number:
                del waiting[number]
                task.wait, task.number = (), None
                if task not in self.ready:
                    self.ready.append(task)

    def _begin_a_new_list(self) -> None:
        """Have the kernel forget a socket that is closed here while a copy of its descriptor lives on: dup(2), fork(2).

        Its entry can no longer be named and would be reported for ever; it goes with the whole interest list (epoll(7)).
        """
        self._epoll.close()
        self._epoll = select.epoll()
        for number in self.readers.keys() | self.writers.keys():
            with suppress(OSError):  # closed too
                self._epoll.register(number, select.EPOLLIN * (number in self.readers) | select.EPOLLOUT * (number in self.writers))

    def _close(self) -> None:
        self._epoll.close()
        left = [*self.ready, *self.readers.values(), *self.writers.values(), *(task for _, _, task in self.sleepers)]
        for waiting in (self.ready, self.readers, self.writers, self.sleepers):
            waiting.clear()
        for task in left:
            task.code.close()


def _number(sock) -> int:
    return sock if isinstance(sock, int) else sock.fileno()


# What tasks call. A call that would sleep is left to the loop. @coroutine: `await` takes it as `yield from` does (PEP 492).


@coroutine
def recv(sock: socket.socket, size: int) -> Generator[tuple, None, bytes]:
    """Return what has arrived, at most `size` bytes; b"" when the peer has finished sending (recv(2))."""
    while True:
        yield "read", sock  # first: after an answer, the next request is seldom there already
        try:
            return sock.recv(size)
        except BlockingIOError:
            pass  # ready is a hint


@coroutine
def send_all(sock: socket.socket, data: bytes) -> Generator[tuple, None, None]:
    """Send all of `data`. Waits only while the send buffer is full (send(2))."""
    while True:
        try:
            sent = sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return
        data = memoryview(data)[sent:]
        yield "write", sock


@coroutine
def accept(listener: socket.socket) -> Generator[tuple, None, tuple[socket.socket, tuple[str, int]]]:
    """Return the next connection, non-blocking, and its peer. Without a free number the client stays in the queue (accept(2))."""
    while True:
        yield "read", listener
        try:
            connection, peer = listener.accept()
        except BlockingIOError:
            continue  # the client is gone
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            yield "sleep", PAUSE  # the listener stays readable: without a pause, this would use all of a core
            continue
        connection.setblocking(False)  # Linux does not hand O_NONBLOCK down from the listener
        return connection, peer


@coroutine
def sleep(seconds: float) -> Generator[tuple, None, None]:
    """Let others run for at least so many seconds."""
    yield "sleep", seconds
