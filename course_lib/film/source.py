"""Where a thread stands in its source, and the source that a film goes through."""

import inspect
import os
import re
import socket
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType, MemberDescriptorType
from typing import TYPE_CHECKING, Any

from course_lib.kernel.recorder import cut

if TYPE_CHECKING:
    from course_lib.servers import Server

LABELS = ("wait", "accept", "read", "answer", "let go")  # the same in each server of the course
_PACKAGE = Path(__file__).parents[1]
_KERNEL = str(_PACKAGE / "kernel")
_LIBRARY = os.path.dirname(os.__file__)
_LABEL = re.compile(rf"#\s*(?:{'|'.join(LABELS)})(?:, (?:{'|'.join(LABELS)}))*:")
_NAME = re.compile(r"(?<![\w.])([A-Za-z_]\w*(?:\.\w+)?)(?![\w.]|\s*:=|=[^=])|(?<![\w.])([A-Za-z_]\w*(?:\.\w+)?)(?=\.)")
_SETS = re.compile(r"[\w., ]+=[^=]")
_CALL = re.compile(r"(epoll)?\._?(accept|recv|send|select|poll)\w*\(")
_TEXT = re.compile(r"#.*|b?\"[^\"]*\"|b?'[^']*'")
_NOTHING = object()
_BRACKETS: dict[type, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}"), dict: ("{", "}")}
_LONGEST = 40  # characters of a value
_MOST = 4  # entries of a list or dict that are shown, and names of a line


@dataclass(frozen=True, slots=True)
class Spot:
    """A line of source, and the function around it."""

    file: str
    line: int
    function: str
    first: int  # the number of the function's first line
    block: tuple[str, ...]  # its lines

    @property
    def text(self) -> str:
        """The line, without its indentation."""
        return self.block[self.line - self.first].strip()


@dataclass(frozen=True, slots=True)
class Position:
    """Where a thread stands: in the server's own source, who called it there, and the line below in a library, if any."""

    own: Spot
    callers: tuple[Spot, ...]
    inner: Spot | None
    names: tuple[tuple[str, str], ...]  # the names on the line that have a value worth telling


def position(thread: threading.Thread, model: type["Server"]) -> Position | None:
    """Where a thread of a server of class `model` stands; None where there is no source to show.

    The server's own source is the file of its `serve`, and what is neither a library nor part of the course.
    """
    code = getattr(model.serve, "__code__", None)
    frames = [frame for frame in _frames(thread) if frame.f_code.co_name[0] != "<"]  # a comprehension is part of its function
    own = [
        frame for frame in frames if code and frame.f_code.co_filename == code.co_filename or _is_own(frame.f_code.co_filename)
    ]
    spots = [spot for frame in own if (spot := _spot(frame))]
    if not spots:
        return None
    inner = _spot(frames[0]) if frames[0] is not own[0] else None
    names = _names(own[0], spots[0].text)
    if inner and inner.file.startswith(str(_PACKAGE)):
        names = (*names, *(one for one in _names(frames[0], inner.text) if one not in names))
    return Position(spots[0], tuple(spots[1:]), inner, names[:_MOST])


def calling(thread: threading.Thread) -> str | None:
    """The system call on whose line a thread is caught: "accept", "recv", "epoll_wait" …; None on any other line."""
    frames = _frames(thread)
    spot = _spot(frames[0]) if frames else None
    found = _CALL.search(spot.text) if spot else None
    return found and ("epoll_wait" if found[1] and found[2] == "poll" else found[2])


def _frames(thread: threading.Thread) -> list[FrameType]:
    """The frames of a thread, innermost first; without those of the recorder, which holds it."""
    frames: list[FrameType] = []
    frame = sys._current_frames().get(thread.ident or 0)
    while frame:
        frames = [] if frame.f_code.co_filename.startswith(_KERNEL) else [*frames, frame]
        frame = frame.f_back
    return frames


def _is_own(file: str) -> bool:
    """Is it source of the learner's, and no library that is called? A reference solution is not theirs, nor to be shown."""
    return not file.startswith((str(_PACKAGE), _LIBRARY, "<frozen")) and "-packages" not in file


_blocks: dict[tuple[str, CodeType], tuple[tuple[str, ...], int]] = {}  # equal code in two files is two functions


def _block(code: CodeType) -> tuple[tuple[str, ...], int]:
    """(lines, number of the first one) of a function; no lines where its source is not to be had."""
    key = code.co_filename, code
    if key not in _blocks:
        try:
            lines, first = inspect.getsourcelines(code)
        except (OSError, TypeError, IndexError):
            lines, first = [], 0
        _blocks[key] = tuple(line.rstrip("\n") for line in lines), first
    return _blocks[key]


def _spot(frame: FrameType) -> Spot | None:
    code = frame.f_code
    block, first = _block(code)
    if not first <= frame.f_lineno < first + len(block):
        return None
    return Spot(code.co_filename, frame.f_lineno, code.co_qualname, first, block)


def _names(frame: FrameType, line: str) -> tuple[tuple[str, str], ...]:
    """The names that the line uses (not those that it sets), with their values before the call."""
    code = _TEXT.sub("", line)
    if code.startswith(("for ", "async for ")):
        code = code.rpartition(" in ")[2]
    elif _SETS.match(code):
        code = code.partition("=")[2]
    found = {}
    for name in (one or other for one, other in _NAME.findall(code)):
        if name != "self" and (value := _short(_value(name, frame.f_locals))) is not None:
            found[name] = value
    return tuple(found.items())


def _value(name: str, known: dict[str, Any]) -> Any:
    """The value of a name, or of one attribute of it; one that says nothing for what is not known, or is a property."""
    name, _, attribute = name.partition(".")
    value = known.get(name, _NOTHING)
    if not attribute or value is _NOTHING:
        return value
    if isinstance(value, socket.socket):  # it has methods; and inspect of Python 3.12.0 to 3.12.3 keeps the class it looked at
        return _NOTHING
    found = inspect.getattr_static(value, attribute, _NOTHING)
    try:
        return found.__get__(value) if isinstance(found, MemberDescriptorType) else found
    except AttributeError:  # a slot without a value
        return _NOTHING


def _short(value: Any) -> str | None:
    """A value in a few characters; None for what says nothing to a reader, such as a function. Runs no code of the learner's."""
    kind = type(value)
    if isinstance(value, socket.socket):
        return f"socket {value.fileno()}" if value.fileno() >= 0 else "a closed socket"
    if kind in (int, float, bool, str, bytes, type(None)):
        text = repr(value[:_LONGEST]) if kind in (str, bytes) else repr(value)
        return cut(text, _LONGEST)
    if kind is memoryview:
        return f"{value.nbytes:,} bytes"
    if kind in _BRACKETS:
        try:
            shown = [_entry(key, value) for key in list(value)[:_MOST]]
        except RuntimeError:  # it changed meanwhile
            return None
        more = ["…"] if len(value) > _MOST else []
        left, right = _BRACKETS[kind]
        text = left + ", ".join(shown + more) + right
        return text if len(text) <= 2 * _LONGEST else f"{len(value)} entries"
    return None


def _entry(key: Any, of: Any) -> str:
    word = _short(key) or type(key).__name__
    return f"{word}: {_short(of[key]) or type(of[key]).__name__}" if type(of) is dict else word


# The listing


@dataclass(frozen=True, slots=True)
class Listing:
    """The functions that a film went through: their lines, and where each line of a file stands among them."""

    lines: tuple[str, ...]
    places: dict[tuple[str, int], int]

    def at(self, spot: Spot) -> int:
        """The index of a line in `lines`."""
        return self.places[spot.file, spot.line]


def label_of(spot: Spot) -> str | None:
    """Which of the five labels stands last above a line, in its function."""
    for line in spot.block[spot.line - spot.first :: -1]:
        if found := _LABEL.search(line):
            return next(label for label in LABELS if label in found[0])
    return None


def listing(spots: Iterable[Spot]) -> Listing:
    """The functions around these lines, each once: file by file in the order of their first appearance, then as written."""
    files: dict[str, dict[int, str]] = {}
    starts: dict[str, set[int]] = {}
    for spot in spots:
        files.setdefault(spot.file, {}).update(enumerate(spot.block, spot.first))
        starts.setdefault(spot.file, set()).add(spot.first)
    lines: list[str] = []
    places: dict[tuple[str, int], int] = {}
    for file, text in files.items():
        before, indent = None, 0
        for number in sorted(text):
            if before != number - 1 or number in starts[file] and _indent_of(text[number]) <= indent:
                lines += [""] if lines else []
                indent = _indent_of(text[number])
            places[file, number] = len(lines)
            lines.append(text[number][indent:])
            before = number
    return Listing(tuple(lines), places)


def _indent_of(line: str) -> int:
    return len(line) - len(line.lstrip())
