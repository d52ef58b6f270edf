"""Who holds a TCP port of this machine, also in other processes (sock_diag(7), proc(5))."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from .proc import sockets, status

TCP_STATES = (  # from 1 on (include/net/tcp_states.h)
    *(None, "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT"),
    *("CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"),
)
_TCP = "/proc/net/tcp"
_SOCK_DIAG, _BY_FAMILY, _DUMP = 4, 20, 0x301  # linux/netlink.h and linux/sock_diag.h
_ERROR, _DONE = 2, 3


def why_in_use(port: int) -> str:
    """Why bind() to this port of 127.0.0.1 ends with EADDRINUSE, and what to do: one sentence or two.

    A listener is named with its program, where the kernel lets us see it; else the connections that keep the port are: bind()
    passes over them only if both sockets have SO_REUSEADDR (socket(7)).
    """
    begin, end = f"port {port} is in use:", "or choose another port (0 means any free one)"
    if not os.path.exists(_TCP):
        return f"{begin} a program listens there, or a connection of an earlier one is in TIME_WAIT (60 s). Stop it, {end}"
    found = [*at_port(port), *at_port(port, socket.AF_INET6)]
    held = [each for each in found if each.local[0] in ("127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1")]
    if listeners := [each for each in held if each.state == "LISTEN"]:
        return f"{begin} {_whose(listeners[0])} listens there. Stop it, {end}"
    begin += " nobody listens there, but"
    if waiting := [each.seconds for each in held if each.state == "TIME_WAIT"]:
        return (
            f"{begin} a connection of an earlier server without SO_REUSEADDR is in TIME_WAIT, for {max(waiting):.0f} s more "
            f"(60 s in all). Wait, {end}"
        )
    if held:
        return f"{begin} a connection of {_whose(held[0])} has it and is in {held[0].state}. End that, {end}"
    return f"{begin} a socket is bound to it (the kernel does not list whose), or was until now. Try again, {end}"


def listening(port: int) -> set[int]:
    """The inodes of the listeners at this port. One that several processes share is one socket, with one inode."""
    return {each.inode for each in at_port(port) if each.state == "LISTEN"}


def is_queued(client: socket.socket) -> bool:
    """Does this client's connection stand in an accept queue?"""
    return any(each.queued for each in _sockets(socket.AF_INET, there=client.getsockname()[1]))


def inodes(pid: int) -> set[int]:
    """The inodes of this process's sockets; empty when it has gone, or is another user's."""
    return set(sockets(pid).values())


class TcpSocket(NamedTuple):
    """A TCP socket of this machine, whoever has it, as the kernel tells of it."""

    local: tuple[str, int]
    peer: tuple[str, int]
    state: str
    unread: int  # bytes that have arrived and nobody has read; of a listener, connections in its accept queue
    seconds: float  # until its timer is due
    user: int
    inode: int  # 0: no descriptor names it

    @property
    def queued(self) -> bool:
        """Is it a connection, of a client who may have left meanwhile, that nobody has accepted?"""
        return not self.inode and self.state in ("ESTABLISHED", "CLOSE_WAIT")


def at_port(port: int, family: socket.AddressFamily = socket.AF_INET) -> list[TcpSocket]:
    """All that have this port of this machine."""
    return _sockets(family, here=port)


def _sockets(family: socket.AddressFamily, here: int = 0, there: int = 0) -> list[TcpSocket]:
    """Those with this port `here`, or with this one at the peer's end, `there`."""
    try:
        return [*_asked(family, here, there)]
    except OSError:  # a kernel, or a sandbox, without sock_diag(7)
        return [each for each in _listed(family) if here in (0, each.local[1]) and there in (0, each.peer[1])]


def _asked(family: socket.AddressFamily, here: int, there: int) -> Iterator[TcpSocket]:
    """Ask as ss(8) does: the kernel chooses, and a thousand others cost next to nothing (sock_diag(7))."""
    ports = struct.pack("!HH", here, there)
    request = struct.pack("=BBHI", family, socket.IPPROTO_TCP, 0, (1 << len(TCP_STATES)) - 2) + ports + bytes(36) + b"\xff" * 8
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.sendto(struct.pack("=IHHII", 16 + len(request), _BY_FAMILY, _DUMP, 0, 0) + request, (0, 0))
        while True:
            answer = kernel.recv(1 << 16)
            while answer:
                size, kind = struct.unpack_from("=IH", answer)
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    raise OSError(-struct.unpack_from("=i", answer, 16)[0], "sock_diag")
                yield _told(answer[16:size])
                answer = answer[size:]


def _told(message: bytes) -> TcpSocket:
    """A struct inet_diag_msg (linux/inet_diag.h)."""
    family, state, here, there, local, peer = struct.unpack_from("!BBxxHH16s16s", message)
    expires, unread, _, user, inode = struct.unpack_from("=5I", message, 52)
    size = 4 if family == socket.AF_INET else 16
    ours, theirs = ((socket.inet_ntop(family, host[:size]), port) for host, port in ((local, here), (peer, there)))
    return TcpSocket(ours, theirs, TCP_STATES[state] or "", unread, expires / 1000, user, inode)


def _listed(family: socket.AddressFamily) -> Iterator[TcpSocket]:
    """The same from /proc/net/tcp: all that there are, each in a line of text."""
    # a kernel without IPv6 has no second one
    with suppress(FileNotFoundError), open(_TCP if family == socket.AF_INET else _TCP + "6") as file:
        for _, local, peer, state, queues, timer, _, user, _, inode, *_ in map(str.split, islice(file, 1, None)):
            unread, ticks = (int(words.partition(":")[2], 16) for words in (queues, timer))
            seconds = ticks / os.sysconf("SC_CLK_TCK")
            about = TCP_STATES[int(state, 16)] or "", unread, seconds, int(user), int(inode)
            yield TcpSocket(_address(family, local), _address(family, peer), *about)


def _address(family: socket.AddressFamily, written: str) -> tuple[str, int]:
    """ "0100007F:1F90": the host in words of 32 bits, each in this machine's order of bytes."""
    host, _, port = written.partition(":")
    words = [int(host[place : place + 8], 16) for place in range(0, len(host), 8)]
    return socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words)), int(port, 16)


def _whose(found: TcpSocket) -> str:
    """The program that has this socket, in words."""
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        if found.inode and found.inode in inodes(int(pid)):
            if int(pid) == os.getpid():
                return f"this very program (process {pid})"
            if name := status(int(pid), "Name"):
                return f"{name} (process {pid})"
    return "a program" if found.user == os.getuid() else "another user's program"
