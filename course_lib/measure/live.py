"""The ladder, live: a slider of idle clients, a button that measures this point, a chart that grows."""

import math
import queue
import threading
from collections.abc import Iterable
from html import escape

import ipywidgets

from course_lib.servers.registry import current_run
from course_lib.widgets.dress import Dress
from course_lib.widgets.routing import while_busy

from .findings import finding
from .ladder import Rung, Subject, climb, named
from .palette import DASHES, ON_ANY, styles
from .work import Work

_VIEW = "application/vnd.jupyter.widget-view+json"
NUMBERS = (0, 100, 400, 1000, 2000, 5000, 10_000)
_LOOK = 0.25  # seconds between two looks at how far the measurement is

_shown: dict[str, "LiveLadder"] = {}  # by the notebook cell that made it


def live_ladder(servers: Iterable[Subject], numbers: Iterable[int] = NUMBERS, active: int = 20, rounds: int = 3,
                seconds: float = 16.0, apart: bool = False) -> "LiveLadder":
    """Show a ladder that is measured point by point: choose how many clients are idle, and press Measure.

    servers, active, rounds, seconds, apart  as for `ladder`; `seconds` is for one press of the button
    numbers                                  what the slider offers
    Raises TypeError or ValueError as `ladder` does.
    """
    return LiveLadder(servers, numbers, active, rounds, seconds, apart)


class LiveLadder:
    """`measure(400)` and `stop()` do what the buttons do; `rows` is what has been measured so far."""

    def __init__(self, servers: Iterable[Subject], numbers: Iterable[int] = NUMBERS, active: int = 20, rounds: int = 3,
                 seconds: float = 16.0, apart: bool = False) -> None:
        self._subjects = named(servers)
        self._numbers = sorted(set(numbers))
        if not self._numbers or any(type(number) is not int or number < 0 for number in self._numbers):
            raise ValueError("numbers are the numbers of idle clients that the slider offers, at least one")
        self._active, self._rounds, self._seconds, self._apart = active, rounds, seconds, apart
        self._points: dict[tuple[str, int], Rung] = {}
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._finished.set()
        self._asked: queue.SimpleQueue = queue.SimpleQueue()
        self._widget: ipywidgets.Widget | None = None
        self.error: Exception | None = None
        if run := current_run():
            if old := _shown.get(run[0]):
                old.close()
            _shown[run[0]] = self

    @property
    def rows(self) -> list[Rung]:
        """The points that were measured, from few idle clients to many; a point that is measured again is replaced."""
        order = [name for name, _ in self._subjects]
        return sorted(self._points.values(), key=lambda row: (row.idle, order.index(row.server)))

    @property
    def busy(self) -> bool:
        """True while a point is being measured."""
        return not self._finished.is_set()

    def measure(self, idle: int) -> None:
        """Begin to measure all servers with so many idle clients, and return at once; `wait()` waits for the end.

        Raises RuntimeError when a point is being measured already, ValueError for a number that is none.
        """
        if type(idle) is not int or idle < 0:
            raise ValueError(f"a number of idle clients is 0 or more, not {idle!r}")
        with self._lock:
            if self.busy:
                raise RuntimeError("one point is being measured: wait() for it, or stop() it")
            self.error, self._asked = None, queue.SimpleQueue()
            self._finished.clear()
            threading.Thread(target=self._run, args=(idle, self._asked), name="live ladder", daemon=True).start()

    def stop(self) -> None:
        """Stop the measurement that is under way, if there is one; nothing of it is kept."""
        self._asked.put("stop")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the point is measured, at most `seconds`; False when it is not. Raises what the measurement raised."""
        finished = self._finished.wait(seconds)
        if finished and self.error:
            raise self.error
        return finished

    def close(self) -> None:
        """Stop, and take the controls out of the page."""
        self.stop()
        widget, self._widget = self._widget, None  # what is still under way finds no page to tell
        if widget is not None:
            for part in (*self._row.children, *widget.children, widget):
                for one in (getattr(part, "style", None), part.layout, part):  # a widget leaves these two open
                    if one is not None:
                        one.close()

    def _run(self, idle: int, asked: queue.SimpleQueue) -> None:
        """Measure one point, and tell the page how far it is: the only thread that touches the controls meanwhile."""
        try:
            self._measure(idle, asked)
        finally:
            self._finished.set()

    def _measure(self, idle: int, asked: queue.SimpleQueue) -> None:
        self._show(True, f"{idle:,} idle clients: the servers start …")
        work = Work(lambda work: climb(
            work, self._subjects, [idle], self._active, self._rounds, self._seconds, self._apart))
        work.start()
        shown = ""
        while not work.finished.is_set():
            try:
                asked.get(timeout=_LOOK)
                work.stop()
                work.finished.wait()
            except queue.Empty:
                pass
            if work.now != shown:
                shown = work.now
                self._show(True, f"{work.done / work.total:.0%}: {shown}")
        work.join()
        if work.error:
            self.error = work.error
            self._show(False, f"{type(work.error).__name__}: {work.error}")
        elif work.stopped:
            self._show(False, "Stopped. Nothing of this point is kept.")
        else:
            self._points |= {(row.server, row.idle): row for row in work.result}
            self._show(False, f"{finding(work.result)}.")

    # What the page shows

    @property
    def widget(self) -> ipywidgets.Widget:
        """The controls, the chart and the table."""
        if self._widget is None:
            self._slider = ipywidgets.SelectionSlider(
                options=[(f"{number:,}", number) for number in self._numbers], description="idle clients",
                style={"description_width": "initial"}, layout={"width": "26em"})
            self._begin = ipywidgets.Button(description="Measure")
            self._end = ipywidgets.Button(description="Stop", disabled=True)
            self._begin.on_click(lambda _: self._click())
            self._end.on_click(lambda _: self.stop())
            self._status, self._chart = ipywidgets.HTML(), ipywidgets.HTML()
            self._row = ipywidgets.HBox([self._slider, self._begin, self._end], layout={"flex_flow": "row wrap"})
            self._widget = ipywidgets.VBox([self._row, self._status, self._chart, Dress(name="live ladder")])
            while_busy(self._widget)
            self._show(self.busy, "Choose a number of idle clients, guess, and press Measure.")
        return self._widget

    def _click(self) -> None:
        try:
            self.measure(self._slider.value)
        except RuntimeError:
            pass  # a second click before the button was disabled

    def _show(self, busy: bool, text: str) -> None:
        if self._widget is None:
            return
        self._begin.disabled, self._end.disabled = busy, not busy
        self._status.value = f"<div role='status'>{escape(text)}</div>"
        rows = self.rows
        self._chart.value = (chart(rows) + table(rows)) if rows else ""

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        view = self.widget._repr_mimebundle_()[_VIEW]
        return {"text/plain": repr(self), "text/html": self.picture(), _VIEW: view}

    def picture(self) -> str:
        """What a stored notebook shows, as HTML: the figure of what was measured, or a sentence."""
        if not any(row.cpu is not None for row in self.rows):
            names = ", ".join(name for name, _ in self._subjects)
            return ("<div>A slider of idle clients and a button Measure, for " + escape(names)
                    + ". Run this cell to use them.</div>")
        from .figures import plot_ladder  # matplotlib takes long to import

        return plot_ladder(self.rows)._repr_mimebundle_()["text/html"]

    def __repr__(self) -> str:
        return f"live_ladder of {', '.join(name for name, _ in self._subjects)}"


# The chart as SVG: it takes the page's own colours, light or dark, and no thread but the main one may use matplotlib.

_WIDE, _HIGH, _LEFT, _RIGHT, _TOP, _BOTTOM = 640, 260, 66, 150, 14, 38


def chart(rows: list[Rung]) -> str:
    """CPU time a request against idle clients, both axes logarithmic: an inline SVG, with a title for those who do not see it."""
    measured = [row for row in rows if row.cpu is not None]
    if not measured:
        return ""
    numbers = sorted({row.idle for row in rows})
    places = [math.log10(number + 50) for number in numbers]  # 0 has a place too
    first, last = places[0], max(places[-1], places[0] + 0.1)
    low, high = math.floor(math.log10(min(row.cpu for row in measured))), math.ceil(math.log10(max(row.cpu for row in measured)))
    high = max(high, low + 1)

    def x(number: int) -> float:
        return _LEFT + (math.log10(number + 50) - first) / (last - first) * (_WIDE - _LEFT - _RIGHT)

    def y(cost: float) -> float:
        return _TOP + (high - math.log10(cost)) / (high - low) * (_HIGH - _TOP - _BOTTOM)

    parts = [f"<svg role='img' aria-label='{escape(finding(rows), quote=True)}' viewBox='0 0 {_WIDE} {_HIGH}' "
             f"style='max-width: {_WIDE}px; width: 100%; font: 12px sans-serif; fill: var(--jp-content-font-color1, #222)'>"]
    for power in range(low, high + 1):
        level = y(10.0 ** power)
        parts.append(f"<line x1='{_LEFT}' x2='{_WIDE - _RIGHT}' y1='{level:.1f}' y2='{level:.1f}' "
                     "stroke='var(--jp-border-color2, #ccc)'/>"
                     f"<text x='{_LEFT - 6}' y='{level + 4:.1f}' text-anchor='end'>{10.0 ** power:,g} µs</text>")
    free = -math.inf
    for number in numbers:
        if x(number) > free:
            free = x(number) + 34
            parts.append(f"<text x='{x(number):.1f}' y='{_HIGH - _BOTTOM + 18}' text-anchor='middle'>{number:,}</text>")
    parts.append(f"<text x='{_LEFT}' y='{_HIGH - 4}'>idle clients; up: CPU time of the server for one request</text>")
    labels: list[tuple[float, float, str]] = []
    for server, style in styles(row.server for row in rows).items():
        points = [(x(row.idle), y(row.cpu)) for row in measured if row.server == server]
        if not points:
            continue
        stroke, dash = ON_ANY[style], DASHES[style]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f"<polyline points='{line}' fill='none' stroke='{stroke}' stroke-width='2' stroke-dasharray='{dash}'/>")
        parts += [f"<circle cx='{a:.1f}' cy='{b:.1f}' r='4' fill='{stroke}'/>" for a, b in points]
        labels.append((points[-1][1], points[-1][0], server))
    lowest: dict[float, float] = {}
    for level, end, server in sorted(labels):
        # A line that ends early and on top has its name above it, where no other line goes.
        above = end < x(numbers[-1]) and all(y(row.cpu) >= level for row in measured if x(row.idle) == end)
        lowest[end] = max(level, lowest.get(end, -math.inf) + 15)
        where = (f"x='{end + 2:.1f}' y='{level - 9:.1f}' text-anchor='end'" if above
                 else f"x='{end + 9:.1f}' y='{lowest[end] + 4:.1f}'")
        parts.append(f"<text {where} style='paint-order: stroke; stroke: var(--jp-layout-color0, #fff); "
                     f"stroke-width: 4px; font-weight: bold'>{escape(server)}</text>")
    return "".join(parts) + "</svg>"


def table(rows: list[Rung]) -> str:
    """The same as a table in HTML: a line for each number of idle clients, and below it why points are missing."""
    servers, numbers = list(dict.fromkeys(row.server for row in rows)), sorted({row.idle for row in rows})
    found = {(row.server, row.idle): row for row in rows}
    head = "".join(f"<th scope='col'>{escape(server)}</th>" for server in servers)
    body = "".join(
        f"<tr><th scope='row'>{number:,}</th>" + "".join(_cell(found.get((server, number))) for server in servers) + "</tr>"
        for number in numbers)
    why = "".join(f"<div>{escape(row.server)}, {row.idle:,}: {escape(row.why_not)}.</div>" for row in rows if row.why_not)
    return f"<table><thead><tr><th scope='col'>idle clients</th>{head}</tr></thead><tbody>{body}</tbody></table>{why}"


def _cell(row: Rung | None) -> str:
    text = "" if row is None else "–" if row.cpu is None else f"{row.cpu:.1f} µs · {row.requests_per_second:,.0f} requests/s"
    return f"<td style='white-space: nowrap; padding: 2px 10px'>{text}</td>"
