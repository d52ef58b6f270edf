"""The figure of a report: what each server costs, as a multiple of the cheapest."""

from pathlib import Path

from matplotlib.lines import Line2D

from course_lib.measure.comparison.figure import COURSE, OTHERS, a_line_each, colour_of, legend, number_beside
from course_lib.measure.comparison.peers import BARE, PEERS
from course_lib.measure.figures import QUIET, finish
from course_lib.measure.findings import times
from course_lib.measure.palette import MARKERS
from course_lib.widgets.drawing import Drawing

from .report import Report


def plot_report(report: Report) -> Drawing:
    """The ratios of a report, with 50 clients: CPU time a request as a multiple of the cheapest, on a logarithmic axis.

    Raises ValueError when nothing was measured.
    """
    rows = [(row, ratio) for row, ratio in report.ranked() if row.name not in BARE]
    if not rows:
        raise ValueError("there are no rows that were measured")
    (first, _), *others = rows
    ends = dict.fromkeys([*others[:1], *others[-1:]])
    title = f"CPU time of a request, as a multiple of {first.name}: " + ", ".join(
        f"{times(ratio.value)} with {row.name}" for row, ratio in ends
    )
    figure = Drawing(1.6 + 0.3 * len(rows))
    axes = figure.subplots()
    axes.set_xscale("log")
    for place, (row, ratio) in enumerate(rows):
        value, low, high = ratio.value, ratio.low, ratio.high
        colour = colour_of(row.name) if row is not first else QUIET
        marker = MARKERS[0] if PEERS[row.name].course else MARKERS[3]
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
        number_beside(axes, f"{value:.2f}" if value < 9.95 else f"{value:.0f}", high, place)
    a_line_each(axes, [row.name for row, _ in rows])
    axes.set_xlim(0.9, 1.6 * max(ratio.high for _, ratio in rows))
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{tick}×" for tick in ticks])
    axes.minorticks_off()
    kinds = ((COURSE, MARKERS[0], "of the course"), (OTHERS, MARKERS[3], "others"))
    legend(
        axes,
        [Line2D([], [], color=colour, marker=marker, linestyle="", markersize=7, label=label) for colour, marker, label in kinds],
    )
    below = "50 clients, 64 bytes; the lines show the middle half of the rounds."
    finish(figure, title, [f"{report.machine}; {report.date}.", below])
    figure.words = "\n".join([title + ".", *(f"{row.name}: {ratio.value:.2f}" for row, ratio in rows)])
    return figure


def write(figure: Drawing, path: Path) -> None:
    """Write a figure to a .png or an .svg file. Raises OSError."""
    if path.suffix == ".svg":
        figure.savefig(path, format="svg")
    else:
        path.write_bytes(figure.png())
