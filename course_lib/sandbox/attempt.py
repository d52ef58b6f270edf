"""One check of one function: processes for the learner's code, clients around them, and what was found."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from .causes import Causes, explained
from .outcome import Finding, NotChecked, Open, Raised, Stuck, Wrong
from .stopwatch import TimeLimit

if TYPE_CHECKING:
    from .checked_process import CheckedProcess

TIME_LIMIT = 7.0  # seconds for one check in all, where it need not wait for a processor; storing the function may take 3 more
CLIENT_LIMIT = 2.0  # seconds for one call of a client


class Attempt:
    """What a check function works with. At exit all its sockets are closed and all its processes killed."""

    def __init__(self, learner: object, name: str) -> None:
        self.name = name
        self.findings: list[Finding] = []
        self.ports: set[int] = set()  # of all its clients
        self._learner = learner
        self._limit = TimeLimit(TIME_LIMIT)
        self._processes: list[CheckedProcess] = []
        self._ended: list[CheckedProcess] = []
        self._open = ExitStack()

    def __enter__(self) -> Attempt:
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def good(self, text: str) -> None:
        self.findings.append(Finding("ok", text))

    def note(self, text: str) -> None:
        """Something to see that is no failure."""
        self.findings.append(Finding("note", text))

    def start(self, inside: Callable[..., None], *sockets: socket.socket) -> CheckedProcess:
        """Run ``inside(talk, learner, *sockets)`` in a fresh process; the sockets are closed here."""
        from .checked_process import CheckedProcess  # not in the checked process, which imports the module of `inside`

        process = CheckedProcess(self.name, self.good, self._limit)
        self._open.callback(process.kill)
        try:
            process.start(inside, self._learner, sockets)
        except OSError as error:  # out of descriptors, processes or memory
            raise NotChecked(f"The check could not start a process: {error.strerror}.") from None
        self._processes.append(process)
        for sock in sockets:
            sock.close()
        return process

    def ask(
        self, inside: Callable[..., None], *sockets: socket.socket, late: str = "", causes: Causes | None = None
    ) -> dict[str, Any]:
        """Run it as `start` does, to its end: what it has told. An exception of the learner's becomes the sentence of its cause.

        `late` begins the message if it takes over 1 s before the first ``talk.step``. Neither a thread nor a process may be left.
        """
        process = self.start(inside, *sockets)
        try:
            told = process.hear(late or f"{self.name} did not answer within 1 s")
        except Raised as error:
            raise explained(error, causes or {}) from None
        process.alone()
        return told

    def begin_anew(self) -> None:
        """End all that runs, and start with a whole time limit again: for a check in two parts."""
        self._open.close()
        self._ended += self._processes
        self._processes = []
        self._limit = TimeLimit(TIME_LIMIT)

    @contextmanager
    def as_one(self, good: str, begins: str) -> Iterator[None]:
        """A part with a whole time limit of its own, whose success is the one finding `good`; its notes stay.

        `begins` begins the message of what is wrong in it.
        """
        self.begin_anew()
        before = len(self.findings)
        try:
            yield
        except Wrong as wrong:
            raise Wrong(f"{begins}{begins and ': '}{wrong}", raised=wrong.raised) from None
        found = (each for each in self.findings[before:] if each.kind != "ok")
        self.findings[before:] = [Finding("ok", good), *(each for each in found if each not in self.findings[:before])]

    def listen(self, send_buffer: int | None = None) -> socket.socket:
        """A listener on 127.0.0.1; its connections inherit the size of the send buffer (bytes)."""
        listener = self._open.enter_context(socket.socket())
        # its connections inherit this too: the second part of an answer does not wait for the ACK of the first (tcp(7))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if send_buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        return listener

    def connect(self, address: tuple[str, int], receive_buffer: int | None = None) -> socket.socket:
        """A client; a call that takes over 2 s raises TimeoutError."""
        client = self._open.enter_context(socket.socket())
        if receive_buffer:  # before connect(): the handshake announces the window
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(CLIENT_LIMIT)
        client.connect(tuple(address))
        self.ports.add(client.getsockname()[1])
        return client

    def cause(self, error: OSError) -> Exception:
        """What really happened when a client got this error: most often the learner's process tells."""
        for process in self._processes:
            try:
                process.hear("", 0.3)
            except Stuck as stuck:
                if isinstance(error, TimeoutError):
                    return Wrong(f"A client waited for your code for {CLIENT_LIMIT:g} s: {stuck.does()}.")
            except (Wrong, Open) as cause:
                return cause
        return Wrong(f"A client got {type(error).__name__}: {error.strerror or error}.")

    @property
    def output(self) -> str:
        """What the learner's code printed, the last 64 kB of each process."""
        return "".join(process.output.decode(errors="backslashreplace") for process in self._ended + self._processes)
