"""One check for the engines on select(), poll() and epoll: the learner's engine runs in a process of its own."""

from __future__ import annotations

import fcntl
import gc
import os
import re
import resource
import select
import socket
import time
import weakref
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Callable

from course_lib.sandbox.attempt import Attempt
from course_lib.sandbox.outcome import Raised, Wrong
from course_lib.sandbox.stopwatch import Stopwatch
from course_lib.sandbox.talk import Talk
from course_lib.sandbox.words import a

from .ends import empty, fill, reset

if TYPE_CHECKING:
    from course_lib.sandbox.run import Run

CALLS = {"poll": "poll()", "select": "select()", "epoll": "epoll.poll()"}
_SYSTEM_CALL = {"poll": "poll", "select": "select", "epoll": "epoll_wait"}
_HIGH = 1500  # a descriptor number that select() refuses
_EVENTS = 1100  # more than Python's epoll.poll() hands over in one call by default
_PASSING = 30  # sockets that are watched and unwatched, one after the other
_IDLE, _WAITS = 20, 100  # idle sockets, and waits, while the calls of epoll_ctl() are counted
_FEW, _LOTS, _GROWS = 10, 1000, 5  # idle sockets, and by how much a wait for the many may cost more CPU time
_SHORT = 0.0009  # seconds; less than the millisecond that poll() and epoll_wait() count in
Told = list[tuple[object, bool, bool, bool]]  # what wait() returns


def check_engine(attempt: Attempt, kind: str) -> None:
    """Test an engine on "poll", "select" or "epoll". Raises Wrong with the cause."""
    listener = attempt.listen()
    address = listener.getsockname()
    try:
        run = attempt.run(partial(_use_engine, kind), listener)
    except Wrong as wrong:
        if "cannot pickle 'select." in str(wrong):  # it stands in the body of the class
            raise Wrong(
                f"A poll or epoll object outside of the methods of {attempt.name} belongs to all engines: make it in "
                "__init__."
            ) from None
        raise
    try:
        run.hear(f"{attempt.name} did not answer within 1 s")
        run.watch(0.1)  # nobody comes, so it must go on waiting
        run.until(run.asleep_in, 0.5)
        _sleeps_in(run, kind)
        woke = run.wakes()
        run.watch(0.15)
        if run.wakes() - woke > 2:
            raise Wrong(f"wait(None) wakes up again and again{run.where()}, and nobody comes: one call of {CALLS[kind]}, with None.")
        attempt.connect(address)
        run.hear("wait(None): a client has connected, the listener is watched, and wait did not return within 1 s")
        attempt.good("None is no limit: it sleeps until a client connects")
        told = run.hear(f"{attempt.name} did not answer within 1 s")
    except Raised as error:
        raise _explained(error, kind) from None
    run.alone()
    if 0 < told["events"] < _EVENTS:
        attempt.note(
            f"{_EVENTS} sockets were ready, and wait() told of {told['events']}; the others come with the next call. Python's "
            "epoll.poll(timeout, maxevents) hands over at most FD_SETSIZE-1 = 1023 events by default."
        )
    if told["copied"]:
        attempt.note(
            "a socket was closed before unwatch(), and a copy of its descriptor lived on, as in a forked process: "
            f"{told['copied']}. Its entry stays in the list, under a number that you do not know (epoll(7)); only a new "
            "list is rid of it. With unwatch() before close() it never comes so far."
        )


def _sleeps_in(run: Run, kind: str) -> None:
    call = run.asleep_in()
    if call and call != _SYSTEM_CALL[kind]:
        where = "by the clock" if call == "sleep" else f"in {call}()"
        raise Wrong(
            f"wait(None) sleeps {where}{run.where()}. Asked is {CALLS[kind]}: it sleeps until one of the sockets is ready."
        )


class _Engine:
    """The learner's engine, and what it was told about each of our sockets."""

    def __init__(self, kind: str, talk: Talk, learner: Callable) -> None:
        self.kind, self.talk, self.engine = kind, talk, learner()
        self.names: dict[int, str] = {}  # id of data -> how messages call it
        self.data: dict[str, object] = {}  # name of a socket -> its data
        self.old: list[object] = []  # data that a second watch() has replaced; kept, so that no id is used twice
        self.masks: dict[str, list[bool]] = {}  # name of a socket -> read and write of the first watch()
        for method in "watch", "unwatch", "wait":
            if not callable(getattr(self.engine, method, None)):
                raise Wrong(f"{learner.__name__} has no method {method}().")

    def watch(self, sock: socket.socket, name: str, read: bool, write: bool, data: object = None) -> object:
        """Watch it, with data of its own unless some is given. Returns the data."""
        data = [name] if data is None else data
        self.masks.setdefault(name, [read, write])
        if name in self.data:
            self.old.append(self.data[name])
            self.names[id(self.data[name])] = f"old data of {name}"
        self.data[name] = data
        self.names[id(data)] = f"data of {name}"
        self.engine.watch(sock, read, write, data)
        return data

    def unwatch(self, sock: socket.socket) -> None:
        number = sock.fileno()
        self.engine.unwatch(sock)
        if sock.fileno() != number:
            raise Wrong("unwatch() closed the socket: the caller may still need it. Only take it out of the engine.")

    def wait(self, seconds: float | None) -> Told:
        got = self.engine.wait(seconds)
        if got is None:
            raise Wrong(f"wait({seconds}) returned None: return a list, [] if nobody is ready.")
        if not isinstance(got, list):
            raise Wrong(f"wait({seconds}) returned {a(got)}: return a list.")
        for entry in got:
            if not isinstance(entry, tuple) or len(entry) != 4:
                raise Wrong(
                    f"wait({seconds}) returned a list with {a(entry)} in it: each entry is a tuple (data, readable, "
                    "writable, hup)."
                )
            if not all(isinstance(flag, bool) for flag in entry[1:]):
                raise Wrong(
                    f"wait({seconds}) returned {self.shown([entry])}: readable, writable and hup are True or False; "
                    "bool(bits & mask) makes "
                    "one of a mask."
                )
        return got

    def shown(self, got: Told) -> str:
        def named(data: object) -> str:
            if isinstance(data, socket.socket):
                return "a socket"
            name = self.names.get(id(data))
            return name if name else repr(data)[:40] if isinstance(data, int | str | None) else a(data)

        return f"[{', '.join(f'({named(data)}, {flags})' for data, *rest in got for flags in [', '.join(map(repr, rest))])}]"

    def expect(self, when: str, *expected: tuple[object, bool | None, bool | None, bool | None]) -> None:
        """Wait, and compare; None in `expected` is either. With nothing expected it looks once."""
        seconds = 60 if expected else 0
        self.compare(when, f"wait({seconds})", self.wait(seconds), *expected)

    def compare(self, when: str, call: str, got: Told, *expected: tuple[object, bool | None, bool | None, bool | None]) -> None:
        rest = [(id(data), flags) for data, *flags in expected]
        right = list(rest)
        for data, *flags in got:
            fit = next((one for one in rest if one[0] == id(data) and _fits(flags, one[1])), None)
            if fit is None:
                break
            rest.remove(fit)
        else:
            if not rest:
                return
        raise Wrong(f"{when}: {call} returned {self.shown(got)}, not {self.shown(_plain(expected))}.{self.why(got, right)}")

    def why(self, got: Told, right: list) -> str:
        numbers = [id(data) for data, *_ in got]
        known = {number: flags for number, flags in right}
        for data, readable, writable, hup in got:
            wanted = known.get(id(data))
            first = next((self.masks[name] for name, its in self.data.items() if its is data), None)
            if wanted and [readable, writable] == first != wanted[:2]:
                return " watch() was called again for this socket: from then on the new mask counts, so hand it on."
            if wanted and wanted[:2] == [True, True] and readable + writable < 2 and numbers.count(id(data)) == 1:
                return " Both bits come at once: ask with bits & mask, not with ==, and do not stop at the first."
            if any(data is old for old in self.old):
                return (
                    " watch() was called again for this socket: from then on its data, and what it waits for, are the new ones."
                )
            if id(data) not in self.names:
                return " The first part of each entry is the `data` that watch() was given, the object itself."
            if wanted and numbers.count(id(data)) > 1 and len(right) < len(got):
                return " Each socket has ONE entry, also if it is readable and writable."
            if hup and self.kind == "select":
                return " hup is always False here: select() cannot tell, and who has finished sending still reads (shutdown(2))."
            if hup and wanted and wanted[2] is False:
                return (
                    " This is no hang-up: the peer has finished sending and still reads (shutdown(2)). hup is POLLHUP or "
                    "POLLERR; "
                    "POLLRDHUP is another bit (poll(2))."
                )
            if writable and (not wanted or wanted[1] is False) and self.kind == "select":
                return " It was not asked for writable. select() gets as writers only those for which watch() said write."
            if writable and (not wanted or wanted[1] is False):
                return (
                    " It was not asked for writable. register() without a mask asks for POLLIN | POLLPRI | POLLOUT, and a "
                    "socket is writable "
                    "nearly always; a new mask takes the place of the old one."
                )
            if not (readable or writable or hup):
                return " An entry that is neither readable nor writable nor hung up says nothing: why did wait() return?"
        if len(got) < len(right) and self.kind == "epoll":
            return " All that are ready belong into the list; with `maxevents` fewer come at once." if got else ""
        return ""

    def timed(self, when: str) -> tuple[Told, float]:
        """wait(0.2): what it returned, and after how many seconds. It must not spin meanwhile."""
        self.talk.step(f"{when}, and wait(0.2) did not return within 1.2 s: {_UNITS[self.kind]}", 1.2)
        watch, begin, used = Stopwatch(), time.monotonic(), time.process_time()
        got = self.wait(0.2)
        passed, cpu = time.monotonic() - begin, time.process_time() - used
        if cpu > 0.04 or passed > 0.15 and cpu > watch.passed() / 5:
            raise Wrong(
                f"{when}, and wait(0.2) used the processor instead of sleeping. One call of {CALLS[self.kind]} sleeps for "
                "the whole time."
            )
        return got, passed

    def waits_a_short_time(self) -> None:
        """Less than a millisecond is no reason not to sleep."""
        self.talk.step(f"Nothing has come, and wait({_SHORT}) did not return within 1 s")
        passed = []
        for _ in range(5):
            begin = time.monotonic()
            self.wait(_SHORT)
            passed.append(time.monotonic() - begin)
        if min(passed) < _SHORT / 2:
            raise Wrong(
                f"Nothing has come, and wait({_SHORT}) came back at once: int() makes 0 of a part of a millisecond, and a loop that "
                f"waits for a timer spins. {_EARLY[self.kind]}"
            )

    def sleeps(self, when: str, early: str) -> None:
        """Nobody is ready: wait(0.2) takes its time and returns []. `early`: why it may come back before."""
        got, passed = self.timed(when)
        if got:
            raise Wrong(f"{when}: wait(0.2) returned {self.shown(got)}, not [].{self.why(got, [])}")
        if passed < 0.15:
            raise Wrong(f"{when}, and wait(0.2) came back after {passed:.3f} s with nothing. {early}")


_UNITS = {
    "poll": "poll() counts milliseconds, so it is seconds * 1000",
    "select": "select() counts seconds",
    "epoll": "epoll.poll() counts seconds, other than poll()",
}
_EARLY = {
    "poll": "poll() counts milliseconds: hand it seconds * 1000, and do not cut 0.2 to 0 before (Python docs, select.poll).",
    "select": "Hand `seconds` on to select() as it is.",
    "epoll": "Hand `seconds` on to epoll.poll() as it is.",
}
_OF_THE_CLASS = "Make the dicts in __init__: those in the body of the class belong to all engines."
_TAKE_OUT = {
    "poll": "unregister() takes a number out of the poll object",
    "select": "take it out of the lists that select() gets",
    "epoll": "unregister() takes a number out of the interest list",
}


def _fits(flags: list[bool], expected: list[bool | None]) -> bool:
    return all(right is None or flag == right for flag, right in zip(flags, expected))


def _plain(expected: tuple) -> Told:
    return [(data, *(bool(flag) for flag in flags)) for data, *flags in expected]


def _use_engine(kind: str, talk: Talk, learner: Callable, listener: socket.socket) -> None:
    counted = _count_epoll_ctl(learner) if kind == "epoll" else []
    talk.step(f"{learner.__name__}() and watch() did not return within 1 s")
    with ExitStack() as stack:
        _nothing_ready(kind, talk, learner, stack)
    _waits_for_ever(kind, talk, learner, listener)
    for part in _ready, _changes, _unwatches:
        with ExitStack() as stack:
            part(kind, talk, learner, stack)
    with ExitStack() as stack:
        _hangs_up(kind, talk, learner, listener, stack)
    events, copied = 0, ""
    if kind != "select":
        _high_number(kind, talk, learner)
    if kind == "epoll":
        _kernel_keeps(talk, learner, counted)
        _costs_the_same(talk, learner)
        events = _many_events(talk, learner)
        copied = _copied(talk, learner)
    talk.tell(events=events, copied=copied)


def _waits_for_ever(kind: str, talk: Talk, learner: Callable, listener: socket.socket) -> None:
    engine = _Engine(kind, talk, learner)
    data = engine.watch(listener, "the listener", True, False)
    talk.tell()
    used = time.process_time()
    got = engine.wait(None)
    used = time.process_time() - used
    if not select.select([listener], [], [], 0)[0]:
        raise Wrong("wait(None) returned and nobody had connected: None is for ever, and 0 is to look once.")
    if used > 0.04:
        raise Wrong(f"wait(None) used the processor while it waited. One call of {CALLS[kind]} sleeps for ever, with None.")
    when = "The listener is watched for reading and a client has connected"
    engine.compare(when, "wait(None)", got, (data, True, False, False))
    listener.accept()[0].close()
    talk.tell()


def _pair(stack: ExitStack) -> tuple[socket.socket, socket.socket]:
    one, its_peer = socket.socketpair()
    return stack.enter_context(one), stack.enter_context(its_peer)


def _nothing_ready(kind: str, talk: Talk, learner: Callable, stack: ExitStack) -> None:
    one, its_peer = _pair(stack)
    first, second = _Engine(kind, talk, learner), _Engine(kind, talk, learner)
    of_the_class = [value for value in vars(learner).values() if isinstance(value, (dict, list, set))]
    before = list(map(len, of_the_class))
    first.watch(one, "one", False, True)
    if list(map(len, of_the_class)) != before:
        raise Wrong(_OF_THE_CLASS)
    talk.step("Nothing has come, and wait(0) did not return within 1 s: 0 is to look once")
    if got := second.wait(0):
        raise Wrong(f"Two engines: a socket was watched by the first one, and the second one told {first.shown(got)}. {_OF_THE_CLASS}")
    first.unwatch(one)
    fill(one)
    engine = _Engine(kind, talk, learner)
    engine.watch(one, "one", True, False)
    talk.step("Nothing has come, and wait(0) did not return within 1 s: 0 is to look once")
    engine.expect("`one` is watched for reading and nothing has come")
    engine.sleeps("Nothing has come", _EARLY[kind])
    engine.waits_a_short_time()
    empty(its_peer)  # from now on `one` is writable
    talk.step("Nothing has come, and wait(0) did not return within 1 s: 0 is to look once")
    engine.expect("`one` is watched for reading and nothing has come")
    engine.sleeps(
        "Nothing has come and `one` is watched for reading",
        "`one` is writable, which nobody asked for: what the kernel waits for must be what watch() was told.",
    )
    talk.good("nothing is ready: an empty list when the time is over, and until then it sleeps")


def _ready(kind: str, talk: Talk, learner: Callable, stack: ExitStack) -> None:
    (one, its_peer), (other, others_peer), (third, its_own) = _pair(stack), _pair(stack), _pair(stack)
    engine = _Engine(kind, talk, learner)
    modes = [(sock, sock.getblocking()) for sock in (one, other, third)]
    talk.step("A socket is ready, and wait(60) did not return within 1 s")
    first, second = engine.watch(one, "one", True, False), engine.watch(other, "other", True, False)
    its_peer.send(b"hello")
    engine.expect("Bytes have come for `one`", (first, True, False, False))
    try:
        left = one.recv(100, socket.MSG_DONTWAIT | socket.MSG_PEEK)
    except BlockingIOError:
        left = b""
    if left != b"hello":
        raise Wrong("After wait() the bytes were gone: it only looks, and reading is for the caller.")
    how = ", which is level-triggered, without EPOLLET and EPOLLONESHOT (epoll(7))" if kind == "epoll" else ""
    talk.step(
        "The bytes of `one` are still unread, and the next wait(60) did not return within 1 s: a state is told as long as "
        f"it lasts{how}"
    )
    engine.expect("The bytes of `one` are still unread", (first, True, False, False))
    talk.step("A socket is ready, and wait(60) did not return within 1 s")
    one.recv(100)
    engine.expect("`one` was read until nothing was left")
    third_data = engine.watch(third, "third", False, True)
    engine.expect("`third` is watched for writing and its send buffer has room", (third_data, False, True, False))
    its_own.send(b"hello")
    engine.expect("`third` is watched for writing; it could be read too, but nobody asked", (third_data, None, True, False))
    third_data = engine.watch(third, "third", True, True)
    others_peer.send(b"hello")
    engine.expect(
        "`third` is watched for both, and readable and writable; `other` has bytes",
        (second, True, False, False), (third_data, True, True, False),
    )  # fmt: skip
    fill(third)
    engine.expect(
        "The send buffer of `third` is full; `third` and `other` have bytes",
        (second, True, False, False), (third_data, True, False, False),
    )  # fmt: skip
    others_peer.shutdown(socket.SHUT_WR)
    other.recv(100)
    engine.expect("The peer of `other` has half-closed", (second, True, False, False), (third_data, True, False, False))
    for sock, blocking in modes:
        if sock.fileno() == -1 or sock.getblocking() != blocking:
            raise Wrong("The engine closed a socket, or changed whether it is blocking: it only looks.")
    talk.good("readable, writable or both, as asked, and as long as it lasts; each socket once")


def _changes(kind: str, talk: Talk, learner: Callable, stack: ExitStack) -> None:
    one, its_peer = _pair(stack)
    engine = _Engine(kind, talk, learner)
    talk.step("A socket was watched a second time, and watch() and wait() did not return within 1 s")
    old = engine.watch(one, "one", False, True)
    engine.expect("`one` is watched for writing", (old, False, True, False))
    new = engine.watch(one, "one, changed", True, False)
    engine.expect("`one` was watched for writing, then for reading")
    its_peer.send(b"hello")
    engine.expect("`one` was watched for reading with new data, and bytes have come", (new, True, False, False))
    engine.watch(one, "one, for nothing", False, False)
    engine.expect("`one` is watched for neither reading nor writing, and has bytes")
    engine.sleeps(
        "`one` has bytes, room to send, and is watched for neither",
        "The kernel still waits for something that watch() took back: a new mask takes the place of the old one.",
    )
    talk.step("A socket was watched a second time, and watch() and wait() did not return within 1 s")
    for data in 0, ("a", "tuple"), socket.socket, {}:
        engine.watch(one, repr(data), True, False, data)
        engine.expect(f"`one` was watched with {data!r} as data: any object will do", (data, True, False, False))
    engine.engine.watch(one, True, False, None)
    engine.engine.watch(its_peer, False, True, None)
    engine.names[id(None)] = "None"
    engine.expect(
        "Two sockets were watched with None as data: any object will do",
        (None, True, False, False), (None, False, True, False),
    )  # fmt: skip
    talk.good("watch() again changes what is waited for, and data; any object is data")


class _Data:
    """Data that one can see disappear."""


def _unwatches(kind: str, talk: Talk, learner: Callable, stack: ExitStack) -> None:
    engine = _Engine(kind, talk, learner)
    (one, its_peer), (other, others_peer) = _pair(stack), _pair(stack)
    talk.step("unwatch(), and then wait(), did not return within 1 s")
    engine.watch(one, "one", True, False)
    data = engine.watch(other, "other", True, False)
    its_peer.send(b"hello")
    others_peer.send(b"hello")
    engine.unwatch(one)
    talk.step("`one` and `other` have bytes, `one` was unwatched, and wait(60) did not return within 1 s")
    engine.expect("`one` and `other` have bytes, and `one` was unwatched", (data, True, False, False))
    other.recv(100)
    engine.sleeps("`one` has bytes and was unwatched, `other` has none", f"The kernel still waits for `one`: {_TAKE_OUT[kind]}.")
    talk.step("A socket was watched again after unwatch(), and wait(60) did not return within 1 s")
    data = engine.watch(one, "one", True, False)
    engine.expect("`one` was unwatched and is watched again", (data, True, False, False))

    talk.step("unwatch() of a closed socket, and then wait(), did not return within 1 s")
    one.close()
    engine.unwatch(one)
    engine.expect("`one` was closed and then unwatched")
    kept, socks = [], []
    for number in range(_PASSING):
        sock, peer = _pair(stack)
        thing = _Data()
        kept.append(weakref.ref(thing))
        socks.append(weakref.ref(sock))
        peer.send(b"hello")
        engine.engine.watch(sock, True, False, thing)
        engine.names[id(thing)] = "data of the new one"
        if number % 2:
            engine.expect("A new socket, with the number of a closed one, is watched and has bytes", (thing, True, False, False))
            engine.unwatch(sock)
            sock.close()
        else:
            sock.close()
            engine.unwatch(sock)
        peer.close()
        del engine.names[id(thing)]
    stack.pop_all().close()
    thing = sock = peer = None
    gc.collect()
    if sum(ref() is not None for ref in kept) > _PASSING / 5:
        raise Wrong(
            f"{_PASSING} sockets were watched and unwatched, and the engine still holds the data of most of them: it grows "
            "with every client "
            "that ever came. Take the entry out of each dict and list."
        )
    if sum(ref() is not None for ref in socks) > _PASSING / 5:
        raise Wrong(
            f"{_PASSING} sockets were watched and unwatched, and the engine still holds most of them: it grows with every "
            "client that ever "
            "came. Take the entry out of each dict and list."
        )
    talk.good("unwatch(), also of a closed socket: it is forgotten")


def _hangs_up(kind: str, talk: Talk, learner: Callable, listener: socket.socket, stack: ExitStack) -> None:
    engine = _Engine(kind, talk, learner)
    client = stack.enter_context(socket.create_connection(listener.getsockname()))
    sock = stack.enter_context(listener.accept()[0])
    talk.step("The peer sent a reset, and wait(60) did not return within 1 s")
    data = engine.watch(sock, "one", True, False)
    client.send(b"!", socket.MSG_OOB)
    urgent = select.poll()
    urgent.register(sock, select.POLLPRI)
    if urgent.poll(300):
        engine.expect("An urgent byte has come for `one`, which recv() does not give (tcp(7)), and it is watched for reading")
    reset(client)
    what = "The peer of `one` sent a reset"
    if kind == "select":
        engine.expect(f"{what}; `one` is watched for reading", (data, True, None, None))
        talk.good("a peer that hung up: the socket is readable")
        return
    _told_as_hup(engine, data, f"{what}, `one` is watched for reading", "POLLHUP", read=True)
    data = engine.watch(sock, "one", False, True)
    _told_as_hup(engine, data, f"{what}, `one` is watched for writing", "POLLHUP", write=True)
    data = engine.watch(sock, "one", False, False)
    _told_as_hup(engine, data, f"{what}, `one` is watched for neither reading nor writing", "POLLHUP")
    engine.unwatch(sock)
    engine.expect("`one` had hung up and was unwatched")
    one, its_peer = _pair(stack)
    its_peer.close()
    data = engine.watch(one, "one", False, False)
    _told_as_hup(engine, data, "The peer of `one`, a local socket, has closed, and no error waits", "POLLHUP")
    engine.unwatch(one)
    _waiting_error(engine, stack)
    talk.good("hup: the peer hung up, or an error waits; also where neither reading nor writing was asked for")


def _told_as_hup(engine: _Engine, data: object, what: str, bit: str, read: bool = False, write: bool = False) -> None:
    """The kernel reports this bit, unasked, as long as it lasts, and so must wait(). `read`, `write`: what was asked for."""
    reports = f"{what}, and the kernel reports {bit}, which it does unasked (poll(2))"
    for time_ in "first", "second":
        got, _ = engine.timed(what)
        if not got and time_ == "second":
            raise Wrong(
                f"{reports}: the first wait(0.2) told of it, and the second did not. To take a socket out is for the caller, "
                "with unwatch()."
            )
        if not got:
            raise Wrong(f"{reports}. wait(0.2) told nothing of it: so nobody closes, and no wait sleeps any more.")
        if len(got) != 1 or got[0][0] is not data:
            raise Wrong(f"{reports}. wait(0.2) returned {engine.shown(got)}, not one entry with the data of `one`.")
        if not got[0][3]:
            raise Wrong(
                f"{reports}. wait(0.2) returned {engine.shown(got)}: hup must be True, or it comes back for ever and nobody "
                "closes."
            )
        if got[0][1] > read or got[0][2] > write:
            word = "readable" if got[0][1] > read else "writable"
            raise Wrong(f"{what}. wait(0.2) returned {engine.shown(got)}: nobody asked for {word}; only hup comes unasked.")


def _waiting_error(engine: _Engine, stack: ExitStack) -> None:
    """POLLERR without POLLHUP: a UDP socket whose datagram nobody took (ICMP port unreachable)."""
    gone = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    gone.bind(("127.0.0.1", 0))
    udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    udp.connect(gone.getsockname())
    gone.close()
    udp.send(b"x")
    look = select.poll()
    look.register(udp, 0)
    if not look.poll(300):
        return  # this machine's loopback does not say so
    data = engine.watch(udp, "one", False, False)
    _told_as_hup(engine, data, "An error waits in `one`", "POLLERR")
    engine.unwatch(udp)


def _high_number(kind: str, talk: Talk, learner: Callable) -> None:
    if not room(_HIGH + 1):
        return
    with ExitStack() as stack:
        one, its_peer = _pair(stack)
        high = stack.enter_context(socket.socket(fileno=fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, _HIGH)))
        engine = _Engine(kind, talk, learner)
        talk.step(f"Descriptor {_HIGH} has bytes, and wait(60) did not return within 1 s")
        data = engine.watch(high, "one", True, False)
        its_peer.send(b"hello")
        engine.expect(f"The socket with the number {high.fileno()} has bytes", (data, True, False, False))
        engine.unwatch(high)
    talk.good(f"descriptor {_HIGH}, far above the wall of select()")


def room(number: int) -> bool:
    """Allow this process as many descriptors; False if the machine does not (getrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
    return number <= hard


def _kernel_keeps(talk: Talk, learner: Callable, counted: list[str]) -> None:
    with ExitStack() as stack:
        before = _interest()
        engine = _Engine("epoll", talk, learner)
        talk.step("Some idle sockets are watched, and wait(0) did not return within 1 s")
        socks = [stack.enter_context(sock) for _ in range(_IDLE // 2) for sock in socket.socketpair()]
        for number, sock in enumerate(socks):
            engine.watch(sock, f"number {number}", True, False)
        made = {number: inside for number, inside in _interest().items() if number not in before}
        if not made:
            raise Wrong("A socket is watched, and no epoll descriptor is open: make one select.epoll() in __init__ and keep it.")
        if not any(set(inside) == {sock.fileno() for sock in socks} for inside in made.values()):
            raise Wrong(
                f"watch() was called for {_IDLE} sockets, and the kernel's interest list holds "
                f"{len(next(iter(made.values())))}: watch() and "
                "unwatch() call epoll_ctl() at once, and wait() has nothing to hand over (epoll(7)). /proc/self/fdinfo "
                "shows the list."
            )
        counted.clear()
        for _ in range(_WAITS):
            engine.wait(0)
        if counted:
            raise Wrong(
                f"epoll_ctl() was called {len(counted)} times for {_WAITS} waits with {_IDLE} idle sockets ({counted[0]}): "
                "the interest list "
                "stays in the kernel from one wait to the next (epoll(7)). Only watch() and unwatch() change it."
            )
        if not any(set(inside) == {sock.fileno() for sock in socks} for inside in _interest().values()):
            raise Wrong("After some waits the kernel's interest list is not what it was: only watch() and unwatch() change it.")
        for sock in socks[::2]:
            engine.unwatch(sock)
        left = {sock.fileno() for sock in socks[1::2]}
        if not any(set(inside) == left for inside in _interest().values()):
            raise Wrong(
                f"{_IDLE // 2} of {_IDLE} sockets were unwatched, and the kernel's interest list does not hold the other "
                f"{_IDLE // 2}: "
                "unregister() takes one out (epoll_ctl(2))."
            )
    talk.good("the interest list stays in the kernel: no epoll_ctl() while it waits")


def _copied(talk: Talk, learner: Callable) -> str:
    """What an engine does with the entry of a socket that was closed before unwatch(), while a copy of it lives; "" if all is well."""
    with ExitStack() as stack:
        one, its_peer = _pair(stack)
        engine = learner()
        engine.watch(one, True, False, "one")
        stack.enter_context(one.dup())
        one.close()
        engine.unwatch(one)
        its_peer.send(b"hello")
        talk.step("A socket was closed before unwatch(), and a copy of its descriptor lives: wait(0) did not return within 1 s")
        try:
            told = [engine.wait(0), engine.wait(0)]
            begin = time.monotonic()
            told.append(engine.wait(0.05))
        except Exception as error:
            return f"wait() raised {type(error).__name__}"
        if any(told):
            return "wait() still told of it"
        return "no wait sleeps any more" if time.monotonic() - begin < 0.03 else ""


def _costs_the_same(talk: Talk, learner: Callable) -> None:
    """CPU time of one wait must not grow with the number of idle sockets."""
    if not room(_LOTS + 200):
        return

    def cost(idle: int) -> float:
        with ExitStack() as stack:
            (one, _), (busy, its_peer) = _pair(stack), _pair(stack)
            its_peer.send(b"hello")
            engine = _Engine("epoll", talk, learner).engine
            engine.watch(busy, True, False, "busy")
            for number in range(idle):
                engine.watch(stack.enter_context(one.dup()), True, False, number)
            used = time.thread_time()
            for _ in range(_WAITS):
                engine.wait(0)
            return time.thread_time() - used

    talk.step(f"{_LOTS} idle sockets are watched, and {_WAITS} waits did not return within 2 s", 2.0)
    few, many = (min(cost(idle) for _ in range(3)) for idle in (_FEW, _LOTS))
    if many > _GROWS * few:
        raise Wrong(
            f"A wait with {_LOTS} idle sockets costs {many / few:.0f} times the CPU time of one with {_FEW}: wait() goes over all "
            "that are watched. The kernel gives the ready ones alone (epoll(7)): look up just these."
        )
    talk.good(f"a wait costs the same with {_LOTS} idle sockets as with {_FEW}")


def _interest() -> dict[int, list[int]]:
    """Each epoll descriptor of this process, and the numbers in its interest list (proc(5))."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            if "eventpoll" in os.readlink(f"/proc/self/fd/{number}"):
                text = Path(f"/proc/self/fdinfo/{number}").read_text()
                found[int(number)] = list(map(int, re.findall(r"^tfd:\s+(\d+)", text, re.MULTILINE)))
        except FileNotFoundError:  # the number of the listing itself
            pass
    return found


def _many_events(talk: Talk, learner: Callable) -> int:
    """How many of 1100 ready sockets one wait tells of; 0 if this machine gives no room for them."""
    if not room(_EVENTS + 200):
        return 0
    with ExitStack() as stack:
        one, its_peer = _pair(stack)
        its_peer.send(b"hello")
        engine = _Engine("epoll", talk, learner)
        talk.step(f"{_EVENTS} sockets are ready, and wait(0) did not return within 1 s")
        for number in range(_EVENTS):
            engine.engine.watch(stack.enter_context(one.dup()), True, False, number)
        seen, first = set(), 0
        for _ in range(_EVENTS):
            told = engine.wait(0)
            first = first or len(told)
            seen.update(data for data, *_ in told)
            if len(seen) == _EVENTS:
                return first
            if not told:
                break
        raise Wrong(f"{_EVENTS} sockets were ready, and wait() told of {len(seen)} of them, however often it was called.")


class _Counted:
    """An epoll object that remembers each change of its interest list."""

    def __init__(self, raw: "select.epoll", calls: list[str]) -> None:
        self._raw, self._calls = raw, calls

    def __getattr__(self, name: str) -> object:
        found = getattr(self._raw, name)
        if name in ("register", "modify", "unregister"):
            self._calls.append(name)
        return found

    def __enter__(self) -> "_Counted":
        return self

    def __exit__(self, *exception: object) -> None:
        self._raw.close()


def _count_epoll_ctl(learner: Callable) -> list[str]:
    """From now on the list that is returned grows with each register(), modify() and unregister() of the learner's code."""
    calls, raw = [], select.epoll

    def epoll(*arguments: int, **named: int) -> _Counted:
        return _Counted(raw(*arguments, **named), calls)

    select.epoll = epoll
    for function in vars(learner).values():
        if isinstance(function, FunctionType):
            for name, value in list(function.__globals__.items()):
                if value is raw:  # from select import epoll
                    function.__globals__[name] = epoll
    return calls


def _explained(error: Raised, kind: str) -> Exception:
    """The cause, where an exception of an engine has a typical one."""
    if error.type == "FileExistsError":
        why = (
            "The number is in epoll's interest list already (EEXIST, epoll_ctl(2)): register() the first time, modify() from then on."
        )
    elif error.type == "FileNotFoundError":
        why = (
            "The number is not in epoll's interest list (ENOENT, epoll_ctl(2)). modify() is for those that are in it, "
            "register() for new "
            "ones; and a socket that was closed has left the list by itself."
        )
    elif error.errno == 9 and kind == "select":  # EBADF
        why = "A closed socket still stands in what select() gets: unwatch() takes it out, also after close()."
    elif error.errno == 9:  # EBADF
        why = "The number names nothing any more (EBADF): close() has taken the socket out of epoll's list already (epoll(7))."
    elif "out of range in select" in error.text:
        why = f"It is select() that refuses numbers from 1024 on: asked is {CALLS[kind]}."
    elif error.type == "ValueError" and re.search(r"negative integer|\(-1\)", error.text):
        why = (
            "A closed socket's fileno() is -1: unwatch() works after close() too, so the engine has to remember the number, or the "
            "sock itself."
        )
    elif error.type == "KeyError" and error.text.strip("'") == "-1":
        why = (
            "A closed socket's fileno() is -1: unwatch() works after close() too, so remember the number in a dict from the sock "
            "to it."
        )
    elif error.type == "KeyError" and error.text.isdigit():
        why = (
            f"The kernel still tells of number {error.text}, and your dict has it no more: unwatch() takes it out of both, "
            "with unregister()."
        )
    elif error.type == "TypeError" and "unhashable" in error.text:
        why = "`data` is any object, also one that cannot be a key: let the number or the sock be the key."
    elif error.type == "TypeError" and "NoneType" in error.text:
        why = "wait(None) waits for ever: None is no number to count with."
    else:
        return error
    return Wrong(f"{error} {why}")
