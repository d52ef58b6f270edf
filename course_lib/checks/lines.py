"""Check of exercise 2.2: lines out of a stream, however it was cut."""

import itertools
from collections.abc import Callable
from contextlib import suppress

from course_lib.sandbox import Attempt, Talk, Wrong

from .ends import LONGEST
from .probe import Answer, Instead

_TEXT = b"one\ntwo\nthree\n"


def check_lines(attempt: Attempt) -> None:
    attempt.ask(_use_lines, causes=_CAUSES)


_CAUSES = {
    "UnicodeDecodeError": "A chunk ended in the middle of a character: UnicodeDecodeError{line}. Work on bytes, decode later.",
}


def _use_lines(talk: Talk, learner: Callable) -> None:
    talk.step("Lines() or feed() did not return within 1 s")
    _gives(learner, [b"one\ntw", b"o\n"], [b"one", b"two"], instead=_CUT)
    _gives(learner, [b"one\ntwo\n"], [b"one", b"two"], instead=_TOGETHER)
    talk.good("two lines together, and one line in two pieces")

    one, other = learner(), learner()
    one.feed(b"of the first")
    if other.feed(b"second\n") != [b"second"]:
        raise Wrong("Two Lines objects share one rest: make it in __init__, one for each connection.")
    talk.good("each object keeps its own rest")

    cuts = list(itertools.combinations(range(1, len(_TEXT)), 2))
    for i, j in cuts:
        _gives(learner, [_TEXT[:i], _TEXT[i:j], _TEXT[j:]], [b"one", b"two", b"three"])
    talk.good(f"all {len(cuts)} ways to cut {_TEXT!r} in three")

    _gives(learner, [b"\n\na\n", b"\n"], [b"", b"", b"a", b""], "an empty line is a line too")
    _gives(learner, [bytes([byte]) for byte in _TEXT], [b"one", b"two", b"three"])
    _gives(learner, [b"", b"one", b""], [], r"without b'\n' the line is not complete")
    _gives(learner, [b"one", b"", b"\n"], [b"one"])
    _gives(learner, [b"a\rb\x0bc\r\n"], [b"a\rb\x0bc\r"], r"only b'\n' ends a line")
    talk.good("empty lines, single bytes, no line end yet")

    chinese = "一行\n两行\n".encode()
    for i in range(1, len(chinese)):
        changed = "the chunk ended inside a character, and its bytes have changed. Work on bytes, decode later"
        _gives(learner, [chinese[:i], chinese[i:]], chinese.split(b"\n")[:2], changed)
    talk.good("cuts inside a character of several bytes")

    talk.step("1 MB in one feed, 250,000 lines, took over 2 s: each line seems to copy all the rest", 2.0)
    if len(_fed(learner, b"abc\n" * 250_000)) != 250_000:
        raise Wrong("1 MB in one feed lost lines.")
    talk.good("1 MB in one feed")
    _has_a_limit(talk, learner)
    talk.good(f"a line may have {LONGEST} bytes, and no more")


def _has_a_limit(talk: Talk, learner: Callable) -> None:
    longest = b"x" * LONGEST
    pieces = [longest[at : at + 1024] for at in range(0, LONGEST, 1024)]
    talk.step(f"A line of {LONGEST} bytes in pieces of 1 kB took over 2 s", 2.0)
    for how, chunks in ("in pieces", [*pieces, b"\n"]), ("in one chunk", [longest + b"\n"]):
        came = f"A line of {LONGEST} bytes came {how}, and feed"
        try:
            got = _fed(learner, *chunks)
        except ValueError as error:
            raise Wrong(f"{came} raised ValueError: {error}. As long as that it may be; only a longer one is refused.") from None
        if got != [longest]:
            raise Wrong(f"{came} gave lines of {list(map(len, got))[:10]} bytes.")
    ends = ("no end", [*pieces, b"x"]), ("its end, in pieces", [*pieces, b"x\n"]), ("its end", [longest + b"x\n"])
    for end, chunks in ends:
        with suppress(ValueError):
            why = "A piece of a line is no line. " if _fed(learner, *chunks) and end == "no end" else ""
            raise Wrong(
                f"A line has {LONGEST + 1} bytes and {end}, and feed went on. {why}A client that never sends b'\\n' would fill the "
                f"memory: raise ValueError when a line has more than {LONGEST} bytes."
            )


def _fed(learner: Callable, *chunks: bytes) -> list[bytes]:
    """All lines that a fresh object gives for these chunks."""
    lines, found = learner(), []
    for chunk in chunks:
        found += Answer("", "feed", lines.feed(chunk)).is_list_of(
            bytes, "return a list of bytes, [] when no line is complete", "return bytes, decode later"
        )
    return found


def _only_one(got: list[bytes]) -> bool:
    return got == [b"one"]


_CUT: Instead = {
    lambda got: b"tw" in got and b"o" in got: "{}: a cut is no line end, so keep the unfinished part until the next feed",
    _only_one: "{}: was the end of b'two' seen? splitlines() does not tell whether the last line is complete; split(b'\\n') has b'' "
    "behind the last end",
}
_TOGETHER: Instead = {_only_one: "{}: two lines arrived together, and TCP keeps no borders between messages (tcp(7))"}


def _gives(learner: Callable, chunks: list[bytes], lines: list[bytes], why: str = "", instead: Instead | None = None) -> None:
    """A fresh object gives these lines for these chunks."""
    got = _fed(learner, *chunks)
    more = len(b"".join(got)) - len(b"".join(lines))
    if not why and more < 0:
        why = "bytes were lost. Keep what has no end yet, self.rest + chunk, until its b'\\n' comes"
    elif not why and more > 0:
        why = "bytes came twice. When a line is given, nothing of it stays in the rest"
    fed = f"Lines() was fed {' and '.join(map(repr, chunks))}"
    Answer(fed, "it", got).is_(lines, f"not {lines}{why and ': '}{why}", instead)


CHECKS = {"2.2": check_lines}
