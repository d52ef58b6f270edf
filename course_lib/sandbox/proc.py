"""What /proc says of descriptors and sockets, also of other processes (proc_pid_fd(5), proc_pid_net(5))."""

import os
import re
import socket


def open_numbers() -> set[int]:
    """The numbers of this process's open descriptors."""
    found = set()
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            os.get_inheritable(number)
            found.add(number)
        except OSError:  # that of the listing itself
            pass
    return found


def open_sockets() -> set[int]:
    """The descriptor numbers of this process's sockets."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
                found.add(int(number))
        except FileNotFoundError:  # the number of the listing itself
            pass
    return found


def listening(port: int) -> set[int]:
    """The inodes of the listeners at this port. One that several processes share is one socket, with one inode."""
    return {int(fields[9]) for fields in at_port(port) if fields[3] == "0A"}  # LISTEN


def is_queued(client: socket.socket) -> bool:
    """Does this client's connection stand in an accept queue? It has no inode until somebody accepts it."""
    port = client.getsockname()[1]
    return any(fields[9] == "0" for fields in _tcp() if is_at(fields[2], port))


def inodes(pid: int) -> set[int]:
    """The inodes of this process's sockets; empty when it has gone."""
    found = set()
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        numbers = []
    for number in numbers:
        try:
            if inode := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{number}")):
                found.add(int(inode[1]))
        except OSError:  # closed while we looked
            pass
    return found


def at_port(port: int) -> list[list[str]]:
    """The lines of /proc/net/tcp about this port of this machine, split.

    1 is the local address, 2 the peer's, 3 the state, 4 the bytes in both queues, 9 the inode.
    """
    return [fields for fields in _tcp() if is_at(fields[1], port)]


def is_at(address: str, port: int) -> bool:
    """Has this address, as /proc/net/tcp writes it, this port?"""
    return address.endswith(f":{port:04X}")


def _tcp() -> list[list[str]]:
    with open("/proc/net/tcp") as file:
        return [line.split() for line in file][1:]
