"""A server and its clients, each a process, measured together."""

import os
from contextlib import suppress
from typing import Any

from course_lib.proc import threads

from .child_process import ChildProcess
from .work import Work


class ServerAndClients:
    """The server stands still unless it has its turn. When they cannot go on, `why_not` says why, and the processes are gone."""

    def __init__(self, work: Work, why_not: str = "") -> None:
        self._work, self.why_not = work, why_not
        self._processes: list[ChildProcess] = []

    def process(self, module: str, *arguments: object, **files: Any) -> ChildProcess:
        """Start one of them."""
        self._processes.append(self._work.process(module, *arguments, **files))
        return self._processes[-1]

    def answer(self, process: ChildProcess, seconds: float, failed: str) -> dict | None:
        """What it answers; None when it says why it cannot go on, or says nothing: then it has `failed`."""
        said = self._work.hear(process, seconds)
        if said and "why" not in said:
            return said
        self.fail(said["why"] if said else failed)
        return None

    def fail(self, why: str) -> None:
        """It cannot go on."""
        self.why_not = why
        self.end()

    def end(self) -> None:
        """End the processes: the clients first."""
        while self._processes:
            self._work.end(self._processes.pop())


def pin(process: int, core: int) -> None:
    """Let all its threads run on this core only, if that is allowed (sched_setaffinity(2))."""
    with suppress(OSError):
        for thread in threads(process):
            os.sched_setaffinity(thread, {core})
