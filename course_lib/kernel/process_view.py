"""Another process of the same user, looked at from outside: its descriptors, and what its threads do."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from . import libc
from .descriptors import _ASKED, Descriptor, Interests, _describe
from .threads import Doing, ThreadView

_MOST_THREADS = 64  # that one look walks through


class _ItsThread(ThreadView):
    """A thread of another process."""

    def __init__(self, folder: str) -> None:
        super().__init__(threading.main_thread())  # not asked: it is read by its folder
        self._folder = folder

    def _look(self) -> Doing:
        return Doing(False, cpu=self._cpu_share(), stopped=True) if self._stat()[0] == "T" else super()._look()

    def _system_call(self) -> tuple[str | None, int | None]:
        before, found, after = self._stat()[0], super()._system_call(), self._stat()[0]
        # A tracer stops it ("t") at each call: it sleeps there only if it sleeps before and after (proc(5): S, D).
        return found if before == after and before in "SD" else (None, None)

    def _read(self, name: str) -> str:
        return libc.read(f"{self._folder}/{name}")


class ProcessView:
    """A process that was started from here: `ProcessView(child.pid).descriptors()`.

    To look at a descriptor it is duplicated for the moment of the look (pidfd_getfd(2)), which needs the right to trace the process
    (ptrace(2)): one has it for one's own children. Between two looks nothing of it is held here.
    Raises ValueError where no such process lives, PermissionError where it may not be looked at, OSError where there is no Linux.
    """

    def __init__(self, pid: int) -> None:
        if type(pid) is not int or pid <= 0:
            raise ValueError(f"a process has a number from 1 on, not {pid!r}")
        if not hasattr(os, "pidfd_open"):
            raise OSError("another process can be looked at on Linux only")
        self.pid, self.name = pid, "?"
        try:
            self._began = _began(pid)
            with self._held() as pidfd:
                self.name = libc.read(f"/proc/{pid}/comm").strip()
                for number in libc.numbers(f"/proc/{pid}/fd")[:1]:  # another user's may not even be listed
                    os.close(libc.duplicate(pidfd, number))
        except (ProcessLookupError, FileNotFoundError, OverflowError):
            raise ValueError(f"no process has the number {pid}") from None
        except OSError as error:
            raise PermissionError(
                f"process {pid} ({self.name}) may not be looked at: {error.strerror}. Start it from the notebook, "
                "as the same user."
            ) from None
        self._threads: dict[int, _ItsThread] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProcessView) and (self.pid, self._began) == (other.pid, other._began)

    def __hash__(self) -> int:
        return hash((self.pid, self._began))

    def __repr__(self) -> str:
        return f"<{self.name}, process {self.pid}, {'running' if self.running else 'ended'}>"

    @property
    def running(self) -> bool:
        """True until it has ended."""
        with suppress(OSError), self._held():
            return True
        return False

    def numbers(self) -> list[int]:
        """The numbers of its open descriptors, lowest first; [] when it has ended."""
        with suppress(OSError):
            return libc.numbers(f"/proc/{self.pid}/fd") if self.running else []
        return []

    def descriptors(self, most: int | None = None) -> list[Descriptor]:
        """What the kernel says of its descriptors, of the `most` lowest ones; `watched_by` are its own epolls."""
        found, inodes = [], {}
        numbers, nobody = self.numbers()[:most], Interests([])
        with suppress(OSError), self._held() as pidfd:
            for number in numbers:
                with suppress(OSError), _duplicate(pidfd, number) as own:
                    mode, inodes[number] = libc.mode_and_inode(own)
                    if row := _describe(own, mode, inodes[number], libc.poll([own], _ASKED).get(own, 0), nobody):
                        found.append(replace(row, number=number))
        interests = Interests([row.number for row in found if row.kind == "epoll"], f"/proc/{self.pid}/fdinfo")
        return [replace(row, watched_by=interests.of(row.number, inodes[row.number])) for row in found]

    def make_blocking(self, blocking: bool, numbers: list[int]) -> None:
        """Set or clear O_NONBLOCK of its descriptors: the flag is in the open file description, which a duplicate shares (dup(2))."""
        with suppress(OSError), self._held() as pidfd:
            for number in numbers:
                with suppress(OSError), _duplicate(pidfd, number) as own:
                    os.set_blocking(own, blocking)

    def threads(self) -> list[tuple[str, Doing]]:
        """(name, what it does) of its threads, the first one first."""
        found = []
        for view in self._views():
            with suppress(OSError):
                found.append((libc.read(f"{view._folder}/comm").strip(), view.doing()))
        return found

    def children(self) -> list[int]:
        """The processes that it has started and that live, oldest first: the workers of a prefork server (proc(5): children)."""
        with suppress(OSError):
            return [int(child) for view in self._views() for child in libc.read(f"{view._folder}/children").split()]
        return []

    def asleep_on(self, numbers: set[int]) -> dict[int, list[tuple[str, str]]]:
        """The threads that sleep in a call on one of these descriptors: {number: [(thread, call)]}."""
        found: dict[int, list[tuple[str, str]]] = {}
        for name, doing in self.threads():
            if doing.call and doing.descriptor in numbers:
                found.setdefault(doing.descriptor, []).append((name, doing.call))
        return found

    def _views(self) -> list[_ItsThread]:
        folder, numbers = f"/proc/{self.pid}/task", list[int]()
        with suppress(OSError):
            numbers = libc.numbers(folder)[:_MOST_THREADS] if self.running else []
        self._threads = {number: self._threads.get(number) or _ItsThread(f"{folder}/{number}") for number in numbers}
        return list(self._threads.values())

    @contextmanager
    def _held(self) -> Iterator[int]:
        """A descriptor that names it, for a moment (pidfd_open(2)). Raises OSError when it has ended, whoever has its number now."""
        pidfd = os.pidfd_open(self.pid)
        try:
            if libc.poll([pidfd], libc.POLLIN) or _began(self.pid) != self._began:
                raise ProcessLookupError
            yield pidfd
        finally:
            os.close(pidfd)


@contextmanager
def _duplicate(pidfd: int, number: int) -> Iterator[int]:
    own = libc.duplicate(pidfd, number)
    try:
        yield own
    finally:
        os.close(own)


def _began(pid: int) -> str:
    """When a process began: no two of one number have it in common (proc(5), stat: field 22)."""
    return libc.read(f"/proc/{pid}/stat").rpartition(")")[2].split()[19]
