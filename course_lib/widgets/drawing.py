"""A matplotlib figure that a notebook shows as it is, with no pyplot, and with words for those who do not see it."""

import base64
import io
from html import escape

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


class Drawing(Figure):
    """`words` says what the picture shows: the finding in the first line, and below it what there is to add.

    It is shown as HTML, since JupyterLab leaves out the text of a plain image.
    """

    words = ""

    def __repr__(self) -> str:
        return self.words

    def png(self) -> bytes:
        """The picture as a PNG file."""
        picture = io.BytesIO()
        FigureCanvasAgg(self).print_png(picture)
        return picture.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        source = base64.b64encode(self.png()).decode()
        finding, _, more = self.words.partition("\n")
        html = f'<img alt="{escape(finding)}" style="max-width: 100%" src="data:image/png;base64,{source}">'
        if more:
            html += f"<details><summary>the picture in words</summary><pre>{escape(self.words)}</pre></details>"
        return {"text/plain": self.words, "text/html": html}
