"""How long it takes to run each notebook from top to bottom, in a fresh kernel."""

import importlib
import importlib.util
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from course_lib import folders
from course_lib.grading.local_kernels import local_sockets
from course_lib.measure.child_process import tell

from .aside import arguments, aside

PATIENCE = 120  # seconds for a cell


def why_not() -> str:
    """Why notebooks cannot be run here, or ""."""
    if importlib.util.find_spec("nbclient") is None:
        return "nbclient is not installed (make bench installs it)"
    return "" if paths() else "the notebooks are not here: run this in the course's folder"


def paths() -> list[Path]:
    return [folders.COURSE / name for name in folders.names(folders.COURSE)]


@dataclass(frozen=True, slots=True)
class NotebookRun:
    """Seconds for all cells of a notebook, and its slowest cells: seconds, and how each begins."""

    name: str
    seconds: float
    slowest: list[tuple[float, str]]
    why_not: str = ""


def measure(rows: list[NotebookRun]) -> None:
    """Add a row for each. Learners' files are neither read nor written."""
    for path in paths():
        print(f"    {path.name}", flush=True)
        with tempfile.TemporaryDirectory(prefix="course-bench-", ignore_cleanup_errors=True) as home:
            with aside("running", str(path), home) as messages:
                rows += (NotebookRun(**message) for message in messages)


def main() -> None:
    """Run one notebook and tell how long it took."""
    path, home = arguments()
    nbclient, nbformat, config = map(importlib.import_module, ("nbclient", "nbformat", "traitlets.config"))
    notebook = nbformat.read(path, as_version=4)
    begun: dict[int, float] = {}
    took: dict[int, float] = {}

    def begin(cell: dict, cell_index: int) -> None:
        begun[cell_index] = time.monotonic()

    def end(cell: dict, cell_index: int, execute_reply: dict) -> None:
        took[cell_index] = time.monotonic() - begun[cell_index]

    client = nbclient.NotebookClient(
        notebook,
        timeout=PATIENCE,
        kernel_name="python3",
        config=config.Config(KernelManager=local_sockets()),
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(Path(path).parent)}},
        on_cell_execute=begin,
        on_cell_executed=end,
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COURSE_")} | {"COURSE_HOME": home}
    why, started = "", time.monotonic()
    try:
        client.execute(env=environment)
    except nbclient.exceptions.CellExecutionError as error:
        why = f"it does not run to its end: {error.ename}: {error.evalue[:100]}"
    except (nbclient.exceptions.CellTimeoutError, nbclient.exceptions.DeadKernelError) as error:
        why = f"it does not run to its end: {type(error).__name__}"
    seconds = time.monotonic() - started
    slowest = sorted(took, key=took.__getitem__, reverse=True)[:3]
    tell(
        name=Path(path).stem,
        seconds=seconds,
        why_not=why,
        slowest=[(took[index], _first_line(notebook.cells[index].source)) for index in slowest],
    )


def _first_line(source: str) -> str:
    return next((line.strip() for line in source.splitlines() if line.strip()), "")[:60]
