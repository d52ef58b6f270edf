"""What the learner owns at the end of a notebook, what is open, and what to repeat."""

import html
import os
from dataclasses import dataclass

from course_lib import journal
from course_lib.claims import all_claims, claim
from course_lib.exercises import Exercise, all_exercises
from course_lib.solutions import file_of

from .card import Card, inline, shorten
from .guesses import SECTION as GUESSES
from .places import Place, places
from .recall import questions
from .sentences import SECTION as SENTENCES

_VERY_SURE = 80  # per cent: from here on a surprise is worth meeting again


def summary(notebook: str) -> Card:
    """The functions in the learner's own library, the open exercises of this notebook, and the surprises to repeat.

    A surprise is a guess, or a belief about a sentence, that the learner was very sure of and the kernel
    did not share. Those of all notebooks are listed, and so are guesses that a busy machine left undecided. Raises ValueError if there is no such notebook.
    """
    known = ["00", *sorted({one.notebook[:2] for one in all_claims()}), "09"]
    if notebook not in known:
        raise ValueError(f"There is no notebook {notebook!r}: the notebooks are {known[0]} to {known[-1]}.")
    past = journal.read()
    owned, still_open = _exercises(notebook, past.get("exercises", {}))
    again = [surprise.told for surprise in _surprises(past)]
    parts = [
        ("In your own library", owned, "Nothing yet: what passes its check goes there."),
        ("Still open in this notebook", still_open, "Nothing."),
        ("To repeat: you were sure, and the kernel did something else", again, "Nothing."),
    ]
    if undecided := [_asked(shorten(str(one.get("question")))) for one in past.get(GUESSES, {}).values() if "undecided" in one]:
        parts.append(("Not decided: the machine was too busy to tell; run these cells again", undecided, ""))
    text = "\n".join(line for title, items, empty in parts for line in _lines(title, items, empty))
    body = "".join(_html(title, items, empty) for title, items, empty in parts)
    return Card("what you own now", text, body)


def _exercises(notebook: str, past: dict) -> tuple[list[str], list[str]]:
    owned, still_open = [], []
    for exercise in all_exercises():
        if all(os.path.exists(journal.home() / file_of(name)) for name in exercise.names):
            owned.append(f"{_code(exercise)} ({exercise.id}), from `course_lib.mine`")
        elif exercise.id.startswith(f"{int(notebook)}.") and not past.get(exercise.id, {}).get("passed"):
            still_open.append(f"{exercise.id} {_code(exercise)}, about {exercise.minutes} minutes")
    return owned, still_open


def _code(exercise: Exercise) -> str:
    return ", ".join(f"`{name}`" for name in exercise.names)


@dataclass(frozen=True)
class _Wrong:
    """A guess that the kernel did not share, a belief that the tests did not, or a wrong answer to a recall question."""

    asks: str  # "guess", "believe" or "recall"
    key: str
    question: str
    said: str
    sure: int  # per cent; 0 where nobody asked
    outcome: str

    @property
    def told(self) -> str:
        if self.asks == "guess":
            return f"{_asked(self.question)} You guessed: {self.said} ({self.sure} % sure). The kernel: {self.outcome}."
        return f"{self.key}: {self.question} You said: {self.said} ({self.sure} % sure). The tests: {self.outcome}."


def _asked(question: str) -> str:
    return question if question.endswith(("?", ".")) else f"{question.rstrip(',:')} …"


def _surprises(past: dict) -> list[_Wrong]:
    return [one for one in [*_guesses(past.get(GUESSES, {})), *_beliefs(past.get(SENTENCES, {}))] if one.sure >= _VERY_SURE]


def _guesses(past: dict) -> list[_Wrong]:
    return [
        _Wrong("guess", key, shorten(str(entry.get("question"))), entry["answer"], _sure(entry), entry["outcome"])
        for key, entry in past.items()
        if "answer" in entry and entry.get("outcome", entry["answer"]) != entry["answer"]
    ]


def _beliefs(past: dict) -> list[_Wrong]:
    found, known = [], {one.id for one in all_claims()}
    for id, entry in past.items():
        if "tested" in entry and "belief" in entry and id in known:
            one = claim(id)
            said = entry["belief"]
            if said not in (one.right, one.verdict) and (one.verdict != "outdated" or said == "true"):
                found.append(_Wrong("believe", id, one.english, said, _sure(entry), one.right))
    return found


def _recalled(past: dict) -> list[_Wrong]:
    found = []
    for notebook, asked in questions().items():
        for number, question in enumerate(asked, 1):
            entry = past.get(f"{notebook}.{number}", {})
            if entry.get("right") is False and entry.get("answer") in question["options"]:  # else the question has changed
                right = question["options"][question["answer"]]
                found.append(_Wrong("recall", notebook, question["question"], entry["answer"], 0, f"“{right}” {question['reason']}"))
    return found


def repetition() -> Card:
    """The wrong answers of all notebooks as questions to answer once more, the surest first, each with a link to its place.

    What the learner said, and what is right, is behind a click: the plan is to answer from memory first.
    """
    past, where = journal.read(), places()
    order = {asked: place for place, asked in enumerate(where)}
    found = [*_guesses(past.get(GUESSES, {})), *_beliefs(past.get(SENTENCES, {})), *_recalled(past.get("recall", {}))]
    found.sort(key=lambda one: (-one.sure, order.get((one.asks, one.key), len(order))))
    if not found:
        text = "Nothing to repeat: none of the answers that you saved was wrong."
        return Card("your repetition plan", text, f"<p>{text}</p>")
    head = f"{len(found)} {'question' if len(found) == 1 else 'questions'} to answer once more, those that you were surest of first."
    plan = (
        "Answer each from memory, then look. Once tomorrow, once in a week, once in a month: "
        "what you can say three times stays. The links name the part of the notebook where it was asked."
    )
    body = "".join(_to_repeat(one, where.get((one.asks, one.key))) for one in found)
    return Card(
        "your repetition plan",
        "\n".join([head, *(one.question.replace("`", "") for one in found)]),
        f"<p class='course-question'>{head}</p><p class='course-quiet'>{plan}</p><ol>{body}</ol>",
    )


def _to_repeat(one: _Wrong, place: Place | None) -> str:
    asked = f"True? “{inline(one.question)}” ({one.key})" if one.asks == "believe" else inline(one.question)
    link = "<span class='course-quiet'>no longer asked</span>" if place is None else (
        f"<a href='{html.escape(place.notebook, quote=True)}'>{html.escape(place.notebook[:2])}, {inline(place.part) or 'at its start'}</a>"
    )
    by = {"guess": "The kernel: ", "believe": "The tests: ", "recall": ""}[one.asks]
    sure = f", {one.sure} % sure" * bool(one.sure)
    return (
        f"<li>{asked} {link}<details><summary>the answer</summary>{by}<b>{inline(one.outcome.rstrip('.'))}</b>."
        f"<br><span class='course-quiet'>You said: {inline(one.said)}{sure}.</span></details></li>"
    )


def _sure(entry: dict) -> int:
    return entry["sure"] if isinstance(entry.get("sure"), int) else 0


def _lines(title: str, items: list[str], empty: str) -> list[str]:
    return [f"{title}:", *(f"- {item.replace('`', '')}" for item in items or [empty])]


def _html(title: str, items: list[str], empty: str) -> str:
    listed = f"<ul>{''.join(f'<li>{inline(item)}</li>' for item in items)}</ul>" if items else f"<p>{html.escape(empty)}</p>"
    return f"<p class='course-question'>{html.escape(title)}</p>{listed}"
