"""The film's picture of what a panel looks at: one moment of it, taken while it runs."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace

from course_lib.clients import Address
from course_lib.film.film import Moment, Thread, place_of
from course_lib.film.page import MOST_ROWS, drawn
from course_lib.film.queue import in_accept_queue
from course_lib.film.ready import EDGE, is_ready
from course_lib.film.source import calling, position
from course_lib.film.words import again_and_again, watched
from course_lib.kernel import Descriptor, Doing, Pending, TaskView, asleep_on, doing
from course_lib.kernel.descriptors import zombies
from course_lib.kernel.observed import Observed

from .subject import Process, Subject, server_of, whose

_THREADS = 20  # of a server, whose tokens are drawn
_LOOKS = 30  # the last ones at a thread that runs, from which its calls are told; not from fewer than a third
_CALLS, _FRESH = 100, 0.5  # recorded calls that tell them better, if the last one is not older than so many seconds


class LivePicture:
    """Makes the picture of each look. What did not change since the look before is the same object."""

    def __init__(self, subject: Subject, name_of: Callable[[Address | None], str | None], labels: dict[Address, str]) -> None:
        self._subject, self._server = subject, server_of(subject)
        self._name_of, self._labels = name_of, labels
        self._seen: tuple[Moment, str | None, int] | None = None
        self._picture: dict | None = None
        self._queue: tuple[object, tuple[str, ...]] = None, ()
        self._caught: deque[str | None] = deque(maxlen=_LOOKS)  # in which calls, while it runs

    def show(self, rows: list[Descriptor], hidden: int, its: Doing | None, tasks: list[TaskView] | None) -> dict | None:
        """What the page draws, of at most MOST_ROWS descriptors; None when there is nothing.

        its   what the server's thread does; None for a subject that is no server
        """
        if not rows:
            return None
        threads, told = self._threads(rows, its)
        number = threads[0].call.descriptor if threads and threads[0].call else None
        shown = sorted(rows, key=lambda row: (place_of(row) == 1, row.number != number, not row.readable, row.number))[:MOST_ROWS]
        moment = Moment(
            threads=threads,
            descriptors=tuple(sorted(shown, key=lambda row: (place_of(row), row.number))),
            names={row.number: self._who(row) for row in rows},
            waiting=self._waiting(rows),
            ready=frozenset(row.number for row in shown if any(is_ready(row, one.events) for one in row.watched_by)),
            handed_in=self._server.handed_in() if self._server is not None else None,
            came_back=self._server.came_back() if self._server is not None else None,
            tasks=None if tasks is None else tuple(replace(task, seconds=None) for task in tasks[:_THREADS]),
            zombies=tuple(
                (number, "somebody", watched(watcher))
                for row in shown
                if row.kind == "epoll" and self._server is not None
                for number, watcher in zombies(row.number)
            ),
        )
        seen = moment, told, hidden + len(rows) - len(shown)
        if seen != self._seen:
            self._seen = seen
            self._picture = drawn(moment, list(moment.descriptors)) | {
                "hidden": seen[2],
                # The kernel shows no ready list. Who is ready for a level-triggered interest is in it, of another nothing is known.
                "unknown": [row.number for row in shown if any(one.events & EDGE for one in row.watched_by)],
            }
            if told is not None:
                self._picture["asks"] = told
        return self._picture

    def line(self, its: Doing) -> str:
        """The line of its source at which a server sleeps or is held; "" while it runs."""
        if self._server is None:
            return ""
        pending = self._server.pending
        thread = pending.thread if pending else next(iter(self._server.threads), None)
        if thread is None or not (pending or its.asleep):
            return ""
        where = position(thread, type(self._server))
        return where.own.text if where else ""

    def _threads(self, rows: list[Descriptor], its: Doing | None) -> tuple[tuple[Thread, ...], str | None]:
        """(its threads, the one that matters first; what is said of them where the picture's own words do not fit)."""
        names = {row.number: self._who(row) for row in rows}
        if self._server is None or its is None:
            ask = self._subject.asleep_on if isinstance(self._subject, Process) else asleep_on
            found = [(name, call, number) for number, who in ask({row.number for row in rows}).items() for name, call in who]
            told = "; ".join(f"{whose(name)} sleeps in {call}() on {names[number]}" for name, call, number in found)
            told = f"{told[0].upper()}{told[1:]}." if told else "No thread sleeps in a call on these."
            return tuple(Thread(name, Pending(call, number), True) for name, call, number in found), told
        standing = {call.thread: call for call in self._server.standing}
        if its.asleep or standing:
            self._caught.clear()
        threads: list[Thread] = []
        living = self._server.threads[:_THREADS]
        for number, thread in enumerate(living):
            now = its if number == 0 else doing(thread)
            call = standing.get(thread) or (Pending(now.call or "", now.descriptor) if now.asleep else None)
            on = names.get(-1 if call is None or call.descriptor is None else call.descriptor, "a client")
            name = f"the thread of {on}" if number else "the first thread"
            threads.append(Thread(name, call, thread not in standing and now.asleep, thread in standing))
        threads.sort(key=lambda thread: not thread.next)
        if its.ended or not threads or threads[0].next:
            return tuple(threads), "" if its.ended else None
        first, running = threads[0].call, sum(not thread.call for thread in threads)
        if not first:
            return tuple(threads), self._runs(self._server, living[0])
        if not running:
            return tuple(threads), None
        # Of one who sleeps alone it would read as if the server did nothing.
        said = f"The first thread sleeps in {first.name}(); {running} more {'is' if running == 1 else 'are'} running."
        return tuple(threads), said

    def _runs(self, server: Observed, thread: threading.Thread) -> str:
        """What a server does whose thread does not sleep."""
        self._caught.append(calling(thread))
        calls = server.calls(_CALLS) if server.recording else []
        if len(calls) == _CALLS and time.perf_counter() - calls[-1].entered < _FRESH:
            names, in_vain = {call.name for call in calls}, all(call.error == "EAGAIN" for call in calls)
            return again_and_again(names, server.calls_a_second, in_vain)
        often = {name for name, times in Counter(self._caught).items() if name and times > 1}
        if len(self._caught) < _LOOKS / 3 or not often and any(self._caught):
            return "The server is running."
        return again_and_again(often)

    def _who(self, row: Descriptor) -> str:
        if row.peer is None or row.peer == "":
            return row.kind
        return self._name_of(row.peer) or (f"port {row.peer[1]}" if isinstance(row.peer, tuple) else row.peer)

    def _waiting(self, rows: list[Descriptor]) -> tuple[str, ...]:
        """Who stands in the accept queue: those with a name in the order in which they came, then others."""
        listener = next((row for row in rows if row.accept_queue), None)
        if listener is None:
            return ()
        count, labels = listener.accept_queue or 0, dict(self._labels)
        seen = count, frozenset(row.peer for row in rows), labels
        if seen != self._queue[0]:
            there = in_accept_queue(listener)
            known = [name for address, name in labels.items() if address in there]
            others = [f"port {port}" for _, port in sorted(there - labels.keys())]
            # The kernel counts a client a moment before its table shows it as connected: then the next look asks again.
            self._queue = seen if len(there) >= count else None, tuple((known + others + ["a client"] * count)[:count])
        return self._queue[1]
