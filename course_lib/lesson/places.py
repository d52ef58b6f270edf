"""Where the questions of the course stand: notebook and part of each recall, guess, belief and sentence to write anew."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

_ASKS = re.compile(r'^(recall|guess|believe|rewrite)\(\s*"([^"]+)"', re.MULTILINE)
_HEADING = re.compile(r"^(##+) +(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Place:
    """`notebook` is the name of its file, and a link to it from a notebook in the same folder; `part` the heading above it
    (of a sentence to write anew that of the whole part: an exercise may stand between).

    A link to the cell itself (`#cell-id=…`) would be worse: JupyterLab 4.6 selects that cell and does not scroll to it.
    """

    notebook: str
    part: str


def notebooks() -> list[Path]:
    """The notebooks beside the learner's, in order: those of the working directory, else those of the repository."""
    here = Path.cwd()
    folder = here if (here / "00_start_here.ipynb").exists() else Path(__file__).resolve().parents[2] / "notebooks"
    return sorted(folder.glob("[0-9][0-9]_*.ipynb"))


def places() -> dict[tuple[str, str], Place]:
    """{("recall", "04"): place, ("guess", key): place, ("believe", "C46"): place, ("rewrite", "C46"): place}, in the order of the course."""
    found: dict[tuple[str, str], Place] = {}
    for path in notebooks():
        try:
            part = nearest = ""
            for cell in json.loads(path.read_bytes())["cells"]:
                text = "".join(cell["source"])
                if cell["cell_type"] == "code":
                    for asked in _ASKS.findall(text):
                        found.setdefault(asked, Place(path.name, part if asked[0] == "rewrite" else nearest))
                else:
                    for level, nearest in _HEADING.findall(text):
                        part = nearest if level == "##" else part
        except (OSError, ValueError, LookupError, TypeError):
            continue  # not readable as a notebook at this moment: its questions are listed without a link
    return found
