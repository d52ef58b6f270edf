"""Let widgets answer while a cell of the notebook is blocked."""

from ipywidgets import Widget


def while_busy(widget: Widget) -> Widget:
    """Have the callbacks of a widget and its children run beside a running cell, also one that blocks.

    The front end of ipykernel 7 sends widget messages to a subshell, a thread beside the cells; release 7.4
    sends them back to whichever thread last spoke on the widget's channel, which is the blocked one for a
    widget made in a cell. Here the front end's own choice is kept. All callbacks share that one thread, so a
    callback must not block. Other kernels have nothing to set, and are left alone. Returns the widget.
    """
    comm = getattr(widget, "comm", None)
    if comm is not None and hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda data, default: default
    for child in getattr(widget, "children", ()):
        while_busy(child)
    return widget
