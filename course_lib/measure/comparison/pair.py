"""A server and its clients, each a process. The server stands still unless it has its turn."""

import os
import resource
import signal
from dataclasses import dataclass

from course_lib.measure.child_process import ChildProcess, too_few
from course_lib.measure.work import Work

from .compiling import Programs
from .peers import Peer, missing

BUSY = 12
SPARE = 64  # descriptors besides those of the connections
_START, _PATIENCE, _ENTRANCE = 20.0, 8.0, 240.0  # seconds until a process has started, for a turn, until all idle ones are in


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a server.

    cpu       microseconds of CPU time of its process for one request, user and system
    rate      requests a second
    p50, p99  microseconds: half of the requests were answered in so long, 99 of 100
    server    the part of a core that its process had, 0 to 1 (threads: more)
    load      the part that the clients had
    """

    cpu: float
    rate: float
    p50: float
    p99: float
    server: float
    load: float


class Pair:
    """`turn(seconds, core)` gives its clients a turn. When it cannot go on, `why_not` says why, and its processes are gone.

    core  where the server runs; the clients have that of their turn
    """

    def __init__(self, work: Work, peer: Peer, programs: Programs, connections: int, idle: int, core: int) -> None:
        self.peer, self.connections, self.idle = peer, connections, idle
        self.memory: float | None = None  # bytes of each idle connection
        self._work, self._programs, self._core = work, programs, core
        self._processes: list[ChildProcess] = []
        self.why_not = missing(peer.name, programs) or _too_many(peer, connections, idle)

    def start(self) -> None:
        """Start the server, let all clients in, and stop the server until its first turn."""
        if self.why_not:
            return
        self._server = self._process("serving", self.peer.name, self._programs.echo)
        answer = self._hear(self._server, _START)
        if answer is None:
            return self._fail("it did not start")
        self._port = answer["port"]
        pin(self._server.pid, self._core)
        if self.idle and not self._fill():
            return
        self._load = self._process("clients", self._programs.load, self._port, self.connections, self._server.pid)
        answer = self._hear(self._load, _START)
        if not answer or "why" in answer:
            return self._fail(answer["why"] if answer else "the clients were not let in")
        self._server.signal(signal.SIGSTOP)

    def turn(self, seconds: float, core: int) -> Turn | None:
        """Let the clients talk, on this core, until both have had so many seconds of CPU time; None when that is not possible.

        On a machine that is busy otherwise a turn takes longer, and at most BUSY times as long.
        """
        if self.why_not:
            return None
        pin(self._load.pid, core)
        self._server.signal(signal.SIGCONT)
        self._load.say(seconds=seconds, most=BUSY * seconds)
        answer = self._hear(self._load, BUSY * seconds + _PATIENCE)
        if not answer or "why" in answer:
            self._fail(answer["why"] if answer else "the clients failed")
            return None
        self._server.signal(signal.SIGSTOP)
        lasted, requests = answer["seconds"], answer["requests"]
        return Turn(
            1e6 * answer["cpu"] / requests,
            requests / lasted,
            answer["p50"],
            answer["p99"],
            answer["cpu"] / lasted,
            answer["load"] / lasted,
        )

    def end(self) -> None:
        while self._processes:
            self._work.end(self._processes.pop())

    def _fill(self) -> bool:
        """Let the idle clients in; what the server's memory grows by, divided by their number, is `memory`."""
        warm = min(200, self.idle // 4)
        for number, when in ((warm, "before"), (self.idle - warm, "after")):
            holder = self._process("course_lib.measure.load_process", ("127.0.0.1", self._port), number, 0, self._server.pid)
            holder.say(patience=_ENTRANCE)
            answer = self._hear(holder, _ENTRANCE + 5)
            if not answer or "why" in answer:
                self._fail(answer["why"] if answer else "the idle clients failed")
                return False
            if when == "before":
                before = _resident(self._server.pid)
            else:
                self.memory = (_resident(self._server.pid) - before) / number
        return True

    def _process(self, module: str, *arguments: object) -> ChildProcess:
        process = self._work.process(module if "." in module else f"{__package__}.{module}", *arguments)
        self._processes.append(process)
        return process

    def _hear(self, process: ChildProcess, seconds: float) -> dict | None:
        answer = process.hear(seconds)
        self._work.check()
        return answer or None

    def _fail(self, why: str) -> None:
        self.why_not = why
        self.end()


def _too_many(peer: Peer, connections: int, idle: int) -> str:
    if connections > peer.connections or idle > peer.idle:
        return peer.why
    needed, hard = connections + idle + SPARE, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return too_few(needed, hard) if hard != resource.RLIM_INFINITY and hard < needed else ""


def most_idle(connections: int) -> int:
    """How many idle clients a server may have besides so many that talk: what the limit of descriptors leaves."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1 << 20 if hard == resource.RLIM_INFINITY else max(0, hard - connections - SPARE)


def _resident(process: int) -> int:
    """Bytes of its memory that are in RAM now (proc(5), statm)."""
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def pin(process: int, core: int) -> None:
    """Let all its threads run on this core only, if that is allowed (sched_setaffinity(2))."""
    try:
        for thread in os.listdir(f"/proc/{process}/task"):
            os.sched_setaffinity(int(thread), {core})
    except OSError:
        pass
