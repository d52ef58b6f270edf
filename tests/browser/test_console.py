"""The page's console stays clean in a whole notebook, and after its kernel was restarted and the page loaded again."""

import pytest


def is_error(message) -> bool:
    """That a connection was cut while the kernel or the page began anew is no fault of a widget."""
    return message.type == "error" and not message.text.startswith(("Failed to load resource", "WebSocket connection"))


@pytest.mark.parametrize("name", ["02_blocking_server", "06_epoll"])
def test_a_whole_notebook_leaves_no_error_in_the_console(lab, name):
    notebook = lab.open(f"{name}.ipynb")
    page = notebook.page
    page.on("console", lambda message: is_error(message) and notebook.errors.append(message.text))
    notebook.run_all(wait=False)
    notebook.wait_all_run(timeout=600_000)
    notebook.save()
    assert notebook.errors == []
    notebook.restart()
    page.wait_for_function("() => !document.querySelector('.jupyterlab-sidecar')")
    assert notebook.errors == []
    notebook.reload()
    notebook.run_cell(0)
    assert notebook.errors == []
