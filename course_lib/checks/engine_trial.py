"""The learner's engine, what it was told about each socket, and what its answers and exceptions say."""

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from course_lib.sandbox import Stopwatch, Talk, Wrong, a

from .probe import first

CALLS = {"poll": "poll()", "select": "select()", "epoll": "epoll.poll()"}
_SHORT = 0.0009  # seconds; less than the millisecond that poll() and epoll_wait() count in
Told = list[tuple[object, bool, bool, bool]]  # what wait() returns
Entry = tuple[object, bool | None, bool | None, bool | None]  # as it is expected; None is either


class EngineTrial:
    """The learner's engine, what it was told about each of our sockets, and our sockets, which `stack` closes."""

    def __init__(self, kind: str, talk: Talk, learner: Callable, listener: socket.socket, stack: ExitStack) -> None:
        self.name = f"{kind.capitalize()}Engine"
        talk.step(f"{self.name}() did not return within 1 s")
        self.kind, self.talk, self.learner, self.listener, self.stack = kind, talk, learner, listener, stack
        self.engine = learner()
        self.names: dict[int, str] = {}  # id of data -> how messages call it
        self.data: dict[str, object] = {}  # name of a socket -> its data
        self.old: list[object] = []  # data that a second watch() has replaced; kept, so that no id is used twice
        self.masks: dict[str, list[bool]] = {}  # name of a socket -> read and write of the first watch()
        for method in "watch", "unwatch", "wait":
            if not callable(getattr(self.engine, method, None)):
                raise Wrong(f"{self.name} has no method {method}().")

    def another(self) -> "EngineTrial":
        return EngineTrial(self.kind, self.talk, self.learner, self.listener, self.stack)

    def pair(self) -> list[socket.socket]:
        """Two sockets, the ends of a connection."""
        return [self.stack.enter_context(sock) for sock in socket.socketpair()]

    def watch(self, sock: socket.socket, name: str, read: bool, write: bool, data: object = None) -> object:
        """Watch it, with data of its own unless some is given. Returns the data."""
        data = [name] if data is None else data
        self.masks.setdefault(name, [read, write])
        if name in self.data:
            self.old.append(self.data[name])
            self.names[id(self.data[name])] = f"old data of {name}"
        self.data[name] = data
        self.names[id(data)] = f"data of {name}"
        self.talk.step(f"watch(sock, {read}, {write}, data) did not return within 1 s")
        self.engine.watch(sock, read, write, data)
        return data

    def unwatch(self, sock: socket.socket) -> None:
        number = sock.fileno()
        self.talk.step(f"unwatch(){' of a closed socket' if number == -1 else ''} did not return within 1 s")
        self.engine.unwatch(sock)
        if sock.fileno() != number:
            raise Wrong("unwatch() closed the socket: the caller may still need it. Only take it out of the engine.")

    def wait(self, seconds: float | None) -> Told:
        got, returned = self.engine.wait(seconds), f"wait({seconds}) returned"
        if not isinstance(got, list):
            raise Wrong(f"{returned} {a(got)}: return a list, [] if nobody is ready.")
        for entry in got:
            if not isinstance(entry, tuple) or len(entry) != 4:
                raise Wrong(f"{returned} a list with {a(entry)} in it: each entry is a tuple (data, readable, writable, hup).")
            if not all(isinstance(flag, bool) for flag in entry[1:]):
                raise Wrong(
                    f"{returned} {self.shown([entry])}: readable, writable and hup are True or False; bool(bits & mask) makes one of a "
                    "mask."
                )
        return got

    def shown(self, got: Sequence[tuple]) -> str:
        def named(data: object) -> str:
            if isinstance(data, socket.socket):
                return "a socket"
            name = self.names.get(id(data))
            return name if name else repr(data)[:40] if isinstance(data, int | str | None) else a(data)

        return f"[{', '.join(f'({named(data)}, {flags})' for data, *rest in got for flags in [', '.join(map(repr, rest))])}]"

    def expect(self, when: str, *expected: Entry, late: str = "") -> None:
        """Wait, and compare; None in `expected` is either. With nothing expected it looks once. `late`: why it may not come back."""
        seconds, late = (60, late) if expected else (0, ": 0 is to look once")
        self.talk.step(f"{when}, and wait({seconds}) did not return within 1 s{late}")
        self.compare(when, f"wait({seconds})", self.wait(seconds), *expected)

    def compare(self, when: str, call: str, got: Told, *expected: Entry) -> None:
        right = [(id(data), flags) for data, *flags in expected]
        fits = [[number == id(data) and _fits(flags, wanted) for number, wanted in right] for data, *flags in got]
        if len(got) != len(right) or not all(map(any, fits)) or not all(map(any, zip(*fits))):
            wanted = self.shown([(data, *map(bool, flags)) for data, *flags in expected])
            raise Wrong(f"{when}: {call} returned {self.shown(got)}, not {wanted}.{self.why(got, right)}")

    def why(self, got: Told, right: list) -> str:
        numbers, known, by_select = [id(data) for data, *_ in got], dict(right), self.kind == "select"
        for data, *flags in got:
            readable, writable, hup = flags
            number, wanted = id(data), known.get(id(data))
            times, old = numbers.count(number), any(data is old for old in self.old)
            mask = next((self.masks[name] for name, its in self.data.items() if its is data), None)
            stays = wanted and flags[:2] == mask != wanted[:2]
            half = wanted and wanted[:2] == [True, True] and readable + writable < 2 and times == 1
            unasked = writable and (not wanted or wanted[1] is False)
            causes = {
                "watch() was called again for this socket: from then on the new mask counts, so hand it on.": stays,
                "Both bits come at once: ask with bits & mask, not with ==, and do not stop at the first.": half,
                "watch() was called again for this socket: from then on its data, and what it waits for, are the new ones.": old,
                "The first part of each entry is the `data` that watch() was given, the object itself.": number not in self.names,
                "Each socket has ONE entry, also if it is readable and writable.": wanted and times > 1 and len(right) < len(got),
                "hup is always False here: select() cannot tell, and who has finished sending still reads (shutdown(2)).": hup
                and by_select,
                "This is no hang-up: the peer has finished sending and still reads (shutdown(2)). hup is POLLHUP or POLLERR; "
                "POLLRDHUP is another bit (poll(2)).": hup and wanted and wanted[2] is False,
                "It was not asked for writable. select() gets as writers only those for which watch() said write.": unasked
                and by_select,
                "It was not asked for writable. register() without a mask asks for POLLIN | POLLPRI | POLLOUT, and a socket is "
                "writable nearly always; a new mask takes the place of the old one.": unasked,
                "An entry that is neither readable nor writable nor hung up says nothing: why did wait() return?": not any(flags),
            }
            if cause := first(causes):
                return f" {cause}"
        if 0 < len(got) < len(right) and self.kind == "epoll":
            return " All that are ready belong into the list; with `maxevents` fewer come at once."
        return ""

    def timed(self, when: str) -> tuple[Told, float]:
        """wait(0.2): what it returned, and after how many seconds. It must not spin meanwhile."""
        self.talk.step(f"{when}, and wait(0.2) did not return within 1.2 s: {_UNITS[self.kind]}", 1.2)
        watch, begin, used = Stopwatch(), time.monotonic(), time.process_time()
        got = self.wait(0.2)
        passed, cpu = time.monotonic() - begin, time.process_time() - used
        if cpu > 0.04 or passed > 0.15 and cpu > watch.passed() / 5:
            spins = f"{when}, and wait(0.2) used the processor instead of sleeping."
            raise Wrong(f"{spins} One call of {CALLS[self.kind]} sleeps for the whole time.")
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
                f"waits for a timer spins. {EARLY[self.kind]}"
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
EARLY = {
    "poll": "poll() counts milliseconds: hand it seconds * 1000, and do not cut 0.2 to 0 before (Python docs, select.poll).",
    "select": "Hand `seconds` on to select() as it is.",
    "epoll": "Hand `seconds` on to epoll.poll() as it is.",
}
OF_THE_CLASS = "Make the dicts in __init__: those in the body of the class belong to all engines."
TAKE_OUT = {
    "poll": "unregister() takes a number out of the poll object",
    "select": "take it out of the lists that select() gets",
    "epoll": "unregister() takes a number out of the interest list",
}


def remembering(engine_class: type) -> Any:
    """This engine of the course's; `watched` is what it watches: for both reading and writing? and the data."""

    class Remembering(engine_class):
        def __init__(self) -> None:
            super().__init__()
            self.watched: dict[socket.socket, tuple[bool, object]] = {}

        def watch(self, sock: socket.socket, read: bool, write: bool, data: object) -> None:
            super().watch(sock, read, write, data)
            self.watched[sock] = bool(read and write), data

        def unwatch(self, sock: socket.socket) -> None:
            super().unwatch(sock)
            del self.watched[sock]

    return Remembering


def _fits(flags: list[bool], expected: list[bool | None]) -> bool:
    return all(right is None or flag == right for flag, right in zip(flags, expected))


def causes(kind: str) -> dict[str, str]:
    """What an exception says about an engine on "poll", "select" or "epoll"."""
    return {
        "FileExistsError": "The number is in epoll's interest list already (EEXIST, epoll_ctl(2)): register() the first time, modify() "
        "from then on.",
        "FileNotFoundError": "The number is not in epoll's interest list (ENOENT, epoll_ctl(2)). modify() is for those that are in it, "
        "register() for new ones; and a socket that was closed has left the list by itself.",
        "EBADF": "A closed socket still stands in what select() gets: unwatch() takes it out, also after close()."
        if kind == "select"
        else "The number names nothing any more (EBADF): close() has taken the socket out of epoll's list already (epoll(7)).",
        ": out of range in select": f"It is select() that refuses numbers from 1024 on: asked is {CALLS[kind]}.",
        r"ValueError: negative integer|\(-1\)": "A closed socket's fileno() is -1: unwatch() works after close() too, so the engine has "
        "to remember the number, or the sock itself.",
        "KeyError: ^'?-1'?$": "A closed socket's fileno() is -1: unwatch() works after close() too, so remember the number in a dict from "
        "the sock to it.",
        r"KeyError: ^\d+$": "The kernel still tells of number {text}, and your dict has it no more: unwatch() takes it out of both, with "
        "unregister().",
        "TypeError: unhashable": "`data` is any object, also one that cannot be a key: let the number or the sock be the key.",
        "TypeError: NoneType": "wait(None) waits for ever: None is no number to count with.",
    }
