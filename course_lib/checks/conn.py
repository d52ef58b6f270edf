"""Check of exercise 3.2: a connection that never waits."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from course_lib.sandbox import Attempt, Talk, Wrong, a

from .ends import LONG_LINES, TOO_LONG, answers_no_more, connection, left_as_it_was, readable, reset, writable
from .probe import raise_first

_SPINS = (
    "outbuf is empty, but want_write is true: a socket is writable nearly all the time, so whoever asks for it with nothing to "
    "send spins."
)
_CLOSED = (
    "Conn closed its socket. Leave that to the server: it has the socket in a list and must cross it off first. Conn only says "
    "that it is over."
)
_STILL_READS = "sends no more, but it still reads (shutdown(2))"
_LOST = (
    "The error has many names: catch BlockingIOError first, then OSError; then nothing more will come, and nothing can be sent."
)
_CAUSES = {
    "BlockingIOError in sendall": "{type}{line}: sendall() gave up on the way, and how much went out is unknown (Python docs, "
    "socket.sendall). Use send() and `del self.outbuf[:sent]`.",
    "BlockingIOError": "{type}{line}: EAGAIN is an answer. It says that nothing has come, or that the send buffer is full: keep what "
    "you have, and return.",
    "ECONNRESET": f"{{type}}{{line}}: the client has sent a reset. {_LOST}",
    "EPIPE": f"{{type}}{{line}}: the client sent a reset before this send. {_LOST}",
    "ETIMEDOUT": f"{{type}}{{line}}: the client answers no more. {_LOST}",
    "ValueError": "Lines raises it for too long a line: then this client has finished, and the others go on.",
    "TypeError AttributeError: None": "{type}: {text}{line}. Nothing had come, so try_recv gave None: that means not yet, so "
    "on_readable has nothing to do.",
}


def check_conn(attempt: Attempt) -> None:
    told = attempt.ask(_use_conn, attempt.listen(send_buffer=16_384), causes=_CAUSES)
    if told["copies"]:
        attempt.note("outbuf = outbuf[sent:] copies all the rest each time; `del outbuf[:sent]` on a bytearray does not.")


def _use_conn(talk: Talk, learner: type, listener: socket.socket) -> None:
    talk.step("A new Conn, with nothing to read and nothing to send, did not return within 1 s")
    with _both_ends(learner) as served:
        _nothing_to_do(talk, served)
        _lines_in_capitals(talk, learner, served)
    _half_closes(talk, learner)
    copies = _a_long_line(talk, learner)
    _is_reset(talk, learner, listener)
    _is_lost(talk, learner, listener)
    _never_reads(talk, learner)
    _too_long_a_line(talk, learner)
    talk.tell(copies=copies)


def _nothing_to_do(talk: Talk, served: _Served) -> None:
    has_it = getattr(served.conn, "sock", None) is served.sock
    causes = {
        "conn.sock is not the socket that Conn was given: the server needs it there, to wait for it and close it.": not has_it,
        "over is true for a new Conn: then the server lets it go before its first byte.": served.over,
        "want_read is false for a new Conn: then nobody reads its first line.": not served.want_read,
        _SPINS: served.want_write,
    }
    raise_first(causes)
    left_as_it_was("Conn", served.sock, "its socket")
    served.conn.on_readable()
    served.conn.on_writable()
    if served.over or not served.want_read:
        raise Wrong("Nothing had come, and Conn took it for the end: None means not yet, b'' means finished. Tell them apart.")
    left_as_it_was("Conn", served.sock, "its socket")
    talk.good("nothing to read, nothing to send: it returns at once and goes on")


def _lines_in_capitals(talk: Talk, learner: type, served: _Served) -> None:
    talk.step("A client sent a line, and Conn did not return within 1 s")
    served.expect(b"hello\n", b"HELLO\n")
    served.expect(b"one\ntw", b"ONE\n")
    served.expect(b"o\nthree\nfo", b"TWO\nTHREE\n")
    served.expect(b"ur\n\n", b"FOUR\n\n")
    with _both_ends(learner) as other:
        served.expect(b"of the first", b"")
        other.expect(b"second\n", b"SECOND\n", "Another Conn held half a line. Each needs its own buffers: the client")
        served.expect(b"\n", b"OF THE FIRST\n")
    conn = served.conn
    if not isinstance(conn.outbuf, (bytes, bytearray)):
        raise Wrong(f"outbuf is {a(conn.outbuf)}: leave it a bytearray, the server may add to it.")
    conn.outbuf += b"from the server\n"
    if not served.want_write:
        raise Wrong("The server put bytes into outbuf, and want_write stayed false. Let it follow outbuf: bool(self.outbuf).")
    served.expect(b"", b"from the server\n")
    talk.good("lines in capitals, however the stream was cut; each Conn has its own buffers")


def _half_closes(talk: Talk, learner: type) -> None:
    talk.step("A client sent three lines and half-closed, and Conn did not return within 1 s")
    with _both_ends(learner) as served:
        served.client.sendall(b"one\ntwo\nthree\nhalf")
        served.client.shutdown(socket.SHUT_WR)
        got = served.serve(b"", 15)
        if got.startswith(b"ONE\nTWO\nTHREE\nH"):
            raise Wrong(
                "The client finished in the middle of a line, b'half', and got an answer to it: without b'\\n' it is no line."
            )
        served.has_finished(got.count(b"\n"), 3)
    talk.good("after a half-close: all answers, then over")


def _a_long_line(talk: Talk, learner: type) -> bool:
    """Returns True if outbuf is copied for each send."""
    size = 60_001
    talk.step("A client sent a line of 60,000 bytes, and Conn did not return within 2 s", 2.0)
    with _both_ends(learner) as served:
        served.serve(b"x" * (size - 1) + b"\n", 1)
        served.client.shutdown(socket.SHUT_WR)
        for _ in range(3):  # the client does not read, so the send buffer is full now
            if not served.over and served.want_write:
                served.conn.on_writable()
        if served.over and served.conn.outbuf:
            served.has_finished(0, 1)
        got = b"X" + served.serve(b"", size)
        arrived, kept = f"{size} bytes were to be sent, and {len(got)} arrived", len(served.conn.outbuf)
        less = len(got) < size
        causes = {
            f"{arrived}: outbuf was emptied when the send buffer was full. BlockingIOError is an OSError too, and a full buffer is no "
            "end: catch it first, and keep all.": less and not kept and served.conn.finished,
            f"{arrived}: send() takes what fits into the buffer and returns how much (send(2)). Keep the rest: "
            "del self.outbuf[:sent].": less,
            "Bytes were sent twice: send() returns how many the kernel took, and just these must go: "
            "del self.outbuf[:sent].": kept or got != b"X" * (size - 1) + b"\n",
        }
        raise_first(causes)
        served.has_finished(1, 1)
    talk.good("an answer of 60,000 bytes, in parts, to a client that reads late")
    return served.copies


def _is_reset(talk: Talk, learner: type, listener: socket.socket) -> None:
    for waiting in (b"", LONG_LINES):
        talk.step("A client sent a reset, and Conn did not return within 2 s", 2.0)
        with connection(listener, 16_384) as (client, sock):
            client.setblocking(False)
            served = _Served(learner, sock, client)
            if waiting:
                served.serve(waiting, 1)
            reset(client)
            for _ in range(5):
                if not served.over:
                    readable(sock, 1.0)
                    served.turn()
            if not served.over:
                left = f", {len(served.conn.outbuf)} bytes wait in outbuf for nobody," if served.conn.outbuf else ""
                raise Wrong(
                    f"A client has sent a reset{left} and over stays false: your server keeps it for ever. After an OSError "
                    "nothing more will come, and nothing can be sent."
                )
            served.is_open()
    talk.good("a reset, also in the middle of an answer: over")


def _is_lost(talk: Talk, learner: type, listener: socket.socket) -> None:
    """A send after a reset, and to a client that answers no more."""
    for what, why in ("has gone, and the server sends again", "BrokenPipeError"), ("answers no more", "TimeoutError"):
        talk.step(f"A client {what}, and Conn did not return within 4 s", 4.0)
        with connection(listener) as (client, sock):
            served = _Served(learner, sock, client)
            if why == "TimeoutError":
                if not answers_no_more(sock):
                    continue
            else:
                client.close()
                sock.send(b"to nobody\n")  # a reset comes back
                readable(sock, 1.0)
            served.conn.outbuf += b"hello\n"
            served.conn.on_writable()
            if not served.over:
                raise Wrong(
                    f"A client {what}: send() raised {why}, {len(served.conn.outbuf)} bytes wait in outbuf, and over stays false. "
                    "Nothing can be sent any more, so nothing is left to send."
                )
    talk.good("a send after a reset (EPIPE), or to a client that answers no more (ETIMEDOUT): over")


def _never_reads(talk: Talk, learner: type) -> None:
    """outbuf must not grow as long as a client sends and does not read."""
    talk.step("A client sent and did not read, and Conn did not return within 1 s")
    with _both_ends(learner) as served:
        for _ in range(400):
            if not writable(served.client):
                break  # its own buffers are full
            served.client.send(b"x" * 999 + b"\n")
            served.turn()
        else:
            raise Wrong(
                "A client that sends and never reads made outbuf grow without end: your memory fills. want_read is false while "
                "answers wait; then its bytes stay in its own buffers."
            )
    talk.good("a client that sends and never reads does not fill the memory")


def _too_long_a_line(talk: Talk, learner: type) -> None:
    what = f"A client sent {len(TOO_LONG)} bytes without b'\\n'"
    talk.step(f"{what}, and Conn did not return within 1 s")
    with _both_ends(learner) as served:
        served.expect(b"hello\n", b"HELLO\n")
        served.serve(TOO_LONG, 1)
        if not served.over:
            raise Wrong(
                f"{what}, and over stays false. Lines raises ValueError for too long a line: then nothing more is read, finished."
            )
    talk.good("too long a line: over")


@contextmanager
def _both_ends(learner: type) -> Iterator[_Served]:
    """A Conn and its client, joined by small buffers; both sockets are non-blocking."""
    sock, client = socket.socketpair()
    with sock, client:
        for end in sock, client:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
            end.setblocking(False)
        yield _Served(learner, sock, client)


class _Served:
    """The learner's Conn, as a careful server uses it, and the client at the other end."""

    def __init__(self, learner: type, sock: socket.socket, client: socket.socket) -> None:
        self.sock, self.client = sock, client
        self.conn: Any = learner(sock)
        self.copies = False  # was outbuf copied for a send?

    over = property(lambda self: self._says("over"))
    want_read = property(lambda self: self._says("want_read"))
    want_write = property(lambda self: self._says("want_write"))

    def _says(self, name: str) -> bool:
        if not hasattr(type(self.conn), name) and name not in getattr(self.conn, "__dict__", {}):
            raise Wrong(f"Conn has no {name}: the server asks for it after each call.")
        value = getattr(self.conn, name)
        if callable(value):
            raise Wrong(f"{name} is a method here, and the server reads it as a value: write @property above it.")
        return bool(value)

    def is_open(self) -> None:
        if self.sock.fileno() == -1:
            raise Wrong(_CLOSED)

    def turn(self) -> None:
        """Let it do what it wants to do, ready or not."""
        self.is_open()
        if self.want_read:
            self.conn.on_readable()
        if self.want_write:
            self.conn.on_writable()

    def serve(self, data: bytes, size: int) -> bytes:
        """Serve a client that sends `data` and reads until it has `size` bytes. Returns them, or less when nothing goes on."""
        got, unsent, rounds = bytearray(), memoryview(data), 0
        while (len(got) < size or unsent) and rounds < 20_000:
            self.is_open()
            over = self.over
            reading = [self.client] * (len(got) < size) + [self.sock] * (not over and self.want_read)
            writing = [self.client] * bool(unsent) + [self.sock] * (not over and self.want_write)
            readable, writable, _ = select.select(reading, writing, [], 0 if over else 0.2)
            if not readable and not writable:
                break
            rounds = 0 if self.client in readable + writable else rounds + 1  # in which the client neither gets nor sends
            if self.client in readable:
                if not (chunk := self.client.recv(size - len(got))):
                    break
                got += chunk
            if self.client in writable:
                unsent = unsent[self.client.send(unsent[:65_536]) :]
            if self.sock in readable:
                self.conn.on_readable()
            if self.sock in writable:
                before = self.conn.outbuf
                self.conn.on_writable()
                after = self.conn.outbuf
                self.copies |= isinstance(after, (bytes, bytearray)) and len(after) > 0 and after is not before
        return bytes(got)

    def expect(self, sent: bytes, right: bytes, who: str = "The client") -> None:
        got = self.serve(sent, len(right) or 100)
        waits, said = len(self.conn.outbuf), f"{who} sent {sent!r} and got {got!r}"
        if got == right:
            causes = {
                "All answers have arrived, and outbuf still holds bytes: take away what send() took: "
                "del self.outbuf[:sent].": right and waits,
                _SPINS: right and self.want_write,
                "The client has its answer and is still there, but over is true: it is over only when the client has "
                "finished.": self.over,
            }
        else:
            nobody_sends, one_line = not got and waits and not self.want_write, right.count(b"\n") == 1
            causes = {
                "An answer waits in outbuf and want_write is false: then nobody calls on_writable.": nobody_sends,
                f"{said}: without b'\\n' it is no line yet. Use Lines.": not right,
                "The answer has no b'\\n' at its end: the client cannot tell one line from the next.": got + b"\n" == right
                and one_line,
                f"{said}: answer in capitals.": got.upper() == right,
                f"{said}, not {right!r}.": True,
            }
        raise_first(causes)

    def has_finished(self, answers: int, of: int) -> None:
        """The client got so many answers and has finished; is it over now?"""
        self.is_open()
        causes = {
            f"over is true after {answers} of {of} answers: b'' says that the client {_STILL_READS}. It is over when outbuf is "
            "empty too.": answers < of and self.over and self.conn.outbuf,
            f"The client half-closed and got {answers} of {of} answers: b'' says that it {_STILL_READS}.": answers < of,
        }
        raise_first(causes)
        for _ in range(2):  # the end may not have been read yet
            if self.want_read and readable(self.sock, 1.0):
                self.conn.on_readable()
        causes = {
            "The client has finished, and want_read is still true: at its end a socket is readable for ever, and recv() gives "
            "b'' again and again. Remember that it has finished.": self.want_read,
            "The client has finished and has all its answers, but over stays false: your server keeps it for "
            "ever.": not self.over,
        }
        raise_first(causes)


CHECKS = {"3.2": check_conn}
