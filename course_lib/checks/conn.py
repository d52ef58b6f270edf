"""Check of exercise 3.2: a connection that never waits."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from course_lib.sandbox import Attempt, Talk, Wrong, a

from .ends import LONG_LINES, TOO_LONG, answers_no_more, connection, left_as_it_was, readable, reset, writable

_SPINS = (
    "outbuf is empty, but want_write is true: a socket is writable nearly all the time, so whoever asks for it with nothing to "
    "send spins."
)
_CLOSED = (
    "Conn closed its socket. Leave that to the server: it has the socket in a list and must cross it off first. Conn only says "
    "that it is over."
)


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
    with _both_ends(learner) as (conn, sock, client):
        _nothing_to_do(talk, conn, sock)
        _lines_in_capitals(talk, learner, conn, client)
    _half_closes(talk, learner)
    copies = _a_long_line(talk, learner)
    _is_reset(talk, learner, listener)
    _is_lost(talk, learner, listener)
    _never_reads(talk, learner)
    _too_long_a_line(talk, learner)
    talk.tell(copies=copies)


def _nothing_to_do(talk: Talk, conn: Any, sock: socket.socket) -> None:
    if getattr(conn, "sock", None) is not sock:
        raise Wrong("conn.sock is not the socket that Conn was given: the server needs it there, to wait for it and close it.")
    for name, wanted, otherwise in (
        ("over", False, "over is true for a new Conn: then the server lets it go before its first byte."),
        ("want_read", True, "want_read is false for a new Conn: then nobody reads its first line."),
        ("want_write", False, _SPINS),
    ):
        if _says(conn, name) is not wanted:
            raise Wrong(otherwise)
    left_as_it_was("Conn", sock, "its socket")
    conn.on_readable()
    conn.on_writable()
    if _says(conn, "over") or not _says(conn, "want_read"):
        raise Wrong("Nothing had come, and Conn took it for the end: None means not yet, b'' means finished. Tell them apart.")
    left_as_it_was("Conn", sock, "its socket")
    talk.good("nothing to read, nothing to send: it returns at once and goes on")


def _lines_in_capitals(talk: Talk, learner: type, conn: Any, client: socket.socket) -> None:
    talk.step("A client sent a line, and Conn did not return within 1 s")
    _expect(conn, client, b"hello\n", b"HELLO\n")
    _expect(conn, client, b"one\ntw", b"ONE\n")
    _expect(conn, client, b"o\nthree\nfo", b"TWO\nTHREE\n")
    _expect(conn, client, b"ur\n\n", b"FOUR\n\n")
    with _both_ends(learner) as (other, _, other_client):
        _expect(conn, client, b"of the first", b"")
        _expect(other, other_client, b"second\n", b"SECOND\n", "Another Conn held half a line. Each needs its own buffers: ")
        _expect(conn, client, b"\n", b"OF THE FIRST\n")
    if not isinstance(conn.outbuf, (bytes, bytearray)):
        raise Wrong(f"outbuf is {a(conn.outbuf)}: leave it a bytearray, the server may add to it.")
    conn.outbuf += b"from the server\n"
    if not _says(conn, "want_write"):
        raise Wrong("The server put bytes into outbuf, and want_write stayed false. Let it follow outbuf: bool(self.outbuf).")
    _expect(conn, client, b"", b"from the server\n")
    talk.good("lines in capitals, however the stream was cut; each Conn has its own buffers")


def _half_closes(talk: Talk, learner: type) -> None:
    talk.step("A client sent three lines and half-closed, and Conn did not return within 1 s")
    with _both_ends(learner) as (conn, sock, client):
        client.sendall(b"one\ntwo\nthree\nhalf")
        client.shutdown(socket.SHUT_WR)
        got, _ = _serve(conn, client, b"", 15)
        if got == b"ONE\nTWO\nTHREE\nHALF\n" or got.startswith(b"ONE\nTWO\nTHREE\nH"):
            raise Wrong(
                "The client finished in the middle of a line, b'half', and got an answer to it: without b'\\n' it is no line."
            )
        _is_over(conn, got.count(b"\n"), 3)
        talk.good("after a half-close: all answers, then over")


def _a_long_line(talk: Talk, learner: type) -> bool:
    """Returns True if outbuf is copied for each send."""
    size = 60_001
    talk.step("A client sent a line of 60,000 bytes, and Conn did not return within 2 s", 2.0)
    with _both_ends(learner) as (conn, sock, client):
        _, copied = _serve(conn, client, b"x" * (size - 1) + b"\n", 1)
        client.shutdown(socket.SHUT_WR)
        for _ in range(3):  # the client does not read, so the send buffer is full now
            if _says(conn, "over"):
                break
            if _says(conn, "want_write"):
                conn.on_writable()
        if _says(conn, "over") and len(conn.outbuf):
            raise _over_too_early(0, 1)
        got, copies = _serve(conn, client, b"", size)
        copies |= copied
        got = b"X" + got
        if len(got) < size and not len(conn.outbuf) and conn.finished:
            raise Wrong(
                f"{size} bytes were to be sent, and {len(got)} arrived: outbuf was emptied when the send buffer was full. "
                "BlockingIOError is an OSError too, and a full buffer is no end: catch it first, and keep all."
            )
        if len(got) < size:
            raise Wrong(
                f"{size} bytes were to be sent, and {len(got)} arrived: send() takes what fits into the buffer and returns how much "
                "(send(2)). Keep the rest: del self.outbuf[:sent]."
            )
        if got != b"X" * (size - 1) + b"\n" or len(conn.outbuf):
            raise Wrong(
                "Bytes were sent twice: send() returns how many the kernel took, and just these must go: del self.outbuf[:sent]."
            )
        _is_over(conn, 1, 1)
        talk.good("an answer of 60,000 bytes, in parts, to a client that reads late")
    return copies


def _too_long_a_line(talk: Talk, learner: type) -> None:
    what = f"A client sent {len(TOO_LONG)} bytes without b'\\n'"
    talk.step(f"{what}, and Conn did not return within 1 s")
    with _both_ends(learner) as (conn, _, client):
        _expect(conn, client, b"hello\n", b"HELLO\n")
        _serve(conn, client, TOO_LONG, 1)
        if not _says(conn, "over"):
            raise Wrong(
                f"{what}, and over stays false. Lines raises ValueError for too long a line: then nothing more is read, finished."
            )
        talk.good("too long a line: over")


def _is_lost(talk: Talk, learner: type, listener: socket.socket) -> None:
    """A send after a reset, and to a client that answers no more."""
    for what, why in ("has gone, and the server sends again", "BrokenPipeError"), ("answers no more", "TimeoutError"):
        talk.step(f"A client {what}, and Conn did not return within 4 s", 4.0)
        with connection(listener) as (client, sock):
            conn = learner(sock)
            if why == "TimeoutError":
                if not answers_no_more(sock):
                    continue
            else:
                client.close()
                sock.send(b"to nobody\n")  # a reset comes back
                readable(sock, 1.0)
            conn.outbuf += b"hello\n"
            conn.on_writable()
            if not _says(conn, "over"):
                raise Wrong(
                    f"A client {what}: send() raised {why}, {len(conn.outbuf)} bytes wait in outbuf, and over stays false. Nothing "
                    "can be sent any more, so nothing is left to send."
                )
    talk.good("a send after a reset (EPIPE), or to a client that answers no more (ETIMEDOUT): over")


def _is_reset(talk: Talk, learner: type, listener: socket.socket) -> None:
    for waiting in (b"", LONG_LINES):
        talk.step("A client sent a reset, and Conn did not return within 2 s", 2.0)
        with connection(listener, 16_384) as (client, sock):
            client.setblocking(False)
            conn = learner(sock)
            if waiting:
                _serve(conn, client, waiting, 1)
            reset(client)
            for _ in range(5):
                if _says(conn, "over"):
                    break
                want_read, want_write = _says(conn, "want_read"), _says(conn, "want_write")
                select.select([sock] * want_read, [sock] * want_write, [], 1)
                if want_read:
                    conn.on_readable()
                if _says(conn, "want_write"):
                    conn.on_writable()
            if not _says(conn, "over"):
                left = f", {len(conn.outbuf)} bytes wait in outbuf for nobody," if conn.outbuf else ""
                raise Wrong(
                    f"A client has sent a reset{left} and over stays false: your server keeps it for ever. After an OSError "
                    "nothing more will come, and nothing can be sent."
                )
            if sock.fileno() == -1:
                raise Wrong(_CLOSED)
    talk.good("a reset, also in the middle of an answer: over")


def _never_reads(talk: Talk, learner: type) -> None:
    """outbuf must not grow as long as a client sends and does not read."""
    talk.step("A client sent and did not read, and Conn did not return within 1 s")
    with _both_ends(learner) as (conn, sock, client):
        line = b"x" * 999 + b"\n"
        for _ in range(400):
            if not writable(client):
                break  # its own buffers are full
            client.send(line)
            if _says(conn, "want_read"):
                conn.on_readable()
            if _says(conn, "want_write"):
                conn.on_writable()
        else:
            raise Wrong(
                "A client that sends and never reads made outbuf grow without end: your memory fills. want_read is false while "
                "answers wait; then its bytes stay in its own buffers."
            )
    talk.good("a client that sends and never reads does not fill the memory")


@contextmanager
def _both_ends(learner: type) -> Iterator[tuple[Any, socket.socket, socket.socket]]:
    """(conn, its socket, the client's socket), joined by small buffers; both sockets are non-blocking."""
    sock, client = socket.socketpair()
    with sock, client:
        for end in sock, client:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
            end.setblocking(False)
        yield learner(sock), sock, client


def _serve(conn: Any, client: socket.socket, data: bytes, size: int) -> tuple[bytes, bool]:
    """Play a careful server, and a client that sends `data` and reads until it has `size` bytes.

    Returns what came, less than `size` when nothing goes on, and whether outbuf was copied for a send.
    """
    got, unsent, copied, rounds = bytearray(), memoryview(data), False, 0
    while (len(got) < size or unsent) and rounds < 20_000:
        rounds += 1  # in which the client neither gets nor sends
        sock, over = conn.sock, _says(conn, "over")
        if sock.fileno() == -1:
            raise Wrong(_CLOSED)
        want_read, want_write = not over and _says(conn, "want_read"), not over and _says(conn, "want_write")
        reading, writing = [client] * (len(got) < size) + [sock] * want_read, [client] * bool(unsent) + [sock] * want_write
        readable, writable, _ = select.select(reading, writing, [], 0 if over else 0.2)
        if not readable and not writable:
            break
        if client in readable or client in writable:
            rounds = 0
        if client in readable:
            chunk = client.recv(size - len(got))
            got += chunk
            if not chunk:
                break
        if client in writable:
            unsent = unsent[client.send(unsent[:65_536]) :]
        if sock in readable:
            conn.on_readable()
        if sock in writable:
            before = conn.outbuf
            conn.on_writable()
            copied |= isinstance(conn.outbuf, (bytes, bytearray)) and len(conn.outbuf) > 0 and conn.outbuf is not before
    return bytes(got), copied


def _expect(conn: Any, client: socket.socket, sent: bytes, expected: bytes, why: str = "") -> None:
    got, _ = _serve(conn, client, sent, len(expected) or 100)
    if got == expected:
        if expected and len(conn.outbuf):
            raise Wrong(
                "All answers have arrived, and outbuf still holds bytes: take away what send() took: del self.outbuf[:sent]."
            )
        if expected and _says(conn, "want_write"):
            raise Wrong(_SPINS)
        if _says(conn, "over"):
            raise Wrong(
                "The client has its answer and is still there, but over is true: it is over only when the client has finished."
            )
        return
    if not got and len(conn.outbuf) and not _says(conn, "want_write"):
        raise Wrong("An answer waits in outbuf and want_write is false: then nobody calls on_writable.")
    if not expected:
        raise Wrong(f"The client sent {sent!r} and got {got!r}: without b'\\n' it is no line yet. Use Lines.")
    if got + b"\n" == expected and expected.count(b"\n") == 1:
        raise Wrong("The answer has no b'\\n' at its end: the client cannot tell one line from the next.")
    if got.upper() == expected:
        raise Wrong(f"The client sent {sent!r} and got {got!r}: answer in capitals.")
    raise Wrong(f"{why}the client sent {sent!r} and got {got!r}, not {expected!r}.".replace("the client", "The client", not why))


def _is_over(conn: Any, answers: int, of: int) -> None:
    if conn.sock.fileno() == -1:
        raise Wrong(_CLOSED)
    if answers < of:
        if _says(conn, "over") and conn.outbuf:
            raise _over_too_early(answers, of)
        raise Wrong(
            f"The client half-closed and got {answers} of {of} answers: b'' says that it sends no more, but it still reads (shutdown(2))."
        )
    for _ in range(2):  # the end may not have been read yet
        if _says(conn, "want_read") and readable(conn.sock, 1.0):
            conn.on_readable()
    if _says(conn, "want_read"):
        raise Wrong(
            "The client has finished, and want_read is still true: at its end a socket is readable for ever, and recv() gives b'' "
            "again and again. Remember that it has finished."
        )
    if not _says(conn, "over"):
        raise Wrong("The client has finished and has all its answers, but over stays false: your server keeps it for ever.")


def _over_too_early(answers: int, of: int) -> Wrong:
    return Wrong(
        f"over is true after {answers} of {of} answers: b'' says that the client sends no more, but it still reads (shutdown(2)). "
        "It is over when outbuf is empty too."
    )


def _says(conn: Any, name: str) -> bool:
    """want_read, want_write or over, as a server reads it."""
    if not hasattr(type(conn), name) and name not in getattr(conn, "__dict__", {}):
        raise Wrong(f"Conn has no {name}: the server asks for it after each call.")
    value = getattr(conn, name)
    if callable(value):
        raise Wrong(f"{name} is a method here, and the server reads it as a value: write @property above it.")
    return bool(value)


CHECKS = {"3.2": check_conn}
