"""How long the package's parts take to import, each time in a fresh process."""

import re
import subprocess
import sys

from course_lib.measure.work import Work, carry_out

from .spread import cost

# (what is imported, what is imported before it and not counted)
PARTS = (("course_lib.servers", "sys"), ("course_lib.servers", "ipywidgets"), ("course_lib.widgets", "ipywidgets"),
         ("ipywidgets", "sys"))
_PROGRAM = """import time, {before}
begin = time.process_time()
import {module}
print(1000 * (time.process_time() - begin))"""
_SLOWEST = """import {before}, sys
print("from here", file=sys.stderr)
import {module}"""


def measure(report: dict, rounds: int) -> None:
    """Set report["imports"]: milliseconds of CPU time, and the modules that take longest."""
    found: dict[tuple[str, str], list[float]] = {part: [] for part in PARTS}

    def do(work: Work) -> list:
        work.total = rounds * len(PARTS)
        for _ in range(rounds):
            for module, before in PARTS:
                work.check()
                work.now = f"import {module}"
                found[module, before].append(float(_run(_PROGRAM.format(before=before, module=module)).stdout))
                work.done += 1
        return []

    try:
        carry_out(do)
    finally:
        report["imports"] = [
            {"module": module, "after": before, "milliseconds": cost(found[module, before]).plain(),
             "slowest": slowest(before, module)}
            for module, before in PARTS if found[module, before]]


def slowest(before: str, module: str, number: int = 3) -> list[tuple[str, float]]:
    """The modules that take longest by themselves, in milliseconds (python -X importtime)."""
    said = _run(_SLOWEST.format(before=before, module=module), "-X", "importtime").stderr.rpartition("from here\n")[2]
    lines = re.findall(r"import time: +(\d+) \| +\d+ \| +(\S+)", said)
    return [(name, int(own) / 1000) for own, name in sorted(lines, key=lambda line: -int(line[0]))[:number]]


def _run(program: str, *options: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *options, "-c", program], capture_output=True, text=True, check=True, timeout=60)
