"""A learner's code in a process of its own, with limits in CPU time. It knows no exercise."""

from .attempt import Attempt
from .causes import Causes, explained, why
from .outcome import TOO_BUSY, Finding, NotChecked, Open, Raised, Stuck, Wrong
from .stopwatch import Stopwatch, wait_until
from .talk import Talk
from .words import a, shown

__all__ = [
    "MARK",
    "TOO_BUSY",
    "Attempt",
    "Causes",
    "Finding",
    "NotChecked",
    "Open",
    "Raised",
    "Stopwatch",
    "Stuck",
    "Talk",
    "Wrong",
    "a",
    "explained",
    "shown",
    "wait_until",
    "why",
]

MARK = "COURSE_CHECK"  # a name in the environment of that process and of all that it starts
