"""The page's console stays clean in a whole notebook, and after its kernel was restarted and the page loaded again."""

import pytest


def is_error(message) -> bool:
    """That a connection was cut while the kernel or the page began anew is no fault of a widget."""
    return message.type == "error" and not message.text.startswith(("Failed to load resource", "WebSocket connection"))


@pytest.mark.parametrize("name", ["02_blocking_server", "06_epoll"])
def test_a_whole_notebook_leaves_no_error_in_the_console(lab, name):
    errors = []
    lab.context.on("console", lambda message: is_error(message) and errors.append(message.text))
    lab.context.on("weberror", lambda raised: errors.append(str(raised.error)))
    notebook = lab.open(f"{name}.ipynb", anew=True)
    notebook.run_all(wait=False)
    notebook.wait_all_run(timeout=600_000)
    notebook.save()
    assert errors == []
    notebook.restart()
    notebook.page.wait_for_function("() => !document.querySelector('.jupyterlab-sidecar')")
    assert errors == []
    notebook.reload()
    notebook.run_cell(0)
    assert errors == []
