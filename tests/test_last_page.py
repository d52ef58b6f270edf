"""The course's last page: the notes' sentences beside the learner's, and the questions to repeat, each with its place."""

import json

import pytest
from cards import Page, picture

from course_lib import folders, journal
from course_lib.claims import claim
from course_lib.lab import served
from course_lib.lesson import ending, repetition, rewritten
from course_lib.lesson.places import Place, places
from course_lib.lesson.recall import questions

MARKUP = "<img src=x onerror=alert(2)> & \"q\" 'q'"


def page_of(card) -> Page:
    return Page(picture(card))


def surprised(key: str, sure: int = 90, answer: str = "spin", outcome: str = "sleep", question: str = "What does it do?") -> None:
    journal.record(
        "guesses", key, {"question": question, "options": ["spin", "sleep"], "answer": answer, "sure": sure, "outcome": outcome}
    )


# Places


def test_every_guess_belief_and_rewriting_of_the_course_has_a_place():
    found = places()
    assert {key for asks, key in found if asks == "rewrite"} == {"C46", "C16", "C18", "C28", "C27", "C39", "C62", "C71"}
    assert {("guess", "accept-emfile"), ("guess", "one-word"), ("believe", "C62")} <= found.keys()
    assert found["guess", "one-word"] == Place("more/07_coroutines_more.ipynb", "2.2 · Who is next")
    assert all(place.part for place in found.values())
    assert list(dict.fromkeys(place.notebook.removeprefix("more/")[:2] for place in found.values())) == list(questions())


def test_the_notebooks_of_the_working_directory_come_first(tmp_path, monkeypatch):
    for name, cells in (
        ("00_start_here", []),
        (
            "04_select",
            [
                {"cell_type": "markdown", "id": "abb", "source": "# A title\n\n## 4 · Waiting"},
                {"cell_type": "code", "id": "abc", "source": ["guess(\n", '      "mine", "?", "a", "b")']},
                {"cell_type": "markdown", "id": "def", "source": 'guess("in-prose", "?")\n\n### 4.1 · More'},
                {"cell_type": "code", "source": 'believe("C01")\nrewrite("C02")'},
            ],
        ),
    ):
        (tmp_path / f"{name}.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "05_poll.ipynb").write_text("{half a noteb")
    (tmp_path / "06_epoll.ipynb").write_text("[1]")
    monkeypatch.chdir(tmp_path)
    assert places() == {
        ("guess", "mine"): Place("04_select.ipynb", "4 · Waiting"),
        ("believe", "C01"): Place("04_select.ipynb", "4.1 · More"),
        ("rewrite", "C02"): Place("04_select.ipynb", "4 · Waiting"),
    }


# The notes, and you


def test_what_is_not_written_yet_is_listed_with_the_way_to_it():
    card, page = rewritten(), page_of(rewritten())
    assert repr(card).startswith("0 of 8 sentences are written anew.\nC46: ")
    assert repr(card).count("not yet: ") == 8 == len(page.links)
    assert page.links[0] == "01_file_descriptors.ipynb" and "Back to the line" in page.text
    assert claim("C62").english in page.text
    assert claim("C62").correction not in page.text + " ".join(page.hidden)  # the answer, before the learner has one


def test_ones_own_sentence_stands_beside_the_notes():
    own = f"Nobody keeps the thread. {MARKUP}"
    journal.record("sentences", "C62", {"belief": "true", "sure": 90, "tested": True, "rewritten": own, "sure_after": 95})
    card, page = rewritten(), page_of(rewritten())
    assert repr(card).startswith("1 of 8 sentences") and f"you: {own}" in repr(card)
    assert own in page.text and "img" not in page.tags
    assert "You believed “true”, 90 % sure; of your own you are 95 % sure." in page.text
    assert claim("C62").right in "".join(page.hidden) and claim("C62").right not in page.text
    assert len(page.links) == 7


def test_a_sentence_written_without_a_belief():
    journal.record("sentences", "C62", {"rewritten": "Mine.", "sure_after": 60})
    assert "You are 60 % sure of it." in page_of(rewritten()).text
    journal.record("sentences", "C62", {"rewritten": "Mine."})
    assert "Mine." in page_of(rewritten()).text and "sure" not in page_of(rewritten()).text


def test_a_sentence_that_the_course_no_longer_asks_for_is_kept():
    journal.record("sentences", "C01", {"rewritten": "An old one."})
    assert repr(rewritten()).startswith("1 of 9 sentences") and "An old one." in page_of(rewritten()).text


# The repetition plan


def test_nothing_to_repeat_is_one_sentence():
    surprised("order", answer="sleep")
    question = questions()["02"][0]
    journal.record("recall", "02.1", {"answer": question["options"][question["answer"]], "right": True})
    assert repr(repetition()).splitlines() == [
        "Nothing to repeat: none of the answers that you saved was wrong.",
        "90 % sure: right 1 of 1",
    ]


def test_all_wrong_answers_are_repeated_the_surest_first():
    question = questions()["04"][1]
    wrong = question["options"][question["answer"] - 1]
    journal.record("recall", "04.2", {"answer": wrong, "right": False})
    journal.record("recall", "04.3", {"answer": "an option of an older question", "right": False})
    journal.record("sentences", "C62", {"belief": "true", "sure": 80, "tested": True})
    surprised("one-word", question="And `from_the_right`?", sure=50)
    surprised("accept-emfile", sure=80)
    card, page = repetition(), page_of(repetition())
    assert repr(card).splitlines() == [
        "4 questions to answer once more, those that you were surest of first.",
        "What does it do?",  # of two that are as sure, the one that comes first in the course
        claim("C62").english,
        "And from_the_right?",
        question["question"].replace("`", ""),
        "50 % sure: right 0 of 1",
        "80 % sure: right 0 of 2",
    ]
    assert page.links == [
        f"{name}.ipynb" for name in ("more/01_file_descriptors_more", "07_coroutines", "more/07_coroutines_more", "04_select")
    ]
    assert "accept-emfile" not in page.text and "2.2 · Who is next" in page.text
    behind = " ".join(page.hidden)
    assert question["reason"][:20].split("`")[0] in behind and "You said: " + wrong[:10].split("`")[0] in behind


def test_how_sure_stands_beside_how_often_right():
    for key, sure, answer in (("a", 90, "spin"), ("b", 90, "sleep"), ("c", 90, "sleep"), ("d", 50, "spin")):
        surprised(key, sure, answer)  # the outcome is sleep
    journal.record("guesses", "not compared", {"question": "?", "answer": "spin", "sure": 70})
    journal.record("sentences", "C28", {"belief": claim("C28").right, "sure": 100, "tested": True})
    outdated = {"belief": "true with a catch", "sure": 100, "tested": True}  # as good as right
    journal.record("sentences", "C54", outdated)
    assert repr(repetition()).splitlines()[-3:] == [
        "50 % sure: right 0 of 1",
        "90 % sure: right 2 of 3",
        "100 % sure: right 2 of 2",
    ]
    page = page_of(repetition())
    assert "2 of 3: 67 %" in page.words and "should reach the mark" in page.text


def test_the_answer_is_behind_a_click():
    surprised("one-word", sure=95, answer="north", outcome="south")
    page = page_of(repetition())
    assert "south" not in page.text and "north" not in page.text
    assert "south" in page.hidden and any("north" in words and "95 % sure" in words for words in page.hidden)
    assert "south" not in repr(repetition())


def test_a_question_that_is_no_longer_asked_has_no_link():
    surprised("gone", question=MARKUP)
    page = page_of(repetition())
    assert page.links == [] and MARKUP in page.text and "img" not in page.tags and "no longer asked" in page.text
    assert repr(repetition()).startswith("1 question to answer once more")


@pytest.mark.parametrize("make", [rewritten, repetition])
def test_the_pages_need_nothing_else_and_ask_nothing(make):
    surprised("one-word")
    bundle = make()._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"} and bundle["text/html"] == make()._repr_mimebundle_()["text/html"]
    assert "<script" not in bundle["text/html"] and "src=" not in bundle["text/html"]


# The end


def own_loop(source: str) -> None:
    folders.mine().mkdir(exist_ok=True)
    (folders.mine() / "loop.py").write_text(source)


def test_the_end_says_what_has_happened_and_nothing_else():
    assert repr(ending()).startswith("Nothing yet: when Loop is in your own library")
    served("wrk", 100)
    assert repr(ending()).startswith("Nothing yet")  # the reference has served them
    own_loop("import heapq\n\n\nclass Loop:\n    def run(self):\n\n        pass\n")
    served("wrk", 2000)
    served("wrk", 457)
    for number in (10_000, 9_000):
        served("connections at the same time", number, at_once=True)
    assert repr(ending()) == (
        "Your own loop has served 2,457 requests of wrk, 10,000 connections at the same time. You wrote 3 lines."
    )
    assert " ".join(page_of(ending()).text.split()).endswith("in one thread. You wrote 3 lines.")


def test_a_damaged_file_counts_no_lines():
    own_loop("class Loop")
    served("wrk", 1)
    assert repr(ending()).endswith("You wrote 0 lines.")
