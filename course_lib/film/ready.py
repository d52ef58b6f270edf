"""Who is in the ready lists of a server's epolls. The kernel does not show them, so they are heard along."""

import fcntl
import resource
import select
from contextlib import suppress
from dataclasses import replace

from course_lib.kernel import Call, Descriptor

EDGE = getattr(select, "EPOLLET", 0)
_IN, _OUT, _RDHUP = 0x1, 0x4, 0x2000  # EPOLLIN, EPOLLOUT, EPOLLRDHUP; some Pythons have a select without epoll


def is_ready(row: Descriptor, events: int) -> bool:
    """Is it in the ready list of an epoll that watches it level-triggered for these events (epoll(7))?"""
    if events & EDGE:
        return False
    due = _IN * row.readable | _OUT * row.writable | (_IN | _OUT | _RDHUP) * row.hangup
    return bool(events & due)


class ReadyLists:
    """The ready lists at each moment of a film.

    Level-triggered, what is ready for what it is watched for is in the list. Edge-triggered, it is there from an event to the
    epoll_wait that tells it: an epoll of our own, with the same interest in the same sockets, gets the same events.
    """

    def __init__(self) -> None:
        self._epoll: select.epoll | None = None
        self._watched: dict[int, tuple] = {}  # number -> what was entered in our own list
        self._heard: set[int] = set()

    def look(self, rows: list[Descriptor], came: tuple[Call, ...]) -> frozenset[int]:
        """The numbers that are in a ready list now; `came` are the calls since the last look."""
        edges, levels = {}, set()
        for row in rows:
            for watcher in row.watched_by:
                if watcher.events & EDGE:
                    edges[row.number] = (watcher.events, row.peer, row.local)
                elif is_ready(row, watcher.events):
                    levels.add(row.number)
        if edges or self._epoll:
            self._hear(edges)
            for call in came:
                if call.name == "epoll_wait" and call.result:
                    self._heard -= {number for number in edges if f"({number}, " in str(call.result)}
            self._enter(edges)
        return frozenset(levels | self._heard & edges.keys())

    def without_own(self, rows: list[Descriptor]) -> list[Descriptor]:
        """What the kernel says of a server's descriptors, without our own epoll, which watches them, too."""
        if self._epoll is None:
            return rows
        own = self._epoll.fileno()
        return [
            replace(row, watched_by=tuple(watcher for watcher in row.watched_by if watcher.epoll != own))
            for row in rows
            if row.number != own
        ]

    def close(self) -> None:
        if self._epoll:
            self._epoll.close()

    def _hear(self, edges: dict[int, tuple]) -> None:
        if self._epoll:
            self._heard |= {number for number, _ in self._epoll.poll(0)}

    def _enter(self, edges: dict[int, tuple]) -> None:
        """Watch what the server watches. What is ready then is an event, for it as for us."""
        epoll = self._epoll = self._epoll or _out_of_the_way(select.epoll())
        for number in [number for number, its in self._watched.items() if edges.get(number) != its]:
            del self._watched[number]
            self._heard.discard(number)
            with suppress(OSError):  # closed: it has left the list by itself
                epoll.unregister(number)
        for number, its in edges.items():
            if number not in self._watched:
                with suppress(OSError):
                    epoll.register(number, its[0])
                    self._watched[number] = its
        self._hear(edges)


def _out_of_the_way(epoll: "select.epoll") -> "select.epoll":
    """The same epoll under a high number: the server gets the low ones, as it would without us."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    high = fcntl.fcntl(epoll.fileno(), fcntl.F_DUPFD_CLOEXEC, min(limit, 4096) * 3 // 4)
    epoll.close()
    return select.epoll.fromfd(high)
