"""What a learner sees first: JupyterLab as `make lab` starts it, and notebooks that have not been run.

Those show their stored outputs, and give no outcome away: the view at a guess holds no word of what explains it.
"""

import html
import os
import re
import signal

import nbformat
import outputs
import pytest
from outputs import MAY_RAISE, WIDGET_VIEW, calls, read, tags
from places import at_last
from playwright.sync_api import expect
from real_lab import new_context

from course_lib import folders
from course_lib.lesson.guesses import expectations, explanations

MAIN = [path for path in outputs.notebooks() if path.parent == folders.COURSE]
# The text in the view, as a reader sees it: folded, hidden and scrolled away are left out. A stored picture of a card is
# a tree of its own (a shadow root), and a film may be a frame.
SEEN = """async (cell, block) => {
    for (const again of [1, 2]) {  // what comes into view is drawn first, and may move the rest
        cell.scrollIntoView({ block });
        await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)));
    }
    // Each change of a page looks at each range there is: this one is for all.
    const range = document.createRange(), lines = [], shown = { visibilityProperty: true, opacityProperty: true, contentVisibilityAuto: true };
    const read = node => {
        if (node.nodeType === Node.TEXT_NODE) {
            range.selectNodeContents(node);
            const inside = [...range.getClientRects()].some(r => r.width && r.bottom > 0 && r.top < innerHeight);
            const size = parseFloat(getComputedStyle(node.parentElement ?? node.getRootNode().host).fontSize);
            if (inside && size && (node.parentElement?.checkVisibility(shown) ?? true)) lines.push(node.data);
        }
        node.childNodes.forEach(read);
        if (node.shadowRoot) read(node.shadowRoot);
    };
    read(document.querySelector(".jp-Notebook"));
    return lines.join("");
}"""


def stored(notebook, index, cell):
    """Where the stored outputs of a cell are: in sight, or folded until it has run."""
    folded = cell.metadata.get("jupyter", {}).get("outputs_hidden")
    return notebook.cell(index).locator(".jp-OutputPlaceholder") if folded else notebook.output(index)


def words(text: str) -> str:
    return " ".join(text.split())


def sentences(key: str) -> list[str]:
    """What explains this guess, as it is read: without mark-up, the sentences that say more than a name."""
    text = html.unescape(re.sub(r"</?(code|em|strong|a)\b[^>]*>", "", explanations()[key]))
    parts = (words(one) for block in re.split(r"<[^>]+>", text) for one in re.split(r"(?<=[.!?:])\s+", block))
    return [one for one in parts if len(one) > 30]


def asked(cell: nbformat.NotebookNode, name: str) -> list[str]:
    """The keys of the calls of `guess` or `compare` in a cell."""
    return [key for key, _ in calls(cell.source, name)] if cell.cell_type == "code" else []


def view(notebook, cell: int, where: str, text: str) -> str:
    """What is seen when a cell is scrolled to, once this text is among it: what comes into view may move the rest."""
    return at_last(notebook.page, lambda: words(notebook.cell(cell).evaluate(SEEN, where)), lambda seen: text in seen)


@pytest.mark.parametrize("path", MAIN, ids=lambda path: path.stem)
def test_opened_without_running_it_shows_its_stored_outputs_and_tells_no_outcome_at_a_guess(lab, path):
    notebook, cells = lab.open(path.name), read(path).cells
    for index, cell in enumerate(cells):
        if cell.get("outputs"):
            shown = stored(notebook, index, cell)
            if cell.metadata.get("jupyter", {}).get("outputs_hidden"):
                expect(shown).to_be_visible()  # the fold; that of a picture alone has no words
            else:
                expect(shown).not_to_be_empty()
            expect(shown).not_to_contain_text("model not found")
            if not MAY_RAISE & tags(cell):
                expect(shown).not_to_contain_text("Traceback (most recent call last)")

    guesses, told = [(index, key) for index, cell in enumerate(cells) for key in asked(cell, "guess")], []
    for index, key in guesses:
        for where in ("start", "end"):  # the question at the top of the view, and at its bottom
            expect(notebook.output(index)).to_contain_text("guess")
            question = words(cells[index].outputs[0].data["text/plain"].splitlines()[-1].strip("- "))
            seen = view(notebook, index, where, question)
            told += [(key, where, one) for one in sentences(key) if one in seen]
            told += [(key, where, one) for one in expectations()[key] if f"The outcome: {one}" in seen]
    assert guesses and told == []
    expect(notebook.page.locator(".jp-Dialog")).to_have_count(0)
    assert notebook.errors == []


def test_what_is_told_would_be_seen(lab):
    """The probe itself: the same stored cell unfolded, with its explanation open, is found."""
    path = next(path for path in MAIN if path.name.startswith("02_"))
    book = read(path)
    index, key = next((i, k) for i, cell in enumerate(book.cells) for k in asked(cell, "compare"))
    cell = book.cells[index]
    cell.metadata.pop("jupyter", None), cell.metadata.pop("collapsed", None)
    for output in cell.outputs:
        output.data["text/html"] = "".join(output.data["text/html"]).replace("<details", "<details open")
    nbformat.write(book, lab.folder / path.name)
    notebook = lab.open(path.name)
    expect(notebook.output(index)).to_contain_text(sentences(key)[0])
    view(notebook, index, "start", sentences(key)[0])


def test_saved_with_live_widgets_and_opened_with_another_kernel_shows_their_pictures(lab):
    notebook = lab.open("00_start_here.ipynb")
    notebook.run_all()
    panel = notebook.page.locator(".observatory").first
    expect(panel).to_be_visible()
    notebook.save()
    expect(panel).to_be_visible()  # saving changes the file, not the screen
    notebook.page.close()
    lab.server.stop_kernels()

    saved = read(lab.folder / "00_start_here.ipynb")
    assert WIDGET_VIEW not in str(saved.cells) and "widgets" not in saved.metadata
    notebook = lab.open("00_start_here.ipynb")
    for index, cell in enumerate(saved.cells):
        if cell.get("outputs"):
            expect(stored(notebook, index, cell)).not_to_be_empty()
    expect(notebook.page.get_by_text("model not found")).to_have_count(0)


def test_make_lab_opens_the_first_notebook_with_no_pop_up(make_lab, browser):
    process, address = make_lab
    assert "/lab/tree/00_start_here.ipynb?token=" in address
    with new_context(browser) as context:
        page = context.new_page()
        page.goto(address)
        expect(page.locator(".jp-Notebook")).to_be_visible()
        expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
        expect(page.locator(".jp-Dialog")).to_have_count(0)
        expect(page.locator(".Toastify__toast")).to_have_count(0)
    os.killpg(process.pid, signal.SIGINT)  # Ctrl-C reaches make and JupyterLab
    rest = process.communicate()[0]
    raised = set(re.findall(r"^([\w.]+(?:Error|Exception)\b).*$", rest, re.MULTILINE))
    # A message was on its way to the page.
    closed = {"tornado.iostream.StreamClosedError", "tornado.websocket.WebSocketClosedError"}
    assert "Shutting down" in rest and raised <= closed, rest
