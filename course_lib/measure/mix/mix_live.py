"""The mix with sliders: how long workers compute and wait, and how many they are."""

import ipywidgets

from ..live_measurement import LiveMeasurement, slider
from .lanes import image, lanes
from .workers import KINDS, MOST, Mix, Span, finding

_CPU, _IO, _TURNS = (0, 5, 10, 20, 30, 40), (0, 10, 20, 50, 100, 200), 3  # milliseconds, milliseconds, times


class LiveMix(LiveMeasurement):
    """Sliders for milliseconds of computing and of waiting and for the number of workers; a button runs all three kinds.

    `run()` and `stop()` do what the buttons do; `rows` is what was measured last.
    """

    _name, _verb = "live mix", "Run"
    _invitation = f"Each worker computes and waits, {_TURNS} times. Guess which kind is through first, and press Run."

    def __init__(self, cpu: int = 30, io: int = 50, workers: int = 3) -> None:
        if cpu not in _CPU or io not in _IO or workers not in range(1, MOST + 1):
            raise ValueError(f"cpu is one of {_CPU}, io one of {_IO} (milliseconds), workers 1 to {MOST}")
        self.cpu, self.io, self.workers = cpu, io, workers
        self.rows: list[Span] = []
        super().__init__()

    def run(self, cpu: int | None = None, io: int | None = None, workers: int | None = None) -> None:
        """Begin to measure all three kinds, and return at once; `wait()` waits for the end. Milliseconds, milliseconds, a number.

        Raises RuntimeError while a measurement is under way, ValueError for a mix that takes too long.
        """
        mix = Mix(
            (self.cpu if cpu is None else cpu) / 1000,
            (self.io if io is None else io) / 1000,
            self.workers if workers is None else workers,
            _TURNS,
        )
        self._start(
            lambda work: [row for by in KINDS for row in mix.measure(work, by)], "Three times: threads, processes, coroutines …"
        )

    def _press(self, *values: int) -> None:
        self.run(*values)

    def _keep(self, rows: list[Span]) -> str:
        self.rows = rows
        return f"{finding(rows)}."

    def _sliders(self) -> list[ipywidgets.Widget]:
        return [
            slider(_CPU, self.cpu, "computing", "20em", "{} ms".format),
            slider(_IO, self.io, "waiting", "20em", "{} ms".format),
            slider(range(1, MOST + 1), self.workers, "workers", "20em", str),
        ]

    def _drawn(self) -> str:
        return lanes(self.rows) if self.rows else ""

    def picture(self) -> str:
        if not self.rows:
            return (
                "<div>Sliders for computing, waiting and the number of workers, and a button Run. "
                "Run this cell to use them.</div>"
            )
        return image(self.rows)

    def __repr__(self) -> str:
        return "live_mix of threads, processes and coroutines"


live_mix = LiveMix
