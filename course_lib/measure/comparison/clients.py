"""The process of the clients that talk: a program in C where there is a compiler, else the same in Python."""

import itertools
import os
import time

from course_lib.measure.child_process import MOST, arguments, become, cpu_clock, orders, tell
from course_lib.measure.load_process import Clients
from course_lib.proc import raise_limit

PATIENCE = 5.0  # seconds for an answer


def main() -> None:
    program, port, connections, server = arguments()
    raise_limit(MOST)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    if program:
        become(program, port, connections, server)
    clients = Clients(("127.0.0.1", port))
    try:
        for _ in range(connections):
            clients.until = time.monotonic() + PATIENCE
            clients.connect_active(1)
        tell(connected=True)
        for order in orders():
            tell(**_round(clients, cpu_clock(server), **order))
    except TimeoutError:
        tell(why=f"no answer came within {PATIENCE:.0f} s")
    except OSError:
        tell(why="the server cut a connection")


def _round(clients: Clients, clock: int, seconds: float, most: float) -> dict:
    """Let the clients talk until server and clients together have used so many seconds of CPU time, or for `most` seconds."""
    begin, used, own = time.perf_counter(), time.clock_gettime(clock), time.process_time()
    clients.until = time.monotonic() + most + PATIENCE
    looks = itertools.count(1)

    def over() -> bool:
        if time.perf_counter() > begin + most:
            return True
        return not next(looks) % 8 and time.clock_gettime(clock) + time.process_time() >= used + own + seconds

    took = sorted(clients.talk(over))
    used, own, lasted = time.clock_gettime(clock) - used, time.process_time() - own, time.perf_counter() - begin
    return {
        "requests": len(took),
        "seconds": lasted,
        "cpu": used,
        "load": own,
        "p50": 1e6 * took[len(took) // 2],
        "p99": 1e6 * took[len(took) * 99 // 100],
    }
