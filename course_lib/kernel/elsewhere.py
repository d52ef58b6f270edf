"""What can be told of a descriptor where the system is not Linux, or hides /proc: all that Python itself can ask."""

import os
import socket
import termios
from collections.abc import Iterable
from typing import Any

from . import libc

_MOST = 1024  # numbers that are tried where no folder lists them


def candidates() -> Iterable[int]:
    """The numbers that this process's open descriptors may have."""
    try:
        return map(int, os.listdir("/dev/fd"))  # macOS and the BSDs have it
    except OSError:
        return range(_MOST)


def socket_row(number: int, hangup: bool) -> dict:
    """Kind, addresses and receive queue of a socket; TCP's state and the other queues are not known."""
    sock = socket.socket(fileno=number)  # it finds out family and type
    try:
        listening = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        local, peer = sock.getsockname() or None, _peer(sock)
        if sock.type == socket.SOCK_DGRAM or sock.family != socket.AF_UNIX and sock.type != socket.SOCK_STREAM:
            kind = "datagram"
        elif sock.family == socket.AF_UNIX:
            kind = "unix listener" if listening else "unix socket"
        else:
            kind = "listener" if listening else "connection" if peer or hangup else "socket"
        queue = None if listening else libc.ioctl(number, termios.FIONREAD)
    finally:
        sock.detach()  # the number belongs to the program that is observed
    address = (local if isinstance(local, str) else local and local[:2], peer if isinstance(peer, str) else peer and peer[:2])
    return dict(kind=kind, local=address[0], peer=address[1], receive_queue=queue)


def _peer(sock: socket.socket) -> Any:
    try:
        return sock.getpeername() or None
    except OSError:
        return None
