"""`make bench`: measure all of it, print a report, write it to files."""

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from course_lib.journal import replace_file
from course_lib.measure import ten_thousand, waiting_cost
from course_lib.measure.comparison.compiling import Programs, compiled
from course_lib.measure.comparison.peers import PEERS, missing
from course_lib.servers import EpollServer

from . import idle, importing, observing, readme, running, side_by_side, switching, tests_run, text, visible
from .goals import CROWD, FEW, MANY, goals
from .report import Report

IDLE = (
    "c",
    "epoll",
    "coroutine",
    "coroutine, async def",
    "poll",
    "uvloop protocol",
    "uvloop streams",
    "asyncio protocol, 4 kB",
    "asyncio streams, 4 kB",
    "threads",
)
Section = tuple[str, str, Callable[[], None]]  # its key in the report, in words, what measures it


class Mistake(Exception):
    """Something the person at the terminal can put right; the text says how."""


def main(arguments: list[str] | None = None) -> int:
    """The status: 2, after one sentence, for what cannot be meant."""
    parser = argparse.ArgumentParser(prog="make bench", usage="make bench OPTIONS='…'", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of it, in a minute")
    parser.add_argument("--json", dest="json_file", metavar="FILE", help="write all values as JSON, too")
    parser.add_argument("--figure", dest="figure_file", metavar="FILE", help="write the picture, .png or .svg")
    parser.add_argument("--rounds", metavar="N", help="how often each is measured")
    parser.add_argument("--readme", dest="with_readme", action="store_true", help="write table and picture into the README")
    parser.add_argument("--with-tests", action="store_true", help="time nbval and make test, too (half an hour)")
    try:
        return bench(**vars(parser.parse_args(arguments)))
    except Mistake as mistake:
        print(mistake, file=sys.stderr)
        return 2


def bench(
    quick: bool, json_file: str | None, figure_file: str | None, rounds: str | None, with_readme: bool, with_tests: bool
) -> int:
    """Print the report; 0, or 130 when it was interrupted: then it holds what was measured until then.

    Raises Mistake for what cannot be meant.
    """
    turns = _rounds(rounds)
    for file in filter(None, (json_file, figure_file)):
        if not os.access(Path(file).absolute().parent, os.W_OK) or Path(file).is_dir():
            raise Mistake(f"{file} cannot be written: name a file in a folder that is there")
    if figure_file and Path(figure_file).suffix not in (".png", ".svg"):
        raise Mistake(f"a figure is a .png or an .svg file, not {figure_file}")
    if with_readme and quick:
        raise Mistake("the README holds the figures of a whole run: leave --quick away")
    if with_readme and (why := readme.why_not()):
        raise Mistake(why)
    found = Report("quick" if quick else "whole")
    before = [(number, signal.signal(number, signal.default_int_handler)) for number in (signal.SIGINT, signal.SIGTERM)]
    begin = time.monotonic()
    try:
        with compiled() as programs:
            _measure(found, programs, quick, turns, with_tests)
    except KeyboardInterrupt:
        found.interrupted = True
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    found.seconds = round(time.monotonic() - begin, 1)
    print(text.text(found), end="")
    _write(found, json_file, figure_file, with_readme and not found.interrupted)
    return 130 if found.interrupted else 0


def _measure(found: Report, programs: Programs, quick: bool, rounds: int | None, with_tests: bool) -> None:
    sections = list(_sections(found, programs, quick, rounds))
    for key, why in _left_out(quick, with_tests).items():
        if why:
            found.skipped[key] = why
            found.notes.append(f"{key}: not measured: {why}.")
            sections = [section for section in sections if section[0] != key]
    for name in ("c", "uvloop protocol"):
        if why := missing(name, programs):
            found.notes.append(f"{name}: not measured: {why}.")
    for number, (key, words, measure) in enumerate(sections, 1):
        print(f"[{number}/{len(sections)}] {words}", file=sys.stderr, flush=True)
        try:
            with contextlib.redirect_stdout(sys.stderr):  # the progress of a part
                measure()
        except Exception as error:  # a part that fails is no reason to lose the others
            why = f"{type(error).__name__}: {error}"
            found.skipped[key] = why
            found.notes.append(f"{words}: it failed, with {why}")


def _sections(found: Report, programs: Programs, quick: bool, rounds: int | None) -> Iterator[Section]:
    few, many = rounds or (3 if quick else 5), rounds or (4 if quick else 15)
    seconds = 0.05 if quick else 0.1
    names = list(PEERS)
    until = time.monotonic() + 20 if quick else float("inf")
    yield (
        "servers",
        "the servers side by side, 50 clients",
        lambda: side_by_side.measure(found.servers, programs, names, 50, many, seconds, until),
    )
    if not quick:
        for number in (1, 500):
            yield (
                "servers",
                f"the servers side by side, {number} client{'s' * (number > 1)}",
                partial(side_by_side.measure, found.servers, programs, names, number, few, seconds),
            )
    yield "idle", "idle clients, and their memory", lambda: _idle(found, programs, quick, few, seconds)
    yield "observing", "what observing costs", lambda: observing.measure(found.observing, programs, many, seconds)
    yield (
        "switching",
        "switches between generators and between asyncio tasks",
        lambda: found.switching.append(switching.measure(few)),
    )
    yield "waiting", "the classic table", lambda: _wait(found, few, 1.0 if quick else 4.0)
    yield "crowd", "ten thousand connections", lambda: _crowd(found)
    yield "imports", "imports", lambda: importing.measure(found.imports, 2 if quick else 5)
    yield "visible", "readable in the kernel → visible in the page", lambda: visible.measure(found.visible)
    yield "notebooks", "each notebook from top to bottom", lambda: running.measure(found.notebooks)
    yield "tests", "nbval and make test", lambda: tests_run.measure(found.tests)


def _wait(found: Report, rounds: int, seconds: float) -> None:
    found.waiting += waiting_cost(("poll", "epoll"), (FEW, MANY), rounds, seconds)


def _crowd(found: Report) -> None:
    with EpollServer() as server:
        found.crowd.append(ten_thousand(server, CROWD))


def _idle(found: Report, programs: Programs, quick: bool, rounds: int, seconds: float) -> None:
    found.bytes_of_a_task = idle.bytes_of_a_task()
    names, numbers = (("epoll", "coroutine", "poll"), (1000,)) if quick else (IDLE, (1000, 8000))
    idle.measure(found.idle, found.notes, programs, names, numbers, rounds, seconds)


def _left_out(quick: bool, with_tests: bool) -> dict[str, str]:
    """{section: why it is left out, or ""}"""
    by_quick = "left out by --quick" if quick else ""
    return {
        "visible": by_quick or visible.why_not(),
        "notebooks": by_quick or running.why_not(),
        "tests": by_quick or ("" if with_tests else "--with-tests asks for it") or tests_run.why_not(),
    }


def _rounds(asked: str | None) -> int | None:
    if asked is None:
        return None
    if not asked.isdecimal() or not 1 <= int(asked) <= 1000:
        raise Mistake(f"rounds is a number from 1 to 1000, not {asked!r}")
    return int(asked)


def _goals(found: Report) -> list[dict]:
    return [
        asdict(goal) | {"met": goal.met, "parts": [asdict(part) | {"met": part.met} for part in goal.parts]}
        for goal in goals(found)
    ]


def _write(found: Report, json_file: str | None, figure_file: str | None, with_readme: bool) -> None:
    try:
        if json_file:
            replace_file(
                Path(json_file).absolute(),
                json.dumps(asdict(found) | {"goals": _goals(found)}, indent=1, ensure_ascii=False) + "\n",
            )
        if figure_file or with_readme:
            from . import figures  # matplotlib takes long to import

            if not found.ranked():
                raise Mistake("no server was measured: there is no figure")
            if figure_file:
                figures.write(figures.plot_report(found), Path(figure_file))
            if with_readme and found.of_50.too_busy:
                raise Mistake(f"the README is as it was: {found.of_50.too_busy}")
            if with_readme:
                readme.write(found)
    except OSError as error:
        raise Mistake(f"{error.filename or 'a file'} cannot be written: {error.strerror}") from None
