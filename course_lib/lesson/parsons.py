"""Parsons puzzles: the lines of a worked server, to be put in order. Two of them are real bugs."""

import html
import json
from functools import cache
from pathlib import Path

import ipywidgets

from course_lib import journal

from .card import LiveCard, box, button, inline, kept, not_on_disk, note, status

SECTION = "puzzles"


class Parsons(LiveCard):
    """`program` is what has been built so far: the ids of blocks, from top to bottom."""

    def __init__(self, key: str, puzzle: dict):
        self._key, self._puzzle = key, puzzle
        self.program: list[str] = []
        lines = "\n".join(self._line(block) for block in puzzle["pool"])
        super().__init__(
            "puzzle",
            key,
            f"Puzzle: {puzzle['task']}",
            f"<p class='course-question'>{inline(puzzle['task'])}</p><p class='course-quiet'>{_PAIRS}</p><pre>{html.escape(lines)}</pre>",
        )

    def controls(self) -> list[ipywidgets.Widget]:
        self._tries = kept(SECTION, self._key).get("tries", 0)
        self._pool = ipywidgets.Select(description="lines", rows=len(self._puzzle["pool"]))
        self._built = ipywidgets.Select(description="your program", rows=len(self._puzzle["solution"]))
        for control in (self._pool, self._built):
            control.add_class("course-lines")
        self._note = note()
        self._fill()
        if kept(SECTION, self._key).get("solved"):
            self._note.value = status("You have solved this puzzle before. Once more, from memory?")
        return [
            note(
                f"<div class='course'><p class='course-question'>{inline(self._puzzle['task'])}</p>"
                f"<p class='course-quiet'>{_PAIRS}</p></div>"
            ),
            self._pool,
            box([button("Add", self.add)], "course-row"),
            self._built,
            box(
                [
                    button("Up", self.up),
                    button("Down", self.down),
                    button("Remove", self.remove),
                    button("Check", self.check),
                ],
                "course-row",
            ),
            self._note,
        ]

    def add(self) -> None:
        """Put the chosen line under the others of the program."""
        block = self._pool.value
        if block is None:
            return self._say("All lines are in your program.")
        left = [b for b in self._puzzle["pool"] if b not in self.program]
        after = left[left.index(block) + 1 :] or left[:-1]
        self.program.append(block)
        self._fill(pool=after[0] if after else None, built=block)

    def remove(self) -> None:
        """Put the chosen line of the program back to the others."""
        block = self._built.value
        if block is None:
            return self._say("Your program has no line yet: choose one above and press Add.")
        place = self.program.index(block)
        self.program.remove(block)
        near = self.program[min(place, len(self.program) - 1)] if self.program else None
        self._fill(pool=block, built=near)

    def up(self) -> None:
        self._move(-1)

    def down(self) -> None:
        self._move(+1)

    def check(self) -> None:
        """Say what the first wrong line would do; keep the puzzle in the journal when it is solved."""
        self._tries += 1
        bug = first_bug(self._puzzle, self.program)
        if bug:
            return self._say(inline(bug))
        journal.record(SECTION, self._key, {"solved": True, "tries": self._tries})
        labels = [self._puzzle["blocks"][block]["label"] for block in self.program]
        lines = [self._puzzle["blocks"][block]["code"] for block in self.program]
        worked = "\n".join(f"{_indentation(line)}# {name}\n{line}" if name else line for line, name in zip(lines, labels))
        self._note.value = status(
            f"<b>Solved.</b>{not_on_disk()} {inline(self._puzzle['solved'])}<pre>{html.escape(worked)}</pre>"
        )

    def _move(self, step: int) -> None:
        block = self._built.value
        if block is None:
            return self._say("Choose a line of your program first.")
        place = self.program.index(block)
        self.program.insert(max(0, place + step), self.program.pop(place))
        self._fill(pool=self._pool.value, built=block)

    def _fill(self, pool: str | None = None, built: str | None = None) -> None:
        left = [block for block in self._puzzle["pool"] if block not in self.program]
        _set(self._pool, [(self._line(block), block) for block in left], pool)
        numbered = enumerate((self._puzzle["blocks"][block]["code"] for block in self.program), 1)
        _set(self._built, [(f"{n}  {code}", block) for (n, code), block in zip(numbered, self.program)], built)
        self._note.value = ""

    def _line(self, block: str) -> str:
        """The line as the pool shows it: twins stand together, and say so."""
        mark = next((("either", "or")[pair.index(block)] for pair in self._puzzle["pairs"] if block in pair), "")
        return f"{mark:7}{self._puzzle['blocks'][block]['code']}"

    def _say(self, words: str) -> None:
        self._note.value = status(words)


_PAIRS = "Of two lines marked “either” and “or”, only one belongs in the program. The indentation is part of a line."


def first_bug(puzzle: dict, program: list[str]) -> str | None:
    """What the first wrong line of `program` would do, in words; None if the program is right.

    A block has words for itself in a wrong place: `after` a certain block, or else too `early`; and words for its
    absence: it is `missing`, or comes too `late`.
    """
    blocks = puzzle["blocks"]
    for number, wanted in enumerate(puzzle["solution"], 1):
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
    if len(program) > len(puzzle["solution"]):
        number = len(puzzle["solution"]) + 1
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


@cache
def puzzles() -> dict[str, dict]:
    """Every puzzle, by its name: a file each in `puzzles/`."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(__file__).parent.glob("puzzles/*.json"))
    }


def _set(control: ipywidgets.Select, options: list[tuple[str, str]], value: str | None) -> None:
    known = [block for _, block in options]
    with control.hold_sync():  # lines and choice reach the page together
        control.options = options
        control.value = value if value in known else (known[0] if known else None)
