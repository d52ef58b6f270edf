"""The process in which waits are timed."""

import errno
import gc
import os
import random
import select
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from course_lib.proc import raise_limit

from .child_process import arguments, tell, too_few

SPARE = 16  # descriptors besides the watched ones: standard streams, the epoll, what Python opens


def main() -> None:
    kinds, numbers, all_ready, rounds, seconds = arguments()
    gc.disable()  # as timeit does
    descriptors, problem = _open(max(numbers, default=0))
    points = []
    for number in numbers:
        for kind in kinds:
            why = problem if number > len(descriptors) else _refused(kind, descriptors[:number])
            if why:
                tell(kind=kind, watched=number, why=why.format(needed=number + SPARE))
            else:
                points.append((kind, number))
    if not all_ready:
        points += [("wake", number) for number in dict.fromkeys(number for _, number in points)]
    tell(points=rounds * len(points))
    if all_ready:
        for descriptor in descriptors:
            os.eventfd_write(descriptor, 1)
    begin = time.monotonic()
    share = 1e9 * seconds / (rounds * len(points) or 1)
    for turn in range(rounds):
        if turn and time.monotonic() - begin > 3 * seconds:
            break
        for kind, number in random.sample(points, len(points)):
            cost, waits = _point(kind, descriptors[:number], all_ready, share)
            tell(kind=kind, watched=number, round=turn, microseconds=cost, waits=waits)
    tell(end=True)


def _open(number: int) -> tuple[list[int], str]:
    """As many eventfds as can be had, at most `number`, and why there are no more."""
    limit = raise_limit(number + SPARE)
    if not hasattr(os, "eventfd"):
        return [], "this system has no eventfd"
    made: list[int] = []
    problem = ""
    try:
        while len(made) < min(number, limit - SPARE):
            made.append(os.eventfd(0))
    except OSError as error:
        problem = f"no more descriptors: {errno.errorcode[error.errno or 0]}, {error.strerror}"
    return made, problem or too_few("{needed}", limit)


def _refused(kind: str, descriptors: list[int]) -> str:
    """Why this kind of wait cannot take these descriptors, or ""."""
    if kind == "epoll" and not hasattr(select, "epoll"):
        return "this system has no epoll"
    try:
        if kind == "select":
            select.select(descriptors, [], [], 0)
        elif kind == "epoll":
            _watching(select.epoll(), descriptors).close()
    except (ValueError, OSError) as error:  # OSError: max_user_watches (epoll(7))
        return f"{kind} refused descriptors up to number {max(descriptors)}: {type(error).__name__}: {error}"
    return ""


def _watching(poll: Any, descriptors: list[int]) -> Any:
    """A poll or an epoll that watches these for reading."""
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)  # which is EPOLLIN too
    return poll


def _point(kind: str, descriptors: list[int], all_ready: bool, share: float) -> tuple[float, int]:
    """Microseconds of one wait, and how many were timed, in about `share` nanoseconds of CPU time."""
    epoll = None
    wait: Callable[[], object] | None = None
    if kind == "select":
        wait = partial(select.select, descriptors, [], [])
    elif kind == "poll":
        wait = _watching(select.poll(), descriptors).poll
    elif kind == "epoll":
        epoll = _watching(select.epoll(), descriptors)
        wait = partial(epoll.poll, None, len(descriptors)) if all_ready else epoll.poll
    timed = _all_ready if all_ready else _one_ready
    run: Callable[[list[int]], int] = _only_wake if wait is None else partial(timed, wait)
    run(random.choices(descriptors, k=2))  # warm
    spent, waits, batch = 0, 0, 2
    while not spent or spent < share:
        spent += run(random.choices(descriptors, k=batch))
        waits += batch
        batch = min(2 * batch, 4096)
    if epoll:
        epoll.close()
    return spent / waits / 1000, waits


def _one_ready(wait: Callable, chosen: list[int], clock: Callable[[], int] = time.thread_time_ns) -> int:
    wake, read = os.eventfd_write, os.eventfd_read
    begin = clock()
    for descriptor in chosen:
        wake(descriptor, 1)
        wait()
        read(descriptor)
    return clock() - begin


def _only_wake(chosen: list[int], clock: Callable[[], int] = time.thread_time_ns) -> int:
    wake, read = os.eventfd_write, os.eventfd_read
    begin = clock()
    for descriptor in chosen:
        wake(descriptor, 1)
        read(descriptor)
    return clock() - begin


def _all_ready(wait: Callable, chosen: list[int], clock: Callable[[], int] = time.thread_time_ns) -> int:
    begin = clock()
    for _ in chosen:
        wait()
    return clock() - begin
