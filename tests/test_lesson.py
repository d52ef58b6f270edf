"""The cards of a lesson: what they ask, what they keep, and what stands in a notebook opened without a kernel."""

import importlib

import nbformat
import pytest
from cards import Page, parts, picture, text_of
from ipywidgets import HTML, Button, RadioButtons, Text, Textarea
from ipywidgets.widgets import widget as widget_registry
from outputs import WIDGET_VIEW as VIEW
from outputs import new_notebook

from course_lib import journal
from course_lib.exercises import all_exercises, check
from course_lib.lesson import believe, compare, course_map, guess, parsons, recall, rewrite, summary, verdict
from course_lib.lesson.card import unbroken
from course_lib.lesson.parsons import Lines, puzzles
from course_lib.lesson.places import Place, head
from course_lib.lesson.recall import questions

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)> & \"q\" 'q'"
OPTIONS = ("sleep in the kernel", "spin", "raise an error")


def ask(*options):
    return guess("nobody-connects", "Nobody connects. What does `accept()` do?", *(options or OPTIONS))


def button(card, *names):
    return next(one for one in parts(card, Button) if one.description in names)


def save(card):
    button(card, "Save", "Save again").click()


def choose(card, *values):
    """Choose these in the card's groups of radio buttons, from the first one on."""
    for group, value in zip(parts(card, RadioButtons), values):
        group.value = value


def said(card):
    """All that the live card says, without markup of its own."""
    return " ".join(text_of(one.value) for one in parts(card, HTML))


def answered(sure=90, answer="spin", reason=""):
    card = ask()
    choose(card, answer, sure)
    parts(card, Text)[0].value = reason
    save(card)
    return card


EVERY_CARD = {
    "recall": lambda: recall("02"),
    "believe": lambda: believe("C16"),
    "guess": ask,
    "compare": lambda: compare("nobody-connects", "spin"),
    "verdict": lambda: verdict("C06", "C15"),
    "parsons": lambda: parsons("blocking-server"),
    "rewrite": lambda: rewrite("C16"),
    "summary": lambda: summary("02"),
}


# ── every card ──


EACH = pytest.mark.parametrize("make", EVERY_CARD.values(), ids=EVERY_CARD)
ASKS = "recall", "believe", "guess", "parsons", "rewrite"


@EACH
def test_text_and_picture_are_the_same_in_every_run_and_a_card_can_be_shown_twice(make):
    card = make()
    first, second, another = card._repr_mimebundle_(), card._repr_mimebundle_(), make()._repr_mimebundle_()
    assert first == second and repr(card) == first["text/plain"]
    for mime in ("text/plain", "text/html"):
        assert first[mime] and first[mime] == another[mime]
        assert "0x" not in first[mime]


@EACH
def test_the_picture_needs_nothing_else(make):
    html = picture(make())
    assert "<script" not in html and "src=" not in html and "url(" not in html
    Page(html)  # its tags are closed


@pytest.mark.parametrize("name", ASKS)
def test_what_asks_is_live_and_what_only_tells_is_not(name):
    assert VIEW in EVERY_CARD[name]()._repr_mimebundle_()
    assert VIEW not in EVERY_CARD["verdict"]()._repr_mimebundle_()


@EACH
def test_nothing_is_kept_before_the_learner_answers(make, learner_folder):
    make()._repr_mimebundle_()
    assert not learner_folder.exists()


@EACH
def test_running_a_cell_again_leaves_no_model_behind(make):
    make()._repr_mimebundle_()
    before = len(widget_registry._instances)
    for _ in range(3):
        make()._repr_mimebundle_()
    assert len(widget_registry._instances) == before


@pytest.mark.parametrize("name", ASKS)
def test_every_control_has_words(name):
    card = EVERY_CARD[name]()
    for control in parts(card, (Button, Text, Textarea)):
        assert control.description
    for control in parts(card, RadioButtons):
        assert all(label for label, _ in control.options)


# ── guess and compare ──


def test_a_guess_is_kept_and_can_be_changed_until_the_experiment():
    card = answered(sure=90, reason="a loop must run")
    entry = {"question": "Nobody connects. What does `accept()` do?", "options": list(OPTIONS)}
    assert journal.read()["guesses"]["nobody-connects"] == entry | {"answer": "spin", "reason": "a loop must run", "sure": 90}
    assert "Kept: spin, 90 % sure." in said(card)
    choose(card, "raise an error")
    save(card)
    assert journal.read()["guesses"]["nobody-connects"]["answer"] == "raise an error"


def test_guess_and_outcome_stand_side_by_side():
    answered(sure=90, reason="a loop must run")
    card = compare("nobody-connects", "sleep in the kernel")
    assert repr(card).startswith("You guessed: spin (90 % sure). The outcome: sleep in the kernel.")
    words = text_of(picture(card))
    assert "spin , 90 % sure because a loop must run sleep in the kernel" in words
    for blame in ("wrong", "error", "mistake", "incorrect"):
        assert blame not in repr(card).lower()


def test_a_right_guess_is_said_to_be_one_and_looks_like_it():
    answered(answer="spin")
    card = compare("nobody-connects", "spin")
    assert "As you guessed." in repr(card) and "✓" in picture(card)
    card = compare("nobody-connects", "raise an error")
    assert "✓" not in picture(card) and "≠" in picture(card)


def test_after_the_experiment_the_guess_stays():
    card = answered()
    choose(card, "raise an error")  # chosen and not saved
    compare("nobody-connects", "sleep in the kernel")
    assert all(one.disabled for one in parts(card, (RadioButtons, Text, Button)))
    assert parts(card, RadioButtons)[0].value == "spin"
    assert "so the guess stays" in said(card)
    save(card)  # a click that was under way
    assert journal.read()["guesses"]["nobody-connects"]["answer"] == "spin"


def test_a_kept_guess_is_shown_when_the_notebook_is_opened_again():
    answered(sure=90, reason="so it is")
    card = ask()
    assert [one.value for one in parts(card, (RadioButtons, Text))] == ["spin", 90, "so it is"]
    assert "Kept: spin, 90 % sure." in said(card)
    compare("nobody-connects", "spin")
    assert parts(ask(), RadioButtons)[0].disabled


def test_without_a_guess_the_outcome_is_shown_and_guessing_stays_possible():
    card = ask()
    assert repr(compare("nobody-connects", "spin")) == "No guess was kept. The outcome: spin."
    assert not parts(card, RadioButtons)[0].disabled
    answered()
    assert repr(compare("nobody-connects", "spin")).startswith("You guessed: spin")


def test_saving_without_an_answer_asks_for_one():
    card = ask()
    save(card)
    assert "Choose one of the answers first." in said(card)
    choose(card, "spin")
    save(card)
    assert "Say how sure you are, too." in said(card)
    assert "guesses" not in journal.read()


@pytest.mark.parametrize("options, levels", [(2, [50, 70, 90, 100]), (3, [33, 50, 70, 90, 100]), (5, [20, 50, 70, 90, 100])])
def test_how_sure_begins_at_chance_and_nothing_is_chosen_at_first(options, levels):
    choice, sure = parts(ask(*map(str, range(options))), RadioButtons)
    assert [level for _, level in sure.options] == levels and sure.value is None and sure.description == "how sure"


def test_a_kept_guess_whose_option_is_gone_is_asked_anew():
    answered(answer="spin")
    card = ask("sleep in the kernel", "turn round and round")
    assert "You once answered “spin”" in said(card) and parts(card, RadioButtons)[0].value is None
    assert repr(compare("nobody-connects", "turn round and round")).startswith("You guessed: spin")
    with pytest.raises(ValueError, match="not one of the options"):
        compare("nobody-connects", "spin")
    choose(card, "turn round and round")
    save(card)
    assert "Kept: turn round and round" in said(card) and not parts(card, RadioButtons)[0].disabled


@pytest.mark.parametrize("options", [(), ("one",), ("a", "b", "a"), ("`a`", "a"), ("a", " a "), ("a", 1)])
def test_options_that_cannot_be_told_apart_are_refused(options):
    with pytest.raises(ValueError, match="^[^\n]*option[^\n]*$"):
        guess("key", "Question?", *options)


@pytest.mark.parametrize("key, question", [("", "Question?"), ("key", "")])
def test_a_guess_needs_a_key_and_a_question(key, question):
    with pytest.raises(ValueError, match="a key and a question"):
        guess(key, question, "a", "b")


@pytest.mark.parametrize("outcome", ["dance", 3])
def test_an_outcome_that_is_no_option_is_one_sentence(outcome):
    ask()
    with pytest.raises(ValueError, match="^The outcome [^\n]* is not one of the options of the guess 'nobody-connects': [^\n]*$"):
        compare("nobody-connects", outcome)


def test_learners_text_is_text_and_may_be_long():
    answered(reason=MARKUP + "\n" + "long " * 2000)
    kept = journal.read()["guesses"]["nobody-connects"]["reason"]
    assert kept.startswith(MARKUP) and len(kept) > 10_000
    html = picture(compare("nobody-connects", "sleep in the kernel"))
    assert "<script" not in html and "<img" not in html and "&lt;script&gt;" in html
    assert len(text_of(html)) < 10_000


def test_questions_and_options_are_escaped_too():
    card = guess("markup", MARKUP, MARKUP, "`code`")
    html = picture(card) + "".join(one.value for one in parts(card, HTML))
    assert "<script" not in html and "<img" not in html and "<code>code</code>" in html


# ── the notes' sentences ──


def test_the_first_belief_is_kept_until_the_end():
    card = believe("C16")
    assert "单进程tcp服务器就是阻塞服务器" in said(card)
    choose(card, "true", 90)
    save(card)
    verdict("C16")
    assert parts(card, RadioButtons)[0].disabled and "has been tested" in said(card)
    end = rewrite("C16")
    assert "At the start you said: “true”, 90 % sure." in said(end)


def test_the_ledger_is_shown_only_beside_a_sentence_of_ones_own():
    card = rewrite("C16")
    ledger = "Two independent choices."
    assert ledger not in said(card) and ledger not in picture(card)
    save(card)
    assert "Write a sentence first." in said(card) and ledger not in said(card)
    parts(card, Textarea)[0].value = MARKUP
    save(card)
    assert ledger in said(card) and "alert(1)" in said(card)
    assert not any("<script" in one.value or "<img" in one.value for one in parts(card, HTML))
    assert "Your sentence is saved." in said(card) and "Kept." not in said(card) and "● kept" not in said(card)
    button(card, "Keep").click()
    assert "Say how sure you are first." in said(card)
    choose(card, 70)
    button(card, "Keep").click()
    assert "Kept." in said(card) and "● kept" in said(card)
    assert journal.read()["sentences"]["C16"] == {"rewritten": MARKUP, "sure_after": 70}
    again = rewrite("C16")
    assert parts(again, Textarea)[0].value == MARKUP and ledger in said(again)


def test_a_verdict_stands_beside_the_sentence():
    words = text_of(picture(verdict("C06", "C15")))
    assert "accept() 阻塞 socket.accept()" in words and "true with a catch. On a blocking listener" in words
    assert "Source: accept(2)" in words and "(implied by this line)" in words
    assert repr(verdict("C11")).startswith("C11: wrong.")


def test_a_verdict_names_the_catch():
    assert repr(verdict("C28")).startswith("C28: true, but one socket with the number 1024 is too many.")


def test_which_catch_is_asked_and_kept():
    card = believe("C28")
    choose(card, "true, but ulimit -n raises the limit", 90)
    save(card)
    verdict("C28")
    assert repr(summary("04")).endswith(
        "You said: true, but ulimit -n raises the limit (90 % sure). "
        "The tests: true, but one socket with the number 1024 is too many."
    )
    journal.record("sentences", "C28", {"belief": "true with a catch", "sure": 90, "tested": True})
    assert repr(summary("04")).endswith("- Nothing.")


def test_what_is_often_believed_is_not_said_to_stand_in_the_notes():
    for card in (believe("C19"), verdict("C19")):
        words = text_of(picture(card))
        assert "C19 (often believed; the notes do not say it)" in words
        assert "the notes say" not in words.lower().replace("the notes do not say", "") and "非阻塞" not in words + repr(card)


@pytest.mark.parametrize("show", [verdict, believe, rewrite])
def test_an_unknown_claim_is_one_sentence(show):
    with pytest.raises(ValueError, match="^There is no claim 'C99'[^\n]*$"):
        show("C99")


def test_a_verdict_needs_a_claim():
    with pytest.raises(ValueError, match="at least one claim"):
        verdict()


# ── recall ──


def test_the_reason_appears_only_after_the_answer():
    card = recall("02")
    asked = questions()["02"]
    assert len(asked) == 3
    whole = said(card) + text_of(picture(card))
    for question, choice in zip(asked, parts(card, RadioButtons)):
        reason = text_of(question["reason"].replace("`", ""))[:30]
        assert reason not in whole
        right = question["answer"]
        choice.value = right if question is asked[0] else (right + 1) % 3
    for one in parts(card, Button):
        one.click()
    results = journal.read()["recall"]
    assert [results[f"02.{n}"]["right"] for n in (1, 2, 3)] == [True, False, False]
    assert "✓ Yes. A descriptor is an index" in said(card) and "≠ Not so. It is: “4”" in said(card)
    assert all(one.disabled for one in parts(card, (Button, RadioButtons)))


def test_recall_without_an_answer_shows_nothing():
    card = recall("02")
    parts(card, Button)[0].click()
    assert "Choose one of the answers first." in said(card) and "recall" not in journal.read()


def test_recall_counts_how_often_a_question_was_answered():
    for _ in range(2):
        card = recall("02")
        choose(card, 0)
        parts(card, Button)[0].click()
    assert journal.read()["recall"]["02.1"]["times"] == 2


def test_recall_has_nothing_to_ask_at_the_start_and_says_so_for_others():
    assert repr(recall("00")) == "Nothing to recall here: the course begins."
    for unknown in ("99", 2, None):
        with pytest.raises(ValueError, match="^There are no recall questions for notebook [^\n]*$"):
            recall(unknown)


def test_questions_are_whole():
    for asked in questions().values():
        for question in asked:
            assert question["question"] and question["reason"]
            assert 0 <= question["answer"] < len(set(question["options"])) == len(question["options"])


@pytest.mark.parametrize("extreme", [max, min], ids=["longest", "shortest"])
def test_length_does_not_give_the_right_answer_away(extreme):
    asked = [question for notebook in questions().values() for question in notebook]
    found = [one["question"] for one in asked if len(one["options"][one["answer"]]) == extreme(map(len, one["options"]))]
    assert len(found) <= len(asked) / 2, found  # a third of them, by chance


# ── the puzzle ──

PUZZLE = puzzles()["blocking-server"]
RIGHT = PUZZLE["solution"]


def press_check(card, blocks):
    """What the page sends when these lines are in the program and Check is pressed."""
    [lines] = parts(card, Lines)
    lines._handle_custom_msg({"check": [PUZZLE["pool"].index(block) for block in blocks]}, [])


def test_solved_by_its_own_lines_and_kept():
    card = parsons("blocking-server")
    press_check(card, RIGHT)
    assert "That is the heart of BlockingServer : its steps, in its order." in " ".join(said(card).split())
    assert journal.read()["puzzles"]["blocking-server"] == {"solved": True, "tries": 1}
    assert "solved this puzzle before" in said(parsons("blocking-server"))


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([], "Your program is empty."),
        (["for-ever", "accept", "try", "read-for-ever", "answer", "reset", "close"], "Line 4: This loop never ends: recv() returns b'' for ever"),
        (["for-ever", "accept", "try", "read", "answer", "close-early"], "Line 6: Indented like this it closes after the first answer"),
        (["for-ever", "accept", "close", "try", "read", "answer", "reset"], "Line 3: This closes before reading to the end"),
        (["for-ever", "accept", "try", "read", "answer", "reset"], "After line 6 something is missing. The connection is never let go"),
        (["accept", "try", "read", "answer", "reset", "close"], "Line 1: Without a loop around everything"),
        (["for-ever", "try", "accept", "read", "answer", "reset", "close"], "Line 2: Nobody has been accepted yet"),
        (["for-ever", "accept", "read", "answer", "close"], "Line 3: A client may cut the connection"),
        (["accept", "for-ever", "try", "read", "answer", "reset", "close"], "Line 1: while True: comes too late"),
        (["for-ever", "accept", "read", "try", "answer", "reset", "close"], "Line 3: try: comes too late"),
        (["for-ever", "accept", "try", "read", "reset", "answer", "close"], "Line 5: An except stands after the lines that it guards"),
        (["for-ever", "accept", "try", "read", "answer", "close", "reset"], "Line 6: The try: block ends at this line, before its except"),
        (["for-ever", "accept", "try", "read", "close-early", "answer"], "Line 5: This closes before the first answer"),
        (["for-ever", "accept", "try", "read", "answer", "reset", "close-early"], "Line 7: Here this line is indented too deep"),
        (["for-ever", "accept", "try", "answer", "read", "reset", "close"], "Line 4: What there is to answer must be read first"),
        (["for-ever", "accept", "try", "read", "answer", "reset", "close", "close-early"], "Line 8: Here this line is indented too deep"),
    ],
)  # fmt: skip
def test_check_names_the_first_bug(blocks, words):
    card = parsons("blocking-server")
    press_check(card, blocks)
    assert words in said(card).replace("  ", " ").replace("` ", "")
    assert "puzzles" not in journal.read()


def test_the_page_is_told_which_line_to_look_at():
    card = parsons("blocking-server")
    [lines] = parts(card, Lines)
    press_check(card, ["for-ever", "accept", "read"])
    assert lines.wrong == 3 and "≠ not yet" in said(card)
    lines.wrong = 0  # the page, when a line is moved
    lines.program = lines.program[:2]
    assert "Line 3" not in said(card)
    press_check(card, RIGHT)
    assert lines.wrong == 0 and "✓ solved" in said(card)


def test_the_page_knows_nothing_that_tells_a_bug():
    card = parsons("blocking-server")
    state = parts(card, Lines)[0].get_state()
    state["lines"] = [line | {"words": []} for line in state["lines"]]  # they are on the page: the code itself
    sent = repr(state)
    assert not any(f"'{block}'" in sent for block in PUZZLE["pool"])


@pytest.mark.parametrize("message", [{}, {"check": 3}, {"check": [1, 1]}, {"check": [99]}, {"check": [-1]}, {"check": [[]]}])
def test_nonsense_from_the_page_is_no_program(message):
    card = parsons("blocking-server")
    parts(card, Lines)[0]._handle_custom_msg(message, [])
    assert card.program == [] and "Your program is empty" not in said(card)


def test_an_unknown_puzzle_is_one_sentence():
    with pytest.raises(ValueError, match="^There is no puzzle 'x'[^\n]*blocking-server[^\n]*$"):
        parsons("x")


# ── below a check ──


def checked(monkeypatch, learner):
    """The card that a check's result shows in a page, and the data that it is shown with."""
    shown = []
    monkeypatch.setattr("course_lib.lesson.check_card.display", lambda one, **_: shown.append(one))
    check("1.1", learner)._ipython_display_()
    [card] = shown
    card._ipython_display_()
    return card, shown[1]


def test_a_check_offers_hints_and_the_solution(monkeypatch):
    card, data = checked(monkeypatch, lambda: "wrong")
    assert set(data) == {VIEW}  # the text is what check has printed
    exercise = next(one for one in all_exercises() if one.id == "1.1")
    assert "≠ not yet" in said(card) and not any(hint in said(card) for hint in exercise.hints)
    for number, hint in enumerate(exercise.hints, 1):
        button(card, f"Hint {number} of {len(exercise.hints)}").click()
        assert text_of(hint.replace("`", "")) in said(card).replace(" .", ".")
    assert parts(card, Button)[0].disabled and journal.read()["exercises"]["1.1"]["hints"] == len(exercise.hints)
    button(card, "Solution").click()
    assert "opens when you have passed, or after 2 more tries" in said(card)
    journal.update("exercises", "1.1", lambda entry: entry | {"passed": True})
    button(card, "Solution").click()
    assert "def " in said(card) and "Why:" in said(card)


def test_what_is_not_written_yet_is_open_and_a_pass_is_seen(monkeypatch):
    def stub():
        raise NotImplementedError

    assert "○ open" in said(checked(monkeypatch, stub)[0])
    solution = next(one for one in all_exercises() if one.id == "1.1").solutions[0]
    assert "✓ passed" in said(checked(monkeypatch, solution)[0])


def test_a_check_of_no_exercise_shows_no_controls(monkeypatch):
    monkeypatch.setattr("course_lib.lesson.check_card.display", lambda *_, **__: pytest.fail("shown"))
    check("99.9")._ipython_display_()


# ── what you own now ──


def test_summary_of_a_new_learner():
    assert repr(summary("02")).splitlines() == [
        "In your own library:",
        "- Nothing yet: what passes its check goes there.",
        "Still open in this notebook:",
        "- 2.2 Lines, about 8 minutes",
        "- 2.3 serve_one, about 6 minutes",
        "- 2.4 serve_forever, about 3 minutes",
        "Still open in More of 02:",
        "- 2.1 make_listener, about 5 minutes",
        "To repeat: you were sure, and the kernel did something else:",
        "- Nothing.",
    ]


def test_what_passed_is_owned_and_no_longer_open(learner_folder):
    learner_folder.mkdir()
    (learner_folder / "make_listener.py").write_text("def make_listener(): ...\n")
    journal.record("exercises", "2.2", {"passed": True})
    text = repr(summary("02"))
    assert "- make_listener (2.1), from course_lib.mine" in text
    assert "2.1 make_listener, about" not in text and "2.2" not in text and "- 2.3 serve_one" in text


def test_all_that_is_counted_as_open_is_named():
    journal.record("guesses", "late-answer", {"answer": "an error"})
    text = repr(summary("02"))
    still = text[text.index("Still open in this notebook") : text.index("Still open in More")].splitlines()[1:]
    assert still[3:] == ["- recall: 3 of 3", "- guesses: 3 of 4", "- beliefs: 1 of 1", "- puzzle: 1 of 1", "- sentence: 1 of 1"]


def test_only_sure_surprises_are_to_be_repeated():
    for key, sure, outcome in (("sure", 90, "spin"), ("unsure", 60, "spin"), ("right", 90, "sleep"), ("not run", 95, None)):
        entry = {"question": f"{key} {MARKUP}?", "answer": "sleep", "sure": sure}
        journal.record("guesses", key, entry | ({"outcome": outcome} if outcome else {}))
    journal.record("sentences", "C16", {"belief": "true", "sure": 85, "tested": True})
    journal.record("sentences", "C07", {"belief": "true", "sure": 85, "tested": True})
    journal.record("sentences", "C05", {"belief": "true", "sure": 85})
    text = repr(summary("02"))
    repeat = text[text.index("To repeat") :].splitlines()[1:]
    assert len(repeat) == 2
    assert repeat[0].startswith("- sure ") and repeat[0].endswith("You guessed: sleep (90 % sure). The outcome: spin.")
    assert repeat[1].startswith("- C16: ") and repeat[1].endswith("You said: true (85 % sure). The tests: wrong.")
    assert "<img" not in picture(summary("02"))


def test_other_wrong_answers_of_the_notebook_come_after_them(monkeypatch):
    where = {("guess", "unsure"): Place("more/02_more.ipynb", ""), ("recall", "02"): Place("02_x.ipynb", "")}
    monkeypatch.setattr(importlib.import_module("course_lib.lesson.summary"), "places", lambda: where)
    for key in ("unsure", "elsewhere"):
        journal.record("guesses", key, {"question": f"{key}?", "answer": "sleep", "sure": 50, "outcome": "spin"})
    asked = questions()["02"][0]
    wrong = asked["options"][asked["answer"] - 1]
    journal.record("recall", "02.1", {"answer": wrong, "right": False})
    text = repr(summary("02"))
    repeat = text[text.index("To repeat, of this notebook") :].splitlines()[1:]
    assert [line.partition("?")[0] for line in repeat] == [
        "- unsure",
        f"- {asked['question'].partition('?')[0]}".replace("`", ""),
    ]
    assert "elsewhere?" not in text and "of this notebook" not in repr(summary("03"))


def test_the_bar_counts_what_the_notebook_asks(monkeypatch):
    asked = [
        ("recall", "02"),
        ("guess", "a"),
        ("guess", "b"),
        ("parsons", "blocking-server"),
        ("check", "2.1"),
        ("rewrite", "C16"),
    ]
    where = dict.fromkeys(asked, Place("02_x.ipynb", "")) | {("guess", "c"): Place("more/02_x_more.ipynb", "")}
    monkeypatch.setattr(importlib.import_module("course_lib.lesson.summary"), "places", lambda: where)
    journal.record("recall", "02.2", {"answer": "x", "right": False})
    journal.record("guesses", "a", {"answer": "x"})
    journal.record("exercises", "2.1", {"tries": 3})
    journal.record("puzzles", "blocking-server", {"solved": True})
    words = text_of(picture(summary("02")))
    assert (
        "3 of 8 done in this notebook (recall 1 of 3 · guesses 1 of 2 · puzzle 1 of 1 · exercises 0 of 1 · sentence 0 of 1)"
        in words
    )
    assert "done in this notebook" not in picture(summary("07"))


def test_the_map_has_every_notebook_with_what_is_done(monkeypatch):
    where = {
        ("guess", "a"): Place("02_x.ipynb", ""),
        ("guess", "b"): Place("02_x.ipynb", ""),
        ("guess", "c"): Place("03_y_z.ipynb", ""),
    }
    module = importlib.import_module("course_lib.lesson.summary")
    monkeypatch.setattr(module, "places", lambda: where)
    monkeypatch.setattr(module.folders, "names", lambda _: ["01_w.ipynb", "02_x.ipynb", "03_y_z.ipynb", "more/02_x_more.ipynb"])
    titles = {"02_x.ipynb": ("02 · The `x`", "48")}
    monkeypatch.setattr(module, "head", lambda name: titles.get(name, ("03 y z", "")))
    assert repr(course_map()) == "02 · The `x`, 48 minutes: not begun\n03 y z: not begun"
    for key in "bc":
        journal.record("guesses", key, {"answer": "x"})
    assert repr(course_map()) == "02 · The `x`, 48 minutes: 1 of 2\n03 y z: 1 of 1"
    html = picture(course_map())
    assert "<a href='02_x.ipynb'>02 · The <code>x</code></a>" in html and html.count("✓") == 1 and "width: 50%" in html
    assert html.count("<a href='more/02_x_more.ipynb'>more</a>") == html.count("48\N{NO-BREAK SPACE}minutes") == 1


def test_a_number_and_its_unit_stay_in_one_line():
    unit = "\N{NO-BREAK SPACE}"
    assert unbroken("you, 70 % sure, 5 ms.") == f"you, 70{unit}% sure, 5{unit}ms."
    assert unbroken("<p title='3 s'>3 s, 2 servers, <code>sleep 3 s</code></p>") == (
        f"<p title='3 s'>3{unit}s, 2 servers, <code>sleep 3 s</code></p>"
    )
    assert unbroken("exercises 0 of 13 · one of 3 servers") == f"exercises 0{unit}of{unit}13 · one of 3 servers"
    assert any(f"90{unit}% sure" in one.value for one in parts(answered(sure=90), HTML))
    assert f"90{unit}% sure" in picture(compare("nobody-connects", "spin"))


def test_a_notebooks_head_is_read_from_its_first_cell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "00_start_here.ipynb").write_text("{half a notebook")
    cell = nbformat.v4.new_markdown_cell("# 02 · The `x`\n\n**Time:** about 48 minutes, half of it your own code.")
    nbformat.write(new_notebook(cell), tmp_path / "02_x.ipynb")
    assert head("02_x.ipynb") == ("02 · The `x`", "48")
    assert head("00_start_here.ipynb") == ("00 start here", "")


def test_summary_of_an_unknown_notebook_is_one_sentence():
    with pytest.raises(ValueError, match="^There is no notebook '12'[^\n]*$"):
        summary("12")
