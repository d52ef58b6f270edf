"""What the learner owns at the end of a notebook, what is open, and what to repeat."""

import html

from course_lib import journal
from course_lib.claims import all_claims, claim
from course_lib.exercises import Exercise, all_exercises
from course_lib.exercises.exercise import file_of

from .card import Card, inline, shorten
from .guesses import SECTION as GUESSES
from .sentences import SECTION as SENTENCES

_VERY_SURE = 80  # per cent: from here on a surprise is worth meeting again


def summary(notebook: str) -> Card:
    """The functions in the learner's own library, the open exercises of this notebook, and the surprises to repeat.

    A surprise is a guess, or a belief about a sentence, that the learner was very sure of and the kernel
    did not share. Those of all notebooks are listed. Raises ValueError if there is no such notebook.
    """
    known = ["00", *sorted({one.notebook[:2] for one in all_claims()}), "09"]
    if notebook not in known:
        raise ValueError(f"There is no notebook {notebook!r}: the notebooks are {known[0]} to {known[-1]}.")
    past = journal.read()
    owned, still_open = _exercises(notebook, past.get("exercises", {}))
    again = [*_guesses(past.get(GUESSES, {})), *_beliefs(past.get(SENTENCES, {}))]
    parts = [
        ("In your own library", owned, "Nothing yet: what passes its check goes there."),
        ("Still open in this notebook", still_open, "Nothing."),
        ("To repeat: you were sure, and the kernel was of another mind", again, "Nothing."),
    ]
    text = "\n".join(line for title, items, empty in parts for line in _lines(title, items, empty))
    body = "".join(_html(title, items, empty) for title, items, empty in parts)
    return Card("what you own now", text, body)


def _exercises(notebook: str, past: dict) -> tuple[list[str], list[str]]:
    owned, still_open = [], []
    for exercise in all_exercises():
        if all((journal.home() / file_of(name)).exists() for name in exercise.names):
            owned.append(f"{_code(exercise)} ({exercise.id}), from `course_lib.mine`")
        elif exercise.id.startswith(f"{int(notebook)}.") and not past.get(exercise.id, {}).get("passed"):
            still_open.append(f"{exercise.id} {_code(exercise)}, about {exercise.minutes} minutes")
    return owned, still_open


def _code(exercise: Exercise) -> str:
    return ", ".join(f"`{name}`" for name in exercise.names)


def _guesses(past: dict) -> list[str]:
    return [
        f"{shorten(str(entry.get('question')))} You guessed: {entry['answer']} ({entry['sure']} % sure). "
        f"The kernel: {entry['outcome']}."
        for entry in past.values()
        if "answer" in entry and entry.get("outcome", entry["answer"]) != entry["answer"] and _very_sure(entry)
    ]


def _beliefs(past: dict) -> list[str]:
    found = []
    for id, entry in past.items():
        if "tested" in entry and _very_sure(entry):
            one = claim(id)
            said = entry["belief"]
            if said != one.verdict and (one.verdict != "outdated" or said == "true"):
                found.append(f"{id}: {one.english} You said: {said} ({entry['sure']} % sure). The tests: {one.verdict}.")
    return found


def _very_sure(entry: dict) -> bool:
    return isinstance(entry.get("sure"), int) and entry["sure"] >= _VERY_SURE


def _lines(title: str, items: list[str], empty: str) -> list[str]:
    return [f"{title}:", *(f"- {item.replace('`', '')}" for item in items or [empty])]


def _html(title: str, items: list[str], empty: str) -> str:
    listed = f"<ul>{''.join(f'<li>{inline(item)}</li>' for item in items)}</ul>" if items else f"<p>{html.escape(empty)}</p>"
    return f"<p class='course-question'>{html.escape(title)}</p>{listed}"
