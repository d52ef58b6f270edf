"""Exercise 6.3: four servers with a bug each, and what a learner's experiments get of them."""

import errno
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .nonblocking import Conn, try_accept


class RunningServer:
    """A server that runs in a process of its own, with clients for it."""

    def __init__(self, address: tuple[str, int], pid: int) -> None:
        self.address, self.pid = address, pid
        self._clients = []

    def connect(self) -> socket.socket:
        """A new client. A call that takes over 1 s raises TimeoutError; it stays connected until you close it.

        Its receive buffer is small: what it does not read stays with the server.
        """
        client = socket.socket()
        self._clients.append(client)
        client.settimeout(1.0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)  # before the handshake announces it
        client.connect(self.address)
        return client

    def clients(self) -> int:
        """How many of them are still connected at our end."""
        return sum(client.fileno() != -1 for client in self._clients)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Inside, the server stands still: all that clients do meanwhile it finds at once afterwards, in one wait."""
        before, looks = _stat(self.pid)[1], deque(maxlen=5)

        def has_handled_all() -> bool:  # that came before; one look may find it asleep for a moment only
            state, used = _stat(self.pid)
            looks.append(state)
            return looks.count("R") == 0 and len(looks) == 5 or used - before > 0.1

        _until(has_handled_all)
        os.kill(self.pid, signal.SIGSTOP)
        _until(lambda: _stat(self.pid)[0] in "TZX")  # a signal takes its time
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


def _stat(pid: int) -> tuple[str, float]:
    """The letter of its state and its CPU time in seconds (proc(5)); X, 0 when the process has gone."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "X", 0.0
    return state, (int(fields[10]) + int(fields[11])) / os.sysconf("SC_CLK_TCK")


def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.001)


def server_a(listener: socket.socket) -> None:
    """Answers in capitals; the line "job" starts a process that works for a minute."""
    epoll, conns, listening = select.epoll(), {}, listener.fileno()
    epoll.register(listening, select.EPOLLIN)
    while True:
        for number, events in epoll.poll():
            if number == listening:
                if sock := try_accept(listener):
                    conns[sock.fileno()] = Conn(sock)
                    epoll.register(sock, select.EPOLLIN)
            elif conn := conns.get(number):
                conn.on_readable()
                if conn.outbuf == b"JOB\n" and os.fork() == 0:
                    time.sleep(60)
                    os._exit(0)
                conn.on_writable()
                epoll.modify(number, select.EPOLLOUT if conn.want_write else select.EPOLLIN)
                if conn.over:
                    del conns[number]
                    conn.sock.close()


def server_b(listener: socket.socket) -> None:
    """Answers in capitals; it may have 12 descriptors, and whoever finds none waits in the accept queue."""
    epoll, conns, listening = select.epoll(), {}, listener.fileno()
    epoll.register(listening, select.EPOLLIN)
    while True:
        for number, events in epoll.poll():
            if number == listening:
                try:
                    sock = try_accept(listener)
                except OSError as error:
                    if error.errno != errno.EMFILE:
                        raise
                    continue
                if sock:
                    conns[sock.fileno()] = Conn(sock)
                    epoll.register(sock, select.EPOLLIN)
                continue
            conn = conns[number]
            conn.on_readable()
            conn.on_writable()
            epoll.modify(number, select.EPOLLOUT if conn.want_write else select.EPOLLIN)
            if conn.over:
                epoll.unregister(number)
                conns.pop(number).sock.close()


def server_c(listener: socket.socket) -> None:
    """Answers in capitals; when one client leaves, the game is over, and it lets go of all the others too."""
    epoll, conns, listening = select.epoll(), {}, listener.fileno()
    epoll.register(listening, select.EPOLLIN)
    while True:
        for number, events in epoll.poll():
            if number == listening:
                if sock := try_accept(listener):
                    conns[sock.fileno()] = Conn(sock)
                    epoll.register(sock, select.EPOLLIN)
                continue
            conn = conns[number]
            conn.on_readable()
            conn.on_writable()
            epoll.modify(number, select.EPOLLOUT if conn.want_write else select.EPOLLIN)
            if conn.over:
                for other in list(conns):
                    epoll.unregister(other)
                    conns.pop(other).sock.close()


def server_d(listener: socket.socket) -> None:
    """Answers in capitals."""
    epoll, conns, listening = select.epoll(), {}, listener.fileno()
    epoll.register(listening, select.EPOLLIN)
    while True:
        for number, events in epoll.poll():
            if number == listening:
                if sock := try_accept(listener):
                    conns[sock.fileno()] = Conn(sock)
                    epoll.register(sock, select.EPOLLIN)
                continue
            conn = conns[number]
            conn.on_readable()
            conn.on_writable()
            if conn.want_write:
                epoll.modify(number, select.EPOLLOUT)
            if conn.over:
                epoll.unregister(number)
                conns.pop(number).sock.close()
