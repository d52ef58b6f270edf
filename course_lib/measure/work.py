"""A measurement as a piece of work: in a thread of its own, with a progress bar, and stopped from outside at any moment.

An interrupt (KeyboardInterrupt) reaches the main thread only. The thread that starts processes and ends them never sees
one between two of its lines: it only finds that its processes are gone, and ends.
"""

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from .child_process import ChildProcess
from .progress import Show, progress


class Stopped(Exception):
    """The work was stopped: by an interrupt, or by a stop button."""


class Work(threading.Thread):
    """`do(work)` in a thread. What it returned is `result`; what it raised, `error`.

    done, total   how far it is; `now` says in words what is being measured
    """

    def __init__(self, do: Callable[["Work"], object]) -> None:
        super().__init__(name="measurement", daemon=True)
        self._do = do
        self._lock = threading.Lock()
        self._processes: list[ChildProcess] = []
        self.stopped = False
        self.finished = threading.Event()  # join() will not do: interrupted, it takes the thread for dead (Python 3.11)
        self.done, self.total, self.now = 0.0, 1, ""
        self.result: Any = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            if not hasattr(os, "sched_getaffinity"):
                raise RuntimeError("measurements need Linux: they choose cores for their processes, and read CPU times in /proc")
            self.result = self._do(self)
        except Stopped:
            pass
        except Exception as error:
            self.error = error
        finally:
            for process in self._processes:
                process.end()
            self.finished.set()

    def process(self, module: str, *arguments: object, **files: Any) -> ChildProcess:
        """Start a process of this work. Raises Stopped when it was stopped."""
        with self._lock:
            self.check()
            process = ChildProcess(module, *arguments, **files)
            self._processes.append(process)
        return process

    def end(self, process: ChildProcess, patience: float = 0.0) -> None:
        """End one of its processes (`ChildProcess.end`)."""
        with self._lock:
            self._processes.remove(process)
        process.end(patience)

    def hear(self, process: ChildProcess, seconds: float) -> dict | None:
        """The next message of one of its processes (`ChildProcess.hear`). Raises Stopped if it was stopped: so they have gone."""
        message = process.hear(seconds)
        self.check()
        return message

    def check(self) -> None:
        """Raise Stopped when it was stopped."""
        if self.stopped:
            raise Stopped

    def stop(self) -> None:
        """End it: its processes are killed, which wakes the thread. Harmless when repeated."""
        self.stopped = True
        with self._lock:
            for process in self._processes:
                process.kill()


_Result = TypeVar("_Result")


def carry_out(do: Callable[[Work], _Result], shown: Callable[[], AbstractContextManager[Show]] = progress) -> _Result:
    """Do it, show how far it is, and return its result. An interrupt leaves no process, descriptor or thread."""
    work = Work(do)
    try:
        work.start()
        with shown() as show:
            while not work.finished.wait(0.1):
                show(work.done / work.total, work.now)
    finally:
        work.stop()
        if work.ident:
            work.finished.wait()
            work.join()
    if work.error:
        raise work.error
    result: _Result = work.result
    return result
