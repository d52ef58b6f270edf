"""Checks of exercises 4.1 to 4.3: one wait for all, a server on it, and where it ends."""

import errno
import fcntl
import os
import resource
import select
import socket
import time
from collections.abc import Callable
from types import FunctionType
from typing import Any

from course_lib.proc import open_numbers, raise_limit
from course_lib.sandbox import Attempt, NotChecked, Raised, Stopwatch, Talk, Wrong, a, explained
from course_lib.sandbox.talk import own_frame
from course_lib.sandbox.words import where
from course_lib.solutions.selecting import fd_limit

from .ends import fill, readable
from .many_clients import check_server

_LONG = 1.2  # seconds without a client: longer than the time limit that somebody puts into the wait
_OFTEN = 15  # times to wake up for nothing
_ONE_WAIT = "One call of select() sleeps until something is ready: hand it the whole `timeout`."


def check_ready(attempt: Attempt) -> None:
    listener = attempt.listen()
    address = listener.getsockname()
    process = attempt.start(_use_ready, listener)
    told = process.hear("ready did not answer within 1 s")
    if not process.until(process.sleeps_for_ever, 0.1):
        if (times := process.wakes_within(_LONG)) > _OFTEN:  # nobody comes, so it must go on waiting
            raise Wrong(f"ready([listener], [], None) woke up {times} times in {_LONG:g} s, and nobody had come. {_ONE_WAIT}")
    attempt.connect(address)
    process.hear("ready([listener], [], None): a client has connected, and ready did not return within 1 s")
    attempt.good("None is no limit: it waits until a client connects")
    if told["high"]:
        attempt.note("it takes descriptor 1024, so it is not select() that you call. What was asked it does.")
    process.alone()


def _use_ready(talk: Talk, learner: Callable, listener: socket.socket) -> None:
    ready = _Ready(talk, learner)
    ready.names[listener] = "listener"
    ready.nothing()
    ready.something()
    ready.closed()
    high = _takes_high_number(learner, ready.one)
    talk.good("a closed socket: a ValueError that says which one it is")
    talk.tell(high=high)
    _without_limit(learner, listener)
    talk.tell()


class _Ready:
    """The learner's ready(), and two sockets to ask it about."""

    def __init__(self, talk: Talk, learner: Callable) -> None:
        self._talk, self._learner = talk, learner
        (self.one, self._its_peer), (self._other, self._others_peer) = socket.socketpair(), socket.socketpair()
        self.names = {self.one: "one", self._other: "other"}

    def gives(self, readers: list, writers: list, timeout: float | None, expected: tuple[list, list], when: str) -> None:
        lists = list(readers), list(writers)
        call = f"ready({_named(readers, self.names)}, {_named(writers, self.names)}, {timeout})"
        if timeout == 60:
            self._talk.step(f"{call}: {when}, and it did not return within 1 s")
        got = self._learner(*lists, timeout)
        _is_pair_of_lists(got, call)
        for which, found, right in zip(("first", "second"), got, expected):
            if set(found) != set(right) or len(found) != len(right):
                raise Wrong(f"{call}: {when}. The {which} list is {_named(found, self.names)}, not {_named(right, self.names)}.")
        if lists != (readers, writers):
            raise Wrong(f"{call} changed a list that it was given: the caller still needs it.")

    def nothing(self) -> None:
        one, other = self.one, self._other
        self._talk.step("ready([one, other], [], 0) did not return within 1 s: 0 is to look once and not to wait")
        self.gives([one, other], [], 0, ([], []), "nothing has come")
        self._talk.step("ready([one, other], [], 0.3) did not return within 1.3 s: `timeout` counts seconds", 1.3)
        watch, begin, used, woke = Stopwatch(), time.monotonic(), time.process_time(), _wakes()
        self.gives([one, other], [], 0.3, ([], []), "nothing has come")
        if time.monotonic() - begin < 0.25:
            raise Wrong(
                "ready([one, other], [], 0.3): nothing had come, and it did not wait 0.3 s. Hand `timeout` on to select()."
            )
        if time.process_time() - used > watch.passed() / 5:
            raise Wrong(
                "ready([one, other], [], 0.3) used the processor while it waited: select() sleeps, if you hand it `timeout`."
            )
        if (times := _wakes() - woke) > _OFTEN:
            raise Wrong(f"ready([one, other], [], 0.3) woke up {times} times, and nothing had come. {_ONE_WAIT}")
        self.gives([], [], 0, ([], []), "there is nothing to wait for")
        self._talk.good("nothing is ready: two empty lists, when the time is over")

    def something(self) -> None:
        one, other = self.one, self._other
        self._talk.step("Something is ready, and ready() did not return within 1 s")
        self._its_peer.send(b"hello")
        self.gives([one, other], [], 60, ([one], []), "bytes have come for `one`")
        one.setblocking(False)
        try:
            left = one.recv(100)
        except BlockingIOError:
            left = b""
        if left != b"hello":
            raise Wrong("After ready() the bytes were gone: it only looks, and reading is for the caller.")
        self.gives([], [one, other], 60, ([], [one, other]), "both send buffers have room")
        self._others_peer.close()
        when = "the peer of `other` has finished, and the end counts as readable (select(2))"
        self.gives([one, other], [], 60, ([other], []), when)
        self._its_peer.send(b"hello")
        self.gives([other, one], [one], 60, ([other, one], [one]), "`one` has bytes to read and room to write")
        fill(one)
        self.gives([], [one], 0, ([], []), "its send buffer is full")
        for sock, blocking in (one, False), (other, True):
            if sock.fileno() == -1 or sock.getblocking() != blocking:
                raise Wrong("ready() closed a socket, or changed whether it is blocking: it only looks.")
        self._talk.good("bytes, the end of a stream, room to write: each in its list")

    def closed(self) -> None:
        self._talk.step("A socket is closed, and ready() did not return within 1 s")
        gone, _ = socket.socketpair()
        gone.close()
        self.names[gone] = "closed"
        for readers, writers, place in ([self.one, gone], [], "readers[1]"), ([self.one], [gone, self._other], "writers[0]"):
            call = f"ready({_named(readers, self.names)}, {_named(writers, self.names)}, 0)"
            given = list(readers), list(writers)
            try:
                self._learner(*given, 0)
            except ValueError as error:
                if place not in str(error):
                    raise Wrong(
                        f"{call} raised ValueError: {error}{where(own_frame(error.__traceback__))}. In a server with a hundred "
                        f"clients, which one? Raise a ValueError with {place} in its text. A closed socket has the number -1."
                    ) from None
            except OSError as error:
                raise Wrong(
                    f"{call} raised {type(error).__name__}: {error}. Raise a ValueError, with {place} in its text."
                ) from None
            else:
                raise Wrong(f"{call} passed over the closed socket in silence: raise ValueError, with {place} in its text.")
            if given != (readers, writers):
                raise Wrong(f"{call} raised ValueError, and it changed a list that it was given: the caller still needs it.")


def _without_limit(learner: Callable, listener: socket.socket) -> None:
    got = learner([listener], [], None)
    if not readable(listener):
        raise Wrong("ready([listener], [], None) returned and nobody had connected: None is no limit. Hand it on to select().")
    _is_pair_of_lists(got, "ready([listener], [], None)")
    if got[0] != [listener] or got[1]:
        raise Wrong("ready([listener], [], None): a client had connected, and the listener is not in the first list.")


def _wakes() -> int:
    """How often this thread has gone to sleep so far."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def _is_pair_of_lists(got: object, call: str) -> None:
    if isinstance(got, tuple) and len(got) == 3:
        raise Wrong(f"{call} returned all three lists of select(): return the first two, (readable, writable).")
    if not isinstance(got, tuple) or len(got) != 2 or not all(isinstance(part, list) for part in got):
        raise Wrong(f"{call} returned {a(got)}: return a tuple of two lists, (readable, writable).")
    for thing in got[0] + got[1]:
        if not isinstance(thing, socket.socket):
            raise Wrong(f"{call} returned a list with {a(thing)} in it: return the sockets that you were given.")


def _named(socks: list[socket.socket], names: dict[socket.socket, str]) -> str:
    return f"[{', '.join(names.get(sock, 'another') for sock in socks)}]"


def _takes_high_number(learner: Callable, sock: socket.socket) -> bool:
    """Does it take descriptor 1024? With select() it must raise, and must not say that the socket is closed."""
    raise_limit(2048)
    try:
        number = fcntl.fcntl(sock, fcntl.F_DUPFD, 1024)
    except OSError:  # this machine does not give so many descriptors
        return False
    with socket.socket(fileno=number) as high:
        try:
            learner([high], [], 0)
        except ValueError as error:
            if "closed" in str(error) or "readers[0]" in str(error):
                raise Wrong(
                    f"A socket with the number {number} is open, and ready() said: {error}. select() raises ValueError for "
                    "numbers from 1024 on too. Ask the socket itself: fileno() is -1 when it is closed."
                ) from None
            return False
    return True


def check_fd_limit(attempt: Attempt) -> None:
    process = attempt.start(_use_fd_limit)
    try:
        told = process.hear("fd_limit() did not return within 2 s", 2.0)
    except Raised as error:
        raise explained(error, _OF_FD_LIMIT) from None
    limit = told["limit"]
    if told["hard"] <= limit:
        raise NotChecked(f"On this machine a process may have {told['hard']} descriptors, so select() never comes to its limit.")
    if told["type"] != "a value of type int":
        raise Wrong(f"fd_limit returned {told['type']}: return the number, an int.")
    _was_refused(told)
    _not_by_counting(told)
    _is_the_limit(told)
    attempt.good(f"select() takes descriptor {limit - 1} and refuses {limit}, with one socket in the list")
    if told["left"] > 0:
        raise Wrong(f"fd_limit left {told['left']} descriptors open: close each copy (os.close) before the next.")
    process.alone()
    attempt.good("no descriptor is left open")


_OF_FD_LIMIT = {
    "ValueError: out of range": "That is the refusal: catch it, and return the number.",
    "EBADF": "No descriptor has this number: give one to a socket first, fcntl.fcntl(sock, fcntl.F_DUPFD, number).",
}


def _was_refused(told: dict) -> None:
    got = told["got"]
    if not told["calls"]:
        raise Wrong(
            f"fd_limit returned {got}, and select.select() was not called once: find it by trying. Somebody's number may be "
            "true for another machine."
        )
    if told["refused"] is None:
        if got == told["soft"]:
            raise Wrong(
                f"{got} is how many descriptors this process may open (RLIMIT_NOFILE, getrlimit(2)), and select() refused "
                "none. Its own limit is another one, and does not move when you raise this."
            )
        raise Wrong(f"fd_limit returned {got}, and select() refused nothing that you gave it: go on with higher numbers.")


def _not_by_counting(told: dict) -> None:
    got = told["got"]
    if told["watched"] > 1:
        raise Wrong(
            f"You found {got} by counting: you gave select() {told['watched']} entries in one call. Is it their count or a "
            "number that it refuses? Find it with ONE socket: fcntl.fcntl(sock, fcntl.F_DUPFD, number) gives it a high "
            "number (fcntl(2))."
        )
    if told["opened"] > 100:
        raise Wrong(
            f"You found {got} by counting: {told['opened']} descriptors were open when select() refused. Do it with ONE socket: "
            "fcntl.fcntl(sock, fcntl.F_DUPFD, number) gives it a high number (fcntl(2)); close that before the next."
        )


def _is_the_limit(told: dict) -> None:
    got, limit = told["got"], told["limit"]
    if got != limit:
        if got == limit - 1:
            raise Wrong(f"{got} is the last number that select() takes: asked is the first that it refuses.")
        if got == told["soft"]:
            raise Wrong(f"{got} is how many descriptors this process may open (getrlimit(2)). select() refused before that.")
        raise Wrong(
            f"fd_limit returned {got}. select() refused {told['refused']}, and the first number that it refuses is {limit}."
        )
    if told["refused"] != limit or told["taken"] != limit - 1:
        raise Wrong(
            f"fd_limit returned {got}, and it has not shown it: the highest number that select() took from you was "
            f"{told['taken']}, the lowest that it refused {told['refused']}. These two must be neighbours."
        )


def _use_fd_limit(talk: Talk, learner: Callable) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = min(hard, 3000)  # a number of its own, so that it is not taken for the limit of select()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    limit = 0 if soft < 2048 else fd_limit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if not limit:
        talk.tell(hard=hard, limit=hard)
        return
    before, raw, close = open_numbers(), select.select, os.close
    asked = {"calls": 0, "taken": None, "refused": None, "watched": 0, "opened": 0}
    noting, guarded = _noting_select(asked, before), _guarded_close(before)
    select.select, os.close = noting, guarded
    _replace(learner, raw, noting, set())
    _replace(learner, close, guarded, set())
    talk.step("fd_limit() did not return within 2 s", 2.0)
    try:
        got = learner()
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.EINVAL):
            raise Wrong(
                f"The kernel refused, not select(): {type(error).__name__}: {error}{where(own_frame(error.__traceback__))}. "
                f"This process may have {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} descriptors (getrlimit(2)); "
                "select() comes to its limit before."
            ) from None
        raise
    finally:
        select.select, os.close = raw, close
    left = len(open_numbers() - before)
    talk.tell(got=got if isinstance(got, int) else None, type=a(got), limit=limit, hard=hard, soft=soft, left=left, **asked)


def _noting_select(asked: dict, before: set[int]) -> Callable:
    """select.select, which notes in `asked` what it took and refused."""
    raw: Callable = select.select

    def noting(*arguments: Any) -> Any:
        lists = [list(part) for part in arguments[:3]]
        numbers = [thing if isinstance(thing, int) else thing.fileno() for part in lists for thing in part]
        asked["calls"] += 1
        try:
            found = raw(*lists, *arguments[3:])
        except ValueError:
            high = max(numbers, default=-1)
            if high >= 0 and (asked["refused"] is None or high < asked["refused"]):
                asked.update(refused=high, watched=len(numbers), opened=len(open_numbers() - before))
            raise
        asked["taken"] = max([asked["taken"] or 0, *numbers])
        return found

    return noting


def _guarded_close(before: set[int]) -> Callable:
    """os.close, which refuses what was open `before`."""
    close = os.close

    def guarded(number: int) -> None:
        if number in before:
            raise Wrong(
                f"You closed descriptor {number}, which is not yours: close the number that F_DUPFD gave, for it may be a higher one."
            )
        close(number)

    return guarded


def _replace(function: Callable, raw: Callable, stand_in: Callable, seen: set[int]) -> None:
    """Put `stand_in` where ``from select import select`` has put the real one, also in functions that it calls."""
    if not isinstance(function, FunctionType) or id(function) in seen:
        return
    seen.add(id(function))
    for name, value in list(function.__globals__.items()):
        if value is raw:
            function.__globals__[name] = stand_in
        elif isinstance(value, FunctionType) and value.__module__ == function.__module__:
            _replace(value, raw, stand_in, seen)


CHECKS = {"4.1": check_ready, "4.2": check_server, "4.3": check_fd_limit}
