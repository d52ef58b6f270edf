"""Check of exercise 4.4: a chat, where what one client sends goes to all others."""

import socket

from course_lib.sandbox import Attempt, Stuck, Wrong

from .ends import TOO_LONG, half_close, readable, reset
from .server_trial import SMALL, ServerTrial


def check_chat(attempt: Attempt) -> None:
    # the send buffer is smaller than what Eve shall not read, and larger than what the others read at once
    trial = ServerTrial(attempt, send_buffer=1 << 16)
    with trial.explained():
        _one_to_all(trial)
        _whole_lines(trial)
        trial.idle(
            "Five clients are there and nobody talks",
            "Ask for writable only while there is something to send: a socket with nothing to send is writable nearly always.",
        )
        attempt.good("nobody talks: it sleeps")
        _leavers(trial)
        _slow(trial)
        _never_reads(trial)
        _too_long(trial)
        _half_closed(trial)
        _chat_ends(trial)


_NAMES = "Ann", "Ben", "Cleo", "Dan", "Eve"


def _one_to_all(trial: ServerTrial) -> None:
    trial.clients = [trial.connect(SMALL if name == "Eve" else None) for name in _NAMES]
    if not trial.process.until(lambda: all(trial.way(client)[0] for client in trial.clients), 1.0):
        trial.process.watch(0)
        client = next(client for client in trial.clients if not trial.way(client)[0])
        try:
            trial.process.hear("Five clients connected, and not all of them were accepted within 1 s")
        except Stuck as stuck:
            if not trial.way(client)[0]:
                raise trial.unanswered(client, "Five clients connected, and one was not accepted within 1 s", stuck) from None
    trial.own = trial.process.sockets() - 5
    for name, client in zip(_NAMES, trial.clients):
        line = f"{name} is here\n".encode()
        trial.send(client, line)
        _others_hear(trial, client, line, f"{name} sent a line", client)
        trial.process.settle()  # the sender may be the last one to get it
        _nothing_back(client, f"{name} sent a line")
    trial.process.alone()
    trial.good("five clients: each line goes to all others, and not back")


def _to_all(trial: ServerTrial, line: bytes, what: str) -> None:
    """Ann sends it."""
    ann = trial.clients[0]
    trial.send(ann, line)
    _others_hear(trial, ann, line, what)


def _others_hear(trial: ServerTrial, but: socket.socket, text: bytes, what: str, sender: socket.socket | None = None) -> None:
    for client, to in zip(trial.clients, _NAMES):
        if client is not but:
            _hears(trial, client, text, what, to, sender)


def _hears(
    trial: ServerTrial, client: socket.socket, text: bytes, what: str, to: str, sender: socket.socket | None = None
) -> None:
    got, stuck = trial.receive(client, len(text))
    if got == text:
        return
    if not stuck:
        trial.process.explain_end()
    if sender:
        _nothing_back(sender, what)
    if stuck and not got:
        # Where the line stopped, the sender's connection shows.
        raise trial.unanswered(sender or client, f"{what}, and {to} did not get it within 1 s", stuck, private=False)
    if len(got) > 100 and text.startswith(got):
        end = "then the end: let go of clients that do not read, and of no others"
        if stuck:
            end = f"nothing more within 1 s: {stuck.does('your server')}"
        raise Wrong(f"{what}, and {to} got {len(got)} of {len(text)} bytes, {end}.")
    if not got:
        raise Wrong(f"{what}, and {to} got b'', the end: the server let go of a client that is still there.")
    if got == text.upper():
        raise Wrong(f"{what}, and {to} got it in capitals: hand the line on as it is.")
    if got + b"\n" == text:
        raise Wrong(f"{what}, and {to} got it without b'\\n' at its end.")
    raise Wrong(f"{what}, and {to} got {got[:60]!r}, not {text[:60]!r}.")


def _nothing_back(sender: socket.socket, what: str) -> None:
    if readable(sender) and (got := sender.recv(100)):
        if got.count(got.partition(b"\n")[0]) > 1:
            raise Wrong(f"{what} and got {got!r} back: do all clients share one buffer? Each one needs its own.")
        raise Wrong(f"{what} and got {got!r} back: a line goes to all OTHERS.")


def _whole_lines(trial: ServerTrial) -> None:
    ann, ben, cleo, *_ = trial.clients
    for one, other in zip(b"I am Ann\n", b"I am Ben\n"):
        for client, byte in (ann, one), (ben, other):
            trial.send(client, bytes([byte]))
            trial.read_all(client)
    got, stuck = trial.receive(cleo, 18)
    if not _are_lines(got, b"I am Ann\n", b"I am Ben\n"):
        what = "Ann and Ben sent a line each at the same time, one byte after the other, and Cleo got"
        if not stuck:
            trial.process.explain_end()
        raise Wrong(f"{what} {got!r}: hand on whole lines only, and keep one buffer for each client (Lines).")
    for client, to, text in (ann, "Ann", b"I am Ben\n"), (ben, "Ben", b"I am Ann\n"):
        _hears(trial, client, text, "A line came in pieces", to)
    for client in trial.clients[3:]:
        trial.receive(client, 18)
    _to_all(trial, b"one\ntwo\n", "Ann sent two lines in one packet")
    trial.good("lines in pieces, two lines in one packet: all arrive whole")


def _are_lines(got: bytes, *lines: bytes) -> bool:
    """Are these the lines, each of them whole? Which comes first is free: they were sent at the same time."""
    return sorted(got.splitlines(keepends=True)) == sorted(lines)


def _leavers(trial: ServerTrial) -> None:
    trial.happens("A client left and your server died: ")
    dan = trial.clients[3]
    with trial.process.paused():
        trial.send(dan, b"bye\n")
        dan.close()
        visitor = trial.connect()
        reset(visitor)
    _others_hear(trial, dan, b"bye\n", "Dan sent a line and left")
    trial.lets_go("Two clients left", "After b'', close and forget.", 4)
    trial.clients[3] = dan = trial.connect()
    trial.send(dan, b"I am back\n")
    _others_hear(trial, dan, b"I am back\n", "Dan came again and sent a line")
    trial.good("clients come and leave, also with a reset")


def _slow(trial: ServerTrial) -> None:
    """A client reads late, and another one is reset while lines wait for it: less than the limit."""
    slow, text = _with_unsent(trial)
    trial.happens("A client reads late, and your server died: ")
    got, stuck = trial.receive(slow, len(text))
    if got != text:
        what = f"A client read late and got {len(got)} of {len(text)} bytes"
        if text.startswith(got) and stuck:
            raise Wrong(
                f"{what}, nothing more within 1 s: {stuck.does('your server')}. The rest waits in your server: wait for its socket to be "
                "writable while something is to be sent."
            )
        if not stuck:
            trial.process.explain_end()
        raise Wrong(
            f"{what}, then {'others' if stuck else 'the end'}: send() takes what fits; keep the rest and its order (send(2))."
        )
    trial.happens("A client was reset while lines waited for it, and your server died: ")
    reset(slow)
    lost, _ = _with_unsent(trial)
    reset(lost)
    _to_all(trial, b"still here\n", "A client was reset while lines waited for it; then Ann sent a line")
    if stuck := trial.holds(5):
        raise Wrong(
            f"A client was reset while lines waited for it, and its connection stays open: {stuck.does('your server')}. Close it."
        )
    trial.good("a client that reads late gets all; one that is reset while lines wait for it ends alone")


def _with_unsent(trial: ServerTrial, most: int = 12_000) -> tuple[socket.socket, bytes]:
    """A new client for which over `most` bytes wait in the server, less than the limit; and what it has to get."""
    slow, text = trial.connect(SMALL), b""
    trial.holds(len(trial.clients) + 1)
    for number in range((168_000 + most) // 4096):  # the kernel takes 158 kB
        line = b"%03d %s\n" % (number, b"." * 4091)
        _to_all(trial, line, "A client does not read; Ann sent lines of 4 kB")
        text += line
        if number > 15 and number % 2:
            trial.process.settle()  # in the middle of a round it may be about to send
            if trial.keeps("unsent") > most:
                break
    return slow, text


BATCH = b"".join(b"line %04d of a long talk, with nothing in it but words %s\n" % (number, b"." * 960) for number in range(32))
BATCHES = 128  # 4 MB in all
_KEPT = 2 << 20  # bytes; far more than the buffers of a connection hold


def _never_reads(trial: ServerTrial) -> None:
    trial.happens("One client does not read, and your server died: ")
    eve, before = trial.clients.pop(), trial.process.memory()
    try:
        for _ in range(BATCHES):
            _to_all(trial, BATCH, "Eve does not read; Ann sent lines")
    except Wrong:
        if trial.way(trial.clients[0])[0] is None and trial.listens():
            raise Wrong(
                "Eve does not read, and your server let go of Ann, who sent the lines: let go of the client for which more "
                "than 64 kB wait."
            ) from None
        raise
    grown = trial.process.memory() - before
    if trial.way(eve)[0]:
        total = f"{len(BATCH) * BATCHES // 1_000_000} MB"
        # The kernel's number may be too small: it does not count pages that it took back, nor memory that was free before.
        grown = max(grown, len(trial.receive(eve, _KEPT)[0])) if grown < _KEPT else grown
        if grown >= _KEPT:
            raise Wrong(
                f"Eve never reads, and after {total} the memory of your server grew by {grown / 1e6:.0f} MB: everything "
                "that waits for her. Let go of a client for which more than 64 kB wait."
            )
        raise Wrong(
            f"Eve never reads, and after {total} she is still there: what she should have got is lost. "
            "Let go of a client for which more than 64 kB wait, so that she knows."
        )
    trial.good("a client that never reads is let go, and the others do not wait for it")


def _too_long(trial: ServerTrial) -> None:
    trial.happens("A client sent too long a line, and your server died: ")
    visitor = trial.connect()
    trial.send(visitor, TOO_LONG)
    stuck = trial.receive(visitor, 1)[1]
    if stuck:
        raise Wrong(
            f"A client sent {len(TOO_LONG)} bytes without b'\\n', and its connection stays open: {stuck.does('your server')}. Lines "
            "raises ValueError for too long a line: let go of this client."
        )
    _to_all(trial, b"still here\n", "A client sent too long a line and was let go; then Ann sent a line")
    trial.good("too long a line ends its sender's connection alone")


def _half_closed(trial: ServerTrial) -> None:
    trial.happens("A client half-closed, and your server died: ")
    slow, text = _with_unsent(trial, 40_000)  # more than the buffers take when it comes to the end
    with trial.process.paused():
        half_close(slow)
    trial.read_all(slow)
    got, stuck = trial.receive(slow, len(text))
    if got != text:
        if not stuck:
            trial.process.explain_end()
        raise Wrong(
            f"A client has finished sending while lines waited for it, and got {len(got)} of {len(text)} bytes: b'' says that it "
            "sends no more, and it still reads (shutdown(2)). First send what waits for it, then close."
        )
    if stuck := trial.holds(len(trial.clients)):
        raise Wrong(
            f"A client has finished, and got all that waited; its connection stays open: {stuck.does('your server')}. Close it."
        )
    trial.good("a client that has finished sending still gets what waits for it")


def _chat_ends(trial: ServerTrial) -> None:
    trial.happens("All clients left and your server died: ")
    with trial.process.paused():
        for client in trial.clients:
            client.close()
    trial.lets_go("All clients have left", "", 0)
    trial.calm("All clients have left")
    trial.process.alone()
    trial.good("when all have gone, no descriptor is left, and it sleeps")


CHECKS = {"4.4": check_chat}
