"""Who stands in the accept queue of a listener. The kernel tells how many; who they are stands in its table of connections."""

import socket
import struct

from course_lib.kernel import Descriptor
from course_lib.ports import at_port

_OF_A_CLIENT = {"01", "08"}  # ESTABLISHED, and CLOSE_WAIT when it has left meanwhile (include/net/tcp_states.h)


def in_accept_queue(listener: Descriptor) -> set[tuple[str, int]]:
    """The addresses of clients that wait at a TCP listener, of IPv4: connections that no descriptor names (proc(5): inode 0)."""
    if not isinstance(listener.local, tuple) or ":" in listener.local[0]:
        return set()
    lines = at_port(listener.local[1])
    return {_address(fields[2]) for fields in lines if fields[3] in _OF_A_CLIENT and fields[9] == "0"}


def _address(written: str) -> tuple[str, int]:
    """An address as /proc/net/tcp writes it: "0100007F:1F90"."""
    host, _, port = written.partition(":")
    return socket.inet_ntoa(struct.pack("=I", int(host, 16))), int(port, 16)
