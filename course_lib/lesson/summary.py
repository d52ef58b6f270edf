"""What the learner owns at the end of a notebook, what is open, and what to repeat."""

import html
import os
from dataclasses import dataclass

from course_lib import folders, journal
from course_lib.claims import all_claims, claim
from course_lib.exercises import Exercise, all_exercises
from course_lib.solutions import file_of

from .card import Card, inline, pair, shorten
from .guesses import SECTION as GUESSES
from .places import Place, head, places
from .recall import questions
from .sentences import SECTION as SENTENCES

_VERY_SURE = 80  # per cent: from here on a surprise is worth meeting again


def summary(notebook: str) -> Card:
    """The functions in the learner's own library, the open exercises of this notebook, and the surprises to repeat.

    A surprise is a guess, or a belief about a sentence, that the learner was very sure of and the kernel
    did not share. Those of all notebooks are listed, and so are guesses that an experiment left undecided; of this
    notebook all other wrong answers too. A bar shows how much of the notebook is done.
    Raises ValueError if there is no such notebook.
    """
    known = ["00", *sorted({one.notebook[:2] for one in all_claims()}), "09"]
    if notebook not in known:
        raise ValueError(f"There is no notebook {notebook!r}: the notebooks are {known[0]} to {known[-1]}.")
    past, where = journal.read(), places()
    steps = _done(notebook, past, where)
    owned, still_open, more = _exercises(notebook, past.get("exercises", {}), where)
    wrong = [one for one in _answers(past) if not one.right]
    wrong.sort(key=lambda one: -one.sure)
    again = [one.told for one in wrong if one.sure >= _VERY_SURE]
    here = [one for one in wrong if one.sure < _VERY_SURE and _stands_in(notebook, where.get((one.asks, one.key)))]
    parts = [
        ("In your own library", owned, "Nothing yet: what passes its check goes there."),
        ("Still open in this notebook", still_open + _others(steps), "Nothing."),
        *([(f"Still open in More of {notebook}", more, "")] if more else []),
        ("To repeat: you were sure, and the kernel did something else", again, "Nothing."),
    ]
    if here:
        parts.append(("To repeat, of this notebook: not as you said", [one.told for one in here], ""))
    if undecided := [_asked(shorten(str(one.get("question")))) for one in past.get(GUESSES, {}).values() if "undecided" in one]:
        parts.append(("Not decided: run these cells again", undecided, ""))
    text = "\n".join(line for title, items, empty in parts for line in _lines(title, items, empty))
    body = "".join(_html(title, items, empty) for title, items, empty in parts)
    return Card("what you own now", text, _bar(steps) + body)


def _stands_in(notebook: str, place: Place | None) -> bool:
    return place is not None and os.path.basename(place.notebook).startswith(notebook)


_STEPS = {  # what a notebook asks: its name in the bar, the journal's section, and the field of what is done
    "recall": ("recall", "recall", "answer"),
    "guess": ("guesses", GUESSES, "answer"),
    "believe": ("beliefs", SENTENCES, "belief"),
    "parsons": ("puzzle", "puzzles", "solved"),
    "check": ("exercises", "exercises", "passed"),
    "rewrite": ("sentence", SENTENCES, "rewritten"),
}


def _done(notebook: str, past: dict, where: dict[tuple[str, str], Place]) -> dict[str, tuple[int, int]]:
    """{"guesses": (done, of how many), …}, in the notebook on the main path."""
    found: dict[str, tuple[int, int]] = {}
    for (asks, key), place in where.items():
        if place.notebook.startswith(notebook):
            name, section, field = _STEPS[asks]
            keys = [f"{key}.{n}" for n, _ in enumerate(questions().get(key, []), 1)] if asks == "recall" else [key]
            done, of = found.get(name, (0, 0))
            found[name] = done + sum(bool(past.get(section, {}).get(one, {}).get(field)) for one in keys), of + len(keys)
    return found


def _others(steps: dict[str, tuple[int, int]]) -> list[str]:
    """What is open besides exercises, in a notebook that has been begun: its name in the bar, and how many."""
    if not any(done for done, _ in steps.values()):
        return []
    return [f"{name}: {of - done} of {of}" for name, (done, of) in steps.items() if name != "exercises" and done < of]


def _bar(steps: dict[str, tuple[int, int]]) -> str:
    """How much is done, as a bar and in words."""
    done, of = (sum(counts) for counts in zip(*steps.values())) if steps else (0, 0)
    if not of:
        return ""
    words = " · ".join(f"{name} {one} of {all}" for name, (one, all) in steps.items())
    return f"{_filled(done, of)}<p><b>{done} of {of}</b> done in this notebook <span class='course-quiet'>({words})</span></p>"


def course_map() -> Card:
    """All notebooks of the main path as links, with the minutes of each, how much is done, and what there is more of it."""
    past, where, names = journal.read(), places(), folders.names(folders.notebooks())
    text, rows = [], []
    for name in names:
        if "/" in name or not (steps := _done(name[:2], past, where)):
            continue
        done, of = (sum(counts) for counts in zip(*steps.values()))
        title, minutes = head(name)
        text.append(f"{title}{f', {minutes} minutes' * bool(minutes)}: {f'{done} of {of}' if done else 'not begun'}")
        more = [_link(one, "more") for one in names if one.startswith(f"{folders.MORE}/{name[:2]}")]
        rows.append(
            f"<tr><td>{_link(name, title)}</td><td>{f'{minutes} minutes' * bool(minutes)}</td>"
            f"<td>{done} of {of}{' <b class=course-mark>✓</b>' * (done == of)}{_filled(done, of)}</td><td>{''.join(more)}</td></tr>"
        )
    table = f"<table class='course-pair course-done' style='table-layout: auto'><tbody>{''.join(rows)}</tbody></table>"
    return Card("your way", "\n".join(text), table)


def _link(name: str, text: str) -> str:
    return f"<a href='{html.escape(name, quote=True)}'>{inline(text)}</a>"


def _exercises(notebook: str, past: dict, where: dict[tuple[str, str], Place]) -> tuple[list[str], list[str], list[str]]:
    """What the learner owns; what of the notebook's exercises is open; and what of those in the notebook with more."""
    owned: list[str] = []
    still_open: list[str] = []
    more: list[str] = []
    for exercise in all_exercises():
        if all(os.path.exists(folders.mine() / file_of(name)) for name in exercise.names):
            owned.append(f"{_code(exercise)} ({exercise.id}), from `course_lib.mine`")
        elif exercise.id.startswith(f"{int(notebook)}.") and not past.get(exercise.id, {}).get("passed"):
            place = where.get(("check", exercise.id))
            listed = more if place and place.notebook.startswith(f"{folders.MORE}/") else still_open
            listed.append(f"{exercise.id} {_code(exercise)}, about {exercise.minutes} minutes")
    return owned, still_open, more


def _code(exercise: Exercise) -> str:
    return ", ".join(f"`{name}`" for name in exercise.names)


def _filled(part: int, whole: int, mark: int | None = None) -> str:
    """A bar, filled so far; the words beside it say the same. `mark`: a line at this per cent."""
    line = "" if mark is None else f"<i style='left: {mark}%'></i>"
    return f"<div class='course-bar' aria-hidden='true'><div style='width: {part / whole:.0%}'></div>{line}</div>"


@dataclass(frozen=True)
class _Answer:
    """A guess beside its outcome, a belief beside what the tests say, or an answer to a recall question."""

    asks: str  # "guess", "believe" or "recall"
    key: str
    question: str
    said: str
    sure: int  # per cent; 0 where nobody asked
    outcome: str
    right: bool

    @property
    def told(self) -> str:
        if self.asks == "guess":
            return f"{_asked(self.question)} You guessed: {self.said} ({self.sure} % sure). The outcome: {self.outcome}."
        if self.asks == "recall":
            return f"{_asked(self.question)} You said: {self.said.rstrip('.')}. It is: {self.outcome}"
        return f"{self.key}: {self.question} You said: {self.said} ({self.sure} % sure). The tests: {self.outcome}."


def _asked(question: str) -> str:
    return question if question.endswith(("?", ".")) else f"{question.rstrip(',:')} …"


def _answers(past: dict) -> list[_Answer]:
    """All guesses, beliefs and answers to recall questions of which one knows by now whether they are right."""
    found = []
    for key, entry in past.get(GUESSES, {}).items():
        if (said := entry.get("answer")) is not None and (outcome := entry.get("outcome")) is not None:
            asked = shorten(str(entry.get("question")))
            found.append(_Answer("guess", key, asked, said, _sure(entry), outcome, said == outcome))
    known = {one.id for one in all_claims()}
    for id, entry in past.get(SENTENCES, {}).items():
        if "tested" in entry and "belief" in entry and id in known:
            one, said = claim(id), entry["belief"]
            found.append(_Answer("believe", id, one.english, said, _sure(entry), one.right, one.agrees(said)))
    for notebook, of_notebook in questions().items():
        for number, question in enumerate(of_notebook, 1):
            said = past.get("recall", {}).get(f"{notebook}.{number}", {}).get("answer")
            if said in question["options"]:  # else the question has changed
                right = question["options"][question["answer"]]
                told = f"“{right}” {question['reason']}"
                found.append(_Answer("recall", notebook, question["question"], said, 0, told, said == right))
    return found


def repetition() -> Card:
    """The wrong answers of all notebooks as questions to answer once more, the surest first, each with a link to its place.

    What the learner said, and what is right, is behind a click: the plan is to answer from memory first. Below stands how
    often the learner was right, for each degree of being sure.
    """
    past, where = journal.read(), places()
    order = {asked: place for place, asked in enumerate(where)}
    answers = _answers(past)
    wrong = [one for one in answers if not one.right]
    wrong.sort(key=lambda one: (-one.sure, order.get((one.asks, one.key), len(order))))
    if wrong:
        head = f"{len(wrong)} {'question' if len(wrong) == 1 else 'questions'} to answer once more, those that you were surest of first."
        body = (
            f"<p class='course-question'>{head}</p><p class='course-quiet'>Answer each from memory, then look. Once tomorrow, once "
            "in a week, once in a month: what you can say three times stays. The links name the part of the notebook where it was "
            f"asked.</p><ol>{''.join(_to_repeat(one, where.get((one.asks, one.key))) for one in wrong)}</ol>"
        )
    else:
        head = "Nothing to repeat: none of the answers that you saved was wrong."
        body = f"<p>{head}</p>"
    rows = _calibration(answers)
    text = [
        head,
        *(one.question.replace("`", "") for one in wrong),
        *(f"{sure} % sure: right {right} of {of}" for sure, right, of in rows),
    ]
    return Card("your repetition plan", "\n".join(text), body + _calibration_table(rows))


def _calibration(answers: list[_Answer]) -> list[tuple[int, int, int]]:
    """(how sure in per cent, how many right, of how many), from the least sure on."""
    asked = [one for one in answers if one.sure]
    return [
        (sure, sum(one.right for one in asked if one.sure == sure), sum(one.sure == sure for one in asked))
        for sure in sorted({one.sure for one in asked})
    ]


def _calibration_table(rows: list[tuple[int, int, int]]) -> str:
    if not rows:
        return ""
    shares = [
        (f"{sure} % sure", f"{right} of {of}: {100 * right / of:.0f} %{_filled(right, of, sure)}") for sure, right, of in rows
    ]
    asked = "How sure, and how often right? The bar should reach the mark: shorter, and you were too sure."
    return f"<p class='course-question'>{asked}</p>{pair('You were', 'and were right', shares)}"


def _to_repeat(one: _Answer, place: Place | None) -> str:
    asked = f"True? “{inline(one.question)}” ({one.key})" if one.asks == "believe" else inline(one.question)
    link = (
        "<span class='course-quiet'>no longer asked</span>"
        if place is None
        else (
            f"<a href='{html.escape(place.notebook, quote=True)}'>{html.escape(os.path.basename(place.notebook)[:2])}, {inline(place.part) or 'at its start'}</a>"
        )
    )
    by = {"guess": "The outcome: ", "believe": "The tests: ", "recall": ""}[one.asks]
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
