"""A few of very many descriptors: those that talk, found again and again at a small price."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

from course_lib.ports import TCP_STATES

from . import libc
from .descriptors import _ASKED, Descriptor, Interests, described, epolls
from .libc import Address

RECENT = 1.0  # seconds after which a connection that was heard counts as silent
_PART = 500  # descriptors that one look asks, besides those that are shown
_LISTEN = TCP_STATES.index("LISTEN")
_LAST_DATA_RECV = 52  # in struct tcp_info (linux/tcp.h): milliseconds since data last arrived


class Seldom:
    """The answer to a dear question: asked anew when `price` times as long has passed as asking it took."""

    def __init__(self, price: float = 40) -> None:
        self._price, self._due = price, 0.0
        self._answer: Any = None

    def __call__(self, ask: Callable) -> Any:
        """What `ask()` returns, now or a little ago."""
        if time.monotonic() >= self._due:
            begin = time.thread_time()
            self._answer = ask()
            self._due = time.monotonic() + self._price * (time.thread_time() - begin)
        return self._answer


class Busiest:
    """Looks at more sockets than can be shown, and describes `most` of them: listeners and those that talk come first.

    Each look asks those that are shown and some hundred others, so that the turn of ten thousand comes about once in a second:
    poll(2) says who has something to read, an end, or no room to write, and TCP_INFO (tcp(7)) when data last arrived, also if
    it was read and answered in between. To describe all of them takes fifty times as long. Who talks is found within that
    time, and shown for as long as it talks. Interest lists are read when their turn comes too, at most some seconds ago.

    numbers  gives the descriptors of the sockets, as a list
    labels   peer's address → its name, as it is now: connections with a name come before silent ones

    `arrived` are those of the last look to whom data came since the look before, whether or not it was read.
    """

    def __init__(self, numbers: Callable[[], list[int]], most: int, labels: Collection[Address] = ()) -> None:
        self._numbers_now, self._most, self._labels = numbers, most, labels
        self.arrived: set[int] = set()
        self._looked = time.monotonic()
        self._heard: dict[int, float] = {}  # number → when it was last heard
        self._listeners: set[int] = set()
        self._named: set[int] = set()
        self._shown: list[int] = []
        self._next = 0  # where the next part begins
        self._numbers, self._epolls, self._interests = Seldom(10), Seldom(), Seldom()
        self._lock = threading.Lock()

    def look(self, also: Iterable[int] = ()) -> tuple[list[Descriptor], int]:
        """(what the kernel says of the busiest sockets, and of the epolls that watch them; how many sockets are left out).

        also    numbers among them that must not be left out
        """
        with self._lock:
            return self._look(also)

    def _look(self, also: Iterable[int]) -> tuple[list[Descriptor], int]:
        numbers = self._numbers(self._numbers_now)
        now, here = time.monotonic(), set(numbers)
        part = numbers[self._next : self._next + _PART]
        self._next = self._next + _PART if self._next + _PART < len(numbers) else 0
        self.arrived = set()
        self._ask([*here.intersection(self._shown).union(part)], now)
        self._looked = now
        self._heard = {number: when for number, when in self._heard.items() if when > now - RECENT and number in here}
        self._shown = self._choose(here, also)
        watchers = self._interests(lambda: Interests(self._epolls(lambda: epolls(but=here))))
        rows = described(self._shown, watchers)
        return rows, len(here) - sum(row.number in here for row in rows)

    def _ask(self, numbers: list[int], now: float) -> None:
        """Hear who has something to say, and who had."""
        found = libc.poll_unlike(numbers, _ASKED, libc.POLLOUT)
        self._heard.update((number, now) for number, bits in found.items() if not bits & libc.POLLNVAL)  # that one is closed
        if not hasattr(socket, "TCP_INFO"):
            return  # only Linux says when data last arrived
        for number in numbers:
            self._listeners.discard(number)
            self._named.discard(number)
            try:
                info = libc.option_bytes(number, socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECV + 4)
                if info[0] == _LISTEN:
                    self._listeners.add(number)
                    continue
                silent = struct.unpack_from("I", info, _LAST_DATA_RECV)[0] / 1000
                if now - silent > self._looked:
                    self.arrived.add(number)
                if silent < RECENT:
                    self._heard[number] = max(now - silent, self._heard.get(number, 0.0))
                if self._labels and libc.peer_address(number) in self._labels:
                    self._named.add(number)
            except OSError:
                continue  # closed meanwhile, or no TCP

    def _choose(self, here: set[int], also: Iterable[int]) -> list[int]:
        """Who is described: those who were are preferred to others of their kind, so that a table does not jump."""
        chosen: dict[int, None] = {}
        before = [number for number in self._shown if number in here]
        named = sorted(self._named & here)[: self._most // 3]
        talking = self._heard.keys()
        for numbers in (
            sorted(self._listeners & here),
            (n for n in also if n in here),
            named,
            (n for n in before if n in talking),
            sorted(talking),
            before,
            sorted(here),
        ):
            for number in numbers:
                if len(chosen) >= self._most:
                    return list(chosen)
                chosen[number] = None
        return list(chosen)
