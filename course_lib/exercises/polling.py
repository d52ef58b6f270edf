"""Exercises of notebook 05: who waits for which sockets, on poll() and on select(), and the one server for both."""

import re
import select
import signal
import socket
from functools import partial
from typing import Callable

from .attempt import Attempt
from .engines import check_engine
from .exercise import Exercise, Wrong
from .harness import check_server, tell_closed_sockets
from .nonblocking import Conn, try_accept
from .talk import Talk


class PollEngine:
    """Who is waited for, on poll(). One entry for each socket; `data` is any object, and comes back from wait().

    A sock that was closed must be unwatched before the next watch() or wait(): its number may get a new owner.
    """

    def __init__(self) -> None:
        self._poll = select.poll()
        self._numbers = {}  # sock -> its number, which the sock forgets when it is closed
        self._data = {}  # number -> data

    def watch(self, sock: socket.socket, read: bool, write: bool, data: object) -> None:
        """Wait for this sock from now on: to be readable, writable, both or neither. For a sock that is watched: change it."""
        self._poll.register(sock, select.POLLIN * read | select.POLLOUT * write)
        self._numbers[sock] = sock.fileno()
        self._data[sock.fileno()] = data

    def unwatch(self, sock: socket.socket) -> None:
        """Wait for this sock no more. It is watched; it may be closed already."""
        number = self._numbers.pop(sock)
        del self._data[number]
        self._poll.unregister(number)

    def wait(self, seconds: float | None) -> list[tuple[object, bool, bool, bool]]:
        """Sleep until a sock is ready, at most `seconds` (None: for ever). Return (data, readable, writable, hup) for each.

        readable and writable only where they were asked for; hup always: the peer hung up, or an error waits.
        """
        ready = self._poll.poll(None if seconds is None else seconds * 1000)  # poll() counts milliseconds
        hup = select.POLLHUP | select.POLLERR | select.POLLNVAL  # these come unasked
        return [
            (self._data[number], bool(bits & select.POLLIN), bool(bits & select.POLLOUT), bool(bits & hup))
            for number, bits in ready
        ]


class SelectEngine:
    """Who is waited for, on select(). One entry for each socket; `data` is any object, and comes back from wait().

    A sock that was closed must be unwatched before the next watch() or wait(): its number may get a new owner.
    """

    def __init__(self) -> None:
        self._entries = {}  # sock -> (read, write, data)

    def watch(self, sock: socket.socket, read: bool, write: bool, data: object) -> None:
        """Wait for this sock from now on: to be readable, writable, both or neither. For a sock that is watched: change it."""
        self._entries[sock] = read, write, data

    def unwatch(self, sock: socket.socket) -> None:
        """Wait for this sock no more. It is watched; it may be closed already."""
        del self._entries[sock]

    def wait(self, seconds: float | None) -> list[tuple[object, bool, bool, bool]]:
        """Sleep until a sock is ready, at most `seconds` (None: for ever). Return (data, readable, writable, hup) for each.

        hup is always False: select() cannot tell. A sock whose peer hung up is readable, or writable, as it was asked for.
        """
        readers = [sock for sock, (read, _, _) in self._entries.items() if read]
        writers = [sock for sock, (_, write, _) in self._entries.items() if write]
        readable, writable, _ = map(set, select.select(readers, writers, [], seconds))
        return [(self._entries[sock][2], sock in readable, sock in writable, False) for sock in readable | writable]


def check_poll_engine(attempt: Attempt) -> None:
    check_engine(attempt, "poll")


def check_select_engine(attempt: Attempt) -> None:
    check_engine(attempt, "select")


def server(engine: "PollEngine | SelectEngine", listener: socket.socket) -> None:
    """Serve all clients on this engine, and sleep while none of them is ready."""
    listener.setblocking(False)  # ready is a hint: the client may be gone before accept() comes to it
    engine.watch(listener, True, False, None)
    while True:
        # wait
        for conn, readable, writable, hup in engine.wait(None):
            # accept
            if conn is None:
                if sock := try_accept(listener):
                    engine.watch(sock, True, False, Conn(sock))
                continue
            # read
            if conn.want_read and (readable or hup):  # hup: the next recv() tells why
                conn.on_readable()
            # answer
            if conn.want_write and (writable or hup):
                conn.on_writable()
            # let go
            if conn.over:
                engine.unwatch(conn.sock)
                conn.sock.close()
            else:
                engine.watch(conn.sock, conn.want_read, conn.want_write, conn)


def check_on_engines(attempt: Attempt) -> None:
    for engine in PollEngine, SelectEngine:
        name, found = engine.__name__, len(attempt.findings)
        attempt.begin_anew()
        try:
            check_server(attempt, inside=partial(_serve_on, engine))
        except Wrong as wrong:
            raise Wrong(f"On {name}: {_explained(str(wrong))}") from None
        if engine is SelectEngine:
            more = attempt.findings[found:]
            del attempt.findings[found:]
            attempt.good("all ten on SelectEngine too")
            attempt.findings += [each for each in more if each not in attempt.findings]  # what costs something there only


def _explained(text: str) -> str:
    """What goes wrong with an engine only."""
    if found := re.search(r"'NoneType' object has no attribute '(\w+)'", text):
        if found[1] in vars(Conn) or found[1] in ("sock", "outbuf", "finished"):
            return f"{text} The data of the listener is None: what waits there is a new client."
        return f"{text} Ready is a hint (select(2), BUGS): when nobody is there after all, try_accept returns None."
    before, no_socket, _ = text.partition("select() takes sockets or their numbers")
    if no_socket:
        return (
            f"{before}engine.watch() takes a socket. When nobody is there after all (ready is a hint), try_accept returns None."
        )
    before, skipped, _ = text.partition("Were they skipped?")
    if skipped:
        return f"{before}When a Conn is over: engine.unwatch(conn.sock), then conn.sock.close(), in the same round."
    return text


def _serve_on(engine_class: type, talk: Talk, learner: Callable, listener: socket.socket) -> None:
    class Asked(engine_class):
        """Counts how often it was asked to wait; now and then it says that the listener is readable, and nobody is there."""

        waits, data = 0, ()

        def watch(self, sock: socket.socket, read: bool, write: bool, data: object) -> None:
            super().watch(sock, read, write, data)
            if sock is listener:
                self.data = (data,)

        def wait(self, seconds: float | None) -> list:
            self.waits += 1
            if self.waits in (1, 7) and self.data:
                return [(*self.data, True, False, False)]
            return super().wait(seconds)

    engine = Asked()
    tell_closed_sockets(talk)
    tell = signal.getsignal(signal.SIGUSR2)

    def look(*arguments: object) -> None:
        if not engine.waits:
            why = "Your server serves, but it has never called engine.wait(): so it does not run on the engine that it was given."
            talk.send({"wrong": why})
        tell(*arguments)

    signal.signal(signal.SIGUSR2, look)
    learner(engine, listener)
    raise Wrong(f"{learner.__name__} returned; it should serve without end: while True.")



EXERCISES = (
    Exercise(
        id="5.1",
        minutes=12,
        task=(
            "Write the class `PollEngine`: it knows who is waited for, and waits in `poll()`. `watch(sock, read, write, "
            "data)` adds a "
            "socket, or changes it if it is watched already; `unwatch(sock)` takes it out, also if it has been closed meanwhile; "
            "`wait(seconds)` sleeps and returns a list with `(data, readable, writable, hup)` for each socket that is "
            "ready. `data` "
            "is yours, so a server gets its own objects back and not numbers."
        ),
        stub='''\
import select
import socket


class PollEngine:
    """Who is waited for, on poll(). One entry for each socket; `data` is any object, and comes back from wait().

    A sock that was closed must be unwatched before the next watch() or wait(): its number may get a new owner.
    """

    def __init__(self) -> None:
        raise NotImplementedError

    def watch(self, sock: socket.socket, read: bool, write: bool, data: object) -> None:
        """Wait for this sock from now on: to be readable, writable, both or neither. For a sock that is watched: change it."""
        raise NotImplementedError

    def unwatch(self, sock: socket.socket) -> None:
        """Wait for this sock no more. It is watched; it may be closed already."""
        raise NotImplementedError

    def wait(self, seconds: float | None) -> list[tuple[object, bool, bool, bool]]:
        """Sleep until a sock is ready, at most `seconds` (None: for ever). Return (data, readable, writable, hup) for each.

        readable and writable only where they were asked for; hup always: the peer hung up, or an error waits.
        """
        raise NotImplementedError
''',
        hints=(
            "Keep one select.poll() object. What does poll() give back, and what do you need to find `data` again: a dict "
            "from the "
            "number to data?",
            "The mask of watch() is select.POLLIN * read | select.POLLOUT * write. register() for a number that is "
            "registered already "
            "changes its mask. poll() takes milliseconds, and None for no limit.",
            "POLLHUP and POLLERR come in the bits even if nobody asked for them. A closed socket's fileno() is -1, so "
            "unwatch() needs "
            "a second dict, from the sock to its number.",
        ),
        solution=PollEngine,
        explanation=(
            "The kernel speaks of numbers, a server of its clients: the engine stands between them, and each socket has one "
            "entry in it. "
            "poll() counts milliseconds where select() counts seconds. Without a mask, register() asks for everything, also "
            "for writable, "
            "and that is nearly always so. POLLHUP and POLLERR come unasked (poll(2)); whoever passes over them returns at "
            "once from "
            "each wait and finds nothing. A closed socket has forgotten its number, so the engine remembers it. The list of "
            "poll() lives in the Python "
            "object: with each wait it is handed over again, as a whole."
        ),
        check=check_poll_engine,
    ),
    Exercise(
        id="5.2",
        minutes=5,
        task=(
            "Write the class `SelectEngine` with the same methods, on `select()`. A server that uses an engine then no "
            "longer knows "
            "which one it runs on. `select()` cannot tell that a peer hung up: `hup` is always `False`, and such a socket "
            "is readable."
        ),
        stub='''\
import select
import socket


class SelectEngine:
    """Who is waited for, on select(). One entry for each socket; `data` is any object, and comes back from wait().

    A sock that was closed must be unwatched before the next watch() or wait(): its number may get a new owner.
    """

    def __init__(self) -> None:
        raise NotImplementedError

    def watch(self, sock: socket.socket, read: bool, write: bool, data: object) -> None:
        """Wait for this sock from now on: to be readable, writable, both or neither. For a sock that is watched: change it."""
        raise NotImplementedError

    def unwatch(self, sock: socket.socket) -> None:
        """Wait for this sock no more. It is watched; it may be closed already."""
        raise NotImplementedError

    def wait(self, seconds: float | None) -> list[tuple[object, bool, bool, bool]]:
        """Sleep until a sock is ready, at most `seconds` (None: for ever). Return (data, readable, writable, hup) for each.

        hup is always False: select() cannot tell. A sock whose peer hung up is readable, or writable, as it was asked for.
        """
        raise NotImplementedError
''',
        hints=(
            "There is no object of the kernel to keep: a dict from the sock to (read, write, data) is all. watch() sets an "
            "entry, "
            "unwatch() deletes it.",
            "wait() makes two lists from the dict, and select() gives two lists back: who is readable, who is writable.",
            "One tuple for each socket: go over the sockets that are in one of the two lists, `set(readable) | set(writable)`.",
        ),
        solution=SelectEngine,
        explanation=(
            "select() keeps nothing between two calls, so the engine is a dict, and each wait makes the lists anew. A "
            "socket that is both "
            "readable and writable stands in both lists and gets ONE tuple: a server that has let it go after the first "
            "would stumble "
            "over the second. What select() cannot do, no engine can add: it does not tell a hang-up from bytes (recv() "
            "will), and from "
            "descriptor 1024 on it refuses, in wait()."
        ),
        check=check_select_engine,
    ),
    Exercise(
        id="5.3",
        minutes=8,
        task=(
            "Write `server(engine, listener)`: the one server of the course from here on. It is your `select_server`, but "
            "it asks an "
            "engine, so it runs on `PollEngine`, on `SelectEngine`, and later on epoll, unchanged. It is tested on both "
            "engines of this "
            "notebook. The five steps are *wait · accept · read · answer · let go*."
        ),
        stub='''\
import socket

from course_lib.mine import Conn, try_accept


def server(engine: "PollEngine | SelectEngine", listener: socket.socket) -> None:
    """Serve all clients on this engine, and sleep while none of them is ready."""
    listener.setblocking(False)  # ready is a hint: the client may be gone before accept() comes to it
    engine.watch(listener, True, False, None)
    while True:
        # wait · accept · read · answer · let go
        raise NotImplementedError
''',
        hints=(
            "The `data` of a client is its Conn; that of the listener is None. So each round is: for conn, readable, "
            "writable, hup in "
            "engine.wait(None).",
            "After on_readable() and on_writable() a Conn may want something else than before: engine.watch(conn.sock, "
            "conn.want_read, "
            "conn.want_write, conn) tells the engine.",
            "hup says that something is over, and recv() tells what: treat it like readable. Let go in this order: "
            "engine.unwatch(conn.sock), then conn.sock.close().",
        ),
        solution=server,
        explanation=(
            "Nothing here says poll or select. The engine returns the Conn itself, each once in a round, so no list is "
            "searched, and nobody "
            "can be let go twice. After each event the engine is told what the Conn wants now: to write only while answers "
            "wait, else the "
            "wait returns at once, for ever. hup is no reason to close: bytes may lie before the end, and on_readable() "
            "reads them first. "
            "First unwatch, then close: a number that is closed may be given out again, and an entry that stays would speak "
            "of its new owner."
        ),
        check=check_on_engines,
    ),
)
