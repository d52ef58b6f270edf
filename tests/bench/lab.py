"""A JupyterLab and a Chromium of their own, without a window: what a person would see, measured by nobody's hand."""

import contextlib
import importlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 120  # seconds
_OWN = (
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "IPYTHONDIR",
    "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
    "COURSE_HOME",
)


def why_not() -> str:
    """Why there can be no browser here, or ""."""
    if importlib.util.find_spec("playwright") is None:
        return "Playwright is not installed (make bench installs it)"
    return "" if _chromium() else "no Chromium is installed (Debian: apt install chromium)"


class Page:
    """A notebook in JupyterLab. `page` is Playwright's."""

    def __init__(self, page) -> None:
        self.page = page

    def run_cell(self, index: int, wait: bool = True) -> None:
        """Run one cell; wait: until no cell runs any more."""
        self.page.evaluate(
            """([index, wait]) => {
                const notebook = jupyterapp.shell.currentWidget.content;
                notebook.activeCellIndex = index;
                notebook.mode = "command";
                notebook.activate();
                const done = jupyterapp.commands.execute("notebook:run-cell").then(() => null);
                return wait ? done : null;
            }""",
            [index, wait],
        )
        if wait:
            self.page.wait_for_function(
                """() => jupyterapp.shell.currentWidget.content.widgets.every(
                    cell => cell.model.type !== "code" || cell.model.executionState === "idle")"""
            )

    def interrupt(self) -> None:
        self.page.evaluate("() => { jupyterapp.commands.execute('notebook:interrupt-kernel'); }")


class Lab:
    """`folder` is what JupyterLab shows; `open(name)` opens a notebook of it, its kernel ready."""

    def __init__(self, folder: Path, url: str, token: str, browser) -> None:
        self.folder, self._url, self._token, self._browser = folder, url, token, browser

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[Page]:
        """Open a notebook; when the block is left, its kernel ends."""
        context = self._browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(1000 * PATIENCE)
        try:
            page = context.new_page()
            page.goto(f"{self._url}/lab/workspaces/{uuid.uuid4().hex}/tree/{name}?reset&token={self._token}")
            page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext")
            page.evaluate("""async () => {
                await jupyterapp.restored;
                const session = jupyterapp.shell.currentWidget.sessionContext;
                await session.ready;
                await session.session.kernel.info;
            }""")
            yield Page(page)
        finally:
            context.close()
            for session in json.loads(self._ask("GET", "/api/sessions")):
                self._ask("DELETE", f"/api/sessions/{session['id']}")

    def _ask(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(self._url + path, method=method, headers={"Authorization": f"token {self._token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()


@contextlib.contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """Start both, with settings of their own in `folder`; both are gone when the block is left.

    Raises RuntimeError when JupyterLab does not start.
    """
    shown, token = folder / "shown", uuid.uuid4().hex
    shown.mkdir()
    environment = os.environ | {name: str(folder / name) for name in _OWN}
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    with contextlib.ExitStack() as stack:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyterlab",
                str(shown),
                "--no-browser",
                "--allow-root",
                "--ServerApp.ip=127.0.0.1",
                f"--ServerApp.port={address[1]}",
                "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={token}",
                "--LabApp.expose_app_in_browser=True",
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # a Ctrl-C is for the one who measures
        stack.callback(_end, process)
        until = time.monotonic() + PATIENCE
        while not _listens(address):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("JupyterLab did not start")
        playwright = stack.enter_context(importlib.import_module("playwright.sync_api").sync_playwright())
        browser = playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
        stack.callback(browser.close)
        yield Lab(shown, "http://{}:{}".format(*address), token, browser)


def _chromium() -> str | None:
    return next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)


def _listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address).close()
        return True
    except ConnectionRefusedError:
        time.sleep(0.1)
        return False


def _end(process: subprocess.Popen) -> None:
    """JupyterLab ends its kernels when it is asked to end."""
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
