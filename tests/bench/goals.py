"""What the course wants to reach, beside what was measured; and for what is not reached, the measurement that shows why."""

from dataclasses import dataclass, field

from course_lib.measure.comparison.peers import PEERS

from .classic_table import growth
from .crowd import NUMBER as CROWD

Report = dict


@dataclass(frozen=True, slots=True)
class Part:
    """One number of a goal.

    what      what is measured
    limit     what it shall be at most, or at least
    at_most   which of the two
    unit      "×", "B", "ms", "s" or ""
    value     {"value": …, "low": …, "high": …} or None
    why       where it is not reached, what shows the reason; where it was not measured, why not
    """

    what: str
    limit: float
    at_most: bool
    unit: str
    value: dict | None
    why: str = ""

    @property
    def met(self) -> bool | None:
        """None when it was not measured."""
        if self.value is None:
            return None
        return self.value["value"] <= self.limit if self.at_most else self.value["value"] >= self.limit


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
    return [
        _against(
            report,
            "EpollServer: added cost over the loop in C, against",
            "epoll",
            "epoll, inlined",
            ("uvloop protocol", 1.0),
            ("asyncio streams, 4 kB", 0.2),
        ),
        _against(
            report,
            "CoroutineServer, generators: added cost, against",
            "coroutine",
            "bare generators, nested",
            ("bare generators", 1.3),
            ("uvloop protocol", 1.4),
            ("uvloop streams", 0.45),
            ("asyncio streams, 4 kB", 0.3),
        ),
        _against(
            report,
            "The same loop with async def: added cost, against",
            "coroutine, async def",
            "bare async def",
            ("bare async def", 1.15),
            ("asyncio protocol, 4 kB", 1.05),
        ),
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
            [
                Part(
                    "asyncio.sleep(0)", 20, False, "×", report.get("switching", {}).get("times"), _unmeasured(report, "switching")
                )
            ],
        ),
        Goal("Readable in the kernel → visible in the page", _visible(report)),
        Goal(f"{CROWD:,} live connections: opened, served, closed", [_crowd(report)]),
        Goal("Time to run", _running(report)),
        Goal("Time to import, in CPU time", _imports(report)),
    ]


def _one(value: float | None) -> dict | None:
    return None if value is None else {"value": value, "low": value, "high": value}


def _unmeasured(report: Report, section: str) -> str:
    return "" if report.get(section) else report.get("skipped", {}).get(section, "the run ended before")


def _row(report: Report, section: str, **which) -> dict | None:
    return next((row for row in report.get(section, []) if all(row[name] == value for name, value in which.items())), None)


def _missing_server(report: Report, *names: str) -> str:
    for name in names:
        row = _row(report, "servers", name=name, connections=50)
        if row and row["why_not"]:
            return row["why_not"]
    return report.get("skipped", {}).get("servers", "the run ended before")


def _against(report: Report, what: str, own: str, bare: str, *others: tuple[str, float]) -> Goal:
    ratios, parts = report.get("ratios", {}), []
    for other, limit in others:
        value, floor = ratios.get(f"{own} / {other}"), ratios.get(f"{bare} / {other}")
        why = _missing_server(report, own, other, "c") if value is None else ""
        if value and value["value"] > limit and floor:
            why = f"the peer {bare!r} is at {floor['value']:.2f}: {PEERS[bare].what}"
        parts.append(Part(other, limit, True, "×", value, why))
    return Goal(what, parts)


def _speed(report: Report) -> Part:
    def inverse(name: str) -> dict | None:
        row = _row(report, "servers", name=name, connections=50)
        times = row and row["base"] == "c" and row["times"]
        return times and {"value": 1 / times["value"], "low": 1 / times["high"], "high": 1 / times["low"]} or None

    value, bare = inverse("epoll"), inverse("bare epoll loop")
    why = _missing_server(report, "epoll", "c") if value is None else ""
    if value and value["value"] < 0.7 and bare:
        why = f"the peer 'bare epoll loop', where nothing is kept and no error is met, has {bare['value']:.2f} of that speed"
    return Part("its speed", 0.70, False, "×", value, why)


def _idle(report: Report, name: str, limit: float, at_most: bool) -> Part:
    rows = [row for row in report.get("idle", []) if row["name"] == name]
    row = max(rows, key=lambda row: row["idle"], default=None)
    if row is None:
        return Part(f"{name}, 8,000 idle", limit, at_most, "×", None, _unmeasured(report, "idle"))
    return Part(f"{name}, {row['idle']:,} idle", limit, at_most, "×", row["times"], row["why_not"])


def _memory(report: Report, name: str, limit: float) -> Part:
    rows = [row for row in report.get("idle", []) if row["name"] == name and row["memory"] is not None]
    if not rows:
        return Part(name, limit, True, "B", None, _unmeasured(report, "idle"))
    bytes_each, why = max(rows, key=lambda row: row["idle"])["memory"], ""
    if name == "coroutine" and bytes_each > limit and (task := report.get("bytes_of_a_task")):
        why = (
            f"a waiting task alone takes {task:.0f} B (two generators, a Task, what it yielded); the connection is there besides"
        )
    return Part(name, limit, True, "B", _one(bytes_each), why)


def _observed(report: Report, name: str, what: str, limit: float) -> Part:
    row, why = _row(report, "observing", name=name), _unmeasured(report, "observing")
    if row and row["speed"]["value"] < limit:

        def speed(name: str) -> str:
            return f"{_row(report, 'observing', name=name)['speed']['value']:.2f}"

        if "recording" in name:
            why = f"two Python functions that look at the clock twice each, and record nothing, leave {speed('timed')}"
        if "panel" in name:
            why += f"{'; ' * bool(why)}without the panel it is {speed('recording' if 'recording' in name else 'ready')}"
    return Part(what, limit, False, "×", row and row["speed"], why)


def _waiting(report: Report) -> list[Part]:
    grown, against = growth(report.get("waiting", []))
    rows = [row["why_not"] for row in report.get("waiting", []) if row["why_not"]]
    why = rows[0] if rows else _unmeasured(report, "waiting")
    return [
        Part("epoll, 10,000 descriptors against 10", 4, True, "×", _one(grown), why),
        Part("poll against epoll, 10,000 descriptors", 300, False, "×", _one(against), why),
    ]


def _visible(report: Report) -> list[Part]:
    parts = []
    for number in (20, 200):
        rows = [row for row in report.get("visible", []) if row["descriptors"] == number and row["p95"] is not None]
        for name, limit in (("p50", 50), ("p95", 100)):
            slow = max(rows, key=lambda row: row[name], default=None)
            why = _unmeasured(report, "visible")
            if slow and slow[name] > limit:
                why = "slowest while " + slow["meanwhile"].replace("nothing", "nothing else runs")
            parts.append(Part(f"{number} descriptors, {name}", limit, True, "ms", _one(slow and slow[name]), why))
    return parts


def _crowd(report: Report) -> Part:
    found = report.get("crowd", {})
    done = found.get("opened") == found.get("answered") == CROWD
    return Part(
        "in all",
        10,
        True,
        "s",
        _one(found.get("seconds") if done else None),
        found.get("why_not") or _unmeasured(report, "crowd"),
    )


def _running(report: Report) -> list[Part]:
    slow = max(report.get("notebooks", []), key=lambda row: row["seconds"], default=None)
    what, why = "Run All of the slowest notebook", _unmeasured(report, "notebooks")
    if slow:
        what, cell = f"Run All of {slow['name']}, the slowest notebook", slow["slowest"][0]
        why = slow["why_not"] or f"its slowest cell, {cell['begins']!r}, takes {cell['seconds']:.0f} s"
    tests = report.get("tests", {})
    parts = [Part(what, 60, True, "s", _one(slow and slow["seconds"]), why)]
    for name, words, limit in (("nbval", "all notebooks under nbval", 360), ("make", "make test, warm", 900)):
        found = tests.get(name)
        why = _unmeasured(report, "tests")
        if found:
            why = (
                f"it ended with status {found['status']}"
                if found["status"]
                else "slowest: " + ", ".join(f"{test} {seconds} s" for seconds, test in found["slowest"][:3])
            )
        parts.append(Part(words, limit, True, "s", _one(found and found["seconds"]), why))
    return parts


def _imports(report: Report) -> list[Part]:
    parts = []
    for module, after, limit in (("course_lib.servers", "ipywidgets", 30), ("course_lib.widgets", "ipywidgets", 100)):
        row, why = _row(report, "imports", module=module, after=after), _unmeasured(report, "imports")
        if row:
            why = "slowest: " + ", ".join(f"{name} {own:.0f} ms" for name, own in row["slowest"])
        parts.append(Part(f"{module}, after {after}", limit, True, "ms", row and row["milliseconds"], why))
    return parts
