"""The place beside the notebook, in JupyterLab: one for all panels of a kernel, which shows the one of the cell that ran last."""

import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .concern import concerns

if TYPE_CHECKING:
    from sidecar import Sidecar

    from .panel import Panel


class Dock:
    """Shows one panel at a time at the side. Nothing is known of the page but what the panel's views report.

    A panel gives its place back before a cell that has nothing to do with it, and after one that has stopped its server. One that
    the page shows only then, as after Run All, stays in its own cell.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sidecar: Sidecar | None = None
        self.shown: Panel | None = None  # the panel that was put there last; None while the place is closed
        self.at_hand: Panel | None = None  # the one that the button in the notebook's toolbar brings
        self.is_new = True  # was a place opened for it
        self.wanted = True  # False once the learner has closed the place
        self._coming: WeakSet[Panel] = WeakSet()  # panels since which no cell about something else has begun
        self._serves = False  # its server, when the cell began
        self._hears = False  # of cells

    def expect(self, panel: "Panel") -> None:
        """A cell has made a panel, which the page may show at any time."""
        self._hear_of_cells()
        self._coming.add(panel)

    def awaits(self, panel: "Panel") -> bool:
        """Is this panel new, when the page shows it? Then it takes the place, or is at hand where the learner has closed that."""
        return panel in self._coming and not panel.is_stopped

    def show(self, panel: "Panel", anew: bool = False) -> None:
        """Put a panel there. It reports when the page shows it: until then, nobody knows that there is such a place.

        anew   open a new place: in the old one nothing appeared
        """
        from sidecar import Sidecar  # takes a while to import, and only JupyterLab needs it

        view = {"version_major": 2, "version_minor": 0, "model_id": panel.model_id}
        data = {"application/vnd.jupyter.widget-view+json": view, "text/plain": repr(panel)}
        outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)
        with self._lock:
            former, self.at_hand = self.at_hand, None
            if former not in (None, panel):
                former.place = "away" if former.place == "folded" else "here"
            self.shown, self.wanted = panel, True
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
        """The learner has closed it: its panel and later ones stay in their cells, and the newest is at hand."""
        with self._lock:
            panel, self.shown, self.wanted = self.shown, None, False
            self.close()
        if panel is not None:
            self.offer(panel)

    def offer(self, panel: "Panel") -> None:
        """Leave a panel in its cell; the button in the toolbar brings it."""
        with self._lock:
            former, self.at_hand = self.at_hand, panel
            if former not in (None, panel) and former.place == "offered":
                former.place = "here"
            panel.place = "offered"

    def fold(self) -> None:
        """Take the place away until the learner asks for its panel again, or another panel comes."""
        with self._lock:
            panel, self.shown = self.shown, None
            if panel is not None:
                self.at_hand, panel.place = panel, "folded"
                self.close()

    # Cells

    def begin(self, code: str, names: Mapping[str, object]) -> None:
        """A cell begins, in a kernel with these names."""
        for panel in {*self._coming, self.shown}:
            if panel is not None and not concerns(code, names, panel.is_its):
                self._coming.discard(panel)
                if panel is self.shown:
                    self.fold()
        self._serves = self.shown is not None and not self.shown.is_stopped

    def end(self) -> None:
        """A cell has ended."""
        if self.shown is not None and self._serves and self.shown.is_stopped:
            self.fold()

    def _hear_of_cells(self) -> None:
        ipython: Any = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
        if ipython is not None and not self._hears:
            self._hears = True
            ipython.events.register("pre_run_cell", lambda info: self.begin(info.raw_cell, ipython.user_ns))
            ipython.events.register("post_run_cell", lambda result: self.end())


dock = Dock()
