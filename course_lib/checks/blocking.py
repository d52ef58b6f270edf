"""Checks of exercises 2.3 and 2.4: one client, and one after the other without end."""

from __future__ import annotations

import dis
import errno
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING

from course_lib.proc import sockets
from course_lib.sandbox import Attempt, Raised, Stuck, Talk, Wrong, a
from course_lib.sandbox.talk import is_learners
from course_lib.sandbox.words import where

from .ends import LONG_LINES, TOO_LONG, accepted, half_close, reset, send
from .make_listener import variables

if TYPE_CHECKING:
    from course_lib.sandbox.checked_process import CheckedProcess


_SENDS = "send", "write"  # the calls in which a thread may sleep while the send buffer is full
_CLIENTS = 300  # that come and go: more than a server counts that ends too early
_BATCH = 50  # of them at once: fewer than the accept queue holds
_DEPTH = 150  # frames that the server may use: a server that calls itself for each client is through soon


def check_serve_one(attempt: Attempt) -> None:
    listener = attempt.listen(send_buffer=16_384)
    address = listener.getsockname()
    process = attempt.start(_use_serve_one, listener)
    for part in _whole_lines, _who_disappears, _small_buffers, _answers_no_more, _interrupted, _too_long:
        part(attempt, process, address)
    process.alone()


def _whole_lines(attempt: Attempt, process: CheckedProcess, address: tuple[str, int]) -> None:
    client = _comes(attempt, process, address)
    _three_lines(process, client)
    _returned(process)
    attempt.good("three lines, three answers, also after the client half-closed")

    client = _comes(attempt, process, address)
    client.sendall(b"half")
    half_close(client)
    got = process.read(client, 10, "The client half-closed and saw no end of the connection within 1 s")
    if got:
        raise Wrong(f"The client sent b'half' without b'\\n' and got {got!r}: that is not a line yet. Use Lines.")
    _returned(process)
    attempt.good("half a line is not answered")


def _who_disappears(attempt: Attempt, process: CheckedProcess, address: tuple[str, int]) -> None:
    client = _comes(attempt, process, address)
    client.sendall(b"one\n")
    got = process.read(client, 4, "The client sent a line and got no answer within 1 s")
    if got != b"ONE\n":
        process.explain_end()
        raise Wrong(
            f"The client before had left in the middle of a line; this one sent b'one\\n' and got {got!r}. Make Lines() anew "
            "for each connection."
        )
    reset(client)
    _returned(process)
    client = _comes(attempt, process, address)
    send(client, LONG_LINES)
    process.read(client, 1, "The client sent lines of 50,000 bytes and got no answer within 1 s")
    reset(client)  # now in the middle of the answer
    _returned(process)
    with process.paused():
        client = _comes(attempt, process, address)
        client.sendall(b"one\ntwo\nthree\n")
        client.close()  # the first answer meets no one: its reset comes before the second, EPIPE
    _returned(process)
    attempt.good("a reset does not end the server, nor does a send after it")


def _small_buffers(attempt: Attempt, process: CheckedProcess, address: tuple[str, int]) -> None:
    """A signal comes while it sleeps in send(): then send() returns how many bytes it has moved (send(2), signal(7))."""
    client = _comes(attempt, process, address, receive_buffer=16_384)
    send(client, LONG_LINES)
    half_close(client)
    process.until(lambda: process.asleep_in() in _SENDS, 0.5)
    process.interrupt(signal.SIGUSR2)
    try:
        got = process.read(client, 200_000, "no end", 4.0)
        if len(got) < 200_000:
            process.explain_end()
    except Stuck as stuck:
        got = stuck.data
    if len(got) < 200_000:
        raise Wrong(
            f"{len(got)} of 200,000 bytes arrived: the check sent a signal while your send() slept. Then send() returns how many "
            "bytes it took, and the rest is for you to send (send(2), signal(7)); sendall() goes on by itself."
        )
    _returned(process)
    attempt.good("answers of 200,000 bytes through small buffers")


def _answers_no_more(attempt: Attempt, process: CheckedProcess, address: tuple[str, int]) -> None:
    client = _comes(attempt, process, address, receive_buffer=16_384, gives_up=True)
    send(client, LONG_LINES)
    _returned(process, 3.0)
    client.close()
    attempt.good("a client that answers no more (ETIMEDOUT) does not end it either")


def _interrupted(attempt: Attempt, process: CheckedProcess, address: tuple[str, int]) -> None:
    client = _comes(attempt, process, address, stop=True)
    if process.until(lambda: process.asleep_in() in ("recv", "read"), 0.5) and process.interrupt(signal.SIGUSR2):
        try:
            stopped = process.hear("")["stopped"]
        except Stuck:
            stopped = False
        if not stopped:
            raise Wrong(
                "KeyboardInterrupt came, from the stop button of the notebook, and your code took it for the end of a client, or "
                "went on: a bare except catches it too. Catch OSError."
            )
    else:  # it sleeps somewhere else
        client.close()
        process.hear("The client left, and serve_one did not return within 1 s")


def _too_long(attempt: Attempt, process: CheckedProcess, address: tuple[str, int]) -> None:
    client = _comes(attempt, process, address)
    send(client, TOO_LONG)
    try:
        process.read(client, 1, "")
        _returned(process)
    except Raised as error:
        why = " Lines raises it for too long a line: catch it, then close." if error.type == "ValueError" else ""
        raise Wrong(f"{error}{why}") from None
    except Stuck as stuck:
        raise Wrong(
            f"A client sent {len(TOO_LONG)} bytes without b'\\n', and its connection stays open: {stuck.does()}. Lines raises "
            "ValueError for too long a line: then close."
        ) from None
    attempt.good("too long a line ends its connection alone")


def _three_lines(process: CheckedProcess, client: socket.socket) -> None:
    """Three lines, one by one, then half-close; all answers must come."""
    sent, got, prompt = _line_by_line(process, client)
    half_close(client)
    try:
        got += process.read(client, 14 - len(got), "", 1.0)
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
        value = _returned(process)["value"]
        if value != "None":
            raise Wrong(f"serve_one returned {value} and sent {_count(got)}: the answers go out through conn.")
        raise Wrong(
            f"The client half-closed and got {got.count(10)} of 3 answers: b'' says that it sends no more, but it still reads "
            "(shutdown(2)). First answer all you have, then close."
        )
    raise Wrong(f"The client sent {sent!r} and got {got!r}, not b'ONE\\nTWO\\nTHREE\\n'.")


def _line_by_line(process: CheckedProcess, client: socket.socket) -> tuple[bytes, bytes, bool]:
    """What was sent, what came, and whether each answer came before the next line."""
    got, prompt, sent = b"", True, b""
    for line in (b"one\n", b"two\n", b"three\n"):
        try:
            client.sendall(line)
            sent += line
            answer = process.read(client, len(line), "", 0.3)
        except Stuck as stuck:
            got, prompt = got + stuck.data, False
            continue
        except ConnectionError:
            answer = b""
        got += answer
        if len(answer) < len(line):
            process.explain_end()
            raise Wrong(
                f"After {_count(got)} the client got b'', the end: do you close after the first answer? Go on until recv() gives b''."
            )
    return sent, got, prompt


def _returned(process: CheckedProcess, seconds: float = 1.0) -> dict:
    """serve_one must come back now, and leave nothing open."""
    try:
        told = process.hear("", seconds)
    except Stuck as stuck:
        why = " When the peer has finished, recv() gives b'' again and again (recv(2))." if not stuck.asleep else ""
        raise Wrong(f"Your server did not return {seconds:g} s after the client finished: {stuck.does()}.{why}") from None
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


def _comes(
    attempt: Attempt, process: CheckedProcess, address: tuple[str, int], receive_buffer: int | None = None, **order: bool
) -> socket.socket:
    """A client, for whose connection serve_one is called."""
    client = attempt.connect(address, receive_buffer)
    process.say(client=client.getsockname()[1], **order)
    return client


def _use_serve_one(talk: Talk, learner: Callable, listener: socket.socket) -> None:
    while True:
        order = talk.hear()
        signal.signal(signal.SIGUSR2, _stop if order.get("stop") else lambda *_: None)
        before = set(sockets())
        conn = accepted(listener, order["client"])
        number = conn.fileno()
        if order.get("gives_up"):
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1)
        try:
            value, stopped = learner(conn), False
        except KeyboardInterrupt:
            value, stopped = None, True
            conn.close()
        left = set(sockets()) - before
        told = {"open": number in left, "left": len(left - {number}), "limit": conn.gettimeout(), "stopped": stopped}
        talk.tell(value=a(value), believes=conn.fileno() == number and number not in left, **told)
        conn.detach()  # so that nothing is closed behind the learner's back, or twice


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def check_serve_forever(attempt: Attempt) -> None:
    listener = attempt.listen()
    address = listener.getsockname()
    process = attempt.start(_use_serve_forever, listener)
    _one_after_the_other(attempt, process, address)
    _resets(attempt, process, address)
    _many_clients(attempt, process, address)
    _waits_for_the_next(process)
    _silent_client(attempt, process, address)
    _can_be_stopped(process)


def _one_after_the_other(attempt: Attempt, process: CheckedProcess, address: tuple[str, int]) -> None:
    for which in ("first", "second"):
        client = attempt.connect(address)
        try:
            ask(process, client, f"The {which} client got no answer within 1 s")
        except Stuck as stuck:
            if stuck.asleep or which == "first" or process.sockets() != 1:
                raise
            # the listener is its only socket: the first connection is closed, the second not accepted
            raise Wrong(
                f"The second client waits in the accept queue, and the first one's connection is closed; yet {stuck.does()}. "
                "accept() belongs inside the loop: each client needs one of its own."
            ) from None
        client.close()
    attempt.good("two clients, one after the other")


def _resets(attempt: Attempt, process: CheckedProcess, address: tuple[str, int]) -> None:
    client = attempt.connect(address)
    ask(process, client, "The third client got no answer within 1 s")
    reset(client)
    client = attempt.connect(address)
    ask(process, client, "After a client was reset, the next one got no answer within 1 s")
    client.close()
    attempt.good("a client that resets does not end it")


def _silent_client(attempt: Attempt, process: CheckedProcess, address: tuple[str, int]) -> None:
    """The limit of a blocking server: a note, and no fault."""
    silent = attempt.connect(address)
    waiting = attempt.connect(address)
    if blocked := process.until(
        lambda: process.asleep_in() in ("recv", "read"), 0.1
    ):  # for the first one, and with no time limit
        waiting.sendall(b"hello\n")
    else:
        try:
            ask(process, waiting, "", 0.5)
        except Stuck as stuck:
            blocked = True
            if not stuck.asleep:
                raise Wrong(f"Nobody talks, yet {stuck.does()}. A blocking accept() or recv() would sleep.") from None
    process.alone()
    silent.close()
    if not blocked:
        attempt.note("a silent first client does not keep the second one waiting: this is more than was asked.")
        return
    attempt.note(
        "a first client connected and said nothing; a second one sent a line and got no answer. "
        "Your server sleeps in recv() for the first."
    )
    if process.read(waiting, 6, "The silent client left, and the second one still got no answer within 1 s") == b"HELLO\n":
        attempt.note("when the first one left, the second one got its answer at once. The next notebook cures this.")
    waiting.close()
    client = attempt.connect(address)
    ask(process, client, "A last client got no answer within 1 s")
    extra = process.sockets() - 2  # the listener and this client's connection
    if extra > 0:
        raise Wrong(f"All clients but one have left, and {extra} of their connections are still open: close each one.")
    client.close()


def _many_clients(attempt: Attempt, process: CheckedProcess, address: tuple[str, int]) -> None:
    try:
        for _ in range(_CLIENTS // _BATCH):
            for _ in range(_BATCH):
                reset(attempt.connect(address))
            client = attempt.connect(address)
            ask(process, client, f"{_BATCH} clients came and went, and the next one got no answer within 1 s")
            client.close()
    except Raised as error:
        if error.type != "RecursionError":
            raise
        raise Wrong(
            f"RecursionError{error.line}: serve_forever calls itself for the next client, and each call keeps its place in memory. "
            "Use a loop: while True."
        ) from None
    attempt.good(f"{_CLIENTS} clients that come and go")


def _waits_for_the_next(process: CheckedProcess) -> None:
    """Nobody comes: it must sleep, and not look again and again."""
    if process.until(lambda: process.asleep_in() == "accept", 0.1):
        return
    used, woke = process.cpu(), process.wakes()
    for passed in process.own_time(0.3):
        pass
    used, woke = process.cpu() - used, process.wakes() - woke
    if woke > 5 or used > passed / 3:
        times = f"{woke} times in 0.3 s" if woke > 5 else "all the time"
        raise Wrong(
            f"Nobody comes, and your server looks for a client {times}{process.where()}. A blocking accept() sleeps until somebody is "
            "there: no setblocking(False), no time limit, no nap."
        )


def _can_be_stopped(process: CheckedProcess) -> None:
    process.until(lambda: process.state() == "S", 0.5)
    if not process.interrupt(signal.SIGUSR2):
        return
    try:
        process.hear("")
    except Stuck:
        raise Wrong(
            "KeyboardInterrupt came, from the stop button of the notebook, and serve_forever went on: a bare except catches it "
            "too. Catch OSError, or nothing: serve_one looks after its client's errors."
        ) from None


def _use_serve_forever(talk: Talk, learner: Callable, listener: socket.socket) -> None:
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
    near = (getattr(error, "obj", None), *variables(error))
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


def _count(answers: bytes) -> str:
    number = answers.count(b"\n")
    return f"{number} answer{'s' * (number != 1)}"


def ask(process: CheckedProcess, client: socket.socket, what: str, seconds: float = 1.0) -> None:
    client.sendall(b"hello\n")
    got = process.read(client, 6, what, seconds)
    if got != b"HELLO\n":
        process.explain_end()
        raise Wrong(f"A client sent b'hello\\n' and got {got!r}, not b'HELLO\\n'.")


CHECKS = {"2.3": check_serve_one, "2.4": check_serve_forever}
