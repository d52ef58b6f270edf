"""The rhythm of a notebook: recall, believe, guess, compare, verdict, parsons, rewrite, summary; and the course's last page.

With it imported, a check's result shows its controls too (`check_card`).
"""

from . import check_card  # noqa: F401
from .ending import ending
from .guesses import compare, guess
from .parsons import parsons
from .recall import recall
from .sentences import believe, rewrite, rewritten, verdict
from .side_by_side import side_by_side
from .source import source
from .summary import course_map, repetition, summary

__all__ = [
    "believe",
    "compare",
    "course_map",
    "ending",
    "guess",
    "parsons",
    "recall",
    "repetition",
    "rewrite",
    "rewritten",
    "side_by_side",
    "source",
    "summary",
    "verdict",
]
