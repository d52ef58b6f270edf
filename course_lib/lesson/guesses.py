"""Guess before the experiment, compare after it.

What an experiment is expected to show stands in `expected/NN.json`, by the key of its guess; no cell shows it. Where the
machine decides, several options stand there, each with the reason, and the notebook's text says them all. `compare` takes
another outcome for noise: it says so, and the guess stays open. With `COURSE_EXPECTED=1` in the environment it raises
instead; so `make outputs` stores no outcome that the text does not expect.

Why it is so stands in `why/NN.md`, a section `## <key>` each, in Markdown: `compare` shows it with the outcome, and not before.
"""

import html
import os
import re
from functools import cache
from pathlib import Path

import ipywidgets
import mistune

from course_lib import journal

from .card import Card, inline, json_files, kept, live, mark, pair, shorten
from .poll import Poll

SECTION = "guesses"


class Guess(Poll):
    _section, _field, _settled = SECTION, "answer", "outcome"
    _until, _after = "You can change it until the experiment has run.", "The experiment has run, so the guess stays."

    def __init__(self, key: str, question: str, options: tuple[str, ...]):
        self._question = question
        super().__init__("guess", key, f"Guess: {question}", f"<p class='course-question'>{inline(question)}</p>", options)

    def more(self, entry: dict) -> list[ipywidgets.Widget]:
        self._reason = ipywidgets.Text(
            value=entry.get("reason", ""),
            description="because",
            placeholder="one line, in your own words",
            continuous_update=False,
        )
        self._reason.add_class("course-reason")
        return [self._reason]

    def verdict(self, entry: dict) -> str:
        return "right" if entry["answer"] == entry["outcome"] else "surprise"

    def more_kept(self) -> dict:
        return {"question": self._question, "options": list(self.options), "reason": self._reason.value}


def guess(key: str, question: str, *options: str) -> Guess:
    """Ask what an experiment will show: one of `options`, one line of reason, how sure.

    The answer is kept in the journal under `key` and may be changed until `compare(key, …)` has run.
    Raises ValueError if there are fewer than two options, or two that read the same.
    """
    if not key or not question:
        raise ValueError("A guess needs a key and a question.")
    if len(options) < 2 or not all(isinstance(option, str) for option in options):
        raise ValueError(f"The guess {key!r} needs at least two options, each of them text.")
    if len({" ".join(option.replace("`", "").split()) for option in options}) < len(options):
        raise ValueError(f"Two options of the guess {key!r} are the same: each must read differently.")
    return Guess(key, question, options)


@cache
def expectations() -> dict[str, tuple[str, ...]]:
    """The options of every guess that the course's text expects, by the guess's key."""
    return {
        key: (options,) if isinstance(options, str) else tuple(options)
        for expected in json_files("expected").values()
        for key, options in expected.items()
    }


@cache
def explanations() -> dict[str, str]:
    """Why the outcome of a guess is what it is, as HTML, by the guess's key."""
    markdown = mistune.create_markdown(plugins=["table"])
    found: dict[str, str] = {}
    for path in sorted(Path(__file__).parent.glob("why/*.md")):
        _, *parts = re.split(r"^## +([\w-]+)[ \t]*$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        found |= {key: str(markdown(text)) for key, text in zip(parts[::2], parts[1::2])}
    return found


def compare(key: str, outcome: str | None) -> Card:
    """The learner's guess and the outcome, side by side, and why; `None` where the machine is too busy to tell.

    Where no guess was kept, outcome and explanation are folded.

    Raises ValueError if `outcome` is not one of the options of `guess(key, …)`; with `COURSE_EXPECTED=1` in the
    environment also if it is not an expected one.
    """
    entry = kept(SECTION, key)
    shown = live(Guess, key)
    options = shown.options if shown else entry.get("options", [outcome])
    if outcome is not None and not (isinstance(outcome, str) and outcome in options):
        raise ValueError(
            f"The outcome {outcome!r} is not one of the options of the guess {key!r}: " + ", ".join(map(repr, options)) + "."
        )
    doubt = _doubt(key, outcome)
    told = "too busy to tell" if outcome is None else outcome
    why = f"<div class='course-why'>{explanations().get(key, '')}</div>"
    if doubt:
        why = "" if outcome is None else _expected(key)
    if "answer" not in entry:
        # Nothing is recorded: who ran the experiment first may still go back and guess.
        return Card(
            "guess and outcome",
            f"No guess was kept. The outcome: {told}." + f"\n{doubt}" * bool(doubt),
            "<p class='course-quiet'>No guess was kept. Guess in the cell above and run this one again, or look:</p>"
            f"<details><summary>the outcome, and why</summary><b>{inline(told)}</b>{_word(doubt)}{why}</details>",
            "open",
        )
    if doubt:
        journal.update(SECTION, key, lambda now: now | {"undecided": True})
    else:
        journal.update(SECTION, key, lambda now: {k: v for k, v in now.items() if k != "undecided"} | {"outcome": outcome})
        if shown:
            shown.settle()
    answer, certainty, reason = entry["answer"], entry.get("sure"), shorten(entry.get("reason", ""))
    sure_and_wrong = isinstance(certainty, int) and certainty >= 80
    word = doubt or (
        "As you guessed."
        if answer == outcome
        else "A surprise, and you were sure: those are the ones that stay in memory."
        if sure_and_wrong
        else "Not what you guessed."
    )
    left = f"{inline(answer)}<span class='course-quiet'>, {html.escape(str(certainty))} % sure</span>"
    if reason:
        left += f"<br><span class='course-quiet'>because {html.escape(reason)}</span>"
    return Card(
        "guess and outcome",
        f"You guessed: {answer} ({certainty} % sure). The outcome: {told}. {word}",
        pair("You guessed", "The outcome", [(left, f"<b>{inline(told)}</b>")])
        + _word(word, "" if doubt else mark(answer == outcome))
        + why,
        "undecided" if doubt else "right" if answer == outcome else "surprise",
    )


def _doubt(key: str, outcome: str | None) -> str:
    """Why this outcome decides nothing; "" where it does."""
    expected = expectations().get(key, ())
    if outcome in expected:
        return ""
    if os.environ.get("COURSE_EXPECTED") == "1":
        raise ValueError(
            f"The guess {key!r} came out as {outcome!r}; expected is {' or '.join(map(repr, expected)) or 'nothing yet'}."
        )
    if outcome is None:
        return "Run the cells of this experiment again, later: your guess stays open."
    return (
        "The course expects something else. What is different here: a busy machine, or what you did before? "
        "Run the cells of this experiment again; your guess stays open."
        if expected
        else ""
    )


def _expected(key: str) -> str:
    """What a guess that stays open must not be told unasked."""
    told = inline(" or ".join(expectations().get(key, ())))
    return f"<details><summary>what the course expects</summary>{told}</details>"


def _word(text: str, sign: str = "") -> str:
    return f"<p class='course-word'>{sign}{inline(text)}</p>" * bool(text)
