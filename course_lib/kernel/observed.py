"""What is observed from outside: some sockets, and the threads that use them. A server of the course is an `Observed`."""

import errno
import operator
import socket
import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal

from .descriptors import Descriptor, Interests, described, descriptors, epolls
from .recordable import SocketClasses, taken_by_name
from .recorder import Call, Pending, Recorder
from .tasks import TaskView, has_tasks, tasks

# A clock of one thread, all that it used: CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED (include/linux/posix-timers.h).
_OF_A_THREAD = 6


def cpu_seconds(threads: Iterable[threading.Thread]) -> float:
    """The CPU time that these threads of this process have used so far; those that do not live yet or no longer left out."""
    used = 0.0
    for number in (thread.native_id for thread in threads):
        with suppress(OSError):  # it ended while we looked
            used += time.clock_gettime((~number << 3) | _OF_A_THREAD) if number else 0.0
    return used


class Observed:
    """What can be seen and set from outside of a thing with sockets and threads, and its recorder."""

    def __init__(self) -> None:
        self._sockets: list[weakref.ref[socket.socket]] = []  # those that are gone are left out now and then
        self._sweep_at = 64
        self.own_modes: dict[str, bool] = {}  # "listener", "connections": blocking before set_blocking() came, if it came
        self._recorder = Recorder()
        self._classes = SocketClasses(self._recorder, self._adopt)
        self._recorder.on_switch(self._switch_sockets)

    def descriptors(self) -> list[Descriptor]:
        """What the kernel says of its listener and connections, and of an epoll that watches them."""
        numbers = self.numbers()
        return described(numbers, Interests(epolls(but=set(numbers))))

    def numbers(self) -> list[int]:
        """The descriptors of its listener and connections that are open: all that can be known without asking the kernel."""
        return [number for sock in self._open_sockets() if (number := sock.fileno()) >= 0]

    @property
    def threads(self) -> list[threading.Thread]:
        """The threads that serve and live: its own first, those that a model adds, oldest first, and others that it is held in."""
        its = dict.fromkeys([*self._threads(), *(call.thread for call in self.standing)])
        return [thread for thread in its if thread and thread.is_alive()]

    def cpu_seconds(self) -> float:
        """The CPU time that its threads have used so far, user and system (clock_getcpuclockid(3)); those that ended left out."""
        return cpu_seconds(self.threads)

    def tasks(self) -> list[TaskView] | None:
        """The tasks of its `loop`, in order: who runs, who is ready, who waits for what. None for a server that has no such loop.

        `print(*server.tasks(), sep="\\n")` lists them. The loop is CoroutineServer's, or one of your own with the same lists.
        """
        loop = getattr(self, "loop", None)
        return tasks(loop) if has_tasks(loop) else None

    def set_blocking(self, blocking: bool, of: Literal["listener", "connections", "all"] = "all") -> None:
        """Set or clear O_NONBLOCK on its live sockets (fcntl(2)). A call that sleeps already goes on sleeping.

        Raises ValueError for another `of`.
        """
        if of not in ("listener", "connections", "all"):
            raise ValueError(f'of is "listener", "connections" or "all", not {of!r}')
        now = {d.number: d for d in descriptors(self._open_sockets())}
        for sock in self._open_sockets():
            kind = "listener" if (row := now.get(sock.fileno())) and row.kind == "listener" else "connections"
            if of in ("all", kind):
                try:
                    sock.setblocking(blocking)
                except OSError as error:
                    if error.errno != errno.EBADF:  # closed by its server meanwhile
                        raise
                    continue
                self.own_modes.setdefault(kind, row.blocking if row else not blocking)

    # What it asks of the kernel

    def record(self, on: bool = True) -> None:
        """Begin or end recording its calls on its sockets, and its waits, also while it runs. Off, it costs nothing."""
        self._recorder.record(on)

    def calls(self, last: int | None = None, since: float = 0.0) -> list[Call]:
        """The recorded calls, oldest first: at most the `last` ones, begun after `since` (seconds of time.perf_counter()).

        10,000 are kept. `print(*server.calls(), sep="\\n")` lists them as strace(1) does.
        """
        return self._recorder.calls(last, since)

    @property
    def calls_a_second(self) -> float:
        """How often it calls, up to now, over the calls that are kept; 0.0 while they are not recorded."""
        return self._recorder.rate()

    def hold(self) -> None:
        """Hold it before its next call of those that are recorded. A call that it sleeps in goes on; stop() wins over hold."""
        self._recorder.hold()

    def step(self, seconds: float = 1.0, of: threading.Thread | None = None) -> Call | None:
        """Let it make one call (of several threads, the one that has stood longest, or `of`), and wait up to `seconds` until it
        stands before the next.

        Returns the call that came back; None when it still sleeps in it, or did not come to one.
        """
        return self._recorder.step(seconds, of)

    def run_on(self) -> None:
        """Hold it no longer."""
        self._recorder.run_on()

    @property
    def recording(self) -> bool:
        """True while its calls are recorded: when record() asked for it, and while it is held."""
        return self._recorder.on

    @property
    def held(self) -> bool:
        """True from hold() to run_on()."""
        return self._recorder.held

    @property
    def pending(self) -> Pending | None:
        """The call in front of which it is held, or None."""
        return self._recorder.pending

    @property
    def standing(self) -> list[Pending]:
        """All calls in front of which its threads are held, in the order in which they came there."""
        return self._recorder.standing

    @property
    def unseen(self) -> list[str]:
        """The names through which it can wait past the recorder: those that `from select import epoll` bound where `serve` stands."""
        return taken_by_name(type(self).serve)  # type: ignore[attr-defined]  # the server's

    def handed_in(self) -> dict[int, str] | None:
        """What its select or poll was handed, of the one that it is in or the last: {descriptor: "read, write"} or {…: "POLLIN"}.

        None while its calls are not recorded, and for other calls: the interest list of an epoll is in the kernel
        (`descriptors()` shows it).
        """
        return self._recorder.handed_in()

    def came_back(self) -> dict[int, str] | None:
        """What its last select, poll or epoll_wait gave back: {descriptor: "read" or "EPOLLIN | EPOLLHUP"}; None as above."""
        return self._recorder.came_back()

    # Inside

    def _threads(self) -> list[threading.Thread | None]:
        """The threads that serve: its own, and those that a model adds."""
        raise NotImplementedError

    def _switch_sockets(self, on: bool) -> None:
        for sock in self._open_sockets():
            self._classes.fit(sock)

    def _enter(self, sock: socket.socket) -> None:
        with self._recorder.lock:
            self._sockets.append(weakref.ref(sock))
            self._classes.fit(sock)
            if len(self._sockets) >= self._sweep_at:
                self._sockets = [weakref.ref(sock) for sock in self._open_sockets()]
                self._sweep_at = 2 * len(self._sockets) + 64

    def _adopt(self, connection: socket.socket) -> None:
        """Called with each socket that accept() or dup() made of one of its own."""
        self._enter(connection)

    def _open_sockets(self) -> list[socket.socket]:
        found = map(operator.call, list(self._sockets))  # a copy: the server's thread adds to it meanwhile
        return [sock for sock in found if sock is not None and sock.fileno() >= 0]
