"""Servers that take turns: in each round every one has its turn, in shuffled order, so that all meet the same machine."""

import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from course_lib.measure.work import Work

from .compiling import Programs
from .pair import Pair, Turn
from .peers import Peer


@dataclass(slots=True)
class Point:
    """A server with so many clients that talk and so many that are idle, and what was measured.

    rounds   the turn of each round, on one core with the clients; None where it could not have one
    apart    the same with the clients on another core, if that was asked for
    memory   bytes of the server's memory for each idle client, or None
    why_not  why it could not be measured, or ""
    """

    peer: Peer
    connections: int
    idle: int = 0
    rounds: list[Turn | None] = field(default_factory=list)
    apart: list[Turn | None] = field(default_factory=list)
    memory: float | None = None
    why_not: str = ""


def two_cores() -> list[int]:
    """Two cores of this machine, or the only one."""
    usable = sorted(os.sched_getaffinity(0))
    return random.sample(usable, min(2, len(usable)))


def take_turns(
    work: Work,
    points: Sequence[Point],
    programs: Programs,
    rounds: int,
    seconds: float,
    on: Sequence[int],
    until: float = float("inf"),
) -> None:
    """Fill in what is measured, a round at a time. The round that is under way at `until` (time.monotonic()) is the last one.

    seconds  of one turn
    on       the core of the servers and their clients; with a second one, the clients have another turn from there

    There are (rounds + 1) * len(points) steps; each is one more that is done of the work.
    """
    pairs = [Pair(work, point.peer, programs, point.connections, point.idle, on[0]) for point in points]
    try:
        for point, pair in zip(points, pairs):
            work.now = f"{point.peer.name}: starts" + (f", {point.idle:,} idle clients connect" if point.idle else "")
            pair.start()
            pair.turn(seconds / 2, on[0])  # warm
            point.memory, point.why_not = pair.memory, pair.why_not
            work.done += 1
        for number in range(rounds):
            if number and time.monotonic() > until:
                break
            found: dict[int, list[Turn | None]] = {}
            for index in random.sample(range(len(pairs)), len(pairs)):
                point, pair = points[index], pairs[index]
                idle = f", {point.idle:,} idle" if point.idle else ""
                work.now = f"{point.peer.name}: {point.connections} clients{idle}, round {number + 1} of {rounds}"
                found[index] = [pair.turn(seconds, core) for core in on]
                point.why_not = pair.why_not
                work.done += 1
            for index, point in enumerate(points):
                point.rounds.append(found[index][0])
                point.apart += found[index][1:]
    finally:
        for pair in pairs:
            pair.end()
