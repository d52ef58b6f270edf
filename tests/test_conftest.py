"""How the tests are shared out among processes: one that dies costs the test that it was at, and no other."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import os, pytest
@pytest.mark.parametrize("number", range(12))
def test_it(number):
    if number == 3:
        os._exit(1)
"""


def test_a_test_in_which_its_process_ends_has_failed_once_and_all_others_run(tmp_path):
    (tmp_path / "test_them.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "conftest", "-n", "2", "--dist", "loadgroup"]
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {"PYTHONPATH": path}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True).stdout
    assert "crashed while running 'test_them.py::test_it[3]'" in said and "1 failed, 11 passed" in said, said
