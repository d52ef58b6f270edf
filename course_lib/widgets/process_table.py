"""The descriptor table of the notebook's process, live, with buttons that open, copy and close things of its own."""

import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from course_lib.kernel import OpenFiles, Row, open_files, open_numbers

from .live_panel import LivePanel
from .page import script, style
from .picture import cell_text
from .still import table

_PERIOD = 0.2  # seconds between two looks at the kernel
_MOST = 40  # things it holds at a time: the process needs its numbers for other work
_FREE = 6  # free numbers that are shown, the lowest first
COLUMNS = (
    ("number", "number", "the index of the row", True),
    ("close_on_exec", "close-on-exec", "is the row emptied when the process runs another program?", True),
    ("description", "description", "the open file description that the row points to", True),
    ("kind", "kind", "what it names", True),
    ("offset", "offset", "where the next read or write begins, in bytes; it belongs to the description", True),
    ("nonblock", "O_NONBLOCK", "it belongs to the description", True),
)

_live: "ProcessTable | None" = None


def process_table() -> "ProcessTable":
    """The descriptor table of this process, live. There is one at a time: a new one closes what the last one left open."""
    global _live
    if _live is not None:
        _live.close()
    _live = ProcessTable()
    return _live


class ProcessTable(LivePanel):
    """Opens things of its own and shows the number each one got. `state()` is what it shows, as a plain value.

    Only what it has opened itself can be closed through it: never a descriptor of Jupyter's or of a cell.
    """

    _esm = script("process_table.js")
    _css = style("process_table.css")
    _thread = "process table"

    def __init__(self) -> None:
        self._own: dict[int, tuple[int, int]] = {}  # number -> (device, inode) of what was opened there
        self._said = ""
        self._lock = threading.RLock()  # around what it holds
        super().__init__(columns=COLUMNS)

    # What the buttons do

    def open_file(self) -> int:
        """Open one and the same file once more, to read (open(2)); returns the number it got."""
        with self._room():
            return self._keep("open", os.open(__file__, os.O_RDONLY))

    def pipe(self) -> tuple[int, int]:
        """Make a pipe; returns the numbers of its two ends: (to read, to write)."""
        with self._room(2):
            ends = os.pipe()
            self._keep("pipe", *ends)
            return ends

    def socket(self) -> int:
        """Make a TCP socket that is connected to nothing; returns its number."""
        with self._room():
            return self._keep("socket", socket.socket().detach())

    def dup(self, number: int) -> int:
        """Copy the row of one of its own numbers (dup(2)); returns the new number. Raises ValueError for another's."""
        with self._room():
            self._mine(number)
            return self._keep(f"dup({number})", os.dup(number))

    def read(self, number: int, count: int = 3) -> bytes:
        """Read through one of its own numbers if it names a file; else b"", for the read could wait.

        Raises ValueError for another's.
        """
        with self._lock:
            self._mine(number)
            if not self._is_file(number):
                self._said = f"{number} is no file: a read could wait, so nothing is read here."
                return b""
            data = os.read(number, count)
            self._said = f"read({number}, {count}) gave {data!r}"
            return data

    def set_blocking(self, number: int, blocking: bool) -> None:
        """Clear or set O_NONBLOCK through one of its own numbers (fcntl(2)). Raises ValueError for another's."""
        with self._lock:
            self._mine(number)
            os.set_blocking(number, blocking)
            self._said = f"O_NONBLOCK is {'off' if blocking else 'on'}, set through {number}"

    def close_number(self, number: int) -> None:
        """Close one of its own numbers (close(2)). Raises ValueError for another's."""
        with self._lock:
            self._mine(number)
            del self._own[number]
            os.close(number)
            self._said = f"close({number}): the row is empty"

    def close_all(self) -> None:
        """Close all that it still holds."""
        with self._lock:
            for number in list(self._own):
                with suppress(ValueError):  # a cell has closed it already
                    self.close_number(number)
            self._own.clear()
            self._said = "all its own rows are empty"

    def close(self) -> None:
        """Close what it holds, and the widget."""
        self.close_all()
        self._views.clear()
        self._events.put({"type": "gone"})
        super().close()

    # What it shows

    def numbers(self) -> list[int]:
        """The numbers of its own that are open, lowest first."""
        with self._lock:
            return sorted(self._own)

    def free(self) -> list[int]:
        """The lowest numbers that are free in this process now, lowest first."""
        taken = set(open_numbers())
        return [number for number in range(len(taken) + _FREE) if number not in taken][:_FREE]

    def state(self) -> dict:
        """What it shows, as JSON-ready values: rows (its own), others (all other numbers), free, said."""
        with self._lock:
            for number in [n for n in self._own if not self._is_mine(n)]:
                del self._own[number]
            found = open_files(list(self._own)) if self._own else None
            rows = [] if found is None else [self._row(row, found) for row in found.rows]
            others = [number for number in open_numbers() if number not in self._own]
            return {
                "rows": rows,
                "others": others,
                "free": self.free(),
                "said": self._said,
                "compared": found is None or found.compared,
            }

    def _row(self, row: Row, found: OpenFiles) -> dict:
        description = found.descriptions[row.description]
        sharing = [other.number for other in found.rows if other.description == row.description]
        alone = "own" if found.compared or description.kind == "socket" else "not known here"  # kcmp(2) is not allowed
        name = alone if len(sharing) == 1 else "shared by " + " and ".join(map(str, sharing))
        return {
            "number": row.number,
            "close_on_exec": row.close_on_exec,
            "description": name,
            "kind": description.kind + (f", to {description.access}" if description.kind == "pipe" else ""),
            "offset": description.offset,
            "nonblock": not description.blocking,
        }

    def _room(self, wanted: int = 1) -> threading.RLock:
        if len(self._own) + wanted > _MOST:
            raise ValueError(f"it holds {len(self._own)} things: close some first")
        return self._lock

    def _keep(self, call: str, *numbers: int) -> int:
        """Note what a call gave; returns the first number."""
        for number in numbers:
            self._own[number] = _identity(number)
        self._said = f"{call} gave {' and '.join(map(str, numbers))}"
        return numbers[0]

    def _mine(self, number: int) -> None:
        if number not in self._own:
            raise ValueError(f"{number} was not opened here, so it is left alone")
        if not self._is_mine(number):
            del self._own[number]
            raise ValueError(f"{number} was closed elsewhere and may name somebody else's thing now, so it is left alone")

    def _is_mine(self, number: int) -> bool:
        try:
            return _identity(number) == self._own[number]
        except OSError:
            return False

    def _is_file(self, number: int) -> bool:
        return open_files(number).descriptions[0].offset is not None

    # Messages of the page

    def _run(self) -> None:
        """The pump: do what the page asks, look at the kernel, send what changed; ends when no page looks on."""
        sent, seen = None, time.monotonic()
        while True:
            for message in self._next():
                seen = time.monotonic()
                sent = None if message.get("type") == "ready" else sent
                self._act(message)
            if self._is_over(seen):
                return
            state = self.state()
            if state != sent:
                self.send(state)
                sent = state

    def _next(self) -> list[dict]:
        try:
            return [self._events.get(timeout=_PERIOD)]
        except queue.Empty:
            return []

    def _click(self, kind: str, message: dict) -> None:
        number = message.get("number")
        simple: dict[str, Callable[[], object]] = {
            "open": self.open_file,
            "pipe": self.pipe,
            "socket": self.socket,
            "close_all": self.close_all,
        }
        on_one: dict[str, Callable[[int], object]] = {
            "dup": self.dup,
            "read": self.read,
            "close": self.close_number,
            "nonblock": lambda number: self.set_blocking(number, not os.get_blocking(number)),
        }
        if kind in simple:
            simple[kind]()
        elif kind in on_one and isinstance(number, int):
            on_one[kind](number)

    def _fail(self, error: Exception) -> None:
        self._said = str(error)

    # What a notebook stores

    def picture(self) -> str:
        """The table as static HTML."""
        state = self.state()
        rows = ([cell_text(key, row[key]) for key, *_ in COLUMNS] for row in state["rows"])
        return (
            f"<div>{len(state['others'])} rows belong to Jupyter and your cells. Free, lowest first: "
            f"{', '.join(map(str, state['free']))} …</div>{table([title for _, title, *_ in COLUMNS], rows)}"
        )

    def __repr__(self) -> str:
        return "process_table()"


def _identity(number: int) -> tuple[int, int]:
    status = os.fstat(number)
    return status.st_dev, status.st_ino
