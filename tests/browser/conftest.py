"""A real JupyterLab in a real Chromium, and a small vocabulary to drive them.

    def test_something(lab):
        notebook = lab.open("02_blocking_server.ipynb")       # opened, kernel ready, nothing run
        notebook.run_cell("setup")                            # by tag, or by index
        notebook.run_cell("blocked", wait=False)              # a cell that does not end by itself
        expect(notebook.output("claim-C06")).to_contain_text("…")
        notebook.cell("panel").get_by_role("button", name="Stop").click()
        notebook.interrupt()

Every test has its own copy of the notebooks in a temporary folder, and its own `mine/` beside them. The page is one for all of
them: after each test it is put back to what it was. When a test fails, a screenshot is taken; the report names the file.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from outputs import new_notebook
from panel_page import SETUP
from playwright.sync_api import Browser
from real_lab import NO_CHROMIUM, Lab, Notebook, Server, Window, a_browser, chromium, wait_for_listener

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium. Where none is installed, the tests are skipped; in CI they fail."""
    if chromium() is None:
        pytest.fail(NO_CHROMIUM) if os.environ.get("CI") else pytest.skip(NO_CHROMIUM)
    with a_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory) -> Iterator[Server]:
    """One JupyterLab server for all browser tests."""
    server = Server(tmp_path_factory.mktemp("jupyter"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def window(browser, jupyter) -> Window:
    """The page that the tests use one after another."""
    return Window(jupyter, browser)


@pytest.fixture
def lab(browser, jupyter, window) -> Iterator[Lab]:
    """JupyterLab with a fresh copy of the notebooks; see the top of this file."""
    lab = Lab(jupyter, browser, window)
    yield lab
    lab.close()


@pytest.fixture
def make_lab(tmp_path) -> Iterator[tuple[subprocess.Popen, str]]:
    """`make lab` as a learner types it, on a machine without a display: the process, and the address it prints."""
    if Path(sys.prefix) != REPOSITORY / ".venv" or not shutil.which("make"):
        pytest.skip("needs the .venv of `make test`")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "MAKEFLAGS", "MAKELEVEL"}
    }
    environment |= {
        "HOME": str(tmp_path),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "COURSE_HOME": str(tmp_path / "mine"),
    }
    keyboard, terminal = os.openpty()  # JupyterLab listens to Ctrl-C only where its input is a terminal
    process = subprocess.Popen(
        ["make", "lab"],
        cwd=REPOSITORY,
        env=environment,
        start_new_session=True,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        printed = ""
        while not (address := re.search(r"http://(127\.0\.0\.1):(\d+)/\S+\n", printed)):
            line = process.stdout.readline()
            assert line, "make lab printed no address:\n" + printed
            printed += line
        wait_for_listener((address[1], int(address[2])), process)
        yield process, address[0].strip()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        os.close(keyboard)
        os.close(terminal)


@pytest.fixture
def open_cells(lab) -> Callable[..., Notebook]:
    """Open a notebook of these cells after a set-up cell that imports the panel, and run the set-up. anew: in a page of its own."""

    def open_them(*cells: str, anew: bool = False) -> Notebook:
        notebook = lab.open_new(new_notebook(SETUP, *cells), anew)
        notebook.run_cell(0)
        return notebook

    return open_them


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.when == "call" and report.failed and lab:
        lab.failed = True
        pictures = lab.screenshots(item.config._tmp_path_factory.mktemp("screenshots"))
        report.sections.append(("Screenshots", "\n".join(map(str, pictures))))
        report.sections.append(("Errors in the page", "\n".join(error for n in lab.notebooks for error in n.errors)))
    return report
