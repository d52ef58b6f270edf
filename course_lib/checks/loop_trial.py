"""The learner's Loop with tasks of ours in it: what it prints, what its exceptions say, and the ends that tasks talk over."""

import io
import re
import socket
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Any, TextIO

from course_lib.sandbox import Talk, Wrong, why
from course_lib.sandbox.talk import is_learners

Task = Generator[Any, None, Any]  # yields what it waits for, and may return something


class _Printed(io.StringIO):
    """Standard output, or standard error, which is not shown: a message quotes it. After a traceback the Loop is blamed."""

    def __init__(self, trial: "LoopTrial", shown: TextIO | None) -> None:
        super().__init__()
        self._trial, self._shown = trial, shown

    def write(self, text: str) -> int:
        size = super().write(text)
        if self._trial.expects_a_traceback:
            return size
        if self._shown:
            self._shown.write(text)
        printed = self.getvalue()
        if "Traceback" in printed and not printed.splitlines()[-1].startswith((" ", "Traceback")):
            self._trial.blame()
        return size

    def flush(self) -> None:
        if self._shown:
            self._shown.flush()


_LIMIT = "engine.wait() gets 0 when somebody is ready, else the seconds until the first timer, else None"


class LoopTrial:
    """The learner's Loop with tasks of ours in it, and what it printed."""

    def __init__(self, talk: Talk, learner: Callable) -> None:
        self.talk, self.step, self._learner = talk, talk.step, learner
        self.printed = sys.stdout, sys.stderr = _Printed(self, sys.stdout), _Printed(self, None)
        self.loop: Any = None
        self.what = "Tasks ran"
        self.expects_a_traceback = False

    def new(self) -> Any:
        self.talk.step("Loop() did not return within 1 s")
        self.loop = self._learner()
        for method in "spawn", "run":
            if not callable(getattr(self.loop, method, None)):
                raise Wrong(f"Loop has no method {method}().")
        for stream in self.printed:
            stream.seek(0)
            stream.truncate()
        return self.loop

    def run(self, what: str, tasks: Mapping[str, Task], seconds: float = 1.0, why: str = _LIMIT, again: bool = False) -> None:
        """Run these tasks to their end. `what` begins each message; `why` ends the one that says they got stuck."""
        loop = self.loop if again else self.new()
        ended = set()

        def tracked(name: str, task: Task) -> Generator:
            yield from task
            ended.add(name)
            if len(ended) == len(tasks):
                self.step(
                    f"{what}: all tasks have ended, and run() did not return within 1 s: look whether anybody is left before you "
                    "wait, and forget who has ended"
                )

        self.what = what
        for name, task in tasks.items():
            loop.spawn(tracked(name, task))
        self.step(f"{what}, and not all tasks have ended within {seconds:g} s ({why})", seconds)
        loop.run()
        if missing := [name for name in tasks if name not in ended]:
            raise Wrong(
                f"{what}; run() returned, and {missing[0]} had not "
                f"ended.{self.cause(' Run until nobody is ready, waits or sleeps.')}"
            )

    def go(self, what: str, *tasks: Task, seconds: float = 1.0) -> None:
        """Run these tasks too, just as they are; whether they ended is for the caller to know."""
        self.what = what
        self.step(f"{what}, and run() did not return within {seconds:g} s", seconds)
        for task in tasks:
            self.loop.spawn(task)
        self.loop.run()

    def fail(self, text: str) -> None:
        """For tasks: an exception would be the Loop's."""
        self.talk.send({"wrong": text + self.cause()})

    def text(self) -> str:
        return "".join(stream.getvalue() for stream in self.printed)

    @contextmanager
    def of_mistakes(self) -> Iterator[None]:
        """Inside a traceback is expected; elsewhere the first one is the Loop's own mistake."""
        self.expects_a_traceback = True
        try:
            yield
        finally:
            self.expects_a_traceback = False

    def blame(self) -> None:
        text = self.text()
        if "StopIteration" in text:
            text = "a task returned, and StopIteration was printed as if it were a mistake: it comes out of send() when a task ends (PEP 342)."
        elif "RecursionError" in text:
            text = "RecursionError was printed: each step comes from the loop in run(), not from inside of another step."
        else:
            kind, _, said = text.rstrip().rpartition("\n")[2].partition(": ")
            text = f"no task made a mistake, and a traceback was printed.{self.cause()} {why(CAUSES, kind, said)}".rstrip()
        self.talk.send({"wrong": f"{self.what}; {text}"})

    def cause(self, otherwise: str = "") -> str:
        """The last line that the Loop printed, and where it came from."""
        lines = [line.strip() for line in self.text().splitlines() if line.strip()]
        if not lines:
            return otherwise
        frames = [number for file, number in re.findall(r'File "(.*)", line (\d+)', self.text()) if is_learners(file)]
        where = f", from line {frames[-1]}" if frames else ""
        return f" Printed was{where}: {lines[-1][:200].rstrip('.')}."


# What an exception says about a loop.
CAUSES = {
    "TypeError: '<' not supported": "Two timers had the same moment, and the heap compared what stands behind it. Put a number between "
    "them that is different each time, itertools.count(): (moment, count, task).",
    "StopIteration": "A task that returns raises it out of send(): catch it there.",
    ": is not an iterator": "next() is for generators; a coroutine of async def has only send(): task.send(None) does for both.",
    "TypeError: NoneType": "Is it a bare `yield`, which gives None? It only lets the others have their turn.",
    "KeyError FileExistsError: already registered|File exists": "This number is registered already (EEXIST, epoll_ctl(2)). Two tasks that "
    "wait for one socket share one registration: modify() it with both events. When nobody waits for it any more, unregister() it.",
    "FileNotFoundError": "The number is not in the interest list (ENOENT, epoll_ctl(2)): a socket that was closed has left it by itself.",
    r"ValueError: \(-1\)|negative": "A closed socket has the number -1: keep the number that it had, and unwatch it before its number "
    "has a new owner.",
    "KeyError": "Is it a socket for which nobody waits any more, or whose number has a new owner? What you keep and what the engine "
    "watches must agree.",
    "RuntimeError: changed size": "Tasks come and go while you go over them: loop over a copy, list(...).",
    "IndexError": "Nothing is left in it: look first whether it is empty.",
    "OSError: Bad file descriptor": "A task had closed this socket. The kernel has forgotten it by itself.",
}


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets, non-blocking."""
    pair = socket.socketpair()
    for sock in pair:
        sock.setblocking(False)
    return pair


@contextmanager
def pairs(number: int) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """So many pairs, which are closed in the end."""
    with ExitStack() as stack:
        made = [pair() for _ in range(number)]
        for sock in chain(*made):
            stack.enter_context(sock)
        yield made


def turns(number: int) -> Generator:
    for _ in range(number):
        yield
