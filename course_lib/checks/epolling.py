"""Checks of notebook 06: an engine on epoll, reading all there is, a way to wake a loop. 6.3 is in `bugs`."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from course_lib.proc import open_numbers
from course_lib.sandbox import Attempt, Stopwatch, Talk, Wrong, a, wait_until
from course_lib.solutions.epolling import EpollEngine
from course_lib.solutions.polling import PollEngine, server

from .ends import accepted, left_as_it_was, readable, reset
from .engines import check_engine
from .many_clients import check_server
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


def _use_drain(talk: Talk, learner: Callable, listener: socket.socket) -> None:
    drained = _Drained(talk, learner, listener)
    with drained.connection() as (client, sock):
        drained.step("Nothing has come")
        drained.gives(sock, b"", False, "Nothing has come")
        client.sendall(b"hello")
        drained.on_edge(sock, b"hello", False, "b'hello' had come")
        client.sendall(b"again")
        drained.on_edge(sock, b"again", False, "After b'hello', b'again' had come")
        talk.good("what has come, and False while the peer has not finished; it does not wait")
    _drains_a_burst(talk, drained)
    _drains_to_the_end(talk, drained)


def _drains_a_burst(talk: Talk, drained: _Drained) -> None:
    with drained.connection(*socket.socketpair()) as (client, sock):
        left = memoryview(b" ".join(b"%07d" % number for number in range(_BURST // 8)))
        whole, got = bytes(left), bytearray()
        client.setblocking(False)
        while left:
            sent = 0
            try:
                while left:
                    size = client.send(left)
                    left, sent = left[size:], sent + size
            except BlockingIOError:
                pass
            drained.step("A burst had come")
            expected = whole[len(got) : len(got) + sent]
            got += drained.on_edge(sock, expected, False, f"A burst of {sent} bytes had come")
        talk.good("a burst of 1 MB, of which each edge is told once")


def _drains_to_the_end(talk: Talk, drained: _Drained) -> None:
    drained.step("The peer sent b'bye' and has finished, so recv() gives b'' again and again")
    with drained.connection() as (client, sock):
        client.sendall(b"bye")
        client.shutdown(socket.SHUT_WR)
        drained.on_edge(sock, b"bye", True, "The peer sent b'bye' and finished, and both came as ONE edge", finished=True)
        drained.gives(sock, b"", True, "The peer had finished, and drain was called once more")
        talk.good("bytes and the end as one edge: both are told")
    drained.step("The peer sent a reset")
    for data, what in (b"", "The peer sent a reset"), (b"last words", "The peer sent b'last words', then a reset"):
        with drained.connection() as (client, sock):
            if data:
                client.sendall(data)
            reset(client)
            drained.on_edge(sock, data, True, what, finished=True)
    talk.good("a reset counts as finished, and what had come before it is not lost")


class _Drained:
    """drain(), called when an edge has been told."""

    def __init__(self, talk: Talk, learner: Callable, listener: socket.socket) -> None:
        self._talk, self._learner, self._listener = talk, learner, listener

    def step(self, what: str) -> None:
        self._talk.step(f"{what}, and drain(sock) did not return within 2 s", 2.0)

    @contextmanager
    def connection(self, *pair: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
        """A client, and the non-blocking socket to it, watched with EPOLLET: this pair, or a TCP connection."""
        client, sock = pair or (
            client := socket.create_connection(self._listener.getsockname()),
            accepted(self._listener, client),
        )
        with client, sock, select.epoll() as self._epoll:
            sock.setblocking(False)
            self._epoll.register(sock, select.EPOLLIN | select.EPOLLET)
            yield client, sock

    def on_edge(self, sock: socket.socket, data: bytes, end: bool, what: str, finished: bool = False) -> bytes:
        """Wait until it has all arrived, take the edge, and call drain."""
        wait_until(lambda: (_waiting(sock) >= len(data) or finished) and (not finished or _at_end(sock)), 1.0)
        self._epoll.poll(1.0)
        return self.gives(sock, data, end, what)

    def gives(self, sock: socket.socket, data: bytes, end: bool, what: str) -> bytes:
        got = self._learner(sock)
        if not isinstance(got, tuple) or len(got) != 2:
            raise Wrong(f"{what}, and drain returned {a(got)}: return a tuple (bytes, finished).")
        if isinstance(got[0], bool) and isinstance(got[1], bytes):
            raise Wrong(f"{what}, and drain returned {got!r:.60}: first the bytes, then whether the peer has finished.")
        if type(got[0]) is not bytes:
            raise Wrong(
                f"{what}, and the first part of what drain returned is {a(got[0])}: bytes are asked for, b'' if nothing had come."
            )
        if not isinstance(got[1], bool):
            raise Wrong(f"{what}, and the second part of what drain returned is {got[1]!r}: True or False.")
        left_as_it_was(f"{what}, and drain", sock, "the socket")
        if got == (data, end):
            return data
        raise self._differs(sock, got, data, end, what)

    def _differs(self, sock: socket.socket, got: tuple[bytes, bool], data: bytes, end: bool, what: str) -> Wrong:
        left = _waiting(sock)
        if len(got[0]) < len(data) and data.startswith(got[0]) and left and not self._epoll.poll(0.5):
            return Wrong(
                f"{what}, drain returned {len(got[0])} of them, and no further event came in 0.5 s; {left} bytes are waiting. "
                "EPOLLET tells a change once: read until BlockingIOError (epoll(7))."
            )
        if got == (data, False):
            more = ", and no further event came in 0.5 s" if not self._epoll.poll(0.5) else ""
            why = (
                "A short read says that the buffer is empty, not that the end has not come: read on until None or b''."
                if data else "recv() gives b'' for the end, and ConnectionResetError for a reset: this is not None."
            )  # fmt: skip
            return Wrong(f"{what}. drain returned {_short(got)}{more}: the connection would stay for ever. {why}")
        if got == (data, True):
            return Wrong(
                f"{what}, and drain returned {_short(got)}: the peer has not finished. None says that nothing is left, b'' that "
                "nothing more will come: two different answers."
            )
        if len(got[0]) > len(data) and got[0].endswith(data):
            return Wrong(
                f"{what}, and drain returned {_short(got)}: bytes of an earlier call came back. Begin each call with an "
                "empty bytearray."
            )
        if len(got[0]) < len(data) and not left:
            return Wrong(
                f"{what}, and drain returned {_short(got)}: the rest was read and is lost. Collect ALL pieces, also when the "
                "end follows."
            )
        return Wrong(f"{what}, and drain returned {_short(got)}, not {_short((data, end))}.")


def _short(got: tuple[bytes, bool]) -> str:
    data, end = got
    return f"({data!r}, {end})" if len(data) <= 40 else f"({data[:10]!r}… of {len(data)} bytes, {end})"


def _waiting(sock: socket.socket) -> int:
    """Bytes in its receive buffer (FIONREAD, tcp(7))."""
    return int.from_bytes(fcntl.ioctl(sock, termios.FIONREAD, bytes(4)), sys.byteorder)


def _at_end(sock: socket.socket) -> bool:
    """Has its peer's end, or a reset, arrived?"""
    return readable(sock, event=select.POLLRDHUP)


def check_stopper(attempt: Attempt) -> None:
    attempt.ask(_use_stopper, causes=_OF_STOPPER)


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
        _stops(talk, learner, engine_class)
    talk.good("stop() from another thread wakes a loop in epoll_wait(), and one in poll()")
    talk.good("stop() many times, or before the loop sleeps; it never waits")
    talk.good("close() leaves no descriptor open, and no entry in the engine")


class _Loop(threading.Thread):
    """A loop that ends when wait() returns the Stopper as data."""

    def __init__(self, engine: Any, stopper: Any) -> None:
        super().__init__(daemon=True)
        self.engine, self.stopper = engine, stopper
        self.other: tuple[object] | None = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            while True:
                for data, *_ in self.engine.wait(None):
                    if data is not self.stopper:
                        self.other = (data,)
                    return
        except Exception as error:
            self.error = error

    def settled(self) -> bool:
        """Is it asleep at five looks, one after the other?"""
        for _ in range(5):
            if not self._asleep():
                time.sleep(0.002)
                return False
        return True

    def _asleep(self) -> bool:
        return Path(f"/proc/self/task/{self.native_id}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def _watched(engine_class: type) -> tuple[Any, dict]:
    """An engine of the course's, and a dict of whom it watches."""
    watched = {}

    class Watched(engine_class):
        def watch(self, sock: socket.socket, read: bool, write: bool, data: object) -> None:
            super().watch(sock, read, write, data)
            watched[sock] = data

        def unwatch(self, sock: socket.socket) -> None:
            super().unwatch(sock)
            del watched[sock]

    return Watched(), watched


def _stops(talk: Talk, learner: Callable, engine_class: type) -> None:
    engine, watched = _watched(engine_class)
    on = f"On {engine_class.__name__}: "
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        mine.listen()
        engine.watch(mine, True, False, "listener")
        before = open_numbers()
        for early in False, True:
            talk.step(f"{on}Stopper(engine) did not return within 1 s")
            stopper = learner(engine)
            if set(watched) == {mine}:
                raise Wrong(
                    f"{on}Stopper(engine) was made, and the engine watches nothing more than before: engine.watch(..., True, "
                    "False, self)."
                )
            _is_not_ready(engine, on)
            _wakes(talk, engine, stopper, early, on)
            talk.step(
                f"{on}stop() was called 2000 times, and did not return within 2 s: a blocking send() sleeps when the buffer "
                "is full",
                2.0,
            )
            for _ in range(2000):
                stopper.stop()
            talk.step(f"{on}close() did not return within 1 s")
            stopper.close()
            if mine not in watched or mine.fileno() == -1:
                raise Wrong(f"{on}close() took a socket out of the engine, or closed it, that is not its own.")
            if left := len(open_numbers() - before):
                raise Wrong(f"{on}close() left {left} more open than there were before Stopper(engine): close both ends.")
            if len(watched) > 1:
                raise Wrong(f"{on}close() left an entry in the engine: engine.unwatch() takes it out.")


def _is_not_ready(engine: Any, on: str) -> None:
    told = engine.wait(0)
    if any(hup for *_, hup in told):
        raise Wrong(
            f"{on}Nobody has called stop(), and wait(0) told that the peer hung up: the other end is closed already. Keep "
            "it in self; Python closes a socket with its last name."
        )
    if told:
        raise Wrong(f"{on}Nobody has called stop(), and wait(0) returned something: the descriptor must not be ready before.")


def _wakes(talk: Talk, engine: Any, stopper: Any, early: bool, on: str) -> None:
    """stop() must end a loop that sleeps, or, if it comes `early`, one that is about to sleep."""
    if early:
        talk.step(f"{on}stop() did not return within 1 s")
        stopper.stop()
        if not any(data is stopper for data, *_ in engine.wait(0)):
            raise Wrong(
                f"{on}stop() was called before the loop waited, and the next wait() told nothing of it: so it sleeps for ever."
            )
    loop = _Loop(engine, stopper)
    if not early:
        wait_until(loop.settled, 1.0)
        talk.step(f"{on}stop() did not return within 1 s")
        if isinstance(engine, EpollEngine):
            stopper.stop()
        else:
            _in_another_thread(stopper.stop)
    talk.step(f"{on}stop() was called, and the loop did not end", 3.0)
    Stopwatch(f"self/task/{loop.native_id}").until(lambda: not loop.is_alive(), 1.0)
    _ended(loop, on)
    # join() comes back a moment before the kernel has let go of the thread
    wait_until(lambda: not os.path.exists(f"/proc/self/task/{loop.native_id}"), 1.0)


def _in_another_thread(call: Callable) -> None:
    errors = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def _ended(loop: _Loop, on: str) -> None:
    if loop.error:
        raise Wrong(
            f"{on}stop() was called, and the loop died of {type(loop.error).__name__}: {loop.error}. stop() only makes a "
            "descriptor readable: the loop itself ends then."
        )
    if loop.other:
        raise Wrong(
            f"{on}stop() was called, and wait() returned {a(loop.other[0])} as data, not the Stopper: engine.watch(..., "
            "True, False, self)."
        )
    if loop.is_alive():
        raise Wrong(
            f"{on}stop() was called, and the waiting thread did not notice: 1 s later it still sleeps in wait(). A flag, a "
            "closed descriptor, even that of epoll, or a change of the list does not wake it; a watched descriptor that becomes "
            "ready does. stop() may come from any thread."
        )


CHECKS = {"6.1": check_epoll_engine, "6.2": check_drain, "6.4": check_stopper}
