"""References of notebook 02: a blocking server."""

import errno
import socket
import time


def make_listener(port: int = 0, backlog: int = 16) -> socket.socket:
    """Return a TCP socket that listens on 127.0.0.1:port; port 0 lets the kernel choose a free one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # bind() looks at this option once: connections in TIME_WAIT no longer keep the port from us
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # fixes the pair (address, port); a client is still refused
    listener.bind(("127.0.0.1", port))
    # from here on the kernel completes handshakes by itself, and queues up to `backlog` + 1 of them
    listener.listen(backlog)
    return listener


class Lines:
    """Split a stream of bytes at b"\\n", however it was cut on its way."""

    def __init__(self) -> None:
        self.rest = bytearray()  # the unfinished line: TCP keeps no borders between messages, so we do

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take what recv() gave; return the lines that are complete now, without their b"\\n".

        Raises ValueError when a line has more than 65,536 bytes.
        """
        *lines, rest = chunk.split(b"\n")
        if lines:  # the first of them ends what was unfinished
            lines[0] = bytes(self.rest) + lines[0]
            self.rest.clear()
        self.rest += rest  # grows at its end: what was there already is not copied
        if max(map(len, [*lines, self.rest])) > 65_536:
            raise ValueError("a line of more than 65,536 bytes")
        return lines


def serve_one(conn: socket.socket) -> None:
    """Answer each line in capitals until the peer has finished sending; then close."""
    lines = Lines()
    with conn:  # close() at the end: the kernel sends our FIN, and the number is free again
        try:
            # sleeps until bytes are there; b"" is the peer's FIN: it sends no more, but it still reads
            while chunk := conn.recv(4096):
                for line in lines.feed(chunk):
                    # sleeps while the send buffer is full; returns when the kernel has taken all
                    conn.sendall(line.upper() + b"\n")
        except ValueError:
            pass  # too long a line: nobody knows whether it ever ends
        except OSError as error:  # a reset, or the peer answers no more: nobody is left to serve
            if error.errno == errno.EBADF:  # our own mistake
                raise


def pause_after(error: OSError) -> float:
    """Return the seconds until accept() may be called again. Raises this error of accept() if it ends the server (accept(2))."""
    if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
        return 0.1  # no number, or no memory, for one more: the client stays in the accept queue
    # this client was gone before we came to it, or no way leads there: the next one may be there
    gone = {errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.ETIMEDOUT}
    gone |= {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENONET}
    if error.errno in gone:
        return 0.0
    raise error


def serve_forever(listener: socket.socket) -> None:
    """Serve one client after the other, without end."""
    while True:
        try:
            # sleeps until a handshake is complete; those that come meanwhile wait in the accept queue
            conn, _ = listener.accept()
        except OSError as error:
            time.sleep(pause_after(error))
            continue
        serve_one(conn)  # whoever is silent in here keeps all the others waiting


EXERCISES = {
    "2.1": (make_listener,),
    "2.2": (Lines,),
    "2.3": (serve_one,),
    "2.4": (serve_forever,),
}
