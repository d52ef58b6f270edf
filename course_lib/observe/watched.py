"""What the base hands to a server instead of the raw things, so that a Recorder can step in between.

Off, a server's calls go straight to C: its sockets are of a class that overrides nothing but `accept`, and the
attributes of its epoll and poll objects are the raw methods.
"""

import select
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .recorder import DATA_KEPT, Recorder, now

_EPOLL, _POLL, _SELECT = select.epoll, select.poll, select.select
_of_thread: dict[int, Recorder] = {}  # thread -> the recorder of the server that it runs


class WatchedSocket(socket.socket):
    """A plain socket, but for one thing: it tells the base of the sockets that come from it, by accept() or dup().

    It adds no attributes, so that its layout in memory is that of `socket.socket` and its class can be exchanged.
    """

    __slots__ = ()
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
                recorder.append(("accept", own, entered, now(), None, error.errno, b""))
            raise
        if recorder.on:
            recorder.append(("accept", own, entered, now(), number, 0, b""))
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


_RECV, _SEND, _FILENO = socket.socket.recv, socket.socket.send, socket.socket.fileno


def _recv(self, *arguments):
    """recv, recorded. It and _send are what a busy server calls most: written out, they cost half of `_recorded`."""
    recorder = self.recorder
    if recorder.held:
        recorder.before("recv", _FILENO(self))
    entered = now()
    try:
        data = _RECV(self, *arguments)
    except OSError as error:
        recorder.append(("recv", _FILENO(self), entered, now(), None, error.errno, b""))
        raise
    recorder.append(("recv", _FILENO(self), entered, now(), len(data), 0, data[:DATA_KEPT]))
    return data


def _send(self, data, *flags):
    """send, recorded."""
    recorder = self.recorder
    if recorder.held:
        recorder.before("send", _FILENO(self))
    entered = now()
    try:
        count = _SEND(self, data, *flags)
    except OSError as error:
        recorder.append(("send", _FILENO(self), entered, now(), None, error.errno, b""))
        raise
    left = now()
    kept = count if count < DATA_KEPT else DATA_KEPT
    recorder.append(("send", _FILENO(self), entered, left, count, 0, data[:kept] if type(data) is bytes else _begin(data, kept)))
    return count


def _begin(data, count: int) -> bytes:
    """The first bytes of anything that send() takes."""
    return bytes(memoryview(data).cast("B")[:count])


def _recorded(name: str):
    """The method `name` of socket.socket, recorded."""
    raw = getattr(socket.socket, name)

    def method(self, *arguments, **named):
        recorder, own = self.recorder, self.fileno()
        if own < 0:  # closed: Python answers by itself, there is no system call
            return raw(self, *arguments, **named)
        if recorder.held:
            recorder.before(name, own)
        entered = now()
        try:
            result = raw(self, *arguments, **named)
        except OSError as error:
            recorder.append((name, own, entered, now(), None, error.errno, b""))
            raise
        left = now()
        moved = (memoryview(arguments[0]).nbytes, 0, _begin(arguments[0], DATA_KEPT)) if name == "sendall" else (result, 0, b"")
        recorder.append((name, own, entered, left, *moved))
        return result

    return method


class _Recording:
    """The methods that a recording socket has in front of those of socket.socket."""

    __slots__ = ()
    recv, send = _recv, _send
    recv_into, sendall, shutdown, close = map(_recorded, ("recv_into", "sendall", "shutdown", "close"))


def socket_classes(recorder: Recorder, adopt: Callable[[socket.socket], None]) -> tuple[type, type]:
    """(quiet, recording): the two classes between which the sockets of one server change."""
    body = {"__slots__": (), "recorder": recorder, "adopt": staticmethod(adopt)}
    quiet = type("WatchedSocket", (WatchedSocket,), body)
    return quiet, type("RecordedSocket", (_Recording, quiet), {"__slots__": ()})


# select, poll and epoll


def _called(raw: Callable, recorder: Recorder, name: str, descriptor: int | None, describe: Callable = lambda result: result):
    """The function `raw`, recorded."""

    def call(*arguments, **named):
        if recorder.held:
            recorder.before(name, descriptor)
        entered = now()
        try:
            result = raw(*arguments, **named)
        except OSError as error:
            recorder.append((name, descriptor, entered, now(), None, error.errno, b""))
            raise
        recorder.append((name, descriptor, entered, now(), describe(result), 0, b""))
        return result

    return call


class _Waiter:
    """A poll or epoll object whose methods are the raw ones until its server is recorded."""

    def __init__(self, raw, recorder: Recorder) -> None:
        self._raw, self._recorder = raw, recorder
        self._own = raw.fileno() if isinstance(raw, _EPOLL) else None
        recorder.on_switch(self._switch)

    def _switch(self, on: bool) -> None:
        epoll = self._own is not None
        for name, call in _WAITING.items():
            method = getattr(self._raw, name)
            # poll's register changes a list of its own, epoll's is a system call.
            recorded = on and (epoll or name == "poll")
            setattr(self, name, _called(method, self._recorder, call if epoll else name, self._own) if recorded else method)

    def __getattr__(self, name: str):
        return getattr(self._raw, name)

    def __enter__(self) -> "_Waiter":
        return self

    def __exit__(self, *error) -> None:
        self._raw.close()


_WAITING = {"poll": "epoll_wait", "register": "epoll_ctl", "modify": "epoll_ctl", "unregister": "epoll_ctl"}


class _EpollMaker(type):
    def __call__(cls, *arguments, **named):
        raw, recorder = _EPOLL(*arguments, **named), _of_thread.get(threading.get_ident())
        return _Waiter(raw, recorder) if recorder else raw

    def __instancecheck__(cls, thing) -> bool:
        return isinstance(thing, (_EPOLL, _Waiter))


class _Epoll(metaclass=_EpollMaker):
    """Stands in module `select` for its epoll."""

    fromfd = _EPOLL.fromfd


def _poll():
    raw, recorder = _POLL(), _of_thread.get(threading.get_ident())
    return _Waiter(raw, recorder) if recorder else raw


def _select(*arguments):
    recorder = _of_thread.get(threading.get_ident())
    if recorder is None or not recorder.on:
        return _SELECT(*arguments)
    return _called(_SELECT, recorder, "select", None, _numbers)(*arguments)


def _numbers(ready: tuple[list, list, list]) -> list[list[int]]:
    return [[thing if isinstance(thing, int) else thing.fileno() for thing in things] for things in ready]


@contextmanager
def recorded_thread(recorder: Recorder) -> Iterator[None]:
    """While it lasts, this thread's use of module `select` can be recorded. Other threads get the raw things."""
    select.epoll, select.poll, select.select = _Epoll, _poll, _select
    selectors.EpollSelector._selector_cls, selectors.PollSelector._selector_cls = _Epoll, staticmethod(_poll)
    selectors.SelectSelector._select = staticmethod(_select)
    _of_thread[threading.get_ident()] = recorder
    try:
        yield
    finally:
        del _of_thread[threading.get_ident()]
