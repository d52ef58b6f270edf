"""A notebook that is reset while JupyterLab has it open: the old text is not saved over the new one unasked."""

import subprocess
import sys

from playwright.sync_api import expect

from course_lib import shipped

NAME = "00_start_here.ipynb"
SHIPPED_AGAIN = "() => !theNotebook().content.widgets.some(c => c.model.sharedModel.source.includes('my_own_work'))"


def reset(lab) -> str:
    return subprocess.run(
        [sys.executable, "-m", "course_lib", "reset", "00"], cwd=lab.folder, check=True, capture_output=True, text=True
    ).stdout


def source(notebook) -> str:
    return notebook.page.evaluate("() => theNotebook().content.widgets.map(c => c.model.sharedModel.source).join('')")


def test_reset_while_the_notebook_is_open_overwrites_nothing_unasked_and_is_shown_when_reloaded(lab):
    (lab.folder / NAME).write_bytes(shipped.read(NAME))
    notebook = lab.open(NAME)
    notebook.write(2, "my_own_work = 1")
    notebook.save()
    said = reset(lab)
    [kept] = lab.folder.glob("*_before_reset_*")
    assert b"my_own_work" in kept.read_bytes() and kept.name in said
    assert (lab.folder / NAME).read_bytes() == shipped.read(NAME)

    notebook.write(2, "my_own_work = 2")
    notebook.page.evaluate("() => { jupyterapp.commands.execute('docmanager:save') }")
    dialog = notebook.page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("changed on disk")  # it asks: nothing is overwritten unasked
    assert b"my_own_work" not in (lab.folder / NAME).read_bytes()
    dialog.get_by_role("button", name="Revert").click()
    expect(dialog).to_have_count(0)
    notebook.page.wait_for_function(SHIPPED_AGAIN)
    assert (lab.folder / NAME).read_bytes() == shipped.read(NAME)

    notebook.write(2, "my_own_work = 3")
    notebook.save()
    reset(lab)
    notebook.page.get_by_role("menuitem", name="File").click()
    notebook.page.get_by_role("menuitem", name="Reload Notebook from Disk").click()
    dialog = notebook.page.locator(".jp-Dialog")  # it asks where the notebook has changed since it was saved
    notebook.page.wait_for_function(f"() => ({SHIPPED_AGAIN})() || document.querySelector('.jp-Dialog')")
    if dialog.count():
        dialog.get_by_role("button", name="Reload").click()
    notebook.page.wait_for_function(SHIPPED_AGAIN)
