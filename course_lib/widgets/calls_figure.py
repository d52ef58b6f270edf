"""Recorded calls as a still picture: who was called when, and which calls slept."""

import math
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from course_lib.kernel import Call

from .drawing import SMALL, Drawing

ASLEEP = 0.001  # seconds; a call that took longer is drawn as sleep
_UNITS = (("seconds", 1.0), ("milliseconds", 1e3), ("microseconds", 1e6))
_SLEEP, _WORK = "#b8c7d9", "#d55e00"  # told apart by lightness too


class Recorded(Protocol):
    """What has recorded calls, as the servers of the course."""

    def calls(self) -> list[Call]:
        """The recorded calls, oldest first."""


def timeline(server: Recorded, seconds: float = 10.0) -> Drawing:
    """The calls that a server's recorder holds, as a figure: one lane a descriptor, the last `seconds` of them.

    Raises ValueError when nothing was recorded: call `server.record()` first.
    """
    calls = server.calls()
    if not calls:
        raise ValueError("nothing is recorded yet: call server.record(), let clients talk, and try again")
    end = max(call.entered + call.seconds for call in calls)
    calls = [call for call in calls if call.entered + call.seconds > end - seconds]
    start = max(end - seconds, min(call.entered for call in calls))
    lanes = sorted({call.descriptor for call in calls if call.descriptor is not None})
    figure = Drawing(1.2 + 0.35 * (len(lanes) + 1))
    axes = figure.subplots()
    for row, lane in enumerate(["thread", *lanes]):
        mine = [call for call in calls if lane in ("thread", call.descriptor)]
        _lane(axes, row, mine, start, named_from=0.08 * (end - start) if lane == "thread" else math.inf)
    axes.set_yticks(range(len(lanes) + 1), ["the server's thread", *(f"{_kind(lane, calls)} {lane}" for lane in lanes)])
    axes.invert_yaxis()
    span = end - start or 1e-6
    axes.set_xlim(-0.005 * span, 1.01 * span)  # room for a line that stands at the edge
    unit, factor = next((unit, factor) for unit, factor in _UNITS if span * factor >= 1 or factor == 1e6)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x * factor:g}"))
    axes.set_xlabel(f"{unit}    (box: asleep in the call; line: a call that came back at once)")
    figure.words = finding(calls, end - start)
    axes.set_title(figure.words, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _lane(axes: Axes, row: int, calls: list[Call], start: float, named_from: float) -> None:
    """Draw the calls of one lane; the boxes of those that slept `named_from` seconds or longer have room for their names."""
    slept = [call for call in calls if call.seconds > ASLEEP]
    # One collection for all of them: thousands of small ones would take matplotlib many seconds.
    axes.vlines(
        [max(0.0, call.entered - start) for call in calls if call.seconds <= ASLEEP],
        row - 0.3,
        row + 0.3,
        colors=_WORK,
        linewidth=1.5,
    )
    boxes = [(begin := max(0.0, call.entered - start), call.entered + call.seconds - start - begin) for call in slept]
    axes.broken_barh(boxes, (row - 0.3, 0.6), facecolors=_SLEEP, edgecolors="#5a6b7d", linewidth=0.5)
    for call, (begin, length) in zip(slept, boxes):
        if length >= named_from:
            axes.text(begin + length / 2, row, call.name, ha="center", va="center", fontsize=SMALL, clip_on=True)


def _kind(descriptor: int, calls: list[Call]) -> str:
    names = {call.name for call in calls if call.descriptor == descriptor}
    return "listener" if "accept" in names else "epoll" if names & {"epoll_wait", "epoll_ctl"} else "connection"


def finding(calls: list[Call], seconds: float) -> str:
    """What the picture shows, in one line: its title, and its text for those who do not see it."""
    slept = sum(call.seconds for call in calls if call.seconds > ASLEEP)
    counted = f"{len(calls)} system call{'' if len(calls) == 1 else 's'}"
    return f"{counted}; " + (f"the thread slept {min(1.0, slept / seconds):.0%} of the time" if slept else "none of them slept")
