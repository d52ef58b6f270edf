"""Which colour and marker each kind of wait and each server has, in every figure."""

import itertools
from collections.abc import Iterable

# After Okabe and Ito: colour-blind readers tell them apart. For print on white, and for pages that may be light or dark.
ON_WHITE = ("#0072b2", "#b84f00", "#a0487a", "#00805f", "#5a5a5a", "#8a6d00", "#3a2f8f")
ON_ANY = ("#0072b2", "#d55e00", "#b3609b", "#009e73", "#8c8c8c", "#b38f00", "#7a6fd0")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 4", "1 4", "12 3")

_ALWAYS = {
    "epoll": 0,
    "poll": 1,
    "select": 2,
    "EpollServer": 0,
    "PollServer": 1,
    "SelectServer": 2,
    "NonBlockingServer": 3,
    "BlockingServer": 4,
    "EpollEngine": 0,
    "PollEngine": 1,
    "SelectEngine": 2,
}


def styles(names: Iterable[str]) -> dict[str, int]:
    """{name: its place in the lists above}: the same in every figure for names of the course, a free one for others."""
    names = list(dict.fromkeys(names))
    taken = {_ALWAYS[name] for name in names if name in _ALWAYS}
    free = itertools.cycle(place for place in range(len(MARKERS)) if place not in taken)
    return {name: _ALWAYS[name] if name in _ALWAYS else next(free) for name in names}
