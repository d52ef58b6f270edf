"""The observatory: widgets that show what `course_lib.observe` reads from the kernel."""

from .panel import Panel, observe

__all__ = ["Panel", "observe", "timeline"]


def __getattr__(name: str):
    # matplotlib takes long to import, and most cells need no figure.
    if name == "timeline":
        from .figures import timeline

        return timeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
