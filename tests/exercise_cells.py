"""Write the cells of the exercises, task, stub and check, into the notebooks: ``python tests/exercise_cells.py``, or ``make cells``.

They come from the exercise's text and reference; what else a notebook says around them is its own. An exercise that no
notebook has yet is put behind the one before it.
"""

import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from course_lib import folders
from course_lib.exercises import Exercise, all_exercises

NOTEBOOKS = folders.COURSE
_TASK = r"(?ms)^(### {id} .*?)\n\n.*?\n\n\*About \d+ minutes\."  # the heading is the notebook's own


def exercises_of(path: Path) -> list[Exercise]:
    """Those that belong into this notebook: those it has, and on the main path those that no notebook has yet."""
    section = [exercise for exercise in all_exercises() if path.name.startswith(f"{int(exercise.id.partition('.')[0]):02}_")]
    had = {
        other: _tags(other) for other in NOTEBOOKS.rglob(f"{path.name[:2]}_*.ipynb") if ".ipynb_checkpoints" not in other.parts
    }
    own, others = had.pop(path), set().union(*had.values())
    main = path.parent == NOTEBOOKS
    return [one for one in section if f"exercise-{one.id}" in own or main and f"exercise-{one.id}" not in others]


def write(notebook: NotebookNode, exercises: list[Exercise]) -> None:
    """Bring the cells of these exercises up to date; outputs stay. Raises ValueError where a task has no place."""
    last = None
    for exercise in exercises:
        if _tagged(notebook, f"exercise-{exercise.id}") is None:
            _insert(notebook, exercise, last)
        stub, check = _tagged(notebook, f"exercise-{exercise.id}"), _tagged(notebook, f"check-{exercise.id}")
        stub.source, check.source = exercise.stub.strip(), exercise.call
        pattern = re.compile(_TASK.format(id=re.escape(exercise.id)))
        told = [cell for cell in notebook.cells if cell.cell_type == "markdown" and pattern.search(cell.source)]
        if len(told) != 1:
            raise ValueError(f'{exercise.id} needs one text "### {exercise.id} · …" with "*About … minutes." at its end')
        told[0].source = pattern.sub(
            lambda found: f"{found[1]}\n\n{exercise.task}\n\n*About {exercise.minutes} minutes.", told[0].source
        )
        last = check


def _insert(notebook: NotebookNode, exercise: Exercise, after: NotebookNode | None) -> None:
    where = notebook.cells.index(after) + 1 if after else len(notebook.cells)
    names = ", ".join(f"`{name}`" for name in exercise.names)
    task = f'### {exercise.id} · {names}\n\n…\n\n*About 0 minutes. Stuck? `hint("{exercise.id}")`*'
    notebook.cells[where:where] = [
        new_markdown_cell(task),
        new_code_cell(metadata={"tags": [f"exercise-{exercise.id}"]}),
        new_code_cell(metadata={"tags": [f"check-{exercise.id}"]}),
    ]


def _tags(path: Path) -> set[str]:
    return {tag for cell in nbformat.read(path, as_version=4).cells for tag in cell.metadata.get("tags", [])}


def _tagged(notebook: NotebookNode, tag: str) -> NotebookNode | None:
    return next((cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])), None)


def main() -> None:
    for path in [NOTEBOOKS / name for name in folders.names(NOTEBOOKS)]:
        notebook = nbformat.read(path, as_version=4)
        before = nbformat.writes(notebook)
        write(notebook, exercises_of(path))
        if nbformat.writes(notebook) != before:
            nbformat.write(notebook, path)
            print(f"{path.name}: written")


if __name__ == "__main__":
    sys.exit(main())
