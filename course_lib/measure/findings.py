"""What rows of a measurement show, in one sentence that is computed from them."""

from collections.abc import Sequence
from operator import itemgetter

from .ladder import Rung
from .waiting import Cost


def finding(rows: Sequence[Cost] | Sequence[Rung]) -> str:
    """The finding of `waiting_cost`, `ready_cost` or `ladder`: the title of their figures. Raises ValueError for no rows."""
    if not rows:
        raise ValueError("there are no rows: nothing was measured")
    if rungs := [row for row in rows if isinstance(row, Rung)]:
        return _of_ladder(rungs)
    costs = [row for row in rows if isinstance(row, Cost)]
    return _of_ready(costs) if any(row.ready > 1 for row in costs) else _of_waiting(costs)


def point(row: Cost | Rung) -> tuple[str, int, float | None]:
    """What is measured, beside how many descriptors or idle clients, and microseconds; None if not measured."""
    return (row.kind, row.watched, row.microseconds) if isinstance(row, Cost) else (row.server, row.idle, row.cpu)


def _of_waiting(rows: Sequence[Cost]) -> str:
    parts = _growth(rows, "watched descriptors a wait takes", "as long")
    return _joined(parts) or "one number of descriptors alone shows no growth: measure a second one"


def _of_ready(rows: Sequence[Cost]) -> str:
    most = max((row.watched for row in rows if row.microseconds is not None), default=None)
    if most is None:
        return "Nothing could be measured"
    there = [(row.microseconds, row.kind) for row in rows if row.watched == most and row.microseconds is not None]
    (least, cheapest), *others = sorted(there, key=itemgetter(0))
    text = f"with all of {most:,} descriptors ready, {cheapest} is the cheapest"
    return _joined([text, *(f"{kind} takes {times(cost / least)} as long" for cost, kind in others)])


def _of_ladder(rows: Sequence[Rung]) -> str:
    parts = _growth(rows, "idle clients a request costs", "as much") or _cheapest(rows)
    missing: dict[tuple[int, str], list[str]] = {}
    for server in dict.fromkeys(row.server for row in rows):
        if without := [row for row in rows if row.server == server and row.cpu is None]:
            first = min(without, key=lambda row: row.idle)
            said = "there was no time for {} with {:,}" if first.no_time else "{} could not be measured with {:,}"
            missing.setdefault((first.idle, said), []).append(server)
    parts += [said.format(_and(names), number) for (number, said), names in sorted(missing.items())]
    return _joined(parts)


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _growth(rows: Sequence[Cost] | Sequence[Rung], what: str, much: str) -> list[str]:
    """How each grew from its smallest number to its largest, those with the same numbers together."""
    points: dict[str, list[tuple[int, float]]] = {}
    for name, number, value in map(point, rows):
        if value is not None:
            points.setdefault(name, []).append((number, value))
    grown: dict[tuple[int, int], list[str]] = {}
    for name, own in points.items():
        (few, least), (many, most) = min(own), max(own)
        if few < many:
            together = grown.setdefault((few, many), [])
            together.append(f"{times(most / least)} {'' if together else much + ' '}with {name}")
    return [
        f"from {few:,} to {many:,} {what} {', '.join(each)}"
        for (few, many), each in sorted(grown.items(), key=lambda item: -item[0][1])
    ]


def _cheapest(rows: Sequence[Rung]) -> list[str]:
    """For one number of idle clients alone."""
    measured = sorted(((row.cpu, row) for row in rows if row.cpu is not None), key=itemgetter(0))
    if not measured:
        return []
    (least, first), *others = measured
    text = f"with {first.idle:,} idle clients a request costs {least:.1f} µs of CPU time with {first.server}"
    return [text, *(f"{times(cost / least)} as much with {row.server}" for cost, row in others)]


def times(ratio: float) -> str:
    """A ratio in words: "1.1 times", "480 times"."""
    return f"{ratio:.1f} times" if ratio < 10 else f"{ratio:,.0f} times"


def _joined(parts: list[str]) -> str:
    text = "; ".join(parts)
    return text[:1].upper() + text[1:]
