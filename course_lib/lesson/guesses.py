"""Guess before the experiment, compare after it."""

import html

import ipywidgets

from course_lib import journal

from .card import Card, inline, kept, live, shorten
from .poll import Poll

SECTION = "guesses"


class Guess(Poll):
    def __init__(self, key: str, question: str, options: tuple[str, ...]):
        self._question = question
        super().__init__(
            kind="guess",
            section=SECTION,
            key=key,
            text=f"Guess: {question}",
            body=f"<p class='course-question'>{inline(question)}</p>",
            options=options,
            field="answer",
            settled="outcome",
            until="You can change it until the experiment has run.",
            after="The experiment has run, so the guess stays.",
        )

    def more(self, entry: dict) -> list[ipywidgets.Widget]:
        self._reason = ipywidgets.Text(
            value=entry.get("reason", ""),
            description="because",
            placeholder="one line, in your own words",
            continuous_update=False,
        )
        self._reason.add_class("course-reason")
        return [self._reason]

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


def compare(key: str, outcome: str) -> Card:
    """The learner's guess and what the kernel did, side by side.

    Raises ValueError if `outcome` is not one of the options of `guess(key, …)`.
    """
    entry = kept(SECTION, key)
    shown = live(Guess, key)
    options = shown.options if shown else entry.get("options", [outcome])
    if not isinstance(outcome, str) or outcome not in options:
        raise ValueError(
            f"The outcome {outcome!r} is not one of the options of the guess {key!r}: " + ", ".join(map(repr, options)) + "."
        )
    if "answer" not in entry:
        # Nothing is recorded: who ran the experiment first may still go back and guess.
        return Card(
            "guess and outcome",
            f"No guess was kept. The kernel: {outcome}.",
            "<p class='course-quiet'>No guess was kept. Guess in the cell above and run this one again, or look:</p>"
            f"<details><summary>what the kernel did</summary><b>{inline(outcome)}</b></details>",
        )
    journal.update(SECTION, key, lambda now: now | {"outcome": outcome})
    if shown:
        shown.settle()
    answer, certainty, reason = entry["answer"], entry.get("sure"), shorten(entry.get("reason", ""))
    sure_and_wrong = isinstance(certainty, int) and certainty >= 80
    word = "As you guessed." if answer == outcome else \
        "A surprise, and you were sure: those are the ones that stay in memory." if sure_and_wrong else "Not what you guessed."
    left = f"{inline(answer)}<span class='course-quiet'>, {html.escape(str(certainty))} % sure</span>"
    if reason:
        left += f"<br><span class='course-quiet'>because {html.escape(reason)}</span>"
    return Card(
        "guess and outcome",
        f"You guessed: {answer} ({certainty} % sure). The kernel: {outcome}. {word}",
        _pair(left, inline(outcome)) + f"<p class='course-word'>{word}</p>",
    )


def _pair(guessed: str, outcome: str) -> str:
    return (
        "<table class='course-pair'><thead><tr><th scope='col'>You guessed</th><th scope='col'>The kernel</th></tr></thead>"
        f"<tbody><tr><td>{guessed}</td><td><b>{outcome}</b></td></tr></tbody></table>"
    )
