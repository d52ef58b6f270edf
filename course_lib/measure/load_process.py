"""The process of the clients: many that are silent, and some that never are."""

import errno
import json
import os
import select
import socket
import sys
import time

from course_lib.proc import raise_limit

from .child_process import MOST, arguments, bind_address, cpu_clock, tell

REQUEST = b"x" * 63 + b"\n"
_AT_ONCE = 64  # clients that connect before one asks whether they were let in; fewer than the backlog holds


class Lost(Exception):
    """The server cut a connection, or refuses new ones."""


class Late(Exception):
    """The server did not answer in time."""


class TooLong(Exception):
    """More came back than was sent."""


class Clients:
    """The clients of one server. `until` is the moment (time.monotonic()) after which nobody waits any longer."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.until = 0.0
        self.idle: list[socket.socket] = []
        self.active: dict[int, socket.socket] = {}
        self.let_in = 0  # idle clients, then answers
        self.all_in = False
        self.epoll = select.epoll()
        self._source = 1  # the last number of our address

    def connect_idle(self, count: int) -> None:
        """Connect clients that stay silent; a visitor asks now and then, and the accept queue is first come, first served."""
        while len(self.idle) < count:
            for _ in range(min(_AT_ONCE, count - len(self.idle))):
                self.idle.append(self._connect())
            with self._connect() as visitor:
                visitor.sendall(REQUEST)
                self._receive(visitor)
            self.let_in = len(self.idle)

    def connect_active(self, count: int) -> None:
        """Connect those that talk, and have each get one answer."""
        self.let_in, self.all_in = 0, True
        for _ in range(count):
            client = self._connect()
            self.active[client.fileno()] = client
            self.epoll.register(client, select.EPOLLIN)
        self.talk(0)

    def talk(self, seconds: float) -> int:
        """Send requests for so long, and take the last answers; how many were answered."""
        answered, waiting = 0, dict.fromkeys(self.active, len(REQUEST))  # bytes that must still come to each
        active, end = self.active, time.perf_counter() + seconds
        try:
            for client in active.values():
                client.send(REQUEST)
            while waiting:
                ready = self.epoll.poll(max(0.0, self.until - time.monotonic()))
                if not ready:
                    raise Late
                goes_on = time.perf_counter() < end
                for number, _ in ready:
                    client = active[number]
                    size = len(client.recv(4096))
                    if not size:
                        raise Lost
                    left = waiting.get(number, 0) - size
                    if left < 0:
                        raise TooLong
                    if left:
                        waiting[number] = left
                        continue
                    answered += 1
                    if goes_on:
                        client.send(REQUEST)
                        waiting[number] = len(REQUEST)
                    else:
                        del waiting[number]
        except (Late, Lost):
            self.let_in = answered
            raise
        except OSError:
            raise Lost from None
        return answered

    def _connect(self) -> socket.socket:
        while True:
            client = socket.socket()
            client.settimeout(max(0.01, self.until - time.monotonic()))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                bind_address(client, self._source)
                client.connect(self.address)
                return client
            except TimeoutError:
                raise Late from None
            except OSError as error:
                client.close()
                if error.errno != errno.EADDRNOTAVAIL or self._source == 254:
                    raise Lost from None
                self._source += 1  # the ports of this address are used up

    def _receive(self, client: socket.socket) -> None:
        left = len(REQUEST)
        client.settimeout(max(0.01, self.until - time.monotonic()))
        try:
            while left > 0:
                size = len(client.recv(4096))
                if not size:
                    raise Lost
                left -= size
        except TimeoutError:
            raise Late from None
        except OSError:
            raise Lost from None


def main() -> None:
    address, idle, active, server = arguments()
    raise_limit(MOST)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    clock = cpu_clock(server)
    clients = Clients(tuple(address))
    for line in sys.stdin:
        asked = json.loads(line)
        seconds = asked.get("seconds")
        clients.until = time.monotonic() + asked["patience"] + (seconds or 0)
        try:
            if seconds is None:
                clients.connect_idle(idle)
                clients.connect_active(active)
                tell(connected=True)
                continue
            try:
                os.sched_setaffinity(0, {asked["core"]})
            except OSError:
                pass  # not allowed: it runs anywhere
            begin, used = time.perf_counter(), time.clock_gettime(clock)
            answered = clients.talk(seconds)
            tell(requests=answered, cpu=time.clock_gettime(clock) - used, seconds=time.perf_counter() - begin)
        except TooLong:
            tell(
                why=f"an answer is longer than its request of {len(REQUEST)} bytes: only servers of equal answers are measured",
                lost=False,
            )
        except (Late, Lost) as end:
            if seconds is not None:
                why = f"{clients.let_in} requests of a round were answered"
            elif len(clients.idle) == idle and clients.all_in:
                why = f"{clients.let_in} of {active} active clients were answered"
            else:
                why = f"{clients.let_in} of {idle} idle clients were let in"
            lost = isinstance(end, Lost)
            tell(why=why + ("" if lost else f" within {asked['patience']:.0f} s"), lost=lost)
