"""The notebooks say of each exercise what its text says."""

import copy

import nbformat
import pytest
from exercise_cells import exercises_of, write
from outputs import notebooks

PATHS = [path for path in notebooks() if exercises_of(path)]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_its_cells_are_as_the_texts_say(path):
    notebook = nbformat.read(path, as_version=4)
    written = copy.deepcopy(notebook)
    write(written, exercises_of(path))
    for cell, now in zip(notebook.cells, written.cells, strict=True):
        assert cell.source == now.source, "run `make cells`"


def test_an_exercise_that_is_new_gets_its_cells_behind_the_one_before():
    path = PATHS[0]
    notebook = nbformat.read(path, as_version=4)
    first, second, *_ = exercises_of(path)
    whole = [cell.source for cell in notebook.cells]
    begin = next(number for number, cell in enumerate(notebook.cells) if f"### {second.id} " in cell.source)
    del notebook.cells[begin : begin + 3]
    write(notebook, exercises_of(path))
    assert [cell.source for cell in notebook.cells] == whole


def test_a_task_without_a_place_is_told():
    notebook = nbformat.read(PATHS[0], as_version=4)
    first = exercises_of(PATHS[0])[0]
    for cell in notebook.cells:
        cell.source = cell.source.replace("*About", "About")
    with pytest.raises(ValueError, match=f"{first.id} needs one text"):
        write(notebook, [first])
