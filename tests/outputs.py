"""Run every notebook in a fresh kernel and store its outputs: what `make outputs` does.

Stored is only what a reader sees and nbval compares: no timings, no versions, no widget views (without a kernel they
read "model not found"; the static picture beside each one stays), and no outcome of a guess but an expected one
(`course_lib/lesson/guesses.py`). What would answer a guess is folded: JupyterLab shows it when its cell has run.
At the end the list of what is shipped is written anew.
"""

import ast
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from traitlets.config import Config

from course_lib import folders, shipped
from course_lib.grading.local_kernels import local_sockets

NOTEBOOKS = folders.COURSE
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
MAY_RAISE = {"raises-exception", "nbval-raises-exception"}
KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
LANGUAGE = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python", "pygments_lexer": "ipython3"}


def notebooks() -> list[Path]:
    """The course's notebooks, in order."""
    return [NOTEBOOKS / name for name in folders.names(NOTEBOOKS)]


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def new_notebook(*cells: str | nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A notebook of these cells; a text is the source of a code cell."""
    whole = [nbformat.v4.new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    return nbformat.v4.new_notebook(cells=whole, metadata={"kernelspec": KERNEL})


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Its code cells, without empty ones."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def tags(cell: dict[str, Any]) -> set[str]:
    return set(cell["metadata"].get("tags", []))


def text(cell: nbformat.NotebookNode) -> str:
    """What a cell has shown, as plain text."""
    return "".join(map(plain, cell.outputs))


def plain(output: nbformat.NotebookNode) -> str:
    return output.get("text") or output.get("data", {}).get("text/plain", "")


def calls(source: str, name: str) -> list[tuple[str, list[ast.expr]]]:
    """The calls of this function in a cell, in order: (key, the other arguments)."""
    source = "\n".join(line for line in source.splitlines() if not line.lstrip().startswith(("%", "!")))
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and ast.unparse(node.func) == name]
    return [
        (ast.literal_eval(call.args[0]), call.args[1:]) for call in sorted(nodes, key=lambda call: (call.lineno, call.col_offset))
    ]


def client(notebook: nbformat.NotebookNode, timeout: float = 60, folder: Path = NOTEBOOKS) -> NotebookClient:
    """A runner of `notebook` in this folder that gives each cell `timeout` seconds and adds nothing to the metadata."""
    return NotebookClient(
        notebook,
        timeout=timeout,
        startup_timeout=300,
        kernel_name="python3",
        config=Config(KernelManager=local_sockets()),
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )


def environment(home: Path, **more: str) -> dict[str, str]:
    """The kernel's environment: the learner's folder is `home`, and only `more` says how strict to be."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COURSE_")}
    return kept | {"COURSE_HOME": str(home)} | more


def execute(notebook: nbformat.NotebookNode, home: Path, folder: Path = NOTEBOOKS, **more: str) -> None:
    """Run all cells of `notebook`, which is in this folder, in a fresh kernel; the outputs are put into it."""
    client(notebook, folder=folder).execute(env=environment(home, **more))


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Leave out what differs from run to run or from machine to machine."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = LANGUAGE
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if set(output.get("data", {})) != {WIDGET_VIEW}]
        for each in (cell, *cell.get("outputs", [])):
            if "execution_count" in each:
                each["execution_count"] = 1  # a new cell changes no other one; nbval compares none without a count
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)


def fold(notebook: nbformat.NotebookNode) -> None:
    """Fold the stored outputs from each guess to its comparison, the verdicts, and the cells tagged `folded`: a picture
    that shows an outcome once more.

    A comparison that is its cell's only output is folded by itself, and what asks a question stays open.
    """
    open_guesses: set[str] = set()
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        asked, compared = (set(re.findall(rf'\b{name}\(\s*"([^"]+)"', cell.source)) for name in ("guess", "compare"))
        tells = open_guesses and not asked and len(cell.outputs) > (1 if compared else 0)
        open_guesses = (open_guesses | asked) - compared
        jupyter = {name: value for name, value in cell.metadata.get("jupyter", {}).items() if name != "outputs_hidden"}
        if tells or "folded" in tags(cell) or re.search(r"^verdict\(", cell.source, re.MULTILINE):
            jupyter["outputs_hidden"] = True
        cell.metadata.pop("jupyter", None)
        if jupyter:
            cell.metadata["jupyter"] = jupyter


def main(names: list[str], say: Callable[[str], object] = print) -> int:
    """Store the outputs of the notebooks named (of all, where none is); 1 if one of them fails."""
    status = 0
    for path in [NOTEBOOKS / name for name in names] or notebooks():
        before = path.read_text(encoding="utf-8")
        notebook = nbformat.reads(before, as_version=4)
        with tempfile.TemporaryDirectory() as home:
            try:
                execute(notebook, Path(home), path.parent, COURSE_EXPECTED="1")
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                say(f"{path.name}: not stored, it does not run to its end\n{error}")
                status = 1
                continue
        tidy(notebook)
        fold(notebook)
        after = nbformat.writes(notebook) + "\n"
        if after != before:
            path.write_text(after, encoding="utf-8")
        say(f"{path.name}: {'unchanged' if after == before else 'stored'}")
    shipped.write_list(NOTEBOOKS)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
