"""How long the project's own tests take: all notebooks under nbval, and `make test`, with the slowest tests."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from course_lib.folders import COURSE

MOST = 3600  # seconds
ROOT = COURSE.parent


def why_not() -> str:
    """Why the tests cannot be run here, or ""."""
    if importlib.util.find_spec("nbval") is None or not (ROOT / "Makefile").exists() or not shutil.which("make"):
        return "it needs make, nbval and the course's folder"
    return ""


def measure(report: dict) -> None:
    """Set report["tests"]: seconds of each, and the slowest tests of `make test`."""
    found = report.setdefault("tests", {})
    with tempfile.TemporaryDirectory(prefix="course-bench-") as home:
        found["nbval"] = _timed(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-c",
                os.devnull,
                "-p",
                "no:cacheprovider",
                "--nbval",
                "--nbval-current-env",
                str(COURSE),
            ],
            COURSE_HOME=home,
        )
    found["make"] = _timed(["make", "test"], PYTEST_ADDOPTS="--durations=10")


def _timed(command: list[str], **more: str) -> dict:
    print("    " + " ".join(command[:1] if command[0] != sys.executable else command[1:3]), "…", flush=True)
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
    return {
        "seconds": time.monotonic() - begin,
        "status": process.returncode,
        "last": said.strip().splitlines()[-1:],
        "slowest": re.findall(r"^([\d.]+)s (?:call|setup) +(\S+)", said, re.M),
    }
