"""What JupyterLab does when it starts with the course, and when it saves a notebook."""

from typing import Any

import nbformat
from nbformat.sign import NotebookNotary

from course_lib import shipped

_VIEW = "application/vnd.jupyter.widget-view+json"


def without_widget_views(model: dict, **_: object) -> None:
    """Leave out of a saved notebook the widgets whose output has a static picture too, and those with nothing else to show.

    A widget lives in the kernel. Opened again with another kernel, it would read "model not found"; the picture stays
    readable. Jupyter Server's contents manager calls it before each save: it changes what goes to disk, not the screen.
    A notebook that has nothing of the course in it is saved as it is.
    """
    if model.get("type") != "notebook" or not model.get("content"):
        return
    cells = model["content"].get("cells", [])
    if not any("course_lib" in "".join(cell.get("source", "")) for cell in cells):
        return
    for cell in cells:
        if "outputs" in cell:
            cell["outputs"] = [output for output in cell["outputs"] if set(output.get("data", {})) != {_VIEW}]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            # An empty text stands for what is over, a bar of progress.
            if "text/html" in data or not data.get("text/plain", "none"):
                data.pop(_VIEW, None)
    model["content"].get("metadata", {}).pop("widgets", None)


def trust_shipped(notary: NotebookNotary) -> None:
    """Sign the notebooks that are still as shipped: JupyterLab runs no script of others, and their stored films are scripts.

    One that was changed by anybody, by a byte, gets its signature from who runs it, as always.
    """
    for content in shipped.unchanged():
        notebook = nbformat.reads(content.decode(), as_version=4)
        if not notary.check_signature(notebook):
            notary.sign(notebook)


# The two functions by which Jupyter Server knows an extension.


def _jupyter_server_extension_points() -> list[dict]:
    return [{"module": "course_lib.jupyter_extension"}]


def _load_jupyter_server_extension(server: Any) -> None:
    shipped.put_aside()  # before anybody can save
    trust_shipped(server.contents_manager.notary)
    server.contents_manager.register_pre_save_hook(without_widget_views)
