"""The report in words."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from course_lib.measure.comparison.peers import C
from course_lib.measure.comparison.spread import Spread

from . import idle
from .goals import Goal, Part, goals
from .observing import VARIANTS
from .report import Report
from .side_by_side import Comparison

LIMITS = {
    "clients": "the clients had no more to give: the server could answer more a second",
    "machine": "neither server nor clients were busy all the time: something else had the cores, or they waited for each other",
    "round trip": "one client waits for each answer before it asks again",
    "core": "server and clients share the only core",
}
_MARKS = {"clients": "a", "machine": "b", "round trip": "c", "core": "d"}
_WIDTH = 118


def text(report: Report) -> str:
    """All of it."""
    times = [*_times(report)]
    parts = [
        f"{report.machine}, {report.date}; a {report.mode} run"
        + "\nInterrupted: this is what was measured until then." * report.interrupted,
        *map(_servers, report.servers),
        _idle(report),
        _observing(report),
        _visible(report),
        "\n".join(["How long things take", *map(_wrapped, times)]) if times else "",
        _goals(goals(report)),
        "\n".join(map(_wrapped, report.notes)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _servers(table: Comparison) -> str:
    title = f"{table.connections} client{'s' * (table.connections > 1)}, 64 bytes; µs of CPU time of the server for one request"
    found = [(served.row, served.speed) for served in table.servers if served.speed]
    if not found:
        return f"{title}: nothing was measured"
    base = found[0][0].base
    lines = [
        [
            f"{row.place}{'=' if any(row.name in names for names in table.tied) else ' '}",
            row.name,
            _of(row.cpu, 2),
            _of(row.added, 2),
            _of(row.times, 2),
            f"{speed.requests_per_second.value:,.0f} {_MARKS.get(speed.limit, ' ')}",
            f"{speed.p50.value:,.0f}",
            f"{speed.p99.value:,.0f}",
        ]
        for row, speed in sorted(found, key=lambda one: one[0].place or 0)
    ]
    over = "the loop in C" if base == C else f"{base}, the cheapest here"
    below = [
        f"added, times: over {over}; in brackets the middle half of the rounds. "
        "requests/s and latencies: server and clients on two cores."
    ]
    below += untold(table)
    below += [table.too_busy] * bool(table.too_busy)
    used = {speed.limit for _, speed in found}
    below += [f"{mark}: {LIMITS[limit]}" for limit, mark in _MARKS.items() if limit in used]
    missing: dict[str, list[str]] = {}
    for served in table.servers:
        if served.row.note:
            missing.setdefault(served.row.note, []).append(served.row.name)
    below += [f"not measured: {', '.join(names)}: {why}" for why, names in missing.items()]
    head = ["", "server", "CPU µs", f"added to {base}", f"times {base}", "requests/s", "p50 µs", "p99 µs"]
    return _tabular(title, head, lines, left=(1,), below=below)


def untold(table: Comparison) -> Iterator[str]:
    """A sentence for each place that several servers share."""
    why = "too busy to tell" if table.too_busy else "too close, or too few rounds, to tell"
    for names in table.tied:
        everyone = len(names) == sum(bool(served.row.cpu) for served in table.servers)
        yield f"{why} which is cheaper: {'all of them' if everyone else '; '.join(names)}"


def _idle(report: Report) -> str:
    lines = [
        [row.name, f"{row.idle:,}", _of(row.cpu, 2), _of(row.times, 2), "–" if row.memory is None else f"{row.memory:,.0f}"]
        for row in report.idle
        if row.cpu
    ]
    missing = [
        f"not measured: {row.name} with {row.idle:,} idle: {row.why_not}" for row in report.idle if not row.cpu and row.why_not
    ]
    head = ["server", "idle", "CPU µs", "times none idle", "bytes of each"]
    return _tabular(f"{idle.ACTIVE} clients talk, others are idle", head, lines, below=missing)


def _observing(report: Report) -> str:
    lines = [
        [row.name, _of(row.cpu, 2), _of(row.speed, 2), f"{row.messages_per_second:.0f}", VARIANTS[row.name]]
        for row in report.observing
    ]
    title = "The observer: CPU time a request of a plain epoll loop, and its speed against the loop alone"
    return _tabular(title, ["", "CPU µs", "speed", "messages/s", ""], lines, left=(0, 4))


def _visible(report: Report) -> str:
    lines = [
        [
            str(row.descriptors),
            row.meanwhile,
            *("–" if value is None else f"{value:.0f}" for value in (row.p50, row.p95)),
            f"{row.samples} of {row.of}",
        ]
        for row in report.visible
    ]
    head = ["descriptors", "meanwhile", "p50", "p95", "seen"]
    return _tabular("Readable in the kernel → visible in the page, ms", head, lines, left=(1,))


def _times(report: Report) -> Iterator[str]:
    for part in report.imports:
        after = "" if part.after == "sys" else f" after {part.after}"
        yield f"import {part.module}{after}: {_of(part.milliseconds, 0)} ms of CPU time; {part.slow}"
    for notebook in report.notebooks:
        slow = "; ".join(f"{seconds:.1f} s {begins!r}" for seconds, begins in notebook.slowest)
        why = f", {notebook.why_not}" if notebook.why_not else ""
        yield f"Run All of {notebook.name}: {notebook.seconds:.1f} s{why}; slowest: {slow}"
    for run in report.tests:
        yield "; ".join(filter(None, [f"{run.what}: {run.seconds:.0f} s, status {run.status}", run.slow(5)]))


def _tabular(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,), below: Iterable[str] = ()
) -> str:
    """A section that is a table; nothing where that has no rows."""
    return "\n".join([title, _table(head, rows, left), *map(_wrapped, below)]) if rows else ""


def _goals(found: Sequence[Goal]) -> str:
    lines = []
    for goal in found:
        lines.append(_wrapped(goal.what))
        for part in goal.parts:
            lines.append(f"    {part.what:44} {_limit(part):>9}   {measured(part):24} {verdict(part)}")
            if part.met is not True and part.why:
                lines.append(textwrap.fill(part.why, _WIDTH, initial_indent=8 * " ", subsequent_indent=8 * " "))
    return "\n".join(["Goals", *lines])


def verdict(part: Part) -> str:
    return {True: "met", False: "NOT MET", None: "not measured"}[part.met]


def measured(part: Part) -> str:
    """What was measured, with its spread where there is one."""
    if part.value is None:
        return "–"
    value, low, high = part.value.value, part.value.low, part.value.high
    digits = 2 if part.unit == "×" and value < 10 else 0 if value >= 10 else 1
    text = f"{value:,.{digits}f}{_unit(part)}"
    return text if low == high else f"{text} ({low:,.{digits}f} to {high:,.{digits}f})"


def _limit(part: Part) -> str:
    return f"{'≤' if part.at_most else '≥'} {part.limit:g}{_unit(part)}"


def _unit(part: Part) -> str:
    return part.unit if part.unit in ("", "×") else f" {part.unit}"


def _of(value: Spread | None, digits: int) -> str:
    if value is None:
        return "–"
    return f"{value.value:.{digits}f} ({value.low:.{digits}f}–{value.high:.{digits}f})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index in left else cell.rjust(width) for index, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in (head, *rows)
    )


def _wrapped(line: str) -> str:
    return textwrap.fill(line, _WIDTH, subsequent_indent="    ", break_on_hyphens=False)
