"""The ends of a connection, as a check handles them."""

import socket
import struct

LONGEST = 65_536  # bytes that a line may have (exercise 2.2)
TOO_LONG = b"x" * (LONGEST + 5000)  # and no line end
LONG_LINES = (b"x" * 49_999 + b"\n") * 4  # 200 000 bytes


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


def reset(client: socket.socket) -> None:
    """Close with a reset instead of a FIN: what a crashed client looks like (socket(7), SO_LINGER)."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
