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
class _Surprise:
    """A guess, or a belief about a sentence, that the learner was very sure of and the kernel did not share."""

    asks: str  # "guess" or "believe"
    key: str
    question: str
    said: str
    sure: int
    outcome: str

    @property
    def told(self) -> str:
        if self.asks == "guess":
            return f"{_asked(self.question)} You guessed: {self.said} ({self.sure} % sure). The kernel: {self.outcome}."
        return f"{self.key}: {self.question} You said: {self.said} ({self.sure} % sure). The tests: {self.outcome}."


def _asked(question: str) -> str:
    return question if question.endswith(("?", ".")) else f"{question.rstrip(',:')} …"


def _surprises(past: dict) -> list[_Surprise]:
    return [*_guesses(past.get(GUESSES, {})), *_beliefs(past.get(SENTENCES, {}))]


def _guesses(past: dict) -> list[_Surprise]:
    return [
        _Surprise("guess", key, shorten(str(entry.get("question"))), entry["answer"], entry["sure"], entry["outcome"])
        for key, entry in past.items()
        if "answer" in entry and entry.get("outcome", entry["answer"]) != entry["answer"] and _very_sure(entry)
    ]


def _beliefs(past: dict) -> list[_Surprise]:
    found, known = [], {one.id for one in all_claims()}
    for id, entry in past.items():
        if "tested" in entry and "belief" in entry and id in known and _very_sure(entry):
            one = claim(id)
            said = entry["belief"]
            if said not in (one.right, one.verdict) and (one.verdict != "outdated" or said == "true"):
                found.append(_Surprise("believe", id, one.english, said, entry["sure"], one.right))
    return found


def repetition() -> Card:
    """The surprises of all notebooks as questions to answer once more, each with a link to its place in the course.

    What the learner said, and what the kernel did, is behind a click: the plan is to answer from memory first.
    """
    found, where = _surprises(journal.read()), places()
    if not found:
        text = f"Nothing to repeat: you were never wrong and {_VERY_SURE} % sure or more. (Only guesses that you saved count.)"
        return Card("your repetition plan", text, f"<p>{html.escape(text)}</p>")
    order = list(where)
    found.sort(key=lambda one: order.index(asked) if (asked := (one.asks, one.key)) in where else len(order))
    groups: dict[str, list[_Surprise]] = {}
    for one in found:
        place = where.get((one.asks, one.key))
        groups.setdefault(place.notebook.removesuffix(".ipynb") if place else "No longer asked", []).append(one)
    head = f"{len(found)} {'question' if len(found) == 1 else 'questions'} on which you were sure, and the kernel did something else."
    plan = (
        "Answer each from memory, then look. Once tomorrow, once in a week, once in a month: "
        "what you can say three times stays. The links name the part of the notebook where the experiment is."
    )
    lines = [head, *(f"{title}: {one.question}" for title, ones in groups.items() for one in ones)]
    body = f"<p class='course-question'>{head}</p><p class='course-quiet'>{plan}</p>" + "".join(
        f"<p><b>{html.escape(title)}</b></p><ul>{''.join(_to_repeat(one, where.get((one.asks, one.key))) for one in ones)}</ul>"
        for title, ones in groups.items()
    )
    return Card("your repetition plan", "\n".join(line.replace("`", "") for line in lines), body)


def _to_repeat(one: _Surprise, place: Place | None) -> str:
    asked = inline(one.question) if one.asks == "guess" else f"True? “{inline(one.question)}” ({one.key})"
    link = f" <a href='{html.escape(place.notebook, quote=True)}'>{inline(place.part) or 'to its place'}</a>" if place else ""
    by = "The kernel" if one.asks == "guess" else "The tests"
    return (
        f"<li>{asked}{link}<details><summary>the answer</summary>{by}: <b>{inline(one.outcome)}</b>."
        f"<br><span class='course-quiet'>You said: {inline(one.said)}, {one.sure} % sure.</span></details></li>"
    )


def _very_sure(entry: dict) -> bool:
    return isinstance(entry.get("sure"), int) and entry["sure"] >= _VERY_SURE


def _lines(title: str, items: list[str], empty: str) -> list[str]:
    return [f"{title}:", *(f"- {item.replace('`', '')}" for item in items or [empty])]


def _html(title: str, items: list[str], empty: str) -> str:
    listed = f"<ul>{''.join(f'<li>{inline(item)}</li>' for item in items)}</ul>" if items else f"<p>{html.escape(empty)}</p>"
    return f"<p class='course-question'>{html.escape(title)}</p>{listed}"
