"""The course from a terminal: `python -m course_lib serve blocking --port 7777`, `python -m course_lib check 02`."""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from course_lib.servers import MODELS, PortInUse

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"


class Mistake(Exception):
    """Something the person at the terminal can put right; the text says how."""


def serve(model: str, port: int) -> int:
    """Run one server until Ctrl-C or a terminate signal."""
    if model not in MODELS:
        raise Mistake(f"there is no server {model!r}; choose one of: {', '.join(MODELS)}")
    try:
        server = MODELS[model](port=port).start()
    except (PortInUse, ValueError, PermissionError) as error:
        why = "ports below 1024 need more rights; choose a higher one" if isinstance(error, PermissionError) else error
        raise Mistake(str(why)) from None
    for name in (signal.SIGINT, signal.SIGTERM):  # a shell starts a background job with Ctrl-C ignored
        signal.signal(name, signal.default_int_handler)
    try:
        with server:
            host, port = server.address
            print(f"serving {model} on {host}:{port}", flush=True)
            server.wait()
    except KeyboardInterrupt:
        return 0
    print(f"the server {server.fate}", file=sys.stderr)
    return 1


def check(notebook: str) -> int:
    """Run a notebook from top to bottom in a fresh kernel; exercises that are still open count as failures."""
    found = sorted(path for path in NOTEBOOKS.glob("[0-9]*.ipynb") if path.name.startswith(notebook))
    if len(found) != 1:
        names = ", ".join(path.stem for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")))
        raise Mistake(f"there is no notebook {notebook!r}; choose one of: {names}")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env",
         "--nbval-cell-timeout=60", str(found[0])],
        env={**os.environ, "COURSE_STRICT": "1"}, cwd=NOTEBOOKS).returncode


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m course_lib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    serving = commands.add_parser("serve", help="run one of the course's servers on 127.0.0.1")
    serving.add_argument("model", help=", ".join(MODELS))
    serving.add_argument("--port", type=int, default=0, help="0, the default, takes any free port")
    checking = commands.add_parser("check", help="run a notebook and its exercises from top to bottom")
    checking.add_argument("notebook", help="its number, such as 02")
    options = vars(parser.parse_args(arguments))
    try:
        return {"serve": serve, "check": check}[options.pop("command")](**options)
    except Mistake as mistake:
        print(mistake, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
