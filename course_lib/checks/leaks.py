"""Check of exercise 1.3: what a function leaves open."""

import itertools
import os
import socket
import threading
import time
from collections.abc import Callable

from course_lib.kernel import libc
from course_lib.proc import open_numbers
from course_lib.sandbox import Attempt, Talk, Wrong

from .probe import Probe


def check_leaks(attempt: Attempt) -> None:
    attempt.ask(_use_leaks, causes=_OF_LEAKS)


_OF_LEAKS = {
    "FileNotFoundError": "os.readlink found no such entry{line}: the listing of the folder had a number of its own, closed by now. "
    "Use fd_table, which knows this.",
}


class _Opens:
    """Functions that leave something open: each returns the numbers."""

    def __init__(self) -> None:
        self._hidden: list[object] = []
        self._null = os.open(os.devnull, os.O_RDONLY)
        self._taken = os.open("/", os.O_RDONLY)

    def nothing(self) -> list[int]:
        with open("/proc/self/stat", "rb"):
            return []

    def file_and_socket(self) -> list[int]:
        self._hidden.append(sock := socket.socket())
        return [os.memfd_create("notes"), sock.fileno()]

    def a_pipe_in_a_list(self) -> list[int]:
        files = [open(end, mode) for end, mode in zip(os.pipe(), ("rb", "wb"))]
        self._hidden.append(files)
        return [file.fileno() for file in files]

    def once_more(self) -> list[int]:
        return [os.open(os.devnull, os.O_RDONLY)]

    def takes_a_number_over(self) -> list[int]:
        os.close(self._taken)
        number = os.memfd_create("in its place")
        if number != self._taken:
            os.dup2(number, self._taken, inheritable=False)
            os.close(number)
        return [self._taken]

    def closes_one(self) -> list[int]:
        os.close(self._null)
        return []


def _use_leaks(talk: Talk, learner: Callable) -> None:
    probe, opens = Probe(talk, learner, "leaks(fn)"), _Opens()
    _finds(probe, "fn closes the file that it opens", opens.nothing, "what is closed again is no leak")
    talk.good("what is closed again is no leak")
    both = "compare number AND target, for"
    _finds(probe, "fn leaves a file and a socket open", opens.file_and_socket)
    _finds(probe, "fn leaves the two ends of a pipe open, in a list", opens.a_pipe_in_a_list)
    _finds(probe, f"fn leaves {os.devnull} open, which was open under another number before", opens.once_more,
           f"{both} one thing may be open under two numbers")  # fmt: skip
    _finds(probe, "fn leaves a file open, under a number that named another thing before", opens.takes_a_number_over,
           f"{both} a number may name something else now")  # fmt: skip
    talk.good("a file, a socket, a pipe in a list, a second number, a number that was reused")
    _finds(probe, "fn only closes something", opens.closes_one, "what is gone is no leak")
    _for_a_moment(talk, learner)
    talk.good("what another thread had open for a moment is no leak")


def _finds(probe: Probe, situation: str, fn: Callable[[], list[int]], why: str = "") -> None:
    """It must find what fn leaves open, in any order, and open nothing itself."""
    calls: list[dict[int, str]] = []
    before = open_numbers()
    answer = probe.when(situation, lambda: calls.append({number: _target(number) for number in fn()}))
    if len(calls) != 1:
        raise Wrong(f"leaks called fn {len(calls)} times: call it once, and look at the tables before and after.")
    got = answer.is_list_of(str, "return a list of targets", "return what the numbers name, as text")
    if left := len(open_numbers() - before - set(calls[0])):
        raise Wrong(f"leaks itself left {left} more open than before.")
    if sorted(got) != sorted(expected := list(calls[0].values())):
        raise answer.wrong(f"{{}}, not {expected}{why and ': '}{why}")


def _for_a_moment(talk: Talk, learner: Callable) -> None:
    """Another thread has one thing after the other open, each for a moment: there is one at each look, and never the same."""
    for _ in range(5):
        opened, over = threading.Event(), threading.Event()
        lives: dict[str, float] = {}  # what it has had open, and for how many seconds
        thread = threading.Thread(target=_hold, args=(opened, over, lives))

        def fn() -> None:
            thread.start()
            opened.wait()

        talk.step("leaks(fn), where another thread opens something, did not return within 1 s")
        try:
            got = learner(fn)
        finally:
            over.set()
            if thread.ident:
                thread.join()
        if not got:
            return
        if others := [target for target in got if target not in lives]:
            raise Wrong(f"fn left nothing open, and leaks found {others}.")
        if all(lives.get(target, 0.0) < 0.09 for target in got):
            raise Wrong(
                "Another thread had one file after the other open, each for less than 0.1 s, and leaks found one of them. "
                "Take the table after fn(), look again 0.1 s later, and count only what is there both times."
            )  # else this machine was slow, and the thread too: once more


def _hold(opened: threading.Event, over: threading.Event, lives: dict[str, float]) -> None:
    last, began = -1, 0.0
    for moment in itertools.count():
        number = os.memfd_create(f"moment {moment}")
        opened.set()
        if last >= 0:
            lives[_target(last)] = time.monotonic() - began
            os.close(last)
        last, began = number, time.monotonic()
        if over.wait(0.04):
            break
    lives[_target(last)] = time.monotonic() - began
    os.close(last)


def _target(number: int) -> str:
    return libc.readlink(f"/proc/self/fd/{number}")


CHECKS = {"1.3": check_leaks}
