"""The recorder of one server: its calls on its sockets, and its waits, and a gate in front of the next one.

Nothing stands in the server's source: `recordable` puts this recorder between the server and the kernel while it is on, and
takes it away again.

It sees what goes through the server's socket objects (accept, close, shutdown, and all that receives or sends) and through
select, poll and epoll of module `select`. It does not see what goes past them: `os.read` and `os.sendfile` on a number, a
socket after `detach()`, a wait through a name bound by `from select import epoll` or through a method kept in a variable,
and calls that neither move bytes nor wait (setsockopt, getsockname, fcntl, the making of an epoll).
"""

import errno
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Any

from .descriptors import event_names

WAITS = {"select", "poll", "epoll_wait"}
KEPT = 10_000  # calls in the ring
DATA_KEPT = 32  # bytes of the data of a call
KEPT_WHOLE = 128  # bytes; a piece so small costs less to keep than to cut

now = time.perf_counter


@dataclass(frozen=True, slots=True)
class Call:
    """One system call of a server, as it came back. `str()` gives the line that strace(1) would print.

    name        as Python knows it: "accept", "recv", "sendmsg", "close", "select", "poll", "epoll_wait", "epoll_ctl", …
    descriptor  the descriptor it was made on; None for select and poll
    entered     when it began, in seconds of `time.perf_counter()`
    seconds     how long it took
    result      what came back: bytes moved, a new descriptor, the ready descriptors, or None
    error       the name of the error ("EAGAIN"), or None
    data        the first bytes that went through, at most DATA_KEPT of them
    asked       what it was called with: the lists of a select, "[7, 9], [], []", or of a poll, "{7: POLLIN}"; the change of an
                epoll_ctl, "ADD, 7, EPOLLIN"; None for other calls
    """

    name: str
    descriptor: int | None
    entered: float
    seconds: float
    result: int | str | None = None
    error: str | None = None
    data: bytes = b""
    asked: str | None = None

    def __str__(self) -> str:
        return f"{_written(self.name, self.descriptor, self.asked)} = {cut(self.outcome)} <{self.seconds:.6f}>"

    @property
    def outcome(self) -> str:
        """What came back, in a few words: `5 b'hello'`, `-1 EAGAIN`."""
        if self.error:
            return f"-1 {self.error}"
        more = "…" if isinstance(self.result, int) and self.result > len(self.data) else ""
        return f"{0 if self.result is None else self.result}" + (f" {self.data!r}{more}" if self.data else "")


@dataclass(frozen=True, slots=True)
class Pending:
    """The call in front of which a thread of a server is held."""

    name: str
    descriptor: int | None
    asked: str | None = None
    thread: threading.Thread | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return _written(self.name, self.descriptor, self.asked)


def _written(name: str, descriptor: int | None, asked: str | None) -> str:
    return f"{name}({', '.join(str(part) for part in (descriptor, asked and cut(asked)) if part is not None)})"


def cut(text: str, length: int = 60) -> str:
    """A text of so many characters at the most."""
    return text if len(text) <= length else text[: length - 1] + "…"


class Recorder:
    """Records the calls of one server while it is on, and holds the server before its next call when told to."""

    def __init__(self) -> None:
        self.held = False
        self.stopping = False
        self.asked: list | None = None  # the lists of the select or poll that it is in, or of the last one
        self._began = 0.0
        self._wanted = False
        self._standing: dict[threading.Thread, Pending] = {}  # who stands before which call, in the order in which they came
        self._released: set[threading.Thread] = set()  # who may go, and has not gone yet
        # Also held while a socket or waiter is fitted, so that none misses a switch. Taken by itself, not through `gate`: the
        # exception that ends a thread by force may come inside of Condition's __enter__, and it would stay taken.
        self.lock = threading.RLock()
        self.gate = threading.Condition(self.lock)
        self._ring: deque[tuple] = deque(maxlen=KEPT)
        self._switches: list[weakref.WeakMethod] = []
        self.append = self._ring.append  # a tuple: see _OF_SHAPE

    @property
    def on(self) -> bool:
        """True while calls are recorded: when somebody wants it, and while the server is held."""
        return self._wanted or self.held

    @property
    def pending(self) -> Pending | None:
        """The call in front of which the server is held; with several threads, the one that a step would let go first."""
        return next(iter(self.standing), None)

    @property
    def standing(self) -> list[Pending]:
        """All calls in front of which threads of the server are held, in the order in which they came."""
        return list(self._standing.copy().values())

    # For the person who looks: what each does is told where an Observed has it under the same name.

    def record(self, on: bool) -> None:
        with self.lock:
            self._begins()
            self._wanted = on
            self._switch()

    def calls(self, last: int | None = None, since: float = 0.0) -> list[Call]:
        newest_first = takewhile(lambda entry: entry[0] > since, reversed(self._ring.copy()))
        return [_OF_SHAPE[len(entry)](*entry) for entry in islice(newest_first, last)][::-1]

    def rate(self) -> float:
        """Calls a second, up to now, of as many as are kept; 0.0 when off, and while calls of an earlier recording are among them."""
        try:
            first = self._ring[0][0]
        except IndexError:
            return 0.0
        return len(self._ring) / (now() - first) if self.on and first > self._began else 0.0

    def handed_in(self) -> dict[int, str] | None:
        return _by_number(self.asked, "POLL") if self.on and self.asked else None

    def came_back(self) -> dict[int, str] | None:
        if not self.on:
            return None
        for entry in reversed(self._ring.copy()):
            if entry[0] < self._began:
                return None
            if len(entry) > 5 and entry[3] in WAITS and isinstance(entry[4], list):
                return _by_number(entry[4], "EPOLL" if entry[3] == "epoll_wait" else "POLL")
        return None

    def hold(self) -> None:
        with self.lock:
            self._begins()
            self.held = True
            self._switch()

    def step(self, seconds: float = 1.0, of: threading.Thread | None = None) -> Call | None:
        deadline = now() + seconds
        with self.lock:
            if not self.gate.wait_for(lambda: self._standing or not self.held, seconds) or not self.held:
                return None
            thread = of if of in self._standing else next(iter(self._standing))
            call = self._standing.pop(thread)
            self._released.add(thread)
            began = now()
            self.gate.notify_all()
            while self.held and thread not in self._standing and thread.is_alive() and (left := deadline - now()) > 0:
                self.gate.wait(min(left, 0.02))  # the end of a thread is not announced
            if self.held and thread not in self._standing and thread.is_alive():
                return None
        calls = [c for c in self.calls(since=began) if (c.name, c.descriptor) == (call.name, call.descriptor)]
        return calls[0] if calls else None

    def run_on(self) -> None:
        with self.lock:
            self.held = False
            self._released.clear()
            self._switch()
            self.gate.notify_all()

    # For what stands between the server and the kernel

    def before(self, name: str, descriptor: int | None, asked: str | None = None) -> None:
        """Called by the server's thread in front of each call while it is held."""
        if self.stopping:
            return
        with self.lock:
            if not self.held or self.stopping:
                return
            thread = threading.current_thread()
            self._standing[thread] = Pending(name, descriptor, asked, thread)
            self.gate.notify_all()
            self.gate.wait_for(lambda: thread in self._released or not self.held or self.stopping)
            self._standing.pop(thread, None)
            self._released.discard(thread)

    def on_switch(self, switch: Callable[[bool], None]) -> None:
        """Have `switch(on)` called whenever recording begins or ends, and now."""
        with self.lock:
            self._switches.append(weakref.WeakMethod(switch, self._switches.remove))
            switch(self.on)

    def stop(self) -> None:
        """The server is being stopped: that wins over hold."""
        with self.lock:
            self.stopping = True
            self.gate.notify_all()

    def _begins(self) -> None:
        if not self.on:
            # What an earlier recording saw says nothing of the wait that it is in now.
            self.asked, self._began = None, now()

    def _switch(self) -> None:
        for switch in list(self._switches):
            if (call := switch()) is not None:
                call(self.on)


# An entry of the ring is a tuple of one of three shapes; the Call is made when somebody looks. What a busy server does
# most has the shortest shape. There are only numbers and texts in it, so Python's garbage collector need not walk the ring.


def _received(entered: float, left: float, descriptor: int, data: bytes) -> Call:
    return Call("recv", descriptor, entered, left - entered, len(data), None, data[:DATA_KEPT])


def _sent(entered: float, left: float, descriptor: int, count: int, data: bytes) -> Call:
    return Call("send", descriptor, entered, left - entered, count, None, data[: min(count, DATA_KEPT)])


def _any(
    entered: float, left: float, descriptor: int | None, name: str, result: Any, error: int, data: bytes, asked: Any = None
) -> Call:
    if isinstance(result, list):  # what select, poll or epoll_wait found ready
        result = _ready(name, result)
    failed = errno.errorcode.get(error, str(error)) if error else None
    return Call(name, descriptor, entered, left - entered, result, failed, data, asked_text(asked))


_OF_SHAPE: dict[int, Callable[..., Call]] = {4: _received, 5: _sent, 7: _any, 8: _any}


def _ready(name: str, found: list) -> str:
    """What a waiting call found, as text: `[7], [], []` of select, `[(7, EPOLLIN)]` of epoll_wait and poll."""
    if name == "select":
        return str(asked_text(found))
    of = "EPOLL" if name == "epoll_wait" else "POLL"
    return "[" + ", ".join(f"({number}, {event_names(events, of)})" for number, events in found) + "]"


def asked_text(asked: list | str | None) -> str | None:
    """What a call was called with, as text: the three lists of a select, `[7, 9], [], []`, or that of a poll, `{7: POLLIN}`."""
    if not isinstance(asked, list):
        return asked
    if asked and isinstance(asked[0], list):
        return ", ".join(map(str, asked))
    return "{" + ", ".join(f"{number}: {events}" for number, events in _by_number(asked, "POLL").items()) + "}"


def _by_number(told: list, of: str) -> dict[int, str]:
    """What a wait was told, or tells, by descriptor: {7: "read, write"} of select's three lists, else {7: "POLLIN"}."""
    if not told or not isinstance(told[0], list):
        return {number: event_names(events, of) for number, events in told}
    found: dict[int, str] = {}
    for name, numbers in zip(("read", "write", "except"), told):
        for number in numbers:
            found[number] = f"{found[number]}, {name}" if number in found else name
    return found
