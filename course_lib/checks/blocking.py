"""Checks of exercises 2.3 and 2.4: one client, and one after the other without end."""

import dis
import errno
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from types import CodeType

from course_lib.proc import sockets
from course_lib.sandbox import Attempt, Stuck, Talk, Wrong, a
from course_lib.sandbox.talk import is_learners
from course_lib.sandbox.words import where

from .ends import CLOSED, LONG_LINES, TOO_LONG, accepted, half_close, is_closed, reset, send
from .make_listener import variables
from .probe import Answer, Instead, explaining, first, raise_first
from .server_trial import Server

_SENDS = "send", "write"  # the calls in which a thread may sleep while the send buffer is full
_RECEIVES = "recv", "read"
_CLIENTS = 300  # that come and go: more than a server counts that ends too early
_BATCH = 50  # of them at once: fewer than the accept queue holds
_DEPTH = 150  # frames that the server may use: a server that calls itself for each client is through soon


def check_serve_one(attempt: Attempt) -> None:
    one = _ServeOne(attempt, _use_serve_one, 16_384)
    with explaining(CLOSED):
        for part in _whole_lines, _who_disappears, _small_buffers, _answers_no_more, _interrupted, _too_long:
            part(one)
    one.process.alone()


class _ServeOne(Server):
    """serve_one(), called for each client."""

    def client(self, receive_buffer: int | None = None, **order: bool) -> socket.socket:
        client = self.connect(receive_buffer)
        self.process.say(client=client.getsockname()[1], **order)
        return client

    def returned(self, seconds: float = 1.0) -> str:
        """It must come back now, and leave nothing open; gives what it returned, in words."""
        try:
            told = self.process.hear("", seconds)
        except Stuck as stuck:
            why = "" if stuck.asleep else "When the peer has finished, recv() gives b'' again and again (recv(2))."
            raise Wrong(f"Your server did not return {seconds:g} s after the client finished: {stuck.does()}.", why) from None
        if told["wrong"]:
            raise Wrong(told["wrong"])
        return str(told["value"])


def _whole_lines(one: _ServeOne) -> None:
    _three_lines(one, one.client())
    one.returned()
    one.good("three lines, three answers, also after the client half-closed")

    _in_two_pieces(one)
    client = one.client()
    client.sendall(b"half")
    half_close(client)
    got = one.process.read(client, 10, "The client half-closed and saw no end of the connection within 1 s")
    Answer(r"The client sent b'half' without b'\n'", "it", got, "got").is_(b"", "that is not a line yet. Use Lines")
    one.returned()
    one.good("half a line is not answered")


def _in_two_pieces(one: _ServeOne) -> None:
    client, process = one.client(), one.process
    process.until(lambda: process.asleep_in() in _RECEIVES, 0.5)
    woke = process.wakes()
    send(client, b"he")
    process.until(lambda: process.wakes() > woke and process.asleep_in() in _RECEIVES, 0.5)  # it has read that
    send(client, b"llo\n")
    half_close(client)
    got = process.read(client, 10, "The client sent a line in two pieces, and saw no end of the connection within 1 s")
    lost: Instead = {
        b"LLO\n": "{}: the first piece is lost. One Lines() for the whole connection, made before the loop, keeps it"
    }
    Answer(r"The client sent b'he', and then b'llo\n'", "it", got, "got").is_(b"HELLO\n", instead=lost)
    one.returned()


_NOT_THREE: Instead = {
    b"ONETWOTHREE": r"{}: the answers have no b'\n' at their end, so it cannot tell them apart",
    lambda got: got != got.upper() == b"ONE\nTWO\nTHREE\n": "{}: answer in capitals",
}


def _three_lines(one: _ServeOne, client: socket.socket) -> None:
    """Three lines, one by one, then half-close; all answers must come."""
    lines, right, got, prompt = (b"one\n", b"two\n", b"three\n"), b"ONE\nTWO\nTHREE\n", b"", True
    for line in lines:
        send(client, line)
        answer, stuck = one.receive(client, len(line), 0.3)
        got += answer
        prompt = prompt and not stuck
        if len(answer) < len(line) and not stuck:
            one.process.explain_end()
            raise Wrong(
                f"After {_count(got)} the client got b'', the end: do you close after the first answer? Go on until recv() gives b''."
            )
    half_close(client)
    got += one.receive(client, len(right) - len(got))[0]
    if got != right and right.startswith(got):
        value = one.returned()
        if value != "None":
            raise Wrong(f"serve_one returned {value} and sent {_count(got)}: the answers go out through conn.")
        raise Wrong(
            f"The client half-closed and got {got.count(10)} of 3 answers: b'' says that it sends no more, but it still reads "
            "(shutdown(2)). First answer all you have, then close."
        )
    Answer(f"The client sent {b''.join(lines)!r}", "it", got, "got").is_(right, instead=_NOT_THREE)
    if not prompt:
        raise Wrong("The answers came only after the client had finished: answer each line as soon as it is there.")


def _who_disappears(one: _ServeOne) -> None:
    client = one.client()
    client.sendall(b"one\n")
    got = one.process.read(client, 4, "The client sent a line and got no answer within 1 s")
    if got != b"ONE\n":
        one.process.explain_end()
    before = r"The client before had left in the middle of a line; this one sent b'one\n'"
    Answer(before, "it", got, "got").is_(b"ONE\n", "make Lines() anew for each connection")
    reset(client)
    one.returned()
    client = one.client()
    send(client, LONG_LINES)
    one.process.read(client, 1, "The client sent lines of 50,000 bytes and got no answer within 1 s")
    reset(client)  # now in the middle of the answer
    one.returned()
    with one.process.paused():
        client = one.client()
        client.sendall(b"one\ntwo\nthree\n")
        client.close()  # the first answer meets no one: its reset comes before the second, EPIPE
    one.returned()
    one.good("a reset does not end the server, nor does a send after it")


def _small_buffers(one: _ServeOne) -> None:
    """A signal comes while it sleeps in send(): then send() returns how many bytes it has moved (send(2), signal(7))."""
    client = one.client(receive_buffer=16_384)
    send(client, LONG_LINES)
    half_close(client)
    one.process.until(lambda: one.process.asleep_in() in _SENDS, 0.5)
    one.process.interrupt(signal.SIGUSR2)
    got, stuck = one.receive(client, 200_000, 4.0)
    if len(got) < 200_000:
        if not stuck:
            one.process.explain_end()
        raise Wrong(
            f"{len(got)} of 200,000 bytes arrived: the check sent a signal while your send() slept. Then send() returns how many "
            "bytes it took, and the rest is for you to send (send(2), signal(7)); sendall() goes on by itself."
        )
    one.returned()
    one.good("answers of 200,000 bytes through small buffers")


def _answers_no_more(one: _ServeOne) -> None:
    client = one.client(receive_buffer=16_384, gives_up=True)
    send(client, LONG_LINES)
    one.returned(3.0)
    client.close()
    one.good("a client that answers no more (ETIMEDOUT) does not end it either")


def _interrupted(one: _ServeOne) -> None:
    client, process = one.client(stop=True), one.process
    if process.until(lambda: process.asleep_in() in _RECEIVES, 0.5) and process.interrupt(signal.SIGUSR2):
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


def _too_long(one: _ServeOne) -> None:
    client = one.client()
    send(client, TOO_LONG)
    try:
        with explaining({"ValueError": "Lines raises it for too long a line: catch it, then close."}):
            one.process.read(client, 1, "")
            one.returned()
    except Stuck as stuck:
        raise Wrong(
            f"A client sent {len(TOO_LONG)} bytes without b'\\n', and its connection stays open: {stuck.does()}. Lines raises "
            "ValueError for too long a line: then close."
        ) from None
    one.good("too long a line ends its connection alone")


def _use_serve_one(talk: Talk, learner: Callable, listener: socket.socket) -> None:
    while True:
        order = talk.hear()
        signal.signal(signal.SIGUSR2, _stop if order.get("stop") else lambda *_: None)
        before = sockets().keys()
        conn = accepted(listener, order["client"])
        number = conn.fileno()
        if order.get("gives_up"):
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1)
        try:
            value, stopped = learner(conn), False
        except KeyboardInterrupt:
            value, stopped = None, True
            conn.close()
        left = sockets().keys() - before
        stays, others, limit = number in left, len(left - {number}), conn.gettimeout() or 0.0
        causes = {
            "serve_one returned and left the connection open: the client waits for the end. Close it (with conn: ...).": stays,
            f"serve_one left {others} more open than before: sockets that it made and did not close.": others > 0,
            "os.close() has closed the number, and conn does not know: it will use, or close, this number when it is another "
            "connection's. Close the socket: conn.close(), or with conn.": conn.fileno() == number and not stays,
            f"serve_one gave the connection a time limit of {limit:g} s: nobody asked for it, and a client that thinks for longer "
            "loses its connection. Leave settimeout() out.": limit > 0,
        }
        talk.tell(value=a(value), stopped=stopped, wrong=first(causes))
        conn.detach()  # so that nothing is closed behind the learner's back, or twice


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


_OF_SERVE_FOREVER = {
    "RecursionError": "{type}{line}: serve_forever calls itself for the next client, and each call keeps its place in memory. "
    "Use a loop: while True.",
    **CLOSED,
}


def check_serve_forever(attempt: Attempt) -> None:
    server = _Forever(attempt, _use_serve_forever)
    with explaining(_OF_SERVE_FOREVER):
        for part in _one_after_the_other, _resets, _many_clients, _waits_for_the_next, _silent_client, _can_be_stopped:
            part(server)


class _Forever(Server):
    """serve_forever(), and clients that come to it."""

    def answers(self, what: str) -> socket.socket:
        """A client that has come and has got its answer; `what` begins the message if it gets none in time."""
        self.asked(client := self.connect(), what)
        return client

    def asked(self, client: socket.socket, what: str, seconds: float = 1.0) -> None:
        client.sendall(b"hello\n")
        got = self.process.read(client, 6, what, seconds)
        if got != b"HELLO\n":
            self.process.explain_end()
        Answer(r"A client sent b'hello\n'", "it", got, "got").is_(b"HELLO\n")


def _one_after_the_other(server: _Forever) -> None:
    server.answers("The first client got no answer within 1 s").close()
    try:
        server.answers("The second client got no answer within 1 s").close()
    except Stuck as stuck:
        if stuck.asleep or server.process.sockets() != 1:
            raise
        # the listener is its only socket: the first connection is closed, the second not accepted
        raise Wrong(
            f"The second client waits in the accept queue, and the first one's connection is closed; yet {stuck.does()}. "
            "accept() belongs inside the loop: each client needs one of its own."
        ) from None
    server.good("two clients, one after the other")


def _resets(server: _Forever) -> None:
    reset(server.answers("The third client got no answer within 1 s"))
    server.answers("After a client was reset, the next one got no answer within 1 s").close()
    server.good("a client that resets does not end it")


def _many_clients(server: _Forever) -> None:
    for _ in range(_CLIENTS // _BATCH):
        for _ in range(_BATCH):
            reset(server.connect())
        server.answers(f"{_BATCH} clients came and went, and the next one got no answer within 1 s").close()
    server.good(f"{_CLIENTS} clients that come and go")


def _waits_for_the_next(server: _Forever) -> None:
    """Nobody comes: it must sleep, and not look again and again."""
    process = server.process
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


def _silent_client(server: _Forever) -> None:
    """The limit of a blocking server: a note, and no fault."""
    process, note = server.process, server.attempt.note
    silent, waiting = server.connect(), server.connect()
    # does it sleep for the first one, and with no time limit?
    if blocked := process.until(lambda: process.asleep_in() in _RECEIVES, 0.1):
        waiting.sendall(b"hello\n")
    else:
        try:
            server.asked(waiting, "", 0.5)
        except Stuck as stuck:
            blocked = True
            if not stuck.asleep:
                raise Wrong(f"Nobody talks, yet {stuck.does()}. A blocking accept() or recv() would sleep.") from None
    process.alone()
    silent.close()
    if not blocked:
        note("a silent first client does not keep the second one waiting: this is more than was asked.")
        return
    note(
        "a first client connected and said nothing; a second one sent a line and got no answer. "
        "Your server sleeps in recv() for the first."
    )
    if process.read(waiting, 6, "The silent client left, and the second one still got no answer within 1 s") == b"HELLO\n":
        note("when the first one left, the second one got its answer at once. The next notebook cures this.")
    waiting.close()
    client = server.answers("A last client got no answer within 1 s")
    extra = process.sockets() - 2  # the listener and this client's connection
    if extra > 0:
        raise Wrong(f"All clients but one have left, and {extra} of their connections are still open: close each one.")
    client.close()


def _can_be_stopped(server: _Forever) -> None:
    server.process.until(lambda: server.process.state() == "S", 0.5)
    if not server.process.interrupt(signal.SIGUSR2):
        return
    try:
        server.process.hear("")
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
    except (AttributeError, TypeError, OSError) as error:
        call, code = _call(error), getattr(learner, "__code__", None)
        pair = "'tuple' object" in str(error) and _is_accepted(_tuple(error))
        closed = isinstance(error, OSError) and error.errno == errno.EBADF
        listener_closed, again = closed and is_closed(listener), closed and code and _accepts_before_loop(code)
        causes = {
            f"accept() returns the pair (connection, address); you handed on the pair{call}. Take it apart: conn, address = "
            "listener.accept().": pair,
            f"You used the listener after you had closed it{call}: keep it open for the next clients.": listener_closed,
            f"accept() belongs inside the loop: you served a closed connection again{call}.": again,
        }
        raise_first(causes)
        raise
    raise Wrong("serve_forever returned; it should serve without end: while True.")


def _tuple(error: BaseException) -> tuple:
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


CHECKS = {"2.3": check_serve_one, "2.4": check_serve_forever}
