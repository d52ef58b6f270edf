"""The process of the clients that talk: a program in C where there is a compiler, else the same in Python."""

import json
import os
import select
import sys
import time
from collections.abc import Callable

from course_lib.measure.child_process import MOST, arguments, become, cpu_clock, tell
from course_lib.measure.load_process import REQUEST, Clients, Late, Lost
from course_lib.proc import raise_limit

PATIENCE = 5.0  # seconds for an answer


class Timed(Clients):
    """Clients that note how long each answer took, in seconds: `took`, of the last round."""

    took: list[float]

    def let_one_in(self) -> None:
        """Connect one and have it get an answer: it is let in before the next one comes."""
        client = self._connect()
        client.sendall(REQUEST)
        self._receive(client)
        client.setblocking(False)
        self.active[client.fileno()] = client
        self.epoll.register(client, select.EPOLLIN)

    def talk_until(
        self, spent: Callable[[], float], seconds: float, most: float, clock: Callable[[], float] = time.perf_counter
    ) -> int:
        """Send requests until `spent()` has grown by so many seconds, or after `most` seconds."""
        waiting = dict.fromkeys(self.active, len(REQUEST))
        sent, active, took, batches = {}, self.active, [], 0
        end, seconds = clock() + most, spent() + seconds
        for number, client in active.items():
            sent[number] = clock()
            client.send(REQUEST)
        while waiting:
            ready = self.epoll.poll(PATIENCE)
            if not ready:
                raise Late
            batches += 1
            if not batches % 8 and spent() >= seconds:
                end = 0.0
            for number, _ in ready:
                size = len(active[number].recv(4096))
                if not size:
                    raise Lost
                if size < waiting[number]:
                    waiting[number] -= size
                    continue
                now = clock()
                took.append(now - sent[number])
                if now < end:
                    sent[number], waiting[number] = now, len(REQUEST)
                    active[number].send(REQUEST)
                else:
                    del waiting[number]
        self.took = sorted(took)
        return len(took)


def main() -> None:
    program, port, connections, server = arguments()
    raise_limit(MOST)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    if program:
        become(program, port, connections, server)
    clock = cpu_clock(server)
    clients = Timed(("127.0.0.1", port))
    try:
        for _ in range(connections):
            clients.until = time.monotonic() + PATIENCE
            clients.let_one_in()
        tell(connected=True)
        for line in sys.stdin:
            asked = json.loads(line)
            begin, used, own = time.perf_counter(), time.clock_gettime(clock), time.process_time()
            answered = clients.talk_until(lambda: time.clock_gettime(clock) + time.process_time(), **asked)
            used, own, lasted = time.clock_gettime(clock) - used, time.process_time() - own, time.perf_counter() - begin
            took = clients.took
            tell(
                requests=answered,
                seconds=lasted,
                cpu=used,
                load=own,
                p50=1e6 * took[answered // 2],
                p99=1e6 * took[answered * 99 // 100],
            )
    except Late:
        tell(why=f"no answer came within {PATIENCE:.0f} s")
    except (Lost, OSError):
        tell(why="the server cut a connection")
