"""The JavaScript of a widget: what all of them share, and its own, as one module."""

from pathlib import Path


def script(*names: str) -> str:
    """The text of page.js and of these files, named from its folder, one after the other."""
    return "".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("page.js", *names))
