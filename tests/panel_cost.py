"""What a film and a panel that nobody touches cost: `python tests/panel_cost.py [SECONDS]` prints it.

Of a film of forty calls, the time and the size of its file. Of a panel on an idle server and on a stopped one, the CPU time of
the notebook's process and of the page (all renderers of the browser), with the panel and, before, without it.
"""

import contextlib
import importlib
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from real_lab import NO_CHROMIUM, Lab, Notebook, chromium, labs

from course_lib.film import film
from course_lib.servers import CoroutineServer, EpollServer, SelectServer

_SETUP = """import os, time
from course_lib.clients import crowd
from course_lib.servers import EpollServer
from course_lib.widgets import observe
server = EpollServer().start()
clients = crowd(server, 3)
used = lambda: print(time.process_time())"""
CASES = {"an idle server with three clients": "observe(server)", "a stopped server": "server.stop()\nobserve(server)"}
_CALM = 4  # seconds after which nothing is new any more


def _five_clients(connect: Callable) -> Iterator[None]:
    clients = [connect() for _ in range(5)]
    while True:
        yield
        for client in clients:
            client.send(b"hello")


def _film(folder: Path) -> None:
    for model in (SelectServer, EpollServer, CoroutineServer):
        begin = time.perf_counter()
        filmed = film(model(), _five_clients, calls=40)
        seconds, size = time.perf_counter() - begin, filmed.save(folder / "film.html").stat().st_size
        print(
            f"{model.__name__}: {len(filmed)} moments filmed in {seconds:.2f} s (goal: 2 s); file {size / 1000:.0f} kB (goal: 250 kB)"
        )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        _film(Path(folder))
    if not chromium():
        sys.exit(NO_CHROMIUM)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    with tempfile.TemporaryDirectory(prefix="panel-cost-", ignore_cleanup_errors=True) as folder, labs(Path(folder)) as new_lab:
        for name, cell in CASES.items():
            with contextlib.closing(new_lab()) as lab:
                without, with_it = _cost(lab, cell, seconds)
            for part, bound in (("process", 2), ("page", 5)):
                own = 100 * (with_it[part] - without[part]) / seconds
                print(f"{name}: {part} {own:.1f} % of a core (goal: {bound} %)", flush=True)


def _cost(lab: Lab, cell: str, seconds: float) -> tuple[dict, dict]:
    """CPU seconds in so many seconds, without a panel and with it."""
    nbformat = importlib.import_module("nbformat")
    cells = [nbformat.v4.new_code_cell(source) for source in (_SETUP, cell, "used()")]
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}),
        lab.folder / "cost.ipynb",
    )
    notebook = lab.open("cost.ipynb")
    notebook.run_cell(0)
    without = _used(lambda: _look(notebook), seconds)
    notebook.run_cell(1)
    notebook.page.locator(".observatory .doing:visible").first.wait_for()
    return without, _used(lambda: _look(notebook), seconds)


def _used(look: Callable[[], dict], seconds: float) -> dict:
    time.sleep(_CALM)
    before = look()
    time.sleep(seconds)
    return {part: after - before[part] for part, after in look().items()}


def _look(notebook: Notebook) -> dict:
    """CPU seconds used so far; the cell that asks for them costs the same each time."""
    page = notebook.page
    chromium = page.context.browser.new_browser_cdp_session()
    renderers = [one["cpuTime"] for one in chromium.send("SystemInfo.getProcessInfo")["processInfo"] if one["type"] == "renderer"]
    chromium.detach()
    page.evaluate("() => jupyterapp.shell.activateById([...jupyterapp.shell.widgets('main')].find(one => one.sessionContext).id)")
    notebook.run_cell(2)
    printed = page.locator(".jp-Notebook .jp-Cell").nth(2).locator(".jp-Cell-outputArea").inner_text()
    return {"page": sum(renderers), "process": float(re.search(r"[\d.]+", printed.split(":")[-1])[0])}


if __name__ == "__main__":
    main()
