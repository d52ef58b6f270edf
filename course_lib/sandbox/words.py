"""Values, lines and texts of a learner's, as a message shows them."""

import linecache
import os

from course_lib import folders

# In a message of an exception: pickle cannot send something. Each Python has other words for a local function.
REFUSED_BY_PICKLE = "pickle|Can't get (local object|attribute)"


_PLAIN = int, str, bytes, list, tuple, dict, bool, type(None)


def a(value: object) -> str:
    """A value's type, in words."""
    return "None" if value is None else f"a value of type {type(value).__name__}"


def shown(value: object) -> str:
    """A value as it is, cut where it is long; of one whose repr says nothing, or fails, the type."""
    try:
        text = repr(value) if type(value) in _PLAIN or isinstance(value, Exception) else a(value)
    except Exception:  # of something of the learner's in it
        text = a(value)
    return text if len(text) <= 80 else f"{text[:60]}…"


def where(frame: tuple[str, int] | None) -> str:
    """ " in line 3, `x = 1`" for this file and line; "" for None."""
    if not frame:
        return ""
    folder, name = os.path.split(frame[0])
    text = linecache.getline(*frame).strip()
    of = f" of mine/{printable(name)}" if folder == str(folders.mine()) else ""  # not of the cell under check
    return f" in line {frame[1]}{of}" + (f", `{printable(text)}`" if text else "")


def printable(text: str) -> str:
    """Control characters and lone surrogates written as escapes, line ends too."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
