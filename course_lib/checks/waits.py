"""Exercise 7.2: calls that wait by yield, and the check that resumes them by hand."""

import socket
import sys
from collections.abc import Callable, Coroutine
from types import GeneratorType
from typing import Any

from course_lib.sandbox import Attempt, Talk, Wrong, a, shown, wait_until

from .ends import connection, left_as_it_was, readable, reset, writable
from .server_trial import SMALL


class Driven:
    """A generator or coroutine, resumed by hand as a loop would do it. `call` is how messages name it."""

    def __init__(self, talk: Talk, code: Any, call: str) -> None:
        if not hasattr(code, "send"):
            raise Wrong(f"{call} gave {a(code)}.")
        self.talk, self.code, self.call = talk, code, call
        self.value: Any = None
        self.over = False

    def resume(self, when: str) -> object:
        """One step: what it yielded; or `over`, and `value` is what it returned."""
        self.talk.step(f"{when}: {self.call} was resumed and neither yielded nor returned within 1 s")
        try:
            return self.code.send(None)
        except StopIteration as end:
            self.value, self.over = end.value, True
            return None

    def waits(self, when: str, event: str, about: object, name: str) -> None:
        """One step, which must yield (event, about)."""
        got = self.resume(when)
        right = f'("{event}", {name})'
        if self.over:
            value = "returned" if self.value is None else f"returned {shown(self.value)}"
            raise Wrong(f"{when}: {self.call} {value}, and it should yield {right}, so that the loop waits.")
        self.is_wait(got, when, event, about, right)

    def is_wait(self, got: object, when: str, event: str, about: object, right: str) -> None:
        begin = f"{when}: {self.call} yielded"
        if isinstance(got, GeneratorType | Coroutine):
            raise Wrong(
                f"{begin} a generator: a plain call of a generator function runs nothing; go through it with `yield from`."
            )
        what = shown(got)
        if isinstance(got, tuple) and len(got) == 2:
            kind, thing = got
            if kind == event and (thing is about or thing == about and not isinstance(about, socket.socket)):
                return
            if kind == event and isinstance(about, socket.socket) and thing == about.fileno():
                raise Wrong(f"{begin} the number of the socket: {right} is asked for, with the socket itself.")
            what = f"({shown(kind)}, {shown(thing)})"
        raise Wrong(f"{begin} {what}, not {right}.")

    def gives_way(self, when: str, sock: socket.socket, name: str) -> None:
        """It was just begun and need not wait: it must yield all the same, for the others' sake."""
        got = self.resume(when)
        if self.over:
            raise Wrong(
                f"{when}, and {self.call} returned at once. Yield first, then try: one that sends without end must not keep all "
                "the others waiting."
            )
        self.is_wait(got, when, "read", sock, f'("read", {name})')

    def closes(self) -> None:
        """It waits: close() must end it there."""
        try:
            self.code.close()
        except RuntimeError:
            sys.unraisablehook = lambda about: None  # Python would print the same once more
            raise Wrong(
                f"{self.call} waits, its task is closed, and it goes on: GeneratorExit has to come through (PEP 342). Catch what you "
                "know by its name, and nothing else."
            ) from None

    def comes(self, when: str, sock: socket.socket, name: str) -> None:
        """What it waits for is there: resumed, it must return."""
        got = self.resume(when)
        if self.over:
            return
        self.is_wait(got, when, "read", sock, f'("read", {name})')
        if not readable(sock):
            raise Wrong(f"{when}: {self.call} took it, and waits for more. Return what has come; n is the most.")
        raise Wrong(f"{when}: {self.call} was resumed and yielded once more. Try as soon as it is resumed.")


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


def use_recv(talk: Talk, recv: Callable, listener: socket.socket) -> None:
    def begin(sock: socket.socket) -> Driven:
        return Driven(talk, recv(sock, 100), "recv(sock, 100)")

    def received(sock: socket.socket, when: str, right: bytes) -> None:
        readable(sock, 1.0)
        driven = begin(sock)
        driven.gives_way(f"{when} before the call", sock, "sock")
        driven.comes(when, sock, "sock")
        if isinstance(driven.value, bytes) and len(driven.value) > 100:
            raise Wrong(f"recv(sock, 100) returned {len(driven.value)} bytes: hand n on.")
        _is_bytes(driven, right, when)

    with connection(listener) as (client, sock):
        driven = begin(sock)
        driven.waits("Nothing has come yet", "read", sock, "sock")
        driven.waits("It was resumed and nothing had come: ready is a hint", "read", sock, "sock")
        left_as_it_was("recv", sock)
        ended = begin(sock)
        ended.waits("Nothing has come yet", "read", sock, "sock")
        ended.closes()
        client.sendall(b"hello")
        readable(sock, 1.0)
        driven.comes("b'hello' had come", sock, "sock")
        _is_bytes(driven, b"hello", "b'hello' had come")
        client.sendall(b"there")
        received(sock, "b'there' had come", b"there")
        talk.good("recv: the others have their turn, then it returns what has come")
        client.sendall(bytes(range(256)))
        received(sock, "256 bytes had come", bytes(range(100)))
        client.shutdown(socket.SHUT_WR)
        for part in slice(100, 200), slice(200, 256):
            received(sock, "More bytes had come", bytes(range(256))[part])
        for _ in range(2):
            readable(sock, 1.0)
            driven = begin(sock)
            _ends(driven, "The peer has finished sending", sock)
        talk.good("recv: at most n bytes, b'' when the peer has finished")
    _recv_after_reset(talk, begin, listener)


def _recv_after_reset(talk: Talk, begin: Callable, listener: socket.socket) -> None:
    with connection(listener) as (client, sock):
        driven = begin(sock)
        driven.waits("Nothing has come yet", "read", sock, "sock")
        reset(client)
        readable(sock, 1.0)
        _ends(driven, "The peer has sent a reset", sock)
        talk.good("recv: a reset counts as finished")


def _ends(driven: Driven, when: str, sock: socket.socket) -> None:
    driven.resume(when)
    if not driven.over:
        driven.resume(when)
        if not driven.over:
            raise Wrong(
                f"{when}: recv(sock, 100) yields again and again. recv() gives b'', which is an answer: `if not data` takes it "
                "for None."
            )
    if driven.value != b"":
        raise Wrong(f"{when}, and recv(sock, 100) returned {shown(driven.value)}, not b''.")
    left_as_it_was("recv", sock)


def _is_bytes(driven: Driven, right: bytes, when: str) -> None:
    value = driven.value
    if isinstance(value, GeneratorType | Coroutine):
        raise Wrong(
            f"{when}, and {driven.call} returned a generator object, not bytes: a plain call of a generator function. `yield "
            "from` gives its value."
        )
    if value is None:
        raise Wrong(
            f"{when}, and {driven.call} returned None: `return data`. This is what `yield from` gives the caller (PEP 380)."
        )
    if not isinstance(value, bytes):
        raise Wrong(f"{when}, and {driven.call} returned {a(value)}: return what came, as bytes.")
    if value != right:
        raise Wrong(f"{when}, and {driven.call} returned {shown(value)}, not {shown(right)}.")


_DATA = b"".join(b"%07d " % number for number in range(75_000))  # 600,000 bytes, no two parts of it the same


def use_send_all(talk: Talk, send_all: Callable, listener: socket.socket) -> None:
    _sends_what_fits(talk, send_all, listener)
    _sends_in_parts(talk, send_all, listener)
    _sends_to_nobody(talk, send_all, listener)


def _sends_what_fits(talk: Talk, send_all: Callable, listener: socket.socket) -> None:
    for data in b"hello", b"":
        with connection(listener) as (client, sock):
            driven = Driven(talk, send_all(sock, data), f"send_all(sock, {data!r})")
            for _ in range(2):  # to yield first is no mistake here: what it sends has an end
                yielded = None if driven.over else driven.resume("The send buffer has room")
                if not driven.over:
                    driven.is_wait(yielded, "The send buffer has room", "write", sock, '("write", sock)')
            if not driven.over:
                raise Wrong(
                    f"The send buffer has room: {driven.call} was resumed, and it yielded again and again instead of returning: "
                    "try the call each time it is resumed."
                )
            left_as_it_was("send_all", sock)
            client.settimeout(1.0)
            if data:
                try:
                    got = client.recv(100)
                except TimeoutError:
                    got = b""
                if got != data:
                    raise Wrong(f"{driven.call} returned, and the peer got {got!r}.")


def _sends_in_parts(talk: Talk, send_all: Callable, listener: socket.socket) -> None:
    with connection(listener, SMALL) as (client, sock):
        driven = Driven(talk, send_all(sock, _DATA), f"send_all(sock, data) with {len(_DATA)} bytes")
        got, full = bytearray(), 0
        client.setblocking(False)
        for rounds in range(10_000):
            yielded = driven.resume("The peer reads slowly")
            if driven.over:
                break
            driven.is_wait(yielded, "The send buffer is full", "write", sock, '("write", sock)')
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
        driven = Driven(talk, send_all(sock, _DATA), "send_all(sock, data)")
        when = "The peer has sent a reset in the middle"
        driven.resume("The send buffer is full")
        ended = Driven(talk, send_all(sock, _DATA), "send_all(sock, data)")
        ended.waits("The send buffer is full", "write", sock, "sock")
        ended.closes()
        reset(client)
        readable(sock, 1.0)
        try:
            for _ in range(5):
                driven.resume(when)
                if driven.over:
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
    try:
        while data := client.recv(1 << 20):
            got += data
    except BlockingIOError:
        pass
    return len(got)


def _all_came(got: bytes, over: bool) -> None:
    if got == _DATA:
        return
    what = f"send_all(sock, data) with {len(_DATA)} bytes"
    if not over and len(got) <= len(_DATA):
        raise Wrong(f"{what}: it was resumed 10,000 times, and still yields.")
    if _DATA.startswith(got) or len(got) < len(_DATA):
        raise Wrong(
            f"{what} returned, and {len(got)} came: send() takes what fits and returns how much (send(2)). Keep the rest, and "
            "send it when resumed."
        )
    raise Wrong(
        f"{what}: {len(got)} came, some of them twice: send() returns how many bytes it took (send(2)). Go on with "
        "the rest, data[sent:]."
    )


def use_accept(talk: Talk, accept: Callable, listener: socket.socket, kind: type = socket.socket) -> None:
    def begin() -> Driven:
        return Driven(talk, accept(listener), "accept(listener)")

    driven = begin()
    driven.waits("No client is waiting", "read", listener, "listener")
    driven.waits("It was resumed and no client was waiting: it may have gone", "read", listener, "listener")
    ended = begin()
    ended.waits("No client is waiting", "read", listener, "listener")
    ended.closes()
    with socket.create_connection(listener.getsockname()) as one, socket.create_connection(listener.getsockname()) as two:
        readable(listener, 1.0)
        for number, client in enumerate((one, two)):
            if number:
                driven = begin()
                driven.gives_way("A client was waiting before the call", listener, "listener")
            driven.comes("A client was waiting", listener, "listener")
            _is_connection(driven.value, kind, listener, client)
    left_as_it_was("accept", listener)
    talk.good("accept: the others have their turn, then it returns a non-blocking connection")


def _is_connection(conn: Any, kind: type, listener: socket.socket, client: socket.socket) -> None:
    """The connection of this client, non-blocking, as a `kind`. Closes it."""
    if isinstance(conn, GeneratorType | Coroutine):
        raise Wrong(
            "accept(listener) returned a generator object, not a connection: a plain call of a generator function. "
            "`yield from` gives its value."
        )
    if isinstance(conn, tuple):
        raise Wrong("accept(listener) returned the pair (connection, address): return the connection alone, as try_accept does.")
    if not isinstance(conn, kind):
        made = "" if kind is socket.socket else f", as an {kind.__name__}"
        raise Wrong(f"A client was waiting, and accept(listener) returned {a(conn)}: return the connection{made}.")
    conn = getattr(conn, "sock", conn)  # of an AsyncSocket
    if conn.fileno() == -1:
        raise Wrong("accept(listener) returned a closed socket.")
    if conn is listener or conn.getpeername() != client.getsockname():
        raise Wrong("accept(listener) did not return the connection of the client that has waited longest.")
    if conn.gettimeout() != 0:
        raise Wrong(
            "The accepted connection is blocking: Linux does not hand O_NONBLOCK down from the listener (accept(2)). "
            "conn.setblocking(False)"
        )
    conn.close()


def _use_sleep(talk: Talk, sleep: Callable) -> None:
    for seconds in 30, 0.25, 0:
        driven = Driven(talk, sleep(seconds), f"sleep({seconds})")
        got = driven.resume("While a task sleeps by itself, the loop stands still")
        if driven.over:
            why = "if it slept itself, the loop stood still: " if seconds else ""
            raise Wrong(
                f'sleep({seconds}) returned and has yielded nothing: {why}yield ("sleep", seconds), and let the loop wait. 0 '
                "is a turn for the others."
            )
        driven.is_wait(got, "It was begun", "sleep", seconds, f'("sleep", {seconds})')
        driven.resume("While a task sleeps by itself, the loop stands still")
        if not driven.over:
            raise Wrong(f"sleep({seconds}) yielded a second time: whoever resumes it has waited, so it returns then.")
    talk.good("sleep: yields its seconds, once, and does not sleep itself")


CHECKS = {"7.2": check_waits}
