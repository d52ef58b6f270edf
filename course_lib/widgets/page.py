"""The JavaScript and the style of a widget: what all of them share, and its own, as one text."""

from pathlib import Path


def script(*names: str) -> str:
    """The text of page.js and of these files, named from its folder, one after the other."""
    return _text("page.js", *names)


def style(name: str) -> str:
    """The text of page.css and of this file."""
    return _text("page.css", name)


def _text(*names: str) -> str:
    return "".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in names)
