"""A Loop in virtual time: when it would sleep, its clock is put forward instead. So its tasks can wait for hours."""

import time
from collections.abc import Callable, Generator
from contextlib import suppress
from types import coroutine
from typing import Any

from course_lib.sandbox import Wrong, a
from course_lib.solutions.coroutines import Loop
from course_lib.solutions.epolling import EpollEngine

from .probe import put_instead

_ROUNDS = 20_000  # of the Loop in which no time has passed


class Clock:
    """What all clocks show here; `now` in seconds. The one of the day, `time.time`, can be put forward and back."""

    def __init__(self, learner: type) -> None:
        self.now, self.day = 1000.0, 1_800_000_000.0
        self._fakes: dict[Any, Callable] = {time.sleep: self._sleep}
        for name in "monotonic", "perf_counter":
            self._put(name, lambda: self.now)
        self._put("time", lambda: self.day + self.now)
        for real, fake in self._fakes.items():
            setattr(time, real.__name__, fake)
        put_instead(learner, self._fakes)

    def _put(self, name: str, fake: Callable[[], float]) -> None:
        self._fakes |= {getattr(time, name): fake, getattr(time, f"{name}_ns"): lambda: round(fake() * 1e9)}

    def _sleep(self, seconds: float) -> None:
        raise Wrong('time.sleep() stops the whole Loop, and all clients wait: a task sleeps by `yield "sleep", seconds`.')


class _Engine(EpollEngine):
    """Does not sleep: the clock goes on instead."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock, self._rounds = clock, 0

    def wait(self, seconds: float | None) -> list[tuple]:
        self._rounds += 1
        if self._rounds > _ROUNDS:
            raise Wrong(
                "No time passes, nothing comes, and a task is resumed again and again: so your Loop would run all the time. "
                'Sleep until the moment that you wait for: `yield "sleep", seconds`.'
            )
        found = super().wait(0)
        if seconds and not found:
            self._clock.now += seconds
            self._rounds = 0
        return found


class VirtualLoop(Loop):
    """The course's Loop with this clock. `alive` are its tasks; one that raises anything but what is `expected` ends it all."""

    def __init__(self, clock: Clock, expected: type[Exception]) -> None:
        super().__init__()
        self._engine, self._expected = _Engine(clock), expected
        self.alive: set[Generator] = set()

    def spawn(self, task: Generator, name: str | None = None) -> None:
        if not hasattr(task, "send"):
            raise TypeError(f"loop.spawn() got {a(task)}, and takes a task: watch(), and not watch")
        self.alive.add(task)
        super().spawn(self._followed(task), name)

    @coroutine  # so a task may be one of async def too
    def _followed(self, task: Generator) -> Generator:
        try:
            with suppress(self._expected):
                yield from task
        except Exception as error:
            raise Failed(error) from None
        finally:
            self.alive.discard(task)


class Failed(BaseException):
    """A task has raised `error`. The Loop lets this through, as it does KeyboardInterrupt."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
