"""From a number to what it names: rows of the descriptor table, open file descriptions, and the things behind them."""

import ctypes
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from . import libc
from .descriptors import Descriptor, Watcher, descriptors, interests, kind_of, numbers_in

_KCMP = {"x86_64": 312, "aarch64": 272, "riscv64": 272}.get(platform.machine())
_KCMP_FILE = 0  # do two numbers point to one open file description? (kcmp(2))
_O_CLOEXEC, _O_NONBLOCK = 0o2000000, 0o4000  # as the flags line of /proc/PID/fdinfo/N shows them (proc(5))
_WITH_A_PLACE = ("file", "directory")
_libc = ctypes.PyDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of one process's descriptor table. `description` is an index into `OpenFiles.descriptions`."""

    process: int
    number: int
    close_on_exec: bool
    description: int


@dataclass(frozen=True, slots=True)
class Description:
    """An open file description (open(2)): what all rows that point to it share.

    kind      as in `Descriptor`
    access    what it was opened for: "read", "write", "read and write"; "" where open(2) did not make it
    offset    where the next read or write begins, in bytes; None where a thing has no such place (pipe, socket, …)
    blocking  False when O_NONBLOCK is set
    thing     an index into `OpenFiles.things`
    """

    kind: str
    access: str
    offset: int | None
    blocking: bool
    thing: int


@dataclass(frozen=True, slots=True)
class Thing:
    """What a description names: a file, a pipe, a socket, an epoll …

    name     as the kernel writes it in /proc/PID/fd: a path, "pipe:[4711]", "socket:[4712]", "anon_inode:[eventpoll]"
    details  its queues, or an epoll's interest list, a line each; for the notebook's own process only
    """

    kind: str
    name: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """One picture of the tables at one moment.

    compared is False where the kernel does not say which numbers share a description (kcmp(2) not allowed or not
    built in). Then only sockets are put together: a socket has one description. Every other row stands alone.
    """

    rows: tuple[Row, ...]
    descriptions: tuple[Description, ...]
    things: tuple[Thing, ...]
    compared: bool

    def sharing(self) -> list[tuple[Row, ...]]:
        """The rows that share a description with another row, a tuple for each such description."""
        groups = [tuple(row for row in self.rows if row.description == index) for index in range(len(self.descriptions))]
        return [group for group in groups if len(group) > 1]


def open_files(of: Any = None, processes: Iterable[int] = ()) -> OpenFiles:
    """The rows of these numbers, the open file descriptions they point to, and what those name.

    of         as in `descriptors()`: None for all of this process, one thing, or several; closed ones are left out
    processes  process ids: the same numbers are looked up in their tables too (an ordinary user may look at their own)
    Raises TypeError for what has no descriptor.
    """
    numbers = numbers_in(of)
    own = {found.number: found for found in descriptors(numbers)}
    rows: list[Row] = []
    found: list[Description] = []
    firsts: list[tuple[int, int]] = []  # the first (process, number) of each description
    things: list[Thing] = []
    places: dict[object, int] = {}  # what names a thing for the kernel -> its index
    compared = True
    for process in (os.getpid(), *processes):
        for number in numbers:
            try:
                target, offset, flags, identity, mode = _look(process, number)
            except OSError:
                continue  # no such row in this process
            same, known = _same(process, number, firsts, target, [things[d.thing].name for d in found])
            compared = compared and known
            if same is None:
                mine = own.get(number) if process == os.getpid() else None
                kind = mine.kind if mine else _kind(target, mode)
                # All things behind anon_inode have one inode, so there each description has a thing of its own.
                key = identity if not target.startswith("anon_inode:") else ("description", len(found))
                if key not in places:
                    places[key] = len(things)
                    things.append(Thing(kind, target, _details(mine)))
                same = len(found)
                place = offset if kind in _WITH_A_PLACE else None
                found.append(Description(kind, _access(target, flags), place, not flags & _O_NONBLOCK, places[key]))
                firsts.append((process, number))
            rows.append(Row(process, number, bool(flags & _O_CLOEXEC), same))
    return OpenFiles(tuple(rows), tuple(found), tuple(things), compared)


def _look(process: int, number: int) -> tuple[str, int, int, tuple[int, int], int]:
    """(what it names, offset, flags, (device, inode), mode) of one row. Raises OSError where there is no such row."""
    path = f"/proc/{process}/fd/{number}"
    target = libc.readlink(path)
    lines = (line.partition(":") for line in libc.read(f"/proc/{process}/fdinfo/{number}").splitlines())
    info = {name: value.strip() for name, _, value in lines}
    status = os.stat(path)  # follows the link to the open thing itself, without opening it
    return target, int(info["pos"]), int(info["flags"], 8), (status.st_dev, status.st_ino), status.st_mode


def _same(process: int, number: int, firsts: list, target: str, targets: list[str]) -> tuple[int | None, bool]:
    """(index of the description it shares with an earlier row, or None; whether the kernel said so)."""
    known = True
    for index, (other, its) in enumerate(firsts):
        if targets[index] != target:
            continue  # two names, so two descriptions
        order = _compare(process, other, number, its)
        if order == 0 or order is None and target.startswith("socket:"):
            return index, known
        known = known and (order is not None or target.startswith("socket:"))
    return None, known


def _compare(process: int, other: int, number: int, its: int) -> int | None:
    """0 if both numbers point to one open file description, else another number; None if the kernel does not say."""
    if _KCMP is None:
        return None
    order = _libc.syscall(_KCMP, process, other, _KCMP_FILE, ctypes.c_ulong(number), ctypes.c_ulong(its))
    return None if order < 0 else order


def _kind(target: str, mode: int) -> str:
    """The kind of a row in another process, where nothing can be asked of the descriptor itself."""
    return kind_of(target, mode) or ("terminal" if target.startswith(("/dev/pts/", "/dev/tty")) else "device")


def _access(target: str, flags: int) -> str:
    if target.startswith(("anon_inode:", "socket:")):
        return ""
    return ("read", "write", "read and write")[flags & os.O_ACCMODE]


def _details(found: Descriptor | None) -> tuple[str, ...]:
    if found is None:
        return ()
    if found.kind == "epoll":
        entries = [(number, Watcher(found.number, events)) for number, events, _ in interests(found.number)]
        return tuple(f"watches {number} for {watcher.asked}" for number, watcher in entries) or ("its interest list is empty",)
    queues = (
        ("accept queue", found.accept_queue, "client"),
        ("receive queue", found.receive_queue, "byte"),
        ("send queue", found.send_queue, "byte"),
    )
    return tuple(f"{name}: {count} {unit}{'s' * (count != 1)}" for name, count, unit in queues if count is not None)
