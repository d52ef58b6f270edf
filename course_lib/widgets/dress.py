"""What a page must know of a box of controls: that its keys are its own, and its name."""

import anywidget
import traitlets

from .page import script


class Dress(anywidget.AnyWidget):
    """A child of a box that keeps the box's keys from JupyterLab and names it, and its sliders, for a screen reader.

    It shows nothing itself.
    """

    _esm = script("dress.js")
    name = traitlets.Unicode().tag(sync=True)
