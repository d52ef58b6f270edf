"""What a page must know of a box of controls: that its keys are its own, its name, and whether anybody answers."""

import anywidget
import traitlets

from .page import script


class Dress(anywidget.AnyWidget):
    """A child of a box that keeps the box's keys from JupyterLab and names it, and its sliders, for a screen reader.

    It shows nothing itself, until the kernel is gone: then one sentence, above greyed controls.
    """

    _esm = script("dress.js")
    name = traitlets.Unicode().tag(sync=True)
