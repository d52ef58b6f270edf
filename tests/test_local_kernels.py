"""A kernel of the tests, or of a validation, talks by sockets of its own."""

import tempfile
from pathlib import Path

import pytest
from outputs import execute, new_notebook, text

from course_lib.grading.local_kernels import local_sockets


@pytest.mark.parametrize("folder, transport", [("t", "ipc"), ("a folder with a long name " * 4, "tcp")])
def test_it_talks_by_local_sockets_where_their_names_fit(folder, transport, tmp_path, monkeypatch):
    with tempfile.TemporaryDirectory() as short:
        there = Path(short, folder)
        there.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(there))
        assert transport_of_a_kernel(tmp_path) == transport
        assert list(there.iterdir()) == []


def transport_of_a_kernel(home: Path) -> str:
    asks = "import json\nfrom ipykernel.connect import get_connection_info\nprint(json.loads(get_connection_info())['transport'])"
    notebook = new_notebook(asks)
    execute(notebook, home)
    return text(notebook.cells[0]).strip()


def test_no_two_have_the_same_names():
    assert local_sockets() != local_sockets()
