"""The rhythm of a notebook: recall, believe, guess, compare, verdict, parsons, rewrite, summary."""

from .guesses import compare, guess
from .parsons import parsons
from .recall import recall
from .sentences import believe, rewrite, verdict
from .summary import summary

__all__ = ["believe", "compare", "guess", "parsons", "recall", "rewrite", "summary", "verdict"]
