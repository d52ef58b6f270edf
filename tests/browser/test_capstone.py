"""Notebook 09 in a real page: the frame shows what the learner's loop has served, from an origin that is not Jupyter's."""

import re

from playwright.sync_api import expect

NOTEBOOK = "09_capstone.ipynb"


def cells_until(notebook, tag: str) -> list[int]:
    """The code cells from the top to the one with this tag, but no panel and none that runs a program of the machine."""
    return notebook.page.evaluate(
        """tag => {
            const cells = theNotebook().content.widgets;
            const tags = cell => cell.model.getMetadata("tags") || [];
            const last = cells.findIndex(cell => tags(cell).includes(tag));
            const skipped = cell => tags(cell).includes("nbval-ignore-output") && !tags(cell).includes("frame");
            return cells.map((cell, i) => i).filter(i => i <= last && cells[i].model.type === "code" && !skipped(cells[i]));
        }""",
        tag,
    )


def test_the_frame_shows_the_page_of_the_learners_loop_and_the_last_page_leads_back_to_a_notebook(lab):
    notebook = lab.open(NOTEBOOK)
    for cell in cells_until(notebook, "frame"):
        notebook.run_cell(cell)
    frame = notebook.output("frame").locator("iframe")
    expect(frame).to_have_attribute("src", re.compile(r"^http://127\.0\.0\.1:\d+/$"))
    assert frame.get_attribute("src").rstrip("/") != notebook.page.evaluate("location.origin")
    page = notebook.output("frame").frame_locator("iframe")
    expect(page.get_by_role("heading")).to_have_text("Served by your own loop")
    expect(page.get_by_role("listitem")).to_have_count(12)
    expect(notebook.run_cell("most")).to_contain_text("2 to 6")
    for theme in notebook.themes():  # the page brings its own colours
        notebook.cell("frame")
        expect(page.locator("body")).to_have_css("color", "rgb(34, 34, 34)")
        expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    assert notebook.errors == []

    notebook.write(-2, "rewritten()")
    notebook.run_cell(-2).get_by_role("link", name="06_epoll").click()
    notebook.page.wait_for_function("() => jupyterapp.shell.currentWidget?.title.label === '06_epoll.ipynb'")
