"""What a server costs a request, against the number of clients that are connected and say nothing."""

import os
import random
import signal
import socket
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cloudpickle

from course_lib.servers import Server

from .child_process import no_room
from .server_and_clients import ServerAndClients, pin
from .work import Work, carry_out

SPARE = 40  # descriptors besides those of the connections: what Python opens, an epoll, a client that is let in
TOGETHER = 6000  # connections that the servers of one round may hold together; with more, one server runs after the other
_PATIENCE = 2.0  # seconds for an answer
_ENTRANCE = 12.0  # seconds, at most, until all idle clients are let in
_BACKLOG = 128
_SHORTEST, _LONGEST = 0.05, 0.15  # seconds of a round of one server

_OVER = "not measured: the time for the whole ladder was over"

Serve = Callable[[socket.socket], object]
Subject = type[Server] | Callable[[socket.socket], object] | tuple[str, Serve]


@dataclass(frozen=True)
class Rung:
    """One point: a server with so many idle clients, and `active` ones that each send a request as soon as it is answered.

    cpu                  microseconds of CPU time of the server for one request, user and system: the median of the rounds
    low, high            the smallest and the largest of them
    requests_per_second  the median
    requests             how many were answered in all rounds
    why_not              why nothing was measured, or ""
    """

    server: str
    idle: int
    active: int
    cpu: float | None = None
    low: float | None = None
    high: float | None = None
    requests_per_second: float | None = None
    requests: int = 0
    why_not: str = ""

    @property
    def no_time(self) -> bool:
        """True where nothing was measured because time was over: that says nothing of the server."""
        return self.why_not == _OVER

    def __str__(self) -> str:
        head = f"{self.server:18} {self.idle:6} idle, {self.active} active: "
        if self.cpu is None:
            return head + self.why_not
        return head + (
            f"{self.cpu:8.2f} µs CPU a request  ({self.low:.2f} to {self.high:.2f}), {self.requests_per_second:9,.0f} requests/s"
        )


def growth(rungs: Iterable[Rung], server: str) -> float | None:
    """How many times as much a request costs this server beside the most idle clients as beside the fewest; None if not measured."""
    cpu = [rung.cpu for rung in sorted(rungs, key=lambda rung: rung.idle) if rung.server == server]
    return cpu[-1] / cpu[0] if cpu and cpu[0] and cpu[-1] else None


def ladder(
    servers: Iterable[Subject],
    idle: Iterable[int] = (0, 400, 5000),
    active: int = 20,
    rounds: int = 5,
    seconds: float = 17.0,
    apart: bool = False,
) -> list[Rung]:
    """CPU time a request, and requests a second, of each server with 0, 400, 5000 idle clients.

    servers  classes of the course's servers, or ``(name, function of a listening socket)``. What the function or class needs
             goes along (cloudpickle), so what a notebook cell defined will do:
             ``("mine", lambda listener: server(PollEngine(), listener))``
    idle     how many clients are connected and silent
    active   how many send a line of 64 bytes, and the next one when 64 bytes have come back
    rounds   how often each point is measured; the servers take turns, in shuffled order
    seconds  for all of it; what is not measured by then says so
    apart    server and clients on two cores, if there are two; else they share one

    Server and clients run in two processes, the clients as SCHED_BATCH (sched(7)). On one core the server mostly finds work
    when it looks, so that CPU time a request comes out the same again; it is the figure to trust: the server's own
    (clock_getcpuclockid(3)), user and system. Requests a second also contain what the clients cost and what else ran.
    A server that never sleeps takes the shared core away from its clients: measure that one `apart`.
    A server that ends, does not answer, or would need more descriptors than it may have, has the reason in `why_not`, and
    is not tried again with more idle clients. Raises TypeError or ValueError for arguments that cannot be meant.
    """
    subjects, idle = named(servers), sorted(set(idle))
    if wrong := [number for number in (*idle, active, rounds) if type(number) is not int or number < 0]:
        raise ValueError(f"idle, active and rounds are numbers of clients and rounds, not {wrong[0]!r}")
    if active < 1 or rounds < 1 or not seconds > 0:
        raise ValueError("at least one active client, one round and some time are needed")
    return carry_out(lambda work: climb(work, subjects, idle, active, rounds, seconds, apart))


def climb(
    work: Work, subjects: list[tuple[str, Serve]], idle: list[int], active: int, rounds: int, seconds: float, apart: bool = False
) -> list[Rung]:
    """Measure it as a piece of work, in whatever thread that runs: see `ladder`."""
    end = time.monotonic() + seconds
    work.total = len(subjects) * len(idle) * (rounds + 1)
    cores = sorted(os.sched_getaffinity(0))
    cores = random.sample(cores, 2) if apart and len(cores) > 1 else 2 * random.sample(cores, 1)
    rows: list[Rung] = []
    failed: dict[str, int] = {}
    for step, number in enumerate(idle):
        window = 0.3 * (end - time.monotonic()) / (len(idle) - step) / (len(subjects) * rounds)
        window = min(_LONGEST, max(_SHORTEST, window))
        found = {
            name: Rung(name, number, active, why_not=f"not tried: it failed with {lower} idle clients")
            for name, lower in failed.items()
        }
        todo = random.sample([subject for subject in subjects if subject[0] not in failed], len(subjects) - len(failed))
        work.done += len(failed) * (rounds + 1)
        together = len(todo)
        if len(todo) * number > TOGETHER:
            together = 1
            # One after the other, the cheapest first: a dear one may need all the time that is left.
            before = {row.server: row.cpu for row in rows}
            todo.sort(key=lambda subject: before.get(subject[0]) or 0.0)  # None: time was over before it was measured
        for start in range(0, len(todo), together or 1):
            reserved = (len(todo) - start - 1) * (0.5 + rounds * window)
            found |= _rung(work, todo[start : start + together], number, active, rounds, window, cores, end, reserved)
        failed |= {name: number for name, row in found.items() if row.cpu is None and not row.no_time and name not in failed}
        rows += [found[name] for name, _ in subjects]
    return rows


def _rung(
    work: Work,
    group: list[tuple[str, Serve]],
    idle: int,
    active: int,
    rounds: int,
    window: float,
    cores: list[int],
    end: float,
    reserved: float,
) -> dict[str, Rung]:
    """{name: its row} of some servers that take turns with so many idle clients; `reserved` seconds are for those after them."""
    pairs = []
    try:
        for name, serve in group:
            work.now = f"{name}: {idle} idle clients connect"
            pair = _Pair(work, name, serve, idle, active, cores, end)
            pairs.append(pair)
            pair.connect(reserved)
            work.done += 1
        for turn in range(rounds):
            for pair in random.sample(pairs, len(pairs)):
                work.now = f"{pair.name}: {idle} idle, round {turn + 1} of {rounds}"
                pair.measure(window)
                work.done += 1
        return {pair.name: pair.row() for pair in pairs}
    finally:
        for pair in pairs:
            pair.end()


class _Pair(ServerAndClients):
    def __init__(self, work: Work, name: str, serve: Serve, idle: int, active: int, cores: list[int], end: float) -> None:
        super().__init__(work, no_room(idle + active + SPARE))
        self.name, self._idle, self._active, self._cores, self._end = name, idle, active, cores, end
        self._rounds: list[tuple[float, float, int]] = []  # CPU µs a request, requests a second, requests
        if self.why_not:
            return
        try:
            payload = cloudpickle.dumps(serve)  # what was made in a notebook cell goes along by value
        except Exception as error:  # whatever the pickling of somebody's object raises
            self.why_not = f"{name} cannot go into another process: {type(error).__name__}: {error}"
            return
        with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listener:
            self._server = self.process("server_process", listener.fileno(), keep=(listener.fileno(),), payload=payload)
            address = listener.getsockname()
        # From here on only the server holds the listener: when it ends, its clients notice.
        self._clients = self.process("load_process", address, idle, active, self._server.pid)

    def connect(self, reserved: float) -> None:
        """Let all clients connect, and the active ones have one answer each."""
        left = self._end - time.monotonic() - reserved
        if self._ask({}, min(_ENTRANCE if self._idle else _PATIENCE, max(1.0, left))):
            pin(self._server.pid, self._cores[0])  # only now: on two cores the clients are let in sooner

    def measure(self, seconds: float) -> None:
        """One round."""
        if not self.why_not:
            self._server.signal(signal.SIGCONT)
        if answer := self._ask({"seconds": seconds, "core": self._cores[1]}, _PATIENCE):
            requests = answer["requests"]
            self._rounds.append((1e6 * answer["cpu"] / requests, requests / answer["seconds"], requests))

    def row(self) -> Rung:
        """What was measured. When time was over, the rounds until then count."""
        point = self.name, self._idle, self._active
        if not self._rounds or self.why_not not in ("", _OVER):
            return Rung(*point, why_not=self.why_not)
        costs, rates, counts = zip(*self._rounds)
        return Rung(*point, statistics.median(costs), min(costs), max(costs), statistics.median(rates), sum(counts))

    def _ask(self, what: dict, patience: float) -> dict | None:
        """Have the clients do something; their answer, or None. If they cannot, the server's turns are over."""
        if self.why_not:
            return None
        if time.monotonic() > self._end:
            self.why_not = _OVER
            return None
        self._clients.say(**what, patience=patience)
        answer = self._work.hear(self._clients, patience + what.get("seconds", 0) + 5)
        if answer and "why" not in answer:
            self._server.signal(signal.SIGSTOP)
            return answer
        why = answer["why"] if answer else "the clients failed"
        if not answer or answer["lost"]:
            said = self._work.hear(self._server, 1.0)
            ended = said["ended"] if said else "its process has gone" if said == {} else "it cut a connection, and runs on"
            why += f": {ended}"
        self.fail(why)
        return None


def named(servers: Iterable[Subject]) -> list[tuple[str, Serve]]:
    """Each server with its name. Raises TypeError for what is no server, ValueError when two have the same name."""
    subjects = [_named(server) for server in servers]
    if not subjects or len({name for name, _ in subjects}) < len(subjects):
        raise ValueError("pass at least one server, each with a name of its own: (name, function)")
    return subjects


def _named(server: Subject) -> tuple[str, Serve]:
    match server:
        case (str(name), serve) if callable(serve):
            return name, serve
        case type() | Callable() if callable(server) and hasattr(server, "__name__"):
            return server.__name__, server
    raise TypeError(f"a server is a class of course_lib.servers, or (name, function of a listening socket), not {server!r}")
