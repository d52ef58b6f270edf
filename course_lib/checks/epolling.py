"""Checks of notebook 06: an engine on epoll, reading all there is, a way to wake a loop. 6.3 is in `bugs`."""

import fcntl
import os
import select
import socket
import sys
import termios
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from course_lib import proc
from course_lib.sandbox import Attempt, Stopwatch, Talk, Wrong, a, wait_until
from course_lib.solutions.epolling import EpollEngine
from course_lib.solutions.polling import PollEngine, server

from .ends import connection, left_as_it_was, readable, reset
from .engine_trial import remembering
from .engines import check_engine
from .many_clients import check_server
from .probe import Instead, Probe, raise_first
from .server_trial import tell_closed_sockets


def check_epoll_engine(attempt: Attempt) -> None:
    check_engine(attempt, "epoll")
    with attempt.as_one("the server of 5.3 runs on it unchanged: all ten points", "The server of 5.3 on your engine"):
        check_server(attempt, inside=_serve_on)


def _serve_on(talk: Talk, learner: Callable, listener: socket.socket) -> None:
    tell_closed_sockets(talk)
    server(learner(), listener)


_BURST = 1 << 20  # bytes


def check_drain(attempt: Attempt) -> None:
    attempt.ask(_use_drain, attempt.listen(), causes=_OF_DRAIN)


_OF_DRAIN = {
    "BlockingIOError": "{type}{line}: EAGAIN says that nothing is left to read. This is what drain waits for: catch it, and return.",
    "ConnectionResetError BrokenPipeError": "{type}{line}: the peer has sent a reset. It counts as finished: return what had come, "
    "and True.",
    "TypeError: None": "{type}: {text}{line}. try_recv gives None when nothing is left: then drain is through.",
}
_NO_PAIR: Instead = {
    lambda got: not isinstance(got, tuple) or len(got) != 2: "{}: return a tuple (bytes, finished)",
    lambda got: isinstance(got[0], bool) and isinstance(got[1], bytes): "{}: first the bytes, then whether the peer has finished",
    lambda got: type(got[0]) is not bytes: "{}: the first part has to be bytes, b'' if nothing had come",
    lambda got: not isinstance(got[1], bool): "{}: the second part has to be True or False",
}  # fmt: skip


def _use_drain(talk: Talk, learner: Callable, listener: socket.socket) -> None:
    probe = Probe(talk, learner, "drain(sock)")
    with connection(listener) as (client, sock):
        drained = _Drained(probe, sock)
        drained.gives("Nothing has come", b"", False)
        client.sendall(b"hello")
        drained.on_edge("b'hello' had come", b"hello", False)
        client.sendall(b"again")
        drained.on_edge("After b'hello', b'again' had come", b"again", False)
    talk.good("what has come, and False while the peer has not finished; it does not wait")
    _drains_a_burst(probe)
    talk.good("a burst of 1 MB, of which each edge is told once")
    with connection(listener) as (client, sock):
        drained = _Drained(probe, sock)
        client.sendall(b"bye")
        client.shutdown(socket.SHUT_WR)
        drained.on_edge("The peer sent b'bye' and finished (ONE edge; then recv() gives b'' again and again)", b"bye", True)
        drained.gives("The peer had finished, and drain was called once more", b"", True)
    talk.good("bytes and the end as one edge: both are told")
    for data, situation in (b"", "The peer sent a reset"), (b"last words", "The peer sent b'last words', then a reset"):
        with connection(listener) as (client, sock):
            drained = _Drained(probe, sock)
            client.sendall(data)
            reset(client)
            drained.on_edge(situation, data, True)
    talk.good("a reset counts as finished, and what had come before it is not lost")


def _drains_a_burst(probe: Probe) -> None:
    client, sock = socket.socketpair()
    with client, sock:
        for end in client, sock:
            end.setblocking(False)
        drained = _Drained(probe, sock)
        whole, sent = b" ".join(b"%07d" % number for number in range(_BURST // 8)), 0
        while sent < len(whole):
            before = sent
            with suppress(BlockingIOError):
                while sent < len(whole):
                    sent += client.send(memoryview(whole)[sent:])
            drained.on_edge(f"A burst of {sent - before} bytes had come", whole[before:sent], False)


class _Drained:
    """drain(), and a non-blocking socket for it, watched with EPOLLET."""

    def __init__(self, probe: Probe, sock: socket.socket) -> None:
        self._probe, self._sock, self._epoll = probe, sock, select.epoll()
        self._epoll.register(sock, select.EPOLLIN | select.EPOLLET)

    def on_edge(self, situation: str, data: bytes, end: bool) -> None:
        """Wait until it has all arrived, take the edge, and call drain."""
        wait_until(lambda: readable(self._sock, event=select.POLLRDHUP) if end else self._waiting() >= len(data), 1.0)
        self._epoll.poll(1.0)
        self.gives(situation, data, end)

    def gives(self, situation: str, data: bytes, end: bool) -> None:
        got, finished = self._probe.when(situation, self._sock, seconds=2.0).is_a(tuple, "", _NO_PAIR)
        left_as_it_was(f"{situation}, and drain", self._sock, "the socket")
        if (got, finished) == (data, end):
            return
        returned, left = f"{situation}, and drain returned {_short(got, finished)}", self._waiting()
        less, unended = len(got) < len(data), got == data and end
        earlier = len(got) > len(data) and got.endswith(data)
        silent = (less or unended) and not self._epoll.poll(0.5)
        never = f"{', and no further event came in 0.5 s' * silent}: the connection would stay for ever."
        causes = {
            f"{situation}, and drain returned {len(got)} of them, and no further event came in 0.5 s; {left} bytes are waiting. EPOLLET "
            "tells a change once: read until BlockingIOError (epoll(7)).": less and left and silent and data.startswith(got),
            f"{returned}{never} A short read says that the buffer is empty, not that the end has not come: read on until None or "
            "b''.": unended and data,
            f"{returned}{never} recv() gives b'' for the end, and ConnectionResetError for a reset: this is not None.": unended,
            f"{returned}: the peer has not finished. None says that nothing is left, b'' that nothing more will come: two "
            "different answers.": got == data,
            f"{returned}: bytes of an earlier call came back. Begin each call with an empty bytearray.": earlier,
            f"{returned}: the rest was read and is lost. Collect ALL pieces, also when the end follows.": less and not left,
            f"{returned}, not {_short(data, end)}.": True,
        }
        raise_first(causes)

    def _waiting(self) -> int:
        """Bytes in its receive buffer (FIONREAD, tcp(7))."""
        return int.from_bytes(fcntl.ioctl(self._sock, termios.FIONREAD, bytes(4)), sys.byteorder)


def _short(data: bytes, end: bool) -> str:
    return f"({data!r}, {end})" if len(data) <= 40 else f"({data[:10]!r}… of {len(data)} bytes, {end})"


_OF_STOPPER = {
    "AttributeError: fileno": "engine.watch() takes a thing with a method fileno(), and os.eventfd() gives a bare number: "
    "open(number, 'r+b', buffering=0) makes a file of it.",
    "KeyError": "Is it engine.unwatch() that does not know what it was given? It takes the same object as engine.watch() before.",
    "EBADF": "stop() was called again, and its descriptor is closed: to close is for the loop, when it has ended.",
    "BlockingIOError": "stop() was called many times, and the buffer of your pair is full: this is no error, for there are bytes "
    "enough to wake the loop. Catch BlockingIOError.",
}


def _use_stopper(talk: Talk, learner: Callable) -> None:
    for engine_class in EpollEngine, PollEngine:
        on = f"On {engine_class.__name__}: "
        try:
            _stops(lambda words, seconds=1.0: talk.step(f"{on}{words}", seconds), learner, engine_class)
        except Wrong as wrong:
            raise Wrong(f"{on}{wrong}") from None
    talk.good("stop() from another thread wakes a loop in epoll_wait(), and one in poll()")
    talk.good("stop() many times, or before the loop sleeps; it never waits")
    talk.good("close() leaves no descriptor open, and no entry in the engine")


def _stops(step: Callable[..., None], learner: Callable, engine_class: type) -> None:
    engine = remembering(engine_class)()
    watched = engine.watched.keys()
    with socket.create_server(("127.0.0.1", 0)) as mine:
        engine.watch(mine, True, False, "listener")
        before = proc.open_numbers()
        for early in False, True:
            step("Stopper(engine) did not return within 1 s")
            stopper = learner(engine)
            told = engine.wait(0)
            causes = {
                "Stopper(engine) was made, and the engine watches nothing more than before: engine.watch(..., True, False, "
                "self).": watched == {mine},
                "Nobody has called stop(), and wait(0) told that the peer hung up: the other end is closed already. Keep it "
                "in self; Python closes a socket with its last name.": any(hup for *_, hup in told),
                "Nobody has called stop(), and wait(0) returned something: the descriptor must not be ready before.": told,
            }
            raise_first(causes)
            _wakes(step, engine, stopper, early)
            step(
                "stop() was called 2000 times, and did not return within 2 s: a blocking send() sleeps when the buffer is full",
                2.0,
            )
            for _ in range(2000):
                stopper.stop()
            step("close() did not return within 1 s")
            stopper.close()
            left, lost = len(proc.open_numbers() - before), mine not in watched or mine.fileno() == -1
            causes = {
                "close() took a socket out of the engine, or closed it, that is not its own.": lost,
                f"close() left {left} more open than there were before Stopper(engine): close both ends.": left,
                "close() left an entry in the engine: engine.unwatch() takes it out.": len(watched) > 1,
            }
            raise_first(causes)


def _wakes(step: Callable[..., None], engine: Any, stopper: Any, early: bool) -> None:
    """stop() must end a loop that sleeps, or, if it comes `early`, one that is about to sleep."""
    if early:
        step("stop() did not return within 1 s")
        stopper.stop()
        if not any(data is stopper for data, *_ in engine.wait(0)):
            raise Wrong(
                "stop() was called before the loop waited, and the next wait() told nothing of it: so it sleeps for ever."
            )
    loop = _Loop(engine, stopper)
    if not early:
        wait_until(loop.settled, 1.0)
        step("stop() did not return within 1 s")
        if isinstance(engine, EpollEngine):
            stopper.stop()
        else:
            with ThreadPoolExecutor(1) as another_thread:
                another_thread.submit(stopper.stop).result()
    step("stop() was called, and the loop did not end", 3.0)
    Stopwatch(f"self/task/{loop.native_id}").until(lambda: not loop.is_alive(), 1.0)
    if loop.failed:
        raise Wrong(f"stop() was called, and {loop.failed}.")
    # join() comes back a moment before the kernel has let go of the thread
    wait_until(lambda: not os.path.exists(f"/proc/self/task/{loop.native_id}"), 1.0)


class _Loop(threading.Thread):
    """A loop that ends when wait() returns the Stopper as data; `failed` is how it did not end so."""

    def __init__(self, engine: Any, stopper: Any) -> None:
        super().__init__(daemon=True)
        self._engine, self._stopper = engine, stopper
        self.failed = (
            "the waiting thread did not notice: 1 s later it still sleeps in wait(). A flag, a closed descriptor, even that of epoll, or "
            "a change of the list does not wake it; a watched descriptor that becomes ready does. stop() may come from any thread"
        )
        self.start()

    def run(self) -> None:
        try:
            while not (told := self._engine.wait(None)):
                pass
        except Exception as error:
            self.failed = f"the loop died of {type(error).__name__}: {error}. stop() only makes a descriptor readable: the loop itself ends then"
        else:
            data = told[0][0]
            no_stopper = f"wait() returned {a(data)} as data, not the Stopper: engine.watch(..., True, False, self)"
            self.failed = "" if data is self._stopper else no_stopper

    def settled(self) -> bool:
        """Is it asleep at five looks, one after the other?"""
        return all(proc.stat(os.getpid(), self.native_id)[:1] == ["S"] for _ in range(5))


CHECKS = {
    "6.1": check_epoll_engine,
    "6.2": check_drain,
    "6.4": partial(Attempt.ask, inside=_use_stopper, causes=_OF_STOPPER),
}
