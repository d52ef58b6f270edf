"""What a panel looks at: a server, or anything with descriptors, which offers the same few questions and switches."""

import os
import socket
import sys
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from course_lib.clients import NamedClients, clients_of
from course_lib.kernel import Descriptor, Doing, asleep_on, descriptors
from course_lib.kernel.descriptors import attribute, interests, is_a, is_epoll, numbers_of, things_in
from course_lib.kernel.observed import Observed
from course_lib.kernel.process_view import ProcessView

from . import words

if TYPE_CHECKING:
    from course_lib.servers import Server

LISTENERS = ("listener", "unix listener")
_THREADS = 4  # of another process, that a note tells of
_MOST = 65_536  # things in a list: each is asked for its numbers at every look
CONNECTIONS = ("connection", "socket", "datagram", "unix socket", "other socket", "pipe")


class Process(ProcessView):
    """Another process under observation. What its threads do is read once a look, with its descriptors."""

    _now: tuple[tuple[str, Doing], ...] = ()

    def descriptors(self, most: int | None = None) -> list[Descriptor]:
        self._now = tuple(super().threads())
        return super().descriptors(most)

    def threads(self) -> list[tuple[str, Doing]]:
        return list(self._now)

    def set_blocking(self, blocking: bool, of: str) -> None:
        kinds = LISTENERS if of == "listener" else connections_of(self)
        self.make_blocking(blocking, [row.number for row in self.descriptors() if row.kind in kinds])

    def words(self) -> str:
        """What its threads do, in a sentence."""
        if not self.running:
            return f"{self.name} (process {self.pid}) has ended."
        threads = self.threads()
        said = [
            f"{name} {words.doing(doing)}, CPU {round(doing.cpu * 10) * 10}\N{NO-BREAK SPACE}%"
            for name, doing in threads[:_THREADS]
        ]
        if left := len(threads[_THREADS:]):
            said.append(f"{left} more thread{'s' * (left > 1)}")
        children = ", ".join(map(str, self.children()[:_THREADS]))
        more = f" Its child processes: {children}; observe(pid=…) shows each." if children else ""
        return f"{self.name} (process {self.pid}): {'; '.join(said)}.{more}"


class Things:
    """Sockets, files, pipes, epolls, numbers … under observation. It holds no thread: the learner's own code uses them."""

    def __init__(self, things: list) -> None:
        self.things = things

    def __str__(self) -> str:
        kind = "socket" if all(is_a(thing, socket.socket) for thing in self.things) else "thing"
        return f"{len(self.things)} {kind}{'s' if len(self.things) > 1 else ''}"

    def numbers(self) -> list[int]:
        """The open descriptors of them all; of an epoll, those in its interest list too."""
        found: dict[int, None] = {}
        for thing in self.things:
            for number in _numbers_now(thing):
                found[number] = None
                if not is_a(thing, socket.socket) and is_epoll(number):
                    found.update((watched, None) for watched, *_ in interests(number))
        return list(found)

    def descriptors(self) -> list[Descriptor]:
        return descriptors(self.numbers())

    def words(self) -> str:
        """Why there is nothing to show."""
        if all(attribute(t, "fileno") or attribute(t, "__index__") or attribute(t, "__class__") is None for t in self.things):
            return "All that this panel shows is closed. Run the cell again."
        return "What this panel shows holds no descriptor now."

    def set_blocking(self, blocking: bool, of: str) -> None:
        own = {number: thing for thing in self.things if is_a(thing, socket.socket) for number in numbers_of(thing)}
        for row in self.descriptors():
            if row.kind in (LISTENERS if of == "listener" else CONNECTIONS):
                if row.number in own:
                    own[row.number].setblocking(blocking)  # a Python socket also remembers it, as its timeout
                else:
                    os.set_blocking(row.number, blocking)

    def in_openssl(self) -> dict[int, int]:
        """{number: bytes that OpenSSL has decrypted and nobody has read} of TLS sockets; the kernel does not know of these."""
        tls = sys.modules.get("ssl")
        return {
            each.fileno(): each.pending()
            for thing in self.things
            for each in (thing, attribute(thing, "socket"))  # as that of socketserver's servers
            if tls and is_a(each, tls.SSLSocket) and each.fileno() >= 0
        }

    def speaks_tls(self, number: int) -> bool:
        """Does who connects to this listener have to speak TLS? asyncio's and tornado's servers keep how by these names."""
        return number in self.in_openssl() or any(
            attribute(thing, name) and number in _numbers_now(thing)
            for thing in self.things
            for name in ("_ssl_context", "ssl_options")
        )


Subject: TypeAlias = "Server | Process | Things"


def connections_of(subject: Subject) -> tuple[str, ...]:
    """The kinds whose mode the switch for connections tells and sets.

    Of another process no pipes and Unix sockets: its standard input and error may be those of this process, and a switch in a
    description that both share (open(2)) would be one in both.
    """
    return ("connection",) if isinstance(subject, Process) else CONNECTIONS


def server_of(subject: Subject) -> "Server | None":
    """The subject, if it is a server."""
    return None if isinstance(subject, (Process, Things)) else subject


def _numbers_now(thing: Any) -> list[int]:
    try:
        return numbers_of(thing)
    except TypeError:  # it holds no socket any more
        return []


def subject_of(thing: Any) -> tuple[Subject, NamedClients]:
    """(subject, its clients) for what a learner hands to observe(). Raises TypeError in one sentence."""
    takes = "observe() takes a server, a socket, a file, a descriptor's number, a list of these, or a process"
    if is_a(thing, type):
        raise TypeError(f"{takes}, not a class: make one of it, {thing.__name__}(…)")
    if is_a(thing, (Observed, Process)):
        return cast("Server | Process", thing), clients_of(thing)
    try:
        numbers_of(thing)
    except TypeError as error:
        if process := _process_of(thing):
            return process, clients_of(process)
        # A list is taken apart; a file or a generator is not: to walk through it is to read it.
        if not is_a(thing, Collection) or is_a(thing, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"{takes}; {error}") from None
        if len(thing) > _MOST:
            raise TypeError(
                f"{takes}; a list may have {_MOST:,} of these, and this {type(thing).__name__} has {len(thing):,}"
            ) from None
        things = list(things_in(thing))
        if not things:
            raise TypeError(f"{takes}, and this {type(thing).__name__} is empty") from None
        for position, each in enumerate(things):
            try:
                numbers_of(each)
            except TypeError as error:
                raise TypeError(f"{takes}; in this {type(thing).__name__}, at {position}, {error}") from None
        return Things(things), clients_of(things[0])
    return Things([thing]), clients_of(thing)


def _process_of(thing: Any) -> Process | None:
    """The process that a Popen or its like stands for; None for another thing, as a client that notes in which process it was made.

    Raises ValueError when it has ended.
    """
    if type(pid := attribute(thing, "pid")) is not int or not attribute(thing, "terminate"):
        return None
    with suppress(ValueError):
        if attribute(thing, "returncode") is None is attribute(thing, "exitcode"):  # else another may have its number by now
            return Process(pid)
    raise ValueError(f"this {type(thing).__name__} has ended (it was process {pid})")


def why_no_client(subject: Subject, rows: list[Descriptor]) -> str:
    """Why a panel's clients cannot connect to what it shows; "" when they can."""
    if not any(row.kind in LISTENERS for row in rows):
        if any(row.kind == "datagram" for row in rows):
            return "A datagram socket has no connections: whoever wants to talk to it sends to its address."
        return "Nobody listens, so a client would be refused."
    number = next(row.number for row in rows if row.kind in LISTENERS)
    if isinstance(subject, Things) and subject.speaks_tls(number):
        return "This listener speaks TLS, and the panel's clients do not. Connect with ssl.SSLContext.wrap_socket()."
    return ""


def sleepers(subject: Subject, rows: list[Descriptor], known: Mapping[threading.Thread, Doing]) -> dict[int, str]:
    """Who sleeps on which descriptor, in words: {71: "BlockingServer in recv"}. known: see `asleep_on`."""
    numbers = {row.number for row in rows}
    found = subject.asleep_on(numbers) if isinstance(subject, Process) else asleep_on(numbers, known)
    return {number: ", ".join(f"{whose(thread)} in {call}" for thread, call in who) for number, who in found.items()}


def whose(thread: str) -> str:
    """A server's thread is named for its class and port; cells run in the main thread."""
    return "a notebook cell" if thread == "MainThread" else thread.partition(":")[0]
