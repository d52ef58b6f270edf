"""A real JupyterLab in a real Chromium, and a small vocabulary to drive them: for the tests, and for what is measured there."""

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
from playwright.sync_api import Browser, BrowserContext, Locator, Page, ViewportSize, expect, sync_playwright

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
NO_CHROMIUM = "no Chromium is installed (Debian: apt install chromium)"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What stands beside a notebook may be JupyterLab's current widget for a moment.
THE_NOTEBOOK = "window.theNotebook = () => [...jupyterapp.shell.widgets('main')].find(one => one.sessionContext)"
SIZE: ViewportSize = {"width": 1280, "height": 900}
PATIENCE = 180_000  # milliseconds; two busy cores are slow, and no test waits this long when all is well
# What widgets have told the kernel, and it has not answered yet. A page sends the changes of a control one by one, each after the
# answer to the last, while a click goes at once: only a robot is quick enough to see the difference. What was held back is sent
# in the turn in which the answer is read.
TELL_OF_ANSWERS = """() => {
    const unanswered = window.unanswered = new Set();
    theNotebook().sessionContext.session.kernel.anyMessage.connect((_, { msg, direction }) => {
        if (direction === "send" && msg.header.msg_type === "comm_msg") unanswered.add(msg.header.msg_id);
        else if (msg.header.msg_type === "status" && msg.content.execution_state === "idle") {
            setTimeout(() => unanswered.delete(msg.parent_header.msg_id));
        }
    });
}"""
REMEMBER = """async () => {
    await jupyterapp.restored;
    const areas = ["top", "menu", "header", "left", "right", "down", "bottom"];
    window.around = () => areas.flatMap(area => [...jupyterapp.shell.widgets(area)]);
    window.clocks = () => [Date, performance.now, setTimeout, setInterval, requestAnimationFrame, AbortSignal.timeout];
    window.atFirst = around();
    window.clocksAtFirst = clocks();
}"""
# JupyterLab opens a launcher where nothing else is open.
OPEN = """async path => {
    await jupyterapp.commands.execute("filebrowser:open-path", { path, dontShowBrowser: true });
    for (const widget of [...jupyterapp.shell.widgets("main")]) if (widget !== theNotebook()) widget.dispose();
}"""
# JupyterLab takes all it shows away until the next frame, and lets a splash fade.
HAS_THEME = """light => document.body.dataset.jpThemeLight === light
    && !document.querySelector(".lm-mod-hidden#main, #jupyterlab-splash")"""
# A page that was loaded again, that still asks something, or whose clock a test has replaced, is not put back.
PUT_BACK = """async () => {
    if (!window.atFirst || document.querySelector(".jp-Dialog")) return false;
    if (clocks().some((clock, place) => clock !== clocksAtFirst[place])) return false;
    const { shell, commands } = jupyterapp;
    for (const widget of [...shell.widgets("main"), ...around()]) if (!atFirst.includes(widget)) widget.dispose();
    shell.collapseRight();
    shell.activateById("filebrowser");
    if (document.body.dataset.jpThemeLight !== "true") {
        await commands.execute("apputils:change-theme", { theme: "JupyterLab Light" });
    }
    localStorage.clear();
    delete document.body.dataset.courseMadeRoom;
    return !atFirst.some(widget => widget.isDisposed);
}"""

expect.set_options(timeout=PATIENCE)


class Notebook:
    """One notebook in JupyterLab. `page` is Playwright's page, for all that has no word here."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def index(self, cell: str | int) -> int:
        """The position of a cell given by one of its tags (or by its position, which may be negative)."""
        index = self.page.evaluate(
            """cell => {
                const cells = theNotebook().content.widgets;
                if (typeof cell === "number") return cell < 0 ? cells.length + cell : cell;
                return cells.findIndex(c => (c.model.getMetadata("tags") || []).includes(cell));
            }""",
            cell,
        )
        assert index >= 0, f"no cell is tagged {cell}"
        return index

    def cell(self, cell: str | int) -> Locator:
        """The cell (input and output), scrolled into view."""
        index = self.index(cell)
        self.page.evaluate("i => theNotebook().content.scrollToItem(i)", index)
        return self.page.locator(f'.jp-Notebook:visible .jp-Cell[data-windowed-list-index="{index}"]')

    def output(self, cell: str | int) -> Locator:
        """The output area of a cell. A cell that has shown nothing yet has an empty one."""
        return self.cell(cell).locator(".jp-Cell-outputArea")

    def printed(self, cell: str | int) -> str:
        """What a cell has printed: the page may not show all of it yet."""
        return self.page.evaluate(
            """i => theNotebook().content.widgets[i].model.outputs.toJSON()
                .filter(output => output.output_type === "stream").map(output => [output.text].flat().join("")).join("")""",
            self.index(cell),
        ).strip()

    def run_cell(self, cell: str | int, wait: bool = True) -> Locator:
        """Run one cell and return its output area. wait=False: do not wait for its end."""
        output = self.output(cell)
        self.command("notebook:run-cell", wait, self.index(cell))
        return output

    def run_all(self, wait: bool = True) -> None:
        """Run every cell from the top."""
        self.command("notebook:run-all-cells", wait)

    def command(self, name: str, wait: bool = True, active: int | None = None) -> None:
        """Execute one of JupyterLab's commands. wait: until it has ended and no cell runs any more.

        active   the cell that is the active one for it: another may be so a moment later, for the keyboard moves
        """
        self.page.evaluate(
            """([name, active, patience]) => {
                if (active !== null) {
                    const notebook = theNotebook().content;
                    notebook.activeCellIndex = active;
                    notebook.mode = "command";
                    notebook.activate();
                }
                const done = jupyterapp.commands.execute(name).then(() => null);
                if (!patience) return null;
                const late = new Promise((_, fail) => setTimeout(() => fail(new Error(name + " has not ended")), patience));
                return Promise.race([done, late]);
            }""",
            [name, active, PATIENCE if wait else 0],
        )
        if wait:
            self.wait_idle()

    def wait_idle(self) -> None:
        """Wait until no code cell is running or queued."""
        self.page.wait_for_function(
            """() => theNotebook().content.widgets.every(
                cell => cell.model.type !== "code" || cell.model.executionState === "idle")"""
        )

    def wait_all_run(self, timeout: float = PATIENCE) -> None:
        """Wait until each code cell has run, since the notebook was opened with outputs of an earlier run, and none is queued."""
        self.page.wait_for_function(
            """() => theNotebook().content.widgets.every(cell => cell.model.type !== "code"
                || !cell.model.sharedModel.getSource().trim() || cell.model.executionState === "idle" && cell.model.executionCount)""",
            timeout=timeout,
        )

    def wait_answered(self) -> None:
        """Wait until the kernel has answered all that widgets have told it."""
        self.page.wait_for_function("() => unanswered.size === 0")

    def interrupt(self) -> None:
        """Interrupt the kernel, as the stop button does, and wait until no cell runs."""
        self.command("notebook:interrupt-kernel")

    def restart(self) -> None:
        """Restart the kernel, outputs stay."""
        self.page.evaluate("() => theNotebook().sessionContext.session.kernel.restart()")
        self._kernel_ready()

    def reload(self) -> None:
        """Load the page again, and wait until it has its kernel back."""
        self.page.reload()
        self.wait_open()

    def wait_open(self) -> None:
        """Wait until the notebook is open and its kernel ready."""
        self.page.wait_for_function("() => window.jupyterapp && theNotebook()?.sessionContext")
        self._kernel_ready()
        self.page.evaluate(TELL_OF_ANSWERS)

    def cells(self) -> int:
        """How many cells it has."""
        return self.page.evaluate("() => theNotebook().content.widgets.length")

    def write(self, cell: str | int, source: str) -> None:
        """Replace the source of a cell."""
        self.page.evaluate(
            "([i, s]) => theNotebook().content.widgets[i].model.sharedModel.setSource(s)",
            [self.index(cell), source],
        )

    def save(self) -> None:
        """Save the notebook, and wait until it is on disk."""
        self.page.evaluate("() => theNotebook().context.save()")

    def theme(self, name: str) -> None:
        """Switch JupyterLab to "light" or "dark"."""
        self.page.evaluate(
            "name => jupyterapp.commands.execute('apputils:change-theme', {theme: name})", f"JupyterLab {name.capitalize()}"
        )
        self.page.wait_for_function(HAS_THEME, arg="true" if name == "light" else "false")

    def themes(self) -> Iterator[str]:
        """Switch to one theme after the other."""
        for name in "light", "dark":
            self.theme(name)
            yield name

    def _kernel_ready(self) -> None:
        self.page.evaluate(
            """async () => {
                await jupyterapp.restored;
                const session = theNotebook().sessionContext;
                await session.ready;
                await session.session.kernel.info;
            }"""
        )


def free_address() -> tuple[str, int]:
    """Where JupyterLab may listen in a while: none of the ports that the kernel hands out (32768 on: ip(7)), for storms take many."""
    while True:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", random.randrange(20_000, 32_000))) as free:
            return free.getsockname()


def wait_for_listener(address: tuple[str, int], process: subprocess.Popen) -> None:
    """Wait until `process` listens on `address`. JupyterLab prints its address a moment before."""
    while process.poll() is None:
        try:
            return socket.create_connection(address).close()
        except ConnectionRefusedError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
    raise RuntimeError("JupyterLab ended before it listened")


class Server:
    """A JupyterLab server of its own: no file of the person who runs the tests is read or written."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "notebooks"
        self.root.mkdir(parents=True)
        self.token = uuid.uuid4().hex
        self._settings(folder)
        own = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "IPYTHONDIR": "ipython",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        }
        self.runtime = tempfile.TemporaryDirectory(prefix="lab-")  # a short name: a local socket's path has 107 bytes (unix(7))
        environment = os.environ | {name: str(folder / place) for name, place in own.items()}
        environment["JUPYTER_RUNTIME_DIR"] = self.runtime.name
        environment.pop("COURSE_HOME", None)  # then the learner's folder is `mine`, beside the copied notebooks
        self.address = free_address()
        self.url = "http://{}:{}".format(*self.address)
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyterlab",
                str(self.root),
                "--no-browser",
                "--allow-root",
                "--ServerApp.ip=127.0.0.1",
                f"--ServerApp.port={self.address[1]}",
                "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={self.token}",
                "--LabApp.expose_app_in_browser=True",
                # By TCP it would knock for ever at the ports of kernels that have ended, whoever listens there now.
                "--KernelManager.transport=ipc",
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(folder / "log").open("w"),
        )
        wait_for_listener(self.address, self.process)

    @staticmethod
    def _settings(folder: Path) -> None:
        """No autosave: a test says itself when it saves. No page asks whether JupyterLab could be built anew, which costs a second.
        All else is as the course installs it."""
        for name, settings in {
            "settings/@jupyterlab/docmanager-extension/plugin.jupyterlab-settings": {"autosave": False},
            "config/labconfig/page_config.json": {"buildCheck": False, "buildAvailable": False},
        }.items():
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_text(json.dumps(settings))

    def address_of(self, workspace: str, path: str = "") -> str:
        """Where a page opens this notebook, or none, in a workspace that is empty."""
        tree = f"/tree/{path}" if path else ""
        return f"{self.url}/lab/workspaces/{workspace}{tree}?reset&token={self.token}"

    def stop_kernels(self) -> None:
        """End every session, so that the next test finds an idle machine."""
        for session in json.loads(self._request("GET", "/api/sessions")):
            self._request("DELETE", f"/api/sessions/{session['id']}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.runtime.cleanup()

    def _request(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(self.url + path, method=method, headers={"Authorization": f"token {self.token}"})
        with urllib.request.urlopen(request, timeout=PATIENCE / 1000) as answer:
            return answer.read()


def new_context(browser: Browser, offline: bool = False) -> BrowserContext:
    context = browser.new_context(viewport=SIZE, offline=offline)
    context.set_default_timeout(PATIENCE)
    context.add_init_script(THE_NOTEBOOK)
    return context


class Window:
    """A page with JupyterLab that one test after another borrows: to load it costs five times what it costs to open a notebook."""

    def __init__(self, server: Server, browser: Browser) -> None:
        self.server = server
        self.browser = browser
        self.page: Page | None = None

    def borrow(self) -> Page:
        """The page, without a notebook. It is loaded where there is none."""
        page, self.page = self.page, None
        if not page:
            page = new_context(self.browser).new_page()
            page.goto(self.server.address_of(uuid.uuid4().hex))
            page.wait_for_function("() => window.jupyterapp")
            page.evaluate(REMEMBER)
        return page

    def give_back(self, page: Page) -> None:
        """Keep the page if all is put back to what it was when it was loaded; close it otherwise."""
        page.set_viewport_size(SIZE)
        page.emulate_media(reduced_motion="null", forced_colors="null", color_scheme="null")
        if page.evaluate(PUT_BACK):
            page.wait_for_function(HAS_THEME, arg="true")
            self.page = page
        else:
            page.context.close()


class Lab:
    """JupyterLab as one test sees it: `folder` holds the test's own copy of the notebooks.

    window   what lends the page of the first notebook; None: each is loaded anew
    """

    def __init__(self, server: Server, browser: Browser, window: Window | None = None) -> None:
        self.server = server
        self.name = uuid.uuid4().hex[:8]
        self.folder = server.root / self.name
        shutil.copytree(NOTEBOOKS, self.folder, ignore=shutil.ignore_patterns("mine", ".ipynb_checkpoints"))
        self.context = new_context(browser)
        self.window = window
        self.borrowed: Page | None = None
        self.failed = False
        self.notebooks: list[Notebook] = []

    def open(self, name: str, anew: bool = False) -> Notebook:
        """Open a notebook of `folder`; its kernel is ready, no cell has run. The second one of a test has a page of its own.

        anew   load a page for it, in `context`
        """
        if self.window and not (anew or self.notebooks):
            page = self.borrowed = self.window.borrow()
            page.evaluate(OPEN, f"{self.name}/{name}")
        else:
            page = self.context.new_page()
            # A workspace that is known would bring the last test's tabs back.
            page.goto(self.server.address_of(f"{self.name}-{len(self.notebooks)}", f"{self.name}/{name}"))
        notebook = Notebook(page)
        self.notebooks.append(notebook)
        notebook.wait_open()
        return notebook

    def open_new(self, notebook: nbformat.NotebookNode, anew: bool = False) -> Notebook:
        """Open a notebook that is not one of the course's."""
        nbformat.write(notebook, self.folder / "new.ipynb")
        return self.open("new.ipynb", anew)

    def screenshots(self, folder: Path) -> list[Path]:
        """A picture of every page that is open."""
        pages = [notebook.page for notebook in self.notebooks if not notebook.page.is_closed()]
        paths = [folder / f"page-{number}.png" for number in range(1, len(pages) + 1)]
        for page, path in zip(pages, paths):
            page.screenshot(path=path)
        return paths

    def close(self) -> None:
        """Give the window back, close all other pages, end the kernels. After a failure the page may be in any state: it goes, too."""
        if self.window and self.borrowed and not self.borrowed.is_closed():
            self.borrowed.context.close() if self.failed else self.window.give_back(self.borrowed)
        self.context.close()
        self.server.stop_kernels()


def chromium() -> str | None:
    """The program, or None."""
    return next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)


@contextlib.contextmanager
def a_browser() -> Iterator[Browser]:
    """Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def labs(folder: Path) -> Iterator[Callable[[], Lab]]:
    """For who measures: a server in `folder`, and a browser. What is yielded makes a Lab each time; `close` it."""
    server = Server(folder)
    try:
        with a_browser() as browser:
            yield lambda: Lab(server, browser)
    finally:
        server.stop()
