"""The process of the clients: many that are silent, and some that never are."""

import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from course_lib.proc import raise_limit

from .child_process import MOST, arguments, cpu_clock, orders, tell
from .connecting import Source

REQUEST = b"x" * 63 + b"\n"
_AT_ONCE = 64  # clients that connect before one asks whether they were let in; fewer than the backlog holds


class Clients:
    """The clients of one server. `until` is the moment (time.monotonic()) after which nobody waits any longer.

    Raises TimeoutError then, OSError when the server cuts a connection or refuses new ones, ValueError for a long answer.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.until = 0.0
        self.idle: list[socket.socket] = []
        self.active: dict[int, socket.socket] = {}
        self.let_in = 0  # idle clients, then answers
        self.all_in = False
        self.epoll = select.epoll()
        self._source = Source(address)

    def connect_idle(self, count: int) -> None:
        """Connect clients that stay silent; a visitor asks now and then, and the accept queue is first come, first served."""
        while len(self.idle) < count:
            for _ in range(min(_AT_ONCE, count - len(self.idle))):
                self.idle.append(self._connect())
            with self._connect() as visitor:
                self._ask(visitor)
            self.let_in = len(self.idle)

    def connect_active(self, count: int) -> None:
        """Connect those that talk: each gets an answer before the next one comes."""
        self.let_in, self.all_in = 0, True
        for _ in range(count):
            client = self._connect()
            self._ask(client)
            client.setblocking(False)
            self.active[client.fileno()] = client
            self.epoll.register(client, select.EPOLLIN)
            self.let_in += 1

    def talk(self, over: Callable[[], bool], clock: Callable[[], float] = time.perf_counter) -> list[float]:
        """Send requests until it is `over`, and take the last answers: how long each took, in seconds."""
        active, goes_on = self.active, True
        sent: dict[int, float] = {}
        waiting = dict.fromkeys(active, len(REQUEST))  # bytes that must still come to each
        took: list[float] = []
        try:
            for number, client in active.items():
                sent[number] = clock()
                client.send(REQUEST)
            while waiting:
                ready = self.epoll.poll(max(0.0, self.until - time.monotonic()))
                if not ready:
                    raise TimeoutError
                goes_on = goes_on and not over()
                for number, _ in ready:
                    if left := _received(active[number], waiting.get(number, 0)):
                        waiting[number] = left
                        continue
                    now = clock()
                    took.append(now - sent[number])
                    if goes_on:
                        sent[number], waiting[number] = now, len(REQUEST)
                        active[number].send(REQUEST)
                    else:
                        del waiting[number]
        finally:
            self.let_in = len(took)
        return took

    def _connect(self) -> socket.socket:
        client = self._source.connect(self._left())
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def _ask(self, client: socket.socket) -> None:
        """Send one request, and wait for the answer."""
        client.sendall(REQUEST)
        left = len(REQUEST)
        while left > 0:
            client.settimeout(self._left())
            left = _received(client, left)

    def _left(self) -> float:
        return max(0.01, self.until - time.monotonic())


def _received(client: socket.socket, left: int) -> int:
    """How many of the bytes that are left must still come."""
    size = len(client.recv(4096))
    if not size:
        raise ConnectionError
    if size > left:
        raise ValueError(
            f"an answer is longer than its request of {len(REQUEST)} bytes: only servers of equal answers are measured"
        )
    return left - size


def main() -> None:
    address, idle, active, server = arguments()
    raise_limit(MOST)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    clock = cpu_clock(server)
    clients = Clients(tuple(address))
    for asked in orders():
        seconds = asked.get("seconds")
        clients.until = time.monotonic() + asked["patience"] + (seconds or 0)
        try:
            if seconds is None:
                clients.connect_idle(idle)
                clients.connect_active(active)
                tell(connected=True)
                continue
            with suppress(OSError):  # not allowed: it runs anywhere
                os.sched_setaffinity(0, {asked["core"]})
            begin, used = time.perf_counter(), time.clock_gettime(clock)
            end = begin + seconds
            answers = clients.talk(lambda: time.perf_counter() >= end)
            tell(requests=len(answers), cpu=time.clock_gettime(clock) - used, seconds=time.perf_counter() - begin)
        except ValueError as error:
            tell(why=str(error), lost=False)
        except OSError as error:
            if seconds is not None:
                why = f"{clients.let_in} requests of a round were answered"
            elif len(clients.idle) == idle and clients.all_in:
                why = f"{clients.let_in} of {active} active clients were answered"
            else:
                why = f"{clients.let_in} of {idle} idle clients were let in"
            lost = not isinstance(error, TimeoutError)
            tell(why=why + ("" if lost else f" within {asked['patience']:.0f} s"), lost=lost)
