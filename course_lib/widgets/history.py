"""What the lanes show: the changes between one look at the kernel and the next, and the recorded calls."""

import math
from array import array
from collections.abc import Collection

from course_lib.observe import Call, Descriptor

THREAD = -1  # the lane of the server's thread
_READABLE, _WRITABLE, _HANG_UP, _GONE, _ARRIVED = 1, 2, 4, 8, 16


class Changes:
    """Turns looks into records for the page: lane, from, to, what, how much; five doubles each.

    Without a `to` (NaN) a record is a state that goes on until the next one. Times are seconds of the same clock as
    Call.entered. Texts are sent once, and named by a number.
    """

    def __init__(self) -> None:
        self._last: dict[int, tuple] = {}
        self._texts: dict[str, int] = {}
        self._new_texts: list[tuple[int, str]] = []
        self._records = array("d")

    def look(self, now: float, rows: list[Descriptor], doing: str | None, arrived: Collection[int] = ()) -> None:
        """Take in one look at the kernel; `doing` is what the server's thread does, in words.

        arrived   descriptors to which data came since the look before, where that is known
        """
        if doing is not None:
            self._state(THREAD, now, self._text(doing), 0)
        seen = {THREAD}
        for row in rows:
            seen.add(row.number)
            bits = (
                _READABLE * row.readable | _WRITABLE * row.writable | _HANG_UP * row.hangup | _ARRIVED * (row.number in arrived)
            )
            self._state(row.number, now, bits, row.accept_queue or row.receive_queue or 0)
        for number in self._last.keys() - seen:  # closed, or others are shown now
            self._state(number, now, _GONE, 0)
            del self._last[number]

    def calls(self, calls: list[Call]) -> None:
        """Take in calls that the recorder has seen since the last time."""
        for call in calls:
            text = self._text(f"{call.name}({'' if call.descriptor is None else call.descriptor})")
            lanes = [THREAD] if call.descriptor is None else [THREAD, call.descriptor]
            for lane in lanes:
                self._records.extend((lane, call.entered, call.entered + call.seconds, text, 0))

    def take(self) -> tuple[list[tuple[int, str]], bytes]:
        """(new texts, records) since the last time."""
        taken = self._new_texts, self._records.tobytes()
        self._new_texts, self._records = [], array("d")
        return taken

    def begin_again(self) -> None:
        """A new page knows nothing yet: send it the whole present state."""
        self._last.clear()
        self.take()
        self._new_texts = [(number, text) for text, number in self._texts.items()]

    def _state(self, lane: int, now: float, what: int, much: int) -> None:
        if self._last.get(lane) != (what, much):
            self._last[lane] = what, much
            self._records.extend((lane, now, math.nan, what, much))

    def _text(self, text: str) -> int:
        if text not in self._texts:
            self._texts[text] = len(self._texts)
            self._new_texts.append((self._texts[text], text))
        return self._texts[text]
