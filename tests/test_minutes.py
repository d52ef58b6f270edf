"""Each notebook of the main path is one sitting, and says how long it takes."""

import re

import minutes
import nbformat
import pytest
from outputs import new_notebook, plain, read

from course_lib.claims import claim

MAIN = minutes.main_path()
EACH = pytest.mark.parametrize("path", MAIN, ids=lambda path: path.stem)
MOST_CELLS, MOST_WORDS, MOST_GUESSES = 60, 1800, 6


def prose(path) -> str:
    return "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def named(path) -> int:
    (told,) = re.findall(r"\*\*Time:\*\* about (\d+) minutes", prose(path))
    return int(told)


@EACH
def test_the_time_that_it_names_is_counted_and_an_hour_at_most(path):
    counted = sum(minutes.parts(path).values())
    assert abs(named(path) - counted) <= 1, f"about {counted:.0f} minutes"
    assert max(named(path), round(counted)) <= minutes.MOST


def test_the_first_notebook_names_the_same_times():
    stored = [plain(output) for cell in read(MAIN[0]).cells for output in cell.get("outputs", [])]
    assert re.findall(r"(?m)^(\d\d) · .*, (\d+) minutes: not begun$", "\n".join(stored)) == [
        (path.name[:2], str(named(path))) for path in MAIN
    ]


@EACH
def test_it_is_short(path):
    cells = read(path).cells
    assert len(cells) <= MOST_CELLS
    assert len(prose(path).split()) <= MOST_WORDS
    assert sum(len(re.findall(r"^guess\(", cell.source, re.MULTILINE)) for cell in cells) <= MOST_GUESSES


def cell(source, *texts, tags=()):
    outputs = [nbformat.v4.new_output("execute_result", {"text/plain": text}) for text in texts]
    return nbformat.v4.new_code_cell(source, outputs=outputs, metadata={"tags": list(tags)})


def test_what_is_counted(tmp_path):
    markdown = nbformat.v4.new_markdown_cell
    cells = [
        markdown("# Title\n\n" + "word " * 149 + "\n\n## 1 · First\n\n" + "**word** " * 147),
        cell("import socket\nimport select"),  # what is imported is not read
        cell('guess(\n    "key", "What?",\n    "a", "b")'),
        cell("a = 1\n\nb = 2", "so many\nlines"),
        markdown("## 2 · Second\n\n### 2.2 · `Lines`\n\n" + "word " * 500),
        cell("class Lines:\n    pass", tags=["exercise-2.2"]),
        cell('check("2.2", Lines)'),
        markdown("## 3\n\n"),
        cell("source(Lines)", "class Lines:\n\n    pass"),
        cell("side_by_side(Lines, Other)", "- Lines, + Other\n  pass"),
        markdown("## 4"),
        cell("film(A(), script)", "<Film of A: 14 moments>"),
        cell("pair", "<Film of A: 14 moments> beside <Film of B: 20 moments>"),
        markdown("## 5\n\n| do this | and see |\n| --- | --- |\n| **Hold** | nothing |\n| **Run on** | all |\n"),
        markdown("## 6"),
        cell('verdict("C06", "C15")'),
    ]
    nbformat.write(new_notebook(*cells), path := tmp_path / "02_x.ipynb")
    found = minutes.parts(path)
    judged = sum(len(f"{claim(id).english} {claim(id).correction}".split()) for id in ("C06", "C15"))
    assert found.pop("6") * 150 == pytest.approx(1 + judged, abs=9)  # what is code counts by its words
    assert found == pytest.approx(
        {
            "Title": 1,
            "1 · First": 1 + 0.75 + 0.2,
            "2 · Second": 1.7 * 8 + 3 / 150,
            "3": 1 / 150 + 0.4,
            "4": 1 / 150 + (14 + 20) / 20 + 0.1,
            "5": 10 / 150 + 2 * 0.5,
        }
    )


def test_it_prints_the_parts(capsys):
    assert minutes.main(["00", "01"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines if "_" in line] == ["00_start_here", "01_file_descriptors"]
    assert any(line.endswith("7 · Exercises") and float(line.split()[0]) > 10 for line in lines)
