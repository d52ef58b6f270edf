"""The report as text, from its plain values."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from .goals import Goal, Part, goals

LIMITS = {
    "clients": "the clients had no more to give: the server could answer more a second",
    "machine": "neither server nor clients were busy all the time: something else had the cores, or they waited for each other",
    "round trip": "one client waits for each answer before it asks again",
    "core": "server and clients share the only core",
}
_MARKS = {"clients": "a", "machine": "b", "round trip": "c", "core": "d"}
_WIDTH = 118


def text(report: dict) -> str:
    """All of it."""
    parts = [
        _head(report),
        *_servers(report),
        _idle(report),
        _observing(report),
        _visible(report),
        _times(report),
        _goals(goals(report)),
        _notes(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(report: dict) -> str:
    machine = report["machine"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, Python {machine['python']}, "
        f"{report['date']}; a {report['mode']} run"
    ]
    if report.get("interrupted"):
        lines.append("Interrupted: this is what was measured until then.")
    return "\n".join(lines)


def _servers(report: dict) -> Iterable[str]:
    rows = report.get("servers", [])
    for number in dict.fromkeys(row["connections"] for row in rows):
        mine = [row for row in rows if row["connections"] == number]
        base = next((row["base"] for row in mine if row["base"]), "–")
        lines, used = [], set()
        for row in mine:
            if row["cpu"] is None:
                continue
            limit = row["limit"]
            used.add(limit)
            lines.append(
                [
                    row["name"],
                    _of(row["cpu"], 2),
                    _of(row["added"], 2),
                    _of(row["times"], 2),
                    f"{row['requests_per_second']['value']:,.0f} {_MARKS.get(limit, ' ')}",
                    f"{row['p50']['value']:,.0f}",
                    f"{row['p99']['value']:,.0f}",
                ]
            )
        title = f"{number} client{'s' * (number > 1)}, 64 bytes; µs of CPU time of the server for one request"
        if not lines:
            yield f"{title}: nothing was measured"
            continue
        over = "the loop in C" if base == "c" else f"{base}, the cheapest here"
        table = _table(["server", "CPU µs", f"added to {base}", f"times {base}", "requests/s", "p50 µs", "p99 µs"], lines)
        below = [
            f"added, times: over {over}; in brackets the middle half of the rounds. "
            "requests/s and latencies: server and clients on two cores."
        ]
        below += [f"{_MARKS[limit]}: {LIMITS[limit]}" for limit in _MARKS if limit in used]
        missing: dict[str, list[str]] = {}
        for row in mine:
            if row["cpu"] is None and row["why_not"]:
                missing.setdefault(row["why_not"], []).append(row["name"])
        below += [f"not measured: {', '.join(names)}: {why}" for why, names in missing.items()]
        yield "\n".join([title, table, *map(_wrapped, below)])


def _idle(report: dict) -> str:
    rows = report.get("idle", [])
    lines = [
        [
            row["name"],
            f"{row['idle']:,}",
            _of(row["cpu"], 2),
            _of(row["times"], 2),
            f"{row['memory']:,.0f}" if row["memory"] is not None else "–",
        ]
        for row in rows
        if row["cpu"]
    ]
    if not lines:
        return ""
    missing = [
        f"not measured: {row['name']} with {row['idle']:,} idle: {row['why_not']}"
        for row in rows
        if not row["cpu"] and row["why_not"]
    ]
    title = f"{rows[0]['active']} clients talk, others are idle"
    table = _table(["server", "idle", "CPU µs", "times none idle", "bytes of each"], lines)
    return "\n".join([title, table, *map(_wrapped, missing)])


def _observing(report: dict) -> str:
    rows = report.get("observing", [])
    if not rows:
        return ""
    lines = [
        [row["name"], _of(row["cpu"], 2), _of(row["speed"], 2), f"{row['messages_per_second']:.0f}", row["what"]] for row in rows
    ]
    return "\n".join(
        [
            "The observer: CPU time a request of a plain epoll loop, and its speed against the loop alone",
            _table(["", "CPU µs", "speed", "messages/s", ""], lines, left=(0, 4)),
        ]
    )


def _visible(report: dict) -> str:
    rows = report.get("visible", [])
    if not rows:
        return ""
    lines = [
        [
            str(row["descriptors"]),
            row["meanwhile"],
            *(f"{row[name]:.0f}" if row[name] is not None else "–" for name in ("p50", "p95")),
            f"{row['samples']} of {row['of']}",
        ]
        for row in rows
    ]
    return "\n".join(
        [
            "Readable in the kernel → visible in the page, ms",
            _table(["descriptors", "meanwhile", "p50", "p95", "seen"], lines, left=(1,)),
        ]
    )


def _times(report: dict) -> str:
    lines = []
    for row in report.get("imports", []):
        slow = ", ".join(f"{name} {own:.0f} ms" for name, own in row["slowest"])
        after = "" if row["after"] == "sys" else f" after {row['after']}"
        lines.append(f"import {row['module']}{after}: {_of(row['milliseconds'], 0)} ms of CPU time; slowest: {slow}")
    for row in report.get("notebooks", []):
        slow = "; ".join(f"{cell['seconds']:.1f} s {cell['begins']!r}" for cell in row["slowest"])
        why = f", {row['why_not']}" if row["why_not"] else ""
        lines.append(f"Run All of {row['name']}: {row['seconds']:.1f} s{why}; slowest: {slow}")
    for name, found in report.get("tests", {}).items():
        slow = ", ".join(f"{test} {seconds} s" for seconds, test in found["slowest"][:5])
        lines.append(
            f"{'make test' if name == 'make' else 'all notebooks under nbval'}: {found['seconds']:.0f} s, "
            f"status {found['status']}{'; slowest: ' + slow if slow else ''}"
        )
    return "\n".join(["How long things take", *map(_wrapped, lines)]) if lines else ""


def _goals(found: Sequence[Goal]) -> str:
    lines = []
    for goal in found:
        lines.append(_wrapped(goal.what))
        for part in goal.parts:
            lines.append(f"    {part.what:44} {_limit(part):>9}   {measured(part):24} {verdict(part)}")
            if part.met is not True and part.why:
                lines.append(textwrap.fill(part.why, _WIDTH, initial_indent=8 * " ", subsequent_indent=8 * " "))
    return "\n".join(["Goals", *lines])


def plain_goals(report: dict) -> list[dict]:
    """The table of goals as plain values."""
    return [
        {"what": goal.what, "met": goal.met, "parts": [asdict(part) | {"met": part.met} for part in goal.parts]}
        for goal in goals(report)
    ]


def verdict(part: Part) -> str:
    return {True: "met", False: "NOT MET", None: "not measured"}[part.met]


def measured(part: Part) -> str:
    """What was measured, with its spread where there is one."""
    if part.value is None:
        return "–"
    value, low, high = (part.value[name] for name in ("value", "low", "high"))
    digits = 2 if part.unit == "×" and value < 10 else 0 if value >= 10 else 1
    text = f"{value:,.{digits}f}{_unit(part)}"
    return text if low == high else f"{text} ({low:,.{digits}f} to {high:,.{digits}f})"


def _limit(part: Part) -> str:
    return f"{'≤' if part.at_most else '≥'} {part.limit:g}{_unit(part)}"


def _unit(part: Part) -> str:
    return part.unit if part.unit in ("", "×") else f" {part.unit}"


def _notes(report: dict) -> str:
    return "\n".join(map(_wrapped, report.get("notes", [])))


def _of(value: dict | None, digits: int) -> str:
    if value is None:
        return "–"
    return f"{value['value']:.{digits}f} ({value['low']:.{digits}f}–{value['high']:.{digits}f})"


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
