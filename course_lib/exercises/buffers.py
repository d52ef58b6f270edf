"""The buffers of a socket, filled and emptied by a check; it does not matter whether the socket is blocking."""

import socket


def fill(sock: socket.socket) -> None:
    """Send until the send buffer is full."""
    try:
        while True:
            sock.send(bytes(65_536), socket.MSG_DONTWAIT)
    except BlockingIOError:
        pass


def empty(sock: socket.socket) -> None:
    """Read until nothing is left."""
    try:
        while sock.recv(1 << 20, socket.MSG_DONTWAIT):
            pass
    except BlockingIOError:
        pass
