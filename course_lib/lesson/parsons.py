"""Parsons puzzles: the lines of a worked server, to be put in order. Two of them are real bugs."""

import html
import os
import re
from pathlib import Path

import ipywidgets
import traitlets

from course_lib import journal
from course_lib.widgets.page import script
from course_lib.widgets.view import PageWidget

from .card import LiveCard, code, code_line, inline, json_files, kept, not_on_disk, note, status

SECTION = "puzzles"


class Lines(PageWidget):
    """The lines in the page, where they are moved. A line is known by its place in `lines`: the name of a block tells too much."""

    _esm = script() + Path(__file__).with_name("parsons.js").read_text(encoding="utf-8")
    lines = traitlets.List(traitlets.Dict()).tag(sync=True)  # "words", "indent" in characters, "twin": "either", "or" or ""
    program = traitlets.List(traitlets.Int()).tag(sync=True)
    wrong = traitlets.Int().tag(sync=True)  # the line of the program to look at, from 1 on; 0: none


class Parsons(LiveCard):
    """`program` is what has been built so far: the ids of blocks, from top to bottom."""

    def __init__(self, key: str, puzzle: dict):
        self._key, self._puzzle = key, puzzle
        lines = "\n".join(f"{self._twin(block):7}{puzzle['blocks'][block]['code']}" for block in puzzle["pool"])
        self._task = f"<p class='course-question'>{inline(puzzle['task'])}</p><p class='course-quiet'>{_PAIRS}</p>"
        super().__init__("puzzle", key, f"Puzzle: {puzzle['task']}", f"{self._task}<pre>{html.escape(lines)}</pre>")

    def controls(self) -> list[ipywidgets.Widget]:
        self._tries = kept(SECTION, self._key).get("tries", 0)
        self._lines = Lines(lines=[self._line(block) for block in self._puzzle["pool"]])
        self._lines.on_msg(self._hear)
        self._lines.observe(lambda _: self._say(""), "program")
        self._note = note()
        if kept(SECTION, self._key).get("solved"):
            self._say("You have solved this puzzle before. Once more, from memory?")
        return [note(f"<div class='course'>{self._task}</div>"), self._lines, self._note]

    @property
    def program(self) -> list[str]:
        self.widget  # the lines are a part of it
        return [self._puzzle["pool"][line] for line in self._lines.program]

    @program.setter
    def program(self, blocks: list[str]) -> None:
        self.widget
        self._lines.program = [self._puzzle["pool"].index(block) for block in blocks]

    def check(self) -> None:
        """Say what the first wrong line would do; keep the puzzle in the journal when it is solved."""
        self._tries += 1
        program = self.program
        if bug := first_bug(self._puzzle, program):
            self._lines.wrong = int(number[1]) if (number := re.match(r"Line (\d+):", bug)) else 0
            self.look("not yet")
            return self._say(inline(bug))
        journal.record(SECTION, self._key, {"solved": True, "tries": self._tries})
        self.look("solved")
        blocks = [self._puzzle["blocks"][block] for block in program]
        worked = "\n".join(
            f"{_indentation(one['code'])}# {one['label']}\n{one['code']}" if one["label"] else one["code"] for one in blocks
        )
        self._say(f"<b>Solved.</b>{not_on_disk()} {inline(self._puzzle['solved'])}{code(worked)}")

    def _hear(self, _: object, message: dict, buffers: list) -> None:
        program, known = message.get("check"), range(len(self._puzzle["pool"]))
        if isinstance(program, list) and all(line in known for line in program) and len(set(program)) == len(program):
            self._lines.program = program
            self.check()

    def _line(self, block: str) -> dict:
        source = self._puzzle["blocks"][block]["code"]
        return {"words": code_line(source), "indent": len(_indentation(source)), "twin": self._twin(block)}

    def _twin(self, block: str) -> str:
        """Twins stand together among the lines, and say so."""
        return next((("either", "or")[pair.index(block)] for pair in self._puzzle["pairs"] if block in pair), "")

    def _say(self, words: str) -> None:
        self._note.value = status(words) if words else ""


_PAIRS = "Of two lines marked “either” and “or”, only one belongs in the program. The indentation is part of a line."


def first_bug(puzzle: dict, program: list[str]) -> str | None:
    """What the first wrong line of `program` would do, in words; None if the program is right.

    A block has words for itself in a wrong place: `after` a certain block, or else too `early`; and words for its
    absence: it is `missing`, or comes too `late`.
    """
    blocks = puzzle["blocks"]
    # Of several right orders, the one that the program follows longest: no line is called wrong that another order allows.
    solution = max([puzzle["solution"], *puzzle.get("also", [])], key=lambda order: len(os.path.commonprefix([order, program])))
    for number, wanted in enumerate(solution, 1):
        found = program[number - 1] if number <= len(program) else None
        if found == wanted:
            continue
        if found is None:
            return (
                f"After line {number - 1} something is missing. {blocks[wanted]['missing']}"
                if program
                else "Your program is empty."
            )
        absent = blocks[wanted].get("late" if wanted in program else "missing", blocks[wanted]["missing"])
        return f"Line {number}: {_misplaced(blocks, program, number) or absent}"
    if len(program) > len(solution):
        number = len(solution) + 1
        return f"Line {number}: {_misplaced(blocks, program, number)}"
    return None


def _misplaced(blocks: dict, program: list[str], number: int) -> str | None:
    """What the block in this line says about being there."""
    above, found = program[number - 2] if number > 1 else None, blocks[program[number - 1]]
    return found.get("after", {}).get(above) or found.get("early")


def parsons(key: str) -> Parsons:
    """The puzzle with this name, such as "blocking-server". Raises ValueError, with one sentence, if there is none."""
    puzzle = puzzles().get(key) if isinstance(key, str) else None
    if puzzle is None:
        raise ValueError(f"There is no puzzle {key!r}, only: {', '.join(puzzles())}.")
    return Parsons(key, puzzle)


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def puzzles() -> dict[str, dict]:
    """Every puzzle, by its name: a file each in `puzzles/`."""
    return json_files("puzzles")
