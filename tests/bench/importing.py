"""How long the package's parts take to import, each time in a fresh process."""

import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass

from course_lib.measure.comparison.spread import Spread, cost
from course_lib.measure.work import Work, carry_out

# (what is imported, what is imported before it and not counted)
PARTS = (
    ("course_lib.servers", "sys"),
    ("course_lib.servers", "ipywidgets"),
    ("course_lib.widgets", "ipywidgets"),
    ("ipywidgets", "sys"),
)
_PROGRAM = """import time, {before}
begin = time.process_time()
import {module}
print(1000 * (time.process_time() - begin))"""
_SLOWEST = """import {before}, sys
print("from here", file=sys.stderr)
import {module}"""


@dataclass(frozen=True, slots=True)
class Import:
    """Milliseconds of CPU time to import a module after another one, and the packages that take longest."""

    module: str
    after: str
    milliseconds: Spread
    slowest: list[tuple[str, float]]

    @property
    def slow(self) -> str:
        """The slowest in words."""
        return "slowest: " + ", ".join(f"{name} {own:.0f} ms" for name, own in self.slowest)


def measure(rows: list[Import], rounds: int) -> None:
    """Add a row for each of PARTS."""
    found: dict[tuple[str, str], list[float]] = {part: [] for part in PARTS}

    def do(work: Work) -> None:
        work.total = rounds * len(PARTS)
        for _ in range(rounds):
            for module, before in PARTS:
                work.check()
                work.now = f"import {module}"
                found[module, before].append(float(_run(_PROGRAM.format(before=before, module=module)).stdout))
                work.done += 1

    try:
        carry_out(do)
    finally:
        rows += [
            Import(module, before, cost(found[module, before]), slowest(before, module))
            for module, before in PARTS
            if found[module, before]
        ]


def slowest(before: str, module: str, number: int = 3) -> list[tuple[str, float]]:
    """The packages that take longest, in milliseconds of all their modules together (python -X importtime)."""
    said = _run(_SLOWEST.format(before=before, module=module), "-X", "importtime").stderr.rpartition("from here\n")[2]
    spent: dict[str, float] = defaultdict(float)
    for own, name in re.findall(r"import time: +(\d+) \| +\d+ \| +(\S+)", said):
        parts = name.split(".")
        spent[".".join(parts[: 2 if parts[0] == "course_lib" else 1])] += int(own) / 1000
    return sorted(spent.items(), key=lambda one: one[1], reverse=True)[:number]


def _run(program: str, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *options, "-c", program], capture_output=True, text=True, check=True, timeout=60)
