"""What a report was measured on."""

import importlib.metadata
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """Processor, cores, and versions of what is compared."""

    processor: str
    cores: int
    kernel: str
    python: str
    uvloop: str | None

    def __str__(self) -> str:
        return f"{self.processor}, {self.cores} cores, Linux {self.kernel}, Python {self.python}"


def machine() -> Machine:
    """This one."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return Machine(
        found[1].strip() if found else platform.machine(),
        len(os.sched_getaffinity(0)),
        platform.release().partition("-")[0],
        platform.python_version(),
        _version("uvloop"),
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
