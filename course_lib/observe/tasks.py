"""What the tasks of a scheduler wait for, read from its lists: there is nothing of this in the scheduler itself."""

import time
from dataclasses import dataclass

MOST = 1000  # tasks that one look returns


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task at one moment.

    name    the name it was given, or that of its function
    state   "running", "ready", "read", "write" or "sleeping"
    place   of a ready one: its place in the queue, 1 for the next
    number  the descriptor that it waits for; of a running or ready one, that it waited for, where the loop still has it
    seconds of a sleeping one: how long it still sleeps
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
            return f"ready: {_ordinal(self.place)} in the queue"
        if self.state == "sleeping":
            return f"sleeping {self.seconds:.1f} s"
        return f"{self.state} {self.number}" if self.state in ("read", "write") else self.state

    def __str__(self) -> str:
        return f"{self.name}: {self.waits}"


def has_tasks(loop) -> bool:
    """True for an object with the lists that `tasks` reads: at least `ready` and `readers`."""
    return hasattr(getattr(loop, "ready", None), "copy") and isinstance(getattr(loop, "readers", None), dict)


def tasks(loop) -> list[TaskView]:
    """The tasks of a scheduler at this moment: who runs, the ready queue in its order, who waits, who sleeps.

    loop    an object with `ready` (a deque or list of tasks; the first may be running), `readers` and `writers`
            ({descriptor: task}), `sleepers` (a list of (time.monotonic() of its end, …, task)); the latter two may be missing.
            A task is a generator or coroutine, or has one as `code`; its name is its `name`, or stands in `loop.names`.
    Returns at most the first MOST; [] for what has no such lists. It may be called from any thread: a look in passing.
    """
    if not has_tasks(loop):
        return []
    queue = loop.ready.copy()
    waiting = {what: getattr(loop, who, {}).copy() for what, who in (("read", "readers"), ("write", "writers"))}
    sleepers = sorted(getattr(loop, "sleepers", []).copy(), key=lambda entry: entry[0])
    names = getattr(loop, "names", {})
    its = {id(task): number for who in waiting.values() for number, task in who.items()}
    seen, running, found, now = set(), [], [], time.monotonic()

    def enter(task, state: str, **more) -> None:
        if id(task) in seen or len(seen) >= MOST:
            return
        seen.add(id(task))
        if _runs(task):
            running.append(TaskView(_name(task, names), "running", number=its.get(id(task))))
        else:
            found.append(TaskView(_name(task, names), state, number=its.get(id(task)), **more))

    for task in queue:
        enter(task, "ready", place=len(found) + 1)
    for number in sorted({*waiting["read"], *waiting["write"]})[:MOST]:
        for what, who in waiting.items():
            if number in who:
                enter(who[number], what)
    for when, *_, task in sleepers:
        enter(task, "sleeping", seconds=max(0.0, when - now))
    return running + found


def _runs(task) -> bool:
    code = getattr(task, "code", task)
    return bool(getattr(code, "gi_running", False) or getattr(code, "cr_running", False))


def _name(task, names) -> str:
    named = names.get(task) if isinstance(names, dict) else None
    return str(getattr(task, "name", None) or named or getattr(task, "__name__", None) or type(task).__name__)


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
