"""Causes of what goes wrong in exercise 9.2."""

import signal
from typing import TYPE_CHECKING

from course_lib.proc import state, status
from course_lib.sandbox import Raised, Wrong, explained
from course_lib.sandbox.words import REFUSED_BY_PICKLE

from .probe import first

if TYPE_CHECKING:
    from .prefork import Crew


def not_stopped(crew: "Crew", what: str, wrong: Wrong) -> Wrong:
    """Why has prefork not returned?"""
    alive = [pid for pid in crew.workers if state(pid) not in ("", "Z")]
    if state(crew.parent) in ("", "Z"):
        return _parent_ended(what, wrong, alive)
    if isinstance(wrong, Raised):
        return Wrong(
            f"{what}, and {explained(wrong, CAUSES).inside()} Catch what your handler raises, end the workers, and return."
        )
    if wrong.cause == "started another":
        return wrong
    not_told = any(crew.workers[pid] == crew.listeners[0] for pid in alive)  # it ends as soon as SIGTERM comes to it
    inherited = not not_told and any(_status_bits(pid, "SigCgt") & _TERM for pid in alive)
    causes = {
        f"{wrong} SIGTERM is blocked, and waits until it is taken. Does the parent sleep in os.wait() for a worker that "
        "has not ended? SIGCHLD comes also when a child was stopped, or goes on (SA_NOCLDSTOP, sigaction(2)): "
        "os.waitpid(-1, os.WNOHANG).": _is_blocked(crew.parent),
        f"{what}, and a worker does not end: SIGTERM is blocked in it. The signal mask is copied by fork (signal(7)): "
        "unblock it in the child, before serve.": any(map(_is_blocked, alive)),
        f"{what}, and its workers do not end: they have inherited the parent's handler of SIGTERM, which does not end "
        "them (fork(2)). In the child: signal.signal(signal.SIGTERM, signal.SIG_DFL).": inherited,
        f"{wrong} The workers have not got SIGTERM: send it to each of them before you wait for them. Does a handler only "
        "set a flag? When it has returned, Python goes on with os.wait() (PEP 475): let it raise an exception, or take "
        "the signal with signal.sigwait().": alive,
    }
    return Wrong(cause) if (cause := first(causes)) else wrong


def _parent_ended(what: str, wrong: Wrong, alive: list[int]) -> Wrong:
    if wrong.cause != "SIGTERM":
        return Wrong(f"{what}, and {wrong.inside()}")
    if not alive:
        return Wrong(f"{what} and ended it at once (its default action); prefork should return.")
    return Wrong(
        f"{what} and ended it at once (its default action, signal(7)); its workers are still alive, and nobody ends them. "
        "Take the signal, with a handler or with signal.sigwait()."
    )


_CLOSED = "A listener was closed in the parent. It stays open there: a worker that is started anew needs it."
CAUSES = {
    "EADDRINUSE": "Several listeners at one port need SO_REUSEPORT on each of them, also on the first, and before bind (socket(7)). "
    "SO_REUSEADDR is not enough for two that listen.",
    "ECHILD": "There is no child to wait for any more: end this loop, or did another call take its status already?",
    "ESRCH": "This process has ended already, and its status was taken.",
    "EBADF": _CLOSED,
    ": negative": _CLOSED,
    f"PicklingError AttributeError TypeError: {REFUSED_BY_PICKLE}": "The start methods spawn and forkserver, the default from Python 3.14 "
    "on, pickle the function; os.fork() copies the whole process, and so does multiprocessing.get_context('fork').",
}


_TERM = 1 << (signal.SIGTERM - 1)  # its bit in a set of signals


def _status_bits(pid: int, field: str) -> int:
    """A set of signals of proc(5)."""
    return int(status(pid, field) or "0", 16)


def _is_blocked(pid: int) -> bool:
    """Was SIGTERM sent to it, and it is blocked?"""
    sent = _status_bits(pid, "ShdPnd") | _status_bits(pid, "SigPnd")
    return bool(sent & _status_bits(pid, "SigBlk") & _TERM)
