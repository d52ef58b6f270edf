"""Check of exercise 3.3: a server that asks one socket after the other and never waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from course_lib.sandbox import Attempt, Wrong

from .many_clients import check_server
from .server_trial import Server

if TYPE_CHECKING:
    from course_lib.sandbox.checked_process import CheckedProcess

_SILENT = 400  # clients that connect and say nothing
_AT_ONCE = 50  # of them: fewer than the accept queue holds
_WINDOW = 0.2  # seconds over which the CPU time of the server is taken


def check_busy_server(attempt: Attempt) -> None:
    check_server(attempt, sleeps=False)
    server = Server(attempt)
    process = server.process
    if not _spins(process):
        if _naps(process):
            attempt.note("it naps between the rounds: this costs little, but whoever sends waits until the nap is over.")
        else:
            attempt.note("nobody talks, and it sleeps: this is more than was asked.")
        return
    busy, own = [], process.sockets()
    for connected in range(_AT_ONCE, _SILENT + 1, _AT_ONCE):
        for _ in range(_AT_ONCE):
            server.connect()
        if not process.until(lambda: process.sockets() == own + connected, 1.0):
            raise Wrong(
                f"{connected} clients are connected and silent, and your server holds {process.sockets() - own} connections."
            )
        if connected in (100, _SILENT):
            busy.append(_spins(process))
    if all(busy):
        attempt.note(
            "nobody talks, and with 0, 100 and 400 silent clients it takes all of a core that it can get: it never sleeps. This is "
            "no fault of yours; it has no way to wait for many sockets at once."
        )


def _spins(process: CheckedProcess) -> bool:
    """Does it use the processor, while nobody talks, as often as it gets it?"""
    used = process.cpu()
    for passed in process.own_time(_WINDOW):
        if process.cpu() - used > max(_WINDOW / 10, passed / 3):
            return True
    return False


def _naps(process: CheckedProcess) -> bool:
    """Does it sleep by the clock? It is awake in between, so one look is not enough."""
    return any(process.asleep_in() == "sleep" for _ in process.own_time(_WINDOW))


CHECKS = {"3.3": check_busy_server}
