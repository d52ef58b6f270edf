"""The lanes: what each worker of a mix did, and when, drawn as an SVG from its rows.

The same drawing for a page, in its own colours, and for a stored notebook, on white.
"""

from collections.abc import Sequence
from html import escape

from .workers import Span, finding, kinds_of, seconds_of

_LOOKS = {
    "cpu": ("#d55e00", "computes"),
    "wait": ("#7fb8de", "waits for its input"),
    "turn": ("#9a9a9a", "ready, and waits for its turn"),
}
_HIGH = {"cpu": 16, "wait": 6, "turn": 10}  # the height tells them apart, too
_WIDE, _LEFT, _LANE, _GROUP = 490, 92, 20, 20  # pixels; so wide is a cell beside the panel, in a page of 1280
_LEAST = _WIDE * 10 // 11  # the width at which type of 11 pixels has 10


def lanes(rows: Sequence[Span], ink: str = "var(--jp-content-font-color1, #222)") -> str:
    """The rows as an SVG: a lane for each worker, groups below each other on one scale of time."""
    whole = max((row.end for row in rows), default=0.0) or 1.0
    scale = (_WIDE - _LEFT - 10) / whole
    parts, y = [], 4
    for by in kinds_of(rows):
        mine = [row for row in rows if row.by == by]
        parts.append(f"<text x='0' y='{y + 14}' font-weight='bold'>{escape(by)}</text>")
        workers, top = sorted({row.worker for row in mine}), y
        for row in mine:
            high = _HIGH[row.what]
            middle = top + _LANE * (workers.index(row.worker) + 0.5)
            parts.append(
                f"<rect x='{_LEFT + row.start * scale:.1f}' y='{middle - high / 2:.1f}' height='{high}' "
                f"width='{max(0.4, (row.end - row.start) * scale):.1f}' fill='{_LOOKS[row.what][0]}'/>"
            )
        y += _LANE * len(workers)
        end = seconds_of(rows, by)
        x = _LEFT + end * scale
        parts.append(
            f"<line x1='{x:.1f}' x2='{x:.1f}' y1='{top}' y2='{y}' "
            f"stroke='{ink}' stroke-width='1.5'/><text x='0' y='{y + 10}' font-size='11'>{end:.2f} s</text>"
        )
        y += _GROUP
    step = next(step for step in (0.05, 0.1, 0.2, 0.5, 1.0) if whole / step <= 8 or step == 1.0)
    for tick in range(int(whole / step) + 1):
        x = _LEFT + tick * step * scale
        parts.append(
            f"<line x1='{x:.1f}' x2='{x:.1f}' y1='0' y2='{y}' stroke='#999' stroke-opacity='0.35'/>"
            f"<text x='{x:.1f}' y='{y + 14}' text-anchor='middle' font-size='11'>{tick * step:g} s</text>"
        )
    y += 24
    x = 0.0
    for what, (colour, words) in _LOOKS.items():
        high = _HIGH[what]
        parts.append(
            f"<rect x='{x:.0f}' y='{y + 8 - high / 2:.1f}' width='20' height='{high}' fill='{colour}'/>"
            f"<text x='{x + 26:.0f}' y='{y + 13}' font-size='12'>{words}</text>"
        )
        x += 42 + 6.3 * len(words)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' role='img' aria-label='{escape(finding(rows))}.' "
        f"viewBox='0 0 {_WIDE} {y + 22}' style='max-width: {_WIDE}px; width: 100%; font: 13px sans-serif; fill: {ink}'>"
        + "".join(parts)
        + "</svg>"
    )


class Lanes:
    """The lanes as a still picture, which a notebook shows as it is and keeps when it is stored; `words` says the same."""

    def __init__(self, rows: Sequence[Span]) -> None:
        self.rows, self.words = list(rows), f"{finding(rows)}."

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        return {"text/plain": self.words, "text/html": image(self.rows)}


def picture(*rows: Sequence[Span]) -> Lanes:
    """The lanes of one or several lists of rows. Raises ValueError when there are none."""
    return Lanes([row for some in rows for row in some])


def image(rows: Sequence[Span]) -> str:
    """The lanes as an <img> that a stored notebook can keep, on white: HTML."""
    svg = lanes(rows, "#222222").replace("<svg ", f"<svg width='{_WIDE}' ", 1)
    svg = svg.replace("'>", "'><rect width='100%' height='100%' fill='white'/>", 1)
    from course_lib.widgets.still import still  # widgets take long to import, and the processes that are measured need none

    return still(svg.encode(), "svg+xml", f"{finding(rows)}.", _LEAST)
