"""What the base hands to a server instead of the raw things, so that a Recorder can step in between.

Off, a server's calls go straight to C: its sockets are of a class that overrides nothing but `accept` and `dup`, and the
attributes of its epoll and poll objects are the raw methods.
"""

import select
import selectors
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from .descriptors import event_names
from .recorder import DATA_KEPT, KEPT_WHOLE, Recorder, lists_text, now

# Only Linux has epoll, and Python on some systems no poll: there a server cannot use them, and nothing takes their place.
_EPOLL, _POLL, _SELECT = getattr(select, "epoll", None), getattr(select, "poll", None), select.select
_of_thread: dict[int, Recorder] = {}  # thread -> the recorder of the server that it runs


class WatchedSocket(socket.socket):
    """A plain socket, but for one thing: it tells the base of the sockets that come from it, by accept() or dup().

    The quiet and the recording class of a server have the same layout in memory, so that a socket can change between
    them while its thread sleeps in one of its calls. `number` is its descriptor, known from the first recording on.
    """

    __slots__ = ("number",)
    recorder: Recorder
    adopt: Callable[[socket.socket], None]

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        recorder, own = self.recorder, self.fileno()
        if recorder.held:
            recorder.before("accept", own)
        entered = now()
        try:
            number, peer = self._accept()
        except OSError as error:
            if recorder.on:
                recorder.append((entered, now(), own, "accept", None, error.errno, b""))
            raise
        if recorder.on:
            recorder.append((entered, now(), own, "accept", number, 0, b""))
        connection = type(self)(self.family, self.type, self.proto, fileno=number)
        # As in the standard library: a listener with a timeout still gives blocking connections.
        if socket.getdefaulttimeout() is None and self.gettimeout():
            connection.setblocking(True)
        self.adopt(connection)
        return connection, peer

    def dup(self) -> socket.socket:
        twin = super().dup()
        self.adopt(twin)
        return twin


def _recv_and_send(append: Callable, clock: Callable) -> dict[str, Callable]:
    """recv and send, recorded. They are what a busy server calls most: written out, they cost half of `_recorded`."""
    raw_recv, raw_send, kept_whole = socket.socket.recv, socket.socket.send, KEPT_WHOLE

    def recv(self, size, flags=0):
        entered = clock()
        try:
            data = raw_recv(self, size, flags)
        except OSError as error:
            append((entered, clock(), self.fileno(), "recv", None, error.errno, b""))
            raise
        if len(data) <= kept_whole:
            append((entered, clock(), self.number, data))
        else:
            append((entered, clock(), self.number, "recv", len(data), 0, data[:DATA_KEPT]))
        return data

    def send(self, data, flags=0):
        entered = clock()
        try:
            count = raw_send(self, data, flags)
        except OSError as error:
            append((entered, clock(), self.fileno(), "send", None, error.errno, b""))
            raise
        if type(data) is bytes and len(data) <= kept_whole:
            append((entered, clock(), self.number, count, data))
        else:
            append((entered, clock(), self.number, "send", count, 0, _begin(data, min(count, DATA_KEPT))))
        return count

    return {"recv": recv, "send": send}


def _begin(data, count: int) -> bytes:
    """The first bytes of anything that send() takes."""
    return bytes(memoryview(data).cast("B")[:count])


def _recorded(name: str, recorder: Recorder):
    """Another method of socket.socket, recorded."""
    raw = getattr(socket.socket, name)

    def method(self, *arguments, **named):
        own = self.fileno()
        if own < 0:  # closed: Python answers by itself, there is no system call
            return raw(self, *arguments, **named)
        entered = now()
        try:
            result = raw(self, *arguments, **named)
        except OSError as error:
            recorder.append((entered, now(), own, name, None, error.errno, b""))
            raise
        left = now()
        moved = (memoryview(arguments[0]).nbytes, 0, _begin(arguments[0], DATA_KEPT)) if name == "sendall" else (result, 0, b"")
        recorder.append((entered, left, own, name, *moved))
        return result

    return method


def _held(name: str, recorded: Callable, recorder: Recorder):
    """A recorded method with the gate in front of it."""

    def method(self, *arguments, **named):
        if self.fileno() >= 0:
            recorder.before(name, self.fileno())
        return recorded(self, *arguments, **named)

    return method


class SocketClasses:
    """The three classes between which the sockets of one server change: quiet, recording, and held as well."""

    def __init__(self, recorder: Recorder, adopt: Callable[[socket.socket], None]) -> None:
        self._recorder = recorder
        own = {"__slots__": (), "recorder": recorder, "adopt": staticmethod(adopt)}
        recording = {name: _recorded(name, recorder) for name in ("recv_into", "sendall", "shutdown", "close")}
        recording |= _recv_and_send(recorder.append, now)
        held = {name: _held(name, method, recorder) for name, method in recording.items()}
        self.quiet = type("WatchedSocket", (WatchedSocket,), own)
        self._recording = type("RecordedSocket", (self.quiet,), {"__slots__": ()} | recording)
        self._held = type("HeldSocket", (self.quiet,), {"__slots__": ()} | held)

    def fit(self, sock: WatchedSocket) -> None:
        """Give a socket the class that it needs now."""
        if self._recorder.on:  # not before: the number takes memory, and thousands of sockets may be idle
            sock.number = sock.fileno()
        sock.__class__ = self._held if self._recorder.held else self._recording if self._recorder.on else self.quiet


# select, poll and epoll


def _called(raw: Callable, recorder: Recorder, name: str, descriptor: int | None, asked: Callable = lambda *arguments: None):
    """The function `raw`, recorded; `asked` says in words what it is called with."""

    def call(*arguments, **named):
        words = asked(*arguments, **named)
        if recorder.held:
            recorder.before(name, descriptor, words)
        entered = now()
        try:
            result = raw(*arguments, **named)
        except OSError as error:
            recorder.append((entered, now(), descriptor, name, None, error.errno, b"", words))
            raise
        recorder.append((entered, now(), descriptor, name, result, 0, b"", words))
        return result

    return call


def _change(operation: str) -> Callable:
    """What an epoll_ctl is called with, in words: "ADD, 7, EPOLLIN"."""

    def words(fd=-1, eventmask=EVENTS_OF_REGISTER, *more) -> str:
        events = "" if operation == "DEL" else f", {event_names(eventmask, 'EPOLL') or '0'}" if isinstance(eventmask, int) else ""
        return f"{operation}, {_number(fd)}{events}"

    return words


EVENTS_OF_REGISTER = 0x1 | 0x2 | 0x4  # EPOLLIN | EPOLLPRI | EPOLLOUT, where none are named (Python's select.epoll.register)


class _Waiter:
    """A poll or epoll object whose methods are the raw ones until its server is recorded."""

    def __init__(self, raw, recorder: Recorder) -> None:
        self._raw, self._recorder = raw, recorder
        self._own = raw.fileno() if _EPOLL and isinstance(raw, _EPOLL) else None
        recorder.on_switch(self._switch)

    def _switch(self, on: bool) -> None:
        epoll = self._own is not None
        for name, operation in _METHODS.items():
            method = getattr(self._raw, name)
            if on and not operation:
                method = _called(method, self._recorder, "epoll_wait" if epoll else "poll", self._own)
            elif on and epoll:  # poll's register changes a list of its own, epoll's is a system call
                method = _called(method, self._recorder, "epoll_ctl", self._own, _change(operation))
            setattr(self, name, method)

    def __getattr__(self, name: str):
        return getattr(self._raw, name)

    def __enter__(self) -> "_Waiter":
        return self

    def __exit__(self, *error) -> None:
        self._raw.close()


_METHODS = {"poll": "", "register": "ADD", "modify": "MOD", "unregister": "DEL"}


class _EpollMaker(type):
    def __call__(cls, *arguments, **named):
        raw, recorder = _EPOLL(*arguments, **named), _of_thread.get(threading.get_ident())
        return _Waiter(raw, recorder) if recorder else raw

    def __instancecheck__(cls, thing) -> bool:
        return isinstance(thing, (_EPOLL, _Waiter))


class _Epoll(metaclass=_EpollMaker):
    """Stands in module `select` for its epoll."""

    fromfd = _EPOLL.fromfd if _EPOLL else None


def _poll():
    raw, recorder = _POLL(), _of_thread.get(threading.get_ident())
    return _Waiter(raw, recorder) if recorder else raw


def _select(*arguments):
    recorder = _of_thread.get(threading.get_ident())
    if recorder is None or not recorder.on:
        return _SELECT(*arguments)
    try:
        things = [list(things) for things in arguments[:3]]  # a list of its own: an iterator can be walked once only
    except TypeError:
        return _SELECT(*arguments)  # which says what is wrong
    asked = recorder.asked = _numbers(things)
    if recorder.held:
        recorder.before("select", None, lists_text(asked))
    entered = now()
    try:
        result = _SELECT(*things, *arguments[3:])
    except OSError as error:
        recorder.append((entered, now(), None, "select", None, error.errno, b"", asked))
        raise
    left = now()
    recorder.append((entered, left, None, "select", _numbers(result), 0, b"", asked))
    return result


def _numbers(lists: Iterable[list]) -> list[list[int]]:
    return [[_number(thing) for thing in things] for things in lists]


def _number(thing) -> int:
    """The descriptor of what a select was handed; -1 for what is closed, or has none: that is select's to say."""
    try:
        return thing if isinstance(thing, int) else thing.fileno()
    except (AttributeError, ValueError):
        return -1


@contextmanager
def recorded_thread(recorder: Recorder) -> Iterator[None]:
    """While it lasts, this thread's use of module `select` can be recorded. Other threads get the raw things."""
    select.select = _select
    selectors.SelectSelector._select = staticmethod(_select)
    if _POLL:
        select.poll, selectors.PollSelector._selector_cls = _poll, staticmethod(_poll)
    if _EPOLL:
        select.epoll = selectors.EpollSelector._selector_cls = _Epoll
    _of_thread[threading.get_ident()] = recorder
    try:
        yield
    finally:
        del _of_thread[threading.get_ident()]
