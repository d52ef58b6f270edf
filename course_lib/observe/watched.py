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
    """A plain socket, but for one thing: its accept() hands on its class and tells the base of the connection.

    It adds no attributes, so that its layout in memory is that of `socket.socket` and its class can be exchanged.
    """

    __slots__ = ()
    recorder: Recorder
    on_accept: Callable[[socket.socket], None]

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
        self.on_accept(connection)
        return connection, peer


def _moved(result, arguments) -> tuple[object, int, bytes]:
    return result, 0, b""


def _received(result, arguments) -> tuple[object, int, bytes]:
    return len(result), 0, result[:DATA_KEPT]


def _sent(result, arguments) -> tuple[object, int, bytes]:
    data = memoryview(arguments[0]).cast("B")
    return len(data) if result is None else result, 0, bytes(data[:DATA_KEPT])


def _recorded(name: str, describe: Callable[[object, tuple], tuple[object, int, bytes]] = _moved):
    """The method `name` of socket.socket, recorded; `describe` gives what the ring keeps of its result and arguments."""
    raw = getattr(socket.socket, name)

    def method(self, *arguments):
        recorder, own = self.recorder, self.fileno()
        if recorder.held:
            recorder.before(name, own)
        entered = now()
        try:
            result = raw(self, *arguments)
        except OSError as error:
            recorder.append((name, own, entered, now(), None, error.errno, b""))
            raise
        recorder.append((name, own, entered, now(), *describe(result, arguments)))
        return result

    return method


class _Recording:
    """The methods that a recording socket has in front of those of socket.socket."""

    __slots__ = ()
    recv, recv_into = _recorded("recv", _received), _recorded("recv_into")
    send, sendall = _recorded("send", _sent), _recorded("sendall", _sent)
    shutdown, close = _recorded("shutdown"), _recorded("close")


def socket_classes(recorder: Recorder, on_accept: Callable[[socket.socket], None]) -> tuple[type, type]:
    """(quiet, recording): the two classes between which the sockets of one server change."""
    body = {"__slots__": (), "recorder": recorder, "on_accept": staticmethod(on_accept)}
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
        recorder.on_switch(self._switch)

    def _switch(self, on: bool) -> None:
        raw, epoll = self._raw, isinstance(self._raw, _EPOLL)
        own = raw.fileno() if epoll else None
        for name, call in _WAITING.items():
            method = getattr(raw, name)
            # poll's register changes a list of its own, epoll's is a system call.
            recorded = on and (epoll or name == "poll")
            setattr(self, name, _called(method, self._recorder, call if epoll else name, own) if recorded else method)

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
    _of_thread[threading.get_ident()] = recorder
    try:
        yield
    finally:
        del _of_thread[threading.get_ident()]
