"""A task of the learner's that speaks a protocol on one connection: it runs in the course's Loop, and its clients ask it."""

import signal
import socket
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import suppress
from types import GeneratorType, coroutine
from typing import Any

from course_lib.sandbox import Attempt, Causes, Open, Raised, Stuck, Talk, Wrong, explained, why
from course_lib.sandbox.talk import describe
from course_lib.solutions.coroutines import Loop

from .ends import half_close
from .server_trial import ServerTrial, still_open

GONE = "the client has gone ({})"
AFTER_END = "recv gives b'' again and again when a client has finished (recv(2)): leave the loop, and close."


class ProtocolTrial:
    """The learner's task for one connection, in the course's Loop in a process of its own, and its clients.

    What depends on the protocol is for a subclass to say: how it asks, and words for messages.
    `inside(talk, learner, listener)` runs in the child; it ends in `serve_each`. `name` is what the learner's task is called.
    """

    ask: Callable[..., None]  # of a client: send a request and compare its answer
    complete: str  # when is a request whole?
    size: str  # what does the length in an answer count?
    lines: str  # how do the lines of an answer end?
    end: str  # the same of one that broke off
    causes: Causes  # of an exception that ended a task
    likely: Causes  # of one where nothing better is known of the request
    gone: Mapping[str, str] = {"ConnectionResetError": GONE, "BrokenPipeError": GONE}  # exceptions that are no mistake
    stays_open = ""  # what is said besides of an exception after which the connection is open
    _sleeps = True

    def __init__(self, attempt: Attempt, inside: Callable, name: str) -> None:
        self.attempt, self.name = attempt, name
        self.trial = ServerTrial(attempt, True, inside)
        self.process = self.trial.process
        self.came: dict[socket.socket, bytearray] = {}  # what came for a client and was not looked at yet
        self.known = 0  # tasks whose end was looked at

    def go_through(self, *points: Callable) -> None:
        """Call each point with this trial, up to the first one that raises Wrong."""
        with self.trial.explained():
            for point in points:
                point(self)
                self.left_open()
                self.process.alone()  # before what it has started fills the memory

    @property
    def first(self) -> socket.socket:
        """The client that stays until the end."""
        return self.trial.stay[0]

    def begin(self, *question: Any) -> None:
        """The first client comes and asks this; what the server holds besides of its connection is its own."""
        self.trial.stay.append(self.connect())
        self.ask(self.first, *question)
        self.trial.own = self.process.sockets() - 1
        self.process.alone()

    def connect(self, receive_buffer: int | None = None, sends: bytes = b"", last: bool = False) -> socket.socket:
        """A client that sends this, and no more if it is the `last`."""
        client = self.trial.connect(receive_buffer)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each piece of a request leaves at once (tcp(7))
        self.came[client] = bytearray()
        self.send(client, sends)
        if last:
            half_close(client)
        return client

    def send(self, client: socket.socket, data: bytes) -> None:
        self.trial.send(client, data)

    def piece(self, client: socket.socket, data: bytes) -> None:
        """Send a part of a request, and wait until it was read; a server that never sleeps is not waited for again."""
        woken = self.process.wakes()
        self.send(client, data)
        self._sleeps = self._sleeps and self.process.until(
            lambda: self.process.wakes() > woken and self.process.state() == "S", 0.2
        )

    def read(self, client: socket.socket, size: int, what: str, late: str, why: str) -> bytes:
        """So much of whatever comes, or all until the end; `late` and `why` are said when nothing comes."""
        got, stuck = self.trial.receive(client, size)
        if stuck:
            self.left_open()
            raise Wrong(f"{what}, and {late}: {stuck.does('your server')}. {why}")
        return got

    def more(self, client: socket.socket, what: str, why: str = "", begun: str = "") -> None:
        """Wait for more of an answer; if it ends or nothing comes, tell why. `begun` is what came, if its length is known by now."""
        came = self.came[client]
        data, stuck = self.trial.receive(client, 1)
        if stuck:
            self.left_open()
            wrong = self.unfinished(bytes(came), begun, stuck.does("your server")) or self._silent(client, stuck, why)
            raise Wrong(f"{what}: {wrong}")
        if not data:
            self.raised(what, why, client)
            if wrong := self.unfinished(bytes(came), begun, ""):
                raise Wrong(f"{what}: {wrong}")
            raise Wrong(f"{what}: no answer came, but the end: the connection was closed too early.{why and ' '}{why}")
        came += data
        with suppress(BlockingIOError, ConnectionResetError):
            came += client.recv(1 << 20, socket.MSG_DONTWAIT)

    def ends(self, client: socket.socket, what: str, why: str) -> None:
        """Now the connection must end, and nothing may come before."""
        got, stuck = self.trial.receive(client, 100)
        if stuck and not got:
            self.left_open()
            raise Wrong(f"{what}, and the connection stays open: {stuck.does('your server')}. {why}")
        if came := bytes(self.came[client]) + got:
            raise Wrong(f"{what}, and {part(came)} came instead of the end. {why}")

    def have_gone(self, what: str, left: int = 1) -> None:
        """Clients have gone, and this many are there: no more connections may be left, and nothing may run."""
        stuck = self.trial.holds(left)
        self.left_open()
        if stuck:
            raise Wrong(
                f"{what}, and {still_open(self.process.sockets() - self.trial.own - left)}: {stuck.does('your server')}. Close each "
                "one when recv gives b'', or send_all raises."
            )
        self.trial.calm(f"{what}, and nobody talks", AFTER_END)

    def unfinished(self, came: bytes, begun: str, does: str) -> str:
        """What is wrong with an answer of which only this came: `does` is what the server does now, or "" if it has ended it.

        Returns "" if nothing at all came.
        """
        if begun:
            return f"{begun}: {does}. {self.size}" if does else f"{begun}, then the end."
        if came and does:
            return f"{part(came)} came, and then nothing within 1 s: {does}. {self.lines}"
        return f"{part(came)} came, then the end: {self.end}" if came else ""

    def explain(self, error: Raised, otherwise: str = "") -> str:
        """The message of an exception that ended a task; with `otherwise` if no better cause is known."""
        otherwise = otherwise or why(self.likely, error.type, error.text, error.errno, error.line)
        return str(explained(error, self.causes, otherwise))

    def runs_on(self, client: socket.socket) -> str:
        """Why no answer comes from a server that does not wait for any client."""
        return "All clients wait for it: a task gives the others their turn only when it yields."

    def _silent(self, client: socket.socket, stuck: Stuck, why: str) -> str:
        """Why has nothing come?"""
        if stuck.asleep and stuck.call == "epoll_wait":
            self.process.watch(0)
            unread = self.trial.way(client)[1]
            why = why or (
                "The client's bytes have arrived and nobody reads them." if unread else
                f"The client's bytes were read. Does the task wait for more, though {self.complete}? Or is a call of send_all "
                "without `yield from`, which runs nothing?"
            )  # fmt: skip
            return f"no answer within 1 s, and all tasks wait. {why}"
        does = stuck.does("your server")
        if stuck.asleep and stuck.call in ("recv", "read", "send", "write"):
            return (
                f"no answer within 1 s: {does}, in {stuck.call}(), for one client, and all others wait. Leave the connection "
                "non-blocking."
            )
        return f"no answer within 1 s: {does}. {self.runs_on(client)}"

    def tasks(self) -> list[dict]:
        """What became of the tasks that ended otherwise than they should."""
        return list(self.told().get("ended", []))

    def told(self) -> dict:
        """What `serve_each` tells now; nothing if the learner's code has taken the signal away."""
        if not self.process.interrupt(signal.SIGUSR2):
            return {}
        return self.process.hear(f"{self.name} did not come back from a call within 1 s")

    def error(self, task: dict) -> Raised | None:
        """What ended this task, if it was an exception. Raises Open if the learner has not written it yet."""
        if (about := task["about"]) and about["unwritten"]:
            raise Open(about["frame"])
        return Raised(self.name, about) if about else None

    def raised(self, what: str, why: str = "", client: socket.socket | None = None) -> None:
        """A connection ended too early: if its task raised an exception, or any since the last look, this is why."""
        self.process.until(lambda: self.process.state() == "S", 1.0)  # it closes the connection before it ends
        port = client and client.getsockname()[1]
        tasks = self.tasks()
        for task in [*(task for task in tasks[: self.known] if port and task["port"] == port), *tasks[self.known :]]:
            if error := self.error(task):
                raise Wrong(f"{what}: {self.explain(error, why)}")

    def left_open(self) -> None:
        """Raise Wrong if a task has ended and its connection is open."""
        tasks = self.tasks()
        self.known = len(tasks)
        for task in (each for each in tasks if each["open"]):
            if error := self.error(task):
                if gone := self.gone.get(error.type, "").format(error.type):
                    raise Wrong(
                        f"When {gone}{error.line}, {self.name} ends, and the connection stays open: `try: … finally: "
                        "conn.close()`."
                    )
                raise Wrong(f"{self.explain(error)} {self.stays_open}".rstrip())
            raise Wrong(
                f"{self.name} has returned, and its connection is still open, so the client waits for its end: `try: … finally: "
                "conn.close()`."
            )

    def leaves_nothing(self) -> None:
        """The last point: the first client goes too."""
        self.first.close()
        self.have_gone("All clients have gone", left=0)
        self.attempt.good("when all have gone, no connection is left, and it sleeps")


# Causes that are the same for each protocol.
IN_A_TASK = {
    "TypeError: generator|coroutine": "A plain call of a generator function gives a generator object and runs nothing: `yield from` "
    "gives its value.",
    "BlockingIOError": "The connection is non-blocking: `yield from recv(conn, n)` and `yield from send_all(conn, data)` wait for it.",
    "EBADF": "The connection was closed before.",
}


def part(data: bytes) -> str:
    """Bytes for a message: all, or their beginning."""
    return repr(data) if len(data) <= 60 else f"{data[:40]!r}… ({len(data)} bytes)"


# In the child


def serve_each(
    talk: Talk, listener: Any, accept: Callable, start: Callable[[Any], Generator | Coroutine], facts: Callable[[], dict] = dict
) -> None:
    """Run start(conn) as a task of the course's Loop for each client. SIGUSR2 makes it tell which tasks ended otherwise, and `facts`.

    `accept` and the tasks are generators, or both of async def.
    """
    loop = Loop()
    ended: list[dict] = []
    signal.signal(signal.SIGUSR2, lambda *_: talk.tell(ended=ended, **facts()))

    @coroutine  # so it may stand behind await too
    def client(conn: Any) -> Generator:
        sock, about, port = getattr(conn, "sock", conn), None, None
        with suppress(OSError):  # its client has gone already
            port = sock.getpeername()[1]
        task = start(conn)
        try:
            while True:
                wait = task.send(None)
                if isinstance(wait, GeneratorType | Coroutine):
                    talk.send({"wrong": "A task yielded a generator: go through it with `yield from`, which gives its value."})
                    return
                yield wait
        except StopIteration:
            pass
        except Exception as error:
            about = describe(error)
        if (left := sock.fileno() != -1) or about:
            ended.append({"about": about, "open": left, "port": port})

    @coroutine
    def door() -> Generator:
        while True:
            loop.spawn(client((yield from accept(listener))))

    getattr(listener, "sock", listener).setblocking(False)
    loop.spawn(door())
    loop.run()
    raise Wrong("The loop has ended: the task that accepts clients raised an exception.")
