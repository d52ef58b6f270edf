"""What is left out when JupyterLab saves a notebook."""

from course_lib.saving import without_widget_views

VIEW = "application/vnd.jupyter.widget-view+json"


def notebook(*outputs: dict) -> dict:
    cells = [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": [*outputs]}]
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


def test_controls_without_any_text_are_not_saved():
    model = notebook({"output_type": "stream", "text": "1.1 passed."}, {"data": {VIEW: {}}})
    without_widget_views(model=model)
    assert model["content"]["cells"][1]["outputs"] == [{"output_type": "stream", "text": "1.1 passed."}]


def test_other_files_are_left_alone():
    for model in ({"type": "file", "content": "text"}, {"type": "notebook", "content": None}, {"type": "directory"}):
        before = dict(model)
        without_widget_views(model=model)
        assert model == before
