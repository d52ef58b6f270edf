"""The observatory: widgets that show what `course_lib.kernel` reads from the kernel."""

from importlib import import_module
from typing import Any

from course_lib.film import film

from .panel import Panel, observe
from .process_table import ProcessTable, process_table

__all__ = ["Drawing", "Panel", "ProcessTable", "film", "machine", "observe", "process_table", "timeline"]


# Where they are: matplotlib takes long to import, and most cells need no figure.
_FIGURES = {"timeline": "calls_figure", "Drawing": "drawing", "machine": "machine_figure"}


def __getattr__(name: str) -> Any:
    if name in _FIGURES:
        return getattr(import_module(f"{__name__}.{_FIGURES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
