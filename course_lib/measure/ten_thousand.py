"""Ten thousand live connections to a server of this process: opened, each answered, a few of them busy, and closed again."""

import gc
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

from course_lib.kernel import libc, wait_until
from course_lib.proc import descriptor_limit
from course_lib.servers import Server

from .child_process import ChildProcess
from .dots import dots, live_dots, words
from .machine_limits import ADDRESSES, Plan, file_text, limits_of, memory_line, of_listener, plan
from .progress import Show, progress
from .work import Work, carry_out

PATIENCE = 10.0  # seconds in which something must happen: an answer, or the end of a connection
_SILENT = 60.0  # seconds, at the most, without a word from the clients, who give up by themselves much sooner
_ALONE, _WINDOW = 0.6, 0.2  # seconds: the active ones talk alone for so long, and in windows of so many
_REST = 0.5  # seconds during which nobody talks
_TEXTS = 97  # different requests
_ASKED = 0x1 | 0x4 | 0x2000  # POLLIN | POLLOUT | POLLRDHUP (poll.h), as numbers: macOS has not all of them
_GONE = 0x2000 | 0x10 | 0x8  # POLLRDHUP | POLLHUP | POLLERR
_TCP_INFO_UNACKED = 24  # of a listener: how many wait in its accept queue (linux/tcp.h, tcp_get_info)
_ENOUGH = 1000  # connections from which on the machine's memory says something of one connection


@dataclass(frozen=True)
class TenThousand:
    """What `ten_thousand` measured. Times are seconds, memory is bytes, and None stands for what could not be measured.

    server            the name of its class
    wanted, opened    connections that were asked for, and that were open at the same time
    active            how many of them talked; the others were answered once, and were idle
    answered          connections whose first request got the right answer
    requests, wrong   answers in all, and how many of them were not the right ones
    wrong_at          which connections, counted from 0 in the order of opening, got a wrong answer to their first request
    seconds_to_open   until all were connected and answered
    memory            of the server's process, for one connection
    kernel_memory     of the kernel, for one connection with both of its ends, as both are on this machine
    cpu_alone, cpu    microseconds of the server's CPU time for one request: before the idle ones came, and among them
    cpu_silent        the server's share of a core while all were connected and nobody talked, 0 to 1
    seconds_to_close  until the server had closed its last one
    time_wait         ports of the clients that stay in TIME_WAIT for a minute
    left_behind       connections that the server still held when all clients had gone: 0
    seconds           in all
    why_not           why there were fewer than wanted, or why it ended early, or ""
    notes             each limit that was met on the way, in a sentence with its source
    """

    server: str
    wanted: int
    opened: int = 0
    active: int = 0
    answered: int = 0
    requests: int = 0
    wrong: int = 0
    wrong_at: tuple[int, ...] = ()
    seconds_to_open: float | None = None
    memory: float | None = None
    kernel_memory: float | None = None
    cpu_alone: float | None = None
    cpu: float | None = None
    cpu_silent: float | None = None
    seconds_to_close: float | None = None
    time_wait: int | None = None
    left_behind: int = 0
    seconds: float = 0.0
    why_not: str = ""
    notes: tuple[str, ...] = ()

    @property
    def all_answered(self) -> bool:
        """True when each connection was answered, and no answer was wrong."""
        return 0 < self.opened == self.answered and not self.wrong

    def _table(self) -> Iterator[tuple[str, str]]:
        yield "connections", f"{self.opened:,} at the same time, {self.active:,} of them talk"
        if self.why_not:
            yield f"not {self.wanted:,}" if self.opened < self.wanted else "ended early", self.why_not
        if self.seconds_to_open is not None:
            yield "opened and answered in", f"{self.seconds_to_open:.2f} s"
        yield "answers", f"{self.requests:,}, " + ("all right" if not self.wrong else f"{self.wrong:,} of them wrong")
        if self.memory is not None:
            yield "memory of this process", f"{self.memory:,.0f} bytes a connection"
        if self.kernel_memory is not None:
            yield "memory of the kernel", f"{self.kernel_memory:,.0f} bytes a connection, both ends"
        if self.cpu is not None:
            alone = f"; {self.cpu_alone:.1f} µs with the {self.active:,} alone" if self.cpu_alone is not None else ""
            yield "CPU for a request", f"{self.cpu:.1f} µs with {self.opened:,} connections{alone}"
        if self.cpu_silent is not None:
            yield "CPU while nobody talks", f"{self.cpu_silent:.1%} of a core"
        if self.seconds_to_close is not None:
            yield "closed in", f"{self.seconds_to_close:.2f} s"
        yield "left behind", "nothing" if not self.left_behind else f"{self.left_behind:,}"
        yield "in all", f"{self.seconds:.1f} s"

    def __str__(self) -> str:
        return "\n".join(f"{name + ':':24} {value}" for name, value in (("server", self.server), *self._table()))

    @property
    def picture(self) -> str:
        """A dot for each connection that was wanted: which were opened, and which answered. HTML."""
        from course_lib.widgets.still import still  # ipywidgets takes long to import, and what is measured does not need it

        drawn = self.wanted, self.opened, self.answered + len(self.wrong_at), self.wrong_at, self.active
        return still(dots(*drawn).encode(), "svg+xml", words(*drawn), least=0)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th scope='row' style='text-align: left'>{escape(name)}</th>"
            f"<td style='text-align: left'>{escape(value)}</td></tr>"
            for name, value in self._table()
        )
        return f"{self.picture}<table><caption>{escape(self.server)}</caption><tbody>{rows}</tbody></table>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        return {"text/plain": str(self), "text/html": self._repr_html_()}


def ten_thousand(server: Server, connections: int = 10_000, active: int = 20, seconds: float = 2.0) -> TenThousand:
    """Open many live TCP connections to a running server of this process, have it serve them, close them, say what it took.

    server       a running server of the course, or one of your own on the same base
    connections  how many are open at the same time; fewer where a limit of the machine says so
    active       how many of them talk: each sends a line as soon as it is answered
    seconds      for how long they talk among the idle ones

    The clients live in a process of their own. Each connection asks once when it is opened; the answer must be what
    `server.answer` makes of the request. The soft limit of descriptors of this process is raised as far as needed and allowed,
    and put back (getrlimit(2)); client addresses 127.0.0.2, 127.0.0.3, … are taken where the ports of one do not suffice.
    The clients close first: who does, keeps the port in TIME_WAIT for a minute (RFC 9293, 3.6.1), and the server's is free.
    Memory of this process is what it has more of RssAnon (proc(5)) with all connections open: what a panel keeps of
    them is in it, and in a second run the process uses again what Python did not give back. That of the kernel is what Slab of
    /proc/meminfo grew by, whoever made it grow.

    An interrupt at any moment ends the clients, puts the limit back, and leaves the server as it was. Raises TypeError or
    ValueError for arguments that cannot be meant, RuntimeError for a server that does not run or is held,
    and where there is no /proc.
    """
    if not isinstance(server, Server):
        raise TypeError(f"a server of the course is needed, not {type(server).__name__}")
    for name, value in (("connections", connections), ("active", active)):
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} is a number from 1 on, not {value!r}")
    if active > connections or not 0 < seconds <= 60:
        raise ValueError("active is at most connections, and seconds more than 0 and at most 60")
    if not libc.HAS_PROC:
        raise RuntimeError("it needs Linux, which tells its limits in /proc: a container or a virtual machine will do")
    if not server.running:
        raise RuntimeError("the server does not run: call start()")
    if server.held:
        raise RuntimeError("the server is held before its next call: call run_on()")
    run = _Run(server, connections, active, seconds)
    return carry_out(run.carry_out, run.shown)


class _Run:
    """One run, in the thread of a Work."""

    def __init__(self, server: Server, wanted: int, active: int, seconds: float) -> None:
        self._server, self._wanted, self._active, self._seconds = server, wanted, active, seconds
        self._child: ChildProcess | None = None
        self._old: dict[int, int] = {}  # descriptor → inode of what the server had before
        self._found: dict[str, Any] = {}
        self._dots, self._answered = "", 0  # what is drawn of the clients' last message, and how many it said to be answered

    @contextmanager
    def shown(self) -> Iterator[Show]:
        """The bar, and below it a dot for each connection, as the clients say that it is opened and answered."""
        with progress() as bar, live_dots() as draw:

            def show(done: float, what: str) -> None:
                bar(done, what)
                draw(self._dots)

            yield show

    def carry_out(self, work: Work) -> TenThousand:
        begin, before = time.perf_counter(), _time_wait()
        chosen = plan(limits_of(self._server.numbers()), self._wanted)
        self._found = {"why_not": chosen.why_not, "notes": chosen.notes}
        if chosen.connections:
            with descriptor_limit(chosen.soft):
                try:
                    self._measure(work, chosen)
                except _Over as over:
                    self._found["why_not"] = str(over)
                finally:
                    self._close(work)
            if "cpu_silent" in self._found:  # it came to its end
                self._after(before)
        return TenThousand(type(self._server).__name__, self._wanted, seconds=time.perf_counter() - begin, **self._found)

    def _measure(self, work: Work, chosen: Plan) -> None:
        server, texts = self._server, _texts(self._server)
        self._old = dict(filter(None, map(_named, server.numbers())))
        active = min(self._active, chosen.connections)
        gc.collect()
        memory, kernel = memory_line("RssAnon", "/proc/self/status"), memory_line("Slab")
        self._child = work.process(
            "ten_thousand_clients", server.address, texts, chosen.connections, PATIENCE, chosen.each, ADDRESSES, chosen.group
        )
        took = self._ask(work, 0.0, open=active, active=True)["seconds"]
        if not self._found["opened"]:
            raise _Over(self._found["why_not"])
        self._found["active"] = min(active, self._found["opened"])
        self._found["cpu_alone"] = self._talk(work, _ALONE, 0.05)
        took += self._ask(work, 0.2, open=chosen.connections - active, active=False)["seconds"]
        self._found["seconds_to_open"] = took
        opened = self._found["opened"]
        self._found["memory"] = _growth("RssAnon", "/proc/self/status", memory, opened)
        self._found["kernel_memory"] = _growth("Slab", "/proc/meminfo", kernel, opened) if opened >= _ENOUGH else None
        self._found["cpu"] = self._talk(work, self._seconds, 0.5)
        used = server.cpu_seconds()
        rest = self._ask(work, 0.85, rest=_REST)
        self._found["cpu_silent"] = (server.cpu_seconds() - used) / rest["seconds"]

    def _talk(self, work: Work, seconds: float, done: float) -> float:
        """Microseconds of the server's CPU time for a request: the median of some windows."""
        costs, count = [], max(1, round(seconds / _WINDOW))
        for turn in range(count):
            used = self._server.cpu_seconds()
            said = self._ask(work, done + 0.3 * turn / count, talk=seconds / count)
            costs.append(1e6 * (self._server.cpu_seconds() - used) / said["answers"])
            work.now = (
                f"{self._found['opened']:,} connected, {self._found['requests']:,} answers, "
                f"{said['answers'] / said['seconds']:,.0f} requests/s"
            )
        return statistics.median(costs)

    def _ask(self, work: Work, done: float, **order: Any) -> dict:
        """Have the clients do something, and show how far they are. Raises _Over when they cannot, Stopped when stopped."""
        assert self._child  # the run has begun
        work.done = done
        self._child.say(**order)
        while True:
            said = work.hear(self._child, _SILENT + order.get("talk", 0))
            if not said:
                raise _Over("the process of the clients ended" if said == {} else "the process of the clients says nothing")
            opened = said["connected"]
            self._found |= {"opened": opened, "answered": said["answered"], "wrong_at": tuple(said["wrong_at"])}
            self._draw(opened, said, "talk" in order)
            if "open" in order:
                work.now = f"{opened:,} of {self._wanted:,} connected, {said['answered']:,} answered"
                work.done = max(done, 0.5 * opened / self._wanted)
            elif "rest" in order:
                work.now = f"{opened:,} connected, nobody talks"
            if said.get("done"):
                self._found |= {"requests": said["requests"], "wrong": said["wrong"]}
                if said["too_few"]:
                    self._found["why_not"] = said["too_few"]
                if said["why"]:
                    raise _Over(f"after {opened:,} connections: {said['why']}{self._fate()}")
                return said

    def _draw(self, opened: int, said: dict, talk: bool) -> None:
        before, self._answered = self._answered, said["answered"] + len(said["wrong_at"])
        active = self._found.get("active", 0)
        new = (0, active) if talk else (before, self._answered)
        label = f"{opened:,} of {self._wanted:,} connected, {said.get('requests', self._answered):,} answers"
        self._dots = dots(self._wanted, opened, self._answered, said["wrong_at"], active, new, label)

    def _fate(self) -> str:
        server = self._server
        # Its connections end before its thread does; one that goes on will sleep.
        wait_until(lambda: not server.running or server.doing().asleep and not server._stopping, 2.0)
        if not server.running:
            return f"; the server {server.fate or 'was stopped'}"
        return f"; the server is {server.doing()}"

    def _close(self, work: Work) -> None:
        """Close all connections, from the clients' side, and wait for the server to do the same. Also after an interrupt."""
        begin = time.perf_counter()
        work.now, work.done = f"{self._found.get('opened', 0):,} connections are closed", 0.95
        if self._child is not None:
            self._child.say(close=True)
            self._child.hear(PATIENCE)
            work.end(self._child)
        left, since = self._left(), time.monotonic()
        while left and time.monotonic() < since + PATIENCE:
            time.sleep(0.01)  # nobody announces what a server closes
            if (now := self._left()) < left:
                left, since = now, time.monotonic()
        self._found |= {"seconds_to_close": time.perf_counter() - begin, "left_behind": left}

    def _left(self) -> int:
        """How many connections of clients that have gone the server still has, or has not accepted yet."""
        numbers = self._server.numbers()
        over = [number for number, bits in libc.poll_unlike(numbers, _ASKED, libc.POLLOUT).items() if bits & _GONE]
        return len(dict(filter(None, map(_named, over))).items() - self._old.items()) + _queue(numbers)

    def _after(self, before: int | None) -> None:
        now = _time_wait()
        if now is None or before is None:
            return
        more = self._found["time_wait"] = max(0, now - before)
        self._found["notes"] += (
            "TIME_WAIT: the side that closes first keeps the connection's port for a minute, here the clients' side; "
            f"{more:,} more ports of this machine than before are kept so (RFC 9293 section 3.6.1, /proc/net/sockstat).",
        )


class _Over(Exception):
    """It cannot go on; the text says why."""


def _texts(server: Server) -> list[tuple[str, str]]:
    """Requests, each with the right answer, as hexadecimal digits. Raises ValueError for a server that answers nothing."""
    pairs = []
    for number in range(_TEXTS):
        request = f"request {number:02} of one among many\n".encode()
        answer = server.answer(request)
        if not isinstance(answer, bytes) or not answer:
            raise ValueError(f"server.answer({request!r}) is {answer!r}: only a server that answers each line can be asked")
        pairs.append((request.hex(), answer.hex()))
    return pairs


def _named(number: int) -> tuple[int, int] | None:
    """(descriptor, inode): the inode tells a socket from a later one of the same number. None when it is closed."""
    try:
        return number, libc.mode_and_inode(number)[1]
    except OSError:
        return None


def _queue(numbers: list[int]) -> int:
    """How many wait in the accept queue of the listener among these."""
    try:
        return of_listener(numbers, _TCP_INFO_UNACKED)
    except (OSError, RuntimeError):  # it is closed: nobody waits
        return 0


def _growth(name: str, path: str, before: int | None, connections: int) -> float | None:
    now = memory_line(name, path)
    return None if now is None or before is None or now <= before else (now - before) / connections


def _time_wait() -> int | None:
    """How many ports of this machine are in TIME_WAIT, or None where /proc/net/sockstat does not tell."""
    found = re.search(r"^TCP:.* tw (\d+)", file_text("/proc/net/sockstat"), re.MULTILINE)
    return int(found[1]) if found else None
