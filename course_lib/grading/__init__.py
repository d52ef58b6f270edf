"""Validate learners' notebooks: each exercise by its check, and each cell that is as shipped by its output (nbval)."""

from .notebook_file import Unusable
from .report import as_junit, as_sum, as_text
from .validation import TIME_LIMIT, Report, State, validate

__all__ = ["TIME_LIMIT", "Report", "State", "Unusable", "as_junit", "as_sum", "as_text", "validate"]
