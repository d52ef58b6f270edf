"""What clients that are connected and say nothing cost: CPU time of the others' requests, and memory."""

from collections.abc import Sequence

from course_lib.measure.comparison.compiling import Programs
from course_lib.measure.comparison.pair import most_idle
from course_lib.measure.comparison.peers import PEERS
from course_lib.measure.comparison.spread import cpu, ratio
from course_lib.measure.comparison.turns import Point, take_turns, two_cores
from course_lib.measure.work import Work, carry_out

ACTIVE = 50


def measure(report: dict, programs: Programs, names: Sequence[str], numbers: Sequence[int], rounds: int, seconds: float) -> None:
    """Add rows to report["idle"]: each server beside itself with nobody idle, taking turns.

    Where the limit of descriptors forbids a number of idle clients, as many as it allows are taken.
    """
    most = most_idle(ACTIVE)
    scaled = list(dict.fromkeys(min(number, most) for number in numbers))
    if scaled != list(numbers):
        report["notes"].append(
            f"With {max(scaled):,} idle clients at most, not {max(numbers):,}: "
            "the limit of descriptors allows no more (RLIMIT_NOFILE, ulimit -Hn)."
        )
    rows, cores = report.setdefault("idle", []), two_cores()[:1]
    found: dict[str, list[Point]] = {}

    def do(work: Work) -> list:
        work.total = len(names) * (len(scaled) + 1) * (rounds + 1)

        def done() -> None:
            work.done += 1

        for name in names:
            found[name] = [Point(PEERS[name], ACTIVE, number) for number in (0, *scaled)]
            take_turns(work, found[name], programs, rounds, seconds, cores, done=done)
        return []

    try:
        carry_out(do)
    finally:
        for name, (alone, *crowded) in found.items():
            for point in crowded:
                times, own = ratio(point.rounds, alone.rounds), cpu(point.rounds)
                rows.append(
                    {
                        "name": name,
                        "what": point.peer.what,
                        "active": ACTIVE,
                        "idle": point.idle,
                        "cpu": own and own.plain(),
                        "times": times and times.plain(),
                        "memory": point.memory,
                        "why_not": point.why_not or alone.why_not,
                    }
                )
