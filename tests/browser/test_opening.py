"""What a learner sees first: JupyterLab as `make lab` starts it, and notebooks that have not been run."""

import os
import re
import signal
from pathlib import Path

import nbformat
import pytest
from outputs import WIDGET_VIEW
from playwright.sync_api import expect
from real_lab import PATIENCE

STORED = sorted(path.name for path in (Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def stored(notebook, index, cell):
    """Where the stored outputs of a cell are: in sight, or folded until it has run."""
    folded = cell.metadata.get("jupyter", {}).get("outputs_hidden")
    return notebook.cell(index).locator(".jp-OutputPlaceholder") if folded else notebook.output(index)


@pytest.mark.parametrize("name", STORED)
def test_opened_without_running_shows_its_stored_outputs(lab, name):
    notebook = lab.open(name)
    for index, cell in enumerate(nbformat.read(lab.folder / name, as_version=4).cells):
        if cell.get("outputs"):
            shown = stored(notebook, index, cell)
            if cell.metadata.get("jupyter", {}).get("outputs_hidden"):
                expect(shown).to_be_visible()  # the fold; that of a picture alone has no words
            else:
                expect(shown).not_to_be_empty()
            expect(shown).not_to_contain_text("model not found")
            if not {"raises-exception", "nbval-raises-exception"} & set(cell.metadata.get("tags", [])):
                expect(shown).not_to_contain_text("Traceback (most recent call last)")
    expect(notebook.page.locator(".jp-Dialog")).to_have_count(0)
    assert notebook.errors == []


def test_saved_with_live_widgets_and_opened_with_another_kernel_shows_their_pictures(lab):
    notebook = lab.open("00_start_here.ipynb")
    notebook.run_all()
    panel = notebook.page.locator(".observatory").first
    expect(panel).to_be_visible()
    notebook.save()
    expect(panel).to_be_visible()  # saving changes the file, not the screen
    notebook.page.close()
    lab.server.stop_kernels()

    saved = nbformat.read(lab.folder / "00_start_here.ipynb", as_version=4)
    assert WIDGET_VIEW not in str(saved.cells) and "widgets" not in saved.metadata
    notebook = lab.open("00_start_here.ipynb")
    for index, cell in enumerate(saved.cells):
        if cell.get("outputs"):
            expect(stored(notebook, index, cell)).not_to_be_empty()
    expect(notebook.page.get_by_text("model not found")).to_have_count(0)


def test_make_lab_opens_the_first_notebook_with_no_pop_up(make_lab, browser):
    process, address = make_lab
    assert "/lab/tree/00_start_here.ipynb?token=" in address
    with browser.new_context() as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto(address)
        expect(page.locator(".jp-Notebook")).to_be_visible()
        expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
        expect(page.locator(".jp-Dialog")).to_have_count(0)
        expect(page.locator(".Toastify__toast")).to_have_count(0)
    os.killpg(process.pid, signal.SIGINT)  # Ctrl-C reaches make and JupyterLab
    rest = process.communicate()[0]
    raised = set(re.findall(r"^([\w.]+(?:Error|Exception)\b).*$", rest, re.MULTILINE))
    closed = {
        "tornado.iostream.StreamClosedError",
        "tornado.websocket.WebSocketClosedError",
    }  # a message was on its way to the page
    assert "Shutting down" in rest and raised <= closed, rest
