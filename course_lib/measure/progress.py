"""How far a measurement is: a bar in a notebook, a line on a terminal, and nothing anywhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

Show = Callable[[float, str], None]  # takes how much is done (0 to 1), and what is being done


@contextmanager
def progress() -> Iterator[Show]:
    """A function that shows progress until the block is left."""
    if in_kernel():
        with shown("IntProgress", max=100, style={"description_width": "initial"}, layout={"width": "60%"}) as bar:
            yield partial(_fill, bar)
    elif sys.stdout and sys.stdout.isatty():
        yield from _line()
    else:
        yield lambda done, what: None


def in_kernel() -> bool:
    """True in a notebook's process."""
    ipython = sys.modules.get("IPython")
    return bool(getattr(ipython and ipython.get_ipython(), "kernel", None))


@contextmanager
def shown(kind: str, **traits: object) -> Iterator[Any]:
    """A widget of ipywidgets in a notebook's page until the block is left; None where nobody looks at one."""
    if not in_kernel():
        yield None
        return
    import ipywidgets
    from IPython.display import display

    from course_lib.widgets.view import is_run_by_a_program, view_of

    widget = None if is_run_by_a_program() else getattr(ipywidgets, kind)(**traits)
    # The empty text stands for it in a stored notebook.
    display({"text/plain": "", **view_of(lambda: widget)}, raw=True)
    try:
        yield widget
    finally:
        if widget is not None:
            widget.layout.display = "none"  # not closed: a closed widget reads "model not found" when the page is loaded again


def _fill(bar: Any, done: float, what: str) -> None:
    if bar and (bar.value, bar.description) != (int(100 * done), what):
        with bar.hold_sync():
            bar.value, bar.description = int(100 * done), what


def _line() -> Iterator[Show]:
    def show(done: float, what: str) -> None:
        print(f"\r{done:4.0%}  {what:60.60}", end="", flush=True)

    try:
        yield show
    finally:
        print("\r" + " " * 66, end="\r", flush=True)
