"""What clients that are connected and say nothing cost: CPU time of the others' requests, and memory."""

import socket
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass

from course_lib.measure.comparison.compiling import Programs
from course_lib.measure.comparison.pair import most_idle
from course_lib.measure.comparison.peers import PEERS
from course_lib.measure.comparison.spread import Spread, cpu, ratio
from course_lib.measure.comparison.turns import Point, take_turns, two_cores
from course_lib.measure.work import Work, carry_out
from course_lib.servers import CoroutineServer

ACTIVE = 50  # clients that talk
_TASKS = 2000


@dataclass(frozen=True, slots=True)
class Idle:
    """A server with so many idle clients besides the ACTIVE ones.

    cpu     microseconds for one request
    times   the same as a multiple of what it is with nobody idle
    memory  bytes of the server's process for each idle connection
    """

    name: str
    idle: int
    cpu: Spread | None
    times: Spread | None
    memory: float | None
    why_not: str = ""


def measure(
    rows: list[Idle],
    notes: list[str],
    programs: Programs,
    names: Sequence[str],
    numbers: Sequence[int],
    rounds: int,
    seconds: float,
) -> None:
    """Add a row for each: a server beside itself with nobody idle, taking turns.

    Where the limit of descriptors forbids a number of idle clients, as many as it allows are taken, and a note says so.
    """
    most = most_idle(ACTIVE)
    scaled = list(dict.fromkeys(min(number, most) for number in numbers))
    if scaled != list(numbers):
        notes.append(
            f"With {max(scaled):,} idle clients at most, not {max(numbers):,}: "
            "the limit of descriptors allows no more (RLIMIT_NOFILE, ulimit -Hn)."
        )
    cores = two_cores()[:1]
    found: dict[str, list[Point]] = {}

    def do(work: Work) -> None:
        work.total = len(names) * (len(scaled) + 1) * (rounds + 1)
        for name in names:
            found[name] = [Point(PEERS[name], ACTIVE, number) for number in (0, *scaled)]
            take_turns(work, found[name], programs, rounds, seconds, cores)

    try:
        carry_out(do)
    finally:
        for name, (alone, *crowded) in found.items():
            rows += [
                Idle(
                    name,
                    point.idle,
                    cpu(point.rounds),
                    ratio(point.rounds, alone.rounds),
                    point.memory,
                    point.why_not or alone.why_not,
                )
                for point in crowded
            ]


def bytes_of_a_task() -> float:
    """Bytes of a task of the course's loop that waits for a client's next request: its generators, its Task, what it yielded."""
    server, (here, there) = CoroutineServer(), socket.socketpair()
    with here, there:
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            waits = []
            for _ in range(_TASKS):
                code = server.serve_client(here)
                waits.append(code.send(None))
                server.loop.spawn(code)
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return (after - before) / _TASKS
