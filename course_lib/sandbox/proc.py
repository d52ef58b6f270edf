"""What /proc says of this process's descriptors (proc(5)), and of ports."""

import os

from course_lib.ports import at_port, inodes, is_at, is_queued, listening

__all__ = ["at_port", "inodes", "is_at", "is_queued", "listening", "open_numbers", "open_sockets"]


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
