"""A learner's notebook as a file: what its cells are, which notebook of the course it is, or why it cannot be used."""

import json
import re
import stat
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from course_lib import folders, shipped
from course_lib.exercises import all_exercises
from course_lib.sandbox.words import printable

_LARGEST = 100 << 20  # bytes
_FEWEST_SHARED = 2  # cells that a notebook must share with one of the course


class Unusable(Exception):
    """The file cannot be validated; the text is the second half of a sentence that begins with its name."""


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook. `place` counts all cells from 1; `outputs` are nbformat's."""

    place: int
    id: str
    code: bool
    source: str
    tags: frozenset[str] = frozenset()
    outputs: tuple[dict, ...] = ()

    @property
    def text(self) -> str:
        """Its source without the blank lines around it."""
        return self.source.strip()

    @property
    def label(self) -> str:
        """How a person finds it: ``cell 17, `server = …` ``."""
        first = next(filter(None, map(str.strip, self.source.splitlines())), "")
        return f"cell {self.place}, `{printable(first[:50])}{'…' * (len(first) > 50)}`"


def cells(content: bytes) -> list[Cell]:
    """The cells of a notebook file. Raises Unusable."""
    if not content.strip():
        raise Unusable("is empty")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unusable("is not a notebook: it holds something else than text") from None
    if re.search(r"^(<<<<<<<|>>>>>>>) ", text, re.MULTILINE):
        raise Unusable("holds the marks of a merge that is not finished (<<<<<<<)")
    try:
        notebook = json.loads(text)
    except json.JSONDecodeError as error:
        if not text.lstrip().startswith("{"):
            raise Unusable("is not a notebook: it is no JSON") from None
        raise Unusable(f"is damaged: its JSON breaks off or is wrong in line {error.lineno}") from None
    except (ValueError, RecursionError):
        raise Unusable("is damaged: its JSON cannot be read") from None
    if not isinstance(notebook, dict):
        raise Unusable("is not a notebook: its JSON is no object")
    version = notebook.get("nbformat")
    if "worksheets" in notebook or isinstance(version, int) and version < 4:
        raise Unusable("has an old format (nbformat 3 or before): open it in JupyterLab and save it once")
    if isinstance(version, int) and version > 4:
        raise Unusable(f"has a format (nbformat {version}) that the course does not know")
    if not isinstance(notebook.get("cells"), list):
        raise Unusable("is not a notebook: it has no list of cells")
    if not notebook["cells"]:
        raise Unusable("has no cells")
    return [_cell(place, cell) for place, cell in enumerate(notebook["cells"], 1)]


def read(path: Path) -> list[Cell]:
    """The cells of the notebook at `path`. Raises Unusable."""
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise Unusable("is a folder")
        if not stat.S_ISREG(about.st_mode):  # a read could wait for ever
            raise Unusable("is not a file")
        if about.st_size > _LARGEST:
            raise Unusable(f"is larger than {_LARGEST >> 20} MB: clear the outputs that make it so")
        return cells(path.read_bytes())
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror}") from None


def belongs_to(own: list[Cell]) -> str:
    """The notebook of the course that these cells come from, ``"04_select.ipynb"``. Raises Unusable."""
    sources = {cell.text for cell in own} - {""}
    tags = set().union(*(cell.tags for cell in own))
    shared = Counter({name: sum(source in sources for source in originals) for name, originals in _originals().items()})
    for exercise in all_exercises():
        name = notebook_of(exercise.id)
        if name in shared:
            shared[name] += len({f"exercise-{exercise.id}", f"check-{exercise.id}"} & tags)
    name, count = shared.most_common(1)[0]
    if count < _FEWEST_SHARED:
        raise Unusable("is not a notebook of the course: its cells are others")
    return name


def notebook_of(exercise: str) -> str:
    """The notebook whose cells check an exercise: ``"4.2"`` → ``"04_select.ipynb"``, or ``""``."""
    call = f'check("{exercise}"'
    return next((name for name, sources in _originals().items() if any(source.startswith(call) for source in sources)), "")


def as_shipped(own: list[Cell], reference: list[Cell]) -> dict[int, Cell]:
    """By its place, what each code cell of the learner's that nobody has changed was when it was shipped.

    The same cell has the same id and source; where editors gave out new ids, the same source, if only one cell has it.
    """
    ours, theirs = ([cell for cell in notebook if cell.code and cell.text] for notebook in (reference, own))
    by_both = {(cell.id, cell.text): cell for cell in ours}
    times_ours, times_theirs = (Counter(cell.text for cell in notebook) for notebook in (ours, theirs))
    alone = {cell.text: cell for cell in ours if times_ours[cell.text] == times_theirs[cell.text] == 1}
    found = {cell.place: by_both.get((cell.id, cell.text)) or alone.get(cell.text) for cell in theirs}
    return {place: original for place, original in found.items() if original}


@cache
def _originals() -> dict[str, set[str]]:
    """The sources of each notebook's cells; where it is not found as shipped, as it is now."""
    found = {}
    for name in shipped.names():
        try:
            content = cells(shipped.read(name))
        except shipped.NotFound:
            try:
                content = read(folders.notebooks() / name)
            except Unusable:
                content = []
        found[name] = {cell.text for cell in content} - {""}
    return found


def _cell(place: int, cell: object) -> Cell:
    damaged = Unusable(f"is damaged: its cell {place} cannot be read")
    if not isinstance(cell, dict):
        raise damaged
    source = cell.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    metadata, outputs = cell.get("metadata"), cell.get("outputs")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    if not isinstance(source, str) or not isinstance(cell.get("cell_type"), str):
        raise damaged
    return Cell(
        place,
        str(cell.get("id", "")),
        cell["cell_type"] == "code",
        source,
        frozenset(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else frozenset(),
        tuple(output for output in outputs if isinstance(output, dict)) if isinstance(outputs, list) else (),
    )
