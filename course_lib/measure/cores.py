"""One process is one core: the same server in one process and in several, asked for a page that computes.

rows = processes(open_listeners, prefork, serve)     # prints a line for each number of processes
rows[-1].cores                                       # how many cores its processes used together
"""

import os
import socket
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import cloudpickle

from course_lib.proc import children

from .child_process import ChildProcess, cpu_clock
from .work import Work, carry_out

CONNECTIONS = 16  # for each process: so many that the kernel hardly ever leaves one of them without any
_PATIENCE = 10.0  # seconds for what takes far less


@dataclass(frozen=True, slots=True)
class Crew:
    """What a number of processes did together.

    processes            how many served
    requests_per_second  answers that came
    cores                seconds of CPU time that they used in one second
    per_worker           the same for each process alone, the busiest first
    why_not              why there is no measurement, or ""
    """

    processes: int
    requests_per_second: float = 0.0
    cores: float = 0.0
    per_worker: tuple[float, ...] = ()
    why_not: str = ""

    def __str__(self) -> str:
        if self.why_not:
            return f"{self.processes:>9}  {self.why_not}"
        each = ", ".join(f"{share:.0%}" for share in self.per_worker)
        return f"{self.processes:>9}  {self.requests_per_second:>11.0f}  {self.cores:>10.1f}   {each}"


HEAD = f"{'processes':>9}  {'requests/s':>11}  {'cores used':>10}   each process"


def processes(
    open_listeners: Callable[[int], list[socket.socket]],
    prefork: Callable[[list[socket.socket], Callable], None],
    serve: Callable[[socket.socket], None],
    path: str = "/",
    counts: Sequence[int] | None = None,
    seconds: float = 1.0,
) -> list[Crew]:
    """Serve with 1 process, and with as many as there are cores; return and print what came of it.

    open_listeners, prefork  as exercise 9.2 asks for them: ``prefork(open_listeners(n), serve)`` runs in a fresh process
    serve                    serve(listener) speaks HTTP/1.1, without end; it goes along with what it uses (cloudpickle)
    path                     the page that the clients ask for, again and again, 16 connections for each process
    counts                   numbers of processes, one measurement of so many `seconds` each; default (1, cores), or (1, 2)
    How fast it is depends on the machine and on what else runs; the clients need some of its processors too. Can be
    interrupted; leaves no process. Raises ValueError when what was passed cannot go into another process.
    """
    counts = tuple(counts or (1, max(2, len(os.sched_getaffinity(0)))))
    try:
        payload = cloudpickle.dumps((open_listeners, prefork, serve))
    except Exception as error:
        raise ValueError(f"these functions cannot go into another process: {type(error).__name__}: {error}") from None

    def measure(work: Work) -> list[Crew]:
        work.total = len(counts)
        rows = []
        for count in counts:
            work.now = f"{count} process{'es' * (count > 1)}"
            rows.append(_measured(work, payload, count, path, seconds))
            work.done += 1
        return rows

    rows = carry_out(measure)
    print(HEAD, *rows, sep="\n")
    return rows


def computing_page(path: str) -> Generator[None, None, bytes]:
    """A page for http(conn, page): some milliseconds of computing, without a wait."""
    total = 0
    for number in range(100_000):
        total += number * number
    return b"%d\n" % total
    yield  # which makes it a generator


def _measured(work: Work, payload: bytes, count: int, path: str, seconds: float) -> Crew:
    server = work.process("parent_process", count, payload=payload)
    clients: ChildProcess | None = None
    try:
        if "port" not in (told := work.hear(server, _PATIENCE) or {}):
            return Crew(count, why_not=told.get("why", "open_listeners did not return in time"))
        clients = work.process("page_clients", ["127.0.0.1", told["port"]], path, CONNECTIONS * count)
        if "connected" not in (said := _hear_either(work, clients, server, _PATIENCE)):
            return Crew(count, why_not=_why(said))
        workers = children(server.pid)
        used, begin = {pid: _cpu(pid) for pid in workers}, time.monotonic()
        clients.say(seconds=seconds)
        if "answered" not in (said := _hear_either(work, clients, server, seconds + _PATIENCE)):
            return Crew(count, why_not=_why(said))
        passed = time.monotonic() - begin
        shares = sorted(((_cpu(pid) - before) / passed for pid, before in used.items()), reverse=True)
        return Crew(count, said["answered"] / said["seconds"], sum(shares), tuple(shares))
    finally:
        if clients:
            work.end(clients)
        work.end(server, _PATIENCE / 5)  # time to end its workers and take their status, as in real life


def _hear_either(work: Work, clients: ChildProcess, server: ChildProcess, seconds: float) -> dict:
    """What the clients say; or the server, which says only why it cannot serve."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if said := work.hear(server, 0) or work.hear(clients, 0.1):
            return said
    return {}


def _why(said: dict) -> str:
    return said.get("why", "the clients got no answer in time")


def _cpu(process: int) -> float:
    """Seconds of CPU time it has used; 0.0 when it has gone."""
    try:
        return time.clock_gettime(cpu_clock(process))
    except OSError:
        return 0.0
