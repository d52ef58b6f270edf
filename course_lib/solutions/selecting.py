"""References of notebook 04: one wait for all, a server on it, and where it ends."""

import errno
import fcntl
import os
import resource
import select
import socket

from .blocking import Lines
from .nonblocking import Conn, accept_or_pause, try_recv


def ready(
    readers: list[socket.socket], writers: list[socket.socket], timeout: float | None
) -> tuple[list[socket.socket], list[socket.socket]]:
    """Sleep until a socket is ready, at most `timeout` seconds (None: no limit). Return (readable, writable)."""
    for name, socks in ("readers", readers), ("writers", writers):
        for position, sock in enumerate(socks):
            if sock.fileno() == -1:  # closed, and select() would not say which one
                raise ValueError(f"{name}[{position}] is closed")
    # the kernel walks through both lists; while nobody in them is ready, the thread sleeps
    readable, writable, _ = select.select(readers, writers, [], timeout)
    return readable, writable


def select_server(listener: socket.socket) -> None:
    """Serve all clients, and sleep while none of them is ready."""
    listener.setblocking(False)  # ready is a hint: the client may be gone before accept() comes to it
    conns: dict[socket.socket, Conn] = {}
    pause = 0.0
    while True:
        # wait
        listening = [] if pause else [listener]  # no room: its client stays, so the listener would be ready all the time
        readers = [sock for sock, conn in conns.items() if conn.want_read]
        writers = [sock for sock, conn in conns.items() if conn.want_write]
        readable, writable = ready([*listening, *readers], writers, pause or None)
        pause = 0.0
        # accept
        if listener in readable:
            readable.remove(listener)
            sock, pause = accept_or_pause(listener)
            if sock:
                conns[sock] = Conn(sock)
        # read
        for sock in readable:
            conns[sock].on_readable()
        # answer
        for sock in writable:
            conns[sock].on_writable()
        # let go
        for sock, conn in list(conns.items()):  # a copy: the loop takes some of them out
            if conn.over:
                del conns[sock]
                sock.close()


def fd_limit() -> int:
    """Return the lowest descriptor number that select() refuses, found by trying, with one socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # up to the hard limit a process may raise its own; without this the kernel may refuse before select() does
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    with socket.socket() as sock:
        number = sock.fileno()
        while True:
            number = fcntl.fcntl(sock, fcntl.F_DUPFD, number + 1)  # the lowest free number from there on, for the same socket
            try:
                select.select([number], [], [], 0)
            except ValueError:
                return number
            finally:
                os.close(number)


def chat(listener: socket.socket) -> None:
    """Send each line to all other clients. Let go of a client for which more than 64 kB wait."""
    listener.setblocking(False)
    inbuf: dict[socket.socket, Lines] = {}
    outbuf: dict[socket.socket, bytearray] = {}
    pause = 0.0
    while True:
        # wait
        listening = [] if pause else [listener]  # no room: its client stays, so the listener would be ready all the time
        readable, writable = ready([*listening, *inbuf], [sock for sock in outbuf if outbuf[sock]], pause or None)
        pause, gone = 0.0, set()
        # accept
        if listener in readable:
            readable.remove(listener)
            sock, pause = accept_or_pause(listener)
            if sock:
                inbuf[sock], outbuf[sock] = Lines(), bytearray()
        # read
        for sock in readable:
            data = try_recv(sock, 4096)
            try:
                for line in inbuf[sock].feed(data or b""):
                    for other in inbuf.keys() - {sock}:
                        outbuf[other] += line + b"\n"
            except ValueError:  # too long a line
                gone.add(sock)
            if data == b"":  # it sends no more, but it still reads: first what waits for it
                del inbuf[sock]
        # answer
        for sock in writable:
            try:
                del outbuf[sock][: sock.send(outbuf[sock])]
            except BlockingIOError:
                pass  # the send buffer is full
            except OSError as error:  # it has gone, or answers no more
                if error.errno == errno.EBADF:  # our own mistake
                    raise
                gone.add(sock)
        # let go, also of those who do not read: what waits for them is our memory
        gone |= {sock for sock in outbuf if sock not in inbuf and not outbuf[sock]}
        for sock in gone | {sock for sock in outbuf if len(outbuf[sock]) > 64 * 1024}:
            inbuf.pop(sock, None)
            del outbuf[sock]
            sock.close()


EXERCISES = {
    "4.1": (ready,),
    "4.2": (select_server,),
    "4.3": (fd_limit,),
    "4.4": (chat,),
}
