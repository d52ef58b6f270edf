"""A mix of computing and waiting, done by threads, by processes or by coroutines: who did what, and when.

    rows = run_mix(cpu=0.03, io=0.05, workers=3, by="threads")
    picture(rows)                    # a lane for each worker, drawn from what it has recorded
    live_mix()                       # sliders, a button, and the lanes of all three kinds below each other

Each worker records its own times, with time.perf_counter(), which all processes of the machine share (CLOCK_MONOTONIC).
"""

import asyncio
import base64
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from course_lib.servers.registry import current_run

from .process import arguments, tell
from .work import Work, carry_out

KINDS = ("threads", "processes", "coroutines")
LIMIT = 4.0  # seconds for one kind; whoever is not through then stops
MOST = 8  # workers
APART = 0.001  # seconds: between two looks at the clock a worker needs far less, unless something else has the processor

_VIEW = "application/vnd.jupyter.widget-view+json"
_LONGEST = 2.0  # seconds of computing in all, and seconds that one worker takes alone


@dataclass(frozen=True, slots=True)
class Span:
    """What one worker did for a while.

    by, worker  "threads", "processes" or "coroutines", and its number, from 0
    start, end  seconds since all workers were told to go
    what        "cpu": it computed; "wait": it waited for its input; "turn": it could have gone on, and others had the
                processor, the GIL or the loop
    """

    by: str
    worker: int
    start: float
    end: float
    what: str

    def __str__(self) -> str:
        return f"{self.by} {self.worker}: {self.what} from {self.start:.3f} to {self.end:.3f} s"


def run_mix(cpu: float = 0.03, io: float = 0.05, workers: int = 3, by: str = "threads", turns: int = 3) -> list[Span]:
    """Let workers compute and wait in turns, and return what each of them did and when.

    cpu      seconds of CPU time of one computation
    io       seconds of one wait (a timer, in place of a network)
    workers  how many, 1 to 8; by: "threads", "processes" or "coroutines" (tasks of one asyncio loop)
    turns    how often each computes and then waits, 1 to 5
    Takes under 5 s; can be interrupted; leaves no thread and no process. Raises ValueError for a mix that takes too long.
    """
    asked = _Mix(cpu, io, workers, turns)
    if by not in KINDS:
        raise ValueError(f"by is one of {', '.join(KINDS)}, not {by!r}")
    return carry_out(lambda work: asked.measure(work, by))


def seconds_of(rows: Iterable[Span], by: str) -> float:
    """How long it took until all workers of this kind were through."""
    return max((row.end for row in rows if row.by == by), default=0.0)


def together(rows: Iterable[Span], by: str) -> float:
    """The part of all computing of this kind, 0 to 1, during which at least one other worker was computing too."""
    spans = [(row.start, row.end) for row in rows if row.by == by and row.what == "cpu"]
    edges = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    both, running, before = 0.0, 0, 0.0
    for moment, step in edges:
        if running > 1:
            both += (moment - before) * running
        running, before = running + step, moment
    return both / (sum(end - start for start, end in spans) or 1.0)


def finding(rows: Sequence[Span]) -> str:
    """What the rows show, in one sentence. Raises ValueError when there are none."""
    kinds = _kinds(rows)
    if not kinds:
        raise ValueError("there are no rows")
    return "; ".join(
        f"{by}: {seconds_of(rows, by):.2f} s, {_part(together(rows, by))} of the computing was side by side" for by in kinds)


def _part(share: float) -> str:
    return "nothing" if share < 0.005 else f"{share:.0%}"


@dataclass(frozen=True, slots=True)
class _Mix:
    cpu: float
    io: float
    workers: int
    turns: int

    def __post_init__(self) -> None:
        if type(self.workers) is not int or not 1 <= self.workers <= MOST:
            raise ValueError(f"workers is a number from 1 to {MOST}, not {self.workers!r}")
        if type(self.turns) is not int or not 1 <= self.turns <= 5:
            raise ValueError(f"turns is a number from 1 to 5, not {self.turns!r}")
        if not (self.cpu >= 0 and self.io >= 0):
            raise ValueError("cpu and io are seconds, 0 or more")
        if not (self.workers * self.turns * self.cpu <= _LONGEST and self.turns * (self.cpu + self.io) <= _LONGEST):
            raise ValueError(f"that takes too long: at most {_LONGEST:g} s of computing in all, and {_LONGEST:g} s for one worker alone")

    def measure(self, work: Work, by: str) -> list[Span]:
        """The rows of one kind. Raises Stopped when `work` was stopped."""
        work.now = by
        until = time.monotonic() + LIMIT
        do = {"threads": self._threads, "processes": self._processes, "coroutines": self._coroutines}[by]
        recorded = do(work, lambda: work.stopped or time.monotonic() > until, until)
        work.check()
        return [Span(by, number, *span) for number, spans in enumerate(recorded) for span in spans]

    def _threads(self, work: Work, over: Callable[[], bool], until: float) -> list[list]:
        go = threading.Event()
        began: list[float] = []
        diaries = [_Diary(over) for _ in range(self.workers)]

        def worker(diary: _Diary) -> None:
            go.wait()
            diary.begin(began[0])
            for _ in range(self.turns):
                diary.compute(self.cpu)
                diary.wait(self.io)

        threads = [threading.Thread(target=worker, args=(diary,), name="mix", daemon=True) for diary in diaries]
        for thread in threads:
            thread.start()
        began.append(time.perf_counter())
        go.set()
        for thread in threads:
            thread.join()
        return [diary.spans for diary in diaries]

    def _coroutines(self, work: Work, over: Callable[[], bool], until: float) -> list[list]:
        diaries = [_Diary(over) for _ in range(self.workers)]

        async def worker(diary: _Diary, began: float) -> None:
            diary.begin(began)
            for _ in range(self.turns):
                diary.compute(self.cpu)
                due = time.perf_counter() + self.io
                while (left := due - time.perf_counter()) > 0 and not over():
                    await asyncio.sleep(min(left, 0.2))
                diary.waited(due)

        async def all_of_them() -> None:
            began = time.perf_counter()
            await asyncio.gather(*(worker(diary, began) for diary in diaries))

        asyncio.run(all_of_them())  # a loop of its own, in the thread of the measurement
        return [diary.spans for diary in diaries]

    def _processes(self, work: Work, over: Callable[[], bool], until: float) -> list[list]:
        processes = [work.process("mix", self.cpu, self.io, self.turns) for _ in range(self.workers)]
        for process in processes:
            if not _hear(process, work, until):  # its Python has started
                work.check()
                raise RuntimeError("a process did not start in time; run it again")
        began = time.perf_counter()
        for process in processes:
            process.say(began=began, seconds=max(0.0, until - time.monotonic()))
        recorded = [(_hear(process, work, until + 1) or {}).get("spans", []) for process in processes]
        for process in processes:
            work.end(process)
        return recorded


def _hear(process, work: Work, until: float) -> dict | None:
    message = process.hear(max(0.0, until - time.monotonic()))
    work.check()
    return message


class _Diary:
    """What one worker records: [start, end, what], in seconds since the beginning."""

    def __init__(self, over: Callable[[], bool]) -> None:
        self.spans: list[tuple[float, float, str]] = []
        self._over = over

    def begin(self, began: float) -> None:
        self._began = began
        self._note(began, time.perf_counter(), "turn")

    def compute(self, seconds: float) -> None:
        """Use so much CPU time. Where the clock has jumped between two looks, something else ran."""
        until = time.thread_time() + seconds
        start = last = time.perf_counter()
        while time.thread_time() < until and not self._over():
            for _ in range(200):
                pass
            now = time.perf_counter()
            if now - last > APART:
                self._note(start, last, "cpu", 0.0)
                self._note(last, now, "turn")
                start = now
            last = now
        self._note(start, last, "cpu", 0.0)

    def wait(self, seconds: float) -> None:
        due = time.perf_counter() + seconds
        while (left := due - time.perf_counter()) > 0 and not self._over():
            time.sleep(min(left, 0.2))
        self.waited(due)

    def waited(self, due: float) -> None:
        """A wait that was over at `due`; whatever came later was waiting for a turn."""
        now = time.perf_counter()
        self._note(self._end, min(now, due), "wait", 0.0)
        self._note(due, now, "turn")

    @property
    def _end(self) -> float:
        return self._began + (self.spans[-1][1] if self.spans else 0.0)

    def _note(self, start: float, end: float, what: str, least: float = APART) -> None:
        if end - start > least:
            self.spans.append((round(start - self._began, 6), round(end - self._began, 6), what))


def main() -> None:
    """One of the processes that are measured."""
    cpu, io, turns = arguments()
    tell(ready=True)
    go = json.loads(sys.stdin.readline())
    until = time.monotonic() + go["seconds"]
    diary = _Diary(lambda: time.monotonic() > until)
    diary.begin(go["began"])
    for _ in range(turns):
        diary.compute(cpu)
        diary.wait(io)
    tell(spans=diary.spans)


# The lanes. The same drawing for a page, in its own colours, and for a stored notebook, on white.

_LOOKS = {"cpu": ("#d55e00", "computes"), "wait": ("#7fb8de", "waits for its input"), "turn": ("#9a9a9a", "ready, and waits for its turn")}
_HIGH = {"cpu": 16, "wait": 6, "turn": 10}  # the height tells them apart, too
_WIDE, _LEFT, _LANE, _GROUP = 720, 92, 20, 20


def lanes(rows: Sequence[Span], ink: str = "var(--jp-content-font-color1, #222)") -> str:
    """The rows as an SVG: a lane for each worker, groups below each other on one scale of time."""
    whole = max((row.end for row in rows), default=0.0) or 1.0
    scale = (_WIDE - _LEFT - 10) / whole
    parts, y = [], 4
    for by in _kinds(rows):
        mine = [row for row in rows if row.by == by]
        parts.append(f"<text x='0' y='{y + 14}' font-weight='bold'>{escape(by)}</text>")
        for worker in sorted({row.worker for row in mine}):
            for row in mine:
                if row.worker == worker:
                    high = _HIGH[row.what]
                    parts.append(
                        f"<rect x='{_LEFT + row.start * scale:.1f}' y='{y + (_LANE - high) / 2:.1f}' height='{high}' "
                        f"width='{max(0.4, (row.end - row.start) * scale):.1f}' fill='{_LOOKS[row.what][0]}'/>")
            y += _LANE
        end = seconds_of(rows, by)
        parts.append(f"<line x1='{_LEFT + end * scale:.1f}' x2='{_LEFT + end * scale:.1f}' y1='{y - _LANE * len({r.worker for r in mine})}' "
                     f"y2='{y}' stroke='{ink}' stroke-width='1.5'/>"
                     f"<text x='0' y='{y + 10}' font-size='11'>{end:.2f} s</text>")
        y += _GROUP
    step = next(step for step in (0.05, 0.1, 0.2, 0.5, 1.0) if whole / step <= 8 or step == 1.0)
    for tick in range(int(whole / step) + 1):
        x = _LEFT + tick * step * scale
        parts.append(f"<line x1='{x:.1f}' x2='{x:.1f}' y1='0' y2='{y}' stroke='#999' stroke-opacity='0.35'/>"
                     f"<text x='{x:.1f}' y='{y + 14}' text-anchor='middle' font-size='11'>{tick * step:g} s</text>")
    y += 24
    x = _LEFT
    for what, (colour, words) in _LOOKS.items():
        high = _HIGH[what]
        parts.append(f"<rect x='{x}' y='{y + 8 - high / 2:.1f}' width='20' height='{high}' fill='{colour}'/>"
                     f"<text x='{x + 26}' y='{y + 13}' font-size='12'>{words}</text>")
        x += 44 + 7 * len(words)
    return (f"<svg xmlns='http://www.w3.org/2000/svg' role='img' aria-label='{escape(_words(rows), quote=True)}' "
            f"viewBox='0 0 {_WIDE} {y + 22}' style='max-width: {_WIDE}px; width: 100%; font: 13px sans-serif; fill: {ink}'>"
            + "".join(parts) + "</svg>")


class Lanes:
    """The lanes as a still picture, which a notebook shows as it is and keeps when it is stored; `words` says the same."""

    def __init__(self, rows: Sequence[Span]) -> None:
        self.rows, self.words = list(rows), _words(rows)

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/plain": self.words, "text/html": _image(self.rows, self.words)}


def picture(*rows: Sequence[Span]) -> Lanes:
    """The lanes of one or several lists of rows. Raises ValueError when there are none."""
    return Lanes([row for some in rows for row in some])


def _image(rows: Sequence[Span], words: str) -> str:
    svg = lanes(rows, "#222222").replace("<svg ", f"<svg width='{_WIDE}' ", 1).replace("'>", "'><rect width='100%' height='100%' fill='white'/>", 1)
    source = base64.b64encode(svg.encode()).decode()
    return f'<img alt="{escape(words)}" style="max-width: 100%" src="data:image/svg+xml;base64,{source}">'


def _words(rows: Sequence[Span]) -> str:
    return f"{finding(rows)}."


def _kinds(rows: Iterable[Span]) -> list[str]:
    found = {row.by for row in rows}
    return [by for by in KINDS if by in found]


# The same with sliders

_shown: dict[str, "LiveMix"] = {}  # by the notebook cell that made it
_CPU, _IO, _TURNS = (0, 5, 10, 20, 30, 40), (0, 10, 20, 50, 100, 200), 3  # milliseconds, milliseconds, times


def live_mix(cpu: int = 30, io: int = 50, workers: int = 3) -> "LiveMix":
    """Sliders for milliseconds of computing and of waiting and for the number of workers, and a button that runs all three kinds."""
    return LiveMix(cpu, io, workers)


class LiveMix:
    """`run()` and `stop()` do what the buttons do; `rows` is what was measured last."""

    def __init__(self, cpu: int = 30, io: int = 50, workers: int = 3) -> None:
        if cpu not in _CPU or io not in _IO or workers not in range(1, MOST + 1):
            raise ValueError(f"cpu is one of {_CPU}, io one of {_IO} (milliseconds), workers 1 to {MOST}")
        self.cpu, self.io, self.workers = cpu, io, workers
        self.rows: list[Span] = []
        self.error: Exception | None = None
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._finished.set()
        self._work: Work | None = None
        self._widget = None
        if run := current_run():
            if old := _shown.get(run[0]):
                old.close()
            _shown[run[0]] = self

    @property
    def busy(self) -> bool:
        """True while it is being measured."""
        return not self._finished.is_set()

    def run(self, cpu: int | None = None, io: int | None = None, workers: int | None = None) -> None:
        """Begin to measure all three kinds, and return at once; `wait()` waits for the end. Milliseconds, milliseconds, a number.

        Raises RuntimeError while a measurement is under way, ValueError for a mix that takes too long.
        """
        mix = _Mix((self.cpu if cpu is None else cpu) / 1000, (self.io if io is None else io) / 1000,
                   self.workers if workers is None else workers, _TURNS)
        with self._lock:
            if self.busy:
                raise RuntimeError("a measurement is under way: wait() for it, or stop() it")
            self.error = None
            self._finished.clear()
            work = self._work = Work(lambda work: [row for by in KINDS for row in mix.measure(work, by)])
        threading.Thread(target=self._follow, args=(work,), name="live mix", daemon=True).start()

    def stop(self) -> None:
        """Stop what is under way; nothing of it is kept."""
        if self._work is not None:
            self._work.stop()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is measured, at most `seconds`; False when it is not. Raises what the measurement raised."""
        finished = self._finished.wait(seconds)
        if finished and self.error:
            raise self.error
        return finished

    def close(self) -> None:
        """Stop, and take the controls out of the page."""
        self.stop()
        if self._widget is not None:
            for part in (*self._parts, self._widget):
                part.close()

    def _follow(self, work: Work) -> None:
        """The only thread that touches the controls while something is measured."""
        try:
            self._show(True, "Three times: threads, processes, coroutines …")
            work.start()
            work.finished.wait()
            work.join()
            if work.error:
                self.error = work.error
                self._show(False, f"{type(work.error).__name__}: {work.error}")
            elif work.stopped or not work.result:
                self._show(False, "Stopped. Nothing of it is kept.")
            else:
                self.rows = work.result
                self._show(False, _words(self.rows))
        finally:
            self._finished.set()

    @property
    def widget(self):
        """The sliders, the buttons and the lanes."""
        if self._widget is None:
            import ipywidgets

            from course_lib.widgets.dress import Dress
            from course_lib.widgets.routing import while_busy

            def slider(options: Sequence[int], value: int, words: str, unit: str):
                return ipywidgets.SelectionSlider(
                    options=[(f"{number}{unit}", number) for number in options], value=value, description=words,
                    style={"description_width": "initial"}, layout={"width": "20em"})

            self._sliders = (slider(_CPU, self.cpu, "computing", " ms"), slider(_IO, self.io, "waiting", " ms"),
                             slider(range(1, MOST + 1), self.workers, "workers", ""))
            self._begin, self._end = ipywidgets.Button(description="Run"), ipywidgets.Button(description="Stop", disabled=True)
            self._begin.on_click(lambda _: self._click())
            self._end.on_click(lambda _: self.stop())
            self._status, self._chart = ipywidgets.HTML(), ipywidgets.HTML()
            box = ipywidgets.HBox([*self._sliders, self._begin, self._end], layout={"flex_flow": "row wrap"})
            self._widget = ipywidgets.VBox([box, self._status, self._chart, Dress(name="live mix")])
            self._parts = (*box.children, *self._widget.children)
            while_busy(self._widget)
            self._show(self.busy, f"Each worker computes and waits, {_TURNS} times. Guess which kind is through first, and press Run.")
        return self._widget

    def _click(self) -> None:
        try:
            self.run(*(slider.value for slider in self._sliders))
        except RuntimeError:
            pass  # a second click before the button was disabled

    def _show(self, busy: bool, text: str) -> None:
        if self._widget is None:
            return
        self._begin.disabled, self._end.disabled = busy, not busy
        self._status.value = f"<div role='status'>{escape(text)}</div>"
        self._chart.value = lanes(self.rows) if self.rows else ""

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        view = self.widget._repr_mimebundle_()[_VIEW]
        return {"text/plain": repr(self), "text/html": self.picture(), _VIEW: view}

    def picture(self) -> str:
        """What a stored notebook shows, as HTML: the lanes that were measured last, or a sentence."""
        if not self.rows:
            return "<div>Sliders for computing, waiting and the number of workers, and a button Run. Run this cell to use them.</div>"
        return _image(self.rows, _words(self.rows))

    def __repr__(self) -> str:
        return "live_mix of threads, processes and coroutines"
