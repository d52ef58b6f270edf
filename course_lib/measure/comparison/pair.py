"""One of the servers with its clients, who give it one turn after the other."""

import signal
from dataclasses import dataclass

from course_lib.measure.child_process import hard_limit, no_room
from course_lib.measure.server_and_clients import ServerAndClients, pin
from course_lib.measure.work import Work
from course_lib.proc import status

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


class Pair(ServerAndClients):
    """`turn(seconds, core)` gives its clients a turn.

    core  where the server runs; the clients have that of their turn
    """

    def __init__(self, work: Work, peer: Peer, programs: Programs, connections: int, idle: int, core: int) -> None:
        self.peer, self.connections, self.idle = peer, connections, idle
        self.memory: float | None = None  # bytes of each idle connection
        self._programs, self._core = programs, core
        super().__init__(work, missing(peer.name, programs) or _too_many(peer, connections, idle))

    def start(self) -> None:
        """Start the server, let all clients in, and stop the server until its first turn."""
        if self.why_not:
            return
        self._server = self.process(f"{__package__}.serving", self.peer.name, self._programs.echo)
        if not (answer := self.answer(self._server, _START, "it did not start")):
            return
        self._port = answer["port"]
        pin(self._server.pid, self._core)
        if self.idle and not self._fill():
            return
        given = self._programs.load, self._port, self.connections, self._server.pid
        self._load = self.process(f"{__package__}.clients", *given)
        if self.answer(self._load, _START, "the clients were not let in"):
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
        if not (answer := self.answer(self._load, BUSY * seconds + _PATIENCE, "the clients failed")):
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

    def _fill(self) -> bool:
        """Let the idle clients in; what the server's memory grows by, divided by their number, is `memory`."""
        warm = min(200, self.idle // 4)
        sizes = []
        for number in (warm, self.idle - warm):
            holder = self.process("load_process", ("127.0.0.1", self._port), number, 0, self._server.pid)
            holder.say(patience=_ENTRANCE)
            if not self.answer(holder, _ENTRANCE + 5, "the idle clients failed"):
                return False
            sizes.append(1024 * int(status(self._server.pid, "VmRSS") or 0))
        self.memory = (sizes[1] - sizes[0]) / (self.idle - warm)
        return True


def _too_many(peer: Peer, connections: int, idle: int) -> str:
    if connections > peer.connections or idle > peer.idle:
        return peer.why
    return no_room(connections + idle + SPARE)


def most_idle(connections: int) -> int:
    """How many idle clients a server may have besides so many that talk: what the limit of descriptors leaves."""
    return max(0, hard_limit() - connections - SPARE)
