"""Checks of notebook 06: an engine on epoll, reading all there is, four bugs of epoll servers, a way to wake a loop."""

from __future__ import annotations

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
from typing import TYPE_CHECKING, Callable, Iterator, NoReturn

from course_lib.sandbox.attempt import Attempt
from course_lib.sandbox.outcome import TOO_BUSY, NotChecked, Open, Raised, Stuck, Wrong
from course_lib.sandbox.proc import open_numbers
from course_lib.sandbox.stopwatch import Stopwatch, wait_until
from course_lib.sandbox.talk import Talk
from course_lib.sandbox.words import a
from course_lib.solutions import suspects
from course_lib.solutions.epolling import EpollEngine
from course_lib.solutions.polling import PollEngine, server
from course_lib.solutions.suspects import RunningServer, server_a, server_b, server_c, server_d

from .ends import reset
from .engines import check_engine
from .harness import SMALL, check_server, tell_closed_sockets

if TYPE_CHECKING:
    from course_lib.sandbox.run import Run


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
    for listener in listeners:  # what a client has sent lies there before it is read: in small parts it would come with gaps
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
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
            if not told["connected"]:
                gone = f" {provoke} connected no client."
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
    names = dict(vars(suspects))
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
        talk.tell(bug=bug, clients=running.clients(), connected=len(running._clients))


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
        before = open_numbers()
        for early in False, True:
            talk.step(f"{on}Stopper(engine) did not return within 1 s")
            stopper = learner(engine)
            if set(watched) == {mine}:
                raise Wrong(
                    f"{on}Stopper(engine) was made, and the engine watches nothing more than before: engine.watch(..., True, "
                    "False, self)."
                )
            if early_told := engine.wait(0):
                if any(hup for *_, hup in early_told):
                    raise Wrong(
                        f"{on}Nobody has called stop(), and wait(0) told that the peer hung up: the other end is closed already. Keep "
                        "it in self; Python closes a socket with its last name."
                    )
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
                if engine_class is EpollEngine:
                    stopper.stop()
                else:
                    _in_another_thread(stopper.stop)
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
            if left := len(open_numbers() - before):
                raise Wrong(f"{on}close() left {left} more open than there were before Stopper(engine): close both ends.")
            if len(watched) > 1:
                raise Wrong(f"{on}close() left an entry in the engine: engine.unwatch() takes it out.")


def _in_another_thread(call: Callable) -> None:
    errors = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


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
            "that of epoll, or a change of the list does not wake it; a watched descriptor that becomes ready does. "
            "stop() may come from any thread."
        )


CHECKS = {"6.1": check_epoll_engine, "6.2": check_drain, "6.3": check_bugs, "6.4": check_stopper}
