"""Ten points for a server of many clients.

It takes a listening socket, serves without end, and answers each line in capitals.
"""

import fcntl
import socket
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from course_lib.sandbox import Attempt, Stuck, Wrong

from .ends import FORGOTTEN, LONG_LINES, half_close, readable, reset, writable
from .forgotten import places, tells_places
from .probe import first, raise_first
from .server_trial import SMALL, ServerTrial, use_server

MANY = 20  # clients at once
LONG = 600_000  # bytes of lines whose answers do not fit into the buffers
HAD_TIME = 0.05  # seconds of CPU time in which a server that reads at all would have read
GREEDY = 2 << 20  # bytes; far more than the buffers of a connection hold while the server does not read
KEPT = 20  # closed sockets; about 12 may still stand in a variable of the last round, and 26 have come and gone


def check_server(attempt: Attempt, *, sleeps: bool = True, inside: Callable = use_server) -> None:
    """Test the learner's server from outside, as its clients see it, up to the first point that it fails.

    `inside(talk, learner, listener)` runs in the child. With `sleeps` the server has to sleep while nobody talks.
    Raises Wrong; its text names the cause and the line.
    """
    trial = ServerTrial(attempt, sleeps, partial(tells_places, inside))
    with _of_unregister(), trial.explained():
        for point in (
            _answers, _second_client, _more_messages, _pieces, _idle, _many, _ends, _slow_reader, _resets, _greedy, _all_gone
        ):  # fmt: skip
            point(trial)


@contextmanager
def _of_unregister() -> Iterator[None]:
    """An epoll or a poll object, and not select(), refused a closed socket."""
    try:
        yield
    except Wrong as wrong:
        if wrong.raised and "(-1)" in wrong.raised.text and ".unregister(" in wrong.line:
            why = "A closed socket has the number -1: unregister() it before close()."
            raise Wrong(wrong.what, why, wrong.cause, wrong.raised) from None
        raise


def _answers(trial: ServerTrial) -> None:
    trial.process.settle()  # a server that does not wait for its first client shows it now
    trial.stay.append(trial.connect())
    trial.ask(trial.first, b"hello\n", "A client sent a line and got no answer within 1 s")
    trial.own = trial.process.sockets() - 1
    trial.good("a client is answered")


def _second_client(trial: ServerTrial) -> None:
    trial.stay.append(trial.connect())
    trial.ask(trial.second, b"hello\n", "The first client is silent, and a second one got no answer within 1 s")
    trial.process.alone()
    if trial.sleeps and all(trial.naps() for _ in range(5)):
        trial.idle("Nobody talks")  # it sleeps by the clock, and everything would be late
    if not trial.sleeps and (line := trial.naps_long()):
        raise Wrong(
            f"Nobody talks, and your server sleeps{line}. No client can wake it there: each of them waits until the nap is over. "
            "Leave it out, or make it a few milliseconds."
        )
    trial.good("a second client is answered while the first one is silent")


def _more_messages(trial: ServerTrial) -> None:
    for line in b"again\n", b"and again\n":
        trial.send(trial.first, line)
        got, _ = trial.answer(trial.first, line.upper(), "A second message on the same connection got no answer within 1 s")
        if not got:
            raise Wrong(
                "A second message on the same connection: the client got b'', the end. Do you close after the first answer? "
                f"Close when recv() gives b''. {FORGOTTEN}"
            )
        if got != line.upper():
            raise Wrong(f"A client sent {line!r} after other messages and got {got!r}, not {line.upper()!r}.")
    trial.good("more messages on the same connection")


def _pieces(trial: ServerTrial) -> None:
    for one, other in zip(b"hello\n", b"WORLD\n"):
        for client, byte in (trial.first, one), (trial.second, other):
            trial.send(client, bytes([byte]))
            trial.read_all(client)
        if one == ord("h"):
            trial.process.settle()
            if readable(trial.first) and (data := trial.first.recv(100)):
                raise Wrong(
                    f"A client sent b'h', the first byte of a line, and got {data!r}: a piece without b'\\n' is not a line "
                    "yet. Keep it until the rest has come (Lines)."
                )
    what = "A client sent b'hello\\n' one byte at a time, while another one sent b'WORLD\\n'"
    got, _ = trial.answer(trial.first, b"HELLO\n", f"{what}: it got no answer within 1 s")
    if got != b"HELLO\n":
        mixed = set(got) & set(b"WRD") or got[:1] != b"H" and set(trial.receive(trial.second, 7)[0]) & set(b"HE")
        causes = {
            "The two share one buffer: each connection needs its own.": mixed,
            "Only b'\\n' ends a line, and the answer ends with one too.": got.startswith(b"HELLO"),
            "A piece without b'\\n' is not a line yet: keep it until the rest has come.": got.startswith(b"H"),
            "Its first bytes were lost: keep the unfinished part of a line until the rest has come.": True,
        }
        raise Wrong(f"{what}, and got {got!r}. {first(causes)} TCP keeps no borders between messages (tcp(7)).")
    what = "Two clients sent a line each, one byte at a time; the second one got no answer within 1 s"
    trial.expect(trial.second, b"WORLD\n", what)
    trial.send(trial.first, b"one\ntwo\n")
    got, _ = trial.answer(trial.first, b"ONE\nTWO\n", "Two lines arrived together and got no answer within 1 s")
    if got == b"ONE\n":
        raise Wrong("Two lines arrived together, only the first was answered: TCP keeps no borders between messages (tcp(7)).")
    if got != b"ONE\nTWO\n":
        raise Wrong(f"A client sent b'one\\ntwo\\n' and got {got!r}, not b'ONE\\nTWO\\n'.")
    trial.good("a line in pieces, two lines in one packet: each client has a buffer of its own")


def _idle(trial: ServerTrial) -> None:
    trial.idle(
        "Nobody talks",
        "Either it does not wait (a time limit of 0?), or it asks for something that is always so: a socket with nothing "
        "to send is writable nearly always, so ask for writable only while there is something to send (select(2)).",
    )
    if trial.sleeps:
        trial.good("nobody talks: it sleeps")


def _many(trial: ServerTrial) -> None:
    clients: list[socket.socket] = []
    for word in b"hello", b"again":
        lines = [b"%s from %02d\n" % (word, number) for number in range(1, MANY + 1)]
        with trial.process.paused():
            clients = clients or [trial.connect() for _ in lines]
            for client, line in zip(clients, lines):
                trial.send(client, line)
        answers, last = [], None
        for client, line in zip(clients, lines):
            got, stuck = trial.receive(client, len(line), 0.05 if last else 1.0)  # one has had its second
            answers.append(got)
            last = stuck or last
        _right_answers(trial, clients, lines, answers, last)
    trial.clients = clients
    trial.good(f"{MANY} clients at once, and none of them is forgotten")


def _right_answers(trial: ServerTrial, clients: list, lines: list[bytes], answers: list[bytes], stuck: Stuck | None) -> None:
    expected = [line.upper() for line in lines]
    for number, (got, answer) in enumerate(zip(answers, expected), 1):
        if got and got != answer:
            trial.process.explain_end()
            said = f"{MANY} clients at once: client {number} sent {lines[number - 1]!r} and got {got!r}"
            if any(other in got for other in expected if other != answer):
                raise Wrong(f"{said}, the answer to another one. Each connection needs its own buffer for answers.")
            raise Wrong(f"{said}, not {answer!r}.")
    missing = [number for number, got in enumerate(answers, 1) if not got]
    if not missing:
        return
    if not stuck:
        trial.process.explain_end()
        raise Wrong(f"{MANY} clients at once: client {missing[0]} got b'', the end. The server closed its connection too early.")
    what = f"{MANY} clients sent a line at the same moment, and {_those(missing)} got no answer within 1 s"
    raise trial.unanswered(clients[missing[0] - 1], what, stuck)


def _ends(trial: ServerTrial) -> None:
    leaving, closing = trial.clients[:5], trial.clients[5:10]
    trial.clients = trial.clients[10:]
    _half_close(trial, leaving)
    _leave(trial, closing)
    why = "recv() gives b'' again and again when the client has gone (recv(2)): close, and forget it."
    trial.calm("A client left and nobody talks", why)
    trial.good("clients that leave, and clients that half-close: first all answers, then the end")


def _half_close(trial: ServerTrial, leaving: list[socket.socket]) -> None:
    trial.happens("A client finished sending and your server died: ")
    with trial.process.paused():
        for client in leaving:
            trial.send(client, b"one\ntwo\nthree\n")
            half_close(client)
    open_yet, last = [], None
    for number, client in enumerate(leaving, 1):
        got, stuck = trial.receive(client, 14 + 1, 0.05 if last else 1.0)
        last = stuck or last
        if got != b"ONE\nTWO\nTHREE\n":
            what = "A client sent three lines, half-closed, and got"
            if not stuck:
                trial.process.explain_end()
            if not b"ONE\nTWO\nTHREE\n".startswith(got):
                raise Wrong(f"{what} {got!r}, not b'ONE\\nTWO\\nTHREE\\n'.")
            if not stuck:
                raise Wrong(
                    f"{what} {got.count(10)} of 3 answers, then the end: b'' says that it sends no more, but it still reads "
                    "(shutdown(2)). First answer all you have, then close."
                )
            raise trial.unanswered(client, f"{what} {got.count(10)} of 3 answers within 1 s", stuck)
        if stuck:
            open_yet.append(number)
    if open_yet and last:
        those = f"the connections of {_those(open_yet)}"
        raise _still_open(trial, len(open_yet), those, last, "half-closed and got all their answers", _ports(leaving))


def _leave(trial: ServerTrial, closing: list[socket.socket]) -> None:
    trial.happens("A client left and your server died: ")
    over = _ports(closing)
    with trial.process.paused():
        for client in closing:
            client.close()
        for client in trial.clients[:3]:
            trial.send(client, b"still here\n")
    for client in trial.clients[:3]:
        trial.expect(client, b"still here\n", "Some clients left, and another one got no answer within 1 s")
    left = len(trial.clients)
    if stuck := trial.holds(2 + left):
        number = trial.process.sockets() - trial.own - 2 - left
        if number <= 0:
            raise Wrong("Five clients left, and your server closed connections of clients that are still there.")
        raise _still_open(trial, number, f"{number} of their connections", stuck, "left", over)


def _still_open(trial: ServerTrial, number: int, those: str, stuck: Stuck, did: str, over: set[int]) -> Wrong:
    """Some of five connections that are over, `those`, stay open; `over`: the ports of these clients."""
    gone_from, lists = places(trial, over)
    skips = stuck.asleep and lists  # in a server that goes on, the next round would come to it
    kept = "Is close() called for each of them? A socket that is only forgotten stays open as long as one variable holds it."
    edges = " With EPOLLET, read until BlockingIOError or b'': the end may come with the last bytes, and is told once (epoll(7))."
    causes = {
        f"They were taken off your {gone_from} and never closed: close() each of them, too. A socket that is only forgotten stays "
        "open as long as one variable or list holds it.": gone_from,
        "recv() gives b'' again and again when the client has finished (recv(2)): leave the loop, or close and forget "
        "it.": not stuck.asleep and trial.sleeps,
        f"{kept} And to remove from a list while a loop goes over it skips the next one.": number == 1 and skips,
        "Were they skipped? To remove from a list while a loop goes over it skips the next one: loop over a copy, "
        "list(...).": number < 5 and skips,
        kept: number < 5,
        "When recv() has given b'' and all answers are sent, close the socket and forget it."
        + edges * (stuck.asleep and stuck.call == "epoll_wait"): True,
    }
    cause = "skipped" if stuck.asleep and number < 5 else ""
    return Wrong(f"Five clients {did}, and {those} stay open: {stuck.does('your server')}.", first(causes), cause)


def _ports(clients: list[socket.socket]) -> set[int]:
    return {client.getsockname()[1] for client in clients}


def _resets(trial: ServerTrial) -> None:
    trial.happens("A client crashed (its connection was reset) and your server died: ")
    talking, gone, waiting, *trial.clients = trial.clients
    trial.ask(talking, b"hello\n", "A client got no answer within 1 s")
    reset(talking)
    with trial.process.paused():
        trial.send(gone, b"hello\n")
        reset(gone)
        client = trial.connect()  # it stands in the accept queue, and there it stays when it has gone
        reset(client)
        client = trial.connect()
        trial.send(client, b"hello\n")
        client.close()
    trial.ask(trial.first, b"hello\n", "Some clients were reset, and another one got no answer within 1 s")
    trial.happens("A client sent lines of 50,000 bytes, and your server died: ")
    trial.send(waiting, LONG_LINES)
    got, _ = trial.answer(waiting, LONG_LINES[:1].upper(), "A client sent lines of 50,000 bytes and got no answer within 1 s")
    if not got:
        raise Wrong("A client sent lines of 50,000 bytes and got b'', the end.")
    trial.happens("A client was reset in the middle of its answer, and your server died: ")
    reset(waiting)  # in the middle of its answer
    trial.ask(trial.first, b"hello\n", "A client was reset in the middle of its answer, and another one got no answer within 1 s")
    trial.lets_go(
        "Five clients left, four of them with a reset",
        "After a reset nobody is left to answer: close the socket and forget it.",
        2 + len(trial.clients),
    )
    trial.calm("A client was reset and nobody talks", "After a reset nothing more will come: close the socket, and forget it.")
    trial.good("clients that are reset, or gone before accept(), do not end it")


def _slow_reader(trial: ServerTrial) -> None:
    trial.happens("A client does not read its long answer, and your server died: ")
    lines = [
        b" ".join(b"%05d" % number for number in range(begin, begin + 10_000)) + b"\n" for begin in range(0, LONG // 6, 10_000)
    ]
    line = b"".join(lines)  # no two parts of it are the same
    slow = trial.connect(receive_buffer=SMALL)
    trial.send(slow, line)
    got, _ = trial.answer(slow, line[:1], f"A client sent lines of {LONG} bytes in all and got no answer within 1 s")
    trial.send(trial.first, b"hello\n")
    other, stuck = trial.receive(trial.first, 6)
    if stuck and not other:
        raise Wrong(
            "One client does not read its long answer, and meanwhile another one got no answer within 1 s: "
            f"{stuck.does('your server')}. Send what fits, keep the rest, and go on with it when the socket is writable (send(2))."
        )
    trial.calm(
        "One client does not read its long answer, nobody else talks",
        "The send buffer is full: wait until the socket is writable, and do not try again before.",
    )
    _long_answer(trial, slow, line, got)
    trial.send(slow, line)
    half_close(slow)
    got, stuck = trial.receive(slow, 1)
    trial.calm("One client does not read its long answer and has half-closed, nobody else talks", _AFTER_END)
    _long_answer(trial, slow, line, got, " and half-closed")
    got, stuck = trial.receive(slow, 1)
    if stuck:
        raise Wrong(
            f"A client half-closed and got its long answer, and then no end: {stuck.does('your server')}. "
            "When b'' has come and all answers are sent, close the socket."
        )
    trial.calm("A long answer was sent and nobody talks", "Ask for writable only while there is something to send (select(2)).")
    trial.good(f"a slow reader gets all of its {LONG} bytes, and nobody waits for it")


def _greedy(trial: ServerTrial) -> None:
    """A client that sends and never reads. Whose memory does it fill, its own or the server's?"""
    trial.happens("A client sent and never read, and your server died: ")
    greedy = trial.connect(receive_buffer=SMALL)
    greedy.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
    greedy.setblocking(False)
    sent, taken, quiet, used = 0, 0, 0, trial.process.cpu()
    while sent < GREEDY and quiet < 5 and trial.process.cpu() - used < HAD_TIME:
        try:
            sent += greedy.send(b"greedy client\n" * 1000)
            quiet, used = 0, trial.process.cpu()
        except BlockingIOError:
            trial.process.watch(0.004)
            unread = trial.way(greedy)[1]
            # It reads, or has read all: that there is room again is told us by an acknowledgement, which may take its time.
            if sent - unread - _unsent(greedy) > taken or not unread:
                taken, quiet, used = sent - unread - _unsent(greedy), 0, trial.process.cpu()
            else:
                quiet += trial.process.state() == "S" and not writable(greedy)
        except ConnectionError:
            trial.process.explain_end()
            break  # the server has cut it off, which is another good answer
    if sent >= GREEDY:
        raise Wrong(
            f"A client sends and never reads: your server took {GREEDY >> 20} MB from it and keeps all the answers in memory. While "
            "answers wait, do not ask for readable (want_read)."
        )
    reset(greedy)


def _unsent(client: socket.socket) -> int:
    """How many of its bytes the other side has not acknowledged yet (tcp(7), SIOCOUTQ)."""
    return int.from_bytes(fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


_AFTER_END = "A socket at its end is readable for ever: after b'' do not ask for readable any more."


def _long_answer(trial: ServerTrial, slow: socket.socket, line: bytes, got: bytes, and_: str = "") -> None:
    rest, stuck = trial.receive(slow, LONG - len(got))
    got += rest
    if got == line.upper():
        return
    if not stuck:
        trial.process.explain_end()
    what = f"A client sent lines of {LONG} bytes in all{and_}, read slowly, and"
    begun = line.upper().startswith(got)
    unsent = begun and stuck and trial.keeps("unsent")
    does = stuck.does("your server") if stuck else ""
    causes = {
        f"{what} got {len(got)} of them, then the end: b'' says that it sends no more, but it still reads (shutdown(2)). "
        "Close when all answers are sent.": begun and and_ and not stuck,
        f"{what} {len(got)} came back; {unsent} more wait in a bytearray of yours, and nobody sends them: {does}. "
        "Wait for this socket to be writable, too, while something is to be sent (want_write).": unsent,
        f"{what} {len(got)} came back: send() takes what fits and returns how much (send(2)). Keep the rest, and send "
        "it when the socket is writable. sendall() on a socket that does not wait gives up in the middle.": len(got) < LONG,
        f"{what} other bytes came back, or the same ones twice: send() returns how many bytes it took (send(2)). "
        "Take away exactly these: del outbuf[:sent].": True,
    }
    raise_first(causes)


def _all_gone(trial: ServerTrial) -> None:
    trial.happens("All clients left and your server died: ")
    with trial.process.paused():
        for client in (*trial.stay, *trial.clients):
            client.close()
    left = "All clients have left"
    trial.lets_go(left, "Close each one when recv() has given b'', and look at every client in every round.", 0)
    trial.ask(trial.connect(), b"hello\n", "All clients have left, and a new one got no answer within 1 s")
    if (closed := trial.keeps("closed")) > KEPT:
        raise Wrong(
            f"Your server has closed its connections, and still keeps {closed} of them in a list, a dict or a set: it grows "
            "with every client that ever came. Forget each one when you close it."
        )
    trial.idle("Only one client is left and it is silent", "recv() gives b'' again and again when a client has gone (recv(2)).")
    trial.process.alone()
    trial.good("when all have gone, no descriptor is left" + (", and it sleeps" if trial.sleeps else ""))


def _those(numbers: list[int]) -> str:
    """ "client 3", "clients 2 and 4", "clients 1, 2, 3 and 4"."""
    *most, last = map(str, numbers)
    return f"clients {', '.join(most)} and {last}" if most else f"client {last}"
