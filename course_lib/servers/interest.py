"""Who waits for which descriptor: here, and in the kernel's interest list, which is kept in step."""

from __future__ import annotations  # its types are names only: the module can be imported where there is no epoll

import errno
import select
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .connection import READ, WRITE

if TYPE_CHECKING:
    from .scheduler import Task

_OVER = 0x10 | 0x8  # EPOLLHUP | EPOLLERR: the kernel tells these unasked; the recv or send that follows says which
_READABLE, _WRITABLE = READ | _OVER, WRITE | _OVER


class Interest:
    """The interest list of one loop. It is open from open() to close(); a change in it is a system call (epoll_ctl(2))."""

    def __init__(self, ready: deque[Task]) -> None:
        self.readers: dict[int, Task] = {}  # descriptor -> who waits until it is readable
        self.writers: dict[int, Task] = {}  # descriptor -> who waits until it is writable
        self._ready = ready

    def open(self) -> None:
        self._epoll = select.epoll()

    def close(self) -> None:
        self._epoll.close()

    def poll(self, seconds: float | None) -> None:
        """Sleep until a descriptor is ready, or for so many seconds; who waited for one that is ready joins the ready queue."""
        readers, writers = self.readers, self.writers
        for number, events in self._epoll.poll(seconds):
            if events & _READABLE and number in readers:
                self._ready.append(readers[number])
            if events & _WRITABLE and number in writers:
                self._ready.append(writers[number])
            if number not in readers and number not in writers:
                self._begin_anew()

    def enter(self, task: Task, what: str, sock: Any) -> None:
        """From now on `task` waits to "read" or "write". Raises RuntimeError when another one waits for the same."""
        number = number_of(sock)
        if number < 0:
            raise OSError(errno.EBADF, "a task waits for a socket that is closed")
        self._forget_closed(number)
        mine, others = (self.readers, self.writers) if what == "read" else (self.writers, self.readers)
        if number in mine:
            raise RuntimeError(f"two tasks wait to {what} on one descriptor; the first is {mine[number].name!r}")
        if number in others:
            self._epoll.modify(number, READ | WRITE)
        else:
            self._epoll.register(number, READ if what == "read" else WRITE)
        mine[number], task.number = task, number

    def leave(self, task: Task) -> None:
        """`task` waits no longer."""
        number, (what, sock) = task.number, task.wait
        assert number is not None
        task.number = None
        del (self.readers if what == "read" else self.writers)[number]
        if number_of(sock) != number:  # closed: the kernel has taken it out by itself (epoll(7))
            self._forget_closed(number)
            return
        with suppress(OSError):
            if wanted := self._wanted(number):
                self._epoll.modify(number, wanted)
            else:
                self._epoll.unregister(number)

    def _wanted(self, number: int) -> int:
        return READ * (number in self.readers) | WRITE * (number in self.writers)

    def _forget_closed(self, number: int) -> None:
        """Wake who waits on a socket that had this number and is closed: the kernel will not; its next call raises EBADF."""
        for waiting in (self.readers, self.writers):
            task = waiting.get(number)
            if task and number_of(task.wait[1]) != number:
                del waiting[number]
                task.number = None
                if task not in self._ready:
                    self._ready.append(task)

    def _begin_anew(self) -> None:
        """Have the kernel forget a socket that is closed here while a copy of its descriptor lives on: dup(2), fork(2).

        Its entry can no longer be named and would be reported for ever; it goes with the whole interest list (epoll(7)).
        """
        self.close()
        self.open()
        for number in self.readers.keys() | self.writers.keys():
            with suppress(OSError):  # closed too
                self._epoll.register(number, self._wanted(number))


def number_of(sock: Any) -> int:
    """The descriptor of a socket, or of anything with fileno(); -1 when it is closed."""
    return sock if isinstance(sock, int) else sock.fileno()
