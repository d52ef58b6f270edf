"""The comparison as a still figure: a bar for each server, what the kernel costs in grey, what is added in colour."""

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from course_lib.measure.figures import INK, finish, quiet
from course_lib.measure.findings import times
from course_lib.measure.palette import ON_WHITE
from course_lib.widgets.drawing import SMALL, Drawing

from .comparing import Row
from .peers import PEERS, C
from .spread import Spread

KERNEL = "#b5b5b5"
COURSE, OTHERS = ON_WHITE[0], ON_WHITE[1]


def plot_servers(rows: Sequence[Row]) -> Drawing:
    """The rows of `compare_servers`, the cheapest first. Raises ValueError when nothing was measured."""
    measured = _measured(rows)
    if not measured:
        raise ValueError("there are no rows that were measured")
    title = finding(rows)
    figure = Drawing(1.5 + 0.36 * len(measured))
    axes = figure.subplots()
    for place, (cpu, row) in enumerate(measured):
        floor = cpu.value - (row.added.value if row.added else 0.0)
        axes.barh(place, floor, color=KERNEL, height=0.66)
        axes.barh(place, cpu.value - floor, left=floor, color=colour_of(row.name), height=0.66)
        axes.plot([cpu.low, cpu.high], [place, place], color=INK, linewidth=1.4, marker="|", markersize=6)
        number_beside(axes, f"{cpu.value:.2f}", cpu.high, place)
    a_line_each(axes, [row.name for _, row in measured])
    axes.set_xlim(0, 1.12 * max(cpu.high for cpu, _ in measured))
    axes.set_xlabel("µs of CPU time of the server, for one request", color=INK)
    name = measured[0][1].base
    base = PEERS[C].what if name == C else f"what {name} costs, the cheapest here"
    names = {KERNEL: base} | {
        colour_of(row.name): "added by a server of the course" if PEERS[row.name].course else "added by others"
        for _, row in measured
        if row.added and row.added.value
    }
    legend(axes, [Patch(color=colour, label=label) for colour, label in names.items()])
    finish(figure, title, [f"{row.name}: {row.note}." for row in rows if row.note])
    figure.words = "\n".join([title + ".", *map(str, rows)])
    return figure


def finding(rows: Sequence[Row]) -> str:
    """What the rows show, in one sentence. Raises ValueError when nothing was measured."""
    measured = _measured(rows)
    if not measured:
        raise ValueError("there are no rows that were measured")
    (least, first), *others = measured
    text = f"A request costs {least.value:.2f} µs of CPU time with {first.name}"
    ends = dict.fromkeys(others[:1] + others[-1:])  # the others stand in the picture
    return ", ".join([text, *(f"{times(cpu.value / least.value)} as much with {row.name}" for cpu, row in ends)])


def _measured(rows: Sequence[Row]) -> list[tuple[Spread, Row]]:
    """(CPU time of a request, its row), the cheapest first."""
    return sorted(((row.cpu, row) for row in rows if row.cpu), key=lambda one: one[0].value)


def colour_of(name: str) -> str:
    return KERNEL if name == C else COURSE if PEERS[name].course else OTHERS


def number_beside(axes: Axes, text: str, x: float, place: int) -> None:
    axes.annotate(text, (x, place), xytext=(7, 0), textcoords="offset points", va="center", color=INK, fontsize=9)


def legend(axes: Axes, handles: Sequence[Artist]) -> None:
    axes.legend(handles=handles, loc="upper right", fontsize=SMALL, frameon=False, labelcolor=INK)


def a_line_each(axes: Axes, names: Sequence[str]) -> None:
    """Servers from top to bottom, and nothing that distracts from them."""
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_axisbelow(True)
    quiet(axes, "x")
