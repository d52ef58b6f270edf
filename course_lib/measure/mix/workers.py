"""A mix of computing and waiting, done by threads, by processes or by coroutines.

Each worker records its own times, with time.perf_counter(), which all processes of the machine share (CLOCK_MONOTONIC).
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..child_process import arguments, orders, tell
from ..work import Work, carry_out

KINDS = ("threads", "processes", "coroutines")
LIMIT = 4.0  # seconds for one kind; whoever is not through then stops
MOST = 8  # workers
APART = 0.001  # seconds: between two looks at the clock a worker needs far less, unless something else has the processor
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
    asked = Mix(cpu, io, workers, turns)
    if by not in KINDS:
        raise ValueError(f"by is one of {', '.join(KINDS)}, not {by!r}")

    def measure(work: Work) -> list[Span]:
        work.now = by
        return asked.measure(work, by)

    return carry_out(measure)


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
    if not rows:
        raise ValueError("there are no rows")
    return "; ".join(
        f"{by}: {seconds_of(rows, by):.2f} s, {_part(together(rows, by))} of the computing was side by side"
        for by in kinds_of(rows)
    )


def kinds_of(rows: Iterable[Span]) -> list[str]:
    """Those of KINDS that the rows are about."""
    found = {row.by for row in rows}
    return [by for by in KINDS if by in found]


def _part(share: float) -> str:
    return "nothing" if share < 0.005 else f"{share:.0%}"


@dataclass(frozen=True, slots=True)
class Mix:
    """What the workers do: see `run_mix`. Raises ValueError for a mix that takes too long."""

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
            raise ValueError(
                f"that takes too long: at most {_LONGEST:g} s of computing in all, and {_LONGEST:g} s for one worker alone"
            )

    def measure(self, work: Work, by: str) -> list[Span]:
        """The rows of one kind. Raises Stopped when `work` was stopped."""
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
            diary.keep(began[0], self.cpu, self.io, self.turns)

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
            for pause in diary.steps(began, self.cpu, self.io, self.turns):
                await asyncio.sleep(pause)

        async def all_of_them() -> None:
            began = time.perf_counter()
            await asyncio.gather(*(worker(diary, began) for diary in diaries))

        asyncio.run(all_of_them())  # a loop of its own, in the thread of the measurement
        return [diary.spans for diary in diaries]

    def _processes(self, work: Work, over: Callable[[], bool], until: float) -> list[list]:
        processes = [work.process(__name__, self.cpu, self.io, self.turns) for _ in range(self.workers)]
        for process in processes:
            if not work.hear(process, until - time.monotonic()):  # its Python has started
                raise RuntimeError("a process did not start in time; run it again")
        began = time.perf_counter()
        for process in processes:
            process.say(began=began, seconds=max(0.0, until - time.monotonic()))
        recorded = [(work.hear(process, until + 1 - time.monotonic()) or {}).get("spans", []) for process in processes]
        for process in processes:
            work.end(process)
        return recorded


class _Diary:
    """What one worker records: [start, end, what], in seconds since the beginning."""

    def __init__(self, over: Callable[[], bool]) -> None:
        self.spans: list[tuple[float, float, str]] = []
        self._over = over

    def keep(self, began: float, cpu: float, io: float, turns: int) -> None:
        """A worker that sleeps when it waits: a thread's or a process's."""
        for pause in self.steps(began, cpu, io, turns):
            time.sleep(pause)

    def steps(self, began: float, cpu: float, io: float, turns: int) -> Iterator[float]:
        """Compute and wait in turns: each number that comes asks for so many seconds of sleep."""
        self.begin(began)
        for _ in range(turns):
            self.compute(cpu)
            yield from self.wait(io)

    def begin(self, began: float) -> None:
        self._began = began
        self._note(began, time.perf_counter(), "turn")

    def compute(self, seconds: float) -> None:
        """Use so much CPU time. Where more time has passed between two looks than was used, something else ran."""
        used = time.thread_time()
        start = last = time.perf_counter()
        until = used + seconds
        while used < until and not self._over():
            for _ in range(200):
                pass
            before, used, now = used, time.thread_time(), time.perf_counter()
            ran = min(now, last + used - before)
            if now - ran > APART:
                self._note(start, ran, "cpu", 0.0)
                self._note(ran, now, "turn")
                start = now
            last = now
        self._note(start, last, "cpu", 0.0)

    def wait(self, seconds: float) -> Iterator[float]:
        """The sleep of one wait. What passed since the computing, and whatever comes after the wait, was waiting for a turn."""
        now = time.perf_counter()
        self._note(self._end, now, "turn")
        due = now + seconds
        while (left := due - time.perf_counter()) > 0 and not self._over():
            yield min(left, 0.2)
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
    go = next(orders())
    until = time.monotonic() + go["seconds"]
    diary = _Diary(lambda: time.monotonic() > until)
    diary.keep(go["began"], cpu, io, turns)
    tell(spans=diary.spans)
