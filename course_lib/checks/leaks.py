"""Check of exercise 1.3: what a function leaves open."""

import itertools
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from course_lib.kernel import libc
from course_lib.proc import open_numbers
from course_lib.sandbox import Attempt, Talk, Wrong, a


def check_leaks(attempt: Attempt) -> None:
    attempt.ask(_use_leaks, causes=_OF_LEAKS)


_OF_LEAKS = {
    "FileNotFoundError": "os.readlink found no such entry{line}: the listing of the folder had a number of its own, closed by now. "
    "Use fd_table, which knows this.",
}


class _Opens:
    """Functions that leave something open; each returns what its numbers name."""

    def __init__(self) -> None:
        self._hidden: list[object] = []
        self._null = os.open(os.devnull, os.O_RDONLY)
        self._taken = os.open("/", os.O_RDONLY)

    def nothing(self) -> None:
        with open("/proc/self/stat", "rb"):
            pass

    def file_and_socket(self) -> list[str]:
        self._hidden.append(sock := socket.socket())
        return [_target(_memory_file("notes")), _target(sock.fileno())]

    def a_pipe_in_a_list(self) -> list[str]:
        files = [open(end, mode) for end, mode in zip(os.pipe(), ("rb", "wb"))]
        self._hidden.append(files)
        return [_target(file.fileno()) for file in files]

    def once_more(self) -> list[str]:
        os.open(os.devnull, os.O_RDONLY)
        return [os.devnull]

    def takes_a_number_over(self) -> list[str]:
        os.close(self._taken)
        number = _memory_file("in its place")
        if number != self._taken:
            os.dup2(number, self._taken, inheritable=False)
            os.close(number)
        return [_target(self._taken)]

    def closes_one(self) -> None:
        os.close(self._null)


_Returned = TypeVar("_Returned")


def _use_leaks(talk: Talk, learner: Callable) -> None:
    opens = _Opens()
    talk.step("leaks(fn) did not return within 1 s")
    if got := _found(learner, opens.nothing)[0]:
        raise Wrong(f"fn closed the file that it opened, and leaks found {got}.")
    talk.good("what is closed again is no leak")
    _left_open(talk, learner, opens)
    if got := _found(learner, opens.closes_one)[0]:
        raise Wrong(f"fn only closed something, and leaks found {got}: what is gone is no leak.")
    _for_a_moment(talk, learner)
    talk.good("what another thread had open for a moment is no leak")


def _left_open(talk: Talk, learner: Callable, opens: _Opens) -> None:
    for fn, what, why in (
        (opens.file_and_socket, "a file and a socket", ""),
        (opens.a_pipe_in_a_list, "the two ends of a pipe, kept in a list", ""),
        (opens.once_more, f"{os.devnull}, which was open under another number before", "one thing may be open under two numbers"),
        (
            opens.takes_a_number_over,
            "a file, under a number that named another thing before",
            "a number may name something else now",
        ),
    ):
        talk.step(f"leaks(fn), where fn leaves {what} open, did not return within 1 s")
        got, expected = _found(learner, fn)
        if sorted(got) == sorted(expected):
            continue
        if why:
            raise Wrong(f"fn left {what}, and leaks found {got}: compare number AND target, for {why}.")
        raise Wrong(f"fn left {what} open: {expected}. leaks found {got}.")
    talk.good("a file, a socket, a pipe in a list, a second number, a number that was reused")


def _found(learner: Callable, fn: Callable[[], _Returned]) -> tuple[list[str], _Returned]:
    """(what leaks says, what fn returned)."""
    calls: list[_Returned] = []
    before = open_numbers()
    opened: set[int] = set()

    def counted() -> None:
        at_first = open_numbers()
        calls.append(fn())
        opened.update(open_numbers() - at_first)

    got = learner(counted)
    if len(calls) != 1:
        raise Wrong(f"leaks called fn {len(calls)} times: call it once, and look at the tables before and after.")
    if not isinstance(got, list):
        raise Wrong(f"leaks returned {a(got)}: return a list of targets.")
    for target in got:
        if not isinstance(target, str):
            raise Wrong(f"leaks returned a list with {a(target)} in it: return what the numbers name, as text.")
    if left := len(open_numbers() - before - opened):
        raise Wrong(f"leaks itself left {left} more open than before.")
    return got, calls[0]


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


def _memory_file(name: str) -> int:
    return os.memfd_create(name)


def _target(number: int) -> str:
    return libc.readlink(f"/proc/self/fd/{number}")


CHECKS = {"1.3": check_leaks}
