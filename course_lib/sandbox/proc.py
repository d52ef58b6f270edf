"""What /proc says of this process's descriptors (proc(5)), and of ports."""

import os

from course_lib.ports import at_port, inodes, is_at, is_queued, listening

__all__ = [
    "at_port",
    "children",
    "cpu_seconds",
    "inodes",
    "is_at",
    "is_queued",
    "listening",
    "open_numbers",
    "open_sockets",
    "stat",
    "state",
]


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


def stat(pid: int) -> list[str]:
    """The fields of /proc/pid/stat from the third, the state, on (proc(5)); [] when the process has gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def state(pid: int) -> str:
    """R runs, S sleeps, T is stopped, Z is a zombie (proc(5)); "" when it has gone."""
    return "".join(stat(pid)[:1])


def cpu_seconds(pid: int) -> float:
    """Its CPU time; 0 when it has gone."""
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def children(pid: int) -> list[int]:
    """The numbers of its child processes, zombies too; [] where the kernel does not tell (CONFIG_PROC_CHILDREN)."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += map(int, file.read().split())
    except OSError:  # it has gone, or this thread of it
        pass
    return found
