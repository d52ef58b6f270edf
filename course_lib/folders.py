"""Where the notebooks and the learner's own folder are: one answer for all who ask. Standard library only."""

import os
from pathlib import Path

COURSE = Path(__file__).resolve().parents[1] / "notebooks"
FIRST = "00_start_here.ipynb"
NOT_HERE = "the notebooks are not here: change to their folder (cd) and try again"
MORE = "more"  # the folder, beside the main path, of what nobody has to open


def notebooks() -> Path:
    """The folder of the learner's notebooks: the working directory, its ``notebooks``, or the one above ``more``; else
    ``~/notebooks``, where a class that shares one installed course has copies; else the course's own; else
    ``~/ANY/notebooks``, a clone of nbgitpuller's, if it is the only one. Without any it need not exist.
    """
    here = Path.cwd()
    above, home = [here.parent] if here.name == MORE else [], Path(os.path.expanduser("~"))
    for folder in (here, here / "notebooks", *above, home / "notebooks", COURSE):
        if (folder / FIRST).exists():
            return folder
    copies = list(home.glob(f"*/notebooks/{FIRST}"))
    return copies[0].parent if len(copies) == 1 else COURSE


def names(folder: Path) -> list[str]:
    """The notebooks of the course in this folder, in order: ``["00_start_here.ipynb", "01_file_descriptors.ipynb",
    "more/01_file_descriptors_more.ipynb", …]``.
    """
    found = [*folder.glob("[0-9][0-9]_*.ipynb"), *(folder / MORE).glob("[0-9][0-9]_*.ipynb")]
    return [str(path.relative_to(folder)) for path in sorted(found, key=lambda path: path.stem)]


def mine() -> Path:
    """The learner's folder, absolute; it need not exist yet: ``$COURSE_HOME`` if set, else ``mine`` beside the notebooks."""
    chosen = os.path.expanduser(os.environ.get("COURSE_HOME", ""))
    if chosen and not chosen.startswith("~"):  # it still does where nobody knows the user's own folder
        return Path(chosen).absolute()
    return notebooks() / "mine"
