"""One connection of a server that never waits for one client alone, and the rule: which error ends what.

=============================  =======================================================================================
errno                          what ends
=============================  =======================================================================================
of recv and send: any but the  this connection. The peer has sent a reset (ECONNRESET), is gone for good (EPIPE), does
two below                      not answer any more (ETIMEDOUT; nobody has to set a time limit for it), or no way leads
                               to it (EHOSTUNREACH, ENETUNREACH, ENETDOWN): tcp(7), ip(7). It is an OSError, and only
                               in part a ConnectionError: TimeoutError is none (PEP 3151)
of accept: NO_ROOM             nothing: the client stays in the accept queue, and the listener has a pause
of accept: GONE                nothing: that client is gone before it was accepted, the next one may be there
EAGAIN                         nothing: a non-blocking socket says "not yet". Whoever has not made it non-blocking
                               cannot know what to do then: it is an error of the program
ENOSPC, ENOMEM of epoll_ctl    who asked for it: a task, or the server that has no tasks. It cannot serve whom it cannot watch
EBADF, and the rest of accept  the server: it uses a number that it has given back, or its listener is no more
=============================  =======================================================================================

accept(2) has the lists for accept: errors that wait on a new connection are passed on, and are to be treated like EAGAIN.
"""

import errno
import socket
from collections.abc import Callable

PAUSE = 0.1  # seconds until a server looks again whether there is room for one more client
SIZE = 4096  # bytes of a read

# What the kernel tells a poll and an epoll in the same numbers (poll.h, sys/epoll.h); named here for systems that lack both.
READ, WRITE = 0x1, 0x4  # POLLIN and EPOLLIN, POLLOUT and EPOLLOUT

NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})  # no number, or no memory, for one more
GONE = frozenset(
    getattr(errno, name)
    for name in (
        *("ECONNABORTED", "EPROTO", "EPERM", "ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN"),
        *("ENONET", "EHOSTUNREACH", "EOPNOTSUPP", "ENETUNREACH", "ETIMEDOUT"),
    )
    if hasattr(errno, name)
)


def ends_connection(error: OSError) -> bool:
    """True if this error of a recv or send ends its connection and nothing else."""
    return error.errno not in (errno.EBADF, errno.EAGAIN)


def pause_after(error: OSError) -> float:
    """Seconds until accept() can be called again after this error. Raises the error if it ends the server."""
    if error.errno in NO_ROOM:
        return PAUSE
    if error.errno in GONE:
        return 0.0
    raise error


def accept(listener: socket.socket) -> tuple[socket.socket | None, bool]:
    """Take one finished handshake out of the accept queue of a non-blocking listener (accept(2)).

    Returns the connection, non-blocking, or None when nobody is there; and whether somebody is there and has no room.
    """
    while True:
        try:
            connection, peer = listener.accept()
        except BlockingIOError:
            return None, False  # ready is a hint: the client may be gone by now
        except OSError as error:
            if pause_after(error):
                return None, True
        else:
            connection.setblocking(False)  # Linux does not hand O_NONBLOCK down from the listener
            return connection, False


class Connection:
    """One client: its socket, what is left of the answer to it, and whether it is over.

    It reads no more while an answer is unsent: who sends and does not read fills the buffers of the kernel, not our memory.
    That is backpressure (背压).
    """

    __slots__ = ("sock", "unsent", "over")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock  # non-blocking
        self.unsent: bytes | memoryview = b""
        self.over = False

    @property
    def interest(self) -> int:
        """What it waits for: room in the send buffer while something is unsent, else bytes."""
        return WRITE if self.unsent else READ

    def go_on(self, answer: Callable[[bytes], bytes]) -> bool:
        """Read one piece if nothing is unsent, and send. False when the kernel said "not yet" (EAGAIN).

        One piece, and then it is the turn of the others: no client waits longer for one that sends without end. That is fairness.
        """
        try:
            if not self.unsent:
                # read: takes what has arrived; b"" says that the peer has finished sending
                data = self.sock.recv(SIZE)
                if not data:
                    self.over = True
                    return True
                self.unsent = answer(data)
            # answer: the send buffer takes what it has room for; the rest waits
            sent = self.sock.send(self.unsent)
            self.unsent = memoryview(self.unsent)[sent:] if sent < len(self.unsent) else b""
        except BlockingIOError:
            return False
        except OSError as error:
            if not ends_connection(error):
                raise
            self.over = True
        return True
