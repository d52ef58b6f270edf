"""The machine as a still picture, drawn from what the kernel says: number → row → open file description → thing."""

import os
from collections.abc import Iterable
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from course_lib.kernel import Description, OpenFiles, Row, Thing, open_files
from course_lib.kernel.descriptors import number_of
from course_lib.kernel.recorder import cut

from .drawing import SMALL, Drawing

_ROW, _DESCRIPTION, _THING = "#dbe8f6", "#fde7c9", "#e6e6e6"  # told apart by their columns and headings too
_INK, _SHARED = "#222222", "#a34700"
_NUMBERS, _CENTRE, _THINGS = 0.1, 5.05, 8.95  # left edges of the three columns
_NUMBER, _FLAG, _ABOUT, _WIDE = 2.2, 2.2, 3.4, 12.9  # widths of a row's two parts, of a description, and of the drawing
_LINE = 0.62  # height of one line of text
_LONGEST, _LONGEST_LABEL = 30, 10  # characters of a name that are drawn


def machine(*things: Any, processes: dict[str, int] | Iterable[int] = (), details: bool = False, **named: Any) -> Drawing:
    """Draw what numbers name, from live data: rows with close-on-exec, open file descriptions, and the things behind.

    things     descriptors, or what has a fileno()
    named      the same with a name, as `machine(a=3, b=5)`
    processes  other processes in whose tables the same numbers are looked up: `{"the child": pid}`, or only the pids
    details    also the queues of sockets and the interest lists of epolls
    Raises TypeError for what has no descriptor, ValueError when nothing of it is open.
    """
    labels = {number_of(thing): name for name, thing in named.items()}
    others = processes if isinstance(processes, dict) else {f"process {pid}": pid for pid in processes}
    found = open_files([*map(number_of, things), *labels], others.values())
    if not found.rows:
        raise ValueError("none of these numbers is open: there is nothing to draw")
    owners = {os.getpid(): "the notebook's process"} | {pid: name for name, pid in others.items()}
    return draw(found, labels, owners, details)


def draw(found: OpenFiles, labels: dict[int, str], owners: dict[int, str], details: bool = False) -> Drawing:
    """The picture of plain data. labels: number → name; owners: process id → the heading of its table."""
    rows, height, headings = _row_places(found, owners)
    blocks = [_description_lines(d) for d in found.descriptions]
    wanted = [fmean(place for place, row in rows if row.description == i) for i in range(len(blocks))]
    descriptions = _spread(wanted, [_height(lines) for lines in blocks])
    boxes = [_thing_lines(thing, details) for thing in found.things]
    wanted = [fmean(place for place, d in zip(descriptions, found.descriptions) if d.thing == i) for i in range(len(boxes))]
    things = _spread(wanted, [_height(lines) for lines in boxes])
    height = max([height, *(p + _height(b) / 2 for p, b in [*zip(descriptions, blocks), *zip(things, boxes)])]) + 0.2

    figure = Drawing(0.75 + 0.36 * (height + 1))
    axes = figure.subplots()
    axes.set_xlim(0, _WIDE)
    axes.set_ylim(height, -1)
    axes.axis("off")
    columns = {_NUMBERS: "number → row of the table", _CENTRE: "open file description", _THINGS: "what it names"}
    for left, heading in columns.items():
        axes.text(left, -0.6, heading, fontsize=9, fontweight="bold", color=_INK)
    for place, name, rows_of_it in headings if len(owners) > 1 else ():
        axes.text(_NUMBERS, place, name, fontsize=SMALL, style="italic", color=_INK)
        if not rows_of_it:
            axes.text(_NUMBERS + 0.2, place + 0.7, "no such row", fontsize=SMALL, color=_INK)

    shared = {row.description for group in found.sharing() for row in group}
    for place, row in rows:
        label = cut(labels.get(row.number, ""), _LONGEST_LABEL)
        _box(axes, _NUMBERS, place, _NUMBER, _LINE, [f"{label} = {row.number}" if label else str(row.number)], _ROW, bold=True)
        _box(axes, _NUMBERS + _NUMBER, place, _FLAG, _LINE, [f"close-on-exec: {'yes' if row.close_on_exec else 'no'}"], _ROW)
        _arrow(axes, _NUMBERS + _NUMBER + _FLAG, place, _CENTRE, descriptions[row.description], row.description in shared)
    for index, (place, lines) in enumerate(zip(descriptions, blocks)):
        _box(axes, _CENTRE, place, _ABOUT, _height(lines), lines, _DESCRIPTION, thick=index in shared)
        _arrow(axes, _CENTRE + _ABOUT, place, _THINGS, things[found.descriptions[index].thing], False)
    for place, lines in zip(things, boxes):
        _box(axes, _THINGS, place, _WIDE - _THINGS - 0.05, _height(lines), lines, _THING)
    axes.set_title(finding(found), fontsize=10.5, loc="left")
    figure.words = in_words(found, labels, owners)
    return figure


def finding(found: OpenFiles) -> str:
    """What the picture shows, in one line."""
    shared = found.sharing()
    kinds = {thing.kind for thing in found.things}
    thing = kinds.pop() if len(kinds) == 1 else "thing"
    counted = (found.rows, "row"), (found.descriptions, "open file description"), (found.things, thing)
    counts = ", ".join(_count(len(those), name) for those, name in counted)
    if not found.compared:
        return f"{counts}; this kernel does not say which rows share a description"
    if not shared:
        return f"{counts}: each row has its own description"
    return f"{counts}: {sum(map(len, shared))} of the rows share {'a description' if len(shared) == 1 else f'{len(shared)} descriptions'}"


def in_words(found: OpenFiles, labels: dict[int, str], owners: dict[int, str]) -> str:
    """The whole picture as text, one row a line. A number that has a name is called by it."""
    lines = [finding(found) + "."]
    for row in found.rows:
        description = found.descriptions[row.description]
        name = labels.get(row.number, str(row.number))
        owner = f"{owners[row.process]}: " if len(owners) > 1 else ""
        about = ", ".join(_description_lines(description))
        lines.append(
            f"{owner}{name} → description {row.description + 1} ({about}) → {_short(found.things[description.thing])}; "
            f"close-on-exec {'yes' if row.close_on_exec else 'no'}"
        )
    return "\n".join(lines)


def _row_places(found: OpenFiles, owners: dict[int, str]) -> tuple[list[tuple[float, Row]], float, list[tuple[float, str, list]]]:
    """(y, row) for each row, the height of all, and (y, heading, rows) for each process: its rows stand under its heading."""
    places, y, headings = [], 0.0, []
    for process, name in owners.items():
        own = [row for row in found.rows if row.process == process]
        headings.append((y + 0.6, name, own))
        y += 0.9 if len(owners) > 1 else 0.1
        for row in own:
            places.append((y + 0.35, row))
            y += 0.95
        y += 0.3 if own else 0.9
    return places, y, headings


def _description_lines(description: Description) -> list[str]:
    lines = [description.kind + (f", opened to {description.access}" if description.access else "")]
    if description.offset is not None:
        lines.append(f"offset {description.offset}")
    return [*lines, f"O_NONBLOCK {'off' if description.blocking else 'on'}"]


def _thing_lines(thing: Thing, details: bool) -> list[str]:
    return [_short(thing), *(thing.details if details else ())]


def _short(thing: Thing) -> str:
    """The kind, and for what has a path the end of it."""
    if not thing.name.startswith("/"):
        return thing.kind
    path, deleted, _ = thing.name.partition(" (deleted)")
    if path.startswith("/memfd:"):
        return cut(f"file in memory: {path[7:]}", _LONGEST)
    name = path.rsplit("/", 1)[-1] or "/"
    if deleted and name.startswith("#"):  # made with O_TMPFILE
        return "file without a name"
    return cut(f"{thing.kind} {name}{', name deleted' * bool(deleted)}", _LONGEST)


def _spread(wanted: list[float], heights: list[float]) -> list[float]:
    """Places near the wanted ones, in their order, so that no box covers another."""
    places, end = [0.0] * len(wanted), 0.0
    for index in sorted(range(len(wanted)), key=wanted.__getitem__):
        places[index] = max(wanted[index], end + heights[index] / 2)
        end = places[index] + heights[index] / 2 + 0.25
    return places


def _height(lines: list[str]) -> float:
    return _LINE * len(lines) + 0.1


def _box(
    axes: Axes,
    left: float,
    middle: float,
    width: float,
    height: float,
    lines: list[str],
    colour: str,
    *,
    bold: bool = False,
    thick: bool = False,
) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (left, middle - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=colour,
            edgecolor=_SHARED if thick else _INK,
            linewidth=2.2 if thick else 0.8,
        )
    )
    for number, line in enumerate(lines):
        y = middle + _LINE * (number - (len(lines) - 1) / 2)
        axes.text(
            left + 0.15,
            y,
            line,
            fontsize=SMALL,
            va="center",
            color=_INK,
            fontweight="bold" if bold else "normal",
            clip_on=True,
            parse_math=False,
        )


def _arrow(axes: Axes, x: float, y: float, to_x: float, to_y: float, shared: bool) -> None:
    colour, width = (_SHARED, 1.8) if shared else (_INK, 0.9)
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": width, "shrinkA": 0, "shrinkB": 1}
    axes.annotate("", (to_x, to_y), (x, y), arrowprops=style)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} directories" if thing == "directory" else f"{number} {thing}s"
