"""What JupyterLab does with the notebooks when it starts, and what is left out when it saves one."""

import copy

import nbformat
import pytest
from nbformat.sign import NotebookNotary
from outputs import WIDGET_VIEW as VIEW
from outputs import new_notebook, read

from course_lib import folders, shipped
from course_lib.jupyter_extension import trust_shipped, without_widget_views

PICTURE = {"text/html": "<table>", "text/plain": "panel"}
PRINTED = {"output_type": "stream", "text": "1.1 passed."}


def notebook(*outputs: dict) -> dict:
    cells = [{"cell_type": "markdown"}, {"cell_type": "code", "source": "from course_lib import lab", "outputs": [*outputs]}]
    return {"type": "notebook", "content": {"cells": cells, "metadata": {"widgets": {}, "kernelspec": {}}}}


@pytest.mark.parametrize(
    "outputs, saved",
    [
        ([{"data": {VIEW: {}, **PICTURE}}, PRINTED], [{"data": PICTURE}, PRINTED]),
        ([{"data": {VIEW: {}, "text/plain": "IntSlider()"}}], [{"data": {VIEW: {}, "text/plain": "IntSlider()"}}]),
        ([{"data": {VIEW: {}, "text/plain": ""}}], [{"data": {"text/plain": ""}}]),
        ([PRINTED, {"data": {VIEW: {}}}], [PRINTED]),
    ],
    ids=[
        "a widget as its picture",
        "one without as it is",
        "a bar of progress that is over as nothing",
        "controls without text not",
    ],
)
def test_what_is_saved_of_a_widget(outputs, saved):
    model = notebook(*outputs)
    without_widget_views(model=model, path="x.ipynb")
    assert model["content"]["cells"][1]["outputs"] == saved
    assert model["content"]["metadata"] == {"kernelspec": {}}


def test_a_notebook_that_has_nothing_of_the_course_is_left_alone():
    model = notebook({"data": {VIEW: {}, "text/html": "<table>"}}, {"data": {VIEW: {}}})
    model["content"]["cells"][1]["source"] = ["from ipywidgets import IntSlider\n", "IntSlider()"]
    before = copy.deepcopy(model)
    without_widget_views(model=model)
    assert model == before


def test_other_files_are_left_alone():
    for model in ({"type": "file", "content": "text"}, {"type": "notebook", "content": None}, {"type": "directory"}):
        before = dict(model)
        without_widget_views(model=model)
        assert model == before


def test_only_what_is_as_shipped_is_trusted(tmp_path, monkeypatch):
    for name, text in ("00_start_here", "as shipped"), ("01_changed", "as shipped too"):
        cells = [nbformat.v4.new_code_cell(text, outputs=[nbformat.v4.new_output("display_data", {"text/html": "<script>"})])]
        nbformat.write(new_notebook(*cells), tmp_path / f"{name}.ipynb")
    monkeypatch.setattr(folders, "COURSE", tmp_path)
    monkeypatch.setattr(shipped, "_LIST", tmp_path / "shipped.json")
    monkeypatch.chdir(tmp_path)
    shipped.write_list(tmp_path)
    changed = tmp_path / "01_changed.ipynb"
    changed.write_text(changed.read_text().replace("<script>", "<script>alert()"))
    notary = NotebookNotary(db_file=":memory:", secret=b"secret")
    trust_shipped(notary)
    trusted = {path.stem: notary.check_signature(read(path)) for path in tmp_path.glob("*.ipynb")}
    assert trusted == {"00_start_here": True, "01_changed": False}
