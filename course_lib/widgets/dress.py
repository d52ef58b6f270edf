"""What a page must know of a box of controls: that its keys are its own, and its name."""

from pathlib import Path

import anywidget
import traitlets


class Dress(anywidget.AnyWidget):
    """A child of a box that keeps the box's keys from JupyterLab and names it, and its sliders, for a screen reader.

    It shows nothing itself.
    """

    _esm = Path(__file__).with_name("dress.js")
    name = traitlets.Unicode().tag(sync=True)
