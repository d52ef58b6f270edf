"""All servers side by side, with few and many clients that talk."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from course_lib.measure.comparison.comparing import Row, rows_of
from course_lib.measure.comparison.compiling import Programs
from course_lib.measure.comparison.peers import PEERS, C
from course_lib.measure.comparison.spread import Spread, ratio_of_added, typical
from course_lib.measure.comparison.turns import Point, take_turns, two_cores
from course_lib.measure.work import Work, carry_out

BUSY = 0.8  # of a core: whoever has had that much had no more to give
YARDSTICKS = (
    "uvloop protocol",
    "uvloop streams",
    "asyncio protocol, 4 kB",
    "asyncio streams, 4 kB",
    "bare generators",
    "bare async def",
)


@dataclass(frozen=True, slots=True)
class Speed:
    """On two cores if there are two; latencies in microseconds, and what kept the requests a second from being more (`limit`)."""

    requests_per_second: Spread
    p50: Spread
    p99: Spread
    limit: str


@dataclass(frozen=True, slots=True)
class Served:
    """One server with so many clients: CPU time of a request on one core with them, how often it had its turn, its speed."""

    row: Row
    rounds: int = 0
    speed: Speed | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """All servers with so many clients.

    ratios  {"one / other": what the one adds to the loop in C, as a multiple of what the other adds}; empty where the loop
            in C was not measured: over another base, this means something else
    share   the part of their core that a server and its clients had together, 0 to 1
    """

    connections: int
    servers: list[Served] = field(default_factory=list)
    ratios: dict[str, Spread] = field(default_factory=dict)
    share: float = 1.0

    @property
    def too_busy(self) -> str:
        """Where something else ran beside, a sentence that says so; else ""."""
        had = f"a server and its clients together had {self.share:.0%} of their core"
        return f"something else ran beside: {had}" if self.share < BUSY else ""

    @property
    def tied(self) -> list[list[str]]:
        """The servers, by name, between which the rounds do not tell the order."""
        places: dict[int, list[str]] = {}
        for served in self.servers:
            if served.row.place:
                places.setdefault(served.row.place, []).append(served.row.name)
        return [names for _, names in sorted(places.items()) if len(names) > 1]


def measure(
    tables: list[Comparison],
    programs: Programs,
    names: Sequence[str],
    connections: int,
    rounds: int,
    seconds: float,
    until: float = float("inf"),
) -> None:
    """Add a table; after an interrupt, of the rounds until then. The round under way at `until` (time.monotonic()) is the last."""
    points = [Point(PEERS[name], connections) for name in names]

    def do(work: Work) -> None:
        work.total = len(points) * (rounds + 1)
        take_turns(work, points, programs, rounds, seconds, two_cores(), until)

    try:
        carry_out(do)
    finally:
        tables.append(compared(points))


def compared(points: Sequence[Point]) -> Comparison:
    """The table of what was measured."""
    return Comparison(
        points[0].connections,
        [_served(row, point) for row, point in zip(rows_of(points), points)],
        _ratios(points),
        statistics.median([turn.server + turn.load for point in points for turn in point.rounds if turn] or [1.0]),
    )


def _ratios(points: Sequence[Point]) -> dict[str, Spread]:
    found = {point.peer.name: point for point in points if any(point.rounds)}
    if not (base := found.pop(C, None)):
        return {}
    pairs = {
        f"{one} / {other}": ratio_of_added(found[one].rounds, found[other].rounds, base.rounds)
        for one in found
        for other in YARDSTICKS
        if other in found and one != other
    }
    return {name: value for name, value in pairs.items() if value}


def _served(row: Row, point: Point) -> Served:
    turns = [turn for turn in point.apart or point.rounds if turn]
    if not turns:
        return Served(row)
    server, load = (statistics.median(share) for share in zip(*((turn.server, turn.load) for turn in turns)))
    rate, p50, p99 = map(typical, zip(*((turn.rate, turn.p50, turn.p99) for turn in turns)))
    speed = Speed(rate, p50, p99, limit(server, load, point.connections, bool(point.apart)))
    return Served(row, sum(map(bool, point.rounds)), speed)


def limit(server: float, load: float, connections: int, apart: bool) -> str:
    """What kept the requests a second from being more, from the parts of a core that the server and its clients have had.

    "server": it had no more to give, which is what one wants to know. What the others mean stands in LIMITS of `text`.
    """
    if not apart:
        return "core"
    if server >= BUSY:
        return "server"
    if load >= BUSY:
        return "clients"
    return "round trip" if connections == 1 else "machine"
