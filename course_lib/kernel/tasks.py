"""What the tasks of a scheduler wait for, read from its lists: there is nothing of this in the scheduler itself."""

import math
import sys
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from .descriptors import attribute, number_of

MOST = 1000  # tasks that one look returns


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task at one moment.

    name    the name it was given, or that of its function
    state   "running", "ready", "read", "write" or "sleeping"; of a task of asyncio "running" or "waiting"
    place   of a ready one: its place in the queue, 1 for the next
    number  the descriptor that it waits for; of a running or ready one, that it waited for, where the loop still has it
    seconds of a sleeping one: how long it still sleeps
    (None where the loop's lists do not tell)
    """

    name: str
    state: str
    place: int | None = None
    number: int | None = None
    seconds: float | None = None

    @property
    def waits(self) -> str:
        """What it waits for, in a few words: "read 71", "sleeping 0.2 s", "ready: 2nd in the queue", "running"."""
        if self.state == "ready":
            return f"ready: {_ordinal(self.place or 0)} in the queue"
        if self.state == "sleeping":
            return "sleeping" if self.seconds is None else f"sleeping {self.seconds:.1f} s"
        return f"{self.state} {'?' if self.number is None else self.number}" if self.state in ("read", "write") else self.state

    def __str__(self) -> str:
        return f"{self.name}: {self.waits}"


def has_tasks(loop: Any) -> bool:
    """True for an object with lists that `tasks` reads: at least `readers`, {descriptor: task}."""
    return isinstance(attribute(loop, "readers"), dict)


def tasks(loop: Any) -> list[TaskView]:
    """The tasks of a scheduler at this moment: who runs, the ready queue in its order, who waits, who sleeps.

    loop    an object with `readers` and `writers` ({descriptor: task}), `ready` (a deque or list of tasks; the first may be
            running), `sleepers` (a list of (its end, …, task), by time.monotonic() or time.time()); all but the first may be
            missing.
            A task is a generator or coroutine, or has one as `code`; its name is its `name`, or stands in `loop.names`.
            Other shapes are read as far as they go: waiters by socket, many in the place of one, and entries that are tuples
            or objects with a task, and for a sleeper a number, in them; lists in a `queue.PriorityQueue` and its like. For one of
            these four that is something else, and not empty, there is an entry that says so.
            Or a loop of asyncio, whose tasks have names only: it does not tell what each waits for.
    Returns at most the first MOST; [] for what has no such lists. It may be called from any thread: a look in passing.
    """
    asyncio = sys.modules.get("asyncio")
    if asyncio and isinstance(loop, asyncio.AbstractEventLoop):
        now = asyncio.current_task(loop)
        views = [TaskView(task.get_name(), "running" if task is now else "waiting") for task in asyncio.all_tasks(loop)]
        return sorted(views, key=lambda view: view.name)[:MOST]
    if not has_tasks(loop):
        return []
    waiting = [
        (number, what, task)
        for what, name in (("read", "readers"), ("write", "writers"))
        for number, task in _waiters(loop, name)
    ]
    waiting.sort(key=lambda entry: math.inf if entry[0] is None else entry[0])
    names, clocks = attribute(loop, "names"), (time.monotonic(), time.time())
    its = {id(task): number for number, _, task in waiting}
    seen: set[int] = set()
    running, found = [], []

    def enter(task: Any, state: str, **more: Any) -> None:
        if id(task) in seen or len(seen) >= MOST:
            return
        seen.add(id(task))
        view = TaskView(_name(task, names), state, number=its.get(id(task)), **more)
        if _runs(task):
            running.append(replace(view, state="running", place=None, seconds=None))
        else:
            found.append(view)

    for entry in _entries(loop, "ready"):
        enter(_in(entry)[1], "ready", place=len(found) + 1)
    for _, what, task in waiting:
        enter(task, what)
    for when, task in sorted(map(_in, _entries(loop, "sleepers")), key=lambda pair: pair[0]):
        # The nearer clock is the one it goes by: they are years apart.
        enter(task, "sleeping", seconds=max(0.0, min((when - now for now in clocks), key=abs)) if math.isfinite(when) else None)
    return running + found + _not_read(loop)


def _entries(loop: Any, name: str) -> list | deque:
    found = _list_in(attribute(loop, name))
    return found.copy() if isinstance(found, (list, deque)) else []


def _list_in(thing: Any) -> Any:
    """The list itself; what `queue.PriorityQueue` and its like keep theirs in."""
    return thing if isinstance(thing, (list, deque)) else attribute(thing, "queue")


def _not_read(loop: Any) -> list[TaskView]:
    """Those of its four that are of another kind, and not empty as far as they tell."""
    found = []
    for name in "ready", "writers", "sleepers":
        thing = attribute(loop, name)
        read = isinstance(thing, dict) if name == "writers" else isinstance(_list_in(thing), (list, deque))
        if thing is not None and not read and not _is_empty(thing):
            found.append(TaskView(name, f"not read: a {type(thing).__name__}"))
    return found


def _is_empty(thing: Any) -> bool:
    try:
        return len(thing) == 0
    except Exception:  # it has no length, or one of the learner's own making
        return False


def _waiters(loop: Any, name: str) -> list[tuple[int | None, object]]:
    """(descriptor, task) for each that waits; the descriptor is None where the key has none."""
    who = attribute(loop, name)
    return [
        (_number(key), _in(entry)[1])
        for key, entries in (who.copy().items() if isinstance(who, dict) else ())
        for entry in (entries.copy() if isinstance(entries, (list, set, deque)) else [entries])
    ]


def _in(entry: Any) -> tuple[float, object]:
    """(the first number, the last task) in an entry of a list; math.inf, and the entry, where there is none."""
    if _is_task(entry):
        return math.inf, entry
    parts = (
        entry
        if isinstance(entry, (list, tuple))
        else [
            *(getattr(entry, name, None) for kind in type(entry).__mro__ for name in _slots(kind)),
            *getattr(entry, "__dict__", {}).values(),
        ]
    )
    number = next((part for part in parts if isinstance(part, (int, float)) and not isinstance(part, bool)), math.inf)
    return number, next(filter(_is_task, reversed(parts)), entry)


def _slots(kind: type) -> Iterable[str]:
    slots = getattr(kind, "__slots__", ())
    return [slots] if isinstance(slots, str) else slots


def _is_task(thing: Any) -> bool:
    return hasattr(getattr(thing, "code", thing), "throw")  # a socket has send() too


def _number(key: Any) -> int | None:
    try:
        number = number_of(key)
    except Exception:  # a key of the learner's own making
        return None
    return number if number >= 0 else None


def _runs(task: Any) -> bool:
    code = getattr(task, "code", task)
    return bool(getattr(code, "gi_running", False) or getattr(code, "cr_running", False))


def _name(task: Any, names: Any) -> str:
    try:
        named = names.get(task) if isinstance(names, dict) else None
    except TypeError:  # it has no hash
        named = None
    return str(getattr(task, "name", None) or named or getattr(task, "__name__", None) or type(task).__name__)


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
