"""Each notebook of the main path is one sitting, and says how long it takes."""

import re

import minutes
import nbformat
import pytest

MAIN = minutes.main_path()
EACH = pytest.mark.parametrize("path", MAIN, ids=lambda path: path.stem)
MOST_CELLS, MOST_WORDS, MOST_GUESSES = 60, 1800, 6


def prose(path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def shown(cell) -> list[str]:
    return [output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", [])]


def named(path) -> int:
    (told,) = re.findall(r"\*\*Time:\*\* about (\d+) minutes", prose(path))
    return int(told)


@EACH
def test_the_time_that_it_names_is_counted_and_an_hour_at_most(path):
    counted = sum(minutes.parts(path).values())
    assert abs(named(path) - counted) <= 1, f"about {counted:.0f} minutes"
    assert max(named(path), round(counted)) <= minutes.MOST


def test_the_first_notebook_names_the_same_times():
    stored = [text for cell in nbformat.read(MAIN[0], as_version=4).cells for text in shown(cell)]
    assert re.findall(r"(?m)^(\d\d) · .*, (\d+) minutes: not begun$", "\n".join(stored)) == [
        (path.name[:2], str(named(path))) for path in MAIN
    ]


@EACH
def test_it_is_short(path):
    cells = nbformat.read(path, as_version=4).cells
    assert len(cells) <= MOST_CELLS
    assert len(prose(path).split()) <= MOST_WORDS
    assert sum(len(re.findall(r"^guess\(", cell.source, re.MULTILINE)) for cell in cells) <= MOST_GUESSES


def test_what_is_counted(tmp_path):
    new = nbformat.v4
    cells = [
        new.new_markdown_cell("# Title\n\n" + "word " * 149 + "\n\n## 1 · First\n\n" + "**word** " * 147),
        new.new_code_cell("import socket\nimport select"),  # what is imported is not read
        new.new_code_cell('guess(\n    "key", "What?",\n    "a", "b")'),
        new.new_code_cell("a = 1\n\nb = 2"),
        new.new_markdown_cell("## 2 · Second\n\n### 2.2 · `Lines`\n\n" + "word " * 500),
        new.new_code_cell("class Lines:\n    pass", metadata={"tags": ["exercise-2.2"]}),
        new.new_code_cell('check("2.2", Lines)'),
        new.new_markdown_cell("## 3 · Third"),
        new.new_code_cell(
            "source(Lines)", outputs=[new.new_output("execute_result", {"text/plain": "class Lines:\n\n    pass"})]
        ),
    ]
    nbformat.write(new.new_notebook(cells=cells), path := tmp_path / "02_x.ipynb")
    assert minutes.parts(path) == pytest.approx(
        {"Title": 1, "1 · First": 1 + 0.75 + 0.2, "2 · Second": 1.7 * 8 + 3 / 150, "3 · Third": 3 / 150 + 0.2}
    )


def test_it_prints_the_parts(capsys):
    assert minutes.main(["00", "01"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if "_" in line] == ["00_start_here", "01_file_descriptors"]
    assert any(line.endswith("7 · Exercises") and float(line.split()[0]) > 10 for line in lines)
