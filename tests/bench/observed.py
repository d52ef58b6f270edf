"""The process of a server that is observed, or not."""

import json
import os
import select
import socket
import threading
import time
from typing import Any

from course_lib.measure.child_process import arguments, orders, tell
from course_lib.servers import Server

BACKLOG = 128
_recv, _send, _now = socket.socket.recv, socket.socket.send, time.perf_counter


class Loop(Server):
    """What a learner writes: a plain epoll loop."""

    def serve(self, listener: socket.socket) -> None:
        connections: dict[int, socket.socket] = {}
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


class Timed(socket.socket):
    """A connection whose recv and send look at the clock before and after, and do nothing with it: no recorder does less."""

    __slots__ = ()

    def recv(self, size: int, flags: int = 0) -> bytes:
        _now()
        data = _recv(self, size, flags)
        _now()
        return data

    def send(self, data: Any, flags: int = 0) -> int:
        _now()
        count = _send(self, data, flags)
        _now()
        return count


class TimedListener(socket.socket):
    """A listener whose connections are Timed."""

    __slots__ = ()

    def accept(self) -> tuple[socket.socket, object]:
        connection, peer = super().accept()
        connection.__class__ = Timed
        return connection, peer


def main() -> None:
    """Serve; {"watch": true} on standard input begins to watch, and each line is answered with the CPU time until then."""
    variant, core = arguments()
    server = Loop()
    if variant in ("unobserved", "timed"):
        listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        if variant == "timed":
            listener.__class__ = TimedListener
        port = listener.getsockname()[1]
        threading.Thread(target=server.serve, args=(listener,), daemon=True).start()
    else:
        port = server.start().address[1]
    [thread] = {*threading.enumerate()} - {threading.main_thread()}
    assert thread.native_id and thread.ident
    os.sched_setaffinity(thread.native_id, {core})
    sent, panel = 0, None
    if "panel" in variant:
        from course_lib.widgets import observe  # ipywidgets takes long to import, and the others do not need it

        def count(message: dict, buffers: list) -> None:
            nonlocal sent
            sent += bool(json.dumps(message))

        panel = observe(server)
        panel.send = count  # where a message to the page would go out
    tell(port=port)
    for order in orders():
        watch = order["watch"]
        server.record(watch and "recording" in variant)
        if panel:
            panel._hear(panel, {"type": "ready" if watch else "gone", "view": "page"}, [])
        used = time.clock_gettime_ns(time.pthread_getcpuclockid(thread.ident))
        tell(thread=used, process=time.process_time_ns(), messages=sent)
