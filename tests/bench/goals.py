"""What the course wants to reach, beside what was measured; and for what is not reached, the measurement that shows why."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from course_lib.measure.comparison.peers import PEERS, C
from course_lib.measure.comparison.spread import Spread

from .report import Report, first

FEW, MANY = 10, 10_000  # descriptors of the classic table: what one wait costs with few and with many
CROWD = 10_000  # live connections
# Of a server: the peer that shows what the language and the model cost, and what it may cost at most beside each of others.
_AGAINST: tuple[tuple[str, str, str, dict[str, float]], ...] = (
    (
        "EpollServer: added cost over the loop in C, against",
        "epoll",
        "epoll, inlined",
        {"uvloop protocol": 1.0, "asyncio streams, 4 kB": 0.2},
    ),
    (
        "CoroutineServer, generators: added cost, against",
        "coroutine",
        "bare generators, nested",
        {"bare generators": 1.3, "uvloop protocol": 1.4, "uvloop streams": 0.45, "asyncio streams, 4 kB": 0.3},
    ),
    (
        "The same loop with async def: added cost, against",
        "coroutine, async def",
        "bare async def",
        {"bare async def": 1.15, "asyncio protocol, 4 kB": 1.05},
    ),
)


@dataclass(frozen=True, slots=True)
class Part:
    """One number of a goal.

    what      what is measured
    limit     what it shall be at most, or at least
    at_most   which of the two
    unit      "×", "B", "ms", "s" or ""
    value     what was measured, or None
    why       where it is not reached, what shows the reason; where it was not measured, why not
    """

    what: str
    limit: float
    at_most: bool
    unit: str
    value: Spread | None
    why: str = ""

    @property
    def met(self) -> bool | None:
        """None when it was not measured."""
        if self.value is None:
            return None
        return self.value.value <= self.limit if self.at_most else self.value.value >= self.limit


@dataclass(frozen=True, slots=True)
class Goal:
    """A row of the table of goals."""

    what: str
    parts: list[Part] = field(default_factory=list)

    @property
    def met(self) -> bool | None:
        """False when a part is not met, None when none was measured or some are missing."""
        found = [part.met for part in self.parts]
        return False if False in found else None if None in found else True


def goals(report: Report) -> list[Goal]:
    """All goals, in order, with what a report holds for each."""
    switching = report.switching[0].times if report.switching else None
    return [
        *(_against(report, *compared) for compared in _AGAINST),
        Goal("EpollServer against the loop in C", [_speed(report)]),
        Goal(
            "CPU time a request with many idle clients, against none idle",
            [_idle(report, "epoll", 1.10, True), _idle(report, "coroutine", 1.10, True), _idle(report, "poll", 10, False)],
        ),
        Goal("Memory for an idle connection", [_memory(report, "epoll", 300), _memory(report, "coroutine", 600)]),
        Goal(
            "Speed of an observed server, against the same unobserved",
            [
                _observed(report, "ready", "recorder off", 0.98),
                _observed(report, "panel", "recorder off, panel open", 0.98),
                _observed(report, "recording", "recorder on", 0.80),
                _observed(report, "recording, panel", "recorder on, panel open", 0.80),
            ],
        ),
        Goal("The classic table", _waiting(report)),
        Goal(
            "A switch of asyncio tasks, against one of generators",
            [Part("asyncio.sleep(0)", 20, False, "×", switching, report.unmeasured("switching"))],
        ),
        Goal("Readable in the kernel → visible in the page", list(_visible(report))),
        Goal(f"{CROWD:,} live connections: opened, served, closed", [_crowd(report)]),
        Goal("Time to run", list(_running(report))),
        Goal("Time to import, in CPU time", list(_imports(report))),
    ]


def _one(value: float | None) -> Spread | None:
    return None if value is None else Spread(value, value, value)


def _missing_server(report: Report, *names: str) -> str:
    if report.of_50.too_busy:
        return report.of_50.too_busy
    notes = [served.row.note for name in names if (served := report.served(name)) and served.row.note]
    return notes[0] if notes else report.unmeasured("servers")


def _against(report: Report, what: str, own: str, bare: str, limits: dict[str, float]) -> Goal:
    ratios, parts = {} if report.of_50.too_busy else report.of_50.ratios, []
    for other, limit in limits.items():
        value, floor = ratios.get(f"{own} / {other}"), ratios.get(f"{bare} / {other}")
        why = _missing_server(report, own, other, C) if value is None else ""
        if value and value.value > limit and floor:
            why = f"the peer {bare!r} is at {floor.value:.2f}: {PEERS[bare].what}"
        parts.append(Part(other, limit, True, "×", value, why))
    return Goal(what, parts)


def _speed(report: Report) -> Part:
    def inverse(name: str) -> Spread | None:
        served = None if report.of_50.too_busy else report.served(name)
        times = served and served.row.base == C and served.row.times
        return Spread(1 / times.value, 1 / times.high, 1 / times.low) if times else None

    value, bare = inverse("epoll"), inverse("bare epoll loop")
    why = _missing_server(report, "epoll", C) if value is None else ""
    if value and value.value < 0.7 and bare:
        why = f"the peer 'bare epoll loop', where nothing is kept and no error is met, has {bare.value:.2f} of that speed"
    return Part("its speed", 0.70, False, "×", value, why)


def _idle(report: Report, name: str, limit: float, at_most: bool) -> Part:
    row = max((row for row in report.idle if row.name == name), key=lambda row: row.idle, default=None)
    if row is None:
        return Part(f"{name}, 8,000 idle", limit, at_most, "×", None, report.unmeasured("idle"))
    return Part(f"{name}, {row.idle:,} idle", limit, at_most, "×", row.times, row.why_not)


def _memory(report: Report, name: str, limit: float) -> Part:
    sizes = [(row.idle, row.memory) for row in report.idle if row.name == name and row.memory is not None]
    if not sizes:
        return Part(name, limit, True, "B", None, report.unmeasured("idle"))
    (_, bytes_each), why = max(sizes), ""
    if name == "coroutine" and bytes_each > limit and (task := report.bytes_of_a_task):
        why = (
            f"a waiting task alone takes {task:.0f} B (two generators, a Task, what it yielded); the connection is there besides"
        )
    return Part(name, limit, True, "B", _one(bytes_each), why)


def _observed(report: Report, name: str, what: str, limit: float) -> Part:
    row, why = first(report.observing, name=name), report.unmeasured("observing")
    if row and row.speed.value < limit:

        def speed(name: str) -> str:
            return f"{first(report.observing, name=name).speed.value:.2f}"

        if "recording" in name:
            why = f"two Python functions that look at the clock twice each, and record nothing, leave {speed('timed')}"
        if "panel" in name:
            why += f"{'; ' * bool(why)}without the panel it is {speed('recording' if 'recording' in name else 'ready')}"
    return Part(what, limit, False, "×", row and row.speed, why)


def _waiting(report: Report) -> list[Part]:
    cost = {(row.kind, row.watched): row.microseconds for row in report.waiting}
    few, many, poll = cost.get(("epoll", FEW)), cost.get(("epoll", MANY)), cost.get(("poll", MANY))
    why = next((row.why_not for row in report.waiting if row.why_not), report.unmeasured("waiting"))
    return [
        Part("epoll, 10,000 descriptors against 10", 4, True, "×", _one(many and few and many / few), why),
        Part("poll against epoll, 10,000 descriptors", 300, False, "×", _one(many and poll and poll / many), why),
    ]


def _visible(report: Report) -> Iterator[Part]:
    for number in (20, 200):
        rows = [row for row in report.visible if row.descriptors == number]
        for name, limit in (("p50", 50), ("p95", 100)):
            times = [(value, row.meanwhile) for row in rows if (value := getattr(row, name)) is not None]
            slowest, meanwhile = max(times, default=(None, ""))
            why = report.unmeasured("visible")
            if slowest is not None and slowest > limit:
                why = "slowest while " + meanwhile.replace("nothing", "nothing else runs")
            yield Part(f"{number} descriptors, {name}", limit, True, "ms", _one(slowest), why)


def _crowd(report: Report) -> Part:
    found = report.crowd[0] if report.crowd else None
    seconds = found.seconds if found and found.opened == found.answered == CROWD else None
    return Part("in all", 10, True, "s", _one(seconds), (found and found.why_not) or report.unmeasured("crowd"))


def _running(report: Report) -> Iterator[Part]:
    slow = max(report.notebooks, key=lambda row: row.seconds, default=None)
    what, why = "Run All of the slowest notebook", report.unmeasured("notebooks")
    if slow:
        what = f"Run All of {slow.name}, the slowest notebook"
        why = slow.why_not or "its slowest cell, {1!r}, takes {0:.0f} s".format(*slow.slowest[0])
    yield Part(what, 60, True, "s", _one(slow.seconds if slow else None), why)
    for what, words, limit in (("all notebooks under nbval", "", 360), ("make test", ", warm", 900)):
        found, why = first(report.tests, what=what), report.unmeasured("tests")
        if found:
            why = f"it ended with status {found.status}" if found.status else found.slow(3)
        yield Part(what + words, limit, True, "s", _one(found and found.seconds), why)


def _imports(report: Report) -> Iterator[Part]:
    for module, after, limit in (("course_lib.servers", "ipywidgets", 30), ("course_lib.widgets", "ipywidgets", 100)):
        row, why = first(report.imports, module=module, after=after), report.unmeasured("imports")
        yield Part(f"{module}, after {after}", limit, True, "ms", row and row.milliseconds, row.slow if row else why)
