"""Exercise 7.2: calls that wait by yield, and the check that resumes them by hand."""

import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import GeneratorType
from typing import Any

from course_lib.sandbox import Attempt, Talk, Wrong, a, shown, wait_until

from .ends import connection, is_closed, is_connected, left_as_it_was, readable, reset, writable
from .probe import Answer, Instead, raise_first
from .server_trial import SMALL


class Driven:
    """A generator or coroutine, resumed by hand as a loop would do it: it waits by a yield of (event, about).

    Messages show its call as `call`, and `about` as `name`.
    """

    def __init__(self, talk: Talk, code: Any, call: str, event: str, about: object, name: str) -> None:
        if not hasattr(code, "send"):
            raise Wrong(f"{call} gave {a(code)}.")
        self.call, self.over = call, False
        self._talk, self._code, self._event, self._about = talk, code, event, about
        self._right = f'("{event}", {name})'
        self._value: object = None

    def resume(self, when: str) -> object:
        """One step: what it yielded, or None when it is `over`."""
        self._talk.step(f"{when}: {self.call} was resumed and neither yielded nor returned within 1 s")
        try:
            return self._code.send(None)
        except StopIteration as end:
            self._value, self.over = end.value, True
            return None

    def returned(self, when: str) -> Answer:
        return Answer(when, self.call, self._value)

    def goes_on(self, when: str) -> bool:
        """One step, if it is not over: does it wait, as it should, or has it returned?"""
        if not self.over:
            got = self.resume(when)
            if not self.over:
                self.is_wait(got, when)
        return not self.over

    def waits(self, when: str) -> None:
        """One step, which must yield."""
        if not self.goes_on(when):
            value = "returned" if self._value is None else f"returned {shown(self._value)}"
            raise Wrong(f"{when}: {self.call} {value}, and it should yield {self._right}, so that the loop waits.")

    def is_wait(self, got: object, when: str) -> None:
        what, why = shown(got), f", not {self._right}"
        if is_unrun(got):
            what, why = "a generator", ": a plain call of a generator function runs nothing; go through it with `yield from`"
        elif isinstance(got, tuple) and len(got) == 2:
            kind, thing = got
            sock = self._about if isinstance(self._about, socket.socket) else None
            if kind == self._event and (thing is self._about or not sock and thing == self._about):
                return
            what = f"({shown(kind)}, {shown(thing)})"
            if kind == self._event and sock and thing == sock.fileno():
                what, why = "the number of the socket", f": {self._right} is asked for, with the socket itself"
        raise Wrong(f"{when}: {self.call} yielded {what}{why}.")

    def gives_way(self, when: str) -> None:
        """It was just begun and need not wait: it must yield all the same, for the others' sake."""
        if not self.goes_on(when):
            raise Wrong(
                f"{when}, and {self.call} returned at once. Yield first, then try: one that sends without end must not keep all "
                "the others waiting."
            )

    def closes(self, when: str) -> None:
        """It was just begun and waits: close() must end it there."""
        self.waits(when)
        try:
            self._code.close()
        except RuntimeError:
            sys.unraisablehook = lambda about: None  # Python would print the same once more
            raise Wrong(
                f"{self.call} waits, its task is closed, and it goes on: GeneratorExit has to come through (PEP 342). Catch what you "
                "know by its name, and nothing else."
            ) from None

    def comes(self, when: str) -> Answer:
        """What it waits for, at a socket, is there: resumed, it must return."""
        if not self.goes_on(when):
            return self.returned(when)
        assert isinstance(self._about, socket.socket)
        if not readable(self._about):
            raise Wrong(f"{when}: {self.call} took it, and waits for more. Return what has come; n is the most.")
        raise Wrong(f"{when}: {self.call} was resumed and yielded once more. Try as soon as it is resumed.")

    def is_over(self, when: str) -> None:
        """It has waited once, and that is enough."""
        self.resume(when)
        if not self.over:
            raise Wrong(f"{self.call} yielded a second time: whoever resumes it has waited, so it returns then.")


def is_unrun(got: object) -> bool:
    """Is it what a plain call of a generator function gives, or of an async def?"""
    return isinstance(got, GeneratorType | Coroutine)


def check_waits(attempt: Attempt) -> None:
    attempt.ask(_use_waits, attempt.listen(SMALL), late="The four generators did not answer within 1 s", causes=OF_WAITS)


OF_WAITS = {
    "BlockingIOError in sendall": "{type}{line}: when sendall() fails, nobody knows how much went out (Python docs, socket.sendall). "
    "send() tells it: keep the rest.",
    "BlockingIOError": "{type}{line}: this says that the call would have to wait. Catch it, and yield what you wait for; ready is a "
    "hint, so also after you were resumed.",
    "ConnectionResetError in recv": "{type}{line}: the peer has sent a reset. recv gives b'' for it, as try_recv of 3.1 does.",
    "RuntimeError: StopIteration": "In a generator, `return value` ends it; to raise StopIteration there is an error (PEP 479).",
    "TypeError: 'await' expression|can't be awaited": "Behind await stands a coroutine, or an object whose class has __await__ "
    "(PEP 492): `Wait(event, about)`.",
    "RuntimeError: no running event loop": "What asyncio has to await talks to asyncio's own loop, and here yours runs: "
    "`await Wait(event, about)`.",
    "TypeError: generator": "A plain call of a generator function gives a generator and runs nothing: `yield from` gives its value.",
    "TypeError: 'tuple'": "`yield from` goes through what another generator yields; to yield one tuple it is `yield`.",
}


def _use_waits(talk: Talk, learner: tuple[Callable, ...], listener: socket.socket) -> None:
    recv, send_all, accept, sleep = learner
    use_recv(talk, recv, listener)
    use_send_all(talk, send_all, listener)
    use_accept(talk, accept, listener)
    _use_sleep(talk, sleep)
    talk.tell()


_NOT_WHAT_CAME: Instead = {
    is_unrun: "a generator object, not bytes: a plain call of a generator function. `yield from` gives its value",
    None: "None: `return data`. This is what `yield from` gives the caller (PEP 380)",
    lambda got: not isinstance(got, bytes): "{}: return what came, as bytes",
    lambda got: len(got) > 100: "more than 100 bytes: hand n on",
}


def use_recv(talk: Talk, recv: Callable, listener: socket.socket) -> None:
    def begin() -> Driven:
        return Driven(talk, recv(sock, 100), "recv(sock, 100)", "read", sock, "sock")

    def receives(when: str, right: bytes, driven: Driven | None = None) -> None:
        readable(sock, 1.0)
        if not driven:
            driven = begin()
            driven.gives_way(f"{when} before the call")
        driven.comes(when).is_(right, f"not {shown(right)}", _NOT_WHAT_CAME)

    with connection(listener) as (client, sock):
        driven = begin()
        driven.waits("Nothing has come yet")
        driven.waits("It was resumed and nothing had come: ready is a hint")
        left_as_it_was("recv", sock)
        begin().closes("Nothing has come yet")
        client.sendall(b"hello")
        receives("b'hello' had come", b"hello", driven)
        client.sendall(b"there")
        receives("b'there' had come", b"there")
        talk.good("recv: the others have their turn, then it returns what has come")
        client.sendall(bytes(range(256)))
        receives("256 bytes had come", bytes(range(100)))
        client.shutdown(socket.SHUT_WR)
        receives("More bytes had come", bytes(range(100, 200)))
        receives("More bytes had come", bytes(range(200, 256)))
        for _ in range(2):
            readable(sock, 1.0)
            _ends(begin(), "The peer has finished sending", sock)
        talk.good("recv: at most n bytes, b'' when the peer has finished")

    with connection(listener) as (client, sock):
        driven = begin()
        driven.waits("Nothing has come yet")
        reset(client)
        readable(sock, 1.0)
        _ends(driven, "The peer has sent a reset", sock)
        talk.good("recv: a reset counts as finished")


def _ends(driven: Driven, when: str, sock: socket.socket) -> None:
    if driven.goes_on(when) and driven.goes_on(when):
        raise Wrong(
            f"{when}: recv(sock, 100) yields again and again. recv() gives b'', which is an answer: `if not data` takes it for None."
        )
    driven.returned(when).is_(b"")
    left_as_it_was("recv", sock)


_DATA = b"".join(b"%07d " % number for number in range(75_000))  # 600,000 bytes, no two parts of it the same


def use_send_all(talk: Talk, send_all: Callable, listener: socket.socket) -> None:
    _sends_what_fits(talk, send_all, listener)
    _sends_in_parts(talk, send_all, listener)
    _sends_to_nobody(talk, send_all, listener)


def _sends_what_fits(talk: Talk, send_all: Callable, listener: socket.socket) -> None:
    for data in b"hello", b"":
        with connection(listener) as (client, sock):
            driven = Driven(talk, send_all(sock, data), f"send_all(sock, {data!r})", "write", sock, "sock")
            room = "The send buffer has room"
            if driven.goes_on(room) and driven.goes_on(room):  # to yield first is no mistake here: what it sends has an end
                raise Wrong(
                    f"{room}: {driven.call} was resumed, and it yielded again and again instead of returning: try the call each "
                    "time it is resumed."
                )
            left_as_it_was("send_all", sock)
            if data and (got := client.recv(100) if readable(client, 1.0) else b"") != data:
                raise Wrong(f"{driven.call} returned, and the peer got {got!r}.")


def _sends_in_parts(talk: Talk, send_all: Callable, listener: socket.socket) -> None:
    with connection(listener, SMALL) as (client, sock):
        driven = Driven(talk, send_all(sock, _DATA), f"send_all(sock, data) with {len(_DATA)} bytes", "write", sock, "sock")
        got, full = bytearray(), 0
        client.setblocking(False)
        for rounds in range(10_000):
            if not driven.goes_on("The peer reads slowly and the send buffer gets full"):
                break
            if full < 8:  # resumed without need, until neither buffer has room: ready is a hint
                full += not writable(sock)
                continue
            if len(got) > len(_DATA):
                break
            before, full = len(got), full + 1
            wait_until(lambda: _drain_into(client, got) > before and writable(sock), 0.5)
            if len(got) == before and full > 8:
                raise Wrong(
                    "The send buffer has room, and send_all was resumed again and again, and sent nothing more: try send() each "
                    "time it is resumed."
                )
        talk.step("The peer did not get its bytes within 1 s")
        wait_until(lambda: _drain_into(client, got) >= len(_DATA), 0.5)
        _all_came(bytes(got), driven.over)
        left_as_it_was("send_all", sock)
        talk.good(f"send_all: all of {len(_DATA)} bytes, and it yields while the send buffer is full")


def _sends_to_nobody(talk: Talk, send_all: Callable, listener: socket.socket) -> None:
    with connection(listener, SMALL) as (client, sock):
        driven, ended = (Driven(talk, send_all(sock, _DATA), "send_all(sock, data)", "write", sock, "sock") for _ in range(2))
        when = "The peer has sent a reset in the middle"
        driven.waits("The send buffer is full")
        ended.closes("The send buffer is full")
        reset(client)
        readable(sock, 1.0)
        try:
            for _ in range(5):
                if not driven.goes_on(when):
                    raise Wrong(
                        f"{when}, and send_all returned as if all had been sent: let the error of send() through, so that the "
                        "caller knows."
                    )
        except ConnectionError:
            talk.good("send_all: an error of send() comes through")
        else:
            raise Wrong(
                f"{when}, and send_all yields again and again: nothing will ever be sent. Catch BlockingIOError alone, and let "
                "ConnectionError through."
            )


def _drain_into(client: socket.socket, got: bytearray) -> int:
    """Take what is there; returns how many bytes have come in all."""
    with suppress(BlockingIOError):
        while data := client.recv(1 << 20):
            got += data
    return len(got)


def _all_came(got: bytes, over: bool) -> None:
    if got == _DATA:
        return
    what = f"send_all(sock, data) with {len(_DATA)} bytes"
    causes = {
        f"{what}: it was resumed 10,000 times, and still yields.": not over and len(got) <= len(_DATA),
        f"{what} returned, and {len(got)} came: send() takes what fits and returns how much (send(2)). Keep the rest, and "
        "send it when resumed.": len(got) < len(_DATA),
        f"{what}: {len(got)} came, some of them twice: send() returns how many bytes it took (send(2)). Go on with "
        "the rest, data[sent:].": True,
    }
    raise_first(causes)


_NO_CONNECTION: Instead = {
    is_unrun: "a generator object, not a connection: a plain call of a generator function. `yield from` gives its value",
    tuple: "the pair (connection, address): return the connection alone, as try_accept does",
}


def use_accept(talk: Talk, accept: Callable, listener: socket.socket, kind: type = socket.socket) -> None:
    def begin() -> Driven:
        return Driven(talk, accept(listener), "accept(listener)", "read", listener, "listener")

    driven = begin()
    driven.waits("No client is waiting")
    driven.waits("It was resumed and no client was waiting: it may have gone")
    begin().closes("No client is waiting")
    with socket.create_connection(listener.getsockname()) as one, socket.create_connection(listener.getsockname()) as two:
        readable(listener, 1.0)
        for client in one, two:
            if client is two:
                driven = begin()
                driven.gives_way("A client was waiting before the call")
            _is_connection(driven.comes("A client was waiting"), kind, listener, client)
    left_as_it_was("accept", listener)
    talk.good("accept: the others have their turn, then it returns a non-blocking connection")


def _is_connection(answer: Answer, kind: type, listener: socket.socket, client: socket.socket) -> None:
    """The connection of this client, non-blocking, as a `kind`. Closes it."""
    asked = "return the connection" if kind is socket.socket else "return the connection, as an AsyncSocket"
    conn: Any = answer.is_a(kind, asked, _NO_CONNECTION)
    conn = getattr(conn, "sock", conn)  # of an AsyncSocket
    if is_closed(conn):
        raise answer.wrong("a closed socket")
    if conn is listener or not is_connected(conn) or conn.getpeername() != client.getsockname():
        raise Wrong("accept(listener) did not return the connection of the client that has waited longest.")
    if conn.gettimeout() != 0:
        raise Wrong(
            "The accepted connection is blocking: Linux does not hand O_NONBLOCK down from the listener (accept(2)). "
            "conn.setblocking(False)"
        )
    conn.close()


def _use_sleep(talk: Talk, sleep: Callable) -> None:
    for seconds in 30, 0.25, 0:
        driven = Driven(talk, sleep(seconds), f"sleep({seconds})", "sleep", seconds, str(seconds))
        got = driven.resume("While a task sleeps by itself, the loop stands still")
        if driven.over:
            why = "if it slept itself, the loop stood still: " if seconds else ""
            raise Wrong(
                f'sleep({seconds}) returned and has yielded nothing: {why}yield ("sleep", seconds), and let the loop wait. 0 '
                "is a turn for the others."
            )
        driven.is_wait(got, "It was begun")
        driven.is_over("While a task sleeps by itself, the loop stands still")
    talk.good("sleep: yields its seconds, once, and does not sleep itself")


CHECKS = {"7.2": check_waits}
