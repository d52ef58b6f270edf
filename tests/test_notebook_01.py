"""What nbval cannot see of notebook 01: under pytest, ipykernel leaves the standard streams of its process alone."""

from outputs import NOTEBOOKS, client, environment, read, text


def outcome(notebook, key) -> str:
    """The text of the cell that compares this guess."""
    return text(next(cell for cell in notebook.cells if f'compare("{key}"' in cell.source))


def test_the_standard_streams_of_a_learners_notebook(tmp_path):
    path = NOTEBOOKS / "more/01_file_descriptors_more.ipynb"
    notebook = read(path)
    settings = environment(tmp_path)
    settings.pop("PYTEST_CURRENT_TEST")  # ipykernel looks for it (ipykernel/iostream.py, OutStream)
    client(notebook, folder=path.parent).execute(env=settings)
    assert outcome(notebook, "stdout-number").endswith("The outcome: another number.")
    assert "the same for 2 and sys.stderr: True" in outcome(notebook, "which-arrives")
    assert outcome(notebook, "which-arrives").endswith("The outcome: only what is written to 1.")
