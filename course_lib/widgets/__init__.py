"""The observatory: widgets that show what `course_lib.observe` reads from the kernel."""

from .panel import Panel, observe

__all__ = ["Panel", "observe"]
