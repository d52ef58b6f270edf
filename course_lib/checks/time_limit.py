"""Exercise 9.4: a time limit for each request, and the check that tries it in virtual time, where a busy machine makes nobody late."""

from __future__ import annotations

import gc
import math
import os
import select
import socket
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

from course_lib.sandbox import Attempt, Talk, Wrong, a, wait_until
from course_lib.sandbox.talk import describe

from .ends import accepted, reset
from .loop_trial import pair
from .probe import raise_first
from .protocol_trial import IN_A_TASK, part
from .server_trial import SMALL
from .virtual_time import Clock, Failed, VirtualLoop

_LIMIT = 10  # seconds that a client may take
_BEFORE = 9.5  # seconds after which nobody may have been let go
_AFTER = 11.05  # seconds after which it must have happened: a tenth of the limit later, and a moment
_MOMENT = 0.001  # seconds until a client looks at what its words have brought: all goes on that can, before time does
_MANY = 50  # clients of a kind that come and go
_FEW = 5  # tasks that are not one for each of them
_HALF = b"GET /half HTTP/1.1\r\nHost: "
_REST = b"127.0.0.1\r\n\r\n"
_BIG = bytes(600_000)


def check_request_timeout(attempt: Attempt) -> None:
    attempt.ask(_use_request_timeout, causes=_CAUSES)


_CAUSES = {
    **IN_A_TASK,
    "EBADF": "Is it the connection of a client who has gone? However serve ends, `try: … finally:` calls its limit off.",
    "ENOTCONN": "The client has sent a reset in the moment when its time was up. Catch OSError around shutdown(): else the task ends, "
    "and nobody looks after the others.",
    "RuntimeError: waits for this already": "One task reads a connection, and that is http; shutdown() makes its recv return b''.",
    "RuntimeError: during iteration": "Clients come and go while you go over them: look at the first one only, next(iter(...)), or "
    "over a copy, list(...).",
    "RuntimeError StopIteration IndexError KeyError": "Is it about a client whose limit was called off meanwhile? Look first whether "
    "it is still there: `in`, pop(conn, None).",
}


# In the child


class PageFailed(Exception):
    """What one of the pages raises."""


class _Client:
    """A client of the learner's serve, in a task of the same Loop: what it does stands behind `yield from`."""

    def __init__(self, trial: _Trial, limit: Any = None, ends: tuple[socket.socket, socket.socket] | None = None) -> None:
        conn, self.sock = ends or pair()
        self.trial, self.number, self.conn = trial, conn.fileno(), weakref.ref(conn)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        self.task = (limit or trial.limit).serve(conn, self.page)
        if not hasattr(self.task, "send"):
            raise Wrong(f"serve(conn, page) gave {a(self.task)}: it is a task, with `yield` in it.")
        trial.loop.spawn(self.task)

    @staticmethod
    def page(path: str) -> Generator[tuple[str, float], None, bytes]:
        if path == "/broken":
            raise PageFailed
        yield "sleep", 3 * _LIMIT if path == "/slow" else 0
        return _BIG if path == "/big" else b"This is " + path.encode()

    def send(self, data: bytes) -> Generator:
        with suppress(ConnectionError):  # it has been let go: who reads will see it
            self.sock.send(data)
        yield "sleep", _MOMENT

    def came(self) -> bytes | None:
        """What has come since the last look: b"" is the end, None nothing."""
        try:
            return self.sock.recv(1 << 20)
        except BlockingIOError:
            return None
        except ConnectionError:
            return b""

    def asks(self, path: str, what: str, why: str = "") -> Generator:
        """Ask for a page; it must come at once."""
        yield from self.send(b"GET %b HTTP/1.1\r\n\r\n" % path.encode())
        self.has(path, what, why)

    def has(self, path: str, what: str, why: str = "") -> None:
        """This page must have come."""
        got = self.came()
        if not got:
            says = "no page has come" if got is None else "got the end of its connection, and no page"
            raise Wrong(f"{what}, and {says}. {why}".rstrip())
        if not (got.startswith(b"HTTP/1.1 200") and got.endswith(b"\r\n\r\nThis is " + path.encode())):
            raise Wrong(f"{what}, and got {part(got)}: hand on what page(path) gives, and leave the answer to http.")

    def stays(self, what: str, why: str) -> None:
        """It must not have been let go."""
        if (got := self.came()) is not None:
            does = f"got {part(got)}" if got else "has been let go"
            raise Wrong(f"The limit is {_LIMIT} s. {what}, and {does}: too early. {why}")

    def is_let_go(self, what: str, why: str) -> None:
        """Its end must have come, and nothing of it may be left. It may be told why: `408 Request Timeout`."""
        got = self.came()
        if got and got.startswith(b"HTTP/1.1 408"):
            got = self.came()
        what = f"The limit is {_LIMIT} s. {what}"
        conn = self.conn()
        causes = {
            f"{what}, and {part(got or b'')} came instead of the end.": got,
            f"{what}, and its connection is still there. {why} {self.trial.missing()}".rstrip(): got is None,
            f"{what}; it got the end, but its connection is still open here, and keeps its descriptor. http closes it when its "
            "recv gives b'': shutdown(socket.SHUT_RDWR), or SHUT_RD, lets it.": conn and conn.fileno() != -1,
            f"{what}; its connection was closed, and its task is left behind: it waits for a socket that is closed, and the "
            "kernel wakes nobody for that. conn.shutdown(socket.SHUT_RDWR) wakes the task, and http "
            "closes.": self.task in self.trial.loop.alive,
        }
        raise_first(causes)
        self.sock.close()

    def goes(self) -> Generator:
        self.sock.close()
        yield "sleep", _MOMENT


class _Trial:
    """The learner's class: each part has a new Loop, whose last task is that of the part's clients."""

    def __init__(self, talk: Talk, learner: type) -> None:
        self._talk, self._learner, self.clock = talk, learner, Clock(learner)

    def run(self, clients: Callable[[_Trial], Generator], good: str) -> None:
        """Let these clients do what they do; afterwards nothing may be left."""
        gc.collect()
        numbers = len(os.listdir("/proc/self/fd"))
        self.clock.now = float(math.ceil(self.clock.now))  # so that two sums of whole seconds are the same moment
        self.loop = VirtualLoop(self.clock, PageFailed)
        self.limit = self.new(_LIMIT)
        self.loop.spawn(self._all(clients))
        self._talk.step("Clients talked to serve in a Loop, and it did not come back within 2 s", 2.0)
        try:
            self.loop.run()
        except Failed as failed:
            if isinstance(failed.error, Wrong):
                raise failed.error from None
            self._talk.send({"raised": describe(failed.error)})
        del self.loop, self.limit
        gc.collect()
        if len(os.listdir("/proc/self/fd")) > numbers:
            raise Wrong("All clients have gone, and descriptors are left open that nobody needs.")
        self._talk.good(good)

    def new(self, seconds: float) -> Any:
        self._talk.step(f"RequestTimeout(loop, {seconds}) did not return within 1 s")
        limit = self._learner(self.loop, seconds)
        if not callable(getattr(limit, "serve", None)):
            raise Wrong("RequestTimeout has no method serve(conn, page).")
        return limit

    def _all(self, clients: Callable[[_Trial], Generator]) -> Generator:
        yield from clients(self)
        yield "sleep", _AFTER
        if left := len(self.loop.alive) - 1:
            raise Wrong(
                f"All clients have gone for longer than the limit, and {left} of your tasks {'has' if left == 1 else 'have'} not "
                "ended: where no limit runs, nobody need look. The next client can begin a new one."
            )

    def missing(self) -> str:
        """Why no limit can run out."""
        if threading.active_count() > 1:
            return 'You have started a thread. The Loop has timers of its own: a task, and `yield "sleep", seconds`.'
        if not self.loop.sleepers:
            return "No task sleeps until then: is the one that looks after the limits begun, loop.spawn(…), and does it go on?"
        return ""


def _use_request_timeout(talk: Talk, learner: type) -> None:
    trial = _Trial(talk, learner)
    trial.run(_in_time, "who is in time is answered, again and again, also when a request comes in two parts")
    trial.run(_silent, "who sends nothing, or half a request, is let go after the limit, and not before")
    trial.run(_drips, "who sends a byte now and then, or begins late, too")
    trial.run(_the_next, "the next request has a limit as well, from the answer on")
    trial.run(_takes_its_time, "no limit runs while a page takes its time, and while an answer is read slowly")
    own = "each client has a limit of its own, also under a number that another one had; so has each RequestTimeout"
    trial.run(_in_any_order, own)
    trial.run(_reset, "a reset in the moment when the time is up ends nobody else")
    trial.run(_another_day, "the clock of the day may be put forward and back")
    trial.run(_come_and_go, f"of {4 * _MANY} clients that have come and gone, nothing is left")


def _in_time(trial: _Trial) -> Generator:
    client = _Client(trial)
    yield from client.asks("/", "A client sent a request")
    yield from client.send(_HALF)
    yield "sleep", 6
    client.stays("A client sent half of a request 6 s ago", "Is it the whole limit that you count?")
    yield from client.send(_REST)
    client.has("/half", f"The limit is {_LIMIT} s. A client sent half of a request, 6 s later the rest")
    for number in range(4):
        yield "sleep", 8
        yield from client.asks(
            f"/{number}",
            f"The limit is {_LIMIT} s. A client was answered, and 8 s later it asked for another page",
            "A request that is whole ends its limit, and the next one begins when the answer is out.",
        )
    yield from client.goes()


def _silent(trial: _Trial) -> Generator:
    connected = "The limit runs from the moment of connecting, not from the first byte."
    shut = (
        "Sleep until the first of the limits, and no longer; then conn.shutdown(socket.SHUT_RDWR) wakes the task that waits: its "
        "recv gives b''."
    )
    for sent, does, why in (b"", "sent nothing", connected), (_HALF, "sent half of a request", shut):
        other, client = _Client(trial), _Client(trial)
        yield from client.send(sent)
        yield "sleep", _BEFORE
        client.stays(f"A client {does} for {_BEFORE} s", "Is it the whole limit that you count?")
        yield from other.asks("/", f"One client {does}, and another one asked", "Nobody waits for a client but its own task.")
        yield "sleep", _AFTER - _BEFORE
        client.is_let_go(f"A client {does} for {_AFTER:.0f} s", why)
        yield from other.asks("/", "One client was let go, and another one asked", "Only this one's connection ends.")
        yield from other.goes()


def _drips(trial: _Trial) -> Generator:
    client = _Client(trial)
    yield from client.send(_HALF)
    for _ in range(5):
        yield "sleep", _AFTER / 5
        yield from client.send(b"x")
    client.is_let_go(
        f"A client sent a byte of its request every {_AFTER / 5:.1f} s, for {_AFTER:.0f} s",
        "The limit is one for the whole request: what comes meanwhile does not put it off.",
    )
    client = _Client(trial)
    yield "sleep", 6
    yield from client.send(_HALF)
    yield "sleep", _AFTER - 6
    client.is_let_go(
        f"A client was connected for 6 s before it sent half of a request, and {_AFTER - 6:.0f} s more have passed",
        "The limit runs from the moment of connecting, not from the first byte.",
    )


def _the_next(trial: _Trial) -> Generator:
    client = _Client(trial)
    yield from client.send(b"GET /first HTTP/1.1\r\n\r\n" + _HALF)
    client.has("/first", "A client sent a request, and half of the next one in the same packet")
    yield "sleep", _BEFORE
    client.stays(
        f"A client was answered, and sent half of its next request; {_BEFORE} s have passed since",
        "The limit of its next request runs from the last answer.",
    )
    yield "sleep", _AFTER - _BEFORE
    client.is_let_go(
        f"A client was answered, and of its next request half has come, in {_AFTER:.0f} s",
        'Each request has a limit, not the first one only: after an answer, http waits for ("read", conn).',
    )


def _takes_its_time(trial: _Trial) -> Generator:
    why = "When the request is whole, its limit is called off; the next one begins when the answer is out."
    client = _Client(trial)
    yield from client.send(b"GET /slow HTTP/1.1\r\n\r\n")
    yield "sleep", 3 * _LIMIT
    client.has("/slow", f"The limit is {_LIMIT} s. A client asked for a page that takes {3 * _LIMIT} s", why)
    yield "sleep", _BEFORE
    client.stays(f"A client was answered {_BEFORE} s ago", "Its limit runs from the last answer.")
    yield from client.goes()
    client = _Client(trial)
    yield from client.send(b"GET /big HTTP/1.1\r\n\r\n")
    yield "sleep", 3 * _LIMIT
    came = b""
    while got := client.came():
        came += got
        yield "sleep", _MOMENT
    if not came.endswith(_BIG):
        raise Wrong(
            f"The limit is {_LIMIT} s. A client asked for a page of {len(_BIG)} bytes, and began to read {3 * _LIMIT} s later; it "
            f"got {len(came)} bytes{', then the end' if got == b'' else ''}. {why}"
        )
    yield from client.goes()


def _in_any_order(trial: _Trial) -> Generator:
    own = "Each connection has a limit of its own, and the next to run out is the smallest of them."
    first, second = _Client(trial), None
    yield "sleep", 4
    second = _Client(trial)
    yield "sleep", 2
    yield from first.asks("/", "A client asked after 6 s")
    yield "sleep", 4 + _AFTER - 6
    second.is_let_go(f"A client sent nothing for {_AFTER:.0f} s, while another one asked", own)
    first.stays(f"A client was answered {4 + _AFTER - 6:.0f} s ago, and another one was let go", own)
    yield "sleep", 2
    first.is_let_go(f"A client sent nothing for {_AFTER:.0f} s after its answer", own)

    gone = _Client(trial)
    yield from gone.send(_HALF)
    yield from gone.goes()
    yield "sleep", 3
    heir = _Client(trial)
    same = " under the same number" * (heir.number == gone.number)
    yield "sleep", 8
    heir.stays(
        f"A client went in the middle of a request; 3 s later another one came{same}, and was silent for 8 s",
        "A number is given to the next client: keep the socket, and forget it when its client has gone.",
    )
    yield from heir.goes()

    longer = _Client(trial, trial.new(2 * _LIMIT))
    client = _Client(trial)
    yield "sleep", _AFTER
    why = "What belongs to one RequestTimeout is made in __init__, and not in the class."
    other = f"There is another RequestTimeout, of {2 * _LIMIT} s."
    client.is_let_go(f"{other} A client of the first one sent nothing for {_AFTER:.0f} s", why)
    longer.stays(f"{other} A client of it sent nothing for {_AFTER:.0f} s", why)
    yield from longer.goes()


def _reset(trial: _Trial) -> Generator:
    """Woken in the moment when the time of its client is up, and before the task that was spawned later."""
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        sock = socket.create_connection(listener.getsockname())
        conn = accepted(listener, sock)
    conn.setblocking(False)
    poll = select.poll()
    poll.register(conn, 0)
    _Client(trial, ends=(conn, sock))
    del conn
    yield "sleep", _LIMIT
    reset(sock)
    wait_until(lambda: bool(poll.poll(0)))
    yield "sleep", _MOMENT


def _another_day(trial: _Trial) -> Generator:
    why = "Take time.monotonic(): the clock of the day is put forward and back, by programs and by people."
    for hours, word in (1, "forward"), (-1, "back"):
        client, idle = _Client(trial), _Client(trial)
        yield "sleep", 3
        trial.clock.day += hours * 3600
        yield "sleep", 4
        what = f"The limit is {_LIMIT} s. The clock of the day was put {word} by an hour, and a client asked after 7 s"
        yield from client.asks("/", what, why)
        yield "sleep", _AFTER - 7
        idle.is_let_go(f"The clock of the day was put {word} by an hour while a client was silent, for {_AFTER:.0f} s", why)
        yield from client.goes()


def _come_and_go(trial: _Trial) -> Generator:
    connections: list[weakref.ref[socket.socket]] = []

    def many(does: Callable[[_Client], Generator]) -> Generator:
        clients = [_Client(trial) for _ in range(_MANY)]
        connections.extend(client.conn for client in clients)
        yield "sleep", _MOMENT
        for client in clients:
            yield from does(client)
        for client in clients:
            yield from client.goes()

    stays = _Client(trial)
    yield from many(lambda client: client.asks("/", "A client asked"))
    yield from many(lambda client: client.send(_HALF))
    yield from many(lambda client: client.send(b"GET /broken HTTP/1.1\r\n\r\n"))
    yield from many(lambda client: client.send(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"))
    yield "sleep", _LIMIT / 10
    what = f"{4 * _MANY} clients have come and gone"
    if (left := len(trial.loop.alive) - 2) > _FEW:
        raise Wrong(
            f"{what}, and {left} of your tasks are left, {len(trial.loop.sleepers)} of them asleep: one for each that sleeps "
            "outlives its client, since nobody can wake it. One task can look after all limits."
        )
    gc.collect()
    if (kept := sum(conn() is not None for conn in connections)) > _FEW:
        raise Wrong(f"{what}, and you still keep {kept} of their closed connections: when serve ends, forget its connection.")
    yield from stays.goes()


CHECKS = {"9.4": check_request_timeout}
