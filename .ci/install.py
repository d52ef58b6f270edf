"""`python .ci/install.py LOG REQUIREMENT…` is `python -m pip install …` that shows how far it is; what pip prints goes to LOG.

In a terminal one line tells it, again and again; elsewhere there is a line each half minute. The status is pip's.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path


def main() -> int:
    log, *what = Path(sys.argv[1]), *sys.argv[2:]
    begin, before, terminal = time.monotonic(), installed(), sys.stdout.isatty()
    with log.open("wb") as file:
        pip = subprocess.Popen([sys.executable, "-m", "pip", "install", *what], stdout=file, stderr=subprocess.STDOUT)
    try:
        while True:
            try:
                return pip.wait(0.5 if terminal else 30)
            except subprocess.TimeoutExpired:
                line = how_far(log.read_text(errors="replace"), installed() - before, time.monotonic() - begin)
            if terminal:
                print(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
            else:
                print(line, flush=True)
    except KeyboardInterrupt:  # Ctrl-C has reached pip, too
        return pip.wait()
    finally:
        if terminal:
            print("\r\x1b[K", end="", flush=True)


def installed() -> int:
    return len(list(Path(sysconfig.get_path("purelib")).glob("*.dist-info")))


def how_far(log: str, installed: int, seconds: float) -> str:
    """In words, from what pip has printed until now."""
    found = dict.fromkeys(re.findall(r"^Collecting ([\w.-]+)", log, re.M))
    fetched = re.findall(r"^ *(?:Downloading|Using cached) ([\w.]+)-\d\S*(?:\.whl|\.tar\.gz) \(", log, re.M)
    now = (
        re.findall(r"^ *(?:Collecting|Downloading|Using cached) ([\w.]+)|^ *(\w+ing [a-z ]+)", log, re.M)[-1:]
        if not installed
        else []
    )
    parts = [f"packages: {len(found)} found", f"{len(fetched)} fetched", f"{installed} installed", *map("".join, now)]
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}  {', '.join(parts)}"


if __name__ == "__main__":
    sys.exit(main())
