"""The view of a widget in a cell's output, where somebody is there to see it."""

import sys
import uuid
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets
from ipywidgets import Widget

VIEW = "application/vnd.jupyter.widget-view+json"


def is_run_by_a_program() -> bool:
    """Was the cell sent by a program that runs notebooks (jupyter execute, papermill, nbval)?

    Such a program says that nobody can be asked for input: `allow_stdin` of the execute request (Jupyter's messaging protocol).
    It would store the state of each widget in the notebook, and nobody could act on it.
    """
    ipython = sys.modules.get("IPython")
    kernel = getattr(ipython and ipython.get_ipython(), "kernel", None)
    return not getattr(kernel, "_allow_stdin", True)


def view_of(make: Callable[[], Widget]) -> dict:
    """The part of a mimebundle that shows this widget in a page; {} where a program runs the cell, and then none is made."""
    return {} if is_run_by_a_program() else {VIEW: make()._repr_mimebundle_()[VIEW]}


def close(widget: Widget) -> None:
    """Close a widget with its children, layouts and styles; `Widget.close` alone leaves those open."""
    for name in widget.keys:
        value = getattr(widget, name)
        for part in value if isinstance(value, (tuple, list)) else [value]:
            if isinstance(part, Widget):
                close(part)
    widget.close()


class PageWidget(anywidget.AnyWidget):
    """A widget that hears from the notebook's process, also on a slow page (`attend` in page.js)."""

    own = traitlets.Unicode().tag(sync=True)  # the id of its model

    def __init__(self, **traits: Any) -> None:
        own = uuid.uuid4().hex
        super().__init__(model_id=own, own=own, **traits)

    def open(self) -> None:
        """Open the channel to the page, where there can be one."""
        if not is_run_by_a_program():
            super().open()
