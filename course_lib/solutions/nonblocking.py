"""References of notebook 03: calls that do not wait, a connection that never waits, a busy server."""

import errno
import socket

from .blocking import Lines, pause_after


def try_accept(listener: socket.socket) -> socket.socket | None:
    """Return the next client's connection, non-blocking; None when no client is waiting."""
    try:
        connection, _ = listener.accept()
    except BlockingIOError:  # EAGAIN: the accept queue is empty
        return None
    except OSError as error:
        if pause_after(error):  # no room: somebody is waiting, so None would be wrong
            raise
        return None
    connection.setblocking(False)  # Linux does not hand O_NONBLOCK down from the listener
    return connection


def try_recv(sock: socket.socket, size: int) -> bytes | None:
    """Return at most `size` bytes; None when nothing has come yet, b"" when nothing more will come."""
    try:
        return sock.recv(size)
    except BlockingIOError:  # EAGAIN: the receive buffer is empty, and the peer has not finished
        return None
    except OSError as error:  # a reset, or the peer answers no more
        if error.errno == errno.EBADF:  # our own mistake
            raise
        return b""


class Conn:
    """One client. No method waits; whoever owns the Conn closes its sock when it is over."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock  # non-blocking
        self.inbuf = Lines()  # keeps the line that is not complete yet
        self.outbuf = bytearray()  # answers that the kernel has not taken yet
        self.finished = False  # True: nothing more will come

    @property
    def want_read(self) -> bool:
        """Ask the socket for bytes? Not after the end, and not while answers wait: who does not read gets no more."""
        return not self.finished and not self.outbuf

    @property
    def want_write(self) -> bool:
        """Is there something to send?"""
        return bool(self.outbuf)

    @property
    def over(self) -> bool:
        """True when nothing more will come and nothing is left to send: let go."""
        return self.finished and not self.outbuf

    def on_readable(self) -> None:
        """Read once what is there, and put the answers to its complete lines into outbuf."""
        data = try_recv(self.sock, 65536)
        if data is None:
            return  # not ready after all
        self.finished = data == b""
        try:
            for line in self.inbuf.feed(data):
                self.outbuf += line.upper() + b"\n"
        except ValueError:  # too long a line: nothing more is read
            self.finished = True

    def on_writable(self) -> None:
        """Send what the kernel has room for; keep the rest."""
        try:
            sent = self.sock.send(self.outbuf)  # copies into the send buffer as much as fits
        except BlockingIOError:
            return  # the send buffer is full
        except OSError as error:  # a reset, or the peer answers no more: nobody is left to serve
            if error.errno == errno.EBADF:  # our own mistake
                raise
            self.finished = True
            sent = len(self.outbuf)
        del self.outbuf[:sent]


def accept_or_pause(listener: socket.socket) -> tuple[socket.socket | None, float]:
    """Return what try_accept returns, and for how many seconds the listener pauses: 0.0 if there is room for one client more."""
    try:
        return try_accept(listener), 0.0
    except OSError as error:
        return None, pause_after(error)


def busy_server(listener: socket.socket) -> None:
    """Serve all clients in turns, and never wait for one of them."""
    listener.setblocking(False)
    conns = []
    while True:
        sock, _ = accept_or_pause(listener)  # while there is no room the loop goes on: it never waits
        if sock:
            conns.append(Conn(sock))
        for conn in list(conns):  # a copy: the loop lets some of them go
            if conn.want_read:
                conn.on_readable()
            if conn.want_write:
                conn.on_writable()
            if conn.over:
                conns.remove(conn)
                conn.sock.close()


EXERCISES = {
    "3.1": (try_accept, try_recv),
    "3.2": (Conn,),
    "3.3": (busy_server,),
}
