"""All servers side by side, with few and many clients that talk."""

import statistics
from collections.abc import Sequence

from course_lib.measure.comparison.comparing import base_of
from course_lib.measure.comparison.compiling import Programs
from course_lib.measure.comparison.peers import PEERS
from course_lib.measure.comparison.spread import Spread, added, cpu, ratio, ratio_of_added, typical
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


def measure(
    report: dict,
    programs: Programs,
    names: Sequence[str],
    connections: int,
    rounds: int,
    seconds: float,
    until: float = float("inf"),
) -> None:
    """Add rows to report["servers"], one for each server; after an interrupt, of the rounds until then.

    With 50 connections, set report["ratios"], too. The round that is under way at `until` (time.monotonic()) is the last one.
    """
    points = [Point(PEERS[name], connections) for name in names]

    def do(work: Work) -> list:
        work.total = len(points) * (rounds + 1)

        def done() -> None:
            work.done += 1

        take_turns(work, points, programs, rounds, seconds, two_cores(), until, done)
        return []

    try:
        carry_out(do)
    finally:
        report.setdefault("servers", []).extend(rows_of(points))
        if connections == 50:
            report["ratios"] = ratios(points)
        if (had := share(points)) < BUSY:
            report["notes"].append(
                f"With {connections} client{'s' * (connections > 1)}: something else ran beside; a server and "
                f"its clients together had {had:.0%} of their core."
            )


def share(points: Sequence[Point]) -> float:
    """The part of their core that a server and its clients had together, 0 to 1."""
    return statistics.median([turn.server + turn.load for point in points for turn in point.rounds if turn] or [1.0])


def rows_of(points: Sequence[Point]) -> list[dict]:
    """Plain values of each point."""
    base = base_of(list(points))
    rows = []
    for point in points:
        row = {
            "name": point.peer.name,
            "what": point.peer.what,
            "course": point.peer.course,
            "connections": point.connections,
            "idle": point.idle,
            "rounds": sum(map(bool, point.rounds)),
            "cpu": _plain(cpu(point.rounds)),
            "base": base.peer.name if base else None,
            "why_not": point.why_not,
        }
        row["added"] = _plain(added(point.rounds, base.rounds)) if base else None
        row["times"] = _plain(ratio(point.rounds, base.rounds)) if base else None
        row |= _speed(point)
        rows.append(row)
    return rows


def ratios(points: Sequence[Point]) -> dict[str, dict]:
    """{"one / other": what the one adds to the loop in C, as a multiple of what the other adds}.

    Empty where the loop in C was not measured: over another base, this means something else.
    """
    found = {point.peer.name: point for point in points if any(point.rounds)}
    if not (base := found.pop("c", None)):
        return {}
    pairs = {
        f"{one} / {other}": ratio_of_added(found[one].rounds, found[other].rounds, base.rounds)
        for one in found
        for other in YARDSTICKS
        if other in found and one != other
    }
    return {name: _plain(value) for name, value in pairs.items() if value}


def _speed(point: Point) -> dict:
    """Requests a second and how long an answer takes, from two cores if there are two, and what kept it from being more."""
    turns = [turn for turn in point.apart or point.rounds if turn]
    if not turns:
        return {"requests_per_second": None, "p50": None, "p99": None, "limit": None}
    found = {
        "requests_per_second": _plain(typical(turn.rate for turn in turns)),
        "p50": _plain(typical(turn.p50 for turn in turns)),
        "p99": _plain(typical(turn.p99 for turn in turns)),
    }
    server, load = (statistics.median(share) for share in zip(*((turn.server, turn.load) for turn in turns)))
    return found | {"limit": limit(server, load, point.connections, bool(point.apart))}


def limit(server: float, load: float, connections: int, apart: bool) -> str:
    """What kept the requests a second from being more, from the parts of a core that the server and its clients have had.

    "server": it had no more to give, which is what one wants to know. "clients": they had no more to give; the server could
    do more. "round trip": one client waits for each answer. "machine": neither was busy; something else had the cores.
    "core": there is one core, which they share.
    """
    if not apart:
        return "core"
    if server >= BUSY:
        return "server"
    if load >= BUSY:
        return "clients"
    return "round trip" if connections == 1 else "machine"


def _plain(value: Spread | None) -> dict | None:
    return value and value.plain()
