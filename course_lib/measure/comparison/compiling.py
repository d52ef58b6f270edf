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
        made = {}
        for name, source in _SOURCES.items():
            made[name] = str(Path(folder) / name)
            try:
                done = subprocess.run(
                    [compiler, "-O2", "-o", made[name], str(Path(__file__).with_name(source))],
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                why = f"{compiler} failed: " + (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
            except (OSError, subprocess.TimeoutExpired) as error:
                done, why = None, f"{compiler} failed: {error}"
            if done is None or done.returncode:
                programs = Programs(why_not=why)
                break
        else:
            programs = Programs(**made)
        yield programs
