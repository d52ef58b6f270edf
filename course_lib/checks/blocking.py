"""Checks of notebook 02: a blocking server, from the listener to the loop over its clients."""

from __future__ import annotations

import dis
import errno
import gc
import itertools
import signal
import socket
import struct
import sys
import traceback
from contextlib import suppress
from types import CodeType
from typing import TYPE_CHECKING

from course_lib.sandbox.attempt import Attempt
from course_lib.sandbox.outcome import Raised, Stuck, Wrong
from course_lib.sandbox.proc import at_port, open_sockets
from course_lib.sandbox.stopwatch import wait_until
from course_lib.sandbox.talk import Talk, is_learners, own_frame
from course_lib.sandbox.words import a, where

from .ends import LONG_LINES, LONGEST, TOO_LONG, reset

if TYPE_CHECKING:
    from course_lib.sandbox.run import Run


_SENDS = "send", "write"  # the calls in which a thread may sleep while the send buffer is full
_CLIENTS = 300  # that come and go: more than a server counts that ends too early
_BATCH = 50  # of them at once: fewer than the accept queue holds
_DEPTH = 150  # frames that the server may use: a server that calls itself for each client is through soon


def check_make_listener(attempt: Attempt) -> None:
    run = attempt.run(_use_make_listener)
    try:
        first = run.hear("make_listener() did not return within 1 s")
    except Raised as error:
        if "setsockopt" in error.text and "setsockopt()" not in error.text:  # with (): it was called on a socket
            raise Wrong(
                f"setsockopt is not called on your socket{error.line}. It is a method of the socket that you made: "
                "listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1). The notes have it wrong: their "
                "`socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)` calls it on the module."
            ) from None
        if error.type == "TypeError" and "bind()" in error.text:
            raise Wrong(f"{error} The address is ONE pair: bind((host, port)).") from None
        raise
    host, port = first["address"]
    if not first["listening"] and not port:
        raise Wrong("The socket is neither bound nor listening: bind() and listen() are missing.")
    if host != "127.0.0.1":
        raise Wrong(f'It is bound to {host}, which the whole network can reach: bind(("127.0.0.1", port)).')
    try:
        client = attempt.connect((host, port))
    except ConnectionRefusedError:
        raise Wrong(
            "The client was refused: the socket is bound, but no listen(). bind() alone opens no door (listen(2))."
        ) from None
    attempt.good("a client connects")

    for _ in range(3):
        run.say()  # the server accepts this client and closes first, so TIME_WAIT comes on its side
        run.hear("accept() on your listener did not return within 1 s")
        client.close()
        if wait_until(lambda: _time_wait(port), 0.5):
            break
        # The kernel kept nothing: on a busy machine another program's connection may have taken its place.
        run.say(another=True)
        port = run.hear("make_listener() did not return within 1 s")["port"]
        client = attempt.connect((host, port))
    run.say(another=False)
    try:
        again = run.hear(f"make_listener({port}) did not return within 1 s")
    except Raised as error:
        if error.errno != errno.EADDRINUSE:
            raise
        if first["reuse"]:
            raise Wrong(
                "The restart failed with EADDRINUSE: bind() had already decided when the option was set. "
                'setsockopt must come before bind() (socket(7)). The notes have it wrong: they say "set after bind".'
            ) from None
        raise Wrong(
            f"It works today and fails on restart: TIME_WAIT on port {port}, for the server closed first. "
            f"Set SO_REUSEADDR before bind() (socket(7)).{_time_wait(port)}"
        ) from None
    if again["port"] != port:
        raise Wrong(f"make_listener({port}) listens on port {again['port']}: hand `port` on to bind().")
    if not first["reuse"]:
        raise Wrong("getsockopt says SO_REUSEADDR is off. Another option let it restart, but it does other things too.")
    attempt.good("after the server closed first, the same port works again at once")

    run.say()
    try:
        other = run.hear("make_listener(0, backlog=7) did not return within 1 s")
    except Raised as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise Wrong("A second listener with port 0 got EADDRINUSE: hand `port` on to bind(), not a number of your own.") from None
    if other["backlog"] != 7:
        raise Wrong(f"make_listener(backlog=7) gave a queue of {other['backlog']}: hand `backlog` on to listen().")
    attempt.good("port 0 gives a free port, and the backlog reaches the kernel")

    run.say()
    taken = run.hear("make_listener(port), with a port that is taken, did not return within 1 s")
    if taken["returned"]:
        raise Wrong(
            f"The port was taken by another listener, and make_listener returned {taken['returned']}: let bind()'s error through."
        )
    if taken["left"]:
        raise Wrong(
            "The port was taken, bind() failed, and the socket that you had made stays open: nobody else can close it. Keep it "
            "in no list or global; or close it when bind() fails."
        )
    attempt.good("a port that is taken: the error comes through, and no socket stays open")
    run.alone()


def _use_make_listener(talk: Talk, learner) -> None:
    before = open_sockets()
    try:
        listener = learner()
    except OSError as error:
        if error.errno == errno.EINVAL and any(map(_listens_unbound, _variables(error))):
            raise Wrong(
                "listen() without bind() has already chosen an address, all interfaces and a free port (ip(7)), so bind() "
                f"fails with EINVAL{where(own_frame(error.__traceback__))}: bind first, then listen."
            ) from None
        raise
    if not isinstance(listener, socket.socket):
        raise Wrong(f"make_listener returned {a(listener)}: return the listening socket.")
    if listener.fileno() == -1:
        raise Wrong("make_listener returned a closed socket: the caller needs it open.")
    if (listener.family, listener.type) != (socket.AF_INET, socket.SOCK_STREAM):
        raise Wrong(f"The socket is {listener.family.name}, {listener.type.name}: TCP on IPv4 is AF_INET, SOCK_STREAM.")
    if not listener.getblocking():
        raise Wrong("The listener is non-blocking: leave that for the next notebook.")
    left = len(open_sockets() - before) - 1
    if left > 0:
        raise Wrong(f"make_listener left {left} more open than the socket it returns.")
    talk.tell(
        address=listener.getsockname(),
        reuse=bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)),
        listening=bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)),
    )
    while True:
        port = listener.getsockname()[1]
        talk.hear()
        connection, _ = listener.accept()
        connection.close()
        listener.close()
        talk.tell()
        if not talk.hear()["another"]:
            break
        listener = learner()
        talk.tell(port=listener.getsockname()[1])
    again = learner(port)
    talk.tell(port=again.getsockname()[1])
    talk.hear()
    other = learner(0, backlog=7)  # while `again` still listens
    # tcpi_sacked of a listener is its backlog (net/ipv4/tcp.c, tcp_get_info)
    (backlog,) = struct.unpack_from("I", other.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 28)
    talk.tell(backlog=backlog)
    talk.hear()
    before, returned = open_sockets(), ""
    try:
        returned = a(learner(other.getsockname()[1]))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    gc.collect()
    talk.tell(returned=returned, left=len(open_sockets() - before))


def _listens_unbound(value: object) -> bool:
    """Is it a socket whose address the kernel chose when listen() came first?"""
    return (
        isinstance(value, socket.socket)
        and value.fileno() != -1
        and bool(value.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        and value.getsockname()[0] == "0.0.0.0"
    )


def _time_wait(port: int) -> str:
    """The kernel's own line about the connection that keeps the port; state 06 is TIME_WAIT."""
    for _, local, remote, state, *_ in at_port(port):
        if state == "06":
            return f" In /proc/net/tcp: {local} {remote} {state}."
    return ""


def check_lines(attempt: Attempt) -> None:
    run = attempt.run(_use_lines)
    run.hear("Lines did not answer within 1 s")
    run.alone()


def _use_lines(talk: Talk, learner) -> None:
    talk.step("Lines() or feed() did not return within 1 s")

    got = _fed(learner, b"one\ntw", b"o\n")
    if got != [b"one", b"two"]:
        if b"tw" in got and b"o" in got:
            raise Wrong('A cut inside "two" gave b"tw" and b"o": keep the unfinished part until the next feed.')
        if got == [b"one"]:
            raise Wrong(
                'After b"one\\ntw" and b"o\\n" the line b"two" has not come: was its end seen? splitlines() does not tell whether '
                'the last line is complete; split(b"\\n") has b"" behind the last end.'
            )
        raise _differs([b"one\ntw", b"o\n"], got, [b"one", b"two"])
    got = _fed(learner, b"one\ntwo\n")
    if got == [b"one"]:
        raise Wrong("Two lines arrived together, you returned one: TCP keeps no borders between messages (tcp(7)).")
    if got != [b"one", b"two"]:
        raise _differs([b"one\ntwo\n"], got, [b"one", b"two"])
    talk.good("two lines together, and one line in two pieces")

    one, other = learner(), learner()
    one.feed(b"of the first")
    if other.feed(b"second\n") != [b"second"]:
        raise Wrong("Two Lines objects share one rest: make it in __init__, one for each connection.")
    talk.good("each object keeps its own rest")

    text = b"one\ntwo\nthree\n"
    cuts = list(itertools.combinations(range(1, len(text)), 2))
    for i, j in cuts:
        _expect(learner, [text[:i], text[i:j], text[j:]], [b"one", b"two", b"three"])
    talk.good(f"all {len(cuts)} ways to cut {text!r} in three")

    _expect(learner, [b"\n\na\n", b"\n"], [b"", b"", b"a", b""], "An empty line is a line too. ")
    _expect(learner, [bytes([byte]) for byte in text], [b"one", b"two", b"three"])
    _expect(learner, [b"", b"one", b""], [], "Without b'\\n' the line is not complete. ")
    _expect(learner, [b"one", b"", b"\n"], [b"one"])
    _expect(learner, [b"a\rb\x0bc\r\n"], [b"a\rb\x0bc\r"], "Only b'\\n' ends a line. ")
    talk.good("empty lines, single bytes, no line end yet")

    chinese = "一行\n两行\n".encode()
    for i in range(1, len(chinese)):
        why = "A chunk ended inside a character, and its bytes have changed: work on bytes, decode later. "
        try:
            _expect(learner, [chinese[:i], chinese[i:]], chinese.split(b"\n")[:2], why)
        except UnicodeDecodeError:
            raise Wrong("A chunk ended in the middle of a character: UnicodeDecodeError. Work on bytes.") from None
    talk.good("cuts inside a character of several bytes")

    talk.step("1 MB in one feed, 250 000 lines, took over 2 s: each line seems to copy all the rest", 2.0)
    if len(_fed(learner, b"abc\n" * 250_000)) != 250_000:
        raise Wrong("1 MB in one feed lost lines.")
    talk.good("1 MB in one feed")
    _has_a_limit(talk, learner)


def _has_a_limit(talk: Talk, learner) -> None:
    longest = b"x" * LONGEST
    pieces = [longest[at : at + 1024] for at in range(0, LONGEST, 1024)]
    talk.step(f"A line of {LONGEST} bytes in pieces of 1 kB took over 2 s", 2.0)
    for what, chunks in ("in pieces", [*pieces, b"\n"]), ("in one chunk", [longest + b"\n"]):
        try:
            got = _fed(learner, *chunks)
        except ValueError as error:
            raise Wrong(
                f"A line of {LONGEST} bytes came {what}, and feed raised ValueError: {error}. As long as that it may be; only a "
                "longer one is refused."
            ) from None
        if got != [longest]:
            raise Wrong(f"A line of {LONGEST} bytes came {what}, and feed gave lines of {list(map(len, got))[:10]} bytes.")
    for what, chunks in (
        ("and no end", [*pieces, b"x"]),
        ("and its end, in pieces,", [*pieces, b"x\n"]),
        ("and its end", [longest + b"x\n"]),
    ):
        try:
            got = _fed(learner, *chunks)
        except ValueError:
            continue
        why = "A piece of a line is no line. " if got and what == "and no end" else ""
        raise Wrong(
            f"A line has {LONGEST + 1} bytes {what}, and feed went on. {why}A client that never sends b'\\n' would fill the "
            f"memory: raise ValueError when a line has more than {LONGEST} bytes."
        )
    talk.good(f"a line may have {LONGEST} bytes, and no more")


def _fed(learner, *chunks: bytes) -> list[bytes]:
    """All lines that a fresh object gives for these chunks."""
    lines, found = learner(), []
    for chunk in chunks:
        got = lines.feed(chunk)
        if not isinstance(got, list):
            raise Wrong(f"feed returned {a(got)}: return a list of bytes, [] when no line is complete.")
        for line in got:
            if not isinstance(line, bytes):
                raise Wrong(f"feed returned a list with {a(line)} in it: return bytes, decode later.")
        found += got
    return found


def _expect(learner, chunks: list[bytes], expected: list[bytes], why: str = "") -> None:
    got = _fed(learner, *chunks)
    if got != expected:
        raise _differs(chunks, got, expected, why)


def _differs(chunks: list[bytes], got: list[bytes], expected: list[bytes], why: str = "") -> Wrong:
    fed = " ".join(repr(chunk) for chunk in chunks)
    many = len(b"".join(got)) - len(b"".join(expected))
    if not why and many < 0:
        why = "Bytes were lost: keep what has no end yet, self.rest + chunk, until its b'\\n' comes. "
    elif not why and many > 0:
        why = "Bytes came twice: when a line is given, nothing of it stays in the rest. "
    return Wrong(f"{why}Fed {fed}, it gave {got[:10]}, not {expected}.")


def check_serve_one(attempt: Attempt) -> None:
    listener = attempt.listen(send_buffer=16_384)
    address = listener.getsockname()
    run = attempt.run(_use_serve_one, listener)
    for part in _whole_lines, _who_disappears, _small_buffers, _answers_no_more, _interrupted, _too_long:
        part(attempt, run, address)
    run.alone()


def _whole_lines(attempt: Attempt, run: Run, address: tuple[str, int]) -> None:
    run.say()
    client = attempt.connect(address)
    _three_lines(run, client)
    _returned(run)
    attempt.good("three lines, three answers, also after the client half-closed")

    run.say()
    client = attempt.connect(address)
    client.sendall(b"half")
    client.shutdown(socket.SHUT_WR)
    got = run.read(client, 10, "The client half-closed and saw no end of the connection within 1 s")
    if got:
        raise Wrong(f"The client sent b'half' without b'\\n' and got {got!r}: that is not a line yet. Use Lines.")
    _returned(run)
    attempt.good("half a line is not answered")


def _who_disappears(attempt: Attempt, run: Run, address: tuple[str, int]) -> None:
    run.say()
    client = attempt.connect(address)
    client.sendall(b"one\n")
    got = run.read(client, 4, "The client sent a line and got no answer within 1 s")
    if got != b"ONE\n":
        run.explain_end()
        raise Wrong(
            f"The client before had left in the middle of a line; this one sent b'one\\n' and got {got!r}. Make Lines() anew "
            "for each connection."
        )
    reset(client)
    _returned(run)
    run.say()
    client = attempt.connect(address)
    client.sendall(LONG_LINES)
    run.read(client, 1, "The client sent lines of 50 000 bytes and got no answer within 1 s")
    reset(client)  # now in the middle of the answer
    _returned(run)
    with run.paused():
        run.say()
        client = attempt.connect(address)
        client.sendall(b"one\ntwo\nthree\n")
        client.close()  # the first answer meets no one: its reset comes before the second, EPIPE
    _returned(run)
    attempt.good("a reset does not end the server, nor does a send after it")


def _small_buffers(attempt: Attempt, run: Run, address: tuple[str, int]) -> None:
    """A signal comes while it sleeps in send(): then send() returns how many bytes it has moved (send(2), signal(7))."""
    run.say()
    client = attempt.connect(address, receive_buffer=16_384)
    client.sendall(LONG_LINES)
    client.shutdown(socket.SHUT_WR)
    run.until(lambda: run.asleep_in() in _SENDS, 0.5)
    run.interrupt(signal.SIGUSR2)
    try:
        got = run.read(client, 200_000, "no end", 4.0)
    except Stuck as stuck:
        got = stuck.data
    if len(got) < 200_000:
        raise Wrong(
            f"{len(got)} of 200 000 bytes arrived: the check sent a signal while your send() slept. Then send() returns how many "
            "bytes it took, and the rest is for you to send (send(2), signal(7)); sendall() goes on by itself."
        )
    _returned(run)
    attempt.good("answers of 200 000 bytes through small buffers")


def _answers_no_more(attempt: Attempt, run: Run, address: tuple[str, int]) -> None:
    run.say(gives_up=True)
    client = attempt.connect(address, receive_buffer=16_384)
    client.sendall(LONG_LINES)
    _returned(run, 3.0)
    client.close()
    attempt.good("a client that answers no more (ETIMEDOUT) does not end it either")


def _interrupted(attempt: Attempt, run: Run, address: tuple[str, int]) -> None:
    run.say(stop=True)
    client = attempt.connect(address)
    if run.until(lambda: run.asleep_in() in ("recv", "read"), 0.5) and run.interrupt(signal.SIGUSR2):
        try:
            stopped = run.hear("")["stopped"]
        except Stuck:
            stopped = False
        if not stopped:
            raise Wrong(
                "KeyboardInterrupt came, from the stop button of the notebook, and your code took it for the end of a client, or "
                "went on: a bare except catches it too. Catch OSError."
            )
    else:  # it sleeps somewhere else
        client.close()
        run.hear("The client left, and serve_one did not return within 1 s")


def _too_long(attempt: Attempt, run: Run, address: tuple[str, int]) -> None:
    run.say()
    client = attempt.connect(address)
    with suppress(ConnectionError):
        client.sendall(TOO_LONG)
    try:
        run.read(client, 1, "")
    except Raised as error:
        why = " Lines raises it for too long a line: catch it, then close." if error.type == "ValueError" else ""
        raise Wrong(f"{error}{why}") from None
    except Stuck as stuck:
        raise Wrong(
            f"A client sent {len(TOO_LONG)} bytes without b'\\n', and its connection stays open: {stuck.doing}. Lines raises "
            "ValueError for too long a line: then close."
        ) from None
    _returned(run)
    attempt.good("too long a line ends its connection alone")


def _three_lines(run: Run, client: socket.socket) -> None:
    """Three lines, one by one, then half-close; all answers must come."""
    got, prompt, sent = b"", True, b""
    for line in (b"one\n", b"two\n", b"three\n"):
        try:
            client.sendall(line)
            sent += line
            answer = run.read(client, len(line), "", 0.3)
        except Stuck as stuck:
            got, prompt = got + stuck.data, False
            continue
        except ConnectionError:
            answer = b""
        got += answer
        if len(answer) < len(line):
            run.explain_end()
            raise Wrong(
                f"After {_count(got)} the client got b'', the end: do you close after the first answer? Go on until recv() gives b''."
            )
    client.shutdown(socket.SHUT_WR)
    try:
        got += run.read(client, 14 - len(got), "", 1.0)
    except Stuck as stuck:
        got += stuck.data
    if got == b"ONE\nTWO\nTHREE\n":
        if not prompt:
            raise Wrong("The answers came only after the client had finished: answer each line as soon as it is there.")
        return
    if got == b"ONETWOTHREE":
        raise Wrong("The answers have no b'\\n' at their end: the client cannot tell them apart.")
    if got.lower() == b"one\ntwo\nthree\n":
        raise Wrong(f"The client sent {sent!r} and got {got!r}: answer in capitals.")
    if b"ONE\nTWO\nTHREE\n".startswith(got):
        value = _returned(run)["value"]
        if value != "None":
            raise Wrong(f"serve_one returned {value} and sent {_count(got)}: the answers go out through conn.")
        raise Wrong(
            f"The client half-closed and got {got.count(10)} of 3 answers: b'' says that it sends no more, but it still reads "
            "(shutdown(2)). First answer all you have, then close."
        )
    raise Wrong(f"The client sent {sent!r} and got {got!r}, not b'ONE\\nTWO\\nTHREE\\n'.")


def _returned(run: Run, seconds: float = 1.0) -> dict:
    """serve_one must come back now, and leave nothing open."""
    try:
        told = run.hear("", seconds)
    except Stuck as stuck:
        why = " When the peer has finished, recv() gives b'' again and again (recv(2))." if not stuck.asleep else ""
        raise Wrong(f"Your server did not return {seconds:g} s after the client finished: {stuck.doing}.{why}") from None
    if told["open"]:
        raise Wrong("serve_one returned and left the connection open: the client waits for the end. Close it (with conn: ...).")
    if told["left"]:
        raise Wrong(f"serve_one left {told['left']} more open than before: sockets that it made and did not close.")
    if told["believes"]:
        raise Wrong(
            "os.close() has closed the number, and conn does not know: it will use, or close, this number when it is another "
            "connection's. Close the socket: conn.close(), or with conn."
        )
    if told["limit"]:
        raise Wrong(
            f"serve_one gave the connection a time limit of {told['limit']:g} s: nobody asked for it, and a client that thinks for "
            "longer loses its connection. Leave settimeout() out."
        )
    return told


def _use_serve_one(talk: Talk, learner, listener: socket.socket) -> None:
    while True:
        order = talk.hear()
        signal.signal(signal.SIGUSR2, _stop if order.get("stop") else lambda *_: None)
        before = open_sockets()
        conn, _ = listener.accept()
        number = conn.fileno()
        if order.get("gives_up"):
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1)
        try:
            value, stopped = learner(conn), False
        except KeyboardInterrupt:
            value, stopped = None, True
            conn.close()
        left = open_sockets() - before
        told = {"open": number in left, "left": len(left - {number}), "limit": conn.gettimeout(), "stopped": stopped}
        talk.tell(value=a(value), believes=conn.fileno() == number and number not in left, **told)
        conn.detach()  # so that nothing is closed behind the learner's back, or twice


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def check_serve_forever(attempt: Attempt) -> None:
    listener = attempt.listen()
    address = listener.getsockname()
    run = attempt.run(_use_serve_forever, listener)

    for which in ("first", "second"):
        client = attempt.connect(address)
        ask(run, client, f"The {which} client got no answer within 1 s")
        client.close()
    attempt.good("two clients, one after the other")

    client = attempt.connect(address)
    ask(run, client, "The third client got no answer within 1 s")
    reset(client)
    client = attempt.connect(address)
    ask(run, client, "After a client was reset, the next one got no answer within 1 s")
    client.close()
    attempt.good("a client that resets does not end it")
    _many_clients(attempt, run, address)
    _waits_for_the_next(run)

    silent = attempt.connect(address)
    waiting = attempt.connect(address)
    try:
        ask(run, waiting, "", 0.5)
        blocked = False
    except Stuck as stuck:
        blocked = True
        if not stuck.asleep:
            raise Wrong(f"Nobody talks, yet {stuck.doing}. A blocking accept() or recv() would sleep.") from None
    run.alone()
    silent.close()
    if not blocked:
        attempt.note("a silent first client does not keep the second one waiting: this is more than was asked.")
        _can_be_stopped(run)
        return
    attempt.note(
        "a first client connected and said nothing; a second one sent a line and got no answer. "
        "Your server sleeps in recv() for the first."
    )
    if run.read(waiting, 6, "The silent client left, and the second one still got no answer within 1 s") == b"HELLO\n":
        attempt.note("when the first one left, the second one got its answer at once. The next notebook cures this.")
    waiting.close()
    client = attempt.connect(address)
    ask(run, client, "A last client got no answer within 1 s")
    extra = run.sockets() - 2  # the listener and this client's connection
    if extra > 0:
        raise Wrong(f"All clients but one have left, and {extra} of their connections are still open: close each one.")
    client.close()
    _can_be_stopped(run)


def _many_clients(attempt: Attempt, run: Run, address: tuple[str, int]) -> None:
    try:
        for _ in range(_CLIENTS // _BATCH):
            for _ in range(_BATCH):
                reset(attempt.connect(address))
            client = attempt.connect(address)
            ask(run, client, f"{_BATCH} clients came and went, and the next one got no answer within 1 s")
            client.close()
    except Raised as error:
        if error.type != "RecursionError":
            raise
        raise Wrong(
            f"RecursionError{error.line}: serve_forever calls itself for the next client, and each call keeps its place in memory. "
            "Use a loop: while True."
        ) from None
    attempt.good(f"{_CLIENTS} clients that come and go")


def _waits_for_the_next(run: Run) -> None:
    """Nobody comes: it must sleep, and not look again and again."""
    run.watch(0.02)
    woke, runs = run.wakes(), 0
    for _ in range(10):
        run.watch(0.03)
        runs += run.state() == "R"
    woke = run.wakes() - woke
    if woke > 5 or runs > 5:
        times = f"{woke} times in 0.3 s" if woke > 5 else "all the time"
        raise Wrong(
            f"Nobody comes, and your server looks for a client {times}{run.where()}. A blocking accept() sleeps until somebody is "
            "there: no setblocking(False), no time limit, no nap."
        )


def _can_be_stopped(run: Run) -> None:
    run.until(lambda: run.state() == "S", 0.5)
    if not run.interrupt(signal.SIGUSR2):
        return
    try:
        run.hear("")
    except Stuck:
        raise Wrong(
            "KeyboardInterrupt came, from the stop button of the notebook, and serve_forever went on: a bare except catches it "
            "too. Catch OSError, or nothing: serve_one looks after its client's errors."
        ) from None


def _use_serve_forever(talk: Talk, learner, listener: socket.socket) -> None:
    signal.signal(signal.SIGUSR2, _stop)
    sys.setrecursionlimit(len(traceback.extract_stack()) + _DEPTH)
    try:
        learner(listener)
    except KeyboardInterrupt:
        talk.tell(stopped=True)
        return
    except (AttributeError, TypeError) as error:
        if "'tuple' object" in str(error) and _is_accepted(_tuple(error)):
            raise Wrong(
                f"accept() returns the pair (connection, address); you handed on the pair{_call(error)}. "
                "Take it apart: conn, address = listener.accept()."
            ) from None
        raise
    except OSError as error:
        code = getattr(learner, "__code__", None)
        if error.errno == errno.EBADF and listener.fileno() == -1:
            raise Wrong(
                f"You used the listener after you had closed it{_call(error)}: keep it open for the next clients."
            ) from None
        if error.errno == errno.EBADF and code and _accepts_before_loop(code):
            raise Wrong(f"accept() belongs inside the loop: you served a closed connection again{_call(error)}.") from None
        raise
    raise Wrong("serve_forever returned; it should serve without end: while True.")


def _tuple(error: AttributeError | TypeError) -> tuple:
    """The tuple that was used as if it were a socket: the one nearest to the error."""
    near = (getattr(error, "obj", None), *_variables(error))
    return next((value for value in near if isinstance(value, tuple)), ())


def _is_accepted(pair: tuple) -> bool:
    return len(pair) == 2 and isinstance(pair[0], socket.socket)


def _call(error: BaseException) -> str:
    """The line of serve_forever itself, where the error may come from a function that it calls."""
    lines = ((frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__))
    return where(next((place for place in lines if is_learners(place[0])), None))


def _accepts_before_loop(code: CodeType) -> bool:
    """Is accept() called, and there is a loop, but no accept() in a loop? A loop ends with a jump back."""
    steps = list(dis.get_instructions(code))
    accepts = [step.offset for step in steps if step.argval == "accept"]
    loops = [range(step.argval, step.offset) for step in steps if step.opcode in dis.hasjrel and step.argval < step.offset]
    return bool(accepts and loops) and not any(accept in loop for accept in accepts for loop in loops)


def _variables(error: BaseException) -> list[object]:
    """What the local variables held when `error` was raised, the innermost function first."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [value for frame in reversed(frames) for value in frame.f_locals.values()]


def _count(answers: bytes) -> str:
    number = answers.count(b"\n")
    return f"{number} answer{'s' * (number != 1)}"


def ask(run: Run, client: socket.socket, what: str, seconds: float = 1.0) -> None:
    client.sendall(b"hello\n")
    got = run.read(client, 6, what, seconds)
    if got != b"HELLO\n":
        run.explain_end()
        raise Wrong(f"A client sent b'hello\\n' and got {got!r}, not b'HELLO\\n'.")


CHECKS = {"2.1": check_make_listener, "2.2": check_lines, "2.3": check_serve_one, "2.4": check_serve_forever}
