"""Some of the servers side by side, for a notebook."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from course_lib.measure.work import Work, carry_out

from .compiling import compiled
from .peers import C, chosen
from .spread import Spread, added, cpu, ratio, separated
from .turns import Point, take_turns, two_cores

NAMES = (C, "epoll", "coroutine", "coroutine, async def", "uvloop protocol", "asyncio protocol", "asyncio streams", "threads")
LIMIT = 15.0  # seconds; then the round that is under way is the last one
TURN = 0.1  # seconds of CPU time


@dataclass(frozen=True, slots=True)
class Row:
    """One server. Times are microseconds of CPU time of its process for one request, user and system.

    name, what  as it was asked for, and in words
    cpu         of the best rounds: what else runs can only add to it
    added       how much more than `base`
    times       as a multiple of `base`
    base        what it is compared with: "c", or, where that was not measured, the cheapest one
    place       1 is the cheapest; neighbours that the rounds do not separate share a place
    note        why nothing was measured, or ""; then all of that is None
    """

    name: str
    what: str
    cpu: Spread | None = None
    added: Spread | None = None
    times: Spread | None = None
    base: str = ""
    place: int | None = None
    note: str = ""

    def __str__(self) -> str:
        if self.cpu is None:
            return f"{self.name:26} {self.note}"
        added = f", added {self.added.value:7.2f}" if self.added else ""
        return f"{self.name:26} {self.cpu.value:7.2f} µs ({self.cpu.low:.2f} to {self.cpu.high:.2f}){added}"


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
            take_turns(work, points, programs, rounds, TURN, two_cores()[:1], time.monotonic() + LIMIT)
        return points

    return rows_of(carry_out(measure))


def rows_of(points: Sequence[Point]) -> list[Row]:
    """A row for each point; the added cost is over C, or over the cheapest."""
    costs = sorted(((own, point) for point in points if (own := cpu(point.rounds))), key=lambda cost: cost[0].value)
    measured = [point for _, point in costs]
    base = next((point for point in measured if point.peer.name == C), measured[0] if measured else None)
    places: dict[int, int] = {}
    for number, point in enumerate(measured):
        alone = number == 0 or separated(measured[number - 1].rounds, point.rounds)
        places[id(point)] = number + 1 if alone else places[id(measured[number - 1])]
    return [
        Row(
            point.peer.name,
            point.peer.what,
            cpu(point.rounds),
            added(point.rounds, base.rounds),
            ratio(point.rounds, base.rounds),
            base.peer.name,
            places[id(point)],
        )
        if base and id(point) in places
        else Row(point.peer.name, point.peer.what, note=point.why_not)
        for point in points
    ]
