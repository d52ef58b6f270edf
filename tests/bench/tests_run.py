"""How long the project's own tests take: all notebooks under nbval, and `make test`, with the slowest tests."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

from course_lib.folders import COURSE
from course_lib.grading.validation import nbval

MOST = 3600  # seconds
ROOT = COURSE.parent


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of one command, its exit status, and the slowest tests with their seconds, as pytest prints them."""

    what: str
    seconds: float
    status: int
    slowest: list[tuple[str, str]]

    def slow(self, number: int) -> str:
        """The slowest in words; "" where pytest named none."""
        return "slowest: " * bool(self.slowest) + ", ".join(f"{test} {took} s" for took, test in self.slowest[:number])


def why_not() -> str:
    """Why the tests cannot be run here, or ""."""
    if importlib.util.find_spec("nbval") is None or not (ROOT / "Makefile").exists() or not shutil.which("make"):
        return "it needs make, nbval and the course's folder"
    return ""


def measure(rows: list[Timed]) -> None:
    """Add a row for each of the two."""
    with tempfile.TemporaryDirectory(prefix="course-bench-") as home:
        rows.append(_timed("all notebooks under nbval", nbval(str(COURSE)), COURSE_HOME=home))
    rows.append(_timed("make test", ["make", "test"], PYTEST_ADDOPTS="--durations=10"))


def _timed(what: str, command: list[str], **more: str) -> Timed:
    print(f"    {what} …", file=sys.stderr, flush=True)
    begin = time.monotonic()
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said, _ = process.communicate(timeout=MOST)
    finally:
        if process.poll() is None:
            process.terminate()  # not kill: pytest ends what it has started
            process.communicate()
    slowest = re.findall(r"^([\d.]+)s (?:call|setup) +(\S+)", said, re.M)
    return Timed(what, time.monotonic() - begin, process.returncode, slowest)
