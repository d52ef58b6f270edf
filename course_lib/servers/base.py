"""What all servers of the course share: a background thread, an address, a way to stop, a way to be observed."""

import ctypes
import errno
import operator
import select
import socket
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

from course_lib.observe import Call, Descriptor, Doing, Pending, Recorder, TaskView, ThreadView, descriptors, tasks
from course_lib.observe.descriptors import Interests, described, epolls
from course_lib.observe.tasks import has_tasks
from course_lib.observe.watched import SocketClasses, recorded_thread

from . import registry

HOST = "127.0.0.1"
BACKLOG = 128
_OF_A_THREAD = 6  # a clock of one thread, all that it used: CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED (include/linux/posix-timers.h)

Answer = Callable[[bytes], bytes]


def echo(request: bytes) -> bytes:
    """Answer with what was received."""
    return request


class PortInUse(OSError):
    """The port that was asked for belongs to another listener."""


class NotHere(OSError):
    """This system does not have what the server is made of."""


class _Stop(BaseException):
    """Ends a server thread that goes on running Python code although its sockets are shut down."""


class Server:
    """A TCP server on 127.0.0.1, run by one background thread. Subclasses write `serve`.

    answer  called with the bytes that arrived, returns the bytes to send back
    port    0 for a free one; a server that is started again takes its old port if it can

        with BlockingServer() as server: ...            # or: server = BlockingServer().start()
    """

    needs: str | None = None  # "poll" or "epoll": the function of module `select` without which it cannot serve

    def __init__(self, answer: Answer = echo, port: int = 0) -> None:
        if not callable(answer):
            raise TypeError(f"answer is a function from bytes to bytes, not {type(answer).__name__}")
        if type(port) is not int or not 0 <= port <= 65535:
            raise ValueError(f"a port is a number from 0 (any free one) to 65535, not {port!r}")
        self.answer = answer
        self.error: BaseException | None = None
        self._port = port
        self._address: tuple[str, int] | None = None
        self._lock = threading.RLock()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._view: ThreadView | None = None
        self._sockets: list[weakref.ref[socket.socket]] = []  # those that are gone are left out now and then
        self._sweep_at = 64
        self._run = registry.current_run()
        self.own_modes: dict[str, bool] = {}  # "listener", "connections": blocking before set_blocking() came, if it came
        self._recorder = Recorder()
        self._classes = SocketClasses(self._recorder, self._adopt)
        self._recorder.on_switch(self._switch_sockets)

    def serve(self, listener: socket.socket) -> None:
        """Serve clients of a listening socket until the thread is stopped: what each model writes in its own way."""
        raise NotImplementedError

    # Life

    def start(self) -> Self:
        """Listen, and serve from a background thread. Does nothing when it runs already.

        Raises PortInUse when the port that was asked for is taken, NotHere where the system lacks epoll or poll.
        """
        if self.needs and not hasattr(select, self.needs):
            raise NotHere(f"{type(self).__name__} needs {self.needs}, and this system does not have it. Linux does: a container "
                          "or a virtual machine will do.")
        with self._lock:
            if self.running and not self._stopping:
                return self
            if self.running and not self._ends_within(1.0):
                raise RuntimeError(f"{self!r} was stopped, but its thread is still busy: make a new server")
            listener = self._listen()
            self._address = listener.getsockname()
            self._stopping, self.error = False, None
            self.own_modes.clear()
            self._recorder.stopping = False
            self._thread = threading.Thread(
                target=self._serve, args=(listener,), name=f"{type(self).__name__}:{self._address[1]}", daemon=True)
            self._view = ThreadView(self._thread)
            registry.add(self, self._run)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving: within a second, from any thread, any number of times; leaves no descriptor and no thread.

        Warns (RuntimeWarning) when the thread cannot be stopped, because `answer` waits for something else.
        """
        with self._lock:
            if not self.running:
                return
            self._stopping = True
        self._recorder.stop()
        for sock in self._open_sockets():
            shut_down(sock)
        self._wake()
        if threading.current_thread() in self._threads() or self._ends_within(0.4):
            return
        for _ in range(5):
            # Its sockets are shut down and yet it runs on: end it at its next line of Python.
            for thread in self.threads:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_Stop))
            if self._ends_within(0.1):
                break
        for sock in self._open_sockets():
            socket.socket.close(sock)
        registry.remove(self)
        if self.running:
            warnings.warn(f"{self!r} does not stop: its thread is still {self.doing()}. Its sockets are closed; "
                          "restart the kernel to be rid of the thread.", RuntimeWarning, stacklevel=2)

    def wait(self) -> None:
        """Wait until its thread has ended; returns at once when it does not run."""
        if self._thread is not None:
            self._thread.join()

    @property
    def running(self) -> bool:
        """True while its thread serves."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def address(self) -> tuple[str, int]:
        """(host, port), also after it stopped. Raises RuntimeError before the first start."""
        if self._address is None:
            raise RuntimeError("this server has no address yet: call start(), or use it in a with statement")
        return self._address

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {'running' if self.running else 'not running'}>"

    # What can be seen and set from outside

    def descriptors(self) -> list[Descriptor]:
        """What the kernel says of its listener and connections, and of an epoll that watches them."""
        numbers = self.numbers()
        watchers = Interests(epolls(but=set(numbers)))
        mine = described(numbers, watchers)
        watching = {watcher.epoll for descriptor in mine for watcher in descriptor.watched_by}
        return sorted(mine + described(watching, watchers), key=lambda d: d.number)

    def numbers(self) -> list[int]:
        """The descriptors of its listener and connections that are open: all that can be known without asking the kernel."""
        found = map(operator.call, list(self._sockets))
        return [number for sock in found if sock is not None and (number := sock.fileno()) >= 0]

    def cpu_seconds(self) -> float:
        """The CPU time that its threads have used so far, user and system (clock_getcpuclockid(3)); those that ended left out."""
        used = 0.0
        for thread in self.threads:
            with suppress(OSError):  # it ended while we looked
                used += time.clock_gettime((~thread.native_id << 3) | _OF_A_THREAD)
        return used

    def doing(self) -> Doing:
        """What its thread is doing: running, or asleep in which system call, or how it ended."""
        if self._view is None:
            return Doing(asleep=False, ended="not started")
        now = self._view.doing() if self.running else None
        return now if now and not now.ended else Doing(asleep=False, ended=self.fate or "stopped")

    def tasks(self) -> list[TaskView] | None:
        """The tasks of its `loop`, in order: who runs, who is ready, who waits for what. None for a server that has no such loop.

        `print(*server.tasks(), sep="\n")` lists them. The loop is CoroutineServer's, or one of your own with the same lists.
        """
        loop = getattr(self, "loop", None)
        return tasks(loop) if has_tasks(loop) else None

    @property
    def fate(self) -> str | None:
        """How its thread ended by itself, in a few words; None while it runs, and when it was stopped."""
        if self._thread is None or self.running or self._stopping:
            return None
        if self.error is None:
            return "ended because serve() returned"
        kind, text = type(self.error).__name__, _brief(str(self.error))
        line = self._line_that_raised()
        return f"ended by {kind}: {text}" + (f", raised at: {line}" if line else "")

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
        """Begin or end recording its system calls, also while it runs. Off, it costs nothing."""
        self._recorder.record(on)

    def calls(self, last: int | None = None, since: float = 0.0) -> list[Call]:
        """The recorded calls, oldest first: at most the `last` ones, begun after `since` (seconds of time.perf_counter()).

        10 000 are kept. `print(*server.calls(), sep="\n")` lists them as strace(1) does.
        """
        return self._recorder.calls(last, since)

    def hold(self) -> None:
        """Hold it before its next system call. A call that it sleeps in goes on; stop() wins over hold."""
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
    def threads(self) -> list[threading.Thread]:
        """The threads that serve and live: its own first, then those that a model adds, oldest first."""
        return [thread for thread in self._threads() if thread and thread.is_alive()]

    def handed_in(self) -> dict[int, str] | None:
        """What its select was handed: {descriptor: "read", "write" or "read, write"}, of the select that it is in or the last.

        None while its calls are not recorded, and for other calls: poll keeps its list to itself, and the interest list of
        an epoll is in the kernel (`descriptors()` shows it).
        """
        return self._recorder.handed_in() if self._recorder.on else None

    def came_back(self) -> dict[int, str] | None:
        """What its last select, poll or epoll_wait gave back: {descriptor: "read" or "EPOLLIN | EPOLLHUP"}; None as above."""
        return self._recorder.came_back() if self._recorder.on else None

    # Inside

    def _switch_sockets(self, on: bool) -> None:
        for sock in self._open_sockets():
            self._classes.fit(sock)

    def _wake(self) -> None:
        """Wake its thread where it may sleep on none of its sockets: for a model that does."""

    def _threads(self) -> list[threading.Thread]:
        """The threads that serve: its own, and those that a model adds."""
        return [self._thread]

    def _ends_within(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _listen(self) -> socket.socket:
        wanted = self._port or (self._address[1] if self._address else 0)
        try:
            return self._listen_on(wanted)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and not self._port:
                return self._listen_on(0)
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(f"port {wanted} is in use: stop the program that listens there, "
                                "or choose another port (0 means any free one)") from None
            raise

    def _listen_on(self, port: int) -> socket.socket:
        listener = self._classes.quiet(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # Before bind: it lets the port be taken again while old connections wait in TIME_WAIT (socket(7)).
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
        self._enter(listener)
        return listener

    def _enter(self, sock: socket.socket) -> None:
        with self._recorder.gate:
            self._sockets.append(weakref.ref(sock))
            self._classes.fit(sock)
            if len(self._sockets) >= self._sweep_at:
                self._sockets = [weakref.ref(sock) for sock in self._open_sockets()]
                self._sweep_at = 2 * len(self._sockets) + 64

    def _adopt(self, connection: socket.socket) -> None:
        self._enter(connection)
        if self._stopping:  # accepted just before the listener was shut down
            shut_down(connection)

    def _open_sockets(self) -> list[socket.socket]:
        found = map(operator.call, list(self._sockets))  # a copy: the server's thread adds to it meanwhile
        return [sock for sock in found if sock is not None and sock.fileno() >= 0]

    def _serve(self, listener: socket.socket) -> None:
        try:
            with recorded_thread(self._recorder):
                self.serve(listener)
        except BaseException as error:
            if not self._stopping:
                self.error = error
        finally:
            for sock in self._open_sockets():
                socket.socket.close(sock)
            registry.remove(self)

    def _line_that_raised(self) -> str | None:
        """The source line of `serve`, or of what it called in the same file, at which the error arose."""
        file = type(self).serve.__code__.co_filename
        lines = [frame.line for frame in traceback.extract_tb(self.error.__traceback__) if frame.filename == file]
        return lines[-1] if lines else None


def shut_down(sock: socket.socket) -> None:
    """End both directions: that wakes a thread asleep in accept, recv or send. close() alone wakes none (close(2))."""
    try:
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not the recording one: this is no call of the server
    except OSError:
        pass


def _brief(text: str, length: int = 200) -> str:
    return text if len(text) <= length else text[:length] + "…"
