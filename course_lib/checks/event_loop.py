"""Exercise 7.3: an event loop, and the check that runs tasks in it."""

import os
import socket
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from course_lib.proc import syscall
from course_lib.sandbox import Attempt, Raised, Stuck, Talk, Wrong, explained
from course_lib.solutions.coroutines import recv, send_all, sleep

from .loop_sockets import closes, costs_the_same, fairness, forgets, nobody_waits, ping_pong, reader_and_writer
from .loop_tasks import interrupted, mistakes, ready_queue, timers, two_loops
from .loop_trial import CAUSES, LoopTrial

if TYPE_CHECKING:
    from course_lib.sandbox.checked_process import CheckedProcess


def check_loop(attempt: Attempt) -> None:
    attempt.ask(_use_loop, causes=_CAUSES)
    attempt.begin_anew()
    try:
        _idle(attempt)
    except Raised as error:
        raise explained(error, _CAUSES) from None


_CAUSES = {
    ": of task B": "A task raised {type}, and it took everybody with it: it came out of run(){line}. Catch it around send(), and go on "
    "with the others.",
    **CAUSES,
}


def _use_loop(talk: Talk, learner: Callable) -> None:
    trial = LoopTrial(talk, learner)
    parts = ready_queue, two_loops, ping_pong, timers, mistakes, interrupted, reader_and_writer
    for part in *parts, nobody_waits, fairness, forgets, costs_the_same, closes:
        part(trial)


def _idle(attempt: Attempt) -> None:
    listener = attempt.listen()
    address = listener.getsockname()
    process = attempt.start(_use_idle, listener)
    client = attempt.connect(address)
    pid = process.hear("Loop() did not return within 1 s")["pid"]
    sleepers = "One task waits for a socket, others sleep 60 s and more"
    _talks(process, client, b"hello\n", "A task waits for a socket")
    _sleeps(process, pid, "Tasks wait for sockets, none sleeps", None)
    _talks(process, client, b"sleep\n", "A task waits for a socket")
    _sleeps(process, pid, sleepers, 60)
    _talks(process, client, b"again\n", sleepers)
    process.alone()
    attempt.good("with nothing to do it sleeps in epoll_wait(), until the next timer at most; CPU 0 %")


def _use_idle(talk: Talk, learner: Callable, listener: socket.socket) -> None:
    conn, _ = listener.accept()
    conn.setblocking(False)
    loop = learner()

    def serve() -> Generator:
        while data := (yield from recv(conn, 100)):
            if data == b"sleep\n":
                for seconds in 90, 60, 75:
                    loop.spawn(sleep(seconds))
            yield from send_all(conn, data.upper())

    loop.spawn(serve())
    talk.tell(pid=os.getpid())
    loop.run()
    raise Wrong("A task waits for a socket, and run() returned.")


def _talks(process: "CheckedProcess", client: socket.socket, line: bytes, what: str) -> None:
    client.sendall(line)
    try:
        got = process.read(client, len(line), f"{what}, and a client's line got no answer within 1 s")
    except Stuck as stuck:
        if stuck.asleep and stuck.call == "sleep":
            raise Wrong(
                str(stuck),
                "It sleeps by the clock, where no socket can wake it: let engine.wait() have the seconds until the next timer.",
            ) from None
        raise
    if got != line.upper():
        process.explain_end()
        raise Wrong(f"{what}, and a client that sent {line!r} got {got!r}.")


def _sleeps(process: "CheckedProcess", pid: int, what: str, seconds: int | None) -> None:
    """It must sleep in epoll_wait(), with the timeout that the next timer gives."""
    if seconds is None and process.until(lambda: process.asleep_in() == "epoll_wait" and process.sleeps_for_ever(), 0.1):
        return
    for _ in range(2):
        used, woke = process.cpu(), process.wakes()
        for passed in process.own_time(0.25):
            pass
        cpu, wakes = (process.cpu() - used) / passed, process.wakes() - woke
        if cpu < 0.1 and wakes <= 2 and process.state() == "S":
            break
    else:
        runs = cpu >= 0.1 or wakes <= 2
        does = f"runs all the time (CPU {min(cpu, 1):.0%})" if runs else "wakes up again and again"
        raise Wrong(
            f"{what}, nothing comes, and your Loop {does}{process.where()}: wait until the next timer, and without one for ever (None)."
        )
    process.until(process.asleep_in, 0.5)
    how, why = _wrong_sleep(process.asleep_in(), syscall(pid), seconds)
    if why:
        raise Wrong(f"{what}, and your Loop sleeps {how}{process.where()}: {why}.")


def _wrong_sleep(call: str, words: list[str], seconds: int | None) -> tuple[str, str]:
    """How it sleeps, and what is wrong with that: it is not epoll_wait(), or has another time limit than the next timer gives."""
    if call and call != "epoll_wait":
        asked = "asked is engine.wait() of your EpollEngine"
        return ("by the clock", f"no socket can wake it there, and {asked}") if call == "sleep" else (f"in {call}()", asked)
    if not call or len(words) < 5:  # this kernel does not say
        return "", ""
    limit = int(words[4], 16) & 0xFFFF_FFFF  # milliseconds, an int: the fourth argument of epoll_wait(2)
    if limit >= 1 << 31:
        late = "the timer will be late. engine.wait() gets the seconds until the next timer"
        return "without a limit", late if seconds else ""
    why = ""
    if not seconds and limit < 10_000:
        why = "it wakes up for nothing. Without a timer it is engine.wait(None)"
    elif seconds and not seconds * 500 < limit <= seconds * 1000:
        why = "engine.wait() gets the seconds until the next timer, not more and not less"
    return f"{limit} ms at most", why


CHECKS = {"7.3": check_loop}
