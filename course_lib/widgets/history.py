"""What the lanes show: the changes between one look at the kernel and the next, and the recorded calls."""

import math
from array import array
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from course_lib.kernel import Call, Descriptor

THREAD = -1  # the lane of the server's thread
_KEPT = 1.0  # seconds after its end in which a late call may still belong to a lane
_MOST = 100  # lanes of one number; a server may take and close thousands in a second
_READABLE, _WRITABLE, _HANG_UP, _GONE, _ARRIVED = 1, 2, 4, 8, 16


@dataclass(slots=True)
class Lane:
    """One thing under one number, from when it was first seen until it was closed."""

    lane: int
    number: int
    what: tuple | None = None  # kind and addresses; None while it is known from calls alone
    name: str = ""
    end: float = math.inf
    last: tuple | None = None  # the state that was told last


class Changes:
    """Turns looks into records for the page: lane, from, to, what, how much; five doubles each.

    Without a `to` (NaN) a record is a state that goes on until the next one. Times are seconds of the same clock as
    Call.entered. A lane belongs to one socket, not to its number, which the next one may get. Texts and lanes are sent
    once, and named by a number.
    """

    def __init__(self) -> None:
        self._lanes: dict[int, list[Lane]] = {}  # of each number, in order
        self._count = 0
        self._thread: tuple | None = None
        self._texts: dict[str, int] = {}
        self._new_texts: list[tuple[int, str]] = []
        self._new_lanes: dict[int, Lane] = {}
        self._records = array("d")

    def look(
        self,
        now: float,
        rows: list[Descriptor],
        doing: str | None,
        arrived: Collection[int] = (),
        names: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        """Take in one look at the kernel; `doing` is what the server's thread does, in words.

        arrived   descriptors to which data came since the look before, where that is known
        names     of numbers: whose they are; of others the kind is told
        """
        if doing is not None and (state := (self._text(doing), 0)) != self._thread:
            self._thread = state
            self._records.extend((THREAD, now, math.nan, *state))
        for row in rows:
            lane, what = self._open(row.number), (row.kind == "listener", row.local, row.peer)
            if lane is not None and lane.what not in (None, what):
                self._end(lane, now)
                lane = None
            lane = lane or self._begin(row.number)
            name = names.get(row.number, row.kind)
            if (lane.what, lane.name) != (what, name):
                lane.what, lane.name = what, name
                self._new_lanes[lane.lane] = lane
            bits = _READABLE * row.readable | _WRITABLE * row.writable | _HANG_UP * row.hangup
            bits |= _ARRIVED * (row.number in arrived)
            self._state(lane, now, bits, row.accept_queue or row.receive_queue or 0)
        for number in self._lanes.keys() - {row.number for row in rows}:  # closed, or others are shown now
            if lane := self._open(number):
                self._end(lane, now)
        self._lanes = {
            number: kept[-_MOST:]
            for number, lanes in self._lanes.items()
            if (kept := [one for one in lanes if one.end > now - _KEPT])
        }

    def calls(self, calls: list[Call]) -> None:
        """Take in calls that the recorder has seen since the last time."""
        for call in calls:
            text = self._text(f"{call.name}({'' if call.descriptor is None else call.descriptor})")
            end = call.entered + call.seconds
            self._records.extend((THREAD, call.entered, end, text, 0))
            if call.descriptor is None:
                continue
            lanes = self._lanes.get(call.descriptor, [])
            lane = next((lane for lane in lanes if call.entered <= lane.end), None) or self._begin(call.descriptor)
            self._records.extend((lane.lane, call.entered, end, text, 0))
            if call.name == "close" and end < lane.end:
                self._end(lane, end)

    def take(self) -> tuple[list[tuple[int, str]], list[tuple[int, int, str]], bytes]:
        """(new texts, new lanes: (lane, number, whose), records) since the last time."""
        lanes = [(lane.lane, lane.number, lane.name) for lane in self._new_lanes.values()]
        taken = self._new_texts, lanes, self._records.tobytes()
        self._new_texts, self._new_lanes, self._records = [], {}, array("d")
        return taken

    def begin_again(self) -> None:
        """A new page knows nothing yet: send it the whole present state."""
        self._thread = None
        for lanes in self._lanes.values():
            for lane in lanes:
                lane.last = None
        self.take()
        self._new_lanes = {lane.lane: lane for lanes in self._lanes.values() for lane in lanes if lane.end == math.inf}
        self._new_texts = [(number, text) for text, number in self._texts.items()]

    def _open(self, number: int) -> Lane | None:
        lanes = self._lanes.get(number)
        return lanes[-1] if lanes and lanes[-1].end == math.inf else None

    def _begin(self, number: int) -> Lane:
        self._count += 1
        lane = self._new_lanes[self._count] = Lane(self._count, number)
        self._lanes.setdefault(number, []).append(lane)
        return lane

    def _end(self, lane: Lane, now: float) -> None:
        lane.end = now
        self._state(lane, now, _GONE, 0)

    def _state(self, lane: Lane, now: float, what: int, much: int) -> None:
        if lane.last != (what, much):
            lane.last = what, much
            self._records.extend((lane.lane, now, math.nan, what, much))

    def _text(self, text: str) -> int:
        if text not in self._texts:
            self._texts[text] = len(self._texts)
            self._new_texts.append((self._texts[text], text))
        return self._texts[text]
