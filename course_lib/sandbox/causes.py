"""What an exception of the learner's code says: its causes, as data."""

import errno
import re
from collections.abc import Mapping

from .outcome import Raised, Wrong

# What an exception looks like -> why it comes. "TypeError: NoneType" has the type and a pattern in the message,
# "BlockingIOError in sendall" words of the learner's line, "EBADF ENOTCONN" two of several, ": closed" is of any type. The first
# that fits counts. The why stands behind the sentence that tells the exception; with {line} in it, it is the whole sentence.
Causes = Mapping[str, str]


def why(causes: Causes, type: str, text: str, number: int | None = None, line: str = "") -> str:
    """The cause of this exception; "" if none is known."""
    for sign, cause in causes.items():
        head, _, pattern = sign.partition(": ")
        names, _, words = head.partition(" in ")
        named = not names or {type, errno.errorcode.get(number or 0)} & set(names.split())
        if named and words in line and re.search(pattern, text):
            return cause
    return ""


def explained(error: Raised, causes: Causes, otherwise: str = "") -> Wrong:
    """The sentence of its cause, or of `otherwise`; the exception itself if there is none."""
    said = why(causes, error.type, error.text, error.errno, error.line) or otherwise
    if "{line}" in said:
        return Wrong(said.replace("{type}", error.type).replace("{text}", error.text).replace("{line}", error.line), raised=error)
    return Wrong(str(error), said.replace("{text}", error.text), raised=error) if said else error
