"""Checks of notebook 05: who waits for which sockets, on poll() and on select(), and the one server for both."""

import re
import signal
import socket
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

from course_lib.sandbox import Attempt, Talk, Wrong
from course_lib.solutions.nonblocking import Conn
from course_lib.solutions.polling import PollEngine, SelectEngine

from .engine_trial import remembering
from .engines import check_engine
from .many_clients import check_server
from .server_trial import ServerTrial, tell_closed_sockets


def check_on_engines(attempt: Attempt) -> None:
    for engine in PollEngine, SelectEngine:
        attempt.begin_anew()
        with attempt.as_one("all ten on SelectEngine too", "") if engine is SelectEngine else nullcontext():
            try:
                check_server(attempt, inside=partial(_serve_on, engine))
            except Wrong as wrong:
                raise Wrong(f"On {engine.__name__}: {_explained(wrong)}", raised=wrong.raised) from None
    attempt.begin_anew()
    _no_room(attempt)


def _no_room(attempt: Attempt) -> None:
    """A note for a server that does not outlive a client for which no descriptor is left: nobody has asked for it."""
    trial = ServerTrial(attempt, inside=partial(_serve_on, PollEngine))
    what = "no descriptor was left for one client more, so accept() raised EMFILE (accept(2))"
    try:
        with trial.explained():
            trial.stay.append(trial.connect())
            trial.ask(trial.first, b"hello\n", "A client got no answer")
            with trial.process.no_room():
                waiting = trial.connect()
                trial.send(waiting, b"hello\n")
                trial.process.settle()
                trial.ask(trial.first, b"again\n", f"{what}, and another client got no answer within 1 s")
            trial.stay.pop().close()
            trial.expect(waiting, b"hello\n", f"{what}; then there was room, and this client got no answer within 1 s")
    except Wrong as wrong:
        said = f"{what}, and your server ended{wrong.line}, with all its clients" if wrong.raised else str(wrong).rstrip(".")
        attempt.note(f"{said}. PollServer lets the client wait, looks after the others, and asks again a moment later.")


_GREEDY = (
    "A Conn has answers that wait, so its want_read is False, and your server watches it for reading all the same: a client "
    "that sends and never reads fills the memory. engine.watch(conn.sock, conn.want_read, conn.want_write, conn)."
)

_CLOSED = (
    "A connection was closed and is still watched: engine.unwatch(conn.sock), then conn.sock.close(), in the same round. Until "
    "its number gets a new owner, poll() tells of it in each wait (POLLNVAL, poll(2)), and select() refuses it."
)


def _explained(wrong: Wrong) -> str:
    """What goes wrong with an engine only."""
    if wrong.raised and (found := re.search(r"'NoneType' object has no attribute '(\w+)'", wrong.raised.text)):
        if found[1] in vars(Conn) or found[1] in ("sock", "outbuf", "finished"):
            return f"{wrong} The data of the listener is None: what waits there is a new client."
        return f"{wrong} Ready is a hint (select(2), BUGS): when nobody is there after all, try_accept returns None."
    return f"{wrong.what} {_OF_AN_ENGINE.get(wrong.cause, wrong.why)}".rstrip()


_OF_AN_ENGINE = {
    "no socket": "engine.watch() takes a socket. When nobody is there after all (ready is a hint), try_accept returns None.",
    "skipped": "When a Conn is over: engine.unwatch(conn.sock), then conn.sock.close(), in the same round.",
}


def _asked(engine_class: type, talk: Talk, listener: socket.socket) -> Any:
    """An engine that looks at what the learner's server asks of it."""

    base: Any = remembering(engine_class)

    class Asked(base):
        """Counts how often it was asked to wait; now and then it says that the listener is readable, and nobody is there."""

        waits = 0

        def wait(self, seconds: float | None) -> list:
            self.waits += 1
            for both, conn in self.watched.values():
                if both and getattr(conn, "want_read", True) is False and not getattr(conn, "finished", False):
                    talk.send({"wrong": _GREEDY})
            if any(isinstance(sock, socket.socket) and sock.fileno() == -1 for sock in self.watched if sock is not listener):
                talk.send({"wrong": _CLOSED})
                talk.hear()  # no wait returns any more: a server that spins would be told of that
            if self.waits in (1, 7) and listener in self.watched:
                return [(self.watched[listener][1], True, False, False)]
            told: list = super().wait(seconds)
            return told

    return Asked()


def _serve_on(engine_class: type, talk: Talk, learner: Callable, listener: socket.socket) -> None:
    engine = _asked(engine_class, talk, listener)
    tell_closed_sockets(talk)
    tell: Any = signal.getsignal(signal.SIGUSR2)

    def look(*arguments: object) -> None:
        if not engine.waits:
            why = "Your server serves, but it has never called engine.wait(): so it does not run on the engine that it was given."
            talk.send({"wrong": why})
        tell(*arguments)

    signal.signal(signal.SIGUSR2, look)
    learner(engine, listener)
    raise Wrong(f"{learner.__name__} returned; it should serve without end: while True.")


CHECKS = {"5.1": partial(check_engine, kind="poll"), "5.2": partial(check_engine, kind="select"), "5.3": check_on_engines}
