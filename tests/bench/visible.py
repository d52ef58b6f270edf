"""How long it takes from "readable in the kernel" to "visible in the page", in a real JupyterLab and Chromium.

A thread of the kernel process notes the time and sends one byte to a random observed socket, again and again. In the page
an observer of the table notes the animation frame on which the number of that socket's receive queue has changed.
"""

import contextlib
import importlib
import importlib.util
import json
import re
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.measure.child_process import tell

from .aside import arguments, aside

if TYPE_CHECKING:
    from real_lab import Lab

NUMBERS = (20, 200)  # descriptors in the table
_SETUP = """import json, os, random, socket, threading, time
from course_lib.widgets import observe
pairs = [socket.socketpair() for _ in range({descriptors} // 2)]
listener = socket.create_server(("127.0.0.1", 0))

def send():
    sent, counts = [], {{}}
    for _ in range({samples}):
        time.sleep(random.uniform(.1, .3))
        here, there = random.choice(pairs)
        number = there.fileno()
        counts[number] = counts.get(number, 0) + 1
        sent.append((number, counts[number], time.time()))
        here.send(b"x")
    time.sleep(1)
    with open("sent.part", "w") as file:
        json.dump(sent, file)
    os.rename("sent.part", "sent.json")

observe([end for pair in pairs for end in pair], parts=["table", "lanes"])"""
_BEGIN = "threading.Thread(target=send, daemon=True).start()"
BESIDE = {"nothing": "pass", "a cell runs Python": "while True: sum(range(1000))", "a cell is in accept()": "listener.accept()"}
_TABLE = ".observatory table[aria-label=descriptors]"
_WATCH = """table => {
    window.seen = [];
    new MutationObserver(changes => {
        const cells = new Set(changes.map(change => change.target.closest ? change.target.closest(".receive") : null)
            .filter(Boolean));
        requestAnimationFrame(() => {
            for (const cell of cells)
                window.seen.push([cell.parentElement.firstChild.textContent, cell.textContent, Date.now() / 1000]);
        });
    }).observe(table, { subtree: true, childList: true, characterData: true });
}"""


@dataclass(frozen=True, slots=True)
class Visible:
    """Milliseconds for a number of descriptors, and for what the kernel does meanwhile; `samples` of so many were seen."""

    descriptors: int
    meanwhile: str
    samples: int
    of: int
    p50: float | None
    p95: float | None


def why_not() -> str:
    """Why there can be no browser here, or ""."""
    if importlib.util.find_spec("playwright") is None:
        return "Playwright is not installed (make bench installs it)"
    from real_lab import NO_CHROMIUM, chromium

    return "" if chromium() else NO_CHROMIUM


def measure(rows: list[Visible], samples: int = 40) -> None:
    """Add a row for each number of descriptors, and each of BESIDE."""
    with aside("visible", samples) as messages:
        for row in messages:
            print("    {descriptors} descriptors, meanwhile: {meanwhile}".format(**row), flush=True)
            rows.append(Visible(**row))


def main() -> None:
    (samples,) = arguments()
    from real_lab import labs

    with tempfile.TemporaryDirectory(prefix="course-bench-", ignore_cleanup_errors=True) as folder, labs(Path(folder)) as new_lab:
        for descriptors in NUMBERS:
            for meanwhile, cell in BESIDE.items():
                with contextlib.closing(new_lab()) as lab:
                    late = _latencies(lab, descriptors, cell, samples)
                tell(
                    descriptors=descriptors,
                    meanwhile=meanwhile,
                    samples=len(late),
                    of=samples,
                    p50=statistics.median(late) if late else None,
                    p95=statistics.quantiles(late, n=20)[-1] if len(late) > 1 else None,
                )


def _latencies(lab: "Lab", descriptors: int, beside: str, samples: int) -> list[float]:
    """In ms. Changes that came to the page in one message with a later one of the same socket are left out."""
    nbformat = importlib.import_module("nbformat")
    cells = [_SETUP.format(descriptors=descriptors, samples=samples), _BEGIN, beside]
    nbformat.write(
        nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}},
        ),
        lab.folder / "latency.ipynb",
    )
    result = lab.folder / "sent.json"
    notebook = lab.open("latency.ipynb")
    notebook.run_cell(0)
    notebook.page.wait_for_function(
        "([rows, number]) => document.querySelectorAll(rows).length === number", arg=[f"{_TABLE} tbody tr", descriptors]
    )
    notebook.page.locator(_TABLE).evaluate(_WATCH)
    notebook.run_cell(1)
    notebook.run_cell(2, wait=False)
    until = time.monotonic() + 60 + samples
    while not result.exists() and time.monotonic() < until:
        time.sleep(0.5)
    changes = notebook.page.evaluate("() => window.seen")
    notebook.interrupt()
    seen = {(int(number), re.sub(r"\D", "", text)): when for number, text, when in changes}
    sent = json.loads(result.read_text()) if result.exists() else []
    return sorted(1000 * (seen[number, str(count)] - when) for number, count, when in sent if (number, str(count)) in seen)
