"""What the base hands to a server instead of the raw things, so that a Recorder can step in between.

Off, a server's calls go straight to C: its sockets are of a class that overrides nothing but `accept` and `dup`, and the
attributes of its epoll and poll objects are the raw methods.
"""

import os
import select
import selectors
import socket
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from operator import attrgetter
from typing import Any, Self

from .descriptors import event_names
from .recorder import DATA_KEPT, KEPT_WHOLE, Recorder, asked_text, now

# Only Linux has epoll, and Python on some systems no poll: there a server cannot use them, and nothing takes their place.
_EPOLL: Any = getattr(select, "epoll", None)
_POLL: Any = getattr(select, "poll", None)
_SELECT = select.select
_of_thread: dict[int, Recorder] = {}  # thread -> the recorder of the server that it runs


class RecordableSocket(socket.socket):
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
            number, peer = self._accept()  # type: ignore[attr-defined]  # the raw call, socket.py uses it too
        except OSError as error:
            if recorder.on:
                recorder.append((entered, now(), own, "accept", None, error.errno, b""))
            raise
        if recorder.on:
            recorder.append((entered, now(), own, "accept", number, 0, b""))
        connection = type(self)(self.family, self.type, self.proto, fileno=number)
        # As in the standard library: a listener with a timeout still gives blocking connections. So it is here, too, where a
        # cell has called socket.setdefaulttimeout().
        if self.gettimeout() or connection.gettimeout() is not None:
            connection.setblocking(True)
        self.adopt(connection)
        return connection, peer

    def dup(self) -> Self:
        twin = super().dup()
        self.adopt(twin)
        return twin


def _recv_and_send(append: Callable, clock: Callable) -> dict[str, Callable]:
    """recv and send, recorded. They are what a busy server calls most: written out, they cost half of `_recorded`."""
    raw_recv, raw_send, kept_whole = socket.socket.recv, socket.socket.send, KEPT_WHOLE

    def recv(self: Any, size: int, flags: int = 0) -> bytes:
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

    def send(self: Any, data: Any, flags: int = 0) -> int:
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


def _begin(data: Any, count: int) -> bytes:
    """The first bytes of anything that send() takes."""
    return bytes(memoryview(data).cast("B")[:count])


def _begin_of_all(pieces: Any, count: int) -> bytes:
    """The same of what sendmsg() takes; b"" of an iterator, which is walked by now."""
    found = b""
    for piece in pieces if isinstance(pieces, (list, tuple)) else ():
        if len(found) < count:
            found += _begin(piece, count - len(found))
    return found


# The other methods that are recorded: what moved, and the first bytes of it, from (what it was called with, what it returned).
_OTHERS: dict[str, Callable] = {
    "recv_into": lambda given, count: (count, b""),
    "recvfrom": lambda given, got: (len(got[0]), got[0][:DATA_KEPT]),
    "recvfrom_into": lambda given, got: (got[0], b""),
    "recvmsg": lambda given, got: (len(got[0]), got[0][:DATA_KEPT]),
    "recvmsg_into": lambda given, got: (got[0], b""),
    "sendall": lambda given, _: (memoryview(given[0]).nbytes, _begin(given[0], DATA_KEPT)),
    "sendto": lambda given, count: (count, _begin(given[0], min(count, DATA_KEPT))),
    "sendmsg": lambda given, count: (count, _begin_of_all(given[0], min(count, DATA_KEPT))),
    "shutdown": lambda given, _: (None, b""),
    "close": lambda given, _: (None, b""),
    "detach": lambda given, number: (number, b""),  # no system call, but the last that is seen of it
}


def _recorded(name: str, recorder: Recorder) -> Callable:
    """One of these methods of socket.socket, recorded."""
    raw, moved = getattr(socket.socket, name), _OTHERS[name]

    def method(self: Any, *arguments: Any, **named: Any) -> Any:
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
        count, data = moved(arguments, result)
        recorder.append((entered, left, own, name, count, 0, data))
        return result

    return method


def _held(name: str, recorded: Callable, recorder: Recorder) -> Callable:
    """A recorded method with the gate in front of it."""

    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        if self.fileno() >= 0:
            recorder.before(name, self.fileno())
        return recorded(self, *arguments, **named)

    return method


class SocketClasses:
    """The three classes between which the sockets of one server change: quiet, recording, and held as well."""

    def __init__(self, recorder: Recorder, adopt: Callable[[socket.socket], None]) -> None:
        self._recorder = recorder
        own = {"__slots__": (), "recorder": recorder, "adopt": staticmethod(adopt)}
        recording = {name: _recorded(name, recorder) for name in _OTHERS if hasattr(socket.socket, name)}
        recording |= _recv_and_send(recorder.append, now)
        held = {name: _held(name, method, recorder) for name, method in recording.items()}
        self.quiet: type[RecordableSocket] = type("RecordableSocket", (RecordableSocket,), own)
        self._recording = type("RecordedSocket", (self.quiet,), {"__slots__": ()} | recording)
        self._held = type("HeldSocket", (self.quiet,), {"__slots__": ()} | held)

    def fit(self, sock: socket.socket) -> None:
        """Give a socket the class that it needs now."""
        if self._recorder.on:  # not before: the number takes memory, and thousands of sockets may be idle
            sock.number = sock.fileno()  # type: ignore[attr-defined]  # a slot
        sock.__class__ = self._held if self._recorder.held else self._recording if self._recorder.on else self.quiet


# select, poll and epoll


def _called(
    raw: Callable, recorder: Recorder, name: str, descriptor: int | None, asked: Callable = lambda *arguments: None
) -> Callable:
    """The function `raw`, recorded; `asked` says what it is called with: in words, or a poll's list."""

    @wraps(raw)
    def call(*arguments: Any, **named: Any) -> Any:
        words = asked(*arguments, **named)
        if recorder.held:
            recorder.before(name, descriptor, asked_text(words))
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

    def words(fd: Any = -1, eventmask: int = EVENTS_OF_REGISTER, *more: Any) -> str:
        events = "" if operation == "DEL" else f", {event_names(eventmask, 'EPOLL') or '0'}" if isinstance(eventmask, int) else ""
        return f"{operation}, {_number(fd)}{events}"

    return words


def _noted(raw: Callable, listed: dict[int, int]) -> Callable:
    """A method that changes the list of a poll, with a note of what is in it then."""

    @wraps(raw)
    def method(fd: Any, *events: Any) -> Any:
        result = raw(fd, *events)
        if raw.__name__ == "unregister":
            listed.pop(_number(fd), None)
        else:
            listed[_number(fd)] = events[0] if events else EVENTS_OF_REGISTER
        return result

    return method


EVENTS_OF_REGISTER = 0x1 | 0x2 | 0x4  # EPOLLIN | EPOLLPRI | EPOLLOUT, where none are named (Python's select.epoll.register)


class _Waiter:
    """A poll or epoll object whose methods are the raw ones until its server is recorded. It passes for what it stands for."""

    __class__ = property(lambda self: type(self._raw))

    def __init__(self, raw: Any, recorder: Recorder) -> None:
        self._raw, self._recorder, self.__doc__ = raw, recorder, raw.__doc__
        self._own = raw.fileno() if _EPOLL and isinstance(raw, _EPOLL) else None
        self._listed: dict[int, int] = {}  # the list of a poll: {number: events}; that of an epoll is in the kernel
        recorder.on_switch(self._switch)

    def _switch(self, on: bool) -> None:
        epoll = self._own is not None
        for name, operation in _METHODS.items():
            method = getattr(self._raw, name)
            if on and not operation and epoll:
                method = _called(method, self._recorder, "epoll_wait", self._own)
            elif on and not operation:
                method = _called(method, self._recorder, "poll", None, self._handed_in)
            elif on and epoll:  # epoll's register is a system call
                method = _called(method, self._recorder, "epoll_ctl", self._own, _change(operation))
            elif operation and not epoll:  # poll's changes a list of its own, also while nobody looks
                method = _noted(method, self._listed)
            setattr(self, name, method)

    def _handed_in(self, *timeout: Any) -> list[tuple[int, int]]:
        self._recorder.asked = listed = list(self._listed.items())
        return listed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def __dir__(self) -> list[str]:
        return dir(self._raw)

    def __repr__(self) -> str:
        return repr(self._raw)

    def __enter__(self) -> "_Waiter":
        return self

    def __exit__(self, *error: Any) -> None:
        self._raw.close()


_METHODS = {"poll": "", "register": "ADD", "modify": "MOD", "unregister": "DEL"}


def _recordable(raw: Any) -> Any:
    """A poll or epoll object as a recordable thread gets it; other threads get the raw one."""
    recorder = _of_thread.get(threading.get_ident())
    return _Waiter(raw, recorder) if recorder else raw


class _EpollType(type):
    def __call__(cls, *arguments: Any, **named: Any) -> Any:
        return _recordable(_EPOLL(*arguments, **named))

    def __instancecheck__(cls, thing: Any) -> bool:
        return isinstance(thing, _EPOLL)


def _of_any(name: str) -> Callable:
    """A method of epoll, called as `select.epoll.register(epoll, …)`: for a raw object and for a waiter."""

    @wraps(getattr(_EPOLL, name))
    def method(epoll: Any, /, *arguments: Any, **named: Any) -> Any:
        return getattr(epoll, name)(*arguments, **named)

    return method


def _epoll_type() -> type:
    """What `select.epoll` is to a recordable thread: it looks like the real one, and makes waiters."""
    methods = {name: _of_any(name) for name, found in vars(_EPOLL).items() if isinstance(found, types.MethodDescriptorType)}
    return _EpollType(
        "epoll",
        (),
        {
            "__module__": "select",
            "__doc__": _EPOLL.__doc__,
            "__slots__": (),
            **methods,
            "closed": property(attrgetter("closed"), doc=_EPOLL.closed.__doc__),
            "fromfd": staticmethod(wraps(_EPOLL.fromfd)(lambda fd: _recordable(_EPOLL.fromfd(fd)))),
        },
    )


def _poll() -> Any:
    return _recordable(_POLL())


def _select(*arguments: Any) -> Any:
    recorder = _of_thread.get(threading.get_ident())
    if recorder is None or not recorder.on:
        return _SELECT(*arguments)
    try:
        things = [list(things) for things in arguments[:3]]  # a list of its own: an iterator can be walked once only
    except TypeError:
        return _SELECT(*arguments)  # which says what is wrong
    asked = recorder.asked = _numbers(things)
    if recorder.held:
        recorder.before("select", None, asked_text(asked))
    entered = now()
    try:
        result = _SELECT(*things, *arguments[3:])  # type: ignore[arg-type]  # three of them are lists
    except OSError as error:
        recorder.append((entered, now(), None, "select", None, error.errno, b"", asked))
        raise
    left = now()
    recorder.append((entered, left, None, "select", _numbers(result), 0, b"", asked))
    return result


def _numbers(lists: Iterable[list]) -> list[list[int]]:
    return [[_number(thing) for thing in things] for things in lists]


def _number(thing: Any) -> int:
    """The descriptor of what a select was handed; -1 for what is closed, or has none: that is select's to say."""
    try:
        return thing if isinstance(thing, int) else thing.fileno()
    except (AttributeError, ValueError):
        return -1


class _ForRecordable:
    """An attribute of module `select` that is the stand-in to a recordable thread, and to all others what it was.

    always  also while the thread is not recorded: a poll or epoll object may be recorded later
    """

    def __init__(self, real: Any, stand_in: Any, always: bool) -> None:
        self._real, self._stand_in, self._always = real, stand_in, always

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, module: Any, owner: Any = None) -> Any:
        try:
            found = vars(module)[self._name]
        except KeyError:
            raise AttributeError(f"module 'select' has no attribute {self._name!r}", name=self._name, obj=module) from None
        recorder = _of_thread.get(threading.get_ident())
        return self._stand_in if recorder and found is self._real and (self._always or recorder.on) else found

    def __set__(self, module: Any, value: Any) -> None:
        vars(module)[self._name] = value

    def __delete__(self, module: Any) -> None:
        vars(module).pop(self._name, None)


# Where a recordable thread may take its waits from: (who has it, under which name, the real one, the stand-in).
_PLACES: list[tuple[type, str, Any, Any]] = [(selectors.SelectSelector, "_select", _SELECT, staticmethod(_select))]
_seen: dict[str, Any] = {"select": _ForRecordable(_SELECT, wraps(_SELECT)(_select), always=False)}
if _POLL:
    _PLACES.append((selectors.PollSelector, "_selector_cls", _POLL, staticmethod(_poll)))
    _seen["poll"] = _ForRecordable(_POLL, wraps(_POLL)(_poll), always=True)
if _EPOLL:
    _PLACES.append((selectors.EpollSelector, "_selector_cls", _EPOLL, _epoll_type()))
    _seen["epoll"] = _ForRecordable(_EPOLL, _PLACES[-1][3], always=True)
_seen["__reduce__"] = lambda module: (import_module, ("select",))  # pickled as modules are: by name
# The interpreter of 3.14 reads past a class where attributes are looked up as a plain module's are (its LOAD_ATTR_MODULE).
_seen["__getattribute__"] = object.__getattribute__
# The class of module `select` while a recordable thread lives.
_Select = type("module", (types.ModuleType,), _seen)
_lock = threading.Lock()


def _fit_modules() -> None:
    """The stand-ins are there exactly as long as a recordable thread lives."""
    select.__class__ = _Select if _of_thread else types.ModuleType
    for owner, name, real, stand_in in _PLACES:
        setattr(owner, name, stand_in if _of_thread else real)


def _forked() -> None:
    """In a child only the thread that forked lives on (fork(2))."""
    global _lock
    _lock = threading.Lock()
    for thread in _of_thread.keys() - {threading.get_ident()}:
        del _of_thread[thread]
    _fit_modules()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def taken_by_name(function: Callable) -> list[str]:
    """Names in the module of a function that stand for the real select, poll or epoll: `from select import epoll` binds one.

    A recordable thread that waits through such a name goes past the recorder.
    """
    names = list(getattr(function, "__globals__", {}).items())
    return [name for name, value in names if value is not None and (value is _SELECT or value is _POLL or value is _EPOLL)]


@contextmanager
def recordable_thread(recorder: Recorder) -> Iterator[None]:
    """While it lasts, this thread's use of modules `select` and `selectors` can be recorded. Other threads see the real things."""
    with _lock:
        _of_thread[threading.get_ident()] = recorder
        _fit_modules()
    try:
        yield
    finally:
        with _lock:
            del _of_thread[threading.get_ident()]
            _fit_modules()
