"""A matplotlib figure that a notebook shows as it is, with no pyplot, and with words for those who do not see it."""

import io
from html import escape

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .still import LEAST, still

WIDE, DOTS = 7.4, 96  # inches, and pixels an inch: about what a cell has in a page of 900 pixels
BESIDE = 5.1  # inches: what a cell has beside the panel, in a page of 1280 pixels
SMALL = 8.5  # points: the smallest type, more than 10 pixels in such a cell


class Drawing(Figure):
    """A figure on white, `height` inches high and `wide` inches wide.

    `words` says what the picture shows: the finding in the first line, and below it what there is to add.
    It is shown as HTML, since JupyterLab leaves out the text of a plain image.
    """

    words = ""

    def __init__(self, height: float, wide: float = WIDE) -> None:
        super().__init__(figsize=(wide, height), dpi=DOTS, facecolor="white", layout="constrained")

    def __repr__(self) -> str:
        return self.words

    @property
    def least(self) -> int:
        """The pixels of width below which its smallest type would be below 10 pixels, and it scrolls."""
        return round(LEAST * self.get_figwidth() / WIDE)

    def png(self) -> bytes:
        """The picture as a PNG file."""
        picture = io.BytesIO()
        FigureCanvasAgg(self).print_png(picture)
        return picture.getvalue()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        finding, _, more = self.words.partition("\n")
        html = still(self.png(), "png", finding, self.least)
        if more:
            html += f"<details><summary>the picture in words</summary><pre>{escape(self.words)}</pre></details>"
        return {"text/plain": self.words, "text/html": html}
