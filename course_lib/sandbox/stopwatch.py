"""Time as a check counts it: without the time in which somebody waited for a processor."""

import os
import time
from collections.abc import Callable

from course_lib.proc import children, schedstat, state

MORE = 100.0  # seconds that a check may take beyond its time limit, if it has waited for a processor as long


class TimeLimit:
    """So many seconds for one check in all, and more if it, or one of its processes, has waited for a processor."""

    def __init__(self, seconds: float) -> None:
        self._end, self._own = time.monotonic() + seconds, Stopwatch()
        self.processes: list[int] = []

    def end(self) -> float:
        """When it is over, as things stand now (``time.monotonic()``)."""
        return self._end + min(self.lost(), MORE)

    def lost(self) -> float:
        """Seconds of waiting for a processor: of this thread since the check began, of its processes in their whole life."""
        return self._own.lost() + sum(map(waited_for_a_processor, self.processes))


class Stopwatch:
    """Seconds since it was made, without those in which this thread, or `other`, waited for a processor.

    `other` is a process, with its children, or the name of a thread in /proc: 4711, "self/task/4712"; None: nobody else.
    With `alone` it is this process and nobody else: what it does in these seconds no other program can change.
    """

    def __init__(self, other: int | str | None = None, alone: bool = False) -> None:
        self._other, self._alone = other, alone
        self._seen: dict[int | str, tuple[tuple[int, ...], float]] = {}  # what the kernel counted when it last had a processor
        self._begin, self._first = time.monotonic(), self._waits()
        self._last: dict[int | str, float] = {}

    def passed(self) -> float:
        """At least a tenth of what a clock shows, so that each time limit is over some time."""
        passed = time.monotonic() - self._begin
        return max(passed - self.lost(), passed / 10)

    def lost(self) -> float:
        """What does not count."""
        self._last |= self._waits()  # a child that has gone since has waited, too
        return sum(max(0.0, waited - self._first.get(process, 0.0)) for process, waited in self._last.items())

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Wait for something that nobody announces; False if it has not come true when `seconds` have passed."""
        while not condition():
            if self.passed() > seconds:
                return bool(condition())
            time.sleep(0.001)
        return True

    def _waits(self) -> dict[int | str, float]:
        processes = [self._other] if self._other else []
        if not self._alone and isinstance(self._other, int):
            processes += children(self._other)
        if not self._alone and self._other != os.getpid():
            processes.append("thread-self")
        return {process: waited_for_a_processor(process) + self._waits_now(process) for process in processes}

    def _waits_now(self, process: int | str) -> float:
        """For how long it has been waiting by now: the kernel adds that up only when it has a processor again."""
        counted, now = schedstat(process), time.monotonic()
        if process == "thread-self" or not any(counted):  # it has one; nobody counts
            return 0.0
        if counted != self._seen.get(process, ((), now))[0] or state(process) != "R":
            self._seen[process] = counted, now
        return now - self._seen[process][1]


def wait_until(condition: Callable[[], object], seconds: float = 2.0) -> bool:
    """Wait for something that nobody announces; False if it has not come true within `seconds`."""
    return Stopwatch().until(condition, seconds)


def waited_for_a_processor(process: int | str = "thread-self") -> float:
    """Seconds for which its first thread, or this one, could have run and no processor was free (schedstat, sched-stats.rst)."""
    return schedstat(process)[1] / 1e9
