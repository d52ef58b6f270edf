"""How far a measurement is: a bar in a notebook, a line on a terminal, and nothing anywhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Show = Callable[[float, str], None]  # takes how much is done (0 to 1), and what is being done


@contextmanager
def progress() -> Iterator[Show]:
    """A function that shows progress until the block is left."""
    if in_kernel():
        yield from _bar()
    elif sys.stdout and sys.stdout.isatty():
        yield from _line()
    else:
        yield lambda done, what: None


def in_kernel() -> bool:
    """True in a notebook's process."""
    ipython = sys.modules.get("IPython")
    return bool(getattr(ipython and ipython.get_ipython(), "kernel", None))


def _bar() -> Iterator[Show]:
    import ipywidgets
    from IPython.display import display

    from course_lib.widgets.view import is_run_by_a_program, view_of

    # The empty text stands for the bar in a stored notebook.
    if is_run_by_a_program():
        display({"text/plain": ""}, raw=True)
        yield lambda done, what: None
        return
    bar = ipywidgets.IntProgress(max=100, style={"description_width": "initial"}, layout={"width": "60%"})
    display({"text/plain": "", **view_of(lambda: bar)}, raw=True)

    def show(done: float, what: str) -> None:
        if (bar.value, bar.description) != (int(100 * done), what):
            with bar.hold_sync():
                bar.value, bar.description = int(100 * done), what

    try:
        yield show
    finally:
        # Hidden, not closed: a closed widget reads "model not found" when the page is loaded again.
        bar.layout.display = "none"


def _line() -> Iterator[Show]:
    def show(done: float, what: str) -> None:
        print(f"\r{done:4.0%}  {what:60.60}", end="", flush=True)

    try:
        yield show
    finally:
        print("\r" + " " * 66, end="\r", flush=True)
