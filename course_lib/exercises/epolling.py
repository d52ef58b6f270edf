"""Exercises of notebook 06: an engine on epoll, reading all there is, four bugs of epoll servers, a way to wake a loop."""

import errno
import fcntl
import inspect
import linecache
import os
import resource
import select
import signal
import socket
import sys
import termios
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, NoReturn

from course_lib.observe import open_numbers, wait_until

from .attempt import Attempt, reset
from .engines import check_engine
from .exercise import Exercise, Wrong
from .harness import SMALL, check_server, tell_closed_sockets
from .nonblocking import Conn, try_accept, try_recv
from .polling import PollEngine, server
from .run import TOO_BUSY, NotChecked, Open, Raised, Run, Stopwatch, Stuck
from .talk import Talk, a


class EpollEngine:
    """Who is waited for, on epoll, level-triggered. One entry for each socket; `data` is any object, and comes back from wait().

    A sock that was closed must be unwatched before the next watch() or wait(): its number may get a new owner.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()  # its interest list stays in the kernel, from one wait to the next
        self._numbers = {}  # sock -> its number, which the sock forgets when it is closed
        self._data = {}  # number -> data

    def watch(self, sock: socket.socket, read: bool, write: bool, data: object) -> None:
        """Wait for this sock from now on: to be readable, writable, both or neither. For a sock that is watched: change it."""
        tell = self._epoll.modify if sock in self._numbers else self._epoll.register
        tell(sock, select.EPOLLIN * read | select.EPOLLOUT * write)
        self._numbers[sock] = sock.fileno()
        self._data[sock.fileno()] = data

    def unwatch(self, sock: socket.socket) -> None:
        """Wait for this sock no more. It is watched; it may be closed already."""
        number = self._numbers.pop(sock)
        del self._data[number]
        if sock.fileno() == number:  # with close() the kernel has taken it out by itself (epoll(7))
            self._epoll.unregister(number)

    def wait(self, seconds: float | None) -> list[tuple[object, bool, bool, bool]]:
        """Sleep until a sock is ready, at most `seconds` (None: for ever). Return (data, readable, writable, hup) for each.

        readable and writable only where they were asked for; hup always: the peer hung up, or an error waits.
        """
        ready = self._epoll.poll(seconds, max(1, len(self._data)))  # by default at most 1023 come at once
        hup = select.EPOLLHUP | select.EPOLLERR  # these come unasked
        return [
            (self._data[number], bool(bits & select.EPOLLIN), bool(bits & select.EPOLLOUT), bool(bits & hup))
            for number, bits in ready
        ]


def drain(sock: socket.socket) -> tuple[bytes, bool]:
    """Read all that has come. Return it, and whether the peer has finished; a reset counts as finished."""
    data = bytearray()
    while True:
        piece = try_recv(sock, 65536)
        if not piece:  # None: nothing is left (EAGAIN); b"": nothing more will come
            return bytes(data), piece == b""
        data += piece


class RunningServer:
    """A server that runs in a process of its own, with clients for it."""

    def __init__(self, address: tuple[str, int], pid: int) -> None:
        self.address, self.pid = address, pid
        self._clients = []

    def connect(self) -> socket.socket:
        """A new client. A call that takes over 1 s raises TimeoutError; it stays connected until you close it."""
        client = socket.create_connection(self.address, timeout=1.0)
        self._clients.append(client)
        return client

    def clients(self) -> int:
        """How many of them are still connected at our end."""
        return sum(client.fileno() != -1 for client in self._clients)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, the server stands still: all that clients do meanwhile it finds at once afterwards, in one wait."""
        Stopwatch(self.pid).until(lambda: _state(self.pid) == "S", 0.5)  # it has handled all that came before
        os.kill(self.pid, signal.SIGSTOP)
        wait_until(lambda: _state(self.pid) == "T", 1.0)  # a signal takes its time
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


def _state(pid: int) -> str:
    """The letter of proc_pid_stat(5); "" when the process has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def server_a(listener: socket.socket) -> None:
    """Answers in capitals; the line "job" starts a process that works for a minute."""
    epoll, conns, door = select.epoll(), {}, listener.fileno()
    epoll.register(door, select.EPOLLIN)
    while True:
        for number, events in epoll.poll():
            if number == door:
                if sock := try_accept(listener):
                    conns[sock.fileno()] = Conn(sock)
                    epoll.register(sock, select.EPOLLIN)
            elif conn := conns.get(number):
                conn.on_readable()
                if conn.outbuf == b"JOB\n" and os.fork() == 0:
                    time.sleep(60)
                    os._exit(0)
                conn.on_writable()
                epoll.modify(number, select.EPOLLOUT if conn.want_write else select.EPOLLIN)
                if conn.over:
                    del conns[number]
                    conn.sock.close()


def server_b(listener: socket.socket) -> None:
    """Answers in capitals; it may have 12 descriptors, and whoever finds none waits in the accept queue."""
    epoll, conns, door = select.epoll(), {}, listener.fileno()
    epoll.register(door, select.EPOLLIN)
    while True:
        for number, events in epoll.poll():
            if number == door:
                try:
                    sock = try_accept(listener)
                except OSError as error:
                    if error.errno != errno.EMFILE:
                        raise
                    continue
                if sock:
                    conns[sock.fileno()] = Conn(sock)
                    epoll.register(sock, select.EPOLLIN)
                continue
            conn = conns[number]
            conn.on_readable()
            conn.on_writable()
            epoll.modify(number, select.EPOLLOUT if conn.want_write else select.EPOLLIN)
            if conn.over:
                epoll.unregister(number)
                conns.pop(number).sock.close()


def server_c(listener: socket.socket) -> None:
    """Answers in capitals; when one client leaves, the game is over, and it lets go of all the others too."""
    epoll, conns, door = select.epoll(), {}, listener.fileno()
    epoll.register(door, select.EPOLLIN)
    while True:
        for number, events in epoll.poll():
            if number == door:
                if sock := try_accept(listener):
                    conns[sock.fileno()] = Conn(sock)
                    epoll.register(sock, select.EPOLLIN)
                continue
            conn = conns[number]
            conn.on_readable()
            conn.on_writable()
            epoll.modify(number, select.EPOLLOUT if conn.want_write else select.EPOLLIN)
            if conn.over:
                for other in list(conns):
                    epoll.unregister(other)
                    conns.pop(other).sock.close()


def server_d(listener: socket.socket) -> None:
    """Answers in capitals."""
    epoll, conns, door = select.epoll(), {}, listener.fileno()
    epoll.register(door, select.EPOLLIN)
    while True:
        for number, events in epoll.poll():
            if number == door:
                if sock := try_accept(listener):
                    conns[sock.fileno()] = Conn(sock)
                    epoll.register(sock, select.EPOLLIN)
                continue
            conn = conns[number]
            conn.on_readable()
            conn.on_writable()
            if conn.want_write:
                epoll.modify(number, select.EPOLLOUT)
            if conn.over:
                epoll.unregister(number)
                conns.pop(number).sock.close()


def provoke_a(server: RunningServer) -> str:
    """Be the clients that make server_a fail. Return the name of its bug."""
    client = server.connect()
    client.sendall(b"job\n")
    client.recv(4)  # now the process has been started, with copies of all descriptors
    client.close()
    return "zombie"


def provoke_b(server: RunningServer) -> str:
    """Be the clients that make server_b fail. Return the name of its bug."""
    for _ in range(13):
        server.connect()
    return "no descriptor"


def provoke_c(server: RunningServer) -> str:
    """Be the clients that make server_c fail. Return the name of its bug."""
    clients = server.connect(), server.connect()
    for client in clients:
        client.sendall(b"hello\n")
        client.recv(6)
    with server.paused():
        for client in clients:
            client.close()
    return "stale"


def provoke_d(server: RunningServer) -> str:
    """Be the clients that make server_d fail. Return the name of its bug."""
    client = server.connect()
    client.sendall(b"x" * 600_000 + b"\n")  # longer than the buffers, so one send() does not take it
    client.makefile("rb").readline()
    return "writable"


class Stopper:
    """Ends a loop that sleeps in engine.wait(): after stop(), wait() returns this Stopper as `data` of an entry."""

    def __init__(self, engine: "EpollEngine") -> None:
        self._engine = engine
        self._end, self._other_end = socket.socketpair()
        self._other_end.setblocking(False)
        engine.watch(self._end, True, False, self)

    def stop(self) -> None:
        """Wake the loop. From any thread, any number of times; never waits."""
        try:
            self._other_end.send(b"x")  # this makes the watched end readable
        except BlockingIOError:
            pass  # full: enough bytes lie there to wake it

    def close(self) -> None:
        """Take out of the engine what was put in, and close it. For the loop, when it has ended."""
        self._engine.unwatch(self._end)
        self._end.close()
        self._other_end.close()


def check_epoll_engine(attempt: Attempt) -> None:
    check_engine(attempt, "epoll")
    attempt.begin_anew()
    found = len(attempt.findings)
    try:
        check_server(attempt, inside=_serve_on)
    except Wrong as wrong:
        raise Wrong(f"The server of 5.3 on your engine: {wrong}") from None
    notes = [finding for finding in attempt.findings[found:] if not finding.startswith("ok: ")]
    del attempt.findings[found:]
    attempt.good("the server of 5.3 runs on it unchanged: all ten points")
    attempt.findings += notes


def _serve_on(talk: Talk, learner: Callable, listener: socket.socket) -> None:
    tell_closed_sockets(talk)
    server(learner(), listener)


_BURST = 1 << 20  # bytes


def check_drain(attempt: Attempt) -> None:
    run = attempt.run(_use_drain, attempt.listen())
    try:
        run.hear("drain did not answer within 1 s")
    except Raised as error:
        if error.type == "BlockingIOError":
            raise Wrong(
                f"BlockingIOError{error.line}: EAGAIN says that nothing is left to read. This is what drain waits for: catch "
                "it, and return."
            ) from None
        if error.type in ("ConnectionResetError", "BrokenPipeError"):
            raise Wrong(
                f"{error.type}{error.line}: the peer has sent a reset. It counts as finished: return what had come, and True."
            ) from None
        if error.type == "TypeError" and "None" in error.text:
            raise Wrong(
                f"TypeError: {error.text}{error.line}. try_recv gives None when nothing is left: then drain is through."
            ) from None
        raise
    run.alone()


def _use_drain(talk: Talk, learner: Callable, listener: socket.socket) -> None:
    drained = _Drained(talk, learner, listener)
    with drained.connection() as (client, sock):
        drained.step("Nothing has come")
        drained.gives(sock, b"", False, "Nothing has come")
        client.sendall(b"hello")
        drained.on_edge(sock, b"hello", False, "b'hello' had come")
        client.sendall(b"again")
        drained.on_edge(sock, b"again", False, "After b'hello', b'again' had come")
        talk.good("what has come, and False while the peer has not finished; it does not wait")
    with drained.connection(*socket.socketpair()) as (client, sock):
        left = memoryview(b" ".join(b"%07d" % number for number in range(_BURST // 8)))
        whole, got = bytes(left), bytearray()
        client.setblocking(False)
        while left:
            sent = 0
            try:
                while left:
                    size = client.send(left)
                    left, sent = left[size:], sent + size
            except BlockingIOError:
                pass
            drained.step("A burst had come")
            expected = whole[len(got) : len(got) + sent]
            got += drained.on_edge(sock, expected, False, f"A burst of {sent} bytes had come")
        talk.good("a burst of 1 MB, of which each edge is told once")
    drained.step("The peer sent b'bye' and has finished, so recv() gives b'' again and again")
    with drained.connection() as (client, sock):
        client.sendall(b"bye")
        client.shutdown(socket.SHUT_WR)
        drained.on_edge(sock, b"bye", True, "The peer sent b'bye' and finished, and both came as ONE edge", finished=True)
        drained.gives(sock, b"", True, "The peer had finished, and drain was called once more")
        talk.good("bytes and the end as one edge: both are told")
    drained.step("The peer sent a reset")
    for data, what in (b"", "The peer sent a reset"), (b"last words", "The peer sent b'last words', then a reset"):
        with drained.connection() as (client, sock):
            if data:
                client.sendall(data)
            reset(client)
            drained.on_edge(sock, data, True, what, finished=True)
    talk.good("a reset counts as finished, and what had come before it is not lost")


class _Drained:
    """drain(), called when an edge has been told."""

    def __init__(self, talk: Talk, learner: Callable, listener: socket.socket) -> None:
        self._talk, self._learner, self._listener = talk, learner, listener

    def step(self, what: str) -> None:
        self._talk.step(f"{what}, and drain(sock) did not return within 2 s", 2.0)

    @contextmanager
    def connection(self, *pair: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
        """A client, and the non-blocking socket to it, watched with EPOLLET: this pair, or a TCP connection."""
        client, sock = pair or (socket.create_connection(self._listener.getsockname()), self._listener.accept()[0])
        with client, sock, select.epoll() as self._epoll:
            sock.setblocking(False)
            self._epoll.register(sock, select.EPOLLIN | select.EPOLLET)
            yield client, sock

    def on_edge(self, sock: socket.socket, data: bytes, end: bool, what: str, finished: bool = False) -> bytes:
        """Wait until it has all arrived, take the edge, and call drain."""
        wait_until(lambda: (_waiting(sock) >= len(data) or finished) and (not finished or _at_end(sock)), 1.0)
        self._epoll.poll(1.0)
        return self.gives(sock, data, end, what)

    def gives(self, sock: socket.socket, data: bytes, end: bool, what: str) -> bytes:
        got = self._learner(sock)
        if not isinstance(got, tuple) or len(got) != 2:
            raise Wrong(f"{what}, and drain returned {a(got)}: return a tuple (bytes, finished).")
        if isinstance(got[0], bool) and isinstance(got[1], bytes):
            raise Wrong(f"{what}, and drain returned {got!r:.60}: first the bytes, then whether the peer has finished.")
        if type(got[0]) is not bytes:
            raise Wrong(
                f"{what}, and the first part of what drain returned is {a(got[0])}: bytes are asked for, b'' if nothing had "
                "come."
            )
        if not isinstance(got[1], bool):
            raise Wrong(f"{what}, and the second part of what drain returned is {got[1]!r}: True or False.")
        if sock.fileno() == -1:
            raise Wrong(f"{what}, and drain closed the socket: whoever owns it still needs it.")
        if os.get_blocking(sock.fileno()) or sock.gettimeout() != 0:
            raise Wrong(
                f"{what}, and drain left the socket blocking: it was non-blocking, and the next call on it must not sleep."
            )
        if got == (data, end):
            return data
        left = _waiting(sock)
        if len(got[0]) < len(data) and data.startswith(got[0]) and left and not self._epoll.poll(0.5):
            raise Wrong(
                f"{what}, drain returned {len(got[0])} of them, and no further event came in 0.5 s; {left} bytes are "
                "waiting. EPOLLET tells a "
                "change once: read until BlockingIOError (epoll(7))."
            )
        if got == (data, False):
            more = ", and no further event came in 0.5 s" if not self._epoll.poll(0.5) else ""
            why = (
                "A short read says that the buffer is empty, not that the end has not come: read on until None or b''."
                if data else "recv() gives b'' for the end, and ConnectionResetError for a reset: this is not None."
            )  # fmt: skip
            raise Wrong(f"{what}. drain returned {_short(got)}{more}: the connection would stay for ever. {why}")
        if got == (data, True):
            raise Wrong(
                f"{what}, and drain returned {_short(got)}: the peer has not finished. None says that nothing is left, b'' "
                "that nothing more "
                "will come: two different answers."
            )
        if len(got[0]) > len(data) and got[0].endswith(data):
            raise Wrong(
                f"{what}, and drain returned {_short(got)}: bytes of an earlier call came back. Begin each call with an "
                "empty bytearray."
            )
        if len(got[0]) < len(data) and not left:
            raise Wrong(
                f"{what}, and drain returned {_short(got)}: the rest was read and is lost. Collect ALL pieces, also when the "
                "end follows."
            )
        raise Wrong(f"{what}, and drain returned {_short(got)}, not {_short((data, end))}.")


def _short(got: tuple[bytes, bool]) -> str:
    data, end = got
    return f"({data!r}, {end})" if len(data) <= 40 else f"({data[:10]!r}… of {len(data)} bytes, {end})"


def _waiting(sock: socket.socket) -> int:
    """Bytes in its receive buffer (FIONREAD, tcp(7))."""
    return int.from_bytes(fcntl.ioctl(sock, termios.FIONREAD, bytes(4)), sys.byteorder)


def _at_end(sock: socket.socket) -> bool:
    """Has its peer's end, or a reset, arrived?"""
    look = select.poll()
    look.register(sock, select.POLLRDHUP)
    return bool(look.poll(0))


BUGS = "zombie", "stale", "writable", "no descriptor"
_DESCRIPTORS = 12  # that server_b may have

# What makes each of them right: lines, and what stands in their place.
REPAIRS = {
    server_a: [
        (
            "                    del conns[number]\n",
            "                    epoll.unregister(number)\n                    del conns[number]\n",
        )
    ],
    server_b: [
        ("                    continue\n", "                    epoll.modify(door, 0)\n                    continue\n"),
        (
            "                conns.pop(number).sock.close()\n",
            "                conns.pop(number).sock.close()\n                epoll.modify(door, select.EPOLLIN)\n",
        ),
    ],
    server_c: [
        (
            "            conn = conns[number]\n",
            "            if not (conn := conns.get(number)):\n                continue\n",
        )
    ],
    server_d: [
        (
            "            if conn.want_write:\n                epoll.modify(number, select.EPOLLOUT)\n",
            "            epoll.modify(number, select.EPOLLOUT if conn.want_write else select.EPOLLIN)\n",
        )
    ],
}


def check_bugs(attempt: Attempt) -> None:
    suspects = list(REPAIRS)
    listeners = [attempt.listen(SMALL) for _ in range(2 * len(suspects))]
    addresses = [listener.getsockname() for listener in listeners]
    servers = attempt.run(_run_servers, *listeners)
    pids = servers.hear("The servers did not start within 2 s", 2.0)["pids"]
    clients = attempt.run(_use_provoke)
    written, missing = 0, []
    for number, suspect in enumerate(suspects):
        name, provoke = suspect.__name__, suspect.__name__.replace("server", "provoke")
        told, broken = _experiment(clients, number, addresses[2 * number], pids[2 * number], provoke)
        if told.get("unwritten"):
            missing.append(provoke)
            continue
        written += 1
        if not broken:
            gone = "" if told["clients"] else " All your clients had left again by then."
            raise Wrong(
                f"{name} did not fail: after {provoke} it lives, and it sleeps.{gone} Which of its lines is wrong, and which "
                "clients bring "
                "it to that line?"
            )
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
    if not written:
        raise Open
    if missing:
        raise Wrong(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not written yet.")


_NAMES = "zombie", "no descriptor", "stale", "writable"  # in the order of REPAIRS


def _experiment(clients: Run, number: int, address: tuple, pid: int, provoke: str) -> tuple[dict, str]:
    """Run one experiment on the server `pid`. Returns what the learner's function told, and how the server failed, or ""."""
    watch = Stopwatch(pid)
    clients.say(which=number, address=address, pid=pid)
    try:
        told = clients.hear(f"{provoke}(server) did not return within 2 s", 2.0)
        clients.alone()
        return told, "" if told.get("unwritten") else _fails(pid)
    except Stuck as stuck:
        if stuck.asleep and "connect(" in stuck.doing:  # many clients were connected before, and took long
            raise Wrong(
                f"In {provoke} a client waits to be connected; {stuck.doing}: the accept queue is full (listen(2)). Fewer "
                "clients are enough."
            ) from None
        raise
    except Raised as error:
        if error.type == "TimeoutError" and "connect(" in error.line:
            raise Wrong(
                f"In {provoke} a client waited over 1 s to be connected{error.line}: the accept queue is full (listen(2)). "
                "Fewer clients are enough."
            ) from None
        if error.type == "TimeoutError" and watch.lost() > 0.5:  # of the second that a client waits
            raise NotChecked(TOO_BUSY) from None
        if error.type == "TimeoutError":
            raise Wrong(
                f"In {provoke} a client waited over 1 s{error.line}: no more bytes came for it, or no room to send."
            ) from None
        if error.type in ("ConnectionRefusedError", "ConnectionResetError", "BrokenPipeError") and _fails(pid) == "dies":
            raise Wrong(
                f"In {provoke} a client got {error.type}{error.line}: the server has died by then. So you have what you "
                "want: return the "
                "name of its bug before."
            ) from None
        raise Wrong(f"In {provoke}: {error}") from None
    finally:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _fails(pid: int) -> str:
    """ "dies", "runs all the time while nobody talks", or "" for a server that lives and sleeps."""
    watch, used, asleep = Stopwatch(pid), None, 0
    while watch.passed() < 3.0:
        try:
            state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return "dies"
        if state == "Z":  # it has ended, and its parent has not asked yet
            return "dies"
        cpu = (int(fields[10]) + int(fields[11])) / os.sysconf("SC_CLK_TCK")
        used = cpu if used is None else used
        asleep = asleep + 1 if state == "S" else 0
        if asleep == 5:
            return ""
        if cpu - used >= 0.15:
            return "runs all the time while nobody talks"
        time.sleep(0.004)
    if state == "T":
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
    for old, new in REPAIRS[suspect]:
        text = text.replace(old, new)
    names = dict(globals())
    exec(text, names)
    return names[suspect.__name__]


def _become(suspect: Callable, listener: socket.socket, end: int) -> NoReturn:
    """Be this server, with nothing open but its listener; when it dies, its end of the pipe tells why."""
    try:
        signal.alarm(60)  # should the check be gone
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
        talk.step(f"{provoke.__name__}(server) did not return within 2 s", 2.0)
        running = RunningServer(tuple(asked["address"]), asked["pid"])
        try:
            bug = provoke(running)
        except NotImplementedError:
            talk.tell(unwritten=True)
            continue
        if bug not in BUGS:
            what = repr(bug) if isinstance(bug, str) else a(bug)
            raise Wrong(
                f"{provoke.__name__} returned {what[:60]}: return the name of the bug, one of {', '.join(map(repr, BUGS))}."
            )
        talk.tell(bug=bug, clients=running.clients())


def check_stopper(attempt: Attempt) -> None:
    run = attempt.run(_use_stopper)
    try:
        run.hear("Stopper did not answer within 1 s")
    except Raised as error:
        if error.type == "AttributeError" and "fileno" in error.text:
            raise Wrong(
                f"{error} engine.watch() takes a thing with a method fileno(), and os.eventfd() gives a bare number: "
                "open(number, 'r+b', buffering=0) makes a file of it."
            ) from None
        if error.type == "KeyError":
            raise Wrong(
                f"{error} Is it engine.unwatch() that does not know what it was given? "
                "It takes the same object as engine.watch() before."
            ) from None
        if error.errno == errno.EBADF:
            raise Wrong(
                f"{error} stop() was called again, and its descriptor is closed: to close is for the loop, when it has ended."
            ) from None
        if error.type == "BlockingIOError":
            raise Wrong(
                f"{error} stop() was called many times, and the buffer of your pair is full: this is no error, for there are "
                "bytes enough "
                "to wake the loop. Catch BlockingIOError."
            ) from None
        raise
    run.alone()


def _use_stopper(talk: Talk, learner: Callable) -> None:
    for engine_class in EpollEngine, PollEngine:
        _stops(talk, learner, engine_class)
    talk.good("stop() from another thread wakes a loop in epoll_wait(), and one in poll()")
    talk.good("stop() many times, or before the loop sleeps; it never waits")
    talk.good("close() leaves no descriptor open, and no entry in the engine")


class _Loop(threading.Thread):
    """A loop that ends when wait() returns the Stopper as data."""

    def __init__(self, engine: object, stopper: object) -> None:
        super().__init__(daemon=True)
        self.engine, self.stopper, self.other, self.error = engine, stopper, None, None
        self.start()

    def run(self) -> None:
        try:
            while True:
                for data, *_ in self.engine.wait(None):
                    if data is not self.stopper:
                        self.other = (data,)
                    return
        except Exception as error:
            self.error = error

    def asleep(self) -> bool:
        return Path(f"/proc/self/task/{self.native_id}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def _stops(talk: Talk, learner: Callable, engine_class: type) -> None:
    watched = {}

    class Watched(engine_class):
        """The course's engine; it can be asked whom it watches."""

        def watch(self, sock, read, write, data):
            super().watch(sock, read, write, data)
            watched[sock] = data

        def unwatch(self, sock):
            super().unwatch(sock)
            del watched[sock]

    on = f"On {engine_class.__name__}: "
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", 0))
        mine.listen()
        engine = Watched()
        engine.watch(mine, True, False, "listener")
        before = set(open_numbers())
        for early in False, True:
            talk.step(f"{on}Stopper(engine) did not return within 1 s")
            stopper = learner(engine)
            if set(watched) == {mine}:
                raise Wrong(
                    f"{on}Stopper(engine) was made, and the engine watches nothing more than before: engine.watch(..., True, "
                    "False, self)."
                )
            if engine.wait(0):
                raise Wrong(
                    f"{on}Nobody has called stop(), and wait(0) returned something: the descriptor must not be ready before."
                )
            if early:
                talk.step(f"{on}stop() did not return within 1 s")
                stopper.stop()
                if not any(data is stopper for data, *_ in engine.wait(0)):
                    raise Wrong(
                        f"{on}stop() was called before the loop waited, and the next wait() told nothing of it: so it sleeps "
                        "for ever."
                    )
            loop = _Loop(engine, stopper)
            if not early:
                wait_until(lambda: all(loop.asleep() or time.sleep(0.002) for _ in range(5)), 1.0)
                talk.step(f"{on}stop() did not return within 1 s")
                stopper.stop()
            talk.step(f"{on}stop() was called, and the loop did not end", 3.0)
            Stopwatch(f"self/task/{loop.native_id}").until(lambda: not loop.is_alive(), 1.0)
            _ended(loop, on)
            # join() comes back a moment before the kernel has let go of the thread
            wait_until(lambda: not os.path.exists(f"/proc/self/task/{loop.native_id}"), 1.0)
            talk.step(
                f"{on}stop() was called 2000 times, and did not return within 2 s: a blocking send() sleeps when the buffer "
                "is full",
                2.0,
            )
            for _ in range(2000):
                stopper.stop()
            talk.step(f"{on}close() did not return within 1 s")
            stopper.close()
            if mine not in watched or mine.fileno() == -1:
                raise Wrong(f"{on}close() took a socket out of the engine, or closed it, that is not its own.")
            if left := len(set(open_numbers()) - before):
                raise Wrong(f"{on}close() left {left} more open than there were before Stopper(engine): close both ends.")
            if len(watched) > 1:
                raise Wrong(f"{on}close() left an entry in the engine: engine.unwatch() takes it out.")


def _ended(loop: _Loop, on: str) -> None:
    if loop.error:
        raise Wrong(
            f"{on}stop() was called, and the loop died of {type(loop.error).__name__}: {loop.error}. stop() only makes a "
            "descriptor readable: the "
            "loop itself ends then."
        )
    if loop.other:
        raise Wrong(
            f"{on}stop() was called, and wait() returned {a(loop.other[0])} as data, not the Stopper: engine.watch(..., "
            "True, False, self)."
        )
    if loop.is_alive():
        raise Wrong(
            f"{on}stop() was called, and the waiting thread did not notice: 1 s later it still sleeps in wait(). A flag, a "
            "closed descriptor, even "
            "that of epoll, or a change of the list does not wake it; a watched descriptor that becomes ready does."
        )


EXERCISES = (
    Exercise(
        id="6.1",
        minutes=8,
        task=(
            "Write the class `EpollEngine` with the methods of `PollEngine`, on epoll and level-triggered (水平触发). The "
            "interest list "
            "stays in the kernel: `watch` and `unwatch` change it, and `wait` hands nothing over. Your `server` of 5.3 must "
            "run on it "
            "unchanged."
        ),
        stub='''\
import select
import socket


class EpollEngine:
    """Who is waited for, on epoll, level-triggered. One entry for each socket; `data` is any object, and comes back from wait().

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
            "Start from your PollEngine: one select.epoll() object, and the same two dicts. The names of the bits begin "
            "with EPOLL.",
            "register() for a number that is registered already is FileExistsError here, and modify() for one that is not is "
            "FileNotFoundError: watch() has to know which of the two it needs. epoll.poll() takes seconds.",
            "When a socket is closed the kernel takes its number out of the interest list by itself, so unregister() fails in "
            "unwatch() then: ask sock.fileno() first.",
        ),
        solution=EpollEngine,
        explanation=(
            "epoll has the list of poll() in the kernel. register(), modify() and unregister() are one call of epoll_ctl() "
            "each, and a "
            "wait hands over nothing but room for the answers: so idle sockets cost nothing. The price is that program and "
            "kernel must "
            "agree: register twice and the kernel says EEXIST, modify what is not there and it says ENOENT (epoll_ctl(2)). "
            "A closed "
            "socket leaves the list by itself, if no duplicate of its descriptor is open anywhere (epoll(7), Questions and "
            "answers); "
            "to unwatch before closing is the safe order. By default Python's poll() hands over at most 1023 events a call "
            "(FD_SETSIZE-1); the others come with the next one."
        ),
        check=check_epoll_engine,
    ),
    Exercise(
        id="6.2",
        minutes=5,
        task=(
            "Write `drain(sock)` for EPOLLET (边缘触发), where the kernel speaks once and then is silent until something "
            "changes: read "
            "all that has come, and return it together with `True` if the peer has finished, else `False`. A reset counts as "
            "finished. `sock` is non-blocking."
        ),
        stub='''\
import socket

from course_lib.mine import try_recv


def drain(sock: socket.socket) -> tuple[bytes, bool]:
    """Read all that has come. Return it, and whether the peer has finished; a reset counts as finished."""
    raise NotImplementedError
''',
        hints=(
            "One try_recv() takes at most as many bytes as you allow. Which two of its answers say that there is no more "
            "to read now?",
            "None: nothing is left, so the peer has not finished. b'': it has finished. Both end the loop.",
            "Collect the pieces in a bytearray, and return (bytes(data), True or False).",
        ),
        solution=drain,
        explanation=(
            "With EPOLLET an event says that something CHANGED, and it comes once. Whatever you leave in the buffer stays "
            "there without "
            "another word, until the peer sends again; if it waits for your answer first, both wait for ever. So read until "
            "BlockingIOError: then the buffer is known to be empty, and the next byte is a new edge. A short read says that "
            "the buffer "
            "is empty too (epoll(7)), but not that the end has not come: bytes and end often arrive as one edge, and the "
            "end is seen by "
            "one more recv() only. What this costs: a peer that sends without pause keeps you here, and the others wait. A "
            "server with "
            "EPOLLET has to remember who is not drained yet, and go round."
        ),
        check=check_drain,
    ),
    Exercise(
        id="6.3",
        minutes=8,
        task=(
            "Find the bug. Each of `server_a` to `server_d` has one bug, each a different one. Write for each the "
            "experiment that "
            "makes it fail: be its clients, with `server.connect()` and, if two things must happen at the same moment, "
            "`with server.paused():`. "
            "Return the name of the bug:\n"
            "- `\"zombie\"`: a connection was closed, but a duplicate of its descriptor lives, and so does its entry in epoll;\n"
            "- `\"stale\"`: an event is handled whose connection was let go a moment before, in the same batch;\n"
            "- `\"writable\"`: EPOLLOUT is asked for when there is nothing to send;\n"
            "- `\"no descriptor\"`: accept() fails with EMFILE, and the listener stays readable.\n\n"
            "A server fails when it dies, or runs all the time while nobody talks. The check runs each experiment on the "
            "server, which must "
            "fail, and on the same server without its bug, which must not."
        ),
        stub='''\
import socket

from course_lib.exercises.epolling import RunningServer


def provoke_a(server: RunningServer) -> str:
    """Be the clients that make server_a fail. Return the name of its bug."""
    raise NotImplementedError


def provoke_b(server: RunningServer) -> str:
    """Be the clients that make server_b fail. Return the name of its bug."""
    raise NotImplementedError


def provoke_c(server: RunningServer) -> str:
    """Be the clients that make server_c fail. Return the name of its bug."""
    raise NotImplementedError


def provoke_d(server: RunningServer) -> str:
    """Be the clients that make server_d fail. Return the name of its bug."""
    raise NotImplementedError
''',
        hints=(
            "Compare how the four let go of a client, and what each does with the mask after an answer. What is in the "
            "interest list "
            "afterwards, and is it still true?",
            "a: a forked process has copies of all descriptors (fork(2)). c: two events in one batch: what has the first "
            "one done to "
            "the second? b and d: which call comes back at once, again and again?",
            "d: a line that is longer than the buffers takes more than one send(). Send b'x' * 600_000 + b'\\n', and read "
            "the answer to "
            "its end: client.makefile('rb').readline().",
        ),
        solution=(provoke_a, provoke_b, provoke_c, provoke_d),
        explanation=(
            "a: close() takes an entry out of the interest list when the last duplicate of the descriptor is closed, and "
            "the forked "
            "process holds one; so the end of the connection is reported for ever, under a number that nobody can unregister any "
            "more. Unregister first. b: EMFILE leaves the client in the accept queue, the listener stays readable, and each wait "
            "returns at once. Take the listener's bit away until a descriptor is free again. c: epoll.poll() gave a list; "
            "the first "
            "event closes the connection of the second, whose event is still to come. Look up whether it is still there, or "
            "let go at "
            "the end of the batch. d: after the long answer nothing is to be sent, and the socket is writable, for ever. "
            "Set the mask after each answer, both ways."
        ),
        check=check_bugs,
    ),
    Exercise(
        id="6.4",
        minutes=4,
        task=(
            "Write the class `Stopper`: it ends a loop that sleeps in `engine.wait(None)`, from another thread. "
            "`Stopper(engine)` makes a "
            "descriptor that the engine watches, with the Stopper itself as `data`; `stop()` makes it readable; `close()` "
            "leaves nothing "
            "behind, neither in the engine nor an open descriptor. Use `socket.socketpair()` or `os.eventfd()`."
        ),
        stub='''\
import os
import socket


class Stopper:
    """Ends a loop that sleeps in engine.wait(): after stop(), wait() returns this Stopper as `data` of an entry."""

    def __init__(self, engine: "EpollEngine") -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """Wake the loop. From any thread, any number of times; never waits."""
        raise NotImplementedError

    def close(self) -> None:
        """Take out of the engine what was put in, and close it. For the loop, when it has ended."""
        raise NotImplementedError
''',
        hints=(
            "What wakes a thread that sleeps in epoll_wait()? One of the descriptors that it watches must become ready. So "
            "give it one "
            "that is yours.",
            "one, other = socket.socketpair(): watch `one` for reading; a byte sent into `other` wakes the loop, from any "
            "thread. Nobody "
            "has to read the byte: the loop ends.",
            "stop() may be called a thousand times: the pair's buffer gets full, and a blocking send() would sleep. "
            "other.setblocking(False), and BlockingIOError is no error here.",
        ),
        solution=Stopper,
        explanation=(
            "A thread that sleeps in the kernel sees no flag and no variable, and it does not notice that a descriptor is "
            "closed, not even "
            "epoll's own: closing takes away the number, and the sleeping call holds what is behind it. Only an event wakes "
            "it. So the "
            "loop watches a descriptor for this purpose alone, and another thread makes it readable: the self-pipe trick; "
            "asyncio's "
            "call_soon_threadsafe() does the same. The byte stays in the buffer, so a stop() that comes before the loop "
            "sleeps is not lost."
        ),
        check=check_stopper,
    ),
)
