"""What all servers of the course share: a background thread, an address, a way to stop, a way to be observed."""

import ctypes
import errno
import os
import select
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from types import FunctionType, TracebackType
from typing import Any, Self

from course_lib.kernel import Doing, ThreadView
from course_lib.kernel.observed import Observed
from course_lib.kernel.recordable import recordable_thread
from course_lib.kernel.recorder import cut
from course_lib.kernel.threads import runnable
from course_lib.ports import why_in_use

from . import registry

HOST = "127.0.0.1"
BACKLOG = 128
_LOOK, _PATIENCE = 0.02, 5.0  # seconds between two looks whether its thread has ended; and at the most, on a very busy machine

Answer = Callable[[bytes], bytes]


def echo(request: bytes) -> bytes:
    """Answer with what was received."""
    return request


class PortInUse(OSError):
    """The port that was asked for is in use; the text says by whom."""


class NotHere(OSError):
    """This system does not have what the server is made of."""


class _Stop(BaseException):
    """Ends a server thread that goes on running Python code although its sockets are shut down."""


class Server(Observed):
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
        super().__init__()
        self.answer = answer if answer is echo else _sendable(answer)
        self.error: BaseException | None = None
        self._port = port
        self._address: tuple[str, int] | None = None
        self._lock = threading.RLock()
        self._stopping = False
        self._thread: threading.Thread | None = None
        # Not the thread's own join() and is_alive(): in Python 3.11 an interrupted join() takes the thread for ended.
        self._has_ended = threading.Event()
        self._process: int | None = None
        self._view: ThreadView | None = None
        self._run = registry.current_run()

    def serve(self, listener: socket.socket) -> None:
        """Serve clients of a listening socket until the thread is stopped: what each model writes in its own way."""
        raise NotImplementedError

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_") and isinstance(getattr(Server, name, None), (FunctionType, property)):
            raise AttributeError(f"a Server has `{name}` already, which panels ask: choose another name", name=name, obj=self)
        super().__setattr__(name, value)

    # Life

    def start(self) -> Self:
        """Listen, and serve from a background thread. Does nothing when it runs already.

        Raises PortInUse when the port that was asked for is taken, NotHere where the system lacks epoll or poll.
        """
        if self.needs and not hasattr(select, self.needs):
            raise NotHere(
                f"{type(self).__name__} needs {self.needs}, and this system does not have it. Linux does: a container "
                "or a virtual machine will do."
            )
        with self._lock:
            if self.running and not self._stopping:
                return self
            if self.running and not self._ends_within(1.0):
                raise RuntimeError(f"{self!r} was stopped, but its thread is still busy: make a new server")
            registry.stop_left(self._run, by=self)  # before it listens: one of them may have the port
            listener = self._listen()
            self._address = listener.getsockname()
            self._stopping, self.error = False, None
            self.own_modes.clear()
            self._recorder.stopping = False
            self._has_ended, self._process = threading.Event(), os.getpid()
            self._thread = threading.Thread(
                target=self._serve, args=(listener,), name=f"{type(self).__name__}:{self._address[1]}", daemon=True
            )
            self._view = ThreadView(self._thread)
            registry.add(self, self._run)
            try:
                self._thread.start()
            except RuntimeError:  # no more threads (pthread_create(3): EAGAIN)
                self._clean_up()
                raise
        return self

    def stop(self) -> None:
        """Stop serving: within a second, from any thread, any number of times; leaves no descriptor and no thread.

        It takes longer where its threads wait for a processor. Warns (RuntimeWarning) when the thread cannot be stopped, because
        `answer` waits for something else.
        """
        with self._lock:
            if not self.running:
                return
            self._stopping = True
        self._recorder.stop()
        self._wake()
        for sock in self._open_sockets():
            shut_down(sock)
        if threading.current_thread() in self._threads() or self._ends_within(0.4):
            return
        for _ in range(5):
            # Its sockets are shut down and yet it runs on: end it at its next line of Python. (A loop, whose tasks are cancelled
            # by now, may wait for its connections: in Python 3.12 serve_forever() does.)
            self._wake()
            for thread in self.threads:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_Stop))
            if self._ends_within(0.1):
                break
        for sock in self._open_sockets():
            socket.socket.close(sock)
        registry.remove(self)
        if self.running:
            warnings.warn(
                f"{self!r} does not stop: its thread is still {self.doing()}. Its sockets are closed; "
                "restart the kernel to be rid of the thread.",
                RuntimeWarning,
                stacklevel=2,
            )

    def wait(self) -> None:
        """Wait until its thread has ended; returns at once when it does not run. Raises RuntimeError in a thread of its own."""
        if threading.current_thread() in self._threads():
            raise RuntimeError("a server cannot wait in its own thread for its end")
        if self.running:
            self._has_ended.wait()
            self._join()

    @property
    def running(self) -> bool:
        """True while its thread serves; False in a forked child, which has no such thread (fork(2))."""
        return self._process == os.getpid() and not self._has_ended.is_set()

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

    def doing(self) -> Doing:
        """What its thread is doing: running, or asleep in which system call, or how it ended."""
        if self._view is None:
            return Doing(asleep=False, ended="not started")
        now = self._view.doing() if self.running else None
        return now if now and not now.ended else Doing(asleep=False, ended=self.fate or "stopped")

    @property
    def fate(self) -> str | None:
        """How its thread ended by itself, in a few words; None while it runs, and when it was stopped."""
        if self._thread is None or self.running or self._stopping:
            return None
        if self.error is None:
            return "ended because serve() returned"
        kind, text = type(self.error).__name__, cut(str(self.error), 200)
        line = self._line_that_raised(self.error)
        return f"ended by {kind}: {text}" + (f", raised at: {line}" if line else "")

    # Inside

    def _wake(self) -> None:
        """Wake its thread where it may sleep on none of its sockets: a loop of asyncio, which would serve on without a listener."""
        for loop in _loops(self, self._thread):
            with suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(_end, loop, self._thread)

    def _threads(self) -> list[threading.Thread | None]:
        return [self._thread]

    def _ends_within(self, seconds: float) -> bool:
        """Wait for its end until its threads have run or slept so long: on a busy machine they may wait for a processor."""
        had, used, end = 0.0, self.cpu_seconds(), time.monotonic() + _PATIENCE
        while had < seconds and time.monotonic() < end:
            if self._has_ended.wait(_LOOK):
                self._join()
                return True
            before, used = used, self.cpu_seconds()
            had += max(0.0, used - before) if any(map(runnable, self.threads)) else _LOOK
        return False

    def _join(self) -> None:
        if self._thread:
            self._thread.join()  # its last lines

    def _listen(self) -> socket.socket:
        wanted = self._port or (self._address[1] if self._address else 0)
        try:
            return self._listen_on(wanted)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and not self._port:
                return self._listen_on(0)
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(why_in_use(wanted)) from None
            raise

    def _listen_on(self, port: int) -> socket.socket:
        listener = self._classes.quiet(socket.AF_INET, socket.SOCK_STREAM)
        listener.setblocking(True)  # whatever socket.setdefaulttimeout() a cell has called
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

    def _adopt(self, connection: socket.socket) -> None:
        super()._adopt(connection)
        if self._stopping:  # accepted just before the listener was shut down
            shut_down(connection)

    def _serve(self, listener: socket.socket) -> None:
        try:
            with recordable_thread(self._recorder):
                self.serve(listener)
        except BaseException as error:
            if not self._stopping:
                self.error = error
        finally:
            self._clean_up()

    def _clean_up(self) -> None:
        for sock in self._open_sockets():
            socket.socket.close(sock)
        registry.remove(self)
        self._has_ended.set()

    def _line_that_raised(self, error: BaseException) -> str | None:
        """The source line of `serve`, or of what it called in the same file, at which the error arose."""
        file = type(self).serve.__code__.co_filename
        lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        return lines[-1] if lines else None


def _sendable(answer: Answer) -> Answer:
    """`answer`, which raises a clear TypeError where it returns something that cannot be sent.

    An OSError of its own becomes a RuntimeError: it is no error of the connection, and would end that quietly.
    """

    @wraps(answer)
    def checked(request: bytes) -> bytes:
        try:
            reply = answer(request)
        except OSError as error:
            raise RuntimeError(f"answer raised {type(error).__name__}: {error}") from error
        if not isinstance(reply, (bytes, bytearray, memoryview)):
            raise TypeError(f"answer must return bytes, and returned {type(reply).__name__}")
        return reply

    return checked


def _loops(server: Server, thread: threading.Thread | None) -> set:
    """The loops of asyncio, or of what takes its place, that its thread may run: all that it and the frames of the thread hold.

    (Of uvloop's run_forever() there is no frame to be seen.)
    """
    asyncio = sys.modules.get("asyncio")
    if not asyncio or not thread:
        return set()
    held, frame = list(vars(server).values()), sys._current_frames().get(thread.ident or 0)
    while frame:
        held += frame.f_locals.values()
        frame = frame.f_back
    held += [runner._loop for runner in held if issubclass(type(runner), asyncio.Runner)]
    return {loop for loop in held if issubclass(type(loop), asyncio.AbstractEventLoop)}


def _end(loop: Any, thread: threading.Thread | None) -> None:
    """End this loop, in which the call is made, if it is run by `thread`: a server may hold another one, the notebook's."""
    if threading.current_thread() is thread:
        loop.set_exception_handler(lambda loop, context: None)  # of what it breaks off
        loop.stop()


def shut_down(sock: socket.socket) -> None:
    """End both directions: that wakes a thread asleep in accept, recv or send. close() alone wakes none (close(2))."""
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not the recording one: this is no call of the server
