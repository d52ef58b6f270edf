"""The two programs in C of the comparison, compiled into a temporary folder, where there is a compiler."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NO_COMPILER = "no C compiler is installed (cc, gcc or clang)"
_SOURCES = {"echo": "echo_loop.c", "load": "clients.c"}


@dataclass(frozen=True)
class Programs:
    """Paths of the compiled programs, or None for both; then `why_not` says why, in one line."""

    echo: str | None = None
    load: str | None = None
    why_not: str = ""


@contextmanager
def compiled() -> Iterator[Programs]:
    """Compile them; the folder is gone when the block is left. Where that is not possible, `why_not` says why."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        yield Programs(why_not=NO_COMPILER)
        return
    with tempfile.TemporaryDirectory(prefix="course-bench-") as folder:
        made = {name: str(Path(folder) / name) for name in _SOURCES}
        failures = (_failure(compiler, source, made[name]) for name, source in _SOURCES.items())
        why = next(filter(None, failures), "")
        yield Programs(why_not=f"{compiler} failed: {why}") if why else Programs(**made)


def _failure(compiler: str, source: str, program: str) -> str:
    """Compile it; why that failed, in one line, or ""."""
    command = [compiler, "-O2", "-o", program, str(Path(__file__).with_name(source))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return [f"status {done.returncode}", *done.stderr.strip().splitlines()][-1] if done.returncode else ""
