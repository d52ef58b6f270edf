"""The page's console stays clean in a whole notebook, and after its kernel was restarted and the page loaded again."""

import pytest


@pytest.mark.parametrize("name", ["02_blocking_server", "06_epoll"])
def test_a_whole_notebook_leaves_no_error_in_the_console(lab, name):
    notebook = lab.open(f"{name}.ipynb")
    page = notebook.page
    page.on("console", lambda message: message.type == "error" and notebook.errors.append(message.text))
    notebook.command("notebook:run-all-cells", wait=False)
    notebook.wait_all_run(timeout=240_000)
    notebook.save()
    assert notebook.errors == []
    notebook.restart()
    page.wait_for_function("() => !document.querySelector('.jupyterlab-sidecar')")
    assert notebook.errors == []
    page.reload()
    page.wait_for_function("() => window.jupyterapp && theNotebook()")
    notebook._kernel_ready()
    notebook.run_cell(0)
    assert notebook.errors == []
