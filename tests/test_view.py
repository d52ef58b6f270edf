"""A program that runs a notebook stores its stills and no widgets; a front end that a person sits at gets both."""

import nbformat
import pytest
from outputs import client, environment

from course_lib.widgets.view import VIEW

CELLS = (
    "from course_lib.exercises import check\nfrom course_lib.lesson import guess, parsons\nfrom course_lib.measure import live_ladder\n"
    "from course_lib.servers import SelectServer\nfrom course_lib.widgets import observe, process_table",
    "observe(SelectServer().start())",
    "process_table()",
    "guess('a-guess', 'Which one?', 'this one', 'that one')",
    "parsons('select-server')",
    "live_ladder([SelectServer])",
    "check('4.1', None)",
)


@pytest.fixture
def executed(tmp_path, request):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    runs = client(notebook, folder=tmp_path)
    runs.store_widget_state = True  # as jupyter execute does
    with runs.setup_kernel(env=environment(tmp_path)):
        runs.kc.allow_stdin = request.param
        for index, cell in enumerate(notebook.cells):
            runs.execute_cell(cell, index)
        runs.set_widgets_metadata()
    return notebook


@pytest.mark.parametrize("executed", [False], indirect=True)
def test_a_program_stores_stills_and_no_widgets(executed):
    stored = executed.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    assert [model["model_name"] for model in stored.values()] == []
    assert VIEW not in str(executed.cells)
    for cell in executed.cells[1:6]:
        assert [output.data["text/html"] for output in cell.outputs], cell.source


@pytest.mark.parametrize("executed", [True], indirect=True)
def test_a_front_end_gets_the_widgets(executed):
    assert executed.metadata.widgets
    for cell in executed.cells[1:]:
        assert any(VIEW in output.get("data", {}) for output in cell.outputs), cell.source
