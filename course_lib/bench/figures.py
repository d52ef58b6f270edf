"""The comparison as a still figure: a bar for each server, what the kernel costs in grey, what is added in colour."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from course_lib.measure.findings import times
from course_lib.measure.palette import MARKERS, ON_WHITE
from course_lib.widgets.drawing import SMALL, Drawing

from .comparing import Row
from .peers import BARE, PEERS, C

_INK, _QUIET, _KERNEL = "#222222", "#555555", "#b5b5b5"
_COURSE, _OTHERS = ON_WHITE[0], ON_WHITE[1]


def plot_compare(rows: Sequence[Row]) -> Drawing:
    """The rows of `compare`, the cheapest first. Raises ValueError when nothing was measured."""
    measured = sorted((row for row in rows if row.cpu is not None), key=lambda row: row.cpu)
    if not measured:
        raise ValueError("there are no rows that were measured")
    title = finding(rows)
    figure = Drawing(1.5 + 0.36 * len(measured))
    axes = figure.subplots()
    for place, row in enumerate(measured):
        floor = row.cpu - (row.added or 0.0)
        axes.barh(place, floor, color=_KERNEL, height=0.66)
        axes.barh(place, row.cpu - floor, left=floor, color=_colour(row.name), height=0.66)
        axes.plot([row.low, row.high], [place, place], color=_INK, linewidth=1.4, marker="|", markersize=6)
        axes.annotate(
            f"{row.cpu:.2f}",
            (max(row.high, row.cpu), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=_INK,
            fontsize=9,
        )
    axes.set_yticks(range(len(measured)), [row.name for row in measured])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(row.high for row in measured))
    axes.set_xlabel("µs of CPU time of the server, for one request", color=_INK)
    axes.tick_params(colors=_INK, labelsize=9)
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    base = PEERS[C].what if measured[0].base == C else f"what {measured[0].base} costs, the cheapest here"
    names = {_KERNEL: base} | {
        _colour(row.name): "added by a server of the course" if PEERS[row.name].course else "added by others"
        for row in measured
        if row.added
    }
    axes.legend(
        handles=[Patch(color=colour, label=label) for colour, label in names.items()],
        loc="upper right",
        fontsize=SMALL,
        frameon=False,
        labelcolor=_INK,
    )
    _finish(figure, title, [f"{row.name}: {row.note}." for row in rows if row.note])
    figure.words = "\n".join([title + ".", *map(str, rows)])
    return figure


def finding(rows: Sequence[Row]) -> str:
    """What the rows show, in one sentence. Raises ValueError when nothing was measured."""
    measured = sorted((row for row in rows if row.cpu is not None), key=lambda row: row.cpu)
    if not measured:
        raise ValueError("there are no rows that were measured")
    first, *others = measured
    text = f"A request costs {first.cpu:.2f} µs of CPU time with {first.name}"
    ends = dict.fromkeys(others[:1] + others[-1:])  # the others stand in the picture
    return ", ".join([text, *(f"{times(row.cpu / first.cpu)} as much with {row.name}" for row in ends)])


def _colour(name: str) -> str:
    return _KERNEL if name == C else _COURSE if PEERS[name].course else _OTHERS


def _finish(figure: Drawing, title: str, below: Sequence[str]) -> None:
    inches = figure.get_figwidth()
    title = textwrap.fill(title, int(inches * 11))
    lines = [part for text in below for part in textwrap.wrap(text, int(inches * 14), break_on_hyphens=False)]
    figure.set_figheight(figure.get_figheight() + 0.2 * title.count("\n") + 0.17 * len(lines))
    figure.suptitle(title, fontsize=11, color=_INK, x=0.01, ha="left", parse_math=False)
    if lines:
        figure.supxlabel("\n".join(lines), fontsize=SMALL, color=_QUIET, x=0.01, ha="left", parse_math=False)


def plot_report(report: dict) -> Drawing:
    """The ratios of a report, with 50 clients: CPU time a request as a multiple of the cheapest, on a logarithmic axis.

    Raises ValueError when nothing was measured.
    """
    rows = sorted(
        (row for row in report["servers"] if row["connections"] == 50 and row["cpu"] and row["name"] not in BARE),
        key=lambda row: row["times"]["value"],
    )
    if not rows:
        raise ValueError("there are no rows that were measured")
    first, *others = rows
    ends = [*others[:1], *others[-1:]]
    title = (
        "CPU time of a request, as a multiple of "
        + first["name"]
        + ": "
        + ", ".join(f"{times(row['times']['value'])} with {row['name']}" for row in {row["name"]: row for row in ends}.values())
    )
    figure = Drawing(1.6 + 0.3 * len(rows))
    axes = figure.subplots()
    axes.set_xscale("log")
    for place, row in enumerate(rows):
        value, low, high = (row["times"][name] for name in ("value", "low", "high"))
        colour = _colour(row["name"]) if row is not first else _QUIET
        marker = MARKERS[0] if row["course"] else MARKERS[3]
        axes.hlines(place, 0.9, value, color="#dddddd", linewidth=1.0, zorder=1)
        axes.errorbar(
            value,
            place,
            xerr=[[value - low], [high - value]],
            color=colour,
            marker=marker,
            markersize=7,
            capsize=2.5,
            linewidth=1.4,
        )
        axes.annotate(
            f"{value:.2f}" if value < 9.95 else f"{value:.0f}",
            (high, place),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            color=_INK,
            fontsize=9,
        )
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0.9, 1.6 * max(row["times"]["high"] for row in rows))
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{tick}×" for tick in ticks])
    axes.minorticks_off()
    axes.tick_params(colors=_INK, labelsize=9)
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(
        handles=[
            Line2D([], [], color=colour, marker=marker, linestyle="", markersize=7, label=label)
            for colour, marker, label in ((_COURSE, MARKERS[0], "of the course"), (_OTHERS, MARKERS[3], "others"))
        ],
        loc="upper right",
        fontsize=9,
        frameon=False,
        labelcolor=_INK,
    )
    machine = report["machine"]
    _finish(
        figure,
        title,
        [
            f"{machine['processor']}, {machine['cores']} cores, Linux {machine['kernel']}, "
            f"Python {machine['python']}; {report['date']}.",
            "50 clients, 64 bytes; the lines show the middle half of the rounds.",
        ],
    )
    figure.words = "\n".join([title + ".", *(f"{row['name']}: {row['times']['value']:.2f}" for row in rows)])
    return figure


def write(figure: Drawing, path: Path) -> None:
    """Write a figure to a .png or an .svg file. Raises OSError."""
    if path.suffix == ".svg":
        figure.savefig(path, format="svg")
    else:
        path.write_bytes(figure.png())
