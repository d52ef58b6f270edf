"""The measurements as still figures: logarithmic axes, a title that is computed, labels at the lines, words for the blind."""

import math
import textwrap
from collections.abc import Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator

from course_lib.widgets.drawing import BESIDE, SMALL, Drawing

from .findings import finding, point
from .ladder import Rung
from .palette import MARKERS, ON_WHITE, styles
from .waiting import PUBLISHED, SOURCE, Cost

INK, QUIET = "#222222", "#555555"
_APART = 0.08  # of the height: two labels that stand nearer than that are moved apart

Line = list[tuple[float, float, float, float]]  # x, y, the lowest and the highest y of the rounds


def plot_waiting(rows: Sequence[Cost]) -> Drawing:
    """The rows of `waiting_cost`, above what a book printed for the same kinds (PUBLISHED; its SOURCE stands below).

    Raises ValueError when there are no rows.
    """
    title = finding(rows)
    figure = Drawing(6.2, BESIDE)
    here, book = figure.subplots(2, 1)
    published = [row for row in PUBLISHED if row.kind in {own.kind for own in rows}]
    ours, theirs = _lines_of(rows), _lines_of(published)
    both = [*ours.values(), *theirs.values()]
    _draw(here, ours, _notes(rows), height=both)
    _draw(book, theirs, {}, height=both)
    here.set_title("this machine, asked from Python", fontsize=10, color=INK)
    book.set_title("The Linux Programming Interface, in C", fontsize=10, color=INK)
    here.set_ylabel("µs of CPU time for one wait", color=INK)
    book.set_ylabel("µs for one wait", color=INK)
    for axes in (here, book):
        axes.set_xlabel("descriptors watched, one of them ready", color=INK)
    below = [*_reasons(rows), *_not_counted(rows), f"Below: {SOURCE}."]
    finish(figure, title, below)
    figure.words = "\n".join([title + ".", *map(str, rows), *_not_counted(rows), f"The book: {finding(published)}. {SOURCE}."])
    return figure


def plot_ready(rows: Sequence[Cost]) -> Drawing:
    """The rows of `ready_cost`. Raises ValueError when there are no rows."""
    return _chart(rows, "descriptors watched, all of them ready", "µs of CPU time for one wait")


def plot_ladder(rows: Sequence[Rung]) -> Drawing:
    """The rows of `ladder`: CPU time a request against idle clients. Raises ValueError when there are no rows."""
    active = rows[0].active if rows else 0
    beside = f"idle clients ({active} more {'is' if active == 1 else 'are'} active)"
    return _chart(rows, beside, "µs of CPU time of the server, for one request", with_zero=True)


def _chart(rows: Sequence[Cost] | Sequence[Rung], beside: str, up: str, with_zero: bool = False) -> Drawing:
    title = finding(rows)
    figure = Drawing(4.4, BESIDE)
    axes = figure.subplots()
    _draw(axes, _lines_of(rows), _notes(rows), with_zero=with_zero)
    axes.set_xlabel(beside, color=INK)
    axes.set_ylabel(up, color=INK)
    finish(figure, title, _reasons(rows))
    figure.words = "\n".join([title + ".", *map(str, rows)])
    return figure


def _not_counted(rows: Sequence[Cost]) -> list[str]:
    wakes = [row.wake for row in rows if row.wake is not None]
    if not wakes:
        return []
    return [
        f"Not counted: the write that makes one ready and the read after it, {min(wakes):.2f} to {max(wakes):.2f} µs together."
    ]


def _lines_of(rows: Sequence[Cost] | Sequence[Rung]) -> dict[str, Line]:
    """The points that were measured. A book tells the value alone, and no range of rounds."""
    lines: dict[str, Line] = {}
    for row in rows:
        name, number, value = point(row)
        line = lines.setdefault(name, [])
        if value is not None:
            line.append((number, value, value if row.low is None else row.low, value if row.high is None else row.high))
    return lines


def _draw(
    axes: Axes, lines: dict[str, Line], notes: dict[str, str], *, with_zero: bool = False, height: list[Line] | None = None
) -> None:
    """Draw the lines; `height` are those that must fit in, if there are others beside these."""
    numbers = sorted({x for line in lines.values() for x, *_ in line})
    if with_zero:
        # No logarithm has a place for 0: below the smallest number the axis is linear.
        axes.set_xscale("symlog", linthresh=next(filter(None, numbers), 1), linscale=0.5)
    else:
        axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_autoscaley_on(False)
    axes.set_autoscalex_on(with_zero and len(numbers) > 1)
    drawn = {}
    style_of = styles(lines)
    for name, line in lines.items():
        line = sorted(line)
        if not line:
            continue
        colour, marker = ON_WHITE[style_of[name]], MARKERS[style_of[name]]
        xs, ys, lows, highs = zip(*line)
        errors = [[max(0.0, y - low) for y, low in zip(ys, lows)], [max(0.0, high - y) for y, high in zip(ys, highs)]]
        axes.errorbar(xs, ys, yerr=errors, color=colour, marker=marker, markersize=5, linewidth=1.8, capsize=2.5)
        highest = all(y <= ys[-1] for other in lines.values() for x, y, *_ in other if x == xs[-1])
        drawn[name] = (xs[-1], ys[-1], colour, highest)
    if numbers:
        if not with_zero or len(numbers) == 1:
            axes.set_xlim(
                numbers[0] / 1.4 - 0.3 * with_zero, 1.4 * numbers[-1] + with_zero
            )  # a lone 0 stands beside the axis, not on it
        fit = [point for line in height or lines.values() for point in line]
        axes.set_ylim(min(low for *_, low, _ in fit) / 1.7, max(high for *_, high in fit) * 1.7)
        axes.set_xticks(numbers, [f"{x:,.0f}" for x in numbers])
        axes.minorticks_off()
    costs = [y for line in lines.values() for _, y, *_ in line]
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if costs and max(costs) < 300 * min(costs) else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}" if y >= 1 else f"{y:g}"))
    quiet(axes, "y")
    _label(axes, drawn, notes)


def _label(axes: Axes, ends: dict[str, tuple[float, float, str, bool]], notes: dict[str, str]) -> None:
    """Each line's name beside its last point: above, where a line ends early and on top. Others are moved apart."""
    low, high = map(math.log, axes.get_ylim())
    used: dict[float, float] = {}  # the highest place that has a label, at each x
    end = max((x for x, *_ in ends.values()), default=0)
    for name, (x, y, colour, highest) in sorted(ends.items(), key=lambda item: item[1][1]):
        place = used[x] = max((math.log(y) - low) / (high - low), used.get(x, -1.0) + _APART)
        text = f"{name}, {notes[name]}" if name in notes else name
        above = highest and x < end
        axes.annotate(
            text,
            (x, math.exp(low + place * (high - low))),
            xytext=(2, 7) if above else (9, 0),
            textcoords="offset points",
            ha="right" if above else "left",
            va="bottom" if above else "center",
            color=colour,
            fontsize=9,
            fontweight="bold",
            parse_math=False,
            annotation_clip=False,
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )


def _notes(rows: Sequence[Cost] | Sequence[Rung]) -> dict[str, str]:
    """{name: "not at 10,000"} for lines that have no point at larger numbers; "no time for 10,000" where time was over."""
    notes = {}
    for row in rows:
        name, number, value = point(row)
        if value is None and name not in notes:
            notes[name] = f"{'no time for' if isinstance(row, Rung) and row.no_time else 'not at'} {number:,}"
    return notes


def _reasons(rows: Sequence[Cost] | Sequence[Rung]) -> list[str]:
    """Why points are missing: the first reason of each line."""
    reasons: dict[str, str] = {}
    for row in rows:
        name, number, value = point(row)
        if value is None:
            reasons.setdefault(name, f"{name}, {number:,}: {row.why_not}.")
    return list(reasons.values())


def finish(figure: Drawing, title: str, below: Sequence[str]) -> None:
    """The title above a figure, and small lines below it, for which it grows."""
    inches = figure.get_figwidth()
    title = textwrap.fill(title, int(inches * 11))
    lines = [part for text in below for part in textwrap.wrap(text, int(inches * 14), break_on_hyphens=False)]
    figure.set_figheight(figure.get_figheight() + 0.2 * title.count("\n") + 0.17 * len(lines))
    figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left", parse_math=False)
    if lines:
        figure.supxlabel("\n".join(lines), fontsize=SMALL, color=QUIET, x=0.01, ha="left", parse_math=False)


def quiet(axes: Axes, lines: Literal["x", "y"]) -> None:
    """Nothing that distracts: lines of the grid for one axis, "x" or "y", and no frame."""
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(axis=lines, which="major", color="#dddddd", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
