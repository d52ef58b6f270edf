"""The ladder, live: a slider of idle clients, a button that measures this point, a chart that grows."""

from collections.abc import Iterable
from html import escape

import ipywidgets

from .findings import finding
from .ladder import Rung, Subject, climb, named
from .ladder_chart import chart, table
from .live_measurement import LiveMeasurement, slider

NUMBERS = (0, 100, 400, 1000, 2000, 5000, 10_000)


class LiveLadder(LiveMeasurement):
    """Show a ladder that is measured point by point: choose how many clients are idle, and press Measure.

    servers, active, rounds, seconds, apart  as for `ladder`; `seconds` is for one press of the button
    numbers                                  what the slider offers
    `measure(400)` and `stop()` do what the buttons do; `rows` is what has been measured so far.
    Raises TypeError or ValueError as `ladder` does.
    """

    _name, _verb = "live ladder", "Measure"
    _invitation = "Choose a number of idle clients, guess, and press Measure."

    def __init__(
        self,
        servers: Iterable[Subject],
        numbers: Iterable[int] = NUMBERS,
        active: int = 20,
        rounds: int = 3,
        seconds: float = 16.0,
        apart: bool = False,
    ) -> None:
        self._subjects = named(servers)
        self._numbers = sorted(set(numbers))
        if not self._numbers or any(type(number) is not int or number < 0 for number in self._numbers):
            raise ValueError("numbers are the numbers of idle clients that the slider offers, at least one")
        self._how = active, rounds, seconds, apart
        self._points: dict[tuple[str, int], Rung] = {}
        super().__init__()

    @property
    def rows(self) -> list[Rung]:
        """The points that were measured, from few idle clients to many; a point that is measured again is replaced."""
        order = [name for name, _ in self._subjects]
        return sorted(self._points.values(), key=lambda row: (row.idle, order.index(row.server)))

    def measure(self, idle: int) -> None:
        """Begin to measure all servers with so many idle clients, and return at once; `wait()` waits for the end.

        Raises RuntimeError while a point is being measured, ValueError for a number that is none.
        """
        if type(idle) is not int or idle < 0:
            raise ValueError(f"a number of idle clients is 0 or more, not {idle!r}")
        self._start(lambda work: climb(work, self._subjects, [idle], *self._how), f"{idle:,} idle clients: the servers start …")

    def _press(self, *values: int) -> None:
        self.measure(*values)

    def _keep(self, rows: list[Rung]) -> str:
        self._points |= {(row.server, row.idle): row for row in rows}
        return f"{finding(rows)}."

    def _sliders(self) -> list[ipywidgets.Widget]:
        return [slider(self._numbers, self._numbers[0], "idle clients", "26em", "{:,}".format)]

    def _drawn(self) -> str:
        rows = self.rows
        return chart(rows) + table(rows) if rows else ""

    def picture(self) -> str:
        if not any(row.cpu is not None for row in self.rows):
            names = ", ".join(name for name, _ in self._subjects)
            return (
                "<div>A slider of idle clients and a button Measure, for " + escape(names) + ". Run this cell to use them.</div>"
            )
        from .figures import plot_ladder  # matplotlib takes long to import

        return plot_ladder(self.rows)._repr_mimebundle_()["text/html"]

    def __repr__(self) -> str:
        return f"live_ladder of {', '.join(name for name, _ in self._subjects)}"


live_ladder = LiveLadder
