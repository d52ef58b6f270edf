"""A notebook as it is shipped gives no outcome away: opened fresh, the view at a guess holds no word of what explains it."""

import ast
import html
import re

import nbformat
import outputs
import pytest
from places import at_last
from playwright.sync_api import expect

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
    const lines = [], shown = { visibilityProperty: true, opacityProperty: true, contentVisibilityAuto: true };
    const read = node => {
        if (node.nodeType === Node.TEXT_NODE) {
            const range = node.ownerDocument.createRange();
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


def words(text: str) -> str:
    return " ".join(text.split())


def sentences(key: str) -> list[str]:
    """What explains this guess, as it is read: without mark-up, the sentences that say more than a name."""
    text = html.unescape(re.sub(r"</?(code|em|strong|a)\b[^>]*>", "", explanations()[key]))
    parts = (words(one) for block in re.split(r"<[^>]+>", text) for one in re.split(r"(?<=[.!?:])\s+", block))
    return [one for one in parts if len(one) > 30]


def asked(cell: nbformat.NotebookNode, name: str) -> list[str]:
    """The keys of the calls of `guess` or `compare` in a cell."""
    if cell.cell_type != "code" or f"{name}(" not in cell.source:
        return []
    calls = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return [ast.literal_eval(call.args[0]) for call in calls if call.func.id == name]


def view(notebook, cell: int, where: str, text: str) -> str:
    """What is seen when a cell is scrolled to, once this text is among it: what comes into view may move the rest."""
    return at_last(notebook.page, lambda: words(notebook.cell(cell).evaluate(SEEN, where)), lambda seen: text in seen)


@pytest.mark.parametrize("path", MAIN, ids=lambda path: path.stem)
def test_no_view_at_a_guess_tells_its_outcome(lab, path):
    cells = nbformat.read(path, as_version=4).cells
    guesses = [(index, key) for index, cell in enumerate(cells) for key in asked(cell, "guess")]
    notebook = lab.open(path.name)
    told = []
    for index, key in guesses:
        for where in ("start", "end"):  # the question at the top of the view, and at its bottom
            expect(notebook.output(index)).to_contain_text("guess")
            question = words(cells[index].outputs[0].data["text/plain"].splitlines()[-1].strip("- "))
            seen = view(notebook, index, where, question)
            told += [(key, where, one) for one in sentences(key) if one in seen]
            told += [(key, where, one) for one in expectations()[key] if f"The outcome: {one}" in seen]
    assert guesses and told == []


def test_what_is_told_would_be_seen(lab):
    """The probe itself: the same stored cell unfolded, with its explanation open, is found."""
    path = next(path for path in MAIN if path.name.startswith("02_"))
    book = nbformat.read(path, as_version=4)
    index, key = next((i, k) for i, cell in enumerate(book.cells) for k in asked(cell, "compare"))
    cell = book.cells[index]
    cell.metadata.pop("jupyter", None), cell.metadata.pop("collapsed", None)
    for output in cell.outputs:
        output.data["text/html"] = "".join(output.data["text/html"]).replace("<details", "<details open")
    nbformat.write(book, lab.folder / path.name)
    notebook = lab.open(path.name)
    expect(notebook.output(index)).to_contain_text(sentences(key)[0])
    view(notebook, index, "start", sentences(key)[0])
