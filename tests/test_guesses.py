"""What the course expects of its experiments: each guess says it, and what is stored agrees."""

import ast
import json
import re
from collections import Counter
from pathlib import Path

import nbformat
import outputs
import pytest
from cards import picture
from outputs import calls, code, new_notebook, plain, read

from course_lib import journal
from course_lib.lesson import compare, guess, guesses, summary
from course_lib.lesson.card import unbroken
from course_lib.lesson.guesses import expectations, explanations

EXPECTED = sorted(Path(guesses.__file__).parent.glob("expected/*.json"))
WHY = [  # each heading, and the text below it
    part
    for path in sorted(Path(guesses.__file__).parent.glob("why/*.md"))
    for part in re.findall(r"(?ms)^## *(.*?) *$(.*?)(?=^## |\Z)", path.read_text(encoding="utf-8"))
]


EACH = pytest.mark.parametrize("path", outputs.notebooks(), ids=lambda path: path.stem)
CELLS = [(path, cell) for path in outputs.notebooks() for cell in code(read(path))]
GUESSES = {
    key: [ast.literal_eval(option) for option in asked[1:]] for _, cell in CELLS for key, asked in calls(cell.source, "guess")
}


def test_every_guess_has_an_expectation_among_its_options():
    assert set(GUESSES) == set(expectations())
    for key, options in expectations().items():
        assert set(options) <= set(GUESSES[key]), key


def test_no_guess_is_expected_in_two_files():
    keys = Counter(key for path in EXPECTED for key in json.loads(path.read_text(encoding="utf-8")))
    assert [key for key, count in keys.items() if count > 1] == []


def test_where_the_machine_decides_each_option_has_its_reason():
    for path in EXPECTED:
        for key, options in json.loads(path.read_text(encoding="utf-8")).items():
            assert isinstance(options, str) or len(options) > 1 and all(options.values()), key


def test_every_guess_is_explained_once():
    headings = [heading for heading, _ in WHY]
    assert set(headings) == set(GUESSES) == set(explanations()) and len(headings) == len(set(headings))
    assert [key for key, why in explanations().items() if not why.strip()] == []


@EACH
def test_what_comes_with_an_outcome_stands_nowhere_else_in_its_notebook(path):
    texts = [" ".join(cell.source.split()) for cell in read(path).cells if cell.cell_type == "markdown"]
    asked = {key for its, cell in CELLS if its == path for key, _ in calls(cell.source, "guess")}
    told = [text for key, text in WHY if key in asked]
    sentences = [" ".join(one.split()) for text in told for one in re.split(r"(?<=[.!?:])\s+", text) if len(one) > 50]
    assert sentences and [one for one in sentences if any(one in text for text in texts)] == []


@EACH
def test_stored_outcomes_are_expected(path):
    unexpected = []
    for cell in [cell for its, cell in CELLS if its == path]:
        keys = [key for key, _ in calls(cell.source, "compare")]
        shown = "\n".join(map(plain, cell.outputs))
        told = re.findall(r"^No guess was kept\. The outcome: (.*)\.$", shown, re.MULTILINE)
        assert len(told) == len(keys) or not told, keys  # nothing is told where there was no outcome: without a browser, say
        unexpected += [(key, outcome) for key, outcome in zip(keys, told) if outcome not in expectations()[key]]
    assert unexpected == []


WHY_SO = "<p>Because <code>accept(2)</code> says so.</p>"


@EACH
def test_a_stored_outcome_is_folded_and_explained(path):
    notebook = read(path)
    stored = [cell.metadata.copy() for cell in notebook.cells]
    outputs.fold(notebook)
    assert stored == [cell.metadata for cell in notebook.cells], "make outputs"
    for cell in notebook.cells:
        shown = "".join(output.get("data", {}).get("text/html", "") for output in cell.get("outputs", []))
        if "No guess was kept" in shown:
            for key, _ in calls(cell.source, "compare"):
                assert unbroken(explanations().get(key, "")) in shown, f"{key}: make outputs"


@pytest.fixture
def expected(monkeypatch):
    monkeypatch.setattr("course_lib.lesson.guesses.expectations", lambda: {"a-guess": ("yes", "often")})
    monkeypatch.setattr("course_lib.lesson.guesses.explanations", lambda: {"a-guess": WHY_SO})
    return guess("a-guess", "Is it so?", "yes", "often", "no")


def kept():
    return journal.read().get("guesses", {}).get("a-guess", {})


def test_an_unexpected_outcome_does_not_settle_a_guess(expected):
    journal.record("guesses", "a-guess", {"answer": "yes", "sure": 90})
    card = compare("a-guess", "no")
    assert repr(card).startswith("You guessed: yes (90 % sure). The outcome: no. The course expects something else.")
    assert "often" not in repr(card) and picture(card).endswith("expects</summary>yes or often</details></div>")
    assert "outcome" not in kept()
    assert repr(compare("a-guess", "often")).endswith("those are the ones that stay in memory.") and kept()["outcome"] == "often"
    compare("a-guess", "no")
    assert kept()["outcome"] == "often"


def test_why_comes_with_the_outcome_and_is_folded_where_no_guess_was_kept(expected):
    shown = picture(compare("a-guess", "yes"))
    assert shown.index("<details>") < shown.index("<b>yes</b>") < shown.index(WHY_SO) < shown.index("</details>")
    assert "Because" not in picture(expected)
    journal.record("guesses", "a-guess", {"answer": "no", "sure": 90})
    shown = picture(compare("a-guess", "yes"))
    assert WHY_SO in shown and "<details>" not in shown


@pytest.mark.parametrize("entry", [{}, {"answer": "no", "sure": 90}], ids=["no guess", "a guess"])
@pytest.mark.parametrize("outcome", ["no", None], ids=["unexpected", "too busy to tell"])
def test_what_decides_nothing_is_not_explained(expected, entry, outcome):
    journal.record("guesses", "a-guess", entry)
    assert WHY_SO not in picture(compare("a-guess", outcome))


def test_an_explanation_is_markdown(tmp_path, monkeypatch):
    (tmp_path / "why").mkdir()
    (tmp_path / "why/01.md").write_text(
        "## one-thing\n\n`a < b`, see [accept(2)](https://example.org)\n\n## another\n\n|a|b|\n|-|-|\n|1|2|\n\n<b>x</b>\n"
    )
    monkeypatch.setattr("course_lib.lesson.guesses.__file__", str(tmp_path / "guesses.py"))
    found = explanations.__wrapped__()
    assert list(found) == ["one-thing", "another"]
    assert found["one-thing"] == '<p><code>a &lt; b</code>, see <a href="https://example.org">accept(2)</a></p>\n'
    assert "<table>" in found["another"] and "<b>" not in found["another"]


@pytest.mark.parametrize("outcome", ["no", None])
def test_what_noise_left_undecided_is_in_the_summary_until_it_is_decided(expected, outcome):
    journal.record("guesses", "a-guess", {"question": "Is it so?", "answer": "yes", "sure": 90})
    compare("a-guess", outcome)
    assert repr(summary("02")).endswith("Not decided: run these cells again:\n- Is it so?")
    compare("a-guess", "yes")
    assert repr(summary("02")).endswith("- Nothing.") and kept()["outcome"] == "yes"


def test_a_machine_too_busy_to_tell_decides_nothing(expected):
    assert repr(compare("a-guess", None)).startswith("No guess was kept. The outcome: too busy to tell.\nRun the cells")
    journal.record("guesses", "a-guess", {"answer": "no", "sure": 90})
    assert repr(compare("a-guess", None)).startswith("You guessed: no (90 % sure). The outcome: too busy to tell. Run the cells")
    assert "outcome" not in kept()


def test_an_unexpected_outcome_says_so_where_no_guess_was_kept(expected):
    assert repr(compare("a-guess", "yes")) == "No guess was kept. The outcome: yes."
    assert repr(compare("a-guess", "no")).startswith("No guess was kept. The outcome: no.\nThe course expects something else.")


def test_outputs_are_not_made_of_an_unexpected_outcome(expected, monkeypatch):
    monkeypatch.setenv("COURSE_EXPECTED", "1")
    compare("a-guess", "yes")
    with pytest.raises(ValueError, match="^The guess 'a-guess' came out as 'no'; expected is 'yes' or 'often'\\.$"):
        compare("a-guess", "no")
    with pytest.raises(ValueError, match="^The guess 'another' came out as 'no'; expected is nothing yet\\.$"):
        compare("another", "no")


def test_a_notebook_with_an_unexpected_outcome_is_not_stored(tmp_path, monkeypatch):
    cell = 'from course_lib.lesson import compare\ncompare("idle-clients", "neither")'
    path = tmp_path / "06_epoll.ipynb"
    path.write_text(before := nbformat.writes(new_notebook(cell)))
    monkeypatch.setattr(outputs, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(outputs.shipped, "write_list", lambda paths: None)
    said = []
    assert outputs.main([path.name], said.append) == 1
    assert path.read_text() == before and "came out as 'neither'; expected is 'PollServer only'" in said[0]


def test_what_is_stored_between_a_guess_and_its_outcome_is_folded():
    def cell(source, *shown):
        return nbformat.v4.new_code_cell(source, outputs=[nbformat.v4.new_output("stream", text=text) for text in shown])

    folded = (
        cell("run()", "secret"),
        cell('print(1)\ncompare("a", "x")', "1", "the card"),
        cell('verdict("C06")', "wrong"),
        cell("picture()", "x"),
    )
    folded[3].metadata["tags"] = ["folded"]
    folded[0].metadata["jupyter"] = {"source_hidden": True}
    before, asks, asks_too = cell("run()", "seen"), cell('guess("a", "?", "x", "y")', "?"), cell('guess("b", "?", "x", "y")', "?")
    silent, alone, after = cell("x = 1"), cell('compare("b", "x")', "the card"), cell("run()", "seen")
    after.metadata["jupyter"] = {"outputs_hidden": True}  # as an earlier order of the cells had it
    cells = [before, asks, silent, folded[0], asks_too, folded[1], alone, after, *folded[2:]]
    outputs.fold(new_notebook(*cells))
    assert [cell for cell in cells if cell.metadata.get("jupyter", {}).get("outputs_hidden")] == list(folded)
    assert folded[0].metadata == {"jupyter": {"source_hidden": True, "outputs_hidden": True}} and after.metadata == {}
