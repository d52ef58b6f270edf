"""Prints what observing costs a server: CPU time per request of a plain epoll echo loop, unobserved and observed.

    python tests/recording_cost.py [rounds]

50 connections echo 64 bytes. The server's thread and the load share one core, and the load is SCHED_BATCH, so that the
server always finds work and the two do not fight for the core. The variants take turns in shuffled order; each is
compared with the raw loop of the same round, and the median of these ratios is printed. 1.00 is the raw loop's speed.
"""

import json
import os
import random
import select
import socket
import statistics
import subprocess
import sys
import threading
import time

from course_lib.servers import Server
from course_lib.widgets import observe

CONNECTIONS, REQUESTS, WARM_UP = 50, 40_000, 2_000
MESSAGE = bytes(64)
VARIANTS = {
    "raw": None, "off": 0.98, "panel": 0.98, "on": 0.80, "on and panel": None,
}


class Loop(Server):
    """What a learner writes: a plain epoll loop."""

    def serve(self, listener: socket.socket) -> None:
        connections = {}
        with select.epoll() as epoll:
            epoll.register(listener, select.EPOLLIN)
            while True:
                for number, _ in epoll.poll():
                    connection = connections.get(number)
                    if connection is None:
                        connection, _ = listener.accept()
                        connections[connection.fileno()] = connection
                        epoll.register(connection, select.EPOLLIN)
                    elif data := connection.recv(4096):
                        connection.send(data)
                    else:
                        epoll.unregister(number)
                        connections.pop(number).close()


def serve(variant: str, core: int) -> None:
    """The process of one variant: prints its address, then obeys the lines of its standard input."""
    server = Loop()
    if variant == "raw":
        listener = socket.create_server(("127.0.0.1", 0))
        address = listener.getsockname()
        thread = threading.Thread(target=server.serve, args=(listener,), daemon=True)
        thread.start()
    else:
        address, thread = server.start().address, server._thread
    os.sched_setaffinity(thread.native_id, {core})
    looks = []
    if "panel" in variant:
        panel = observe(server)
        panel.send = lambda message, buffers: looks.append(len(json.dumps(message)))
    print(json.dumps(address), flush=True)
    for line in sys.stdin:
        watched = line.startswith("begin")
        server.record(watched and "on" in variant.split())
        if "panel" in variant:
            panel._hear(panel, {"type": "ready" if watched else "gone", "view": "page"}, [])
        used = time.clock_gettime_ns(time.pthread_getcpuclockid(thread.ident))
        print(json.dumps([used, time.process_time_ns(), len(looks)]), flush=True)


class Variant:
    """The process of one variant, and the connections of the load."""

    def __init__(self, name: str, core: int) -> None:
        self.process = subprocess.Popen([sys.executable, __file__, "--serve", name, str(core)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        address = tuple(json.loads(self.process.stdout.readline()))
        self.clients = [socket.create_connection(address) for _ in range(CONNECTIONS)]

    def round(self) -> tuple[float, float, float]:
        """(µs of the server's thread per request, µs of its whole process, messages to the page a second)."""
        self._ask("begin")
        load(self.clients, WARM_UP)
        before, began = self._ask("begin again"), time.perf_counter()
        load(self.clients, REQUESTS)
        lasted, after = time.perf_counter() - began, self._ask("end")
        thread, process, looks = (b - a for a, b in zip(before, after))
        return thread / 1000 / REQUESTS, process / 1000 / REQUESTS, looks / lasted

    def _ask(self, word: str) -> list[int]:
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def load(clients: list[socket.socket], requests: int) -> None:
    """Every client has one request under way; returns when `requests` of them were answered."""
    by_number = {client.fileno(): client for client in clients}
    with select.epoll() as epoll:
        for client in clients:
            epoll.register(client, select.EPOLLIN)
            client.send(MESSAGE)
        left, under_way = requests, len(clients)
        while under_way:
            for number, _ in epoll.poll():
                by_number[number].recv(4096)
                left -= 1
                if left >= under_way:
                    by_number[number].send(MESSAGE)
                else:
                    under_way -= 1


def main(rounds: int = 15) -> None:
    core = max(os.sched_getaffinity(0))
    variants = {name: Variant(name, core) for name in VARIANTS}
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    measured: dict[str, list[tuple[float, float, float]]] = {name: [] for name in VARIANTS}
    try:
        for _ in range(rounds):
            for name in random.sample(list(VARIANTS), len(VARIANTS)):
                measured[name].append(variants[name].round())
    finally:
        for variant in variants.values():
            variant.process.kill()
            variant.process.communicate()
    print(f"{rounds} rounds, {CONNECTIONS} connections, {len(MESSAGE)} bytes, Python {sys.version.split()[0]}")
    print(f"{'variant':14}{'µs/request':>11}{'speed':>7}{'min':>7}{'max':>7}{'goal':>7}{'process µs':>12}{'messages/s':>12}")
    for name, goal in VARIANTS.items():
        speeds = [raw[0] / own[0] for raw, own in zip(measured["raw"], measured[name])]
        thread, process, looks = (statistics.median(column) for column in zip(*measured[name]))
        print(f"{name:14}{thread:11.2f}{statistics.median(speeds):7.3f}{min(speeds):7.3f}{max(speeds):7.3f}"
              f"{goal or '':>7}{process:12.2f}{looks:12.1f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], int(sys.argv[3]))
    else:
        main(*map(int, sys.argv[1:]))
