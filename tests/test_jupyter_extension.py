"""What JupyterLab does with the notebooks when it starts, and what is left out when it saves one."""

import copy

import nbformat
from nbformat.sign import NotebookNotary

from course_lib import folders, shipped
from course_lib.jupyter_extension import trust_shipped, without_widget_views

VIEW = "application/vnd.jupyter.widget-view+json"


def notebook(*outputs: dict) -> dict:
    cells = [{"cell_type": "markdown"}, {"cell_type": "code", "source": "from course_lib import lab", "outputs": [*outputs]}]
    return {"type": "notebook", "content": {"cells": cells, "metadata": {"widgets": {}, "kernelspec": {}}}}


def test_a_widget_with_a_picture_is_saved_as_the_picture():
    model = notebook({"data": {VIEW: {}, "text/html": "<table>", "text/plain": "panel"}}, {"output_type": "stream"})
    without_widget_views(model=model, path="x.ipynb")
    assert model["content"]["cells"][1]["outputs"][0]["data"] == {"text/html": "<table>", "text/plain": "panel"}
    assert model["content"]["metadata"] == {"kernelspec": {}}


def test_a_widget_without_one_is_left_alone():
    model = notebook({"data": {VIEW: {}, "text/plain": "IntSlider()"}})
    without_widget_views(model=model)
    assert VIEW in model["content"]["cells"][1]["outputs"][0]["data"]


def test_a_bar_of_progress_that_is_over_is_saved_as_nothing():
    model = notebook({"data": {VIEW: {}, "text/plain": ""}})
    without_widget_views(model=model)
    assert model["content"]["cells"][1]["outputs"] == [{"data": {"text/plain": ""}}]


def test_controls_without_any_text_are_not_saved():
    model = notebook({"output_type": "stream", "text": "1.1 passed."}, {"data": {VIEW: {}}})
    without_widget_views(model=model)
    assert model["content"]["cells"][1]["outputs"] == [{"output_type": "stream", "text": "1.1 passed."}]


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
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"{name}.ipynb")
    monkeypatch.setattr(folders, "COURSE", tmp_path)
    monkeypatch.setattr(shipped, "_LIST", tmp_path / "shipped.json")
    monkeypatch.chdir(tmp_path)
    shipped.write_list(tmp_path)
    changed = tmp_path / "01_changed.ipynb"
    changed.write_text(changed.read_text().replace("<script>", "<script>alert()"))
    notary = NotebookNotary(db_file=":memory:", secret=b"secret")
    trust_shipped(notary)
    trusted = {path.stem: notary.check_signature(nbformat.read(path, 4)) for path in tmp_path.glob("*.ipynb")}
    assert trusted == {"00_start_here": True, "01_changed": False}
