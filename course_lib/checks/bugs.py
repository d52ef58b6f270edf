"""Exercise 6.3: four servers with a bug each, and the learner's experiments on them."""

from __future__ import annotations

import inspect
import linecache
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from course_lib.proc import cpu_seconds, state
from course_lib.sandbox import TOO_BUSY, Attempt, NotChecked, Open, Raised, Stopwatch, Stuck, Talk, Wrong, explained, shown
from course_lib.solutions import suspects
from course_lib.solutions.suspects import RunningServer, server_a, server_b, server_c, server_d

from .server_trial import SMALL

if TYPE_CHECKING:
    from course_lib.sandbox.checked_process import CheckedProcess

BUGS = "zombie", "stale", "writable", "no descriptor"
_DESCRIPTORS = 12  # that server_b may have
# What makes each of them right: pieces, and what stands in their place.
REPAIRS = {
    server_a: {"del conns[number]": "epoll.unregister(number); del conns[number]"},
    server_b: {
        " " * 20 + "continue": " " * 20 + "epoll.modify(listening, 0); continue",
        ".sock.close()": ".sock.close(); epoll.modify(listening, select.EPOLLIN)",
    },
    server_c: {"conn = conns[number]": "if not (conn := conns.get(number)): continue"},
    server_d: {"if conn.want_write:": "if True:", "EPOLLOUT)": "EPOLLOUT if conn.want_write else select.EPOLLIN)"},
}
_NAMES = "zombie", "no descriptor", "stale", "writable"  # of their bugs


def check_bugs(attempt: Attempt) -> None:
    suspects = list(REPAIRS)
    listeners = [attempt.listen(SMALL) for _ in range(2 * len(suspects))]
    for listener in listeners:  # what a client has sent lies there before it is read: in small parts it would come with gaps
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    addresses = [listener.getsockname() for listener in listeners]
    servers = attempt.start(_run_servers, *listeners)
    pids = servers.hear("The servers did not start within 2 s", 2.0)["pids"]
    clients = attempt.start(_use_provoke)
    missing = []
    for number, suspect in enumerate(suspects):
        name, provoke = suspect.__name__, suspect.__name__.replace("server", "provoke")
        told, broken = _experiment(clients, number, addresses[2 * number], pids[2 * number], provoke)
        if told.get("unwritten"):
            missing.append(provoke)
            continue
        if not broken:
            raise _did_not_fail(name, provoke, told)
        if broken == "dies":
            servers.say(about=2 * number)
            broken += " (" + servers.hear("The server did not tell why it ended")["why"] + ")"
        if told["bug"] != _NAMES[number]:
            raise Wrong(
                f"{name} {broken}, as it should, but {told['bug']!r} is not its bug. What did the kernel report, and what "
                f"did {name} make of it?"
            )
        _, still = _experiment(clients, number, addresses[2 * number + 1], pids[2 * number + 1], provoke)
        if still:
            raise Wrong(
                f"{name} {broken}; but with the same clients it {still} without its bug too, so this is not the experiment "
                "that shows it."
            )
        attempt.good(f"{name}: it {broken}; without its bug it does not")
    if len(missing) == len(suspects):
        raise Open
    if missing:
        raise Wrong(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not written yet.")


def _did_not_fail(name: str, provoke: str, told: dict) -> Wrong:
    gone = "" if told["clients"] else " All your clients had left again by then."
    if not told["connected"]:
        gone = f" {provoke} connected no client."
    return Wrong(
        f"{name} did not fail: after {provoke} it lives, and it sleeps.{gone} Which of its lines is wrong, and which clients bring "
        "it to that line?"
    )


# What happened to a client, behind "In provoke_a a client ".
_OF_A_CLIENT = {
    "TimeoutError in connect(": "waited over 1 s to be connected{line}: the accept queue is full (listen(2)). Fewer clients are enough.",
    "TimeoutError": "waited over 1 s{line}: no more bytes came for it, or no room to send.",
    "ConnectionRefusedError ConnectionResetError BrokenPipeError": "got {type}{line}: the server has died by then. So you have what you "
    "want: return the name of its bug before.",
}


def _experiment(clients: CheckedProcess, number: int, address: tuple, pid: int, provoke: str) -> tuple[dict, str]:
    """Run one experiment on the server `pid`. Returns what the learner's function told, and how the server failed, or ""."""
    watch = Stopwatch(pid)
    clients.say(which=number, name=provoke, address=address, pid=pid)
    try:
        told = clients.hear(f"{provoke}(server) did not return within 2 s", 2.0)
        clients.alone()
        return told, "" if told.get("unwritten") else _fails(pid)
    except Stuck as stuck:
        if stuck.asleep and "connect(" in stuck.line:  # many clients were connected before, and took long
            raise Wrong(
                f"In {provoke} a client waits to be connected; {stuck.does()}: the accept queue is full (listen(2)). Fewer "
                "clients are enough."
            ) from None
        raise
    except Raised as error:
        late = error.type == "TimeoutError"
        if late and "connect(" not in error.line and watch.lost() > 0.5:  # of the second that a client waits
            raise NotChecked(TOO_BUSY) from None
        known = explained(error, _OF_A_CLIENT)
        if known is error or not late and _fails(pid) != "dies":
            raise Wrong(f"In {provoke}: {error}") from None
        raise Wrong(f"In {provoke} a client {known}") from None
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _fails(pid: int) -> str:
    """ "dies", "runs all the time while nobody talks", or "" for a server that lives and sleeps."""
    watch, used, asleep = Stopwatch(pid), None, 0
    while watch.passed() < 3.0:
        letter, cpu = state(pid), cpu_seconds(pid)
        if letter in ("", "Z"):  # a zombie has ended, and its parent has not asked yet
            return "dies"
        used = cpu if used is None else used
        asleep = asleep + 1 if letter == "S" else 0
        if asleep == 5:
            return ""
        if cpu - used >= 0.15:
            return "runs all the time while nobody talks"
        time.sleep(0.004)
    if letter == "T":
        raise Wrong("After your experiment the server stands still: leave `with server.paused():` before you return.")
    raise NotChecked(TOO_BUSY)


def _run_servers(talk: Talk, learner: object, *listeners: socket.socket) -> None:
    """Each of the four, and each without its bug, in a process of its own."""
    pids, ends = [], []
    for number, suspect in enumerate(REPAIRS):
        for repaired, listener in zip((False, True), listeners[2 * number :]):
            end, its_end = os.pipe()
            pid = os.fork()
            if not pid:
                _become(repair(suspect) if repaired else suspect, listener, its_end)
            os.close(its_end)
            os.set_blocking(end, False)
            pids.append(pid)
            ends.append(end)
    for listener in listeners:
        listener.close()
    talk.tell(pids=pids)
    while True:
        try:
            why = os.read(ends[talk.hear()["about"]], 500).decode()
        except BlockingIOError:  # a process that it has started holds the other end
            why = ""
        talk.tell(why=why or "killed")


def repair(suspect: Callable) -> Callable:
    """The same server without its bug."""
    text = inspect.getsource(suspect)
    for old, new in REPAIRS[suspect].items():
        text = text.replace(old, new)
    names = dict(vars(suspects))
    exec(text, names)
    mended: Callable = names[suspect.__name__]
    return mended


def _become(suspect: Callable, listener: socket.socket, end: int) -> NoReturn:
    """Be this server, with nothing open but its listener; when it dies, its end of the pipe tells why."""
    try:
        signal.alarm(180)  # should the check be gone
        os.dup2(listener.detach(), 3)
        os.dup2(end, 4)
        os.closerange(5, 1 << 20)
        if suspect.__name__ == "server_b":
            resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, _DESCRIPTORS))
        listener = socket.socket(fileno=3)
        listener.setblocking(False)
        suspect(listener)
    except BaseException as error:
        frame = error.__traceback__
        assert frame  # it was raised
        while frame.tb_next and frame.tb_frame.f_code is not suspect.__code__:
            frame = frame.tb_next
        line = linecache.getline(frame.tb_frame.f_code.co_filename, frame.tb_lineno).strip()
        os.write(4, f"{type(error).__name__} in `{line}`".encode())
    finally:
        os._exit(1)


def _use_provoke(talk: Talk, learner: tuple[Callable, ...]) -> None:
    while True:
        asked = talk.hear()
        provoke = learner[asked["which"]]
        talk.step(f"{asked['name']}(server) did not return within 2 s", 2.0)
        running = RunningServer(tuple(asked["address"]), asked["pid"])
        try:
            bug = provoke(running)
        except NotImplementedError:
            talk.tell(unwritten=True)
            continue
        if type(bug) is not str or bug not in BUGS:
            raise Wrong(
                f"{asked['name']} returned {shown(bug)}: return the name of the bug, one of {', '.join(map(repr, BUGS))}."
            )
        talk.tell(bug=bug, clients=running.clients(), connected=len(running._clients))


CHECKS = {"6.3": check_bugs}
