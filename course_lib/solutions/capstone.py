"""References of notebook 09: the protocol of Redis, worker processes at one port, a listener handed over, a time limit."""

import errno
import itertools
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Generator
from contextlib import suppress

from .coroutines import Loop, http, recv, send_all


def resp(conn: socket.socket, store: dict[bytes, bytes]) -> Generator[object, None, None]:
    """Serve RESP, the protocol of Redis, on this connection until the client has finished, then close it.

    All connections share `store`. A command has at most 1024 words, and these together at most 1 MB (1 << 20 bytes).
    """
    unread, answers, missing = bytearray(), bytearray(), b"$-1\r\n"

    def flush() -> Generator[tuple, None, None]:
        yield from send_all(conn, bytes(answers))
        answers.clear()

    def more() -> Generator[tuple, None, None]:
        yield from flush()  # the client may wait for these before it goes on
        if not (data := (yield from recv(conn, 16_384))):
            raise ConnectionError("the client has finished")
        unread.extend(data)

    def take(size: int) -> Generator[tuple, None, bytes]:
        while len(unread) < size:  # what is announced takes no memory; what has come does
            yield from more()
        taken = bytes(unread[:size])
        del unread[:size]
        return taken

    def line() -> Generator[tuple, None, bytes]:
        while not (size := unread.find(b"\n") + 1):
            if len(unread) > 65_536:
                raise ValueError("too long a line")
            yield from more()
        return (yield from take(size)).rstrip(b"\r\n")

    def number(text: bytes, sign: bytes, most: int) -> int:
        if text[:1] != sign or not text[1:].isdigit() or len(text) > 9 or int(text[1:]) > most:
            raise ValueError(f"expected '{sign.decode()}' and a number up to {most}")
        return int(text[1:])

    def command() -> Generator[tuple, None, list[bytes]]:
        first = yield from line()
        if first[:1] != b"*":
            return first.split()  # inline, as a person types it
        words, left = [], 1 << 20
        for _ in range(number(first, b"*", 1024)):
            size = number((yield from line()), b"$", left)
            word = yield from take(size + 2)
            if word[-2:] != b"\r\n":
                raise ValueError("expected a line end after a word")
            words.append(word[:-2])
            left -= size
        return words

    def answer(name: bytes, *arguments: bytes) -> bytes:
        nonlocal missing
        match name.upper(), *arguments:
            case [b"PING"]:
                return b"+PONG\r\n"
            case [b"SET", key, value]:
                store[key] = value
                return b"+OK\r\n"
            case [b"GET", key]:
                held = store.get(key)
                return missing if held is None else b"$%d\r\n%b\r\n" % (len(held), held)
            case [b"HELLO", b"3"]:
                missing = b"_\r\n"
                return b"%1\r\n$5\r\nproto\r\n:3\r\n"
            case [b"PING" | b"SET" | b"GET", *_]:
                return b"-ERR wrong number of arguments\r\n"
        return b"-ERR unknown command %a\r\n" % name[:60].decode("latin-1")  # %a: no line end gets out

    try:
        try:
            for turn in itertools.count(1):
                if turn % 16 == 0:
                    yield None  # many commands may have come at once: the other clients have their turn too
                if words := (yield from command()):
                    answers.extend(answer(*words))
                if len(answers) > 65_536:
                    yield from flush()  # a client that does not read has to wait
        except ValueError as error:  # nobody knows where the next command begins
            answers.extend(b"-ERR Protocol error: %b\r\n" % str(error).encode())
            yield from flush()
    except OSError as error:
        if error.errno == errno.EBADF:  # our own mistake
            raise
        # else the client has finished or gone, or no way leads to it
    finally:
        conn.close()


def open_listeners(number: int, port: int = 0) -> list[socket.socket]:
    """Open `number` listeners at the same port of 127.0.0.1; port 0: the kernel chooses one. They listen when it returns."""
    listeners = []
    for _ in range(number):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # each of them, before bind() compares it (socket(7))
        listener.bind(("127.0.0.1", port))
        listener.listen()
        port = listener.getsockname()[1]  # for all others, what the kernel chose for the first
        listeners.append(listener)
    return listeners


def prefork(listeners: list[socket.socket], serve: Callable[[socket.socket], None]) -> None:
    """Run serve(listener) in a process of its own for each listener, and again when one has ended, until SIGTERM comes."""
    signals = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # from now on they wait until sigwait() takes them
    ours = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where our caller ignores it, none would come (wait(2))
    workers = {}  # number of the process -> its listener

    def start(listener: socket.socket) -> None:
        if pid := os.fork():
            workers[pid] = listener
            return
        try:  # the child: it has a copy of everything, also of the mask and of the other listeners
            for other in listeners:
                if other is not listener:
                    other.close()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # our caller's handler, if it had one, does not end a worker
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C comes to all of us: the parent says when to end
            signal.pthread_sigmask(signal.SIG_SETMASK, mask - {signal.SIGTERM})  # also where our caller holds it back
            serve(listener)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)  # whatever happened: the child must not go on as a second parent

    try:
        for listener in listeners:
            start(listener)
        while signal.sigwait(signals) == signal.SIGCHLD:
            time.sleep(0.05)  # who fails at once, again and again, must not keep us busy
            for pid, listener in list(workers.items()):  # one SIGCHLD may stand for several (signal(7))
                if os.waitpid(pid, os.WNOHANG)[0]:
                    del workers[pid]
                    start(listener)
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
        for pid in workers:
            os.waitpid(pid, 0)
        for listener in listeners:
            listener.close()
        signal.signal(signal.SIGCHLD, ours)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def hand_over(listener: socket.socket, unix_sock: socket.socket) -> None:
    """Give the listener to the process at the other end of unix_sock, wait until it has it, and close our copy.

    Raises ConnectionError if the other end has gone; the listener stays open then.
    """
    socket.send_fds(unix_sock, [b"L"], [listener.fileno()])  # at least one byte must go along (unix(7), SCM_RIGHTS)
    if not unix_sock.recv(1):
        raise ConnectionError("the new process has gone: the listener stays here")
    listener.close()  # our copy only; shutdown() would end the listener itself, which both processes have


def take_over(unix_sock: socket.socket) -> socket.socket:
    """Return the listener that comes through unix_sock, non-blocking, and say that it is here.

    Raises ConnectionError if the other end has gone and nothing has come.
    """
    # What recv_fds() does, but for the flag, which it drops: no program that is started meanwhile inherits the listener.
    _, notes, _, _ = unix_sock.recvmsg(1, socket.CMSG_LEN(4), socket.MSG_CMSG_CLOEXEC)
    if not notes:
        raise ConnectionError("the old process has gone, and no listener came")
    number = int.from_bytes(notes[0][2], sys.byteorder)  # of our own, for the same listener
    listener = socket.socket(fileno=number)
    listener.setblocking(False)  # as it is already: this tells the Python object
    try:
        unix_sock.sendall(b"L")
    except ConnectionError:
        pass  # the old process has ended meanwhile: all the more we go on
    return listener


class RequestTimeout:
    """Serves HTTP on `loop` to clients that may take so many `seconds` for each request; who takes longer is let go."""

    def __init__(self, loop: Loop, seconds: float) -> None:
        self.loop, self.seconds = loop, seconds
        self._until = {}  # connection -> moment; all may take equally long, so the first one is the next
        self._watched = False

    def serve(self, conn: socket.socket, page: Callable[[str], Generator[object, None, bytes | None]]) -> Generator:
        """http(conn, page) of 7.4; a limit runs from the first step, and from each answer, until the request is whole."""

        def asked(path: str) -> Generator[object, None, bytes | None]:
            self._until.pop(conn, None)  # the request is whole: what comes now may take its time
            return (yield from page(path))

        task = http(conn, asked)
        try:
            self._begin(conn)
            for wait in task:
                if wait == ("read", conn) and conn not in self._until:  # the answer is out: the next request
                    self._begin(conn)
                yield wait
        finally:
            self._until.pop(conn, None)
            task.close()

    def _begin(self, conn: socket.socket) -> None:
        self._until[conn] = time.monotonic() + self.seconds
        if not self._watched:
            self._watched = True
            self.loop.spawn(self._watch())

    def _watch(self) -> Generator[tuple, None, None]:
        """One task for all clients; it ends when no limit runs."""
        while self._until:
            conn, moment = next(iter(self._until.items()))
            if (left := moment - time.monotonic()) > 0:
                yield "sleep", left
            else:
                del self._until[conn]
                with suppress(OSError):  # its peer has gone
                    conn.shutdown(socket.SHUT_RDWR)  # wakes its task: recv gives b"", and http closes
        self._watched = False


EXERCISES = {
    "9.1": (resp,),
    "9.2": (open_listeners, prefork),
    "9.3": (hand_over, take_over),
    "9.4": (RequestTimeout,),
}
