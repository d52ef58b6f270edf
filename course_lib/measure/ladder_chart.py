"""The ladder as a chart and a table in HTML, for a page that may be light or dark.

The chart is an SVG: it takes the page's own colours, and no thread but the main one may use matplotlib.
"""

import math
from html import escape

from .findings import finding
from .ladder import Rung
from .palette import DASHES, ON_ANY, styles

_WIDE, _HIGH, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 260, 66, 150, 14, 38


def chart(rows: list[Rung]) -> str:
    """CPU time a request against idle clients, both axes logarithmic: an inline SVG, with a title for those who do not see it."""
    measured = [(row.server, row.idle, row.cpu) for row in rows if row.cpu is not None]
    if not measured:
        return ""
    numbers = sorted({row.idle for row in rows})
    places = [math.log10(number + 50) for number in numbers]  # 0 has a place too
    first, last = places[0], max(places[-1], places[0] + 0.1)
    costs = [math.log10(cpu) for _, _, cpu in measured]
    low, high = math.floor(min(costs)), math.ceil(max(costs))
    high = max(high, low + 1)

    def x(number: int) -> float:
        return _LEFT + (math.log10(number + 50) - first) / (last - first) * (_WIDE - _LEFT - _RIGHT)

    def y(cost: float) -> float:
        return _TOP + (high - math.log10(cost)) / (high - low) * (_HIGH - _TOP - _BOTTOM)

    parts = [
        f"<svg role='img' aria-label='{escape(finding(rows), quote=True)}' viewBox='0 0 {_WIDE} {_HIGH}' "
        f"style='max-width: {_WIDE}px; width: 100%; font: 12px sans-serif; fill: var(--jp-content-font-color1, #222)'>"
    ]
    for power in range(low, high + 1):
        level = y(10.0**power)
        parts.append(
            f"<line x1='{_LEFT}' x2='{_WIDE - _RIGHT}' y1='{level:.1f}' y2='{level:.1f}' "
            "stroke='var(--jp-border-color2, #ccc)'/>"
            f"<text x='{_LEFT - 6}' y='{level + 4:.1f}' text-anchor='end'>{10.0**power:,g} µs</text>"
        )
    free = -math.inf
    for number in numbers:
        if x(number) > free:
            free = x(number) + 34
            parts.append(f"<text x='{x(number):.1f}' y='{_HIGH - _BOTTOM + 18}' text-anchor='middle'>{number:,}</text>")
    parts.append(f"<text x='{_LEFT}' y='{_HIGH - 4}'>idle clients; up: CPU time of the server for one request</text>")
    labels: list[tuple[float, float, str, str]] = []
    for server, style in styles(row.server for row in rows).items():
        points = [(x(idle), y(cpu)) for name, idle, cpu in measured if name == server]
        if not points:
            continue
        stroke, dash = ON_ANY[style], DASHES[style]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f"<polyline points='{line}' fill='none' stroke='{stroke}' stroke-width='2' stroke-dasharray='{dash}'/>")
        parts += [f"<circle cx='{a:.1f}' cy='{b:.1f}' r='4' fill='{stroke}'/>" for a, b in points]
        labels.append((points[-1][1], points[-1][0], server, stroke))
    lowest: dict[float, float] = {}
    for level, end, server, stroke in sorted(labels):
        # A line that ends early and on top has its name above it, where no other line goes.
        above = _LEFT + 80 < end < x(numbers[-1]) and all(y(cpu) >= level for _, idle, cpu in measured if x(idle) == end)
        lowest[end] = max(level, lowest.get(end, -math.inf) + 15)
        where = (
            f"x='{end + 2:.1f}' y='{level - 9:.1f}' text-anchor='end'"
            if above
            else f"x='{end + 9:.1f}' y='{lowest[end] + 4:.1f}'"
        )
        parts.append(
            f"<text {where} style='paint-order: stroke; stroke: var(--jp-layout-color0, #fff); "
            f"stroke-width: 4px; font-weight: bold'><tspan fill='{stroke}'>● </tspan>{escape(server)}</text>"
        )
    return "".join(parts) + "</svg>"


def table(rows: list[Rung]) -> str:
    """The same as a table in HTML: a line for each number of idle clients, and below it why points are missing."""
    servers, numbers = list(dict.fromkeys(row.server for row in rows)), sorted({row.idle for row in rows})
    found = {(row.server, row.idle): row for row in rows}
    head = "".join(f"<th scope='col'>{escape(server)}</th>" for server in servers)
    body = "".join(
        f"<tr><th scope='row'>{number:,}</th>" + "".join(_cell(found.get((server, number))) for server in servers) + "</tr>"
        for number in numbers
    )
    why = "".join(f"<div>{escape(row.server)}, {row.idle:,}: {escape(row.why_not)}.</div>" for row in rows if row.why_not)
    return f"<table><thead><tr><th scope='col'>idle clients</th>{head}</tr></thead><tbody>{body}</tbody></table>{why}"


def _cell(row: Rung | None) -> str:
    text = "" if row is None else "–" if row.cpu is None else f"{row.cpu:.1f} µs · {row.requests_per_second:,.0f} requests/s"
    return f"<td style='white-space: nowrap; padding: 2px 10px'>{text}</td>"
