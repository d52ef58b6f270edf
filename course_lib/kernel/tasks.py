"""What the tasks of a scheduler wait for, read from its lists: there is nothing of this in the scheduler itself."""

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .descriptors import attribute, is_a, number_of

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
    return is_a(attribute(loop, "readers"), Mapping)


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
    if asyncio and is_a(loop, asyncio.AbstractEventLoop):
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
        enter(task, "sleeping", seconds=_left(when, clocks))
    return running + found + _not_read(loop)


def _left(when: float, clocks: tuple[float, ...]) -> float | None:
    """The seconds until then; None where it is no time."""
    if not abs(when) <= sys.float_info.max:  # an int may be more
        return None
    # The nearer clock is the one it goes by: they are years apart.
    return max(0.0, min((when - now for now in clocks), key=abs))


def _entries(loop: Any, name: str) -> list | deque:
    found = _list_in(attribute(loop, name))
    return found.copy() if is_a(found, (list, deque)) else []


def _list_in(thing: Any) -> Any:
    """The list itself; what `queue.PriorityQueue` and its like keep theirs in."""
    return thing if is_a(thing, (list, deque)) else attribute(thing, "queue")


def _not_read(loop: Any) -> list[TaskView]:
    """Those of its four that are of another kind, and not empty as far as they tell."""
    found = []
    for name in "ready", "writers", "sleepers":
        thing = attribute(loop, name)
        read = is_a(thing, Mapping) if name == "writers" else is_a(_list_in(thing), (list, deque))
        if thing is not None and not read and _safely(lambda: len(thing), 1):  # one without a length is there
            found.append(TaskView(name, f"not read: a {type(thing).__name__}"))
    return found


def _safely(ask: Callable[[], Any], otherwise: Any = None) -> Any:
    """What a thing answers; `otherwise` where it fails: it changes meanwhile, or is of the learner's own making."""
    try:
        return ask()
    except Exception:
        return otherwise


def _waiters(loop: Any, name: str) -> list[tuple[int | None, object]]:
    """(descriptor, task) for each that waits; the descriptor is None where the key has none."""
    who = attribute(loop, name)
    now = _safely(lambda: dict(who), {}) if is_a(who, Mapping) else {}
    return [
        (_number(key), _in(entry)[1])
        for key, entries in now.items()
        for entry in (entries.copy() if is_a(entries, (list, set, deque)) else [entries])
    ]


def _in(entry: Any) -> tuple[float, object]:
    """(the first number, the last task) in an entry of a list; math.inf, and the entry, where there is none."""
    if _is_task(entry):
        return math.inf, entry
    parts = (
        entry
        if is_a(entry, (list, tuple))
        else [
            *(attribute(entry, name) for kind in type(entry).__mro__ for name in _slots(kind)),
            *(attribute(entry, "__dict__") or {}).values(),
        ]
    )
    number = next((part for part in parts if is_a(part, (int, float)) and not is_a(part, bool)), math.inf)
    return number, next(filter(_is_task, reversed(parts)), entry)


def _slots(kind: type) -> Iterable[str]:
    slots = getattr(kind, "__slots__", ())
    return [slots] if isinstance(slots, str) else slots


def _is_task(thing: Any) -> bool:
    return attribute(_code(thing), "throw") is not None  # a socket has send() too


def _code(task: Any) -> Any:
    """The generator or coroutine of a task, which may be the task itself."""
    code = attribute(task, "code")
    return task if code is None else code


def _number(key: Any) -> int | None:
    number = _safely(lambda: number_of(key), -1)
    return number if number >= 0 else None


def _runs(task: Any) -> bool:
    code = _code(task)
    return any(attribute(code, name) is True for name in ("gi_running", "cr_running"))


def _name(task: Any, names: Any) -> str:
    named = _safely(lambda: names.get(task)) if is_a(names, Mapping) else None  # it may have no hash
    found = _safely(lambda: str(attribute(task, "name") or named or attribute(task, "__name__") or ""))
    return found or type(task).__name__


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
