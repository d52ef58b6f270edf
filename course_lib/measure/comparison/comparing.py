"""Some of the servers side by side, for a notebook."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from course_lib.measure.work import Work, carry_out

from .compiling import compiled
from .peers import C, chosen
from .spread import added, cpu
from .turns import Point, take_turns, two_cores

NAMES = (C, "epoll", "coroutine", "coroutine, async def", "uvloop protocol", "asyncio protocol", "asyncio streams", "threads")
LIMIT = 15.0  # seconds; then the round that is under way is the last one
TURN = 0.1  # seconds of CPU time


@dataclass(frozen=True, slots=True)
class Row:
    """One server. Times are microseconds of CPU time of its process for one request, user and system.

    name, what  as it was asked for, and in words
    cpu         of the best rounds: what else runs can only add to it; between `low` and `high` lies the middle half of them
    added       how much more than `base`
    base        what it is compared with: "c", or, where that was not measured, the cheapest one
    note        why nothing was measured, or ""; then the numbers are None
    """

    name: str
    what: str
    cpu: float | None = None
    low: float | None = None
    high: float | None = None
    added: float | None = None
    base: str = ""
    note: str = ""

    def __str__(self) -> str:
        if self.cpu is None:
            return f"{self.name:26} {self.note}"
        return f"{self.name:26} {self.cpu:7.2f} µs ({self.low:.2f} to {self.high:.2f}), added {self.added:7.2f}"


def compare_servers(names: Iterable[str] = NAMES, rounds: int = 3, connections: int = 50) -> list[Row]:
    """CPU time a request of several servers that echo 64 bytes: of this course, of others, and of a loop in C.

    names        of `course_lib.measure.comparison.PEERS`
    rounds       how often each has its turn, in shuffled order; under 20 s in all
    connections  how many clients talk, each as soon as it is answered

    Each server is a process of its own. It shares one core with its clients, which are SCHED_BATCH (sched(7)), so that it
    mostly finds work when it looks. What cannot be measured here (no compiler, no uvloop) says so in `note`.
    An interrupt leaves no process and no file. Raises ValueError for a name that nobody has, or a number that is none.
    """
    peers = chosen(names)
    for what, number in (("rounds", rounds), ("connections", connections)):
        if type(number) is not int or number < 1:
            raise ValueError(f"{what} is 1 or more, not {number!r}")
    points = [Point(peer, connections) for peer in peers]

    def measure(work: Work) -> list[Point]:
        work.total = max(1, len(points) * (rounds + 1))
        with compiled() as programs:

            def done() -> None:
                work.done += 1

            take_turns(work, points, programs, rounds, TURN, two_cores()[:1], time.monotonic() + LIMIT, done)
        return points

    return rows_of(carry_out(measure))


def rows_of(points: list[Point]) -> list[Row]:
    """A row for each point; the added cost is over C, or over the cheapest."""
    base = base_of(points)
    rows = []
    for point in points:
        own = cpu(point.rounds)
        if own is None or base is None:
            rows.append(Row(point.peer.name, point.peer.what, note=point.why_not))
        else:
            more = added(point.rounds, base.rounds)
            rows.append(
                Row(point.peer.name, point.peer.what, own.value, own.low, own.high, more.value if more else None, base.peer.name)
            )
    return rows


def base_of(points: list[Point]) -> Point | None:
    """The loop in C, or the cheapest server where that one was not measured; None when none was."""
    costs = [(point, spread.value) for point in points if (spread := cpu(point.rounds))]
    return min(costs, key=lambda cost: (cost[0].peer.name != C, cost[1]), default=(None, 0.0))[0]
