"""What it costs to ask "who is ready?": one wait of select, poll and epoll against the number of watched descriptors."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from .work import Work, carry_out

KINDS = ("select", "poll", "epoll")
NUMBERS = (10, 100, 1000, 10_000)


@dataclass(frozen=True)
class Cost:
    """One point: a kind of wait on so many descriptors. Times are microseconds of CPU time, and None if not measured.

    kind          "select", "poll" or "epoll"
    watched       how many descriptors are watched
    ready         how many of them are ready at each wait
    microseconds  of one wait: the median of the rounds; `low` and `high` are the smallest and the largest of them
    wake          of the write that made one ready and the read after it, which is subtracted
    waits         how many waits were timed, in all rounds
    why_not       why nothing was measured, or ""
    """

    kind: str
    watched: int
    ready: int
    microseconds: float | None = None
    low: float | None = None
    high: float | None = None
    wake: float | None = None
    waits: int = 0
    why_not: str = ""

    def __str__(self) -> str:
        head = f"{self.kind:6} {self.watched:6} watched, {self.ready:6} ready: "
        if self.microseconds is None:
            return head + self.why_not
        return head + f"{self.microseconds:9.2f} µs  ({self.low:.2f} to {self.high:.2f})"


# Seconds for 100,000 waits with one of N descriptors ready: 10 times that are the microseconds of one wait.
_BOOK = {
    "poll": {10: 0.61, 100: 2.9, 1000: 35, 10_000: 990},
    "select": {10: 0.73, 100: 3.0, 1000: 35, 10_000: 930},
    "epoll": {10: 0.41, 100: 0.42, 1000: 0.53, 10_000: 0.66},
}
PUBLISHED: tuple[Cost, ...] = tuple(
    Cost(kind, watched, 1, microseconds=round(10 * seconds, 1)) for kind, row in _BOOK.items() for watched, seconds in row.items()
)
SOURCE = (
    "M. Kerrisk, The Linux Programming Interface, table 63-9 (Linux 2.6.25), as quoted by J. Evans, "
    "jvns.ca/blog/2017/06/03/async-io-on-linux--select--poll--and-epoll"
)


def waiting_cost(
    kinds: Iterable[str] = KINDS, numbers: Iterable[int] = NUMBERS, rounds: int = 7, seconds: float = 4.0
) -> list[Cost]:
    """The cost of a wait when ONE of many watched descriptors is ready, another one at each wait, chosen at random.

    kinds    of "select", "poll", "epoll"
    numbers  how many descriptors are watched
    rounds   how often each point is measured; in each round all points take turns, in shuffled order
    seconds  of CPU time for all of it, shared by the points; on a machine so busy that it takes three times as long,
             there are fewer rounds

    The descriptors are eventfds (eventfd(2)) of a fresh process, which may raise its own limit; each is read again after
    the wait. The write that wakes and the read after it are timed alone too, on descriptors that nobody watches, and are
    subtracted: a row's `wake` says how much. So what an epoll adds to that write (the kernel puts the descriptor on its ready
    list at once) counts as a cost of epoll. It is Python's cost: with the list that select() and poll() make of the answer.
    A point that could not be measured says why in `why_not`: select takes no descriptor from 1024 on (select(2)), a limit of
    descriptors may be too low (getrlimit(2)). Raises ValueError for another kind or number.
    """
    return _cost(kinds, numbers, False, rounds, seconds)


def ready_cost(
    kinds: Iterable[str] = KINDS, numbers: Iterable[int] = NUMBERS, rounds: int = 7, seconds: float = 4.0
) -> list[Cost]:
    """The same when ALL of them are ready at each wait, and stay so. Nothing is woken, so nothing is subtracted.

    epoll is asked for all at once (maxevents): by default Python takes 1023 events at a time.
    """
    return _cost(kinds, numbers, True, rounds, seconds)


def _cost(kinds: Iterable[str], numbers: Iterable[int], all_ready: bool, rounds: int, seconds: float) -> list[Cost]:
    kinds, numbers = list(dict.fromkeys(kinds)), list(dict.fromkeys(numbers))
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"a kind of wait is one of {', '.join(KINDS)}, not {unknown[0]!r}")
    if wrong := [number for number in numbers if type(number) is not int or number < 1]:
        raise ValueError(f"a number of descriptors is 1 or more, not {wrong[0]!r}")
    if type(rounds) is not int or rounds < 1 or not seconds > 0:
        raise ValueError("rounds is 1 or more, and seconds more than 0")
    return carry_out(lambda work: _measure(work, kinds, numbers, all_ready, rounds, seconds))


def _measure(work: Work, kinds: list[str], numbers: list[int], all_ready: bool, rounds: int, seconds: float) -> list[Cost]:
    child = work.process("waiting_process", kinds, numbers, all_ready, rounds, seconds)
    why: dict[tuple[str, int], str] = {}
    found: dict[tuple[str, int], dict[int, float]] = {}  # point → round → µs
    waits: dict[tuple[str, int], int] = {}
    while message := work.hear(child, 60 + 10 * seconds):
        match message:
            case {"points": total}:
                work.total = total
            case {"why": text, "kind": kind, "watched": number}:
                why[kind, number] = text
            case {"kind": kind, "watched": number, "round": turn, "microseconds": cost, "waits": count}:
                found.setdefault((kind, number), {})[turn] = cost
                waits[kind, number] = waits.get((kind, number), 0) + count
                work.done += 1
                work.now = f"{'no wait, only the wake-up' if kind == 'wake' else kind}: {number} descriptors"
            case {"end": True}:
                break
    work.end(child)
    rows = []
    for number in numbers:
        wake = found.get(("wake", number), {})
        for kind in kinds:
            point, ready = (kind, number), number if all_ready else 1
            # On a busy machine the rest may be less than nothing; no wait is shorter than a nanosecond.
            costs = [
                max(0.001, cost - wake.get(turn, 0.0)) for turn, cost in found.get(point, {}).items() if all_ready or turn in wake
            ]
            if costs:
                woken = statistics.median(wake.values()) if wake else None
                rows.append(Cost(kind, number, ready, statistics.median(costs), min(costs), max(costs), woken, waits[point]))
            else:
                reason = why.get(point, "the process that measures ended before it came to this")
                rows.append(Cost(kind, number, ready, why_not=reason))
    return rows
