"""A still picture in a notebook: on white as it is drawn, in a dark theme with its lightness turned round. No JavaScript."""

import base64
from collections.abc import Iterable
from html import escape

# Below that many pixels of width the smallest type of a figure would be below 10: a narrower cell scrolls instead.
LEAST = 660
# White becomes #121212, the ground of JupyterLab's dark theme; a hue stays what it is. Where a style sheet is taken out
# (GitHub, a notebook that is not trusted), the picture stays on white: it can be read on any page.
TURNED = 0.93
_STYLE = (
    '<style>:is([data-jp-theme-light="false"], .vscode-dark) .course-figure '
    f"{{ filter: invert({TURNED}) hue-rotate(180deg) }}</style>"
)


def still(picture: bytes, kind: str, words: str, least: int = LEAST) -> str:
    """The HTML of a picture on white: a file of the MIME type `image/kind`, with words for those who do not see it.

    least  the pixels of width below which it scrolls
    """
    source = base64.b64encode(picture).decode()
    return (
        f'<img alt="{escape(words)}" class="course-figure" style="max-width: 100%; min-width: {least}px" '
        f'src="data:image/{kind};base64,{source}">{_STYLE}'
    )


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """The HTML of a table; all text is escaped."""
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
