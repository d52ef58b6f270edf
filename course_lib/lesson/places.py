"""Where the questions of the course stand: notebook and part of each recall, guess, belief, puzzle, check and sentence to write anew."""

import json
import re
from dataclasses import dataclass

from course_lib import folders

_ASKS = re.compile(r'^(recall|guess|believe|parsons|check|rewrite)\(\s*"([^"]+)"', re.MULTILINE)
_HEADING = re.compile(r"^(##+) +(.+)$", re.MULTILINE)
_TITLE, _MINUTES = re.compile(r"^# +(.+)$", re.MULTILINE), re.compile(r"\*\*Time:\*\* about (\d+) minutes")


@dataclass(frozen=True)
class Place:
    """`notebook` is the file, as a link from one on the main path; `part` the heading above it
    (of a sentence to write anew that of the whole part: an exercise may stand between).

    A link to the cell itself (`#cell-id=…`) would be worse: JupyterLab 4.6 selects that cell and does not scroll to it.
    """

    notebook: str
    part: str


def places() -> dict[tuple[str, str], Place]:
    """{("recall", "04"): place, ("guess", key): place, ("believe", "C46"): place, ("rewrite", "C46"): place}, in the order of the course."""
    found: dict[tuple[str, str], Place] = {}
    for name in folders.names(folders.notebooks()):
        part = nearest = ""
        for kind, text in _cells(name):
            if kind == "code":
                for asked in _ASKS.findall(text):
                    found.setdefault(asked, Place(name, part if asked[0] == "rewrite" else nearest))
            else:
                for level, nearest in _HEADING.findall(text):
                    part = nearest if level == "##" else part
    return found


def head(name: str) -> tuple[str, str]:
    """The title of a notebook, and the minutes that it names, as its first cell says. Where it says none: its file's name, and ""."""
    _, text = next(iter(_cells(name)), ("", ""))
    title, minutes = _TITLE.search(text), _MINUTES.search(text)
    return title[1] if title else name.removesuffix(".ipynb").replace("_", " "), minutes[1] if minutes else ""


def _cells(name: str) -> list[tuple[str, str]]:
    """(its type, its text) of each cell; none where the file is not readable as a notebook at this moment."""
    try:
        notebook = json.loads((folders.notebooks() / name).read_bytes())
        return [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    except (OSError, ValueError, LookupError, TypeError):
        return []
