"""Many connections as a field of dots: one dot for each, in the order in which they were opened."""

import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from html import escape

from .palette import ON_ANY
from .progress import shown

_STEP = 5  # from one dot to the next, of a drawing that is at most 625 px wide
_COLUMNS = 125
# A dot is the round end of a line without length. What has just been answered glows, unless the reader wants no motion.
_STYLE = (
    f"<style>.course-dots path {{ fill: none; stroke-linecap: round; stroke-dasharray: 0 {_STEP} }}"
    ".course-dots .wrong { stroke-linecap: square }"
    ".course-dots .new { opacity: 0; animation: course-glow 0.7s }"
    "@keyframes course-glow { from { opacity: 1 } }"
    "@media (prefers-reduced-motion: reduce) { .course-dots .new { animation: none } }</style>"
)


def dots(
    count: int,
    connected: int,
    answered: int,
    wrong: Collection[int] = (),
    talking: int = 0,
    new: tuple[int, int] = (0, 0),
    label: str = "",
) -> str:
    """An SVG of `count` dots, of which the first ones are `connected` and the first of these `answered`.

    wrong    the places of those that got a wrong answer: squares
    talking  how many, the first ones, go on asking: in another colour
    new      the places, from one to the one before another, of those that have been answered only now: they glow
    label    what a screen reader says; else it is `words` of the same numbers
    """
    label = label or words(count, connected, answered, wrong, talking)
    columns = min(count, _COLUMNS)
    wide, high = columns * _STEP, math.ceil(count / columns) * _STEP
    layers = [
        (_rows(connected, count, columns), "1.2", "#8c8c8c", ""),
        (_rows(answered, connected, columns), "2.4", "#8c8c8c", ""),
        (_rows(talking, answered, columns), "4", f"var(--jp-brand-color1, {ON_ANY[0]})", ""),
        (_rows(0, min(talking, answered), columns), "4.6", ON_ANY[1], ""),
        (
            "".join(_rows(place, place + 1, columns) for place in wrong),
            "3.6",
            "var(--jp-content-font-color1, #222222)",
            " class='wrong'",
        ),
        (_rows(*new, columns), "5", "#ffc400", " class='new'"),
    ]
    drawn = "".join(f"<path d='{d}' stroke='{colour}' stroke-width='{width}'{more}/>" for d, width, colour, more in layers if d)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' role='img' aria-label='{escape(label)}' "
        f"class='course-dots' viewBox='0 0 {wide} {high}' width='{wide}' style='max-width: 100%'>{_STYLE}{drawn}</svg>"
    )


def words(count: int, connected: int, answered: int, wrong: Collection[int] = (), talking: int = 0) -> str:
    """The same in one sentence."""
    parts = [f"{count:,} dots, one for each connection: {connected:,} connected, {answered:,} answered"]
    parts += [f"{len(wrong):,} of them wrong"] * bool(wrong) + [f"{talking:,} go on asking"] * bool(talking)
    return ", ".join(parts) + "."


def _rows(first: int, last: int, columns: int) -> str:
    """The path of the dots from place `first` to the one before `last`: a line for each row."""
    path = []
    while first < last:
        row, column = divmod(first, columns)
        length = min(columns - column, last - first)
        path.append(f"M{(column + 0.5) * _STEP:g} {(row + 0.5) * _STEP:g}h{(length - 1) * _STEP + 0.01:g}")
        first += length
    return "".join(path)


@contextmanager
def live_dots() -> Iterator[Callable[[str], None]]:
    """A function that shows a drawing in place of the one before, in a notebook, until the block is left."""
    with shown("HTML") as page:

        def show(drawing: str) -> None:
            if page:
                page.value = drawing  # sent only where it is another one

        yield show
