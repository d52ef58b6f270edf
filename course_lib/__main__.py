"""The course from a terminal: `python -m course_lib serve blocking --port 7777`, `python -m course_lib check 02`."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from course_lib import folders, journal, shipped
from course_lib.servers import MODELS, NotHere, PortInUse


class Mistake(Exception):
    """Something the person at the terminal can put right; the text says how."""


def serve(model: str, port: int) -> int:
    """Run one server until Ctrl-C or a terminate signal."""
    if model not in MODELS:
        raise Mistake(f"there is no server {model!r}; choose one of: {', '.join(MODELS)}")
    try:
        server = MODELS[model](port=port).start()
    except (PortInUse, NotHere, ValueError, PermissionError) as error:
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


def check(what: list[str], junit: str | None, time_limit: float) -> int:
    """Validate notebooks; 0 if every exercise passes and every cell that is as shipped does what it should, else 1."""
    from course_lib import grading  # loads all exercises

    paths = [path for one in what or shipped.names() for path in _notebooks(one)]
    if junit and not Path(junit).absolute().parent.is_dir():
        raise Mistake(f"there is no folder for {junit}")
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGTERM, signal.SIGHUP)}
    reports = []
    try:
        for path in paths:
            report = grading.validate(path, time_limit, lambda text: _progress(f"{path.name}: {text}"))
            _progress("")
            print(grading.as_text(report), flush=True)
            reports.append(report)
    except KeyboardInterrupt:
        _progress("")
        print("Stopped. All kernels have ended.", file=sys.stderr)
        return 130
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    print(grading.as_sum(reports))
    if junit:
        try:
            journal.replace_file(Path(junit).absolute(), grading.as_junit(reports))
        except OSError as error:
            raise Mistake(f"{junit} cannot be written: {error.strerror}") from None
    return 0 if all(report.passed for report in reports) else 1


def reset(notebook: str) -> int:
    """Give a notebook back as shipped; the learner's version is kept beside it."""
    name = next(iter(_named(notebook)), None)
    if name is None:
        raise Mistake(f"there is no notebook {notebook!r}; choose one of: {_all_names()}")
    try:
        _here()
        print(shipped.reset(name))
    except shipped.NotFound as why:
        raise Mistake(str(why)) from None
    except OSError as error:
        raise Mistake(f"{name} cannot be replaced: {error.strerror}.") from None
    return 0


def _notebooks(what: str) -> list[Path]:
    """The files meant by a number such as "04", a file, or a folder with files, also in its folders."""
    if names := _named(what):
        return [_here() / name for name in names]
    path = Path(what)
    if path.is_dir():
        found = sorted(path for path in path.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
        if not found:
            raise Mistake(f"there is no notebook in the folder {what}")
        return found
    if os.path.lexists(path):
        return [path]
    raise Mistake(f"there is no notebook {what!r}; name a file or a folder, or one of: {_all_names()}")


def _here() -> Path:
    """The folder of the notebooks."""
    folder = folders.notebooks()
    if not folder.is_dir():
        raise Mistake(folders.NOT_HERE)
    return folder


def _named(what: str) -> list[str]:
    """The course's notebooks that are called so: "4" are that of the main path and the one with more, a name is one of them."""
    if os.path.lexists(what):
        return []
    start = f"{what.zfill(2)}_" if what.isdecimal() else what.removesuffix(".ipynb")
    names = {name: name.removesuffix(".ipynb") for name in shipped.names()}
    return [name for name in names if names[name] == start or names[name].removeprefix(f"{folders.MORE}/") == start] or [
        name
        for name in names
        if start and os.path.basename(name).startswith(start) and (what.isdecimal() or folders.MORE not in name)
    ]


def _all_names() -> str:
    return ", ".join(name.removesuffix(".ipynb") for name in shipped.names())


def _progress(text: str) -> None:
    """One line that the next one overwrites, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 3600")
    return seconds


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m course_lib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    serving = commands.add_parser("serve", help="run one of the course's servers on 127.0.0.1")
    serving.add_argument("model", help=", ".join(MODELS))
    serving.add_argument("--port", type=int, default=0, help="0, the default, takes any free port")
    checking = commands.add_parser("check", help="run notebooks from top to bottom; a table says which exercises pass")
    checking.add_argument("what", nargs="*", help="numbers (02), files, folders with files; without any, your notebooks")
    checking.add_argument("--junit", metavar="FILE", help="write the results as JUnit's XML, too")
    checking.add_argument("--time-limit", type=_seconds, default=60.0, metavar="SECONDS", help="for each cell (60)")
    resetting = commands.add_parser("reset", help="give a notebook back as shipped; your version is kept beside it")
    resetting.add_argument("notebook", help="its number, such as 04")
    options = vars(parser.parse_args(arguments))
    known: dict[str, Callable[..., int]] = {"serve": serve, "check": check, "reset": reset}
    chosen = known[options.pop("command")]
    try:
        return chosen(**options)
    except Mistake as mistake:
        print(mistake, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
