"""Who holds a TCP port of this machine, also in other processes (proc(5))."""

import os
import socket
import struct

from .proc import sockets, status

TCP_STATES = (
    None,
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
)  # include/net/tcp_states.h
_TCP = "/proc/net/tcp"


def why_in_use(port: int) -> str:
    """Why bind() to this port of 127.0.0.1 ends with EADDRINUSE, and what to do: one sentence or two.

    A listener is named with its program, where the kernel lets us see it; else the connections that keep the port are: bind()
    passes over them only if both sockets have SO_REUSEADDR (socket(7)).
    """
    begin, end = f"port {port} is in use:", "or choose another port (0 means any free one)"
    if not os.path.exists(_TCP):
        return f"{begin} a program listens there, or a connection of an earlier one is in TIME_WAIT (60 s). Stop it, {end}"
    held = [fields for fields in [*at_port(port), *at_port(port, _TCP + "6")] if _is_here(fields[1])]
    if listeners := [fields for fields in held if _state(fields) == "LISTEN"]:
        return f"{begin} {_whose(listeners[0])} listens there. Stop it, {end}"
    begin += " nobody listens there, but"
    if waiting := [fields for fields in held if _state(fields) == "TIME_WAIT"]:
        left = max(int(fields[5].partition(":")[2], 16) for fields in waiting) / os.sysconf("SC_CLK_TCK")
        return (
            f"{begin} a connection of an earlier server without SO_REUSEADDR is in TIME_WAIT, for {left:.0f} s more "
            f"(60 s in all). Wait, {end}"
        )
    if held:
        return f"{begin} a connection of {_whose(held[0])} has it and is in {_state(held[0])}. End that, {end}"
    return f"{begin} a socket is bound to it (the kernel does not list whose), or was until now. Try again, {end}"


def listening(port: int) -> set[int]:
    """The inodes of the listeners at this port. One that several processes share is one socket, with one inode."""
    return {int(fields[9]) for fields in at_port(port) if _state(fields) == "LISTEN"}


def is_queued(client: socket.socket) -> bool:
    """Does this client's connection stand in an accept queue? It has no inode until somebody accepts it."""
    port = client.getsockname()[1]
    return any(fields[9] == "0" for fields in _lines(_TCP) if is_at(fields[2], port))


def inodes(pid: int) -> set[int]:
    """The inodes of this process's sockets; empty when it has gone, or is another user's."""
    return set(sockets(pid).values())


def at_port(port: int, table: str = _TCP) -> list[list[str]]:
    """The lines of /proc/net/tcp about this port of this machine, split.

    1 is the local address, 2 the peer's, 3 the state, 4 the bytes in both queues, 5 the timer, 7 the user, 9 the inode.
    """
    return [fields for fields in _lines(table) if is_at(fields[1], port)]


def is_at(address: str, port: int) -> bool:
    """Has this address, as /proc/net/tcp writes it, this port?"""
    return address.endswith(f":{port:04X}")


def _lines(table: str) -> list[list[str]]:
    try:
        with open(table) as file:
            return [line.split() for line in file][1:]
    except FileNotFoundError:  # a kernel without IPv6
        return []


def _state(fields: list[str]) -> str:
    return TCP_STATES[int(fields[3], 16)] or ""


def _is_here(address: str) -> bool:
    """Does a socket with this address stand in the way of 127.0.0.1? All of the machine's addresses include it."""
    words = address.partition(":")[0]
    raw = b"".join(struct.pack("=I", int(words[place : place + 8], 16)) for place in range(0, len(words), 8))
    return not any(raw) or raw[-4:] == socket.inet_aton("127.0.0.1")


def _whose(fields: list[str]) -> str:
    """The program that has this socket, in words."""
    inode = int(fields[9])
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        if inode and inode in inodes(int(pid)):
            if int(pid) == os.getpid():
                return f"this very program (process {pid})"
            if name := status(int(pid), "Name"):
                return f"{name} (process {pid})"
    return "a program" if int(fields[7]) == os.getuid() else "another user's program"
