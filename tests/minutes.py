"""How long each part of the main path takes a newcomer: `python tests/minutes.py`, or with the beginning of a notebook's name.

150 words a minute, of the text, of what explains an outcome and of verdicts; 45 seconds for a guess, or to judge a sentence;
6 seconds a line of code, without the imports and the calls that only make a card; 3 minutes a recall, 4 a puzzle, 1 to write a
sentence anew, half a minute for each row of a table of things to do in the panel. An exercise takes 1.7 times as long as its
author says, its task included.

What a cell shows is read as well, as it is stored: 6 seconds a line of source (in a side by side, equal lines are one), and
3 seconds a moment of a film. A pair of films steps together: the longer one counts.
"""

import re
import sys
from pathlib import Path

import mistune
import nbformat
import outputs
from outputs import plain, tags

from course_lib.claims import claim
from course_lib.exercises import all_exercises
from course_lib.lesson.guesses import explanations

MOST = 60  # in a notebook of the main path
_WORDS, _LINES, _MOMENTS = 150, 10, 20  # a minute
_EXERCISE = 1.7  # times the author's minutes
_ASKED = {"guess": 0.75, "believe": 0.75, "recall": 3.0, "parsons": 4.0, "rewrite": 1.0}  # minutes
_ROW = 0.5  # minutes
_CARD = re.compile(r'\b(guess|believe|recall|parsons|rewrite|check|compare)\(\s*"([^"]+)"')
_SOURCE = re.compile(r"\b(?:source|side_by_side)\([A-Z]")
_FILM = re.compile(r"<Film of .+?: (\d+) moments>")
_PANEL = re.compile(r"(?m)^\| do this .*\n\|.*\n((?:\|.*\n?)+)")
_VERDICT = re.compile(r'^verdict\("(.*)"\)$')
_ONLY_CARD = re.compile(r"(?s)\w+\(.*\)")
_TASK = re.compile(r"### \d\.\d · ")  # the heading above the task of an exercise


def main_path() -> list[Path]:
    """The notebooks that everybody takes, in order."""
    return [path for path in outputs.notebooks() if path.parent == outputs.NOTEBOOKS]


def parts(path: Path) -> dict[str, float]:
    """The minutes of each part of a notebook, by its heading, in order."""
    found: dict[str, float] = {}
    author = {one.id: one.minutes for one in all_exercises()}
    heading = ""
    for number, cell in enumerate(outputs.read(path).cells):
        if cell.cell_type == "markdown":
            for block in filter(None, re.split(r"(?m)^(?=#{1,3} )", cell.source)):
                if title := re.match(r"##? (.*)", block):
                    heading = title[1]
                found[heading] = found.get(heading, 0) + (0 if _TASK.match(block) else _words(block) + _done(block))
        elif not any(tag.startswith("exercise-") for tag in tags(cell)):
            cards = _CARD.findall(cell.source)
            asked = sum(_ASKED.get(name, 0) for name, _ in cards)
            written = sum(_EXERCISE * author[key] for name, key in cards if name == "check")
            read = sum(_words(explanations().get(key, "")) for name, key in cards if name == "compare") + _judged(cell.source)
            code = 0 if number == 1 or _ONLY_CARD.fullmatch(cell.source) else _lines(cell.source)
            found[heading] += asked + written + read + code + sum(_seen(cell.source, output) for output in cell.outputs)
    return found


def _done(text: str) -> float:
    """The minutes that it takes to do in the panel what a table says."""
    return sum(_ROW * len(rows.splitlines()) for rows in _PANEL.findall(text))


def _judged(source: str) -> float:
    """The minutes that it takes to read what a verdict says of its sentences."""
    ids = [id for told in _VERDICT.findall(source) for id in told.split('", "')]
    return sum(_words(f"{claim(id).english} {claim(id).correction}") for id in ids)


def _seen(source: str, output: nbformat.NotebookNode) -> float:
    """The minutes that it takes to see the films, or to read the source, that a cell shows."""
    if films := [int(moments) for moments in _FILM.findall(plain(output))]:
        return max(films) / _MOMENTS
    return _lines(plain(output)) if _SOURCE.search(source) else 0


def _lines(code: str) -> float:
    """The minutes that it takes to read some code."""
    return len(re.findall(r"(?m)^.*\S", code)) / _LINES


def _words(text: str) -> float:
    """The minutes that it takes to read a text in Markdown or HTML."""
    return len(re.sub(r"<[^>]+>", " ", str(mistune.html(text))).split()) / _WORDS


def main(names: list[str]) -> int:
    """Print the minutes of each part; 1 where a notebook takes longer than `MOST`."""
    status = 0
    for path in main_path():
        if not names or path.name.startswith(tuple(names)):
            minutes = parts(path)
            print(
                f"{sum(minutes.values()):4.0f}  {path.stem}",
                *(f"{took:8.1f}  {part}" for part, took in minutes.items()),
                sep="\n",
            )
            status |= round(sum(minutes.values())) > MOST
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
