"""The place beside the notebook, in JupyterLab: one for all panels of a kernel, which shows the one of the cell that ran last."""

import threading
from typing import TYPE_CHECKING

from ipywidgets import Widget

if TYPE_CHECKING:
    from sidecar import Sidecar


class Dock:
    """Shows one widget at a time at the side. Nothing is known of the page but what the widget's views report."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sidecar: Sidecar | None = None
        self.shown: Widget | None = None  # the widget that was put there last; None after the learner closed the place
        self.is_new = True  # was a place opened for it
        self.wanted = True  # False once the learner has closed the place

    def show(self, widget: Widget, anew: bool = False) -> None:
        """Put a widget there. It reports when the page shows it: until then, nobody knows that there is such a place.

        anew   open a new place: in the old one nothing appeared
        """
        from sidecar import Sidecar  # takes a while to import, and only JupyterLab needs it

        view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
        data = {"application/vnd.jupyter.widget-view+json": view, "text/plain": repr(widget)}
        outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
        with self._lock:
            self.shown, self.wanted = widget, True
            self.is_new = self._sidecar is None or anew
            if self._sidecar is not None and not anew:
                self._sidecar.outputs = outputs
                return
            self.close()
            self._sidecar = Sidecar(title="The server, live", anchor="split-right", outputs=outputs)

    def close(self) -> None:
        """Take the place away."""
        if self._sidecar is not None:
            self._sidecar.close()
            self._sidecar = None

    def was_closed(self) -> None:
        """The learner has closed it: later panels stay in their cells."""
        with self._lock:
            self.shown, self.wanted = None, False
            self.close()


dock = Dock()
