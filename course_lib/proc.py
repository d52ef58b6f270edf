"""What /proc says of a process, by its number (proc(5)); and how many descriptors this one may have (getrlimit(2)).

Of a process that has gone, or is another user's, everything is empty or 0. Standard library only.
"""

import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def _read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def stat(pid: int | str, thread: int | None = None) -> list[str]:
    """The fields of /proc/pid/stat from the third, the state, on; of one of its threads, if that is named.

    A thread of this process has a name of its own there, "self/task/4712".
    """
    return _read(f"/proc/{pid}{f'/task/{thread}' if thread else ''}/stat").rpartition(")")[2].split()


def state(pid: int | str) -> str:
    """R runs or waits for a processor, S sleeps, T is stopped, Z is a zombie."""
    return "".join(stat(pid)[:1])


def cpu_seconds(pid: int) -> float:
    """CPU time of all its threads so far."""
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def schedstat(pid: int | str) -> tuple[int, ...]:
    """Nanoseconds on a processor, nanoseconds of waiting for one, and how often it got one; zeros where the kernel does not say.

    They are of its first thread, or of one named as "self/task/4712" or "thread-self".
    """
    return tuple(map(int, _read(f"/proc/{pid}/schedstat").split())) or (0, 0, 0)


def status(pid: int, field: str) -> str:
    """The first word of a line of /proc/pid/status: ``status(pid, "VmRSS")``, in kB."""
    found = re.search(rf"^{field}:\s+(\w+)", _read(f"/proc/{pid}/status"), re.MULTILINE)
    return found[1] if found else ""


def syscall(pid: int) -> list[str]:
    """The number of the system call that its first thread sleeps in, and the call's arguments; ["running"] when it does not."""
    return _read(f"/proc/{pid}/syscall").split()


def threads(pid: int) -> list[int]:
    """The numbers of its threads."""
    return sorted(map(int, _names(f"/proc/{pid}/task")))


def children(pid: int) -> list[int]:
    """The numbers of its child processes, zombies too; [] where the kernel does not tell (CONFIG_PROC_CHILDREN)."""
    return [int(child) for thread in threads(pid) for child in _read(f"/proc/{pid}/task/{thread}/children").split()]


def links(pid: int | str = "self") -> dict[int, str]:
    """Its open descriptors, and what each is a link to: ``{0: "/dev/null", 3: "socket:[4711]"}``."""
    found = {}
    for number in _names(f"/proc/{pid}/fd"):
        with suppress(OSError):  # closed while we looked, as that of the listing itself
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
    return found


def open_numbers() -> set[int]:
    """The numbers of this process's open descriptors."""
    return set(links())


def sockets(pid: int | str = "self") -> dict[int, int]:
    """The descriptors of its sockets, and the inode of each."""
    found = ((number, re.fullmatch(r"socket:\[(\d+)\]", link)) for number, link in links(pid).items())
    return {number: int(socket[1]) for number, socket in found if socket}


def raise_limit(wanted: int) -> int:
    """Let this process have `wanted` descriptors, or as many as it may raise the limit to; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return soft


@contextmanager
def descriptor_limit(number: int, pid: int = 0) -> Iterator[None]:
    """Let this process, or another one, have descriptors below this number, for a while. Raises ValueError above the hard limit."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (number, hard))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # the other one has ended
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
