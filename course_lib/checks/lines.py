"""Check of exercise 2.2: lines out of a stream, however it was cut."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from course_lib.sandbox import Attempt, Talk, Wrong, a

from .ends import LONGEST


def check_lines(attempt: Attempt) -> None:
    attempt.ask(_use_lines)


def _use_lines(talk: Talk, learner: Callable) -> None:
    talk.step("Lines() or feed() did not return within 1 s")
    for scene in _two_lines, _own_rest, _every_cut, _empty_and_unfinished, _cut_characters, _a_megabyte, _has_a_limit:
        scene(talk, learner)


def _two_lines(talk: Talk, learner: Callable) -> None:
    got = _fed(learner, b"one\ntw", b"o\n")
    if got != [b"one", b"two"]:
        if b"tw" in got and b"o" in got:
            raise Wrong('A cut inside "two" gave b"tw" and b"o": keep the unfinished part until the next feed.')
        if got == [b"one"]:
            raise Wrong(
                'After b"one\\ntw" and b"o\\n" the line b"two" has not come: was its end seen? splitlines() does not tell whether '
                'the last line is complete; split(b"\\n") has b"" behind the last end.'
            )
        raise _differs([b"one\ntw", b"o\n"], got, [b"one", b"two"])
    got = _fed(learner, b"one\ntwo\n")
    if got == [b"one"]:
        raise Wrong("Two lines arrived together, you returned one: TCP keeps no borders between messages (tcp(7)).")
    if got != [b"one", b"two"]:
        raise _differs([b"one\ntwo\n"], got, [b"one", b"two"])
    talk.good("two lines together, and one line in two pieces")


def _own_rest(talk: Talk, learner: Callable) -> None:
    one, other = learner(), learner()
    one.feed(b"of the first")
    if other.feed(b"second\n") != [b"second"]:
        raise Wrong("Two Lines objects share one rest: make it in __init__, one for each connection.")
    talk.good("each object keeps its own rest")


_TEXT = b"one\ntwo\nthree\n"


def _every_cut(talk: Talk, learner: Callable) -> None:
    cuts = list(itertools.combinations(range(1, len(_TEXT)), 2))
    for i, j in cuts:
        _expect(learner, [_TEXT[:i], _TEXT[i:j], _TEXT[j:]], [b"one", b"two", b"three"])
    talk.good(f"all {len(cuts)} ways to cut {_TEXT!r} in three")


def _empty_and_unfinished(talk: Talk, learner: Callable) -> None:
    _expect(learner, [b"\n\na\n", b"\n"], [b"", b"", b"a", b""], "An empty line is a line too. ")
    _expect(learner, [bytes([byte]) for byte in _TEXT], [b"one", b"two", b"three"])
    _expect(learner, [b"", b"one", b""], [], "Without b'\\n' the line is not complete. ")
    _expect(learner, [b"one", b"", b"\n"], [b"one"])
    _expect(learner, [b"a\rb\x0bc\r\n"], [b"a\rb\x0bc\r"], "Only b'\\n' ends a line. ")
    talk.good("empty lines, single bytes, no line end yet")


def _cut_characters(talk: Talk, learner: Callable) -> None:
    chinese = "一行\n两行\n".encode()
    for i in range(1, len(chinese)):
        why = "A chunk ended inside a character, and its bytes have changed: work on bytes, decode later. "
        try:
            _expect(learner, [chinese[:i], chinese[i:]], chinese.split(b"\n")[:2], why)
        except UnicodeDecodeError:
            raise Wrong("A chunk ended in the middle of a character: UnicodeDecodeError. Work on bytes.") from None
    talk.good("cuts inside a character of several bytes")


def _a_megabyte(talk: Talk, learner: Callable) -> None:
    talk.step("1 MB in one feed, 250,000 lines, took over 2 s: each line seems to copy all the rest", 2.0)
    if len(_fed(learner, b"abc\n" * 250_000)) != 250_000:
        raise Wrong("1 MB in one feed lost lines.")
    talk.good("1 MB in one feed")


def _has_a_limit(talk: Talk, learner: Callable) -> None:
    longest = b"x" * LONGEST
    pieces = [longest[at : at + 1024] for at in range(0, LONGEST, 1024)]
    talk.step(f"A line of {LONGEST} bytes in pieces of 1 kB took over 2 s", 2.0)
    for what, chunks in ("in pieces", [*pieces, b"\n"]), ("in one chunk", [longest + b"\n"]):
        try:
            got = _fed(learner, *chunks)
        except ValueError as error:
            raise Wrong(
                f"A line of {LONGEST} bytes came {what}, and feed raised ValueError: {error}. As long as that it may be; only a "
                "longer one is refused."
            ) from None
        if got != [longest]:
            raise Wrong(f"A line of {LONGEST} bytes came {what}, and feed gave lines of {list(map(len, got))[:10]} bytes.")
    for what, chunks in (
        ("and no end", [*pieces, b"x"]),
        ("and its end, in pieces", [*pieces, b"x\n"]),
        ("and its end", [longest + b"x\n"]),
    ):
        try:
            got = _fed(learner, *chunks)
        except ValueError:
            continue
        why = "A piece of a line is no line. " if got and what == "and no end" else ""
        raise Wrong(
            f"A line has {LONGEST + 1} bytes {what}, and feed went on. {why}A client that never sends b'\\n' would fill the "
            f"memory: raise ValueError when a line has more than {LONGEST} bytes."
        )
    talk.good(f"a line may have {LONGEST} bytes, and no more")


def _fed(learner: Callable, *chunks: bytes) -> list[bytes]:
    """All lines that a fresh object gives for these chunks."""
    lines, found = learner(), []
    for chunk in chunks:
        got = lines.feed(chunk)
        if not isinstance(got, list):
            raise Wrong(f"feed returned {a(got)}: return a list of bytes, [] when no line is complete.")
        for line in got:
            if not isinstance(line, bytes):
                raise Wrong(f"feed returned a list with {a(line)} in it: return bytes, decode later.")
        found += got
    return found


def _expect(learner: Callable, chunks: list[bytes], expected: list[bytes], why: str = "") -> None:
    got = _fed(learner, *chunks)
    if got != expected:
        raise _differs(chunks, got, expected, why)


def _differs(chunks: list[bytes], got: list[bytes], expected: list[bytes], why: str = "") -> Wrong:
    fed = " ".join(repr(chunk) for chunk in chunks)
    many = len(b"".join(got)) - len(b"".join(expected))
    if not why and many < 0:
        why = "Bytes were lost: keep what has no end yet, self.rest + chunk, until its b'\\n' comes. "
    elif not why and many > 0:
        why = "Bytes came twice: when a line is given, nothing of it stays in the rest. "
    return Wrong(f"{why}Fed {fed}, it gave {got[:10]}, not {expected}.")


CHECKS = {"2.2": check_lines}
