"""The source of what a lesson talks about, as it stands in the course or in a cell."""

import inspect
import textwrap
from collections.abc import Callable

from .card import Card, code


def source(*things: type | Callable) -> Card:
    """The source of classes and functions, in the editor's colours; as plain text it is what `inspect.getsource` gives.

    Raises TypeError for what Python has no source of.
    """
    try:
        text = "\n\n".join(textwrap.dedent(inspect.getsource(thing)).strip("\n") for thing in things)
    except (TypeError, OSError):
        raise TypeError(f"source() shows a class or a function that is written in Python, not {things!r}") from None
    return Card("source", text, code(text))
