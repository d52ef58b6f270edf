"""How a check of a learner's code may end: each an exception, its text one sentence."""

import errno
import re
from typing import Any, NamedTuple

from .words import printable, where

# What a call on a connection says of its peer; the errors have different names, and only some are a ConnectionError.
_GONE = {
    errno.ECONNRESET: "clients disappear every day",
    errno.EPIPE: "a send after the client's reset, and clients disappear every day",
    errno.ETIMEDOUT: "the client answers no more, and the kernel gives up (tcp(7))",
}
TOO_BUSY = "The machine was too busy to check this in time; run the check again."


class Finding(NamedTuple):
    """What a check has found: `kind` is "ok", "note" (something to see, and no failure) or "not yet"; `where` the learner's line, if known."""

    kind: str
    words: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.words}"


class Wrong(Exception):
    """The learner's function does something else than asked; its text is `what` happened, and `why`.

    `cause` is a short name of it, and `raised` the exception behind it, for a check that knows a better why.
    """

    line = ""

    def __init__(self, what: str, why: str = "", cause: str = "", raised: "Raised | None" = None) -> None:
        super().__init__(f"{what} {why}".rstrip())
        self.what, self.why, self.cause, self.raised = what, why, cause, raised
        self.line = raised.line if raised else self.line

    def inside(self) -> str:
        """The sentence as it stands inside of another one."""
        return re.sub("^Your code", "your code", str(self))


class Open(Exception):
    """A function is not written yet; `frame` is where it raised NotImplementedError: a file and a line, or None."""

    def __init__(self, frame: tuple[str, int] | None = None) -> None:
        super().__init__()
        self.frame = frame


class NotChecked(Exception):
    """The check could not run, and not by the learner's fault. The text is one sentence."""


class Raised(Wrong):
    """The learner's code raised an exception: `type` is its name, `text` its message, `errno` a number or None."""

    def __init__(self, name: str, about: dict[str, Any]) -> None:
        self.type, self.text, self.errno = printable(about["type"]), printable(about["text"]), about["errno"]
        self.line = where(about["frame"])
        if self.type == "SystemExit":
            sentence = f"{name} called sys.exit(){self.line}. That ends the whole program; use return"
        elif self.type == "EOFError" and "reading a line" in self.text:
            sentence = f"{name} waits for the keyboard{self.line}. Nobody types during a check"
        elif self.type == "MemoryError":
            sentence = f"{name} used more than 2 GB of memory{self.line}"
        elif self.errno in _GONE:
            sentence = f"{self.type} ended your server{self.line}: {_GONE[self.errno]}. Catch OSError, then close"
        elif self.errno == 27:  # EFBIG
            sentence = f"{name} prints without end{self.line}: more than 16 MB of output"
        else:
            sentence = f"{name} raised {self.type}{self.text and ': '}{self.text}{self.line}"
        super().__init__(sentence + ".")


class Stuck(Wrong):
    """Nothing came in time.

    `asleep`: it used less than a tenth of a core meanwhile; `call`: the system call in which it slept then, or "";
    `line`: the learner's line; `data`: what a client got before.
    """

    data = b""

    def __init__(self, what: str, cpu: float, asleep: bool, line: str, call: str = "") -> None:
        self.cpu, self.asleep, self.line, self.call = cpu, asleep, line, call
        super().__init__(f"{what}: {self.does()}.")

    def does(self, who: str = "it") -> str:
        """ "it sleeps in line 3, `...`"."""
        return f"{who} {'sleeps' if self.asleep else f'runs all the time (CPU {self.cpu:.0%})'}{self.line}"
