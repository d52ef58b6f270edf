"""The observatory: widgets that show what `course_lib.kernel` reads from the kernel."""

from typing import Any

from course_lib.film import film

from .panel import Panel, observe
from .process_table import ProcessTable, process_table

__all__ = ["Drawing", "Panel", "ProcessTable", "film", "machine", "observe", "process_table", "timeline"]


def __getattr__(name: str) -> Any:
    # matplotlib takes long to import, and most cells need no figure.
    if name == "timeline":
        from .calls_figure import timeline

        return timeline
    if name == "Drawing":
        from .drawing import Drawing

        return Drawing
    if name == "machine":
        from . import machine_figure

        return getattr(machine_figure, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
