"""Checks of exercises 4.1 to 4.3: one wait for all, a server on it, and where it ends."""

import fcntl
import os
import resource
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from course_lib.proc import open_numbers, raise_limit
from course_lib.sandbox import Attempt, NotChecked, Stopwatch, Talk, Wrong
from course_lib.sandbox.talk import own_frame
from course_lib.sandbox.words import where
from course_lib.solutions.selecting import fd_limit

from .ends import fill, readable
from .many_clients import check_server
from .probe import Answer, Instead, Probe, put_instead, raise_first

_LONG = 1.2  # seconds without a client: longer than the time limit that somebody puts into the wait
_OFTEN = 15  # times to wake up for nothing
_ONE_WAIT = "One call of select() sleeps until something is ready: hand it the whole `timeout`."


def check_ready(attempt: Attempt) -> None:
    listener = attempt.listen()
    address = listener.getsockname()
    process = attempt.start(_use_ready, listener)
    told = process.hear("ready did not answer within 1 s")
    sleeps = process.until(process.sleeps_for_ever, 0.1)
    if not sleeps and (times := process.wakes_within(_LONG)) > _OFTEN:  # nobody comes, so it must go on waiting
        raise Wrong(f"ready([listener], [], None) woke up {times} times in {_LONG:g} s, and nobody had come. {_ONE_WAIT}")
    attempt.connect(address)
    process.hear("ready([listener], [], None): a client has connected, and ready did not return within 1 s")
    attempt.good("None is no limit: it waits until a client connects")
    if told["high"]:
        attempt.note("it takes descriptor 1024, so it is not select() that you call. What was asked it does.")
    process.alone()


def _use_ready(talk: Talk, learner: Callable, listener: socket.socket) -> None:
    ready = _Ready(talk, learner)
    ready.nothing()
    ready.something()
    ready.closed()
    high = _takes_high_number(learner, ready.one)
    talk.good("a closed socket: a ValueError that says which one it is")
    talk.tell(high=high)
    ready.without_limit(listener)
    talk.tell()


_NO_PAIR: Instead = {
    lambda got: isinstance(got, tuple) and len(got) == 3: "all three lists of select(): return the first two, (readable, writable)",
    lambda got: not isinstance(got, tuple) or [isinstance(part, list) for part in got] != [True, True]: "{}: return a tuple of two "
    "lists, (readable, writable)",
    lambda got: not all(isinstance(thing, socket.socket) for thing in got[0] + got[1]): "{}: return the sockets that you were given",
}  # fmt: skip
# A timeout -> how many seconds a call may take, and what is said of one that takes longer.
_LATE = {0: (1.0, ": 0 is to look once and not to wait"), 0.3: (1.3, ": `timeout` counts seconds")}


class _Ready:
    """The learner's ready(), and two sockets to ask it about."""

    def __init__(self, talk: Talk, learner: Callable) -> None:
        self._talk, self._learner = talk, learner
        (self.one, self._its_peer), (self._other, self._others_peer) = socket.socketpair(), socket.socketpair()
        self.names = {self.one: "one", self._other: "other"}

    def gives(self, situation: str, readers: list, writers: list, timeout: float, *right: list) -> None:
        given, call = (list(readers), list(writers)), f"ready({self._named(readers, writers)}, {timeout})"
        seconds, late = _LATE.get(timeout, (1.0, ""))
        self._talk.step(f"{situation}, and {call} did not return within {seconds:g} s{late}", seconds)
        self._compare(Answer(situation, call, self._learner(*given, timeout)), *right)
        self._unchanged(call, given, readers, writers)

    def without_limit(self, listener: socket.socket) -> None:
        self.names[listener], call = "listener", "ready([listener], [], None)"
        got = self._learner([listener], [], None)
        if not readable(listener):
            raise Wrong(f"{call} returned and nobody had connected: None is no limit. Hand it on to select().")
        self._compare(Answer("A client had connected", call, got), [listener], [])

    def _compare(self, answer: Answer, *right: list) -> None:
        got = answer.is_a(tuple, "", _NO_PAIR)
        if list(map(Counter, got)) != list(map(Counter, right)):
            raise answer.wrong(f"({self._named(*got)}), not ({self._named(*right)})")

    def _unchanged(self, who: str, given: tuple[list, list], *before: list) -> None:
        if given != before:
            raise Wrong(f"{who} changed a list that it was given: the caller still needs it.")

    def _named(self, *lists: list[socket.socket]) -> str:
        return ", ".join(f"[{', '.join(self.names.get(sock, 'another') for sock in socks)}]" for socks in lists)

    def nothing(self) -> None:
        one, other = self.one, self._other
        self.gives("Nothing has come", [one, other], [], 0, [], [])
        watch, begin, used, woke = Stopwatch(), time.monotonic(), time.process_time(), _wakes()
        self.gives("Nothing has come", [one, other], [], 0.3, [], [])
        times, when = _wakes() - woke, "Nothing has come, and ready([one, other], [], 0.3)"
        spins = time.process_time() - used > watch.passed() / 5
        causes = {
            f"{when} did not wait 0.3 s. Hand `timeout` on to select().": time.monotonic() - begin < 0.25,
            f"{when} used the processor while it waited: select() sleeps, if you hand it `timeout`.": spins,
            f"{when} woke up {times} times. {_ONE_WAIT}": times > _OFTEN,
        }
        raise_first(causes)
        self.gives("There is nothing to wait for", [], [], 0, [], [])
        self._talk.good("nothing is ready: two empty lists, when the time is over")

    def something(self) -> None:
        one, other = self.one, self._other
        self._its_peer.send(b"hello")
        self.gives("Bytes have come for `one`", [one, other], [], 60, [one], [])
        one.setblocking(False)
        if not readable(one) or one.recv(100) != b"hello":
            raise Wrong("After ready() the bytes were gone: it only looks, and reading is for the caller.")
        self.gives("Both send buffers have room", [], [one, other], 60, [], [one, other])
        self._others_peer.close()
        when = "The peer of `other` has finished, which counts as readable (select(2))"
        self.gives(when, [one, other], [], 60, [other], [])
        self._its_peer.send(b"hello")
        self.gives("`one` has bytes to read and room to write", [other, one], [one], 60, [other, one], [one])
        fill(one)
        self.gives("The send buffer of `one` is full", [], [one], 0, [], [])
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
            call, given = f"ready({self._named(readers, writers)}, 0)", (list(readers), list(writers))
            try:
                self._learner(*given, 0)
            except (ValueError, OSError) as error:
                if isinstance(error, OSError) or place not in str(error):
                    raise Wrong(
                        f"{call} raised {type(error).__name__}: {error}{where(own_frame(error.__traceback__))}. Raise a ValueError "
                        f"with {place} in its text: in a server with a hundred clients, which one is closed? Its number is -1."
                    ) from None
            else:
                raise Wrong(f"{call} passed over the closed socket in silence: raise ValueError, with {place} in its text.")
            self._unchanged(f"{call} raised ValueError, and it", given, readers, writers)


def _wakes() -> int:
    """How often this thread has gone to sleep so far."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


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
    told = attempt.ask(_use_fd_limit, causes=_OF_FD_LIMIT)
    if "hard" in told:
        raise NotChecked(f"On this machine a process may have {told['hard']} descriptors, so select() never comes to its limit.")


_OF_FD_LIMIT = {
    "ValueError: out of range": "That is the refusal: catch it, and return the number.",
    "EBADF": "No descriptor has this number: give one to a socket first, fcntl.fcntl(sock, fcntl.F_DUPFD, number).",
    "EMFILE EINVAL": "The kernel refused, not select(): {type}: {text}{line}. This process may have no more descriptors, and no "
    "higher number (RLIMIT_NOFILE, getrlimit(2)); select() comes to its limit before.",
}


def _use_fd_limit(talk: Talk, learner: Callable) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = min(hard, 3000)  # a number of its own, so that it is not taken for the limit of select()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    limit = 0 if soft < 2048 else fd_limit()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if limit >= hard or not limit:
        talk.tell(hard=hard)
        return
    asked = _Asked(learner)
    got = Probe(talk, learner, "fd_limit()").when("", seconds=2.0).is_a(int, "return the number, an int")
    _found_by_trying(got, asked, soft, limit)
    talk.good(f"select() takes descriptor {limit - 1} and refuses {limit}, with one socket in the list")
    if left := len(open_numbers() - asked.before):
        raise Wrong(f"fd_limit left {left} descriptors open: close each copy (os.close) before the next.")
    talk.good("no descriptor is left open")
    talk.tell()


def _found_by_trying(got: int, asked: "_Asked", soft: int, limit: int) -> None:
    counted, high = f"You found {got} by counting:", "fcntl.fcntl(sock, fcntl.F_DUPFD, number) gives it a high number (fcntl(2))"
    taken, refused = asked.taken, asked.refused
    never = refused is None
    causes = {
        f"fd_limit returned {got}, and select.select() was not called once: find it by trying. Somebody's number may be true "
        "for another machine.": not asked.calls,
        f"{got} is how many descriptors this process may open (RLIMIT_NOFILE, getrlimit(2)), and select() refused none. Its "
        "own limit is another one, and does not move when you raise this.": never and got == soft,
        f"fd_limit returned {got}, and select() refused nothing that you gave it: go on with higher numbers.": never,
        f"{counted} you gave select() {asked.watched} entries in one call. Is it their count or a number that it refuses? Find "
        f"it with ONE socket: {high}.": asked.watched > 1,
        f"{counted} {asked.opened} descriptors were open when select() refused. Do it with ONE socket: {high}; close that "
        "before the next.": asked.opened > 100,
        f"{got} is the last number that select() takes: asked is the first that it refuses.": got == limit - 1,
        f"{got} is how many descriptors this process may open (getrlimit(2)). select() refused before that.": got == soft,
        f"fd_limit returned {got}. select() refused {refused}, and the first number that it refuses is {limit}.": got != limit,
        f"fd_limit returned {got}, and it has not shown it: the highest number that select() took from you was {taken}, the "
        f"lowest that it refused {refused}. These two must be neighbours.": (taken, refused) != (limit - 1, limit),
    }
    raise_first(causes)


class _Asked:
    """What the learner's code asks of select() from now on: how often, and which numbers that took and refused."""

    def __init__(self, learner: Callable) -> None:
        self.calls = self.watched = self.opened = 0  # entries of the call that was refused, and descriptors open then
        self.taken: int | None = None
        self.refused: int | None = None
        self.before, self._close = open_numbers(), os.close
        self._select: Callable = select.select
        select.select, os.close = self.select, self.close
        put_instead(learner, {self._select: self.select, self._close: self.close})  # where it has imported them by name

    def select(self, *arguments: Any) -> Any:
        lists = [list(part) for part in arguments[:3]]
        numbers = [thing if isinstance(thing, int) else thing.fileno() for part in lists for thing in part]
        self.calls += 1
        try:
            found = self._select(*lists, *arguments[3:])
        except ValueError:
            high = max(numbers, default=-1)
            if high >= 0 and (self.refused is None or high < self.refused):
                self.refused, self.watched, self.opened = high, len(numbers), len(open_numbers() - self.before)
            raise
        self.taken = max([self.taken or 0, *numbers])
        return found

    def close(self, fd: int) -> None:
        if fd in self.before:
            raise Wrong(
                f"You closed descriptor {fd}, which is not yours: close the number that F_DUPFD gave, for it may be a higher one."
            )
        self._close(fd)


CHECKS = {"4.1": check_ready, "4.2": check_server, "4.3": check_fd_limit}
