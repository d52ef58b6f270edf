"""The process of the ten thousand: it opens connections, has each of them answered, talks over a few, and closes all."""

import errno
import os
import select
import socket
import time

from course_lib.proc import raise_limit

from .child_process import arguments, orders, tell
from .connecting import Source

SPARE = 40  # descriptors besides those of the connections: standard streams, the epoll, what Python opens
_OFTEN = 0.1  # seconds between two messages on how far it is


class Ended(Exception):
    """It cannot go on; the text says why."""


class Clients:
    """Connections to one server. `texts` are pairs of a request and the answer that is right."""

    def __init__(
        self, address: tuple[str, int], texts: list[tuple[bytes, bytes]], patience: float, each: int, addresses: int, group: int
    ) -> None:
        self._texts, self._patience, self._addresses, self._group = texts, patience, addresses, group
        self._source = Source(address, addresses, each)
        self._said = 0.0
        self.too_few = ""  # why fewer were opened than asked for
        self.connected = self.answered = self.requests = self.wrong = 0
        self.wrong_at: list[int] = []  # which connections got a wrong answer when they were opened
        self.idle: list[socket.socket] = []
        self.active: dict[int, socket.socket] = {}
        self.epoll = select.epoll()

    # A group connects, and is answered before the next one comes: that is as many as the accept queue must hold.

    def open(self, count: int, active: bool) -> None:
        """Open `count` more connections, or as many as there are ports for. Each asks once. Raises Ended."""
        while count > 0 and not self.too_few:
            group = []
            try:
                for _ in range(min(self._group, count)):
                    group.append(self._source.connect(self._patience))
                    self.connected += 1
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:
                    raise Ended(f"the next connect() failed: {_words(error)}") from None
                self.too_few = (
                    f"no port was free for another one, of {self._addresses} client addresses (EADDRNOTAVAIL, connect(2))"
                )
            finally:
                self.idle += group
            self._ask(group)
            count -= len(group)
            self._say()
        if active:
            for client in self.idle:
                client.setblocking(False)
                self.active[client.fileno()] = client
                self.epoll.register(client, select.EPOLLIN)
            self.idle = []

    def _ask(self, group: list[socket.socket]) -> None:
        """Have each of them send its request, and compare what comes back."""
        try:
            first = self.answered + len(self.wrong_at)
            for place, client in enumerate(group, first):
                client.sendall(self._texts[place % len(self._texts)][0])
            for place, client in enumerate(group, first):
                right = self._texts[place % len(self._texts)][1]
                answer = b""
                while len(answer) < len(right):
                    data = client.recv(len(right) - len(answer))
                    if not data:
                        raise Ended("the server closed a connection instead of answering")
                    answer += data
                self.requests += 1
                self.answered += answer == right
                if answer != right:
                    self.wrong += 1
                    self.wrong_at.append(place)
        except OSError as error:
            raise Ended(f"no answer came: {_words(error)}") from None

    def talk(self, seconds: float) -> int:
        """The active ones ask again as soon as they are answered, for so long; how many answers came. Raises Ended."""
        texts, active, answers = self._texts, self.active, 0
        turn = {number: place for place, number in enumerate(active)}
        got = dict.fromkeys(active, b"")
        end = time.perf_counter() + seconds
        try:
            for number, client in active.items():
                client.send(texts[turn[number] % len(texts)][0])
            while got:
                ready = self.epoll.poll(self._patience)
                if not ready:
                    raise Ended(f"{len(got)} answers did not come within {self._patience:.0f} s")
                goes_on = time.perf_counter() < end
                for number, _ in ready:
                    client = active[number]
                    data = client.recv(4096)
                    if not data:
                        raise Ended("the server closed a connection instead of answering")
                    right = texts[turn[number] % len(texts)][1]
                    answer = got.get(number, b"") + data
                    if len(answer) < len(right):
                        got[number] = answer
                        continue
                    answers += 1
                    self.requests += 1
                    self.wrong += answer != right
                    if goes_on:
                        turn[number] += 1
                        got[number] = b""
                        client.send(texts[turn[number] % len(texts)][0])
                    else:
                        got.pop(number, None)
        except OSError as error:
            raise Ended(f"a connection was lost: {_words(error)}") from None
        return answers

    def rest(self, seconds: float) -> None:
        """Be silent for so long. Raises Ended when something comes unasked."""
        if self.epoll.poll(seconds):
            raise Ended("something came although nobody had asked, or the server closed a connection")

    def close(self) -> None:
        """Close all: this side first."""
        for client in (*self.active.values(), *self.idle):
            client.close()

    def _say(self) -> None:
        if time.monotonic() > self._said + _OFTEN:
            self._said = time.monotonic()
            tell(**self.far())

    def far(self) -> dict:
        """How far it is: what is connected, and how each of these was answered."""
        return {"connected": self.connected, "answered": self.answered, "wrong_at": self.wrong_at}


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "nothing happened for too long"
    number = error.errno or 0
    return f"{errno.errorcode.get(number, number)}, {os.strerror(number)}"


def main() -> None:
    address, texts, most, patience, each, addresses, group = arguments()
    raise_limit(most + SPARE)
    texts = [(bytes.fromhex(request), bytes.fromhex(answer)) for request, answer in texts]
    clients = Clients(tuple(address), texts, patience, each, addresses, group)
    for order in orders():
        begin, answers, why = time.perf_counter(), 0, ""
        try:
            match order:
                case {"open": count, "active": active}:
                    clients.open(count, active)
                case {"talk": seconds}:
                    answers = clients.talk(seconds)
                case {"rest": seconds}:
                    clients.rest(seconds)
                case {"close": _}:
                    clients.close()
        except Ended as end:
            why = str(end)
        tell(
            done=True,
            why=why,
            too_few=clients.too_few,
            seconds=time.perf_counter() - begin,
            answers=answers,
            **clients.far(),
            requests=clients.requests,
            wrong=clients.wrong,
        )
